"""Where jumps lead within one function.

Turns slot distances into targets and labels. It finds where control may go; what that means
(blocks, loops, reachability) is the verifier's matter.
"""

from __future__ import annotations

from anybpf.errors import DecodeError
from anybpf.isa.instruction import Instruction


def slot_numbers(instructions: list[Instruction]) -> list[int]:
    """The slot at which each instruction starts, and the number of slots as a last entry.

    >>> from anybpf.isa.codec import decode
    >>> slot_numbers(decode(bytes.fromhex("18" + "00" * 15 + "95" + "00" * 7)))
    [0, 2, 3]
    """
    numbers: list[int] = []
    slot = 0
    for insn in instructions:
        numbers.append(slot)
        slot += insn.slots
    numbers.append(slot)
    return numbers


def jump_targets(instructions: list[Instruction], first_slot: int = 0) -> list[int]:
    """The slots that jumps lead to, ascending, counted from the first instruction.

    A jump out of the function or into the middle of a 16-byte load is a :class:`DecodeError`
    whose slot number counts from ``first_slot``.
    """
    starts: set[int] = set()
    slot = 0
    for insn in instructions:
        starts.add(slot)
        slot += insn.slots
    end = slot
    targets: set[int] = set()
    slot = 0
    for insn in instructions:
        slot += insn.slots
        if insn.is_jump:
            target = slot + insn.jump_distance
            if target not in starts:
                where = (
                    f"the middle of the 16-byte load at slot {first_slot + target - 1}"
                    if 0 < target < end
                    else f"slot {first_slot + target}, outside its function "
                    f"(slots {first_slot} to {first_slot + end - 1})"
                )
                raise DecodeError(f"a jump leads to {where}", slot=first_slot + slot - insn.slots)
            targets.add(target)
    return sorted(targets)
