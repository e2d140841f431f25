"""Instructions, values and places of a verified program in the words of its source.

Maps are called by name, fields by the names that the object's types and the platform's tables give
them, helpers by theirs. What is found wrong and why is said in ``explain``; a notation for whole
states that can be read back is ``notation``.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf.names import type_name
from anybpf.errors import AnyBPFError, BTFError
from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.instruction import Instruction, SourceLine
from anybpf.isa.listing.anybpf import leads_to, source_place
from anybpf.isa.listing.syntax import instruction_text
from anybpf.objects import flow
from anybpf.objects.hints import Names, access_hints, field_text
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Helper
from anybpf.verifier import numbers
from anybpf.verifier import values as v
from anybpf.verifier.state import FRAME_BYTES, State
from anybpf.verifier.values import Region, Value
from anybpf.verifier.verification import Verification

# Sizes of accesses by the size bits of an opcode: RFC 9669, section 5.
ACCESS_BYTES: Final = {op.B: 1, op.H: 2, op.W: 4, op.DW: 8}


class Words:
    """Puts what a verification speaks of into words; made once for all findings of a program."""

    __slots__ = ("_hints", "_names", "verification")

    def __init__(self, verification: Verification) -> None:
        self.verification: Verification = verification
        self._hints: dict[int, str] | None = None
        self._names: Names | None = None

    # Instructions.

    def instruction(self, index: int) -> str:
        """An instruction as our listings write it; jumps name the slot that they lead to."""
        verification = self.verification
        insn = verification.instructions[index]
        target = ""
        if insn.is_helper_call:
            helper = self.helper_of(insn)
            target = insn.reference if helper is None else helper.name
        elif insn.is_local_call or insn.is_function_load:
            target = insn.reference or str(leads_to(insn, verification.slots[index]))
        elif insn.is_jump:
            target = str(leads_to(insn, verification.slots[index]))
        elif insn.is_btf_call:
            target = insn.reference
        return instruction_text(insn, target)

    def helper(self, number: int) -> Helper | None:
        """The helper of that number, as a program of this type calls it."""
        return self.verification.platform.find_helper(number, self.verification.type)

    def helper_of(self, insn: Instruction) -> Helper | None:
        """The helper that an instruction calls, if it does and the platform knows it."""
        return self.helper(int(insn.imm)) if insn.is_helper_call else None

    def remark(self, index: int) -> str:
        """What an instruction touches, as C would say it: ``ctx->data``, ``map counts``; or ''."""
        verification = self.verification
        insn = verification.instructions[index]
        if insn.is_map_load:
            return insn.reference
        known = verification.facts.accesses.get(index)
        if known is not None and known.kind == "map_value" and known.map >= 0:
            size = access_size(insn)
            if known.high - known.low == size:
                found = self.inside_value(known.map, known.low, size)
                if found:
                    return found
        call = verification.facts.calls.get(index)
        if call is not None and 0 <= call.map < len(verification.maps):
            key = "" if call.key is None else f", key {call.key}"
            return f"map {verification.maps[call.map].name}{key}"
        if self._hints is None:
            self._hints = self._find_hints()
        return self._hints.get(verification.slots[index], "")

    def _find_hints(self) -> dict[int, str]:
        verification = self.verification
        spec = verification.collection
        if spec is None:
            return {}
        try:
            return access_hints(verification.program, spec, verification.platform)
        except AnyBPFError:
            return {}  # damaged types have no names to give; the finding stands without them

    def line(self, index: int) -> SourceLine | None:
        return self.verification.source_line(index)

    def place(self, index: int) -> str:
        """``file.c:21``, or '' where the object does not say."""
        found = self.line(index)
        return "" if found is None or not found.file else source_place(found)

    def source_text(self, index: int) -> str:
        found = self.line(index)
        return "" if found is None else " ".join(found.text.split())

    # Maps and what lies in them.

    def map_words(self, index: int) -> str:
        """``map counts``; maps that others hold have no names of their own."""
        maps = self.verification.maps
        return f"map {maps[index].name}" if 0 <= index < len(maps) else "an inner map"

    def inside_value(self, index: int, offset: int, size: int) -> str:
        """What lies there in a map's value: ``value->packets``, a variable's name, or ''."""
        verification = self.verification
        if verification.collection is None or not 0 <= index < len(verification.maps):
            return ""
        if self._names is None:
            self._names = Names(verification.collection, verification.platform, verification.type)
        spec = verification.maps[index]
        place = self._place(spec, offset)
        # What is asked is only where it is; the function does not matter for that.
        access = flow.Access(verification.program.function, 0, 0, place, size, False)
        try:
            return self._names.of_access(access)
        except BTFError:
            return ""

    def _place(self, spec: MapSpec, offset: int) -> flow.Place:
        if spec.kind == "user":
            return flow.Place(flow.VALUE, spec.name, offset, spec)
        return flow.Place(flow.DATA, spec.section or spec.name, offset, spec)

    def value_type(self, index: int) -> str:
        """The C type of a map's values, or ''."""
        collection = self.verification.collection
        if collection is None or collection.btf is None or index >= len(self.verification.maps):
            return ""
        spec = self.verification.maps[index]
        if not spec.value_type_id or spec.kind != "user":
            return ""
        try:
            return type_name(collection.btf, spec.value_type_id)
        except BTFError:
            return ""

    # Values.

    def value(self, state: State, value: Value) -> str:
        """What a register holds, in words: ``a value of map counts (8 bytes), or null``."""
        kind = value.kind
        if kind == v.NUMBER:
            return self._number(state, value)
        if kind == v.UNINIT:
            return NEVER_WRITTEN
        if kind == v.MIXED:
            return "different things on different ways"
        region = value.region
        base = self._base(state, value, region)
        null = "" if region is None else nullness(state, region)
        if null == "null":
            return "null"
        return f"{base}{', or null' if null else ''}"

    def _number(self, state: State, value: Value) -> str:
        known = state.range_of(value)
        if known.mask == 0:
            return str(int(known.value))
        described = str(numbers.describe(known))
        return "a number, not known which" if described == "min..max" else f"a number, {described}"

    def _base(self, state: State, value: Value, region: Region | None) -> str:
        kind = value.kind
        at = moved(state, value)
        if kind == v.CONTEXT:
            context = self.verification.platform.program_types.get(self.verification.type)
            name = "" if context is None or context.context is None else context.context.name
            field = ""
            if context is not None and context.context is not None and value.unknown is None:
                field = field_text("ctx", context.context, int(value.offset), 1) if at else ""
            return f"the context{f' ({name})' if name else ''}{at}{f', {field}' if field else ''}"
        if kind == v.STACK:
            if value.unknown is None:
                return f"the stack at {frame_offset(int(value.offset))}"
            return f"the stack at r10{at}"
        if kind == v.PACKET:
            if region is not state.packet:
                return "a packet pointer that a call made void"
            reach = state.reach.get(value.unknown, None)
            there = 0 if reach is None else max(int(reach) - int(value.offset), 0)
            return f"the packet{at}, with {there or 'no'} bytes checked from there on"
        if kind == v.PACKET_END:
            return "the end of the packet"
        if kind == v.PACKET_META:
            return f"the packet's metadata{at}"
        index = -1 if region is None else int(region.index)
        if kind == v.MAP:
            return self.map_words(index)
        if kind == v.MAP_VALUE:
            return self._map_value(state, value, region, index, at)
        if kind == v.MEMORY:
            size = 0 if region is None else int(region.size)
            return f"a block of {size} bytes{at}"
        if kind == v.OBJECT:
            name = "" if region is None else region.type
            return f"{f'a {name}' if name else 'an object'} of the system{at}"
        if kind == v.FUNCTION:
            return "a function of the program"
        return v.KIND_NAMES[kind] + at

    def _map_value(
        self, state: State, value: Value, region: Region | None, index: int, at: str
    ) -> str:
        maps = self.verification.maps
        size = 0 if region is None else int(region.size)
        if 0 <= index < len(maps) and maps[index].kind != "user":
            found = self.inside_value(index, int(value.offset), 1)
            if found:
                return f"the address of {found}{at_unknown(state, value)}"
            return f"the data in {maps[index].section or maps[index].name} ({size} bytes){at}"
        named = self.value_type(index)
        what = f"{named}, {size} bytes" if named else f"{size} bytes"
        return f"a value of {self.map_words(index)} ({what}){at}"

    def registers(
        self, index: int, wanted: list[int], state: State | None = None
    ) -> list[tuple[str, str]]:
        """What is known of registers before an instruction, where states were recorded.

        ``state`` is the one of them that matters, if one does.
        """
        states = self.verification.states.get(index, []) if state is None else [state]
        if not states:
            return []
        out: list[tuple[str, str]] = []
        for register in wanted:
            texts: list[str] = []
            for each in states[:MAX_STATES_SHOWN]:
                words = self.value(each, each.regs[register])
                if words not in texts:
                    texts.append(words)
            if len(texts) > MAX_WORDS:
                texts = [*texts[:MAX_WORDS], "..."]
            out.append((f"r{register}", "; or ".join(texts)))
        return out


