"""CO-RE put into effect: instructions changed to fit the types of the kernel they are meant for.

What a record comes to is worked out by `anybpf.btf.core`; this module puts the number into the
instruction, the way libbpf does, or replaces the instruction where there is no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anybpf.btf import BTF
from anybpf.btf.core import CoreResult, relocate
from anybpf.errors import BTFError, LinkError, ObjectError
from anybpf.isa import opcodes as op
from anybpf.isa.instruction import CoreRelocation, Instruction
from anybpf.objects.specs import CollectionSpec, Function

# The helper that a poisoned instruction calls. No system has it, and Linux users know the number
# from verifier logs (tools/lib/bpf/relo_core.c).
POISON: Final = 0xBAD2310
_SIZE_BITS: Final = {1: op.B, 2: op.H, 4: op.W, 8: op.DW}


class Poisoned:
    """An instruction that was replaced, and why: ``reason`` names the field and the type."""

    __slots__ = ("function", "reason", "section", "slot")

    def __init__(self, function: str, section: str, slot: int, reason: str) -> None:
        self.function: str = function
        self.section: str = section
        self.slot: int = slot  # from the beginning of the function
        self.reason: str = reason

    def __str__(self) -> str:
        return f"{self.function}, slot {self.slot}: {self.reason}"

    def __repr__(self) -> str:
        return f"<Poisoned {self}>"


class CoreReport:
    """What `apply_core` did: how many records it applied, and what it had to poison."""

    __slots__ = ("applied", "poisoned")

    def __init__(self) -> None:
        self.applied: int = 0
        self.poisoned: list[Poisoned] = []

    def __repr__(self) -> str:
        return f"<CoreReport: {self.applied} applied, {len(self.poisoned)} poisoned>"


class _Patch:
    """One change that is going to be made."""

    __slots__ = ("function", "index", "reason", "result", "slot")

    def __init__(self, function: Function, index: int, slot: int, result: CoreResult) -> None:
        self.function: Function = function
        self.index: int = index
        self.slot: int = slot
        self.result: CoreResult = result
        self.reason: str = "" if result.ok else result.reason


def apply_core(spec: CollectionSpec, target: BTF | Sequence[BTF]) -> CoreReport:
    """Fit all instructions of ``spec`` with a CO-RE record to the types of ``target``.

    ``target`` is a kernel's BTF, or a list of it and its modules'. The spec is changed in place,
    or, if a record makes no sense, not at all; `spec.copy()` keeps the original. A record that
    cannot be resolved poisons its instruction: should the program come to execute it, the
    verifier refuses the program. `CoreReport.poisoned` says which field of which type is missing.
    """
    report = CoreReport()
    btf = spec.btf
    patches: list[_Patch] = []
    known: dict[CoreRelocation, CoreResult] = {}
    for function in spec.functions.values():
        slot = 0
        for index, insn in enumerate(function.instructions):
            record = insn.core
            if record is not None:
                if btf is None:
                    raise _error(spec, function, slot, "a CO-RE record in an object without BTF")
                result = known.get(record)
                if result is None:
                    result = _resolve(spec, function, slot, record, btf, target)
                    known[record] = result
                patch = _Patch(function, index, slot, result)
                _check(spec, patch, insn)
                patches.append(patch)
            slot += insn.slots
    # From the last to the first: a poisoned 16-byte load becomes two instructions.
    for patch in reversed(patches):
        if patch.reason:
            _poison(patch)
            report.poisoned.append(
                Poisoned(patch.function.name, patch.function.section, patch.slot, patch.reason)
            )
        else:
            _apply(patch.function.instructions[patch.index], patch.result)
            report.applied += 1
    report.poisoned.reverse()
    return report


def _error(spec: CollectionSpec, function: Function, slot: int, message: str) -> ObjectError:
    return LinkError(
        f"function {function.name}, slot {slot}: {message}",
        file=spec.file,
        section=function.section,
    )


def _resolve(
    spec: CollectionSpec,
    function: Function,
    slot: int,
    record: CoreRelocation,
    btf: BTF,
    target: BTF | Sequence[BTF],
) -> CoreResult:
    try:
        return relocate(btf, record.type_id, record.access, record.kind, target)
    except BTFError as error:
        raise _error(spec, function, slot, f"CO-RE: {error.message}") from error


def _check(spec: CollectionSpec, patch: _Patch, insn: Instruction) -> None:
    """Whether the instruction is one that can be changed; sets the reason to poison it."""
    result = patch.result
    if patch.reason:
        return
    opcode: int = insn.opcode
    cls = opcode & op.CLASS_MASK
    function = patch.function
    if cls == op.ALU or cls == op.ALU64:
        found = int(insn.imm)
        if opcode & op.X:
            raise _error(
                spec, function, patch.slot, f"{result.text}: the instruction takes no constant"
            )
        if not -0x80000000 <= result.value <= 0xFFFFFFFF:
            patch.reason = f"{result.text}: {result.value} does not fit in 32 bits"
    elif cls in (op.LDX, op.ST, op.STX):
        found = int(insn.offset)
        if not -0x8000 <= result.value <= 0x7FFF:
            patch.reason = f"{result.text}: offset {result.value} does not fit in 16 bits"
        elif result.size != result.original_size:
            patch.reason = _size_problem(result, opcode)
    elif opcode == op.LD_IMM64:
        found = int(insn.imm)
    else:
        raise _error(
            spec,
            function,
            patch.slot,
            f"{result.text}: CO-RE does not apply to an instruction with opcode {opcode:#04x}",
        )
    original = result.original
    # Both are compared as 64-bit patterns: compilers sign-extend some and not others.
    if original is not None and (original - found) % 0x100000000:
        raise _error(
            spec,
            function,
            patch.slot,
            f"{result.text}: by its types the object should have {original} here, it has {found}",
        )


def _size_problem(result: CoreResult, opcode: int) -> str:
    """Why an access cannot take the target's size; empty if it can."""
    if not result.resizable:
        return (
            f"{result.text}: the field has {result.original_size} bytes here and {result.size} on "
            "the target, which a load of a signed or unequal type cannot make good"
        )
    if result.size not in _SIZE_BITS:
        return f"{result.text}: no access has the field's {result.size} bytes on the target"
    if op.SIZES[opcode & op.SIZE_MASK] != result.original_size:
        return f"{result.text}: the access does not take the whole field"
    return ""


def _apply(insn: Instruction, result: CoreResult) -> None:
    opcode: int = insn.opcode
    cls = opcode & op.CLASS_MASK
    value = result.value
    if opcode == op.LD_IMM64:
        value &= 0xFFFFFFFFFFFFFFFF
        insn.imm = value - ((value & 0x8000000000000000) << 1)
    elif cls == op.ALU or cls == op.ALU64:
        value &= 0xFFFFFFFF
        insn.imm = value - ((value & 0x80000000) << 1)
    else:
        insn.offset = value
        if result.size != result.original_size:
            insn.opcode = opcode & ~op.SIZE_MASK | _SIZE_BITS[result.size]


def _poison(patch: _Patch) -> None:
    """Put a call to no helper in place of an instruction, two for a 16-byte load."""
    instructions = patch.function.instructions
    old = instructions[patch.index]
    first = Instruction(op.CALL_IMM, imm=POISON)
    first.meta = old.meta
    new = [first]
    if old.opcode == op.LD_IMM64:
        new.append(Instruction(op.CALL_IMM, imm=POISON))
    instructions[patch.index : patch.index + 1] = new
