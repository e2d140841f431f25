"""Makes a program that shows a violation as small as it can be made, and writes it as text."""

from __future__ import annotations

from anybpf.isa.instruction import Instruction
from anybpf.isa.listing import anybpf as listing
from fuzz.soundness.campaign import Campaign, Violation

RUNS = 24


def nothing() -> Instruction:
    """A jump to the next instruction."""
    return Instruction(0x05)


def is_nothing(insn: Instruction) -> bool:
    return insn.opcode == 0x05 and insn.offset == 0


def minimise(campaign: Campaign, found: Violation, seconds: float = 20.0) -> list[Instruction]:
    """The code without what the violation does not need."""
    from time import monotonic

    end = monotonic() + seconds
    program = found.program
    code = list(program.code)
    runs = max(RUNS, found.run + 1)
    changed = True
    while changed and monotonic() < end:
        changed = False
        for width in (8, 3, 1):
            at = 0
            while at < len(code) and monotonic() < end:
                shorter = without(code, at, min(at + width, len(code)))
                if shorter is not None:
                    again = campaign.again(program, shorter, runs)
                    if again is not None and again.kind == found.kind:
                        code = shorter
                        changed = True
                        continue
                at += width
    return code


def without(code: list[Instruction], low: int, high: int) -> list[Instruction] | None:
    """The code without these instructions; jumps into the gap lead behind it."""
    starts: list[int] = []
    at = 0
    for insn in code:
        starts.append(at)
        at += insn.slots
    index_at = {slot: index for index, slot in enumerate(starts)}
    index_at[at] = len(code)
    kept = [index for index in range(len(code)) if not low <= index < high]
    if not kept:
        return None
    new_start: dict[int, int] = {}
    at = 0
    for index in range(len(code)):
        new_start[index] = at
        if not low <= index < high:
            at += code[index].slots
    new_start[len(code)] = at
    out: list[Instruction] = []
    for index in kept:
        insn = code[index].copy()
        distance: int | None = None
        local = insn.opcode == 0x85 and insn.src == 1
        function = insn.opcode == 0x18 and insn.src == 4
        if insn.is_jump:
            distance = insn.jump_distance
        elif local:
            distance = insn.imm
        elif function:
            distance = (insn.imm & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        if distance is not None:
            target = index_at.get(starts[index] + 1 + distance)
            if target is None:
                return None
            distance = new_start[target] - new_start[index] - 1
            if local:
                insn.imm = distance
            elif function:
                insn.imm = distance & 0xFFFFFFFF
            elif insn.opcode == 0x06:
                insn.imm = distance
            else:
                insn.offset = distance
        out.append(insn)
    return out


def text(code: list[Instruction]) -> str:
    """The code as our own listing shows it."""
    return "\n".join(listing.lines(code))
