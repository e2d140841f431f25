"""What each instruction does to a state: one small object an instruction, made once, run often.

An operation changes the state in place and says None, or says why the instruction may not be
executed there. Branches are tried side by side by the engines and calls of the program's own
functions are followed by them, so neither is here.
"""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.verifier import access, numbers
from anybpf.verifier import arithmetic as ranges
from anybpf.verifier.compute import (
    arithmetic,
    low_half,
    move_pointer,
    plain_arithmetic,
    pointer_difference,
    sign_extended,
)
from anybpf.verifier.deduction import invalidate, settle_value
from anybpf.verifier.environment import MAX_DEPTH, Environment, Fault
from anybpf.verifier.liveness import CallUse
from anybpf.verifier.memory import is_aligned, load_stack, loaded, store_stack, width_range
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    ARENA,
    CONTEXT,
    FAULT_SAFE,
    KIND_NAMES,
    MAP_VALUE,
    MEMORY,
    MIXED,
    NOTHING,
    NUMBER,
    NUMBER_ZERO,
    OBJECT,
    OWNED,
    PACKET,
    PACKET_META,
    STACK,
    UNINIT,
    Region,
    Value,
    is_in_frame,
    is_unset,
    unknown_number,
)
from anybpf.verifier.words import ADD, NEG, SUB


class Operation:
    """An instruction at index ``pc`` of the program.

    ``ends_block``: the engines have more to do after it, such as following a callback.
    ``bounds_loop``: may_goto, which a program passes a limited number of times. ``use``: what a
    call reads, for the liveness of registers and stack; None for what the instruction tells.
    ``leaves``: the function may end here, in the state that ``leave_early`` makes.
    """

    __slots__ = ("bounds_loop", "ends_block", "leaves", "pc", "use")

    def __init__(self, pc: i64) -> None:
        self.pc: i64 = pc
        self.ends_block: bool = False
        self.bounds_loop: bool = False
        self.leaves: bool = False
        self.use: CallUse | None = None

    def run(self, st: State, env: Environment) -> Fault | None:
        raise NotImplementedError

    def leave_early(self, st: State, env: Environment) -> None:
        """Make of the state after the operation that in which the function ends here."""

    def operands(self) -> list[i64]:
        """The registers whose merges are worth deciding if the operation fails."""
        return []


def unset(register: i64) -> Fault:
    return Fault(
        "uninitialized-register",
        f"reads r{register}, which is not set on every way here",
        register,
        f"a value in r{register}",
        "nothing",
    )


def scalar(is32: bool) -> Value:
    """A number of which nothing is known."""
    return unknown_number(numbers.U32 if is32 else numbers.TOP)


class Move(Operation):
    __slots__ = ("dst", "src")

    def __init__(self, pc: i64, dst: i64, src: i64) -> None:
        super().__init__(pc)
        self.dst: i64 = dst
        self.src: i64 = src

    def run(self, st: State, env: Environment) -> Fault | None:
        value = st.regs[self.src]
        if value.kind == UNINIT or (value.kind == MIXED and is_unset(value)):
            return unset(self.src)
        st.regs[self.dst] = value
        return None

    def operands(self) -> list[i64]:
        return [self.src]


class Constant(Operation):
    """A register becomes a value that is known beforehand: a number, a map, a function."""

    __slots__ = ("dst", "value")

    def __init__(self, pc: i64, dst: i64, value: Value) -> None:
        super().__init__(pc)
        self.dst: i64 = dst
        self.value: Value = value

    def run(self, st: State, env: Environment) -> Fault | None:
        st.regs[self.dst] = self.value
        return None


class MoveExtended(Operation):
    """A move that keeps the low ``bits`` (0: all), sign-extended; a 32-bit one cuts the rest."""

    __slots__ = ("bits", "dst", "is32", "src")

    def __init__(self, pc: i64, dst: i64, src: i64, bits: i64, is32: bool) -> None:
        super().__init__(pc)
        self.dst: i64 = dst
        self.src: i64 = src
        self.bits: i64 = bits
        self.is32: bool = is32

    def run(self, st: State, env: Environment) -> Fault | None:
        value = st.settled(st.regs[self.src])
        if value.kind != NUMBER:
            if is_unset(value):
                return unset(self.src)
            if not env.leaks_allowed:
                return Fault(
                    "pointer-arithmetic",
                    f"moves part of a pointer out of r{self.src}; such a part points nowhere",
                    self.src,
                )
            value = scalar(False)
        if self.bits > 0:
            value = sign_extended(st, value, self.bits)
        if self.is32:
            value = low_half(st, value)
        st.regs[self.dst] = value
        return None

    def operands(self) -> list[i64]:
        return [self.src]


