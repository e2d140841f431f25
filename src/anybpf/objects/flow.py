"""What registers point to, as far as one walk forward can tell.

A light analysis for listings and for checks before verification: from the context, maps and
variables that a program loads to the accesses made through them. Where paths meet, only what all
agree on is kept; what a loop may change is forgotten at its head. It proves nothing (that is the
verifier's task), and it is quiet where it does not know.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction
from anybpf.objects.specs import CollectionSpec, Function, MapSpec
from anybpf.platforms import Context, Platform

# What a register may be known to hold.
CONTEXT: Final = 1
MAP: Final = 2
VALUE: Final = 3  # a map's value
DATA: Final = 4  # a place in a data section
STRUCTURE: Final = 5  # a structure of the platform, such as a socket
STACK: Final = 6  # the function's own stack

_CALLER_SAVED: Final = 6


class Place:
    """What a register holds: the kind, which one, and how many bytes into it."""

    __slots__ = ("kind", "map", "name", "offset", "structure")

    def __init__(
        self,
        kind: int,
        name: str,
        offset: int = 0,
        spec: MapSpec | None = None,
        structure: Context | None = None,
    ) -> None:
        self.kind: int = kind
        self.name: str = name
        self.offset: int = offset
        self.map: MapSpec | None = spec
        self.structure: Context | None = structure

    def moved(self, distance: int) -> Place:
        return Place(self.kind, self.name, self.offset + distance, self.map, self.structure)

    def same(self, other: Place) -> bool:
        return (
            self.kind == other.kind
            and self.offset == other.offset
            and self.name == other.name
            and self.map is other.map
        )


_FRAME: Final = Place(STACK, "fp")


# What neither a map nor the context can be taken for.
_MEMORY_KINDS: Final = ("map_key", "map_value", "memory", "size", "size_or_zero", "string")


def _clash(known: Place, wanted: str) -> bool:
    """Whether a helper's argument of kind ``wanted`` cannot be what is known to be passed."""
    if known.offset != 0:
        return False
    if known.kind == CONTEXT:
        return wanted == "map" or wanted in _MEMORY_KINDS
    return known.kind == MAP and (wanted == "context" or wanted in _MEMORY_KINDS)


class Access:
    """A load or store through a known pointer; ``slot`` counts from the function's start."""

    __slots__ = ("function", "index", "place", "size", "slot", "write")

    def __init__(
        self, function: Function, index: int, slot: int, place: Place, size: int, write: bool
    ) -> None:
        self.function: Function = function
        self.index: int = index
        self.slot: int = slot
        self.place: Place = place
        self.size: int = size
        self.write: bool = write


class Call:
    """A call of a helper; ``map`` is the map that is passed, where known.

    ``misplaced`` is the position of an argument that is known to be of another kind than the
    helper takes, -1 if there is none, and ``given`` says what it is.
    """

    __slots__ = ("function", "given", "index", "map", "misplaced", "number", "slot")

    def __init__(
        self, function: Function, index: int, slot: int, number: int, passed: Place | None
    ) -> None:
        self.function: Function = function
        self.index: int = index
        self.slot: int = slot
        self.number: int = number
        self.map: Place | None = passed
        self.misplaced: int = -1
        self.given: str = ""


class State:
    """Registers and spilled registers at one place; None stands for unknown."""

    __slots__ = ("registers", "stack")

    def __init__(self) -> None:
        self.registers: list[Place | None] = [None] * op.REGISTERS
        self.registers[op.FRAME_POINTER] = _FRAME
        self.stack: dict[int, Place] = {}

    def copy(self) -> State:
        new = State()
        new.registers = list(self.registers)
        new.stack = dict(self.stack)
        return new

    def meet(self, other: State) -> None:
        """Keep what both know alike."""
        for number in range(op.REGISTERS):
            mine = self.registers[number]
            theirs = other.registers[number]
            if mine is not None and (theirs is None or not mine.same(theirs)):
                self.registers[number] = None
        for offset in list(self.stack):
            spilled = other.stack.get(offset)
            if spilled is None or not self.stack[offset].same(spilled):
                del self.stack[offset]


