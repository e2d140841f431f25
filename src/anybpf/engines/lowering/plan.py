"""What compiled code does at each instruction, decided once for all printers.

Frames: a function whose frame nobody else looks at has it on the machine's stack; one that hands
addresses of it to helpers, which look at the regions of the run, has it in ``run->stack``.
Accesses: what was proved is not compared again. Calls: maps are looked up without helpers where the
map is known. Loops: those that may go on for long look at the clock now and then.
"""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering import rotations
from anybpf.engines.lowering.graph import Block, Function, functions_of, reachable, refused
from anybpf.engines.lowering.pointers import (
    FRAME,
    KINDS,
    NUMBER,
    POINTER,
    Pointers,
    find,
    frame_address,
    join,
    place_of,
)
from anybpf.engines.lowering.pointers import FRAME_SIZE as FRAME_SIZE
from anybpf.engines.lowering.rotations import Rotation
from anybpf.engines.lowering.slots import Range, own_slots
from anybpf.engines.lowering.source import ALL, UNPROVED, MapShape, Source
from anybpf.engines.lowering.turns import FAR, spend
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op
from anybpf.verifier.facts import MIXED_KIND

MOST_FRAMES: Final = 8

# Where a frame lies.
ON_MACHINE: Final = "machine"  # the machine's own stack
IN_RUN: Final = "run"  # where helpers find it

# How an access is compared with its bounds.
NO_CHECK: Final = ""
FRAME_CHECK: Final = "frame"
CONTEXT_CHECK: Final = "context"
PACKET_CHECK: Final = "packet"
MAP_CHECK: Final = "map"
ANY_CHECK: Final = "any"

# What accesses of two different kinds never have in common; other kinds may meet any.
SEPARATE: Final = ("ctx", "stack", "packet", "map_value")
# What the facts call them, and what that is here.
_KINDS: Final = {
    "ctx": "ctx",
    "stack": "stack",
    "packet": "packet",
    "packet_meta": "packet",
    "map_value": "map_value",
    "memory": "memory",
}
_CHECKS: Final = {"ctx": CONTEXT_CHECK, "stack": FRAME_CHECK, "packet": PACKET_CHECK}

# How a call is made.
HELPER: Final = "helper"
LOCAL: Final = "local"
REGISTER: Final = "register"
ARRAY_LOOKUP: Final = "array_lookup"  # the address is computed on the spot
DIRECT_LOOKUP: Final = "direct_lookup"  # the map's own function
DIRECT_UPDATE: Final = "direct_update"
DIRECT_DELETE: Final = "direct_delete"