class Arithmetic(Operation):
    """``dst operation= constant`` or ``dst operation= src`` (``constant`` is None)."""

    __slots__ = ("constant", "dst", "is32", "operation", "src")

    def __init__(
        self, pc: i64, operation: i64, dst: i64, src: i64, constant: Value | None, is32: bool
    ) -> None:
        super().__init__(pc)
        self.operation: i64 = operation
        self.dst: i64 = dst
        self.src: i64 = src
        self.constant: Value | None = constant
        self.is32: bool = is32

    def run(self, st: State, env: Environment) -> Fault | None:
        a = st.regs[self.dst]
        b = self.constant
        operation = self.operation
        if b is not None:
            if a.kind == NUMBER:
                if operation == ADD and not self.is32:
                    st.regs[self.dst] = Value(
                        NUMBER, ranges.plus(a.offset, b.offset), a.unknown, None
                    )
                    return None
                st.regs[self.dst] = arithmetic(st, operation, a, b, self.is32, 0)
                return None
        else:
            b = st.regs[self.src]
        a = st.settled(a)
        b = st.settled(b)
        if a.kind == NUMBER and b.kind == NUMBER:
            st.regs[self.dst] = arithmetic(st, operation, a, b, self.is32, 0)
            return None
        if a.kind == UNINIT or (a.kind == MIXED and is_unset(a)):
            return unset(self.dst)
        if b.kind == UNINIT or (b.kind == MIXED and is_unset(b)):
            return unset(self.src)
        return self._pointers(st, env, a, b)

    def _pointers(self, st: State, env: Environment, a: Value, b: Value) -> Fault | None:
        operation = self.operation
        if not self.is32 and (is_arena_pointer(a) or is_arena_pointer(b)):
            # As in the kernel (6.9): any arithmetic will do, as any access will.
            apart = operation == SUB and is_arena_pointer(a) and is_arena_pointer(b)
            st.regs[self.dst] = scalar(False) if apart else arena_pointer()
            return None
        if not self.is32 and (operation == ADD or operation == SUB):
            moved: object = None
            if b.kind == NUMBER:
                if env.strict_pointers and operation == SUB and a.kind == STACK:
                    return Fault(
                        "pointer-arithmetic",
                        f"subtracts from the stack pointer in r{self.dst}; "
                        "add a negative number instead",
                        self.dst,
                    )
                moved = move_pointer(st, a, b, operation == SUB)
            elif a.kind == NUMBER and operation == ADD:
                moved = move_pointer(st, b, a, False)
            if isinstance(moved, Value):
                st.regs[self.dst] = moved
                return None
            if isinstance(moved, Fault):
                moved.register = self.dst if b.kind == NUMBER else self.src
                return moved
        if env.strict_pointers and operation == SUB and a.kind == NUMBER and not self.is32:
            return Fault(
                "pointer-arithmetic",
                f"subtracts the pointer in r{self.src} from a number, which leads nowhere",
                self.src,
            )
        if operation == SUB and (b.kind != NUMBER or self.is32):
            if not self.is32:
                difference = pointer_difference(st, a, b)
                if difference is not None:
                    st.regs[self.dst] = difference
                    return None
            if env.leaks_allowed:
                st.regs[self.dst] = scalar(self.is32)
                return None
        return Fault(
            "pointer-arithmetic",
            f"arithmetic on a pointer in r{self.dst if a.kind != NUMBER else self.src}: a pointer "
            "may be moved by a number, and pointers may be subtracted, both in 64 bits; "
            "nothing else",
            self.dst if a.kind != NUMBER else self.src,
        )

    def operands(self) -> list[i64]:
        return [self.dst] if self.constant is not None else [self.dst, self.src]