class Flow:
    """One walk over the functions of a program, entry first: `accesses` and `calls` are its result.

    Functions are walked after those that call them, so that what every caller passes is known.
    """

    __slots__ = ("_arguments", "_waiting", "accesses", "calls", "platform", "program_type", "spec")

    def __init__(
        self,
        spec: CollectionSpec,
        platform: Platform,
        program_type: str,
        functions: list[Function],
        with_context: bool = True,
    ) -> None:
        self.spec: CollectionSpec = spec
        self.platform: Platform = platform
        self.program_type: str = program_type
        self.accesses: list[Access] = []
        self.calls: list[Call] = []
        # What callers pass to a function, and how many call places are yet to be walked.
        self._arguments: dict[str, State] = {}
        self._waiting: dict[str, int] = {}
        if functions:
            self._run(functions, with_context)

    def _run(self, functions: list[Function], with_context: bool) -> None:
        known = {function.name: function for function in functions}
        for function in functions:
            for insn in function.instructions:
                if insn.is_local_call or insn.is_function_load:
                    name = insn.reference
                    self._waiting[name] = self._waiting.get(name, 0) + 1
        first = functions[0].name
        entry = State()
        if with_context and not self._waiting.get(first, 0):  # not if it is called from inside too
            entry.registers[1] = Place(CONTEXT, "ctx")
        self._arguments[first] = entry
        done: set[str] = set()
        ready = [first]
        while ready:
            name = ready.pop()
            if name in done:
                continue
            done.add(name)
            self._walk(known[name])
            for called in known[name].calls:
                if called in known and called not in done and not self._waiting.get(called, 0):
                    ready.append(called)
        for function in functions:  # what calls itself in a circle is walked knowing nothing
            if function.name not in done:
                self._arguments[function.name] = State()
                self._walk(function)

    def _walk(self, function: Function) -> None:
        slots: list[int] = []
        slot = 0
        for insn in function.instructions:
            slots.append(slot)
            slot += insn.slots
        forgets = _loop_effects(function.instructions, slots)
        pending: dict[int, State] = {}
        state: State | None = self._arguments.get(function.name, State()).copy()
        for index, insn in enumerate(function.instructions):
            here = slots[index]
            arriving = pending.pop(here, None)
            if arriving is not None:
                if state is None:
                    state = arriving
                else:
                    state.meet(arriving)
            if state is None:
                state = State()  # reached from behind only, or not at all
            forget = forgets.get(here)
            if forget is not None:
                for number in range(op.FRAME_POINTER):
                    if forget >> number & 1:
                        state.registers[number] = None
                state.stack.clear()
            if insn.is_jump:
                target = here + insn.slots + insn.jump_distance
                if target > here:
                    waiting = pending.get(target)
                    if waiting is None:
                        pending[target] = state.copy()
                    else:
                        waiting.meet(state)
                if insn.opcode == op.GOTO or insn.opcode == op.GOTO_LONG:
                    state = None
            elif insn.opcode == op.EXIT_INSN:
                state = None
            else:
                self._step(function, index, here, insn, state)

    def _step(
        self, function: Function, index: int, slot: int, insn: Instruction, state: State
    ) -> None:
        opcode: int = insn.opcode
        cls = opcode & op.CLASS_MASK
        registers = state.registers
        dst: int = insn.dst
        src: int = insn.src
        if dst >= op.REGISTERS or src >= op.REGISTERS:
            return
        if opcode == op.LD_IMM64:
            registers[dst] = self._loaded(insn)
        elif cls == op.LDX:
            place = self._access(function, index, slot, insn, state, src, False)
            registers[dst] = place
        elif cls in (op.ST, op.STX):
            self._access(function, index, slot, insn, state, dst, True)
        elif cls == op.ALU64:
            if opcode == op.MOV64_REG and insn.offset == 0:
                registers[dst] = registers[src]
            else:
                known = registers[dst]
                registers[dst] = None
                operation = opcode & op.OP_MASK
                if known is not None and known.kind != MAP and not opcode & op.X:
                    if operation == op.ADD:
                        registers[dst] = known.moved(int(insn.imm))
                    elif operation == op.SUB:
                        registers[dst] = known.moved(-int(insn.imm))
        elif cls == op.ALU:
            registers[dst] = None
        elif cls == op.LD:
            self._forget_arguments(state)  # a packet load clobbers what a call does
        elif opcode == op.CALL_IMM or opcode == op.CALL_REG:
            self._call(function, index, slot, insn, state)

    def _forget_arguments(self, state: State) -> None:
        for number in range(_CALLER_SAVED):
            state.registers[number] = None

    def _loaded(self, insn: Instruction) -> Place | None:
        spec = self.spec.maps.get(insn.map_name) if insn.map_name else None
        if spec is None:
            return None
        if insn.src == op.PSEUDO_MAP_FD:
            return Place(MAP, insn.map_name, 0, spec)
        if insn.src == op.PSEUDO_MAP_VALUE:
            return Place(DATA, insn.map_name, insn.high, spec)
        return None

    def _access(
        self,
        function: Function,
        index: int,
        slot: int,
        insn: Instruction,
        state: State,
        base: int,
        write: bool,
    ) -> Place | None:
        """Note an access; for a load, what the register holds after it."""
        opcode: int = insn.opcode
        size = op.SIZES[opcode & op.SIZE_MASK]
        offset = int(insn.offset)
        mode = opcode & op.MODE_MASK
        known = state.registers[base]
        if known is not None and known.kind == STACK:
            return self._stack(insn, state, known.offset + offset, size, write)
        if mode == op.ATOMIC:
            fetched = int(insn.imm)
            if fetched == op.ATOMIC_CMPXCHG:
                state.registers[0] = None
            elif fetched & op.FETCH or fetched == op.LOAD_ACQUIRE:
                state.registers[insn.dst if fetched == op.LOAD_ACQUIRE else insn.src] = None
                if fetched == op.LOAD_ACQUIRE:
                    return None
        if known is None or known.kind == MAP:
            return None
        place = known.moved(offset)
        self.accesses.append(Access(function, index, slot, place, size, write))
        if write:
            return None
        return self._behind(place, size)

    def _stack(
        self, insn: Instruction, state: State, offset: int, size: int, write: bool
    ) -> Place | None:
        if not write:
            return state.stack.get(offset) if size == 8 else None
        for near in range(offset - 7, offset + size):
            state.stack.pop(near, None)
        if size == 8 and insn.opcode == op.STX | op.MEM | op.DW:
            spilled = state.registers[insn.src]
            if spilled is not None:
                state.stack[offset] = spilled
        return None

    def _behind(self, place: Place, size: int) -> Place | None:
        """What a pointer leads to that was loaded from this place."""
        field = None
        if place.kind == CONTEXT and self.program_type:
            field = self.platform.context_field(self.program_type, place.offset, size)
        elif place.structure is not None:
            field = place.structure.field(place.offset, size)
        if field is None:
            return None
        structure = self.platform.pointee(field.kind)
        if structure is None:
            return None
        return Place(STRUCTURE, structure.name, 0, None, structure)

    def _call(
        self, function: Function, index: int, slot: int, insn: Instruction, state: State
    ) -> None:
        result: Place | None = None
        if not insn.is_helper_call:
            self._overwrite(state, -1)
        if insn.is_local_call:
            self._pass(insn.reference, state)
        elif insn.is_helper_call:
            number = int(insn.imm)
            helper = self.platform.find_helper(number, self.program_type)
            passed: Place | None = None
            call = Call(function, index, slot, number, None)
            if helper is not None:
                for position, arg in enumerate(helper.args):
                    if position >= _CALLER_SAVED - 1:
                        break
                    known = state.registers[position + 1]
                    if known is not None and known.kind == MAP and arg.kind == "map":
                        passed = known
                    if call.misplaced < 0 and known is not None and _clash(known, arg.kind):
                        call.misplaced = position
                        call.given = f"map {known.name}" if known.kind == MAP else "the context"
                    if "w" in arg.access:
                        self._overwrite(state, position + 1)
                result = self._returned(helper.returns.kind, passed)
            call.map = passed
            self.calls.append(call)
        self._forget_arguments(state)
        state.registers[0] = result

    def _overwrite(self, state: State, argument: int) -> None:
        """Forget what was spilled where a callee may write: behind any pointer that it is given."""
        for number in range(1, _CALLER_SAVED):
            known = state.registers[number]
            if argument in (-1, number) and known is not None and known.kind == STACK:
                for offset in list(state.stack):
                    if offset >= known.offset:
                        del state.stack[offset]

    def _returned(self, kind: str, passed: Place | None) -> Place | None:
        if kind == "map_value" and passed is not None and passed.map is not None:
            if passed.map.type in ("array_of_maps", "hash_of_maps"):
                inner = passed.map.inner
                return None if inner is None else Place(MAP, inner.name, 0, inner)
            return Place(VALUE, passed.name, 0, passed.map)
        structure = self.platform.pointee(kind)
        if structure is None:
            return None
        return Place(STRUCTURE, structure.name, 0, None, structure)

    def _pass(self, name: str, state: State) -> None:
        """Note what a subprogram is given; pointers to the caller's stack mean nothing there."""
        given = State()
        for number in range(1, _CALLER_SAVED):
            known = state.registers[number]
            if known is not None and known.kind != STACK:
                given.registers[number] = known
        before = self._arguments.get(name)
        if before is None:
            self._arguments[name] = given
        else:
            before.meet(given)
        self._waiting[name] = self._waiting.get(name, 0) - 1


