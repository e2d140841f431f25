"""How a program came to an instruction: the way there, and those steps of it that matter.

The way is the path that a finding bears, or where it bears none, a shortest one through the code.
Along it, definitions are followed back from the registers that the finding is about; branches
matter if they test what these were made from. Nothing here is a proof: it picks what to show.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa import text
from anybpf.isa.instruction import Instruction
from anybpf.isa.listing.anybpf import leads_to
from anybpf.platforms import Helper
from anybpf.verifier import faults
from anybpf.verifier.facts import TAKEN
from anybpf.verifier.verification import Verification

# Steps that are shown of one way, and how many of these are its first ones.
MAX_STEPS: Final = 12
FIRST_STEPS: Final = 3
# Branches that are shown where nothing says which matter.
LAST_BRANCHES: Final = 3
# Instructions of a way that are looked at; a longer one is followed back from its end.
MAX_WAY: Final = 20_000


class Step:
    """One instruction on the way. ``branch`` is "taken", "not taken" or '' for what is none.

    ``times`` counts how often the way goes through it; the last time is the one shown.
    """

    __slots__ = ("branch", "index", "times")

    def __init__(self, index: int, branch: str, times: int) -> None:
        self.index: int = index
        self.branch: str = branch
        self.times: int = times

    def __repr__(self) -> str:
        return f"<Step {self.index} {self.branch}>"


class Trail:
    """The steps that matter, oldest first; ``elided`` are left out after the first ones.

    ``known``: the way is one that the analysis followed, not just one through the code.
    """

    __slots__ = ("elided", "known", "steps", "way")

    def __init__(self, way: list[int], known: bool) -> None:
        self.way: list[int] = way
        self.known: bool = known
        self.steps: list[Step] = []
        self.elided: int = 0


class _Thing:
    """What a register or piece of stack holds on the way: who made it, and the frame it is in.

    ``made`` is a position on the way, -1 for what was there before. ``place`` is an offset from
    the top of frame ``frame`` for an address in it, else None.
    """

    __slots__ = ("frame", "made", "place")

    def __init__(self, made: int, frame: int = -1, place: int | None = None) -> None:
        self.made: int = made
        self.frame: int = frame
        self.place: int | None = place


def successors(verification: Verification) -> list[list[int]]:
    """Where control may go from each instruction; calls go on behind themselves."""
    instructions = verification.instructions
    index_of = {slot: index for index, slot in enumerate(verification.slots)}
    out: list[list[int]] = []
    for index, insn in enumerate(instructions):
        opcode: int = insn.opcode
        follow: list[int] = []
        form = text.FORMS[opcode]
        if insn.is_jump:
            target = index_of.get(leads_to(insn, verification.slots[index]), -1)
            if form not in (text.JUMP, text.JUMP_LONG) and index + 1 < len(instructions):
                follow.append(index + 1)
            if target >= 0:
                follow.append(target)
        elif form != text.RETURN and index + 1 < len(instructions):
            follow.append(index + 1)
        out.append(follow)
    return out


def called(verification: Verification, index: int) -> int:
    """The index of the function that a local call goes to, or -1."""
    insn = verification.instructions[index]
    if not insn.is_local_call:
        return -1
    slot = leads_to(insn, verification.slots[index])
    low = 0
    high = len(verification.slots)
    while low < high:
        middle = (low + high) // 2
        if verification.slots[middle] < slot:
            low = middle + 1
        else:
            high = middle
    return low if low < len(verification.slots) and verification.slots[low] == slot else -1


def shortest_way(verification: Verification, goal: int) -> list[int]:
    """A way from the start of its function to an instruction; dead sides of branches are not it."""
    follow = successors(verification)
    name = verification.function_of[goal]
    start = goal
    while start > 0 and verification.function_of[start - 1] == name:
        start -= 1
    always = verification.facts.branches
    came: dict[int, int] = {start: -1}
    todo: deque[int] = deque([start])
    while todo:
        index = todo.popleft()
        if index == goal:
            way: list[int] = []
            while index >= 0:
                way.append(index)
                index = came[index]
            way.reverse()
            return way
        for after in follow[index]:
            side = always.get(index, "")
            dead = after == index + 1 if side == TAKEN else side != "" and after != index + 1
            if after not in came and not dead:
                came[after] = index
                todo.append(after)
    return [goal]


def whole_way(verification: Verification, path: list[int], goal: int) -> list[int]:
    """A path of a finding with the instructions between its marks filled in."""
    follow = successors(verification)
    count = len(verification.instructions)
    way: list[int] = []
    marks = [mark for mark in path if 0 <= mark < count]
    if not marks or marks[-1] != goal:
        marks.append(goal)
    for mark in marks:
        if way:
            _fill(verification, follow, way, mark)
        if not way or way[-1] != mark or mark in follow[way[-1]]:
            way.append(mark)
    return way


def _fill(verification: Verification, follow: list[list[int]], way: list[int], mark: int) -> None:
    """Go straight on from the end of the way until a step leads to ``mark``."""
    index = way[-1]
    added: list[int] = []
    for _ in range(len(follow)):
        if index == mark or mark in follow[index] or called(verification, index) == mark:
            way.extend(added)
            return
        if text.FORMS[verification.instructions[index].opcode] == text.RETURN:
            way.extend(added)  # back in the caller, which the next mark names
            return
        if not follow[index]:
            break
        index = follow[index][0]
        added.append(index)


def reads(insn: Instruction, helper: Helper | None) -> list[int]:
    """The registers that an instruction looks at, the address of an access first."""
    opcode: int = insn.opcode
    form = text.FORMS[opcode]
    dst: int = insn.dst
    src: int = insn.src
    if form == text.ALU_IMM:
        return [] if opcode & op.OP_MASK == op.MOV else [dst]
    if form in (text.ALU_REG, text.STORE, text.ATOMIC, text.JUMP_REG):
        return [dst] if dst == src else [dst, src]
    if form in (text.MOVE_REG, text.LOAD, text.LOAD_PACKET_REG):
        return [src]
    if form in (text.NEGATE, text.SWAP, text.STORE_IMM, text.JUMP_IMM, text.CALL_REGISTER):
        return [dst]
    if form == text.RETURN:
        return [0]
    if form == text.CALL and helper is not None:
        return [position + 1 for position in range(min(len(helper.args), 5))]
    return []


def written(insn: Instruction) -> list[int]:
    """The registers that hold something else after an instruction."""
    opcode: int = insn.opcode
    form = text.FORMS[opcode]
    if form in (text.ALU_IMM, text.ALU_REG, text.MOVE_REG, text.NEGATE, text.SWAP, text.LOAD_64):
        return [int(insn.dst)]
    if form == text.LOAD:
        return [int(insn.dst)]
    if form == text.ATOMIC and insn.imm & op.FETCH:
        return [0] if insn.imm == op.ATOMIC_CMPXCHG else [int(insn.src)]
    if form in (text.CALL, text.CALL_REGISTER):
        return [0, 1, 2, 3, 4, 5]
    if form in (text.LOAD_PACKET, text.LOAD_PACKET_REG):
        return [0, 1, 2, 3, 4, 5]
    return []


class _Walk:
    """One walk along a way, which notes for each step what it was made from."""

    __slots__ = ("_calls", "_depth", "_registers", "_saved", "_stack", "made_from", "verification")

    def __init__(self, verification: Verification) -> None:
        self.verification: Verification = verification
        self.made_from: list[list[int]] = []
        self._depth: int = 0
        self._registers: list[_Thing] = [_Thing(-1) for _ in range(op.REGISTERS)]
        self._registers[op.FRAME_POINTER] = _Thing(-1, 0, 0)
        self._saved: list[list[_Thing]] = []
        self._calls: list[int] = []
        # Things on the stack by frame and offset, with their sizes.
        self._stack: dict[tuple[int, int], tuple[int, _Thing]] = {}

    def makers(self, registers: list[int]) -> list[int]:
        """Who made what these registers hold now."""
        return [self._registers[each].made for each in registers if self._registers[each].made >= 0]

    def writers_at(self, registers: list[int]) -> list[int]:
        """Who wrote the stack that these registers point to, from there on upwards."""
        found: list[int] = []
        for register in registers:
            thing = self._registers[register]
            if thing.place is None:
                continue
            for (frame, offset), (length, content) in self._stack.items():
                if frame == thing.frame and thing.place < offset + length <= 0:
                    found.append(content.made)
        return found

    def step(self, position: int, index: int, after: int) -> None:
        """Go over one instruction; ``after`` is the next on the way, -1 at its end."""
        verification = self.verification
        insn = verification.instructions[index]
        opcode: int = insn.opcode
        form = text.FORMS[opcode]
        registers = self._registers
        helper = (
            verification.platform.find_helper(int(insn.imm), verification.type)
            if (insn.is_helper_call)
            else None
        )
        sources = self.makers(reads(insn, helper))
        if insn.is_local_call and after >= 0 and after == called(verification, index):
            self.made_from.append([])
            self._saved.append(registers[6:10])
            self._depth += 1
            registers[op.FRAME_POINTER] = _Thing(-1, self._depth, 0)
            return
        if form == text.RETURN and self._depth:
            self.made_from.append(sources)
            registers[6:10] = self._saved.pop()
            self._depth -= 1
            registers[op.FRAME_POINTER] = _Thing(-1, self._depth, 0)
            return
        size = 0
        if form in (text.LOAD, text.STORE, text.STORE_IMM, text.ATOMIC):
            size = _BYTES[opcode & op.SIZE_MASK]
        if form == text.LOAD:
            self._load(position, insn, size, sources)
            return
        if form in (text.STORE, text.STORE_IMM, text.ATOMIC):
            base = registers[int(insn.dst)]
            if base.place is not None:
                key = (base.frame, base.place + int(insn.offset))
                self._stack[key] = (size, _Thing(position))
            self.made_from.append(self.makers([int(insn.src)]) if form == text.STORE else sources)
        elif form in (text.CALL, text.CALL_REGISTER):
            self.made_from.append([])
        else:
            self.made_from.append(sources)
        moved = self._moved(insn, form, position)
        for register in written(insn):
            registers[register] = _Thing(position)
        if moved is not None:
            registers[int(insn.dst)] = moved

    def _load(self, position: int, insn: Instruction, size: int, sources: list[int]) -> None:
        base = self._registers[int(insn.src)]
        found: list[int] = []
        if base.place is not None:
            low = base.place + int(insn.offset)
            for (frame, offset), (length, thing) in self._stack.items():
                if frame == base.frame and offset < low + size and low < offset + length:
                    found.append(thing.made)
            sources = found
        else:
            sources = []  # what lies in a map or packet was put there by nobody on this way
        self.made_from.append(sources)
        self._registers[int(insn.dst)] = _Thing(position)

    def _moved(self, insn: Instruction, form: int, position: int) -> _Thing | None:
        """An address in a frame stays one when it is copied or moved by a constant."""
        opcode: int = insn.opcode
        if opcode == op.MOV64_REG and insn.offset == 0:
            source = self._registers[int(insn.src)]
            return _Thing(position, source.frame, source.place)
        if form == text.ALU_IMM and opcode & op.CLASS_MASK == op.ALU64:
            base = self._registers[int(insn.dst)]
            if opcode & op.OP_MASK == op.ADD and base.place is not None:
                return _Thing(position, base.frame, base.place + int(insn.imm))
        return None


_BYTES: Final = {op.B: 1, op.H: 2, op.W: 4, op.DW: 8}


def follow_back(
    verification: Verification, way: list[int], known: bool, registers: list[int], kind: str = ""
) -> Trail:
    """The steps of a way that make what ``registers`` hold at its end, and the branches on them.

    The ``kind`` of finding says what matters besides: calls that take and give back if something
    was not given back, calls that move the packet if a pointer is stale, what wrote the stack that
    the registers point to if it is not all written.
    """
    way = way[-MAX_WAY:]
    trail = Trail(way, known)
    walk = _Walk(verification)
    last = len(way) - 1
    for position in range(last):
        walk.step(position, way[position], way[position + 1])
    wanted = set(walk.makers(registers))
    if kind == faults.UNINITIALIZED_STACK:
        wanted.update(walk.writers_at(registers))
    for position in range(last - 1, -1, -1):
        if position in wanted:
            wanted.update([each for each in walk.made_from[position] if each >= 0])
    calls = [position for position in range(last) if _matters(verification, way[position], kind)]
    wanted.update(calls)
    related = set(wanted)
    branches: list[int] = []
    for position in range(last):
        sources = walk.made_from[position]
        if _is_branch(verification.instructions[way[position]]):
            branches.append(position)
            if not related.isdisjoint(sources):
                wanted.add(position)
        elif not related.isdisjoint(sources):
            related.add(position)
    if calls and kind in _ABOUT_WAYS_OUT:
        wanted.update([position for position in branches if position > calls[0]])
    tested = [position for position in branches if position in wanted]
    for position in reversed(range(tested[-1] + 1 if tested else 0)):
        if position in wanted:  # what the branches compare was made here
            wanted.update([each for each in walk.made_from[position] if each >= 0])
    if not tested:
        wanted.update(branches[-LAST_BRANCHES:])
    _choose(verification, trail, sorted(wanted))
    return trail


def _choose(verification: Verification, trail: Trail, positions: list[int]) -> None:
    """Keep each instruction once, the last time that it was passed, and not too many."""
    times: dict[int, int] = {}
    latest: dict[int, int] = {}
    for position in positions:
        index = trail.way[position]
        times[index] = times.get(index, 0) + 1
        latest[index] = position
    kept = sorted(latest.values())
    if len(kept) > MAX_STEPS:
        trail.elided = len(kept) - MAX_STEPS
        kept = kept[:FIRST_STEPS] + kept[FIRST_STEPS + trail.elided :]
    for position in kept:
        index = trail.way[position]
        trail.steps.append(Step(index, _side(verification, trail.way, position), times[index]))


def _side(verification: Verification, way: list[int], position: int) -> str:
    index = way[position]
    if not _is_branch(verification.instructions[index]):
        return ""
    return "not taken" if way[position + 1] == index + 1 else "taken"


def _is_branch(insn: Instruction) -> bool:
    """Whether control may go two ways here."""
    return text.FORMS[insn.opcode] in (text.JUMP_IMM, text.JUMP_REG, text.JUMP_MAYBE)


def _matters(verification: Verification, index: int, kind: str) -> bool:
    """Whether an instruction is a call that has to do with findings of this kind."""
    insn = verification.instructions[index]
    if insn.is_helper_call:
        helper = verification.platform.find_helper(int(insn.imm), verification.type)
        if helper is None:
            return False
        if kind == faults.STALE_PACKET:
            return helper.invalidates_packet
        about_holding = kind in (faults.REFERENCE_LEAK, faults.NOT_ACQUIRED)
        if about_holding and (helper.acquires or helper.released_arg >= 0):
            return True
        name = helper.name
    elif insn.is_btf_call:
        name = insn.reference
    else:
        # What a function that was verified by itself does is not on the way.
        return kind == faults.STALE_PACKET and insn.is_local_call
    return any(word in name for word in _CALLS_BY_KIND.get(kind, ()))


# Findings whose cause is the way out that was taken.
_ABOUT_WAYS_OUT: Final = (faults.REFERENCE_LEAK, faults.LOCK, faults.DYNPTR, faults.ITERATOR)
# Words in the names of functions that have to do with a kind of findings.
_LOCKING: Final = ("lock", "preempt", "irq_save", "irq_restore")
_HOLDING: Final = (
    "acquire", "release", "reserve", "submit", "discard", "_new", "_drop", "_destroy",
)  # fmt: skip
_CALLS_BY_KIND: Final[dict[str, tuple[str, ...]]] = {
    faults.REFERENCE_LEAK: _HOLDING,
    faults.NOT_ACQUIRED: _HOLDING,
    faults.LOCK: _LOCKING,
    faults.SLEEP: _LOCKING,
    faults.DYNPTR: ("dynptr",),
    faults.ITERATOR: ("bpf_iter_",),
}