class Negate(Operation):
    __slots__ = ("dst", "is32")

    def __init__(self, pc: i64, dst: i64, is32: bool) -> None:
        super().__init__(pc)
        self.dst: i64 = dst
        self.is32: bool = is32

    def run(self, st: State, env: Environment) -> Fault | None:
        value = st.settled(st.regs[self.dst])
        if value.kind == NUMBER:
            if self.is32:
                st.regs[self.dst] = arithmetic(st, NEG, value, NUMBER_ZERO, True, 0)
            else:
                st.regs[self.dst] = plain_arithmetic(st, SUB, NUMBER_ZERO, value, False)
            return None
        return _of_pointer(st, env, self.dst, value, self.is32)

    def operands(self) -> list[i64]:
        return [self.dst]


class SwapBytes(Operation):
    """Byte order: swap the low ``bits``, or only cut the rest off."""

    __slots__ = ("bits", "dst", "swaps")

    def __init__(self, pc: i64, dst: i64, bits: i64, swaps: bool) -> None:
        super().__init__(pc)
        self.dst: i64 = dst
        self.bits: i64 = bits
        self.swaps: bool = swaps

    def run(self, st: State, env: Environment) -> Fault | None:
        value = st.settled(st.regs[self.dst])
        if value.kind == NUMBER:
            if self.swaps:
                known = ranges.bswap(st.range_of(value), self.bits)
                st.regs[self.dst] = unknown_number(known)
            elif self.bits == 32:
                st.regs[self.dst] = low_half(st, value)
            elif self.bits < 32:
                known = st.range_of(value)
                cut = ranges.zext(known, self.bits)
                if cut is not known:
                    st.regs[self.dst] = unknown_number(cut)
            return None
        return _of_pointer(st, env, self.dst, value, False)

    def operands(self) -> list[i64]:
        return [self.dst]


def _of_pointer(
    st: State, env: Environment, register: i64, value: Value, is32: bool
) -> Fault | None:
    """A number computed from a pointer's bits: nothing is known of it."""
    if is_unset(value):
        return unset(register)
    if not env.leaks_allowed:
        return Fault(
            "pointer-arithmetic", f"arithmetic on the bits of a pointer in r{register}", register
        )
    st.regs[register] = scalar(is32)
    return None


def arena_pointer() -> Value:
    """A pointer into the arena of which nothing is known, nor whether it is null.

    Each has a region of its own: what is learned of one says nothing about another.
    """
    region = Region(MEMORY, 1 << 31, True, -1)
    region.low = -(1 << 31)
    region.flags = ARENA | FAULT_SAFE
    return Value(MEMORY, 0, None, region)


def is_arena_pointer(value: Value) -> bool:
    region = value.region
    return value.kind == MEMORY and region is not None and (region.flags & ARENA) != 0


class CastAddress(Operation):
    """An arena pointer between the address spaces of the program and of user space."""

    __slots__ = ("dst", "src", "to_program")

    def __init__(self, pc: i64, dst: i64, src: i64, to_program: bool) -> None:
        super().__init__(pc)
        self.dst: i64 = dst
        self.src: i64 = src
        self.to_program: bool = to_program

    def run(self, st: State, env: Environment) -> Fault | None:
        value = st.regs[self.src]
        if is_unset(value):
            return unset(self.src)
        if self.to_program:
            st.regs[self.dst] = arena_pointer()
        else:
            st.regs[self.dst] = scalar(False)
        return None

    def operands(self) -> list[i64]:
        return [self.src]


class ArenaAddress(Operation):
    """The address of a variable in an arena, as user space sees it: a number until it is cast."""

    __slots__ = ("dst",)

    def __init__(self, pc: i64, dst: i64) -> None:
        super().__init__(pc)
        self.dst: i64 = dst

    def run(self, st: State, env: Environment) -> Fault | None:
        st.regs[self.dst] = scalar(False)
        return None