def _loop_effects(instructions: list[Instruction], slots: list[int]) -> dict[int, int]:
    """For each slot that is jumped back to: the registers that the loop may change, as bits."""
    heads: dict[int, int] = {}
    for index, insn in enumerate(instructions):
        if insn.is_jump:
            target = slots[index] + insn.slots + insn.jump_distance
            if target <= slots[index]:
                heads[target] = index  # the last one that jumps here
    found: dict[int, int] = {}
    left = _EFFORT * len(instructions)
    for head, last in heads.items():
        written = 0
        position = last
        while position >= 0 and slots[position] >= head and written != _ALL:
            left -= 1
            written = _ALL if left < 0 else written | _written(instructions[position])
            position -= 1
        found[head] = written
    return found


_ALL: Final = (1 << op.REGISTERS) - 1
# How often each instruction may be looked at for the sake of loops around it.
_EFFORT: Final = 32


def _written(insn: Instruction) -> int:
    opcode: int = insn.opcode
    cls = opcode & op.CLASS_MASK
    if cls in (op.ALU, op.ALU64, op.LDX) or opcode == op.LD_IMM64:
        return 1 << int(insn.dst) & _ALL
    if cls == op.LD or opcode == op.CALL_IMM or opcode == op.CALL_REG:
        return (1 << _CALLER_SAVED) - 1
    if cls == op.STX and opcode & op.MODE_MASK == op.ATOMIC:
        return (1 | 1 << int(insn.src) | 1 << int(insn.dst)) & _ALL
    return 0
