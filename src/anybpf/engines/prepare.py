"""From a program that was proved safe to code that can be run: the one door to all engines.

The code leaves in the byte order of this machine, with indexes in place of maps and helpers, and
with loads of packet pointers turned to the header in front of the context (``src/core/run.h``).
Finding the maps and helpers behind the indexes is the business of the runtime.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Final

from anybpf.errors import InputError, LinkError, NotSupported, VerifierError
from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.objects.specs import MapSpec, ProgramSpec
from anybpf.platforms import Platform
from anybpf.platforms.kinds import PACKET, PACKET_END, PACKET_META
from anybpf.platforms.model import Context, Field, ProgramType
from anybpf.verifier import Verification
from anybpf.verifier.facts import MIXED_KIND, Access

# In front of every context lie eight slots of eight bytes: src/core/run.h.
HEADER_SIZE: Final = 64
# Which slot holds what a field of this kind stands for: ANYBPF_SLOT_* there.
HEADER_SLOTS: Final = {PACKET: 0, PACKET_END: 1, PACKET_META: 2}
# The field that holds a packet's length, where a context has one.
LENGTH_FIELD: Final = "len"
# The name under which facts speak of the context.
CONTEXT_KIND: Final = "ctx"
_LOAD_8: Final = op.LDX | op.MEM | op.DW
_PREFIX: Final = "bpf_"


class Prepared:
    """A program as engines take it.

    ``code`` are the slots in host byte order. A 16-byte load with source 1 or 2 has an index into
    ``maps`` as immediate (with 2, the second half's is an offset into the value), a call with
    source 0 one into ``helpers``, which are names without ``bpf_``. ``dead`` are the helpers that
    only instructions call that no run reaches. ``compatible`` is the same for programs that may
    follow one another by tail calls. ``handler`` is the slot of the function whose result is
    that of a run that ``bpf_throw`` ended; 0: there is none, the result is what was thrown.
    """

    __slots__ = (
        "attach_type",
        "code",
        "compatible",
        "context",
        "dead",
        "handler",
        "helpers",
        "maps",
        "name",
        "platform",
        "tag",
        "type",
        "verification",
    )

    def __init__(self, name: str, verification: Verification, program_type: ProgramType) -> None:
        self.name: str = name
        self.verification: Verification = verification
        self.platform: Platform = verification.platform
        self.type: ProgramType = program_type
        self.attach_type: str = verification.attach_type
        self.context: Context | None = program_type.context
        self.code: bytes = b""
        self.tag: str = ""
        self.maps: list[MapSpec] = []
        self.helpers: list[str] = []
        self.dead: set[str] = set()
        self.compatible: int = 0
        self.handler: int = verification.handler

    @property
    def context_size(self) -> int:
        """Bytes of the context's structure; 0 where programs have none."""
        return 0 if self.context is None else self.context.size

    @property
    def packet_fields(self) -> tuple[int, int, int]:
        """Where eight-byte pointers to the packet's data, end and metadata lie; -1: nowhere."""
        found = {PACKET: -1, PACKET_END: -1, PACKET_META: -1}
        for field in () if self.context is None else self.context.fields:
            if field.kind in found and field.size == 8:
                found[field.kind] = field.offset
        return found[PACKET], found[PACKET_END], found[PACKET_META]

    @property
    def length_field(self) -> int:
        """Where the context keeps the packet's length in four bytes, or -1."""
        if self.context is None or self.context.data < 0:
            return -1
        field = self.context.named(LENGTH_FIELD)
        return -1 if field is None or field.size != 4 else field.offset

    def instruction_at(self, slot: int) -> int:
        """The index of the instruction that stands at a slot, for messages."""
        from bisect import bisect_right

        return max(0, bisect_right(self.verification.slots, slot) - 1)

    def __repr__(self) -> str:
        return (
            f"<Prepared {self.name}, {self.type.name}: {len(self.code) // 8} slots, "
            f"{len(self.maps)} maps, {len(self.helpers)} helpers>"
        )


def prepare(program: ProgramSpec, verification: Verification) -> Prepared:
    """The program, ready for an engine.

    :class:`VerifierError` if it was not proved safe, :class:`NotSupported` if it needs what no
    engine has. What is taken is the code that was verified, whatever became of the spec since.
    """
    if verification.program is not program:
        raise InputError(
            f"program {program.name}: the verification given is one of program "
            f"{verification.program.name}; verify this very program"
        )
    if not verification.ok:
        first = verification.findings[0].message if verification.findings else "no answer was found"
        raise VerifierError(
            f"program {program.name} was not proved safe: {first}", verification=verification
        )
    platform = verification.platform
    collection = verification.collection
    if collection is not None and collection.big_endian != (sys.byteorder == "big"):
        order = "big" if collection.big_endian else "little"
        raise NotSupported(
            f"program {program.name}, compiled for {order}-endian machines,",
            where=f"this {sys.byteorder}-endian one",
        )
    made = Prepared(program.name, verification, platform.program_type(verification.type))
    _Work(made).run()
    return made


class _Work:
    """One preparation on its way."""

    def __init__(self, made: Prepared) -> None:
        self.made: Prepared = made
        self.maps: dict[int, int] = {}  # by identity of the spec
        self.helpers: dict[str, int] = {}
        self.live: set[str] = set()
        self.fields: list[Field] = []
        if made.context is not None:
            self.fields = [f for f in made.context.fields if f.kind in HEADER_SLOTS and f.read]

    def run(self) -> None:
        made = self.made
        verification = made.verification
        reached = verification.facts.reached
        out: list[Instruction] = []
        bare: list[Instruction] = []
        for index, original in enumerate(verification.instructions):
            insn = original.copy()
            if insn.opcode == op.LD_IMM64:
                self._wide(index, insn)
            elif insn.opcode == op.CALL_IMM and insn.src != op.CALL_LOCAL:
                self._call(index, insn, index in reached)
            elif insn.opcode & 7 == op.LDX:
                self._load(index, insn)
            out.append(insn)
            twin = original.copy()
            if twin.is_map_load:
                twin.imm = 0
            bare.append(twin)
        made.code = encode(out, big_endian=sys.byteorder == "big")
        # As the kernel's tags: a digest of the code with what depends on the load taken out.
        made.tag = hashlib.sha256(encode(bare)).hexdigest()[:16]
        made.dead = set(made.helpers) - self.live
        made.compatible = fingerprint(made)

    def _wide(self, index: int, insn: Instruction) -> None:
        source = int(insn.src)
        if insn.is_map_load:
            spec = self._map(insn.map_name)
            number = self.maps.setdefault(id(spec), len(self.made.maps))
            if number == len(self.made.maps):
                self.made.maps.append(spec)
            if source in (op.PSEUDO_MAP_VALUE, op.PSEUDO_MAP_INDEX_VALUE):
                insn.src = op.PSEUDO_MAP_VALUE
                place = insn.high + spec.data_offset & 0xFFFFFFFF
                insn.imm = _signed(place << 32 | number)
            else:
                insn.src = op.PSEUDO_MAP_FD
                insn.imm = number
        elif source == op.PSEUDO_VARIABLE:
            raise NotSupported(
                f"{self._place(index)}: the kernel variable {insn.reference or '?'}",
                where="the embedded runtime",
            )

    def _map(self, name: str) -> MapSpec:
        collection = self.made.verification.collection
        if collection is not None:
            found = collection.maps.get(name)
            if found is not None:
                return found
            for spec in collection.maps.values():
                if spec.name == name:
                    return spec
        raise LinkError(f"program {self.made.name} uses map {name or '?'}, which is not defined")

    def _call(self, index: int, insn: Instruction, live: bool) -> None:
        made = self.made
        if insn.src == op.CALL_HELPER:
            name = made.platform.helper(int(insn.imm), made.type.name).name
        else:
            name = insn.reference
            if not name:
                raise NotSupported(
                    f"{self._place(index)}: a call of a function without a name",
                    where="the embedded runtime",
                )
        name = name.removeprefix(_PREFIX)
        insn.src = op.CALL_HELPER
        insn.offset = 0
        insn.imm = self.helpers.setdefault(name, len(made.helpers))
        if insn.imm == len(made.helpers):
            made.helpers.append(name)
        if live:
            self.live.add(name)

    def _load(self, index: int, insn: Instruction) -> None:
        """A load of a packet pointer goes to the header; see ``src/core/run.h``."""
        access = self.made.verification.facts.accesses.get(index)
        if access is None or not self.fields:
            return
        mixed = access.kind == MIXED_KIND and not self.made.platform.uses_license
        if access.kind != CONTEXT_KIND and not mixed:
            return
        for field in self.fields:
            if access.low >= field.end or access.high <= field.offset:
                continue
            if mixed or not _is_whole(access, field):
                raise NotSupported(
                    f"{self._place(index)}: one load that reads {field.name} of the context or "
                    "something else",
                    where="the embedded runtime",
                )
            insn.opcode = _LOAD_8
            insn.offset = insn.offset - field.offset - HEADER_SIZE + 8 * HEADER_SLOTS[field.kind]
            return

    def _place(self, index: int) -> str:
        verification = self.made.verification
        line = verification.source_line(index)
        where = f" ({line.file}:{line.line})" if line is not None else ""
        return f"program {self.made.name}, slot {verification.slots[index]}{where}"


def _is_whole(access: Access, field: Field) -> bool:
    return access.low == field.offset and access.high == field.end


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def fingerprint(made: Prepared) -> int:
    """64 bits that are equal for programs that may follow one another by tail calls.

    Such programs share a context, what they may do with it, and what they may return.
    """
    words = [made.platform.name, made.type.name]
    kind = made.type
    by_attach_type = any(rule.attach_types for rule in kind.returns)
    if made.context is not None:
        by_attach_type = by_attach_type or any(
            field.attach_types or field.write_attach_types for field in made.context.fields
        )
    if by_attach_type:
        words.append(made.attach_type)
    flags = made.verification.program.flags
    words += [word for word in ("frags", "sleepable") if word in flags]
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:8], "little")