class Access(Operation):
    """What loads and stores share: a place, and what was seen of it for the facts.

    ``seen_kinds`` has a bit for each kind of pointer, ``seen_low`` and ``seen_high`` bound the
    bytes touched in its region, ``seen_index`` is the map or frame (-2: several).
    """

    __slots__ = ("base", "offset", "seen_high", "seen_index", "seen_kinds", "seen_low", "size")

    def __init__(self, pc: i64, base: i64, offset: i64, size: i64) -> None:
        super().__init__(pc)
        self.base: i64 = base
        self.offset: i64 = offset
        self.size: i64 = size
        self.seen_kinds: i64 = 0
        self.seen_low: i64 = 0
        self.seen_high: i64 = 0
        self.seen_index: i64 = -1

    def note(self, st: State, env: Environment, pointer: Value) -> None:
        """Remember what was accessed; the engines rely on it."""
        low = pointer.offset + self.offset
        high = low
        unknown = pointer.unknown
        if unknown is not None:
            known = st.known(unknown)
            low = ranges.plus(low, known.low)
            high = ranges.plus(high, known.high)
        high = high + self.size
        region = pointer.region
        index: i64 = -1
        if region is not None:
            index = region.index
            low = low + region.least
            high = high + region.most
        if self.seen_kinds == 0:
            self.seen_low = low
            self.seen_high = high
            self.seen_index = index
        else:
            if low < self.seen_low:
                self.seen_low = low
            if high > self.seen_high:
                self.seen_high = high
            if index != self.seen_index:
                self.seen_index = -2
        kinds = self.seen_kinds | KIND_BITS[pointer.kind]
        if pointer.kind == MEMORY and region is not None:
            if region.flags & (ARENA | FAULT_SAFE):
                kinds = kinds | KIND_BITS[MIXED]  # it may lead anywhere: nothing is proved of it
        if kinds != self.seen_kinds:
            if self.seen_kinds != 0:
                env.mixes_bases = True
            self.seen_kinds = kinds


KIND_BITS: list[i64] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]


class Load(Access):
    __slots__ = ("dst", "signed")

    def __init__(self, pc: i64, dst: i64, base: i64, offset: i64, size: i64, signed: bool) -> None:
        super().__init__(pc, base, offset, size)
        self.dst: i64 = dst
        self.signed: bool = signed

    def run(self, st: State, env: Environment) -> Fault | None:
        pointer = st.regs[self.base]
        if pointer.kind == STACK:
            found = load_stack(st, env, pointer, self.offset, self.size, self.signed)
        elif pointer.kind == UNINIT:
            return unset(self.base)
        else:
            pointer = st.settled(pointer)
            found = access.load(st, env, pointer, self.offset, self.size, self.signed)
        if isinstance(found, Value):
            self.note(st, env, pointer)
            st.regs[self.dst] = found
            return None
        assert isinstance(found, Fault)
        if found.register < 0:
            found.register = self.base
        return found

    def operands(self) -> list[i64]:
        return [self.base]


class LoadAcquire(Load):
    """A load that later ones may not overtake: of memory that atomic operations work on only."""

    __slots__ = ()

    def run(self, st: State, env: Environment) -> Fault | None:
        fault = _unordered(st, env, self)
        return super().run(st, env) if fault is None else fault


class Store(Access):
    """``value`` is what is stored, None for the register ``src``."""

    __slots__ = ("src", "value")

    def __init__(
        self, pc: i64, base: i64, offset: i64, size: i64, src: i64, value: Value | None
    ) -> None:
        super().__init__(pc, base, offset, size)
        self.src: i64 = src
        self.value: Value | None = value

    def run(self, st: State, env: Environment) -> Fault | None:
        value = self.value
        if value is None:
            value = st.regs[self.src]
            if value.kind == UNINIT or (value.kind == MIXED and is_unset(value)):
                return unset(self.src)
            value = st.settled(value)
        pointer = st.regs[self.base]
        if pointer.kind == STACK:
            fault = store_stack(st, env, pointer, self.offset, self.size, value)
        elif pointer.kind == UNINIT:
            return unset(self.base)
        else:
            pointer = st.settled(pointer)
            fault = access.store(st, env, pointer, self.offset, self.size, value)
        if fault is None:
            self.note(st, env, pointer)
        elif fault.register < 0:
            fault.register = self.base
        return fault

    def operands(self) -> list[i64]:
        return [self.base] if self.value is not None else [self.base, self.src]


class StoreRelease(Store):
    """A store that may not overtake earlier ones: to memory that atomic operations work on only."""

    __slots__ = ()

    def run(self, st: State, env: Environment) -> Fault | None:
        fault = _unordered(st, env, self)
        return super().run(st, env) if fault is None else fault