NEVER_WRITTEN: Final = "nothing: it was never written"
# States of one instruction that are looked at for a text, and different texts that are shown.
MAX_STATES_SHOWN: Final = 16
MAX_WORDS: Final = 3


def access_size(insn: Instruction) -> int:
    """How many bytes a load or store touches; 0 for what is neither."""
    opcode: int = insn.opcode
    form = text.FORMS[opcode]
    if form in (text.LOAD, text.STORE, text.STORE_IMM, text.ATOMIC):
        return ACCESS_BYTES[opcode & op.SIZE_MASK]
    return 0


def nullness(state: State, region: Region) -> str:
    """``null``, ``maybe``, or '' for what surely points somewhere."""
    if not region.nullable:
        return ""
    known = state.nonnull.get(region)
    if known is None:
        return "maybe"
    return "" if known else "null"


def moved(state: State, value: Value) -> str:
    """How far a pointer stands from where its region begins: ``+ 4``, ``+ (0..64)``, or ''."""
    if value.unknown is None:
        if value.offset == 0:
            return ""
        return f" + {value.offset}" if value.offset > 0 else f" - {-value.offset}"
    return f" + ({numbers.describe(state.range_of(value))})"


def at_unknown(state: State, value: Value) -> str:
    """How far it may stand from its constant part."""
    if value.unknown is None:
        return ""
    return f" + ({numbers.describe(state.known(value.unknown))})"


def frame_offset(offset: int) -> str:
    """An address in a frame, from its top: ``fp-8``; the frame's first byte is fp-512."""
    if offset > 0:
        return f"fp+{offset}"
    if offset < -FRAME_BYTES:
        return f"fp{offset}, below the frame"
    return f"fp{offset}" if offset else "fp"
