"""Programs that look like ones somebody wrote: checks before uses, joins, loops, calls.

The writer keeps in mind what each register should hold, so that most programs are sensible; some
decisions are wrong by a little, on purpose. What a verifier thinks of them is not asked here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction
from anybpf.isa.opcodes import (
    ADD,
    AND,
    ARSH,
    DIV,
    JEQ,
    JGE,
    JGT,
    JLE,
    JLT,
    JNE,
    JSET,
    JSGE,
    JSGT,
    JSLE,
    JSLT,
    LSH,
    MOD,
    MOV,
    MUL,
    NEG,
    OR,
    RSH,
    SUB,
    XOR,
)
from fuzz.soundness.chance import Chance
from fuzz.soundness.writer import Writer

# What the writer thinks a register holds.
NONE: Final = 0
NUMBER: Final = 1
CONTEXT: Final = 2
POINTER: Final = 3  # to memory: ``room`` bytes ahead, ``back`` behind
PACKET: Final = 5  # room is what was proved
END: Final = 6
MAYBE: Final = 7  # a map value or null

FREE: Final = 0
STICKY: Final = 1  # numbers only: it is carried around a loop
LOCKED: Final = 2

OPERATIONS: Final[list[int]] = [
    ADD, SUB, MUL, OR, AND, LSH, RSH, XOR, ARSH, DIV, MOD, MOV, ADD, SUB, AND, RSH, LSH,
]  # fmt: skip
COMPARISONS: Final[list[int]] = [JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, JLT, JLE, JSLT, JSLE]
SIZES: Final[list[int]] = [1, 2, 4, 8]
CONSTANTS: Final[list[int]] = [
    0, 1, -1, 2, 3, 4, 7, 8, 12, 14, 15, 16, 31, 32, 33, 48, 63, 64, 100, 127, 128, 255, 256, 511,
    512, 1000, 1500, 4095, 4096, 65535, 65536, -2, -8, -16, -64, -128, -4096, 0x7FFFFFFF,
    -0x80000000, -0x7FFFFFFF, 0x12345678, 0x0FFFFFFF,
]  # fmt: skip
MASKS: Final[list[int]] = [1, 3, 7, 15, 31, 63, 127, 255, 0xFFFF, 6, 12, 0x38, 0xF0, -2, -8, -16]

# The maps that every generated program may use: (name, key size, value size).
MAPS: Final[list[tuple[str, int, int]]] = [
    ("small", 4, 16),
    ("table", 8, 48),
    ("one", 4, 64),
    ("cpu", 4, 24),
]
RECORDS: Final = "records"
GLOBALS: Final = "globals"
GLOBAL_BYTES: Final = 32
FIXED: Final = "fixed"
FIXED_BYTES: Final = 16

LOOKUP: Final = 1
UPDATE: Final = 2
DELETE: Final = 3
KTIME: Final = 5
RANDOM: Final = 7
PROCESSOR: Final = 8
SKB_LOAD: Final = 26
CSUM_DIFF: Final = 28
PULL_DATA: Final = 39
ADJUST_HEAD: Final = 44
ADJUST_META: Final = 54
ADJUST_TAIL: Final = 65
PROBE_READ: Final = 113
PROBE_READ_STR: Final = 115
RING_OUTPUT: Final = 130
RESERVE: Final = 131
SUBMIT: Final = 132
DISCARD: Final = 133
FOR_EACH: Final = 164
LOOP: Final = 181
XDP_LOAD: Final = 189


class Function:
    """A function that a call asked for and that is still to be written."""

    __slots__ = ("callback", "kinds", "label", "level", "rooms")

    def __init__(
        self, label: int, level: i64, kinds: list[int], rooms: list[int], callback: bool
    ) -> None:
        self.label: int = label
        self.level: i64 = level
        self.kinds: list[int] = kinds
        self.rooms: list[int] = rooms
        self.callback: bool = callback


class Memory:
    """What the writer thinks of the registers and slots, to be put aside and taken up again."""

    __slots__ = ("back", "high", "kind", "room", "slot_high", "slot_kind", "slot_room")

    def __init__(self) -> None:
        self.kind: list[int] = [NONE] * 11
        self.high: list[int] = [-1] * 11
        self.room: list[int] = [0] * 11
        self.back: list[int] = [0] * 11
        self.slot_kind: list[int] = [NONE] * 8
        self.slot_high: list[int] = [-1] * 8
        self.slot_room: list[int] = [0] * 8

    def copy(self) -> Memory:
        new = Memory()
        new.kind = self.kind.copy()
        new.high = self.high.copy()
        new.room = self.room.copy()
        new.back = self.back.copy()
        new.slot_kind = self.slot_kind.copy()
        new.slot_high = self.slot_high.copy()
        new.slot_room = self.slot_room.copy()
        return new

    def meet(self, other: Memory) -> None:
        """Keep what both ways agree on."""
        i: i64 = 0
        while i < 11:
            if self.kind[i] != other.kind[i]:
                self.kind[i] = NONE
            elif self.kind[i] == NUMBER:
                if self.high[i] < 0 or other.high[i] < 0:
                    self.high[i] = -1
                else:
                    self.high[i] = max(self.high[i], other.high[i])
            self.room[i] = min(self.room[i], other.room[i])
            self.back[i] = min(self.back[i], other.back[i])
            i = i + 1
        i = 0
        while i < 8:
            if self.slot_kind[i] != other.slot_kind[i]:
                self.slot_kind[i] = NONE
            if self.slot_high[i] != other.slot_high[i]:
                self.slot_high[i] = -1
            self.slot_room[i] = min(self.slot_room[i], other.slot_room[i])
            i = i + 1


class Grammar:
    """Writes one program after another."""

    __slots__ = (
        "budget",
        "chance",
        "depth",
        "fault",
        "functions",
        "in_function",
        "level",
        "m",
        "out",
        "perm",
        "type",
        "w",
    )

    def __init__(self) -> None:
        self.chance: Chance = Chance(1)
        self.w: Writer = Writer()
        self.m: Memory = Memory()
        self.perm: list[int] = [FREE] * 11
        self.budget: i64 = 0
        self.fault: i64 = 0  # one decision in so many is wrong; 0: none
        self.depth: i64 = 0
        self.level: i64 = 0
        self.out: int = 0
        self.type: str = "xdp"
        self.functions: list[Function] = []
        self.in_function: bool = False

    def program(self, chance: Chance, type_name: str) -> list[Instruction]:
        self.chance = chance
        self.type = type_name
        self.w = Writer()
        self.functions = []
        self.level = 0
        self.in_function = False
        self.fault = 0 if chance.percent(45) else 4 + chance.below(24)
        self.budget = 4 + chance.below(40) + (chance.below(60) if chance.one_in(3) else 0)
        self.begin()
        m = self.m
        m.kind[1] = CONTEXT
        if not chance.one_in(12):
            self.w.move(6, 1)
            m.kind[6] = CONTEXT
            self.perm[6] = LOCKED
        if self.has_packet() and chance.percent(55):
            self.load_packet()
        if chance.one_in(3):
            self.global_pointer(9)
        self.block()
        self.end(False)
        while self.functions:
            self.function(self.functions.pop())
        return self.w.finish()

    def begin(self) -> None:
        self.m = Memory()
        self.m.kind[10] = POINTER
        self.m.back[10] = 512
        self.perm = [FREE] * 11
        self.perm[10] = LOCKED
        self.depth = 0
        self.out = self.w.label()

    def end(self, callback: bool) -> None:
        """A result, and the way out."""
        w = self.w
        chance = self.chance
        if self.in_function and not callback and chance.one_in(8):
            # a pointer comes back, or null
            pointer = 10 if chance.one_in(6) else self.find(POINTER)
            if pointer >= 0 and self.m.kind[pointer] == POINTER:
                none = w.label()
                register = self.number()
                if register != 0 and pointer != 0:
                    w.set(0, 0)
                    w.jump(JGT, register, 100, none)
                    w.move(0, pointer)
                    if pointer == 10:
                        w.alu(ADD, 0, -8)
                    w.place(none)
                    self.m.kind[0] = NUMBER
        if callback or self.type == "cgroup_skb":
            if chance.one_in(2):
                w.set(0, chance.below(2))
            else:
                register = self.number()
                w.move(0, register)
                w.alu(AND, 0, 1, chance.one_in(2))
        elif chance.one_in(2) and self.m.kind[0] == NUMBER:
            pass
        else:
            w.set(0, chance.below(4))
        w.exit()
        if w.is_used(self.out):
            w.place(self.out)
            w.set(0, chance.below(2))
            w.exit()

    def function(self, wanted: Function) -> None:
        w = self.w
        w.place(wanted.label)
        self.begin()
        self.in_function = True
        self.level = wanted.level
        self.budget = 2 + self.chance.below(14)
        i: i64 = 0
        while i < len(wanted.kinds):
            self.m.kind[i + 1] = wanted.kinds[i]
            self.m.room[i + 1] = wanted.rooms[i]
            i = i + 1
        self.block()
        self.end(wanted.callback)

    def has_packet(self) -> bool:
        return self.type != "kprobe" and self.type != "tracepoint" and self.type != "socket_filter"

    # Choices.

    def wrong(self) -> bool:
        return self.fault > 0 and self.chance.one_in(self.fault)

    def skew(self) -> i64:
        """Mostly 0."""
        if self.wrong():
            return self.chance.between(-1, 2)
        return 0

    def constant(self) -> i64:
        if self.chance.one_in(6):
            return self.chance.between(-70, 300)
        return CONSTANTS[self.chance.below(len(CONSTANTS))]

    def find(self, kind: i64) -> i64:
        """Some register of that kind, -1 if there is none."""
        start: i64 = self.chance.below(11)
        i: i64 = 0
        while i < 11:
            register: i64 = (start + i) % 11
            if self.m.kind[register] == kind and (kind != POINTER or register != 10):
                return register
            i = i + 1
        return -1

    def target(self, numbers: bool) -> i64:
        """A register to write to, one that is not needed if there is one."""
        chance = self.chance
        tries: i64 = 0
        while tries < 12:
            register: i64 = chance.below(10)
            perm: i64 = self.perm[register]
            allowed = perm == FREE or (numbers and perm == STICKY)
            if allowed and (self.m.kind[register] == NONE or tries > 3):
                return register
            tries = tries + 1
        return 0

    def number(self) -> i64:
        """A register that holds a number."""
        register = self.find(NUMBER)
        if register < 0 or self.chance.one_in(6):
            register = self.target(True)
            self.make_number(register)
        return register

    def writable_number(self) -> i64:
        register = self.number()
        if self.perm[register] == LOCKED:
            new = self.target(True)
            self.w.move(new, register)
            self.m.kind[new] = NUMBER
            self.m.high[new] = self.m.high[register]
            return new
        return register

    def set_number(self, register: i64, high: i64) -> None:
        self.m.kind[register] = NUMBER
        self.m.high[register] = high if self.perm[register] != STICKY else -1

    def call(self, helper: i64) -> None:
        self.w.call(helper)
        self.clobber()

    def clobber(self) -> None:
        i: i64 = 1
        while i < 6:
            self.m.kind[i] = NONE
            i = i + 1
        self.set_number(0, -1)

    def scratch_call(self) -> bool:
        """Whether a call may be made: its registers must not be spoken for."""
        i: i64 = 0
        while i < 6:
            if self.perm[i] != FREE:
                return False
            i = i + 1
        return True

    # Statements.

    def block(self) -> None:
        while self.budget > 0:
            self.statement()

    def some(self, count: i64) -> None:
        while count > 0 and self.budget > 0:
            self.statement()
            count = count - 1

    def statement(self) -> None:
        before: i64 = len(self.w.code)
        chance = self.chance
        kind: i64 = chance.below(100)
        if kind < 17:
            self.compute()
        elif kind < 20:
            self.pair()
        elif kind < 28:
            self.bound(self.writable_number())
        elif kind < 38:
            self.access()
        elif kind < 46:
            self.index()
        elif kind < 53:
            self.spill()
        elif kind < 59:
            self.fill()
        elif kind < 66:
            self.branch()
        elif kind < 68:
            self.correlated()
        elif kind < 71:
            self.diamond()
        elif kind < 76:
            self.packet()
        elif kind < 81:
            if self.scratch_call():
                self.lookup()
        elif kind < 86:
            self.loop()
        elif kind < 89:
            if self.scratch_call():
                self.helper()
        elif kind < 91:
            if self.scratch_call():
                self.record()
        elif kind < 94:
            if self.scratch_call():
                self.local_call()
        elif kind < 95:
            if self.scratch_call():
                self.callback()
        elif kind < 96:
            self.atomic()
        elif kind < 98:
            self.touching()
        elif kind < 99:
            self.steps()
        else:
            self.make_number(self.target(True))
        self.budget = self.budget - 1 - (len(self.w.code) - before)

    def make_number(self, register: i64) -> None:
        """Put a number of some origin there."""
        chance = self.chance
        w = self.w
        kind: i64 = chance.below(8)
        if kind == 0 and self.scratch_call() and self.perm[register] != LOCKED:
            helper: i64 = RANDOM
            if chance.one_in(2):
                helper = KTIME
            elif chance.one_in(3):
                helper = PROCESSOR
            self.call(helper)
            if register != 0:
                w.move(register, 0)
            self.set_number(register, -1)
            return
        if kind < 3:
            pointer = self.find(POINTER)
            if pointer >= 0 and self.m.room[pointer] >= 8:
                size: i64 = SIZES[chance.below(4)]
                w.load(size, register, pointer, 0, size < 8 and chance.one_in(5))
                self.set_number(register, -1)
                return
        if kind < 6:
            context = self.find(CONTEXT)
            if context >= 0:
                if self.type == "xdp":
                    w.load(4, register, context, 12 + chance.below(2) * 4)
                elif self.type == "kprobe" or self.type == "tracepoint":
                    w.load(8, register, context, 8 + chance.below(6) * 8)
                else:
                    size = 4
                    if chance.one_in(4):
                        size = SIZES[chance.below(2)]
                    w.load(size, register, context, chance.below(5) * 4)
                self.set_number(register, -1)
                return
        if chance.one_in(5):
            w.emit(0x18, register, 0, 0, self.wide_constant())
            self.set_number(register, -1)
            return
        value = self.constant()
        if chance.one_in(4):
            w.alu(MOV, register, value, False)
            self.set_number(register, -1 if value < 0 else value)
        else:
            w.set(register, value)
            self.set_number(register, -1 if value < 0 else value)

    def wide_constant(self) -> i64:
        word = self.chance.word()
        if word >= 0x8000000000000000:
            return word - 0x10000000000000000
        return word

    def compute(self) -> None:
        """Arithmetic on numbers."""
        chance = self.chance
        w = self.w
        dst = self.writable_number()
        wide = not chance.one_in(3)
        kind: i64 = chance.below(20)
        if kind == 0:
            w.emit(NEG | (0x07 if wide else 0x04), dst, 0, 0, 0)
        elif kind == 1:
            bits: i64 = 16 << chance.below(3)
            w.emit([0xD4, 0xDC, 0xD7][chance.below(3)], dst, 0, 0, bits)
        elif kind == 2:
            src = self.number()
            if wide:
                w.emit(0xBF, dst, src, 8 << chance.below(3), 0)
            else:
                w.emit(0xBC, dst, src, 8 << chance.below(2), 0)
        elif kind == 3:
            src = self.number()
            operation: i64 = DIV if chance.one_in(2) else MOD
            offset: i64 = chance.below(2)
            if chance.one_in(2):
                w.emit(operation | (0x0F if wide else 0x0C), dst, src, offset, 0)
            else:
                divisor = self.constant()
                if divisor == 0:
                    divisor = 3
                w.emit(operation | (0x07 if wide else 0x04), dst, 0, offset, divisor)
        elif kind == 4:
            w.alu_reg(MOV, dst, dst, False)
        elif kind < 12:
            operation = OPERATIONS[chance.below(len(OPERATIONS))]
            value = self.constant()
            if operation in (LSH, RSH, ARSH):
                value = chance.below(64 if wide else 32)
            elif (operation in (DIV, MOD)) and value == 0:
                value = 5
            elif operation == AND and chance.one_in(2):
                value = MASKS[chance.below(len(MASKS))]
            w.alu(operation, dst, value, wide)
        else:
            operation = OPERATIONS[chance.below(len(OPERATIONS))]
            w.alu_reg(operation, dst, self.number(), wide)
        self.set_number(dst, -1)

    def bound(self, register: i64) -> None:
        """Make sure that the number is small, in one of many ways."""
        chance = self.chance
        w = self.w
        limit: i64 = 1 + chance.below(40)
        form: i64 = chance.below(14)
        skew = self.skew()
        high = limit
        if form == 0:
            w.jump(JGT, register, limit + skew, self.out)
        elif form == 1:
            w.jump(JGE, register, limit + 1 + skew, self.out)
        elif form == 2:
            w.alu_reg(MOV, register, register, False)
            w.jump(JGT, register, limit + skew, self.out, False)
        elif form == 3:
            w.jump(JSGT, register, limit + skew, self.out)
            if not self.wrong():
                w.jump(JSLT, register, 0, self.out)
        elif form == 4:
            inside = w.label()
            w.jump(JLE, register, limit + skew, inside)
            w.goto(self.out)
            w.place(inside)
        elif form == 5:
            limit = MASKS[chance.below(6)]
            w.alu(AND, register, limit, not chance.one_in(3))
            high = limit
        elif form == 6:
            w.emit(MOD | 0x07, register, 0, 0, limit + 1)
        elif form == 7:
            shift: i64 = 59 + chance.below(4)
            w.alu(RSH, register, shift)
            high = (32 >> (shift - 59)) - 1
        elif form == 8:
            w.jump(JNE, register, limit, self.out, not chance.one_in(4))
            if not chance.one_in(3):
                w.jump(JGT, register, limit, self.out)
        elif form == 9:
            copy = self.target(True)
            if copy != register:
                w.move(copy, register)
                w.jump(JGT, copy, limit + skew, self.out)
                self.set_number(copy, high)
            else:
                w.jump(JGT, register, limit + skew, self.out)
        elif form == 10:
            copy = self.target(True)
            shift = chance.between(-20, 20)
            if copy != register:
                w.move(copy, register)
                w.alu(ADD, copy, shift)
                w.jump(JGT, copy, limit + skew, self.out)
                w.jump(JSLT, register, 0, self.out)
                self.set_number(copy, high)
                high = high - shift
                if high < 0:
                    high = 0
            else:
                high = -1
        elif form == 11:
            other = self.number()
            w.jump_reg(JGT, register, other, self.out)
            high = self.m.high[other]
        elif form == 12:
            w.jump(JSGE, register, limit + 1 + skew, self.out, False)
            w.jump(JSLE, register, -1, self.out, False)
            w.alu_reg(MOV, register, register, False)
        else:
            w.alu(LSH, register, 32)
            w.alu(ARSH if chance.one_in(2) else RSH, register, 32)
            w.jump(JSLT, register, 0, self.out)
            w.jump(JSGT, register, limit + skew, self.out)
        self.set_number(register, high)

    def touching(self) -> None:
        """Compare two numbers whose ranges touch in one place, or just do not."""
        chance = self.chance
        w = self.w
        low = self.writable_number()
        high = self.target(True)
        if low == high or self.perm[high] == LOCKED:
            return
        w.move(high, self.number())
        # Small ranges: inputs must find the one place where they touch.
        few: i64 = 3 if not chance.one_in(4) else 9
        mask: i64 = MASKS[chance.below(few)]
        start: i64 = 0 if chance.one_in(2) else chance.between(-20, 20)
        wide = not chance.one_in(4)
        w.alu(AND, low, mask)
        w.alu(AND, high, MASKS[chance.below(few)])
        if start != 0:
            w.alu(ADD, low, start)
        w.alu(ADD, high, start + mask + chance.between(-1, 1))
        self.set_number(low, mask + start if start >= 0 else -1)
        self.set_number(high, -1)
        label = w.label()
        comparison: i64 = COMPARISONS[chance.below(len(COMPARISONS))]
        if chance.one_in(2):
            w.jump_reg(comparison, low, high, label, wide)
        else:
            w.jump_reg(comparison, high, low, label, wide)
        before = self.m.copy()
        self.compute()
        if chance.one_in(3):
            w.alu_reg(SUB, high, low)
            self.set_number(high, -1)
        w.place(label)
        self.m.meet(before)

    def pair(self) -> None:
        """An operation on two numbers that comparisons have bounded."""
        chance = self.chance
        w = self.w
        dst = self.writable_number()
        src = self.writable_number()
        for register in (dst, src):
            bound: i64 = self.constant() if chance.one_in(3) else 1 + chance.below(100)
            if chance.one_in(2):
                # so that inputs pass more often
                w.alu(AND, register, 0x7F)
            w.jump([JGT, JSGT, JGE][chance.below(3)], register, bound, self.out)
            if chance.one_in(2):
                w.jump([JSLT, JLT, JSLE][chance.below(3)], register, chance.below(8), self.out)
        operation: i64 = OPERATIONS[chance.below(len(OPERATIONS))]
        wide = not chance.one_in(3)
        signed: i64 = 0
        if operation in (DIV, MOD):
            signed = chance.below(2)
        w.emit(operation | (0x0F if wide else 0x0C), dst, src, signed, 0)
        self.set_number(dst, -1)

    def access(self) -> None:
        """Read or write where a pointer points."""
        chance = self.chance
        w = self.w
        pointer = self.find(POINTER)
        if pointer < 0 or chance.one_in(4):
            pointer = self.find(PACKET)
            if pointer < 0:
                pointer = 10
        room: i64 = self.m.room[pointer]
        back: i64 = self.m.back[pointer]
        size: i64 = SIZES[chance.below(4)]
        if room + back < size:
            size = 1
            if room + back < 1 and not self.wrong():
                return
        offset: i64 = -back
        if room + back > size:
            offset = chance.between(-back, room - size)
        if chance.one_in(3):
            offset = room - size
        if pointer == 10:
            offset = -(offset & -size & 0x3F) if chance.one_in(2) else -8
            if -offset < size:
                offset = -size
        elif offset & (size - 1) != 0 and chance.percent(80):
            offset = offset & -size
            if offset < -back:
                offset = offset + size
        offset = offset + self.skew()
        kind: i64 = chance.below(5)
        writes = kind < 2 and not (
            self.m.kind[pointer] == PACKET and self.type != "xdp" and self.type != "sched_cls"
        )
        if writes and pointer == 10:
            self.forget_slot(offset)
        if writes and kind == 0:
            w.store(size, pointer, offset, self.number())
        elif writes:
            w.store_imm(size, pointer, offset, self.constant())
        else:
            dst = self.target(True)
            w.load(size, dst, pointer, offset, size < 8 and chance.one_in(6))
            self.set_number(dst, 255 if size == 1 else -1)

    def forget_slot(self, offset: i64) -> None:
        slot: i64 = (-offset - 1) >> 3
        if 0 <= slot < 8:
            self.m.slot_kind[slot] = NONE

    def index(self) -> None:
        """Move a pointer by a number and use it."""
        chance = self.chance
        w = self.w
        pointer = self.find(POINTER)
        if pointer < 0 or chance.one_in(6):
            self.stack_index()
            return
        register = self.number()
        high: i64 = self.m.high[register]
        room: i64 = self.m.room[pointer]
        if high < 0 or high >= room:
            if self.perm[register] != FREE:
                return
            # Exactly what fits, or one more.
            wanted: i64 = room - 1 + self.skew()
            if wanted < 0:
                wanted = 0
            if chance.one_in(3):
                power: i64 = 1
                while power * 2 <= room:
                    power = power * 2
                w.alu(AND, register, power - 1, not chance.one_in(4))
                high = power - 1
            elif chance.one_in(2):
                w.jump(JGT, register, wanted, self.out)
                high = wanted
            else:
                w.emit(MOD | 0x07, register, 0, 0, wanted + 1)
                high = wanted
            self.set_number(register, high)
        new = self.target(False)
        if new in (register, pointer) or self.perm[new] != FREE:
            return
        w.move(new, pointer)
        if chance.one_in(8):
            w.alu_reg(SUB, new, register)
            self.m.kind[new] = POINTER
            self.m.room[new] = room
            self.m.back[new] = max(0, self.m.back[pointer] - high)
        else:
            w.alu_reg(ADD, new, register)
            self.m.kind[new] = POINTER
            self.m.room[new] = max(0, room - high)
            self.m.back[new] = self.m.back[pointer]
        size: i64 = 1
        ahead: i64 = self.m.room[new]
        if ahead >= 8 and chance.one_in(2):
            size = SIZES[chance.below(4)]
        if ahead < size and not self.wrong():
            return
        offset: i64 = ahead - size + self.skew()
        if chance.one_in(2):
            offset = 0
        if chance.one_in(3):
            w.store_imm(size, new, offset, self.constant())
        else:
            dst = self.target(True)
            w.load(size, dst, new, offset)
            self.set_number(dst, 255 if size == 1 else -1)

    def stack_index(self) -> None:
        """Touch the stack at a place that is not known."""
        chance = self.chance
        w = self.w
        register = self.writable_number()
        new = self.target(False)
        if new == register or self.perm[new] != FREE:
            return
        size: i64 = SIZES[chance.below(4)]
        slots: i64 = 1 + chance.below(8)
        if chance.one_in(2):
            w.emit(MOD | 0x07, register, 0, 0, slots * 8 // size + self.skew())
            if size > 1:
                w.alu(MUL, register, size)
        else:
            w.alu(AND, register, 0x3F & -size, not chance.one_in(4))
            slots = 8
        self.set_number(register, slots * 8 - size)
        w.move(new, 10)
        w.alu_reg(ADD, new, register)
        self.m.kind[new] = NONE
        offset: i64 = -8 * slots
        if chance.one_in(2):
            if chance.one_in(3):
                w.store_imm(size, new, offset, 0 if chance.one_in(2) else self.constant())
            else:
                source = self.number()
                w.store(size, new, offset, source)
            slot: i64 = 0
            while slot < 8:
                if self.m.slot_kind[slot] != NUMBER:
                    self.m.slot_kind[slot] = NONE
                self.m.slot_high[slot] = -1
                slot = slot + 1
        else:
            dst = self.target(True)
            w.load(size, dst, new, offset)
            self.set_number(dst, -1)

    def spill(self) -> None:
        chance = self.chance
        slot: i64 = chance.below(8)
        register: i64 = chance.below(10)
        if self.m.kind[register] == NONE:
            register = self.number()
        offset: i64 = -8 * (slot + 1)
        if chance.one_in(6):
            self.w.store_imm(8, 10, offset, 0 if chance.one_in(2) else self.constant())
            self.m.slot_kind[slot] = NUMBER
            self.m.slot_high[slot] = -1
            return
        if chance.one_in(5) and self.m.kind[register] == NUMBER:
            # only part of it
            size: i64 = SIZES[chance.below(3)]
            self.w.store(size, 10, offset + size * chance.below(8 // size), register)
            if self.m.slot_kind[slot] != NUMBER:
                self.m.slot_kind[slot] = NONE
            self.m.slot_high[slot] = -1
            return
        self.w.store(8, 10, offset, register)
        self.m.slot_kind[slot] = self.m.kind[register]
        self.m.slot_high[slot] = self.m.high[register]
        self.m.slot_room[slot] = self.m.room[register]

    def fill(self) -> None:
        chance = self.chance
        slot: i64 = chance.below(8)
        kind: i64 = self.m.slot_kind[slot]
        offset: i64 = -8 * (slot + 1)
        if kind == NONE:
            if not chance.one_in(6):
                return
            kind = NUMBER
            self.m.slot_high[slot] = -1
        dst = self.target(kind == NUMBER)
        if self.perm[dst] == LOCKED or (self.perm[dst] == STICKY and kind != NUMBER):
            return
        if kind == NUMBER and chance.one_in(3):
            size: i64 = SIZES[chance.below(3)]
            self.w.load(size, dst, 10, offset + size * chance.below(8 // size), chance.one_in(5))
            self.set_number(dst, -1)
            return
        self.w.load(8, dst, 10, offset)
        self.m.kind[dst] = kind
        self.m.high[dst] = self.m.slot_high[slot] if self.perm[dst] == FREE else -1
        self.m.room[dst] = self.m.slot_room[slot]
        self.m.back[dst] = 0

    def condition(self, label: int) -> None:
        """A branch on some numbers."""
        chance = self.chance
        register = self.number()
        operation: i64 = COMPARISONS[chance.below(len(COMPARISONS))]
        wide = not chance.one_in(3)
        if chance.one_in(3):
            self.w.jump_reg(operation, register, self.number(), label, wide)
        else:
            self.w.jump(operation, register, self.constant(), label, wide)

    def branch(self) -> None:
        """One way or the other, and together again."""
        chance = self.chance
        w = self.w
        if self.depth >= 3:
            return
        self.depth = self.depth + 1
        otherwise = w.label()
        self.condition(otherwise)
        before = self.m.copy()
        self.some(chance.below(4))
        if chance.one_in(2):
            w.place(otherwise)
            self.m.meet(before)
        else:
            done = w.label()
            w.goto(done)
            w.place(otherwise)
            left = self.m
            self.m = before
            self.some(chance.below(4))
            w.place(done)
            self.m.meet(left)
        self.depth = self.depth - 1

    def correlated(self) -> None:
        """A flag that says whether something else may be used."""
        chance = self.chance
        w = self.w
        flag = self.target(True)
        if self.perm[flag] != FREE:
            return
        on: i64 = self.constant()
        off: i64 = 0 if on != 0 else 1
        self.perm[flag] = LOCKED
        thing = self.target(False)
        if thing == flag or self.perm[thing] != FREE:
            self.perm[flag] = FREE
            return
        self.perm[thing] = LOCKED
        w.set(flag, off)
        w.set(thing, 0)
        self.m.kind[flag] = NONE
        self.m.kind[thing] = NONE
        skip = w.label()
        self.condition(skip)
        before = self.m.copy()
        self.perm[thing] = FREE
        pointer = self.find(POINTER)
        limit: i64 = 1 + chance.below(15)
        if pointer >= 0 and chance.one_in(2):
            w.move(thing, pointer)
        else:
            pointer = -1
            source = self.number()
            w.move(thing, source)
            w.alu(AND, thing, limit)
        w.set(flag, on)
        w.place(skip)
        self.perm[thing] = LOCKED
        self.m.meet(before)
        self.m.kind[thing] = NONE
        self.some(chance.below(3))
        self.perm[flag] = FREE
        self.perm[thing] = FREE
        if (flag < 6 or thing < 6) and not self.scratch_call():
            return
        self.m.kind[flag] = NUMBER
        self.m.high[flag] = -1
        if chance.one_in(2):
            w.jump(JEQ, flag, off, self.out, chance.one_in(2))
        else:
            w.jump(JNE, flag, on, self.out)
        if pointer >= 0:
            self.m.kind[thing] = POINTER
            self.m.room[thing] = self.m.room[pointer]
            self.m.back[thing] = self.m.back[pointer]
            self.access()
        else:
            self.set_number(thing, limit)
            self.index()

    def diamond(self) -> None:
        """Two ways that set the same places differently; one of them tells later which it was."""
        chance = self.chance
        w = self.w
        key = self.target(True)
        size_register = self.target(True)
        thing = self.target(False)
        if key in (size_register, thing) or size_register == thing:
            return
        if self.perm[key] != FREE or self.perm[size_register] != FREE or self.perm[thing] != FREE:
            return
        pointer = self.find(POINTER)
        slot: i64 = chance.below(8)
        offset: i64 = -8 * (slot + 1)
        first: i64 = self.constant()
        second: i64 = first + 1 + chance.below(3)
        if second > 0x7FFFFFFF:
            second = 0
        bounds = [chance.below(8), chance.below(24)]
        rooms = [0, 0]
        otherwise = w.label()
        done = w.label()
        known = chance.one_in(3)
        if known:
            # the key is a number that was there before, and the branch is on it
            source = self.number()
            if source in (key, size_register, thing):
                return
            w.move(key, source)
            w.jump([JEQ, JSLE, JLE][chance.below(3)], key, first, otherwise, not chance.one_in(4))
        else:
            self.condition(otherwise)
        side: i64 = 0
        while side < 2:
            if side == 1:
                w.goto(done)
                w.place(otherwise)
            if not known:
                w.set(key, first if side == 1 else second)
            if pointer >= 0 and pointer not in (key, size_register, thing) and chance.one_in(2):
                w.move(thing, pointer)
                step: i64 = 0
                if self.m.room[pointer] > 8:
                    step = chance.below(8)
                if step > 0 and chance.one_in(2):
                    w.alu(ADD, thing, step)
                    rooms[side] = self.m.room[pointer] - step
                else:
                    rooms[side] = self.m.room[pointer]
            else:
                size: i64 = 8 * (1 + chance.below(3))
                w.move(thing, 10)
                w.alu(ADD, thing, -64 - size)
                rooms[side] = size
            if chance.one_in(2):
                w.set(size_register, bounds[side])
            else:
                w.load(1, size_register, 10, offset)
                w.jump(JGT, size_register, bounds[side] + self.skew(), self.out)
            if chance.one_in(3):
                w.store(8, 10, offset, thing if chance.one_in(2) else size_register)
            side = side + 1
        w.place(done)
        self.m.slot_kind[slot] = NONE
        kept = self.perm.copy()
        self.perm[key] = LOCKED
        self.perm[size_register] = LOCKED
        self.perm[thing] = LOCKED
        self.m.kind[key] = NONE
        self.m.kind[size_register] = NONE
        self.m.kind[thing] = NONE
        self.some(chance.below(3))
        self.perm = kept
        if (key < 6 or size_register < 6 or thing < 6) and self.m.kind[0] == NUMBER:
            return  # a call may have come between
        chosen: i64 = chance.below(2)
        if known:
            chosen = 1
            w.jump(JSGT, key, first, self.out)
            if chance.one_in(2):
                w.jump(JGT, key, first, self.out)
        elif chosen == 1:
            w.jump(JNE, key, first, self.out, not chance.one_in(4))
        else:
            w.jump([JNE, JSLT, JLT][chance.below(3)], key, second, self.out)
        self.set_number(key, -1)
        self.set_number(size_register, bounds[chosen])
        self.m.kind[thing] = POINTER
        self.m.room[thing] = rooms[chosen]
        self.m.back[thing] = 0
        if rooms[chosen] > bounds[chosen]:
            w.alu_reg(ADD, thing, size_register)
            self.m.room[thing] = rooms[chosen] - bounds[chosen]
            at: i64 = self.m.room[thing] - 1 + self.skew()
            w.load(1, key, thing, at)

    def load_packet(self) -> None:
        """Fetch the packet's bounds from the context."""
        chance = self.chance
        context = self.find(CONTEXT)
        if context < 0:
            return
        data = self.target(False)
        self.m.kind[data] = NONE
        self.perm[data] = LOCKED
        end = self.target(False)
        self.perm[data] = FREE
        if data == end or context == data or self.perm[end] != FREE or self.perm[data] != FREE:
            return
        first: i64 = 0 if self.type == "xdp" else 76
        if context == end:
            end = data
            data = context
            return
        if chance.one_in(2):
            self.w.load(4, data, context, first)
            self.w.load(4, end, context, first + 4)
        else:
            self.w.load(4, end, context, first + 4)
            self.w.load(4, data, context, first)
        self.m.kind[data] = PACKET
        self.m.kind[end] = END
        self.m.room[data] = 0
        self.m.back[data] = 0

    def packet(self) -> None:
        """Check that the packet is long enough, and read it."""
        chance = self.chance
        w = self.w
        if not self.has_packet():
            if self.type == "socket_filter" and self.m.kind[6] == CONTEXT and self.scratch_call():
                self.legacy_load()
            return
        data = self.find(PACKET)
        end = self.find(END)
        if data < 0 or end < 0:
            self.load_packet()
            return
        if self.type in ("xdp", "sched_cls") and chance.one_in(10):
            self.meta(data)
            return
        if chance.one_in(8):
            self.walk(data, end)
            return
        if chance.one_in(6) and self.perm[data] == FREE:
            # somewhere behind: by a constant or a number
            if chance.one_in(2):
                step: i64 = 1 + chance.below(20)
                w.alu(ADD, data, step)
                self.m.back[data] = self.m.back[data] + step
                self.m.room[data] = max(0, self.m.room[data] - step)
            else:
                register = self.number()
                if self.m.high[register] < 0:
                    if self.perm[register] != FREE:
                        return
                    self.bound(register)
                w.alu_reg(ADD, data, register)
                self.m.room[data] = 0
                self.m.back[data] = 0
            return
        probe = self.target(False)
        if probe in (data, end) or self.perm[probe] != FREE:
            return
        length: i64 = 1 + chance.below(40)
        if chance.one_in(8):
            # the length as a number
            w.move(probe, end)
            w.alu_reg(SUB, probe, data)
            form: i64 = chance.below(3)
            if form == 0:
                w.jump(JSLT, probe, length + self.skew(), self.out)
            elif form == 1:
                w.jump(JLT, probe, length + self.skew(), self.out)
            else:
                w.jump(JSLE, probe, length - 1 + self.skew(), self.out)
            self.set_number(probe, -1)
        else:
            w.move(probe, data)
            w.alu(ADD, probe, length)
            self.m.kind[probe] = NONE
            form = chance.below(8)
            inside = w.label()
            if form < 3:
                w.jump_reg(JGT, probe, end, self.out)
            elif form == 3:
                w.jump_reg(JLT, end, probe, self.out)
            elif form == 4:
                w.jump_reg(JLE, probe, end, inside)
                w.goto(self.out)
            elif form == 5:
                w.jump_reg(JGE, end, probe, inside)
                w.goto(self.out)
            elif form == 6:
                w.jump_reg(JGE, probe, end, self.out)
                length = length + chance.below(2)
            else:
                w.jump_reg(JLE, end, probe, self.out)
                length = length + chance.below(2)
            w.place(inside)
            if chance.one_in(4):
                self.m.kind[probe] = PACKET
                self.m.room[probe] = 0
                self.m.back[probe] = length
        length = length + self.skew()
        if length > self.m.room[data]:
            self.m.room[data] = length
        self.packet_access(data)

    def meta(self, data: i64) -> None:
        """What lies before the packet, as far as there is anything."""
        chance = self.chance
        w = self.w
        context = self.find(CONTEXT)
        meta = self.target(False)
        if context < 0 or meta in (context, data) or self.perm[meta] != FREE:
            return
        self.m.kind[meta] = NONE
        self.perm[meta] = LOCKED
        probe = self.target(False)
        self.perm[meta] = FREE
        if probe in (meta, context, data) or self.perm[probe] != FREE:
            return
        start: i64 = 4 * (1 + chance.below(3))
        w.load(4, meta, context, 8 if self.type == "xdp" else 140)
        if self.m.back[data] != 0 or chance.one_in(4):
            data = self.target(False)
            if data in (meta, probe, context) or self.perm[data] != FREE:
                return
            w.load(4, data, context, 0 if self.type == "xdp" else 76)
            self.m.kind[data] = NONE
        w.move(probe, meta)
        w.alu(ADD, probe, start)
        self.m.kind[probe] = NONE
        form: i64 = chance.below(3)
        if form == 0:
            w.jump_reg(JGT, probe, data, self.out)
        elif form == 1:
            w.jump_reg(JLT, data, probe, self.out)
        else:
            w.jump_reg(JGE, probe, data, self.out)
        size: i64 = SIZES[chance.below(3)]
        w.load(size, probe, meta, start - size + self.skew())
        self.set_number(probe, -1)

    def walk(self, data: i64, end: i64) -> None:
        """Through the packet, step by step, a number of times."""
        chance = self.chance
        w = self.w
        if self.depth >= 2:
            return
        counter: i64 = 6 + chance.below(4)
        place = self.target(False)
        probe = self.target(False)
        if place == probe or counter in (place, probe, data, end):
            return
        for register in (counter, place, probe):
            if self.perm[register] != FREE or register in (data, end):
                return
        w.move(place, data)
        w.set(counter, 0)
        self.m.kind[place] = NONE
        self.m.kind[probe] = NONE
        self.set_number(counter, -1)
        again = w.label()
        over = w.label()
        step: i64 = 1 + chance.below(16)
        w.place(again)
        w.move(probe, place)
        w.alu(ADD, probe, step)
        w.jump_reg(JGT, probe, end, over)
        size: i64 = SIZES[chance.below(4)]
        if size > step:
            size = 1
        w.load(size, probe, place, step - size + self.skew())
        form: i64 = chance.below(4)
        if form == 0:
            # the packet says how far
            w.alu(AND, probe, 15)
            w.alu_reg(ADD, place, probe)
            w.alu(ADD, place, 1)
        elif form == 1:
            w.jump(JEQ, probe, chance.below(4), over)
            w.alu(ADD, place, step)
        else:
            w.alu(ADD, place, step)
        w.alu(ADD, counter, 1)
        w.jump(JLT if chance.one_in(2) else JNE, counter, 1 + chance.below(12), again)
        w.place(over)
        self.m.kind[probe] = NONE
        if chance.one_in(2):
            self.m.kind[place] = PACKET
            self.m.room[place] = 0
            self.m.back[place] = 0

    def steps(self) -> None:
        """A packet pointer that has gone one way or another, each of them checked."""
        chance = self.chance
        w = self.w
        data = self.find(PACKET)
        end = self.find(END)
        if data < 0 or end < 0:
            return
        place = self.target(False)
        if place in (data, end) or self.perm[place] != FREE:
            return
        self.m.kind[place] = NONE
        self.perm[place] = LOCKED
        probe = self.target(False)
        self.perm[place] = FREE
        if probe in (data, end, place) or self.perm[probe] != FREE:
            return
        w.move(place, data)
        otherwise = w.label()
        done = w.label()
        kept = self.perm.copy()
        for register in (data, end, place):
            self.perm[register] = LOCKED
        self.condition(otherwise)
        self.perm = kept
        rooms: list[int] = []
        side: i64 = 0
        while side < 2:
            if side == 1:
                w.goto(done)
                w.place(otherwise)
            step: i64 = chance.below(12)
            length: i64 = 1 + chance.below(24)
            if step > 0:
                w.alu(ADD, place, step)
            w.move(probe, place)
            w.alu(ADD, probe, length)
            w.jump_reg(JGT, probe, end, self.out)
            rooms.append(length)
            side = side + 1
        w.place(done)
        self.m.kind[probe] = NONE
        self.m.kind[place] = PACKET
        self.m.room[place] = min(rooms)
        self.m.back[place] = 0
        self.packet_access(place)

    def packet_access(self, data: i64) -> None:
        chance = self.chance
        room: i64 = self.m.room[data]
        size: i64 = SIZES[chance.below(4)]
        if size > room:
            size = 1
        offset: i64 = room - size
        if chance.one_in(2) and offset > 0:
            offset = chance.below(offset + 1)
        if chance.one_in(4) and (self.type == "xdp" or self.type == "sched_cls"):
            self.w.store(size, data, offset, self.number())
            return
        dst = self.target(True)
        if dst == data or self.m.kind[dst] == END:
            return
        self.w.load(size, dst, data, offset)
        self.set_number(dst, 255 if size == 1 else -1)

    def legacy_load(self) -> None:
        size: i64 = self.chance.below(3) * 8
        if self.chance.one_in(2):
            self.w.emit(0x20 | size, 0, 0, 0, self.chance.below(40))
        else:
            self.w.emit(0x40 | size, 0, self.number(), 0, self.chance.below(20))
        self.clobber()

    def lookup(self) -> None:
        """Ask a map, and look whether there was something."""
        chance = self.chance
        w = self.w
        name, key, size = MAPS[chance.below(len(MAPS))]
        offset: i64 = -8 * (1 + chance.below(8))
        self.forget_slot(offset)
        if key == 4 and chance.one_in(3):
            w.store_imm(4, 10, offset, chance.below(5))
        else:
            register = self.number()
            w.store(key, 10, offset, register)
            if key == 4:
                w.store_imm(4, 10, offset + 4, 0)
        w.move(2, 10)
        w.alu(ADD, 2, offset + (self.skew() if chance.one_in(3) else 0))
        w.load_map(1, name)
        if chance.one_in(6):
            w.move(3, 10)
            w.alu(ADD, 3, -64 - size)
            w.set(4, 0)
            self.call(UPDATE)
            return
        self.call(LOOKUP)
        home: i64 = 0
        if chance.one_in(2):
            home = self.target(False)
            if home != 0 and self.perm[home] == FREE:
                w.move(home, 0)
            else:
                home = 0
        self.m.kind[0] = NONE
        if self.wrong():
            pass
        elif chance.one_in(5):
            # use it only where it is there
            missing = w.label()
            w.jump(JEQ, 0, 0, missing)
            before = self.m.copy()
            self.m.kind[home] = POINTER
            self.m.room[home] = size
            self.m.back[home] = 0
            self.some(1 + chance.below(3))
            w.place(missing)
            self.m.meet(before)
            return
        elif chance.one_in(3):
            there = w.label()
            w.jump(JNE, home, 0, there)
            w.goto(self.out)
            w.place(there)
        else:
            w.jump(JEQ, home if chance.one_in(2) else 0, 0, self.out)
        self.m.kind[home] = POINTER
        self.m.room[home] = size
        self.m.back[home] = 0

    def global_pointer(self, register: i64) -> None:
        if self.chance.one_in(4):
            self.w.load_value(register, FIXED, 0)
            self.m.room[register] = FIXED_BYTES
            self.m.kind[register] = NONE
            if self.chance.one_in(2):
                dst: i64 = (register + 1) % 9
                if self.perm[dst] == FREE and self.m.kind[dst] == NONE:
                    at: i64 = self.chance.below(9)
                    self.w.load(SIZES[self.chance.below(4)], dst, register, at)
                    self.set_number(dst, -1)
            return
        at = self.chance.below(2) * 8
        self.w.load_value(register, GLOBALS, at)
        self.m.kind[register] = POINTER
        self.m.room[register] = GLOBAL_BYTES - at
        self.m.back[register] = at

    def loop(self) -> None:
        """Around and around, but not for ever."""
        chance = self.chance
        w = self.w
        if self.depth >= 2 or self.budget < 6:
            return
        counter: i64 = 6 + chance.below(4)
        if self.perm[counter] != FREE:
            return
        kept = self.perm.copy()
        limit_register: i64 = -1
        form: i64 = chance.below(9)
        rounds: i64 = 1 + chance.below(9)
        if chance.one_in(12):
            rounds = 30 + chance.below(70)
        if form == 5:
            limit_register = self.find(NUMBER)
            if limit_register < 0 or limit_register == counter:
                form = 0
            elif self.perm[limit_register] == FREE and not self.wrong():
                self.bound(limit_register)
        self.perm[counter] = LOCKED
        self.m.kind[counter] = NUMBER
        self.m.high[counter] = -1
        i: i64 = 0
        while i < 10:
            if self.perm[i] == FREE and i != limit_register:
                if self.m.kind[i] == NUMBER and chance.one_in(2):
                    self.perm[i] = STICKY
                    self.m.high[i] = -1
                elif self.m.kind[i] != NONE and chance.one_in(2) and i > 5:
                    self.perm[i] = LOCKED
                else:
                    self.m.kind[i] = NONE
            i = i + 1
        if limit_register >= 0:
            self.perm[limit_register] = LOCKED
        slot: i64 = 0
        while slot < 8:
            self.m.slot_kind[slot] = NONE
            slot = slot + 1
        self.depth = self.depth + 1
        again = w.label()
        over = w.label()
        before = self.m.copy()
        wide = not chance.one_in(4)
        if form == 0 or form == 1:
            w.set(counter, 0)
            w.place(again)
            self.some(1 + chance.below(4))
            step: i64 = 1 if chance.one_in(2) else 1 + chance.below(3)
            w.alu(ADD, counter, step, wide)
            w.jump([JLT, JSLT, JLE][chance.below(3)], counter, rounds * step, again, wide)
        elif form == 2:
            w.set(counter, rounds)
            w.place(again)
            self.some(1 + chance.below(4))
            w.alu(ADD, counter, -1, wide)
            w.jump([JNE, JGT, JSGT][chance.below(3)], counter, 0, again, wide)
        elif form == 3 or form == 4:
            w.set(counter, 0)
            w.place(again)
            self.m.high[counter] = rounds - 1
            w.jump([JGE, JEQ, JSGE][chance.below(3)], counter, rounds, over, wide)
            self.some(1 + chance.below(4))
            w.alu(ADD, counter, 1, wide)
            w.goto(again)
        elif form == 5:
            w.set(counter, 0)
            w.place(again)
            w.jump_reg([JGE, JSGE][chance.below(2)], counter, limit_register, over)
            self.some(1 + chance.below(3))
            w.alu(ADD, counter, 1)
            w.goto(again)
        elif form == 6:
            # leaves early, where something is found
            w.set(counter, 0)
            w.place(again)
            self.some(1 + chance.below(3))
            self.condition(over)
            w.alu(ADD, counter, 1)
            w.jump(JNE, counter, rounds, again)
        elif form == 7:
            # halves a number until nothing is left
            source = self.find(NUMBER)
            if source >= 0 and source != counter:
                w.move(counter, source)
            else:
                w.set(counter, self.constant())
            w.place(again)
            w.jump(JEQ, counter, 0, over)
            self.some(1 + chance.below(2))
            w.alu(RSH, counter, 1 + chance.below(16))
            w.goto(again)
        else:
            # goes on with the shift register; wrong loops are welcome here
            w.set(counter, 1)
            w.place(again)
            self.some(1 + chance.below(2))
            w.alu(LSH if chance.one_in(2) else MUL, counter, 1 + chance.below(3))
            w.jump(JLT, counter, 100 + chance.below(400), again)
        w.place(over)
        self.depth = self.depth - 1
        self.m.meet(before)
        self.perm = kept
        self.m.kind[counter] = NUMBER
        self.m.high[counter] = -1

    def helper(self) -> None:
        """A helper that reads or writes memory of a given size."""
        chance = self.chance
        w = self.w
        kind: i64 = chance.below(6)
        if kind == 5 and self.type in ("xdp", "sched_cls") and self.m.kind[6] == CONTEXT:
            self.move_packet()
            return
        size: i64 = 4 * (1 + chance.below(12))
        register: i64 = -1
        if chance.one_in(2):
            register = self.number()
            limit: i64 = self.m.high[register]
            if limit < 0 and self.perm[register] == FREE:
                self.bound(register)
                limit = self.m.high[register]
            if limit < 0:
                register = -1
            else:
                size = limit + 1
        start: i64 = -(size + 7 & -8) - 64
        if self.wrong():
            start = start + chance.between(1, 80)
        slot: i64 = 0
        while slot < 8:
            if kind < 3 and start + size > -64:
                self.m.slot_kind[slot] = NONE
            slot = slot + 1
        if self.type in ("kprobe", "tracepoint") and kind < 3:
            if register >= 0:
                w.move(2, register)
                if chance.one_in(3):
                    w.alu(ADD, 2, 1)
            else:
                w.set(2, size)
            w.move(1, 10)
            w.alu(ADD, 1, start)
            w.set(3, 0)
            self.call(PROBE_READ if chance.one_in(2) else PROBE_READ_STR)
        elif self.type in ("xdp", "sched_cls", "cgroup_skb", "socket_filter") and kind < 3:
            if self.m.kind[6] != CONTEXT:
                return
            if register >= 0:
                w.move(4, register)
                w.alu(ADD, 4, 1)
            else:
                w.set(4, size)
            w.move(1, 6)
            w.set(2, chance.below(30))
            w.move(3, 10)
            w.alu(ADD, 3, start)
            self.call(XDP_LOAD if self.type == "xdp" else SKB_LOAD)
        else:
            if register >= 0:
                w.move(3, register)
            else:
                w.set(3, size)
            pointer = self.find(POINTER)
            if pointer > 5 and self.m.room[pointer] > 0 and chance.one_in(2):
                w.move(2, pointer)
                if register < 0:
                    w.set(3, self.m.room[pointer] + self.skew())
                else:
                    w.jump(JGT, 3, self.m.room[pointer] + self.skew(), self.out)
            else:
                w.move(2, 10)
                w.alu(ADD, 2, start)
            w.load_map(1, RECORDS)
            w.set(4, 0)
            self.call(RING_OUTPUT)
        if chance.one_in(3):
            # the result as a length
            w.jump(JSLT, 0, 0, self.out)
            if chance.one_in(2):
                self.bound(0)

    def move_packet(self) -> None:
        """The packet moves: its pointers are void, whatever the result."""
        chance = self.chance
        w = self.w
        w.move(1, 6)
        w.set(2, chance.between(-8, 8))
        if self.type == "xdp":
            self.call([ADJUST_HEAD, ADJUST_TAIL, ADJUST_META][chance.below(3)])
        else:
            self.call(PULL_DATA)
        i: i64 = 0
        while i < 10:
            stale = self.m.kind[i] == PACKET or self.m.kind[i] == END
            if stale and not self.wrong():
                self.m.kind[i] = NONE
            i = i + 1
        i = 0
        while i < 8:
            if self.m.slot_kind[i] == PACKET or self.m.slot_kind[i] == END:
                self.m.slot_kind[i] = NONE
            i = i + 1
        if chance.one_in(2):
            w.jump(JNE, 0, 0, self.out)
        self.load_packet()

    def record(self) -> None:
        """Reserve a record, fill it, give it back."""
        chance = self.chance
        w = self.w
        if self.depth >= 2:
            return
        home: i64 = 7 + chance.below(3)
        if self.perm[home] != FREE:
            return
        size: i64 = 8 * (1 + chance.below(6))
        w.load_map(1, RECORDS)
        w.set(2, size)
        w.set(3, 0)
        self.call(RESERVE)
        nothing = w.label()
        if not self.wrong():
            w.jump(JEQ, 0, 0, nothing)
        w.move(home, 0)
        self.m.kind[0] = NONE
        before = self.m.copy()
        before.kind[home] = NONE
        self.m.kind[home] = POINTER
        self.m.room[home] = size
        self.m.back[home] = 0
        self.perm[home] = LOCKED
        outer = self.out
        self.out = w.label()
        self.depth = self.depth + 1
        self.some(1 + chance.below(4))
        self.depth = self.depth - 1
        self.perm[home] = FREE
        if not self.wrong():
            w.move(1, home)
            w.set(2, 0)
            self.call(SUBMIT if chance.one_in(2) else DISCARD)
            self.m.kind[0] = NONE
        self.m.kind[home] = NONE
        self.forget_pointers()
        if w.is_used(self.out):
            w.goto(nothing)
            w.place(self.out)
            w.move(1, home)
            w.set(2, 0)
            w.call(DISCARD)
            w.goto(outer)
        self.out = outer
        w.place(nothing)
        self.m.meet(before)

    def forget_pointers(self) -> None:
        """Copies of the record's pointer are void."""
        i: i64 = 0
        while i < 10:
            if self.m.kind[i] == POINTER and self.perm[i] == FREE:
                self.m.kind[i] = NONE
            i = i + 1
        i = 0
        while i < 8:
            if self.m.slot_kind[i] == POINTER:
                self.m.slot_kind[i] = NONE
            i = i + 1

    def local_call(self) -> None:
        chance = self.chance
        w = self.w
        if self.level >= 3 or (self.in_function and chance.one_in(2)):
            return
        kinds: list[int] = []
        rooms: list[int] = []
        first = self.number()
        second = self.find(POINTER)
        if second < 6 or self.m.room[second] <= 0:
            second = -1
        # Numbers and pointers move to their places without running over each other.
        w.store(8, 10, -72, first)
        if second >= 0:
            w.move(2, second)
            rooms = [0, self.m.room[second]]
            kinds = [NUMBER, POINTER]
        elif chance.one_in(2):
            size: i64 = 8 * (1 + chance.below(4))
            w.move(2, 10)
            w.alu(ADD, 2, -72 - size)
            rooms = [0, size]
            kinds = [NUMBER, POINTER]
        else:
            kinds = [NUMBER]
            rooms = [0]
        w.load(8, 1, 10, -72)
        label = w.label()
        if self.functions and chance.one_in(3) and len(self.functions[0].kinds) == len(kinds):
            other = self.functions[0]
            same = not other.callback and other.level == self.level + 1
            if same and (len(kinds) == 1 or other.rooms[1] <= rooms[1]):
                label = other.label
                w.call_local(label)
                self.clobber()
                return
        w.call_local(label)
        self.clobber()
        self.functions.append(Function(label, self.level + 1, kinds, rooms, False))
        if chance.one_in(3):
            w.jump(JNE, 0, 0, self.out)
        elif chance.one_in(12):
            # what came back may have been a pointer
            w.jump(JEQ, 0, 0, self.out)
            self.m.kind[0] = POINTER
            self.m.room[0] = 8
            self.m.back[0] = 0

    def callback(self) -> None:
        """A helper that calls a function of the program in a loop."""
        chance = self.chance
        w = self.w
        if self.level >= 2:
            return
        label = w.label()
        size: i64 = 8 * (1 + chance.below(4))
        if chance.one_in(3):
            name, key, value = MAPS[chance.below(3)]
            w.load_map(1, name)
            w.load_function(2, label)
            w.move(3, 10)
            w.alu(ADD, 3, -72 - size)
            w.set(4, 0)
            self.call(FOR_EACH)
            self.functions.append(
                Function(
                    label,
                    self.level + 1,
                    [NONE, NONE, POINTER, POINTER],
                    [0, key, value, size],
                    True,
                )
            )
            return
        if chance.one_in(2):
            w.set(1, chance.below(12))
        else:
            register = self.number()
            w.move(1, register)
            if not chance.one_in(4):
                w.alu(AND, 1, 15)
        w.load_function(2, label)
        w.move(3, 10)
        w.alu(ADD, 3, -72 - size)
        w.set(4, 0)
        self.call(LOOP)
        self.functions.append(Function(label, self.level + 1, [NUMBER, POINTER], [0, size], True))

    def atomic(self) -> None:
        chance = self.chance
        size: i64 = 8 if chance.one_in(2) else 4
        pointer = self.find(POINTER)
        offset: i64 = 0
        if pointer < 0 or self.m.room[pointer] < 8:
            pointer = 10
            offset = -8 * (1 + chance.below(8))
            self.forget_slot(offset)
            self.w.store(8, 10, offset, self.number())
        operation: i64 = [0x00, 0x40, 0x50, 0xA0, 0x01, 0x41, 0x51, 0xA1, 0xE1, 0xF1][
            chance.below(10)
        ]
        register = self.writable_number()
        if operation == 0xF1:
            if self.m.kind[0] != NUMBER or self.perm[0] == LOCKED:
                return
            self.set_number(0, -1)
        if operation & 1 and operation != 0xF1:
            self.set_number(register, -1)
        self.w.emit(0xDB if size == 8 else 0xC3, pointer, register, offset, operation)