_ARRAYS: Final = ("array", "percpu_array")
_TABLES: Final = ("hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "lpm_trie")
DIRECT: Final = {
    "map_lookup_elem": DIRECT_LOOKUP,
    "map_update_elem": DIRECT_UPDATE,
    "map_delete_elem": DIRECT_DELETE,
}
# Helpers that take no memory of the program's and never end a run.
_HARMLESS: Final = frozenset(
    {
        "ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns", "ktime_get_tai_ns", "jiffies64",
        "get_prandom_u32", "get_smp_processor_id", "get_numa_node_id",
    }
)  # fmt: skip
TAIL_CALL: Final = "tail_call"


class Access:
    """A load, store or atomic operation. ``once``: others may write there at the same time."""

    __slots__ = ("aligned", "check", "kind", "map", "once", "place", "size", "slot", "write")

    def __init__(self, kind: str, check: str, size: int, write: bool, aligned: bool) -> None:
        self.kind: str = kind
        self.check: str = check
        self.size: int = size
        self.write: bool = write
        self.aligned: bool = aligned
        self.once: bool = kind not in ("ctx", "stack", "packet")
        # The array whose values it should touch, if that is to be looked at.
        self.map: int = -1
        # Where in the frame, from its end, and which of the function's slots holds it; or None.
        self.place: int | None = None
        self.slot: int | None = None


class Call:
    """``number`` is the helper's index, or the function's; ``map`` the index of the map."""

    __slots__ = ("arguments", "can_stop", "chains", "kind", "map", "number")

    def __init__(self, kind: str, number: int = -1, map_index: int = -1) -> None:
        self.kind: str = kind
        self.number: int = number
        self.map: int = map_index
        self.arguments: int = 5
        # Whether the run may be over when it returns; whether another program may have to follow.
        self.can_stop: bool = False
        self.chains: bool = False


class FunctionPlan:
    """One function. ``spends`` has what each turn of a loop costs, by block whose end jumps back.

    ``slots`` are first byte, from the frame's end, and size of what is kept apart from the frame.
    ``rotations`` are ORs that rotate what was there before another instruction shifted it.
    ``typed`` are the parameters among r1 to r5 that are pointers at every call. ``counted``: the
    run's count of frames, and with it the region of the stack, must be right while it runs.
    """

    __slots__ = (
        "accesses",
        "blocks",
        "calls",
        "can_stop",
        "counted",
        "frame",
        "function",
        "loads_frozen",
        "may_goto",
        "pointers",
        "rotations",
        "slots",
        "spends",
        "typed",
        "uses_frame",
    )

    def __init__(self, function: Function) -> None:
        self.function: Function = function
        self.blocks: list[Block] = []
        self.pointers: Pointers = Pointers()
        self.rotations: dict[int, Rotation] = {}
        self.accesses: dict[int, Access] = {}
        self.calls: dict[int, Call] = {}
        self.spends: dict[int, int] = {}
        self.frame: str = ON_MACHINE
        self.slots: dict[int, int] = {}
        self.uses_frame: bool = False
        self.counted: bool = False
        self.can_stop: bool = False
        self.may_goto: bool = False
        self.typed: int = 0


class Plan:
    """A whole program; functions are in the order of the code, unused ones without blocks."""

    __slots__ = ("checks", "functions", "source")

    def __init__(self, source: Source, checks: str) -> None:
        self.source: Source = source
        self.checks: str = checks
        self.functions: list[FunctionPlan] = [FunctionPlan(one) for one in functions_of(source)]


def make_plan(source: Source, checks: str = UNPROVED) -> Plan:
    """The plan; :class:`NotSupported` for code that only the interpreter runs."""
    plan = Plan(source, checks)
    for insn in source.instructions:
        if _writes_frame_pointer(insn):
            raise refused(source, "code that changes r10")
    order, recursive = _call_order(plan)
    _find_pointers(plan, order)
    for each in order:
        one = plan.functions[each]
        _plan_calls(plan, one)
        _plan_accesses(plan, one)
        one.rotations = rotations.find(source, one.blocks)
    _plan_frames(plan, order, recursive)
    for each in order:
        _plan_slots(plan, plan.functions[each])
    _plan_spending(plan, order)
    _plan_stops(plan, order)
    return plan


def _writes_frame_pointer(insn: Instruction) -> bool:
    cls = insn.opcode & op.CLASS_MASK
    if insn.dst == op.FRAME_POINTER and cls in (op.ALU, op.ALU64, op.LD, op.LDX):
        return True
    if cls != op.STX or insn.opcode & op.MODE_MASK != op.ATOMIC:
        return False
    if insn.imm == op.LOAD_ACQUIRE:
        return insn.dst == op.FRAME_POINTER
    return insn.src == op.FRAME_POINTER and bool(insn.imm & op.FETCH)


def _call_order(plan: Plan) -> tuple[list[int], bool]:
    """The functions that may run, callers first; whether any of them may call itself."""
    values = [one.function.number for one in plan.functions if one.function.is_value]
    order: list[int] = []
    state: dict[int, int] = {}
    recursive = False
    for root in [0, *values]:
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(plan.functions[root].function.calls.values()))]
        while stack:
            number, calls = stack[-1]
            following = next(calls, None)
            if following is None:
                state[number] = 2
                order.append(number)
                stack.pop()
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(plan.functions[following].function.calls.values())))
            elif state[following] == 1:
                recursive = True
    order.reverse()
    return order, recursive