def _unordered(st: State, env: Environment, operation: Access) -> Fault | None:
    """Why the place is none for accesses in order: the context and the packet, kernel objects."""
    register = operation.base
    pointer = settle_value(st, st.regs[register])
    kind = pointer.kind
    if kind == CONTEXT or kind == PACKET or kind == PACKET_META or kind == OBJECT:
        region = pointer.region
        if kind != OBJECT or region is None or (region.flags & (ARENA | OWNED)) == 0:
            return Fault(
                "not-a-pointer",
                f"a load or store in order, through a pointer of kind {KIND_NAMES[kind]}; they "
                "work on the stack, map values and allocated memory",
                register,
            )
    elif kind != MAP_VALUE and kind != MEMORY:
        return None
    size = operation.size
    if env.aligned_stack and not is_aligned(st, pointer, operation.offset, size):
        return Fault(
            "alignment",
            f"a load or store in order of {size} bytes at offset "
            f"{pointer.offset + operation.offset}, which is or may be no multiple of {size}",
            register,
        )
    return None


class Atomic(Access):
    """Read, change and write in one. ``result`` is the register that gets the old value, or -1."""

    __slots__ = ("exchanges", "result", "src")

    def __init__(
        self, pc: i64, base: i64, offset: i64, size: i64, src: i64, result: i64, exchanges: bool
    ) -> None:
        super().__init__(pc, base, offset, size)
        self.src: i64 = src
        self.result: i64 = result
        self.exchanges: bool = exchanges  # compares with r0 first

    def run(self, st: State, env: Environment) -> Fault | None:
        value = st.settled(st.regs[self.src])
        if is_unset(value):
            return unset(self.src)
        if value.kind != NUMBER and not env.leaks_allowed:
            return Fault(
                "pointer-leak",
                f"an atomic operation writes the pointer in r{self.src} to memory",
                self.src,
            )
        if self.exchanges and is_unset(st.regs[0]):
            return unset(0)
        pointer = st.regs[self.base]
        if pointer.kind == UNINIT:
            return unset(self.base)
        old: object = None
        if pointer.kind == STACK:
            old = load_stack(st, env, pointer, self.offset, self.size, False)
            if isinstance(old, Value):
                if old.kind != NUMBER and not env.leaks_allowed:
                    return Fault(
                        "pointer-leak",
                        "an atomic operation on a pointer would make a number of it",
                        self.base,
                    )
                new = loaded(self.size, False)
                fault = store_stack(st, env, pointer, self.offset, self.size, new)
                if fault is not None:
                    return fault
        else:
            pointer = st.settled(pointer)
            if pointer.kind == CONTEXT:
                return Fault(
                    "context-access",
                    "an atomic operation on the context is not possible",
                    self.base,
                )
            old = access.atomic(st, env, pointer, self.offset, self.size)
        if isinstance(old, Fault):
            if old.register < 0:
                old.register = self.base
            return old
        assert isinstance(old, Value)
        self.note(st, env, pointer)
        if self.result >= 0:
            if old.kind != NUMBER and (old.kind == MIXED or self.size != 8):
                old = unknown_number(width_range(self.size))
            st.regs[self.result] = old
        return None

    def operands(self) -> list[i64]:
        return [self.base, self.src]


class LoadPacket(Operation):
    """LD_ABS and LD_IND: packet data through the context in r6; ends the function beyond it."""

    __slots__ = ("size", "src")

    def __init__(self, pc: i64, size: i64, src: i64) -> None:
        super().__init__(pc)
        self.size: i64 = size
        self.src: i64 = src  # -1: LD_ABS
        self.ends_block = True
        self.leaves = True

    def run(self, st: State, env: Environment) -> Fault | None:
        context = st.regs[6]
        if context.kind != CONTEXT or context.offset != 0 or context.unknown is not None:
            return Fault(
                "argument",
                "loads packet data through r6, which must hold the context pointer",
                6,
            )
        if self.src >= 0:
            index = st.regs[self.src]
            if is_unset(index):
                return unset(self.src)
            if index.kind != NUMBER:
                return Fault(
                    "argument", f"the packet offset in r{self.src} is not a number", self.src
                )
        held = st.held
        if (
            len(held.references) > 0
            or len(held.locks) > 0
            or held.rcu + held.preempt + held.irqs > 0
        ):
            return Fault(
                "reference-leak",
                "a load of packet data ends the program where the packet is short, "
                "and would leave something held",
            )
        i: i64 = 1
        while i < 6:
            st.regs[i] = NOTHING
            i = i + 1
        st.regs[0] = unknown_number(width_range(self.size))
        return None

    def leave_early(self, st: State, env: Environment) -> None:
        """Where the packet is short, the function returns 0."""
        st.regs[0] = NUMBER_ZERO

    def operands(self) -> list[i64]:
        return [6]


