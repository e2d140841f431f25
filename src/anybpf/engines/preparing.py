"""From a program that was proved safe to code that can be run: the one door to all engines.

The code leaves in the byte order of this machine, with indexes in place of maps and helpers, and
with loads of packet pointers turned to the header in front of the context (``src/core/run.h``).
Finding the maps and helpers behind the indexes is the business of the runtime.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Final

from anybpf.engines.prepared import (
    CONTEXT_KIND,
    HEADER_SIZE,
    HEADER_SLOTS,
    LENGTH_FIELD,
    Prepared,
    fingerprint,
)
from anybpf.errors import InputError, LinkError, NotSupported, VerifierError
from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.objects.specs import MapSpec, ProgramSpec
from anybpf.platforms.model import Field

if TYPE_CHECKING:
    from anybpf.verifier import Verification
    from anybpf.verifier.facts import Access

__all__ = [
    "CONTEXT_KIND",
    "HEADER_SIZE",
    "HEADER_SLOTS",
    "LENGTH_FIELD",
    "Prepared",
    "fingerprint",
    "prepare",
]

_LOAD_8: Final = op.LDX | op.MEM | op.DW
_PREFIX: Final = "bpf_"


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
    made = Prepared(program.name, platform, platform.program_type(verification.type))
    made.proof = verification
    made.section = program.section
    made.attach_type = verification.attach_type
    made.attach_to = program.attach_to
    made.license = program.license
    made.flags = tuple(program.flags)
    made.handler = verification.handler
    made.verified_steps = verification.stats.steps
    made.typed_functions = sum(1 for one in program.functions if one.type_id)
    made.lines = _lines(verification)
    _Work(made).run()
    return made


def _lines(verification: Verification) -> list[tuple[int, str, int]]:
    """Slot, file and line of each instruction at which a source line begins.

    A function that begins without one has a row without a file.
    """
    found = []
    function = ""
    for index, insn in enumerate(verification.instructions):
        slot = verification.slots[index]
        if insn.line is not None:
            found.append((slot, insn.line.file, insn.line.line))
        elif verification.function_of[index] != function:
            found.append((slot, "", 0))
        function = verification.function_of[index]
    return found


class _Work:
    """One preparation on its way."""

    def __init__(self, made: Prepared) -> None:
        self.made: Prepared = made
        self.proof: Verification = made.verification
        self.maps: dict[int, int] = {}  # by identity of the spec
        self.helpers: dict[str, int] = {}
        self.live: set[str] = set()
        self.fields: list[Field] = []
        if made.context is not None:
            self.fields = [f for f in made.context.fields if f.kind in HEADER_SLOTS and f.read]

    def run(self) -> None:
        made = self.made
        verification = self.proof
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
        collection = self.proof.collection
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
        from anybpf.verifier.facts import MIXED_KIND

        access = self.proof.facts.accesses.get(index)
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
        verification = self.proof
        line = verification.source_line(index)
        where = f" ({line.file}:{line.line})" if line is not None else ""
        return f"program {self.made.name}, slot {verification.slots[index]}{where}"


def _is_whole(access: Access, field: Field) -> bool:
    return access.low == field.offset and access.high == field.end


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