def _find_pointers(plan: Plan, order: list[int]) -> None:
    entered: dict[int, list[int]] = {}
    for number in order:
        one = plan.functions[number]
        one.blocks = reachable(one.function)
        if number == 0:
            parameters = [NUMBER] * op.REGISTERS
            parameters[1] = POINTER
        elif one.function.is_value or number not in entered:
            parameters = [NUMBER] * op.REGISTERS
        else:
            parameters = entered[number]
        parameters[op.FRAME_POINTER] = frame_address(0)
        one.typed = sum(
            1 << r for r in range(1, 6) if parameters[r] & (NUMBER | POINTER) == POINTER
        )
        one.pointers = find(plan.source, one.function, parameters)
        for index, called in one.function.calls.items():
            if index not in one.pointers.at_call:
                continue
            # The caller's frame is memory like any other for whom it calls.
            passed = [(v & NUMBER) | (POINTER if v & (POINTER | FRAME) else 0)
                      for v in one.pointers.at_call[index]]  # fmt: skip
            known = entered.get(called)
            both = (
                passed
                if known is None
                else [join(a, b) for a, b in zip(known, passed, strict=True)]
            )
            entered[called] = both


def _plan_calls(plan: Plan, one: FunctionPlan) -> None:
    source = plan.source
    for block in one.blocks:
        for index in range(block.first, block.last + 1):
            insn = source.instructions[index]
            if insn.opcode == op.CALL_REG:
                one.calls[index] = Call(REGISTER)
                one.calls[index].chains = True
            elif insn.opcode == op.CALL_IMM and insn.src == op.CALL_LOCAL:
                one.calls[index] = Call(LOCAL, one.function.calls.get(index, -1))
            elif insn.opcode == op.CALL_IMM:
                one.calls[index] = _helper_call(plan, one, index, insn)


def _helper_call(plan: Plan, one: FunctionPlan, index: int, insn: Instruction) -> Call:
    source = plan.source
    map_index = one.pointers.maps.get(index, -1)
    name = source.helpers[insn.imm] if 0 <= insn.imm < len(source.helpers) else ""
    call = Call(HELPER, insn.imm, map_index)
    if insn.imm < len(source.arguments):
        call.arguments = source.arguments[insn.imm]
    call.can_stop = source.ahead or name not in _HARMLESS
    call.chains = name == TAIL_CALL
    direct = DIRECT.get(name)
    if direct is None or not 0 <= map_index < len(source.maps):
        return call
    shape = source.maps[map_index]
    proved = plan.checks != ALL and source.proved
    if not _passes_frame(one, index, shape, direct == DIRECT_UPDATE, proved):
        return call
    if shape.open and shape.kind in _ARRAYS + _TABLES:
        call.kind = direct
        call.can_stop = False
        if direct == DIRECT_LOOKUP and shape.kind in _ARRAYS:
            call.kind = ARRAY_LOOKUP
    return call


def _passes_frame(
    one: FunctionPlan, index: int, shape: MapShape, updates: bool, proved: bool
) -> bool:
    """Whether key and value lie in the frame, inside it as far as the proof does not say so.

    Maps read keys more than once: what others may change meanwhile goes through helpers, which
    copy it.
    """
    sizes = {2: shape.key_size}
    if updates:
        sizes[3] = shape.value_size
    for register, size in sizes.items():
        value = one.pointers.at_call[index][register]
        place = place_of(value)
        inside = proved if place is None else place + size <= 0
        if value & KINDS != FRAME or not inside:
            return False
    return True


def _plan_accesses(plan: Plan, one: FunctionPlan) -> None:
    source = plan.source
    for block in one.blocks:
        for index in range(block.first, block.last + 1):
            insn = source.instructions[index]
            cls = insn.opcode & op.CLASS_MASK
            if cls in (op.LDX, op.ST, op.STX) and source.reached(index):
                one.accesses[index] = _access(plan, one, index, insn, cls)