class Refused(Operation):
    """An instruction that cannot be executed at all, and why."""

    __slots__ = ("fault",)

    def __init__(self, pc: i64, fault: Fault) -> None:
        super().__init__(pc)
        self.fault: Fault = fault

    def run(self, st: State, env: Environment) -> Fault | None:
        return self.fault


class Branch(Operation):
    """A conditional jump: ``dst operation src`` or a constant. Tried on both sides by the engines.

    ``operation`` is -1 for may_goto, which ends a loop after some number of turns that the program
    does not know.
    """

    __slots__ = ("constant", "dst", "falls", "is32", "jumps", "operation", "src")

    def __init__(
        self, pc: i64, operation: i64, dst: i64, src: i64, constant: Value | None, is32: bool
    ) -> None:
        super().__init__(pc)
        self.operation: i64 = operation
        self.dst: i64 = dst
        self.src: i64 = src
        self.constant: Value | None = constant
        self.is32: bool = is32
        self.bounds_loop = operation < 0
        # Whether either side was ever found possible.
        self.falls: bool = False
        self.jumps: bool = False

    def run(self, st: State, env: Environment) -> Fault | None:
        """What is wrong with the comparison itself."""
        if self.operation < 0:
            return None
        value = st.regs[self.dst]
        if value.kind == UNINIT or (value.kind == MIXED and is_unset(value)):
            return unset(self.dst)
        if self.constant is None:
            other = st.regs[self.src]
            if other.kind == UNINIT or (other.kind == MIXED and is_unset(other)):
                return unset(self.src)
        return None

    def operands(self) -> list[i64]:
        return [self.dst] if self.constant is not None else [self.dst, self.src]


class CallFunction(Operation):
    """A call of one of the program's own functions, which the engines follow into."""

    __slots__ = ("function",)

    def __init__(self, pc: i64, function: i64) -> None:
        super().__init__(pc)
        self.function: i64 = function

    def run(self, st: State, env: Environment) -> Fault | None:
        if st.depth + 1 >= MAX_DEPTH:
            return Fault("call-depth", f"calls nest deeper than {MAX_DEPTH} frames at this call")
        return None

    def enter(self, st: State, env: Environment) -> None:
        """Open the function's frame: arguments stay, r6 to r9 are put aside."""
        regs = st.regs
        i: i64 = 6
        while i < 10:
            regs.append(regs[i])
            regs[i] = NOTHING
            i = i + 1
        regs[0] = NOTHING
        st.push_frame()
        regs[10] = Value(STACK, 0, None, env.stack_regions[st.depth])

    def leave(self, st: State, env: Environment) -> Fault | None:
        """Close the frame: the result stays, r6 to r9 come back."""
        regs = st.regs
        result = regs[0]
        if result.kind == STACK or result.kind == MIXED:
            result = settle_value(st, result)
            if is_in_frame(result, st.depth):
                return Fault("pointer-leak", "returns a pointer into the frame that ends here", 0)
            if env.strict_pointers and is_in_frame(result, 0):
                return Fault("pointer-leak", "returns a pointer to the stack", 0)
        i: i64 = 9
        while i > 5:
            regs[i] = regs.pop()
            i = i - 1
        i = 1
        while i < 6:
            regs[i] = NOTHING
            i = i + 1
        # Nothing that points into the frame outlives it, however it is held.
        invalidate(st, env.stack_regions[st.depth])
        st.pop_frame()
        regs[10] = Value(STACK, 0, None, env.stack_regions[st.depth])
        return None