def _access(plan: Plan, one: FunctionPlan, index: int, insn: Instruction, cls: int) -> Access:
    size = op.SIZES[insn.opcode & op.SIZE_MASK]
    atomic = cls == op.STX and insn.opcode & op.MODE_MASK == op.ATOMIC
    write = cls != op.LDX and not (atomic and insn.imm == op.LOAD_ACQUIRE)
    base = insn.src if not write else insn.dst
    fact = plan.source.facts.accesses.get(index)
    if base == op.FRAME_POINTER and -FRAME_SIZE <= insn.offset <= -size:
        return Access("stack", NO_CHECK, size, write, insn.offset % size == 0)
    kind = "" if fact is None else _KINDS.get(fact.kind, "")
    check = NO_CHECK
    aligned = False
    if fact is not None and kind:
        # Frames and values of maps begin at multiples of eight.
        exact = fact.high - fact.low == size and fact.low % size == 0
        aligned = exact and kind in ("stack", "map_value")
    if not kind:
        check = _guess(one, index, base)
    elif plan.checks == ALL:
        check = _CHECKS.get(kind, ANY_CHECK)
        if kind == "stack" and not one.pointers.frame.get(index, 0) >> base & 1:
            check = ANY_CHECK  # a caller's
        if kind == "map_value" and fact is not None and fact.map >= 0:
            number = plan.source.map_of_fact[fact.map]
            if number >= 0 and plan.source.maps[number].kind == "array":
                made = Access(kind, MAP_CHECK, size, write, aligned)
                made.map = number
                return made
        if index in plan.source.pointers and insn.offset < 0:
            check = NO_CHECK  # the header in front of the context is always there
    return Access(kind, check, size, write, aligned)


def _guess(one: FunctionPlan, index: int, base: int) -> str:
    if one.pointers.frame.get(index, 0) >> base & 1:
        return FRAME_CHECK if one.pointers.typed.get(index, 0) >> base & 1 else ANY_CHECK
    return CONTEXT_CHECK if one.function.number == 0 else ANY_CHECK


def _plan_frames(plan: Plan, order: list[int], recursive: bool) -> None:
    """Where frames lie; callees before callers, for what they do with the addresses they get."""
    looks: dict[int, bool] = {}  # whether helpers see memory of the program's below the function
    depth: dict[int, int] = {}
    for number in reversed(order):
        one = plan.functions[number]
        called = [call.number for call in one.calls.values() if call.kind == LOCAL]
        general = any(
            call.kind == REGISTER or (call.kind == HELPER and call.can_stop)
            for call in one.calls.values()
        )
        any_check = any(access.check == ANY_CHECK for access in one.accesses.values())
        looks[number] = general or any_check or any(looks.get(n, True) for n in called)
        depth[number] = 1 + max((depth.get(n, MOST_FRAMES) for n in called), default=0)
        one.uses_frame = any(one.pointers.frame[i] & 0x3FF for i in one.pointers.frame) or any(
            access.kind == "stack" for access in one.accesses.values()
        )
        if one.uses_frame and (one.pointers.spills or _shows_frame(one, looks)):
            one.frame = IN_RUN
        one.counted = general or one.frame == IN_RUN or any_check
    deep = recursive or (0 in depth and depth[0] > MOST_FRAMES)
    for number in order:
        one = plan.functions[number]
        one.counted = one.counted or deep
        if deep and one.uses_frame:
            one.frame = IN_RUN
    # Whoever calls what counts frames must be counted itself, for the depth to be right.
    changed = True
    while changed:
        changed = False
        for number in order:
            one = plan.functions[number]
            if not one.counted and any(
                call.kind == LOCAL and call.number >= 0 and plan.functions[call.number].counted
                for call in one.calls.values()
            ):
                one.counted = changed = True


def _shows_frame(one: FunctionPlan, looks: dict[int, bool]) -> bool:
    """Whether an address inside the frame reaches somebody who looks at the regions of the run."""
    for index, call in one.calls.items():
        frame = one.pointers.frame.get(index, 0)
        arguments = (1 << (call.arguments + 1)) - 2
        if not frame & arguments:
            continue
        if call.kind == LOCAL:
            if looks.get(call.number, True):
                return True
        elif call.kind == REGISTER or call.kind == HELPER:
            return True
    return any(
        access.check == ANY_CHECK and one.pointers.frame.get(index, 0) & 0x3FF
        for index, access in one.accesses.items()
    )


def _plan_slots(plan: Plan, one: FunctionPlan) -> None:
    """Which bytes of the frame nobody reaches but by addresses that are known here and now."""
    if not plan.source.proved or one.pointers.spills:
        return
    direct: list[Range] = []
    others: list[Range] = []
    for index, access in one.accesses.items():
        access.place = one.pointers.places.get(index)
        fact = plan.source.facts.accesses.get(index)
        if access.place is not None and -FRAME_SIZE <= access.place <= -access.size:
            direct.append((access.place, access.place + access.size))
        elif fact is not None and fact.kind == "stack":
            others.append((fact.low, fact.high))
        elif fact is None or fact.kind == MIXED_KIND:
            return
    for index, call in one.calls.items():
        for register in range(1, 6):
            value = one.pointers.at_call[index][register]
            if value & FRAME:
                others.append(_seen(plan, call, register, place_of(value)))
    one.slots = own_slots(direct, others)
    for access in one.accesses.values():
        if access.place is not None:
            access.slot = next(
                (low for low, size in one.slots.items() if low <= access.place < low + size), None
            )


def _seen(plan: Plan, call: Call, register: int, place: int | None) -> Range:
    """What of the frame a call may reach through an address there."""
    if place is None:
        return -FRAME_SIZE, 0
    if call.kind in (ARRAY_LOOKUP, DIRECT_LOOKUP, DIRECT_UPDATE, DIRECT_DELETE):
        shape = plan.source.maps[call.map]
        if register == 2:
            return place, place + shape.key_size
        if register == 3 and call.kind == DIRECT_UPDATE:
            return place, place + shape.value_size
    # Callees may go down from what they were given, too: only helpers go up.
    return (place, 0) if call.kind == HELPER else (-FRAME_SIZE, 0)


def _plan_spending(plan: Plan, order: list[int]) -> None:
    total: dict[int, int] = {}
    for number in reversed(order):
        one = plan.functions[number]
        one.may_goto = any(
            plan.source.instructions[block.last].opcode == op.MAY_GOTO for block in one.blocks
        )
        costs = {
            index: total.get(call.number, FAR) for index, call in one.calls.items()
            if call.kind == LOCAL
        }  # fmt: skip
        one.spends, total[number] = spend(plan.source, one.function, one.blocks, costs)


def _plan_stops(plan: Plan, order: list[int]) -> None:
    settled: set[int] = set()
    for number in reversed(order):
        one = plan.functions[number]
        for call in one.calls.values():
            if call.kind == LOCAL:
                # Of one that calls us back this is not known yet; such are too deep sometime.
                known = call.number in settled
                call.can_stop = not known or plan.functions[call.number].can_stop
            elif call.kind == REGISTER:
                call.can_stop = True
        one.can_stop = (
            one.counted
            or bool(one.spends)
            or one.may_goto
            or any(call.can_stop for call in one.calls.values())
            or any(access.check for access in one.accesses.values())
            or _meets_the_unproved(plan, one)
        )
        settled.add(number)


def _meets_the_unproved(plan: Plan, one: FunctionPlan) -> bool:
    """Whether a block may be entered, or an atomic tried, that only a stop can answer."""
    for block in one.blocks:
        for index in range(block.first, block.last + 1):
            insn = plan.source.instructions[index]
            atomic = insn.opcode & (op.CLASS_MASK | op.MODE_MASK) == op.STX | op.ATOMIC
            if atomic or not plan.source.reached(index):
                return True
    return False
