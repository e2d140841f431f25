"""A plan as LLVM's assembly: one module a program.

Registers are slots on the machine's stack, which LLVM's first pass turns into values. A register
that may be a pointer has two, a number and a pointer; whoever is not read costs nothing. What the
functions called are, and where fields lie, is told by ``src/core/native.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.graph import NOWHERE, Block
from anybpf.engines.lowering.plan import Access, Call, FunctionPlan, Plan
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

# Symbols are addresses that a linker fills in, or places in the table `anybpf_imports`.
SYMBOLS: Final = "symbols"
TABLE: Final = "table"

_MAY_GOTO_TURNS: Final = 8 * 1024 * 1024
_OP_SIZE: Final = 16  # of struct anybpf_op: values of functions are places in an array of these
_BITS: Final = {1: "i8", 2: "i16", 4: "i32", 8: "i64"}
_SIGNED_32: Final = 1 << 31

# What compiled code calls: result, parameters, attributes. `i64` results of those that end the run
# are what the function returns then.
_RUNTIME: Final = {
    "anybpf_native_stopped": ("i64", "ptr, i32", "cold"),
    "anybpf_native_fault": ("i64", "ptr, i32, i64, i32, i32", "cold"),
    "anybpf_native_misaligned": ("i64", "ptr, i32, i64, i32", "cold"),
    "anybpf_native_bad": ("i64", "ptr, i32", "cold"),
    "anybpf_native_check": ("i32", "ptr, i64, i32, i32", ""),
    "anybpf_native_spend": ("i32", "ptr", "cold"),
    "anybpf_native_enter": ("i32", "ptr", ""),
    "anybpf_native_leave": ("void", "ptr", ""),
    "anybpf_native_next": ("i64", "ptr, ptr, i64", ""),
    "anybpf_native_next_inside": ("i64", "ptr", ""),
    "anybpf_native_call": ("i64", "ptr, i64, i64, i64, i64, i64, i64", ""),
    "anybpf_native_packet": ("i32", "ptr, i32, i32, ptr captures(none)", ""),
    "anybpf_native_cast": ("i64", "ptr, i64, i32", ""),
    "anybpf_native_update": ("i64", "ptr, ptr, ptr captures(none), ptr captures(none), i64", ""),
    "anybpf_native_delete": ("i64", "ptr, ptr, ptr captures(none)", ""),
}
_LOOKUP: Final = ("ptr", "ptr, ptr captures(none), i32", "")
_HELPER: Final = ("i64", "i64, i64, i64, i64, i64, ptr", "")

# Metadata: the domain of scopes is !0, those of accesses follow; lists of them from 10 on.
_SCOPES: Final = (*p.SEPARATE, "run")
_UNLIKELY: Final = ", !prof !30"
_ALWAYS_SAME: Final = ", !invariant.load !31"


class Module:
    """The text, and the symbols that it refers to: of functions and of data that are elsewhere."""

    __slots__ = ("imports", "text")

    def __init__(self, text: str, imports: list[str]) -> None:
        self.text: str = text
        self.imports: list[str] = imports


def print_module(
    plan: Plan,
    layout: Mapping[str, int],
    *,
    imports: str = SYMBOLS,
    prefix: str = "",
    lines: bool = False,
) -> Module:
    """The module: ``prefix`` begins what it defines, ``lines`` adds places in the code."""
    printer = _Printer(plan, layout, imports, prefix, lines)
    return printer.run()


class _Printer:
    def __init__(
        self, plan: Plan, layout: Mapping[str, int], imports: str, prefix: str, lines: bool
    ) -> None:
        self.plan: Plan = plan
        self.layout: Mapping[str, int] = layout
        self.table: bool = imports == TABLE
        self.prefix: str = prefix
        self.lines: bool = lines
        self.out: list[str] = []
        self.imported: dict[str, tuple[str, str, str] | None] = {}
        self.positions: dict[str, int] = {}
        self.intrinsics: set[str] = set()
        self.metadata: list[str] = []
        self.places: dict[tuple[int, int], int] = {}
        # What shifts to the right shifted, by instruction: rotations are of that.
        self.before_shift: dict[int, str] = {}
        self.next_name: int = 0
        self.suffix: str = ""
        self.one: FunctionPlan = plan.functions[0]
        self.index: int = 0

    # The module.

    def run(self) -> Module:
        for one in self.plan.functions:
            if one.blocks:
                self.function(one)
                if one.function.is_value:
                    self.callback(one)
        head: list[str] = []
        if self.table:
            # Part of the library itself, and filled in before anything runs.
            count = max(1, len(self.imported))
            head.append(f"@anybpf_imports = external hidden constant [{count} x ptr]")
        else:
            for name, kind in self.imported.items():
                if kind is None:
                    head.append(f"@{name} = external global i8")
                else:
                    head.append(f"declare {kind[0]} @{name}({kind[1]}) nounwind {kind[2]}")
        head += sorted(self.intrinsics)
        return Module("\n".join(head + self.out + self.tail()) + "\n", list(self.imported))

    def tail(self) -> list[str]:
        out = ["!0 = distinct !{!0}"]
        numbers = {name: number + 1 for number, name in enumerate(_SCOPES)}
        out += [f"!{number} = distinct !{{!{number}, !0}}" for number in numbers.values()]
        for name, number in numbers.items():
            others = ", ".join(f"!{each}" for other, each in numbers.items() if other != name)
            out += [f"!{9 + number} = !{{!{number}}}", f"!{19 + number} = !{{{others}}}"]
        out += ['!30 = !{!"branch_weights", i32 1, i32 100000}', "!31 = !{}"]
        if self.lines:
            out += [
                "!llvm.dbg.cu = !{!32}",
                "!llvm.module.flags = !{!33}",
                '!33 = !{i32 2, !"Debug Info Version", i32 3}',
                "!32 = distinct !DICompileUnit(language: DW_LANG_C99, file: !34, emissionKind: "
                "LineTablesOnly)",
                '!34 = !DIFile(filename: "code", directory: "")',
                "!35 = !DISubroutineType(types: !31)",
            ]
        return out + self.metadata

    def place(self, one: FunctionPlan, slot: int) -> str:
        """The debug location of a slot; slot numbers stand for lines, counted from one."""
        number = 40 + len(self.places)
        key = (one.function.number, slot)
        known = self.places.get(key)
        if known is None:
            self.places[key] = known = number
            scope = self.places[one.function.number, -1]
            self.metadata.append(f"!{number} = !DILocation(line: {slot + 1}, scope: !{scope})")
        return f", !dbg !{known}"

    # Lines.

    def emit(self, text: str) -> None:
        self.out.append(f"  {text}{self.suffix}")

    def value(self, text: str) -> str:
        self.next_name += 1
        name = f"%v{self.next_name}"
        self.out.append(f"  {name} = {text}{self.suffix}")
        return name

    def label(self) -> str:
        self.next_name += 1
        return f"l{self.next_name}"

    def begin(self, label: str) -> None:
        self.out.append(f"{label}:")

    def symbol(self, name: str, kind: tuple[str, str, str] | None) -> str:
        """Its address; of a function, if `kind` says which."""
        self.imported.setdefault(name, kind)
        if not self.table:
            return f"@{name}"
        place = self.positions.setdefault(name, len(self.positions))
        return self.value(
            f"load ptr, ptr getelementptr (ptr, ptr @anybpf_imports, i64 {place}){_ALWAYS_SAME}"
        )

    def runtime(self, name: str, arguments: str) -> str:
        kind = _RUNTIME[name]
        return f"call {kind[0]} {self.symbol(name, kind)}({arguments})"

    def field(self, name: str, base: str = "%run") -> str:
        return self.value(f"getelementptr i8, ptr {base}, i64 {self.layout[name]}")

    def load_field(self, kind: str, name: str, base: str = "%run") -> str:
        return self.value(f"load {kind}, ptr {self.field(name, base)}{_scope('run')}")

    def load_region(self, region: str, field: str) -> str:
        layout = self.layout
        place = layout["run.region"] + layout[f"regions.{region}"] * layout["region.bytes"]
        place += layout[f"region.{field}"]
        address = self.value(f"getelementptr i8, ptr %run, i64 {place}")
        return self.value(f"load i64, ptr {address}{_scope('run')}")

    def store_field(self, kind: str, name: str, text: str) -> None:
        self.emit(f"store {kind} {text}, ptr {self.field(name)}{_scope('run')}")

    # Registers.

    def number(self, register: int) -> str:
        if register == op.FRAME_POINTER:
            return self.value("ptrtoint ptr %r10p to i64")
        return self.value(f"load i64, ptr %r{register}")

    def narrow(self, register: int) -> str:
        return self.value(f"trunc i64 {self.number(register)} to i32")

    def is_typed(self, register: int) -> bool:
        return bool(self.one.pointers.typed.get(self.index, 0) >> register & 1)

    def pointer(self, register: int) -> str:
        if register == op.FRAME_POINTER:
            return "%r10p"
        if self.is_typed(register):
            return self.value(f"load ptr, ptr %p{register}")
        return self.value(f"inttoptr i64 {self.number(register)} to ptr")

    def set(self, register: int, value: str) -> None:
        self.emit(f"store i64 {value}, ptr %r{register}")

    def set_narrow(self, register: int, value: str) -> None:
        self.set(register, self.value(f"zext i32 {value} to i64"))

    def set_pointer(self, register: int, value: str) -> None:
        self.emit(f"store ptr {value}, ptr %p{register}")
        self.set(register, self.value(f"ptrtoint ptr {value} to i64"))

    # Functions.

    def name_of(self, one: FunctionPlan) -> str:
        if one.function.number == 0:
            return f"{self.prefix}anybpf_entry"
        return f"{self.prefix}anybpf_inner_{one.function.slot}"

    def function(self, one: FunctionPlan) -> None:
        self.one = one
        self.index = one.function.first
        parameters = ["ptr %context", "ptr noundef %run", "i64 %second"]
        linkage = ""
        if one.function.number != 0:
            linkage = "internal "
            kinds = ["ptr" if one.typed >> r & 1 else "i64" for r in range(1, 6)]
            parameters = [f"{kind} %a{r}" for r, kind in enumerate(kinds, 1)] + ["ptr %run"]
        scope = ""
        if self.lines:
            number = 40 + len(self.places)
            self.places[one.function.number, -1] = number
            scope = f" !dbg !{number}"
            self.metadata.append(
                f'!{number} = distinct !DISubprogram(name: "{self.name_of(one)}", scope: !34, '
                f"file: !34, line: {one.function.slot + 1}, type: !35, unit: !32, "
                "spFlags: DISPFlagDefinition)"
            )
        name = self.name_of(one)
        self.out.append(f"define {linkage}i64 @{name}({', '.join(parameters)}) nounwind{scope} {{")
        self.suffix = self.place(one, one.function.slot) if self.lines else ""
        self.begin("start")
        self.registers(one)
        self.frame(one)
        self.emit(f"br label %b{one.blocks[0].number}")
        for block in one.blocks:
            self.block(block)
        self.out.append("}")
        self.suffix = ""

    def registers(self, one: FunctionPlan) -> None:
        for register in range(op.FRAME_POINTER):
            self.emit(f"%r{register} = alloca i64")
            self.emit(f"%p{register} = alloca ptr")
            self.emit(f"store i64 0, ptr %r{register}")
        if one.may_goto:
            self.emit("%turns = alloca i32")
            self.emit(f"store i32 {_MAY_GOTO_TURNS}, ptr %turns")
        if one.function.number == 0:
            self.set_pointer(1, "%context")
            self.set(2, "%second")
            return
        for register in range(1, 6):
            if one.typed >> register & 1:
                self.set_pointer(register, f"%a{register}")
            else:
                self.set(register, f"%a{register}")

    def frame(self, one: FunctionPlan) -> None:
        if not one.uses_frame:
            self.emit("%r10p = getelementptr i8, ptr null, i64 0")
        elif one.frame == p.ON_MACHINE:
            self.emit(f"%frame = alloca [{p.FRAME_SIZE} x i8], align 16")
            self.emit(f"%r10p = getelementptr i8, ptr %frame, i64 {p.FRAME_SIZE}")
        else:
            # The end of the frame: src/core/interpreter.c has the same sum.
            frames = self.value(f"zext i32 {self.load_field('i32', 'run.frames')} to i64")
            left = self.value(f"sub i64 {p.MOST_FRAMES + 1}, {frames}")
            distance = self.value(f"mul i64 {left}, {p.FRAME_SIZE}")
            stack = self.field("run.stack")
            self.emit(f"%r10p = getelementptr i8, ptr {stack}, i64 {distance}")
        for low, size in one.slots.items():
            self.emit(f"%slot{-low} = alloca [{size} x i8], align 8")

    def callback(self, one: FunctionPlan) -> None:
        """The form in which helpers call a function back."""
        name = f"{self.prefix}anybpf_function_{one.function.slot}"
        parameters = ", ".join(f"i64 %a{r}" for r in range(1, 6))
        self.out.append(f"define i64 @{name}({parameters}, ptr %run) nounwind {{")
        arguments = ", ".join(f"i64 %a{r}" for r in range(1, 6))
        result = self.value(f"call i64 @{self.name_of(one)}({arguments}, ptr %run)")
        self.emit(f"ret i64 {result}")
        self.out.append("}")

    def block(self, block: Block) -> None:
        self.begin(f"b{block.number}")
        source = self.plan.source
        for index in range(block.first, block.last + 1):
            self.index = index
            if self.lines:
                self.suffix = self.place(self.one, source.slots[index])
            if not source.reached(index):
                self.give_up("anybpf_native_bad")
                return
            insn = source.instructions[index]
            if index == block.last:
                self.last(block, insn)
            else:
                self.instruction(insn)

    def last(self, block: Block, insn: Instruction) -> None:
        cls = insn.opcode & op.CLASS_MASK
        if insn.opcode == op.EXIT_INSN:
            self.emit(f"ret i64 {self.number(0)}")
            return
        if cls not in (op.JMP, op.JMP32) or insn.opcode in (op.CALL_IMM, op.CALL_REG):
            self.instruction(insn)
            self.emit(f"br label %b{block.falls}")
            return
        if insn.opcode == op.MAY_GOTO:
            self.may_goto(block)
            return
        condition = ""
        if block.falls != NOWHERE and block.jumps != NOWHERE:
            condition = self.condition(insn, cls)
        self.spend(self.one.spends.get(block.number, 0))
        if condition:
            self.emit(f"br i1 {condition}, label %b{block.jumps}, label %b{block.falls}")
        elif block.falls == NOWHERE and block.jumps == NOWHERE:
            self.give_up("anybpf_native_bad")
        else:
            self.emit(f"br label %b{max(block.falls, block.jumps)}")

    def may_goto(self, block: Block) -> None:
        turns = self.value("load i32, ptr %turns")
        on, over = self.label(), self.label()
        self.emit(f"br i1 {self.value(f'icmp ne i32 {turns}, 0')}, label %{on}, label %{over}")
        self.begin(over)
        self.emit(f"br label %b{block.jumps}")
        self.begin(on)
        self.emit(f"store i32 {self.value(f'sub i32 {turns}, 1')}, ptr %turns")
        self.spend(max(1, self.one.spends.get(block.number, 0)))
        self.emit(f"br label %b{block.falls}")

    # Ends.

    @property
    def slot(self) -> int:
        return self.plan.source.slots[self.index]

    def give_up(self, name: str, more: str = "") -> None:
        self.emit(f"ret i64 {self.value(self.runtime(name, f'ptr %run, i32 {self.slot}{more}'))}")

    def stop_unless(
        self, condition: str, name: str = "anybpf_native_stopped", more: str = ""
    ) -> None:
        """Goes on if the condition holds; else the function returns, as the run is over."""
        on, over = self.label(), self.label()
        wrong = self.value(f"xor i1 {condition}, true")
        self.emit(f"br i1 {wrong}, label %{over}, label %{on}{_UNLIKELY}")
        self.begin(over)
        self.give_up(name, more)
        self.begin(on)

    def stop_if_over(self) -> None:
        end = self.load_field("i32", "run.stop.end")
        self.stop_unless(self.value(f"icmp eq i32 {end}, 0"))

    def spend(self, cost: int) -> None:
        if cost == 0:
            return
        slice_ = self.load_field("i64", "run.slice")
        left = self.value(f"sub i64 {slice_}, {cost}")
        self.store_field("i64", "run.slice", left)
        on, ask = self.label(), self.label()
        spent = self.value(f"icmp slt i64 {left}, 0")
        self.emit(f"br i1 {spent}, label %{ask}, label %{on}{_UNLIKELY}")
        self.begin(ask)
        more = self.value(self.runtime("anybpf_native_spend", "ptr %run"))
        self.stop_unless(self.value(f"icmp ne i32 {more}, 0"))
        self.emit(f"br label %{on}")
        self.begin(on)

    # Instructions.

    def instruction(self, insn: Instruction) -> None:
        cls = insn.opcode & op.CLASS_MASK
        if cls == op.ALU64:
            self.wide(insn)
        elif cls == op.ALU:
            self.half(insn)
        elif insn.opcode == op.CALL_IMM or insn.opcode == op.CALL_REG:
            self.call(insn, self.one.calls[self.index])
        elif insn.opcode == op.LD_IMM64:
            self.load_wide(insn)
        elif cls == op.LD:
            self.load_packet(insn)
        elif cls == op.LDX:
            self.load(insn, self.one.accesses[self.index])
        elif insn.opcode & op.MODE_MASK == op.ATOMIC and cls == op.STX:
            self.atomic(insn, self.one.accesses[self.index])
        else:
            self.store(insn, cls, self.one.accesses[self.index])

    def wide(self, insn: Instruction) -> None:
        operation = insn.opcode & op.OP_MASK
        dst, src = insn.dst, insn.src
        from_register = bool(insn.opcode & op.X)
        if operation == op.MOV and from_register:
            self.move(insn)
            return
        if operation == op.MOV:
            self.set(dst, str(insn.imm))
            return
        if operation == op.END:
            self.swap(insn, True)
            return
        b = self.number(src) if from_register else str(insn.imm)
        if operation in (op.ADD, op.SUB) and self.offset_pointer(insn, operation, b):
            return
        self.set(dst, self.compute(operation, "i64", self.number(dst), b, insn))

    def offset_pointer(self, insn: Instruction, operation: int, b: str) -> bool:
        """A sum with a pointer in it, if that is what this is."""
        dst, src = insn.dst, insn.src
        typed_dst = self.is_typed(dst)
        typed_src = bool(insn.opcode & op.X) and self.is_typed(src)
        if typed_dst == typed_src or (operation == op.SUB and typed_src):
            return False
        base = self.pointer(dst if typed_dst else src)
        distance = b if typed_dst else self.number(dst)
        if operation == op.SUB:
            distance = self.value(f"sub i64 0, {distance}")
        self.set_pointer(dst, self.value(f"getelementptr i8, ptr {base}, i64 {distance}"))
        return True

    def move(self, insn: Instruction) -> None:
        dst, src = insn.dst, insn.src
        if insn.offset == 0:
            if self.is_typed(src):
                self.set_pointer(dst, self.pointer(src))
            else:
                self.set(dst, self.number(src))
        elif insn.offset == op.ADDRESS_SPACE_CAST:
            to_user = 0 if insn.imm == 1 else 1
            self.set(dst, self.value(self.runtime(
                "anybpf_native_cast", f"ptr %run, i64 {self.number(src)}, i32 {to_user}"
            )))  # fmt: skip
        else:
            cut = self.value(f"trunc i64 {self.number(src)} to i{insn.offset}")
            self.set(dst, self.value(f"sext i{insn.offset} {cut} to i64"))

    def half(self, insn: Instruction) -> None:
        operation = insn.opcode & op.OP_MASK
        if operation == op.END:
            self.swap(insn, False)
            return
        from_register = bool(insn.opcode & op.X)
        if operation == op.MOV and from_register and insn.offset != 0:
            cut = self.value(f"trunc i64 {self.number(insn.src)} to i{insn.offset}")
            self.set_narrow(insn.dst, self.value(f"sext i{insn.offset} {cut} to i32"))
            return
        b = self.narrow(insn.src) if from_register else str(insn.imm)
        if operation == op.MOV:
            self.set_narrow(insn.dst, b)
            return
        self.set_narrow(insn.dst, self.compute(operation, "i32", self.narrow(insn.dst), b, insn))

    def compute(self, operation: int, kind: str, a: str, b: str, insn: Instruction) -> str:
        rotation = self.one.rotations.get(self.index)
        if rotation is not None:
            self.intrinsic(f"declare {kind} @llvm.fshl.{kind}({kind}, {kind}, {kind})")
            rotated = f"{kind} {self.before_shift[rotation.shift]}"
            amount = f"{kind} {rotation.amount}"
            return self.value(f"call {kind} @llvm.fshl.{kind}({rotated}, {rotated}, {amount})")
        if operation == op.RSH:
            self.before_shift[self.index] = a
        simple = _SIMPLE.get(operation)
        if simple is not None:
            return self.value(f"{simple} {kind} {a}, {b}")
        if operation == op.NEG:
            return self.value(f"sub {kind} 0, {a}")
        if operation in _SHIFTS:
            most = 63 if kind == "i64" else 31
            if insn.opcode & op.X:
                b = self.value(f"and {kind} {b}, {most}")
            else:
                b = str(insn.imm & most)
            return self.value(f"{_SHIFTS[operation]} {kind} {a}, {b}")
        return self.divide(operation == op.MOD, insn.offset == 1, kind, a, b)

    def divide(self, rest: bool, signed: bool, kind: str, a: str, b: str) -> str:
        """By zero: 0, or the dividend as the rest. The least number by -1: itself, and no rest."""
        word = ("srem" if rest else "sdiv") if signed else ("urem" if rest else "udiv")
        zero = self.value(f"icmp eq {kind} {b}, 0")
        bad = zero
        minus = ""
        if signed:
            minus = self.value(f"icmp eq {kind} {b}, -1")
            bad = self.value(f"or i1 {zero}, {minus}")
        divisor = self.value(f"select i1 {bad}, {kind} 1, {kind} {b}")
        result = self.value(f"{word} {kind} {a}, {divisor}")
        if signed:
            negated = "0" if rest else self.value(f"sub {kind} 0, {a}")
            result = self.value(f"select i1 {minus}, {kind} {negated}, {kind} {result}")
        return self.value(f"select i1 {zero}, {kind} {a if rest else '0'}, {kind} {result}")

    def swap(self, insn: Instruction, always: bool) -> None:
        width = insn.imm
        value = self.number(insn.dst)
        swaps = always or bool(insn.opcode & op.X)  # little-endian machines, as all our targets are
        if width != 64:
            value = self.value(f"trunc i64 {value} to i{width}")
        if swaps:
            self.intrinsic(f"declare i{width} @llvm.bswap.i{width}(i{width})")
            value = self.value(f"call i{width} @llvm.bswap.i{width}(i{width} {value})")
        if width != 64:
            value = self.value(f"zext i{width} {value} to i64")
        self.set(insn.dst, value)

    def intrinsic(self, declaration: str) -> None:
        self.intrinsics.add(declaration)

    def condition(self, insn: Instruction, cls: int) -> str:
        wide = cls == op.JMP
        kind = "i64" if wide else "i32"
        read = self.number if wide else self.narrow
        a = read(insn.dst)
        b = read(insn.src) if insn.opcode & op.X else str(insn.imm)
        operation = insn.opcode & op.OP_MASK
        if operation == op.JSET:
            return self.value(f"icmp ne {kind} {self.value(f'and {kind} {a}, {b}')}, 0")
        return self.value(f"icmp {_COMPARE[operation]} {kind} {a}, {b}")

    def load_wide(self, insn: Instruction) -> None:
        if insn.src == op.PSEUDO_MAP_FD:
            symbol = self.symbol(f"anybpf_map_{insn.imm}", None)
            self.set(insn.dst, self.value(f"ptrtoint ptr {symbol} to i64"))
        elif insn.src == op.PSEUDO_MAP_VALUE:
            symbol = self.symbol(f"anybpf_values_{insn.low}", None)
            self.set_pointer(
                insn.dst, self.value(f"getelementptr i8, ptr {symbol}, i64 {insn.high}")
            )
        elif insn.src == op.PSEUDO_FUNCTION:
            slot = self.slot + 1 + insn.low
            ops = self.symbol("anybpf_ops", None)
            place = self.value(f"getelementptr i8, ptr {ops}, i64 {slot * _OP_SIZE}")
            self.set(insn.dst, self.value(f"ptrtoint ptr {place} to i64"))
        else:
            self.set(insn.dst, str(insn.imm))

    def load_packet(self, insn: Instruction) -> None:
        """The packet loads of classic BPF: beyond the packet, the function returns 0."""
        size = op.SIZES[insn.opcode & op.SIZE_MASK]
        place = str(insn.imm)
        if insn.opcode & op.MODE_MASK == op.IND:
            place = self.value(f"add i32 {self.narrow(insn.src)}, {insn.imm}")
        there = self.value(self.runtime(
            "anybpf_native_packet", f"ptr %run, i32 {place}, i32 {size}, ptr %r0"
        ))  # fmt: skip
        on, over = self.label(), self.label()
        self.emit(f"br i1 {self.value(f'icmp ne i32 {there}, 0')}, label %{on}, label %{over}")
        self.begin(over)
        self.emit("ret i64 0")
        self.begin(on)

    # Memory.

    def address(self, register: int, offset: int) -> str:
        base = self.pointer(register)
        return base if offset == 0 else self.value(f"getelementptr i8, ptr {base}, i64 {offset}")

    def place_of(self, access: Access, register: int, offset: int) -> str:
        """The address of an access, compared with its bounds if need be."""
        if access.slot is not None and access.place is not None:
            distance = access.place - access.slot
            return self.value(f"getelementptr i8, ptr %slot{-access.slot}, i64 {distance}")
        address = self.address(register, offset)
        self.check(access, address)
        return address

    def check(self, access: Access, address: str) -> None:
        if not access.check:
            return
        number = self.value(f"ptrtoint ptr {address} to i64")
        if access.check == p.FRAME_CHECK:
            base = self.value(f"getelementptr i8, ptr %r10p, i64 {-p.FRAME_SIZE}")
            start = self.value(f"ptrtoint ptr {base} to i64")
            distance = self.value(f"sub i64 {number}, {start}")
            inside = self.value(f"icmp ule i64 {distance}, {p.FRAME_SIZE - access.size}")
            self.stop_unless(inside, "anybpf_native_fault", self.told(access, number))
            return
        if access.check == p.MAP_CHECK:
            shape = self.plan.source.maps[access.map]
            values = self.symbol(f"anybpf_values_{access.map}", None)
            start = self.value(f"ptrtoint ptr {values} to i64")
            size = str(((shape.value_size + 7) & ~7) * shape.max_entries)
        else:
            region = _REGIONS.get(access.check, "first_area")
            start = self.load_region(region, "start")
            size = self.load_region(region, "writable_size" if access.write else "size")
        distance = self.value(f"sub i64 {number}, {start}")
        # What does not change in a loop is apart from what does.
        fits = self.value(f"icmp uge i64 {size}, {access.size}")
        room = self.value(f"sub i64 {size}, {access.size - 1}")
        limit = self.value(f"select i1 {fits}, i64 {room}, i64 0")
        inside = self.value(f"icmp ult i64 {distance}, {limit}")
        if access.kind in _WHOLE:
            self.stop_unless(inside, "anybpf_native_fault", self.told(access, number))
            return
        # It may be in some other region yet.
        done, ask = self.label(), self.label()
        outside = self.value(f"xor i1 {inside}, true")
        self.emit(f"br i1 {outside}, label %{ask}, label %{done}{_UNLIKELY}")
        self.begin(ask)
        write = 1 if access.write else 0
        found = self.value(self.runtime(
            "anybpf_native_check", f"ptr %run, i64 {number}, i32 {access.size}, i32 {write}"
        ))  # fmt: skip
        more = self.told(access, number)
        self.stop_unless(self.value(f"icmp ne i32 {found}, 0"), "anybpf_native_fault", more)
        self.emit(f"br label %{done}")
        self.begin(done)

    def told(self, access: Access, number: str) -> str:
        return f", i64 {number}, i32 {access.size}, i32 {1 if access.write else 0}"

    def load(self, insn: Instruction, access: Access) -> None:
        address = self.place_of(access, insn.src, insn.offset)
        kind = _BITS[access.size]
        align = access.size if access.aligned else 1
        tail = f", align {align}{_scope(access.kind)}"
        is_pointer = self.index in self.plan.source.pointers
        if is_pointer and access.size == 8:
            self.set_pointer(insn.dst, self.value(f"load ptr, ptr {address}{tail}"))
            return
        if access.once and access.aligned:
            value = self.value(f"load atomic {kind}, ptr {address} unordered{tail}")
        else:
            how = "load volatile" if access.once else "load"
            value = self.value(f"{how} {kind}, ptr {address}{tail}")
        # Bytes that were never written are some bytes, the same wherever they are used.
        if access.kind in ("stack", "") and self.plan.source.unwritten_reads:
            value = self.value(f"freeze {kind} {value}")
        if access.size != 8:
            signed = insn.opcode & op.MODE_MASK == op.MEMSX
            value = self.value(f"{'sext' if signed else 'zext'} {kind} {value} to i64")
        if is_pointer:
            self.set_pointer(insn.dst, self.value(f"inttoptr i64 {value} to ptr"))
        else:
            self.set(insn.dst, value)

    def store(self, insn: Instruction, cls: int, access: Access) -> None:
        address = self.place_of(access, insn.dst, insn.offset)
        kind = _BITS[access.size]
        align = access.size if access.aligned else 1
        tail = f", align {align}{_scope(access.kind)}"
        if cls == op.ST:
            value = str(insn.imm if access.size == 8 else insn.imm & ((1 << 8 * access.size) - 1))
        elif access.size == 8 and self.is_typed(insn.src):
            self.emit(f"store ptr {self.pointer(insn.src)}, ptr {address}{tail}")
            return
        else:
            value = self.number(insn.src)
            if access.size != 8:
                value = self.value(f"trunc i64 {value} to {kind}")
        self.emit(f"store {kind} {value}, ptr {address}{tail}")

    def atomic(self, insn: Instruction, access: Access) -> None:
        loads = insn.imm == op.LOAD_ACQUIRE
        address = self.place_of(access, insn.src if loads else insn.dst, insn.offset)
        size = access.size
        kind = _BITS[size]
        if size > 1 and not access.aligned:
            number = self.value(f"ptrtoint ptr {address} to i64")
            odd = self.value(f"and i64 {number}, {size - 1}")
            more = f", i64 {number}, i32 {size}"
            self.stop_unless(self.value(f"icmp eq i64 {odd}, 0"), "anybpf_native_misaligned", more)
        tail = f", align {size}{_scope(access.kind)}"
        if loads:
            value = self.value(f"load atomic {kind}, ptr {address} acquire{tail}")
            self.set(insn.dst, self.widened(kind, value))
            return
        value = self.number(insn.src)
        if size != 8:
            value = self.value(f"trunc i64 {value} to {kind}")
        if insn.imm == op.STORE_RELEASE:
            self.emit(f"store atomic {kind} {value}, ptr {address} release{tail}")
            return
        if insn.imm == op.ATOMIC_CMPXCHG:
            expected = self.number(0)
            if size != 8:
                expected = self.value(f"trunc i64 {expected} to {kind}")
            pair = self.value(
                f"cmpxchg ptr {address}, {kind} {expected}, {kind} {value} seq_cst seq_cst{tail}"
            )
            old = self.value(f"extractvalue {{ {kind}, i1 }} {pair}, 0")
            self.set(0, self.widened(kind, old))
            return
        word = _ATOMIC[insn.imm & ~op.FETCH]
        fetches = bool(insn.imm & op.FETCH)
        order = "seq_cst" if fetches else "monotonic"
        old = self.value(f"atomicrmw {word} ptr {address}, {kind} {value} {order}{tail}")
        if fetches:
            self.set(insn.src, self.widened(kind, old))

    def widened(self, kind: str, value: str) -> str:
        return value if kind == "i64" else self.value(f"zext {kind} {value} to i64")

    # Calls.

    def call(self, insn: Instruction, call: Call) -> None:
        if call.kind == p.LOCAL:
            self.call_local(call)
        elif call.kind == p.REGISTER:
            arguments = ", ".join(f"i64 {self.number(r)}" for r in range(1, 6))
            function = self.number(insn.dst)
            self.set(0, self.value(self.runtime(
                "anybpf_native_call", f"ptr %run, i64 {function}, {arguments}"
            )))  # fmt: skip
            self.after(call)
        elif call.kind == p.HELPER:
            self.call_helper(call)
        elif call.kind == p.ARRAY_LOOKUP:
            self.array_lookup(call)
        elif call.kind == p.DIRECT_LOOKUP:
            found = self.direct_lookup(call)
            self.set_pointer(0, found)
        else:
            self.direct_change(call)

    def after(self, call: Call) -> None:
        if call.can_stop:
            self.stop_if_over()
        if not call.chains:
            return
        following = self.load_field("ptr", "run.next_program")
        on, over = self.label(), self.label()
        go_on = self.value(f"icmp eq ptr {following}, null")
        self.emit(f"br i1 {go_on}, label %{on}, label %{over}")
        self.begin(over)
        if self.one.function.number == 0:
            kind = _RUNTIME["anybpf_native_next"]
            symbol = self.symbol("anybpf_native_next", kind)
            result = self.value(f"musttail call i64 {symbol}(ptr %context, ptr %run, i64 0)")
        else:
            result = self.value(self.runtime("anybpf_native_next_inside", "ptr %run"))
        self.emit(f"ret i64 {result}")
        self.begin(on)

    def call_local(self, call: Call) -> None:
        if call.number < 0 or not self.plan.functions[call.number].blocks:
            self.give_up("anybpf_native_bad")
            self.begin(self.label())
            return
        called = self.plan.functions[call.number]
        if called.counted:
            deeper = self.value(self.runtime("anybpf_native_enter", "ptr %run"))
            self.stop_unless(self.value(f"icmp ne i32 {deeper}, 0"))
        arguments = []
        for register in range(1, 6):
            if called.typed >> register & 1:
                arguments.append(f"ptr {self.pointer(register)}")
            else:
                arguments.append(f"i64 {self.number(register)}")
        result = self.value(f"call i64 @{self.name_of(called)}({', '.join(arguments)}, ptr %run)")
        self.set(0, result)
        if call.can_stop:
            self.stop_if_over()
        if called.counted:
            self.emit(self.runtime("anybpf_native_leave", "ptr %run"))

    def call_helper(self, call: Call) -> None:
        symbol = self.symbol(f"anybpf_helper_{call.number}", _HELPER)
        arguments = [
            f"i64 {self.number(r)}" if r <= call.arguments else "i64 0" for r in range(1, 6)
        ]
        if call.can_stop:
            self.store_field("i32", "run.calling", str(call.number))
        result = self.value(f"call i64 {symbol}({', '.join(arguments)}, ptr %run)")
        if call.number in self.plan.source.returning:
            self.emit(f"store ptr {self.value(f'inttoptr i64 {result} to ptr')}, ptr %p0")
        self.set(0, result)
        self.after(call)

    def array_lookup(self, call: Call) -> None:
        """src/core/maps/arrays.c: copies one after the other, entries of whole words in each."""
        shape = self.plan.source.maps[call.map]
        stride = (shape.value_size + 7) & ~7
        key = self.value(f"load i32, ptr {self.pointer(2)}, align 1")
        if self.plan.source.unwritten_reads:
            key = self.value(f"freeze i32 {key}")
        inside = self.value(f"icmp ult i32 {key}, {shape.max_entries}")
        values = self.symbol(f"anybpf_values_{call.map}", None)
        distance = self.value(f"mul i64 {self.value(f'zext i32 {key} to i64')}, {stride}")
        if shape.kind == "percpu_array":
            plane = (stride * shape.max_entries + 127) & ~127
            seat = self.load_field("i32", "run.seat")
            copy = self.value(f"mul i64 {self.value(f'zext i32 {seat} to i64')}, {plane}")
            distance = self.value(f"add i64 {distance}, {copy}")
        place = self.value(f"getelementptr inbounds i8, ptr {values}, i64 {distance}")
        self.set_pointer(0, self.value(f"select i1 {inside}, ptr {place}, ptr null"))

    def direct_lookup(self, call: Call) -> str:
        symbol = self.symbol(f"anybpf_lookup_{call.map}", _LOOKUP)
        shared = self.symbol(f"anybpf_map_{call.map}", None)
        seat = self.load_field("i32", "run.seat")
        return self.value(f"call ptr {symbol}(ptr {shared}, ptr {self.pointer(2)}, i32 {seat})")

    def direct_change(self, call: Call) -> None:
        shared = self.symbol(f"anybpf_map_{call.map}", None)
        if call.kind == p.DIRECT_DELETE:
            arguments = f"ptr %run, ptr {shared}, ptr {self.pointer(2)}"
            self.set(0, self.value(self.runtime("anybpf_native_delete", arguments)))
            return
        key, value = self.pointer(2), self.pointer(3)
        arguments = f"ptr %run, ptr {shared}, ptr {key}, ptr {value}, i64 {self.number(4)}"
        self.set(0, self.value(self.runtime("anybpf_native_update", arguments)))


def _scope(kind: str) -> str:
    if kind not in _SCOPES:
        return ""
    number = _SCOPES.index(kind) + 1
    return f", !alias.scope !{9 + number}, !noalias !{19 + number}"


_SIMPLE: Final = {
    op.ADD: "add", op.SUB: "sub", op.MUL: "mul", op.OR: "or", op.AND: "and", op.XOR: "xor",
}  # fmt: skip
_SHIFTS: Final = {op.LSH: "shl", op.RSH: "lshr", op.ARSH: "ashr"}
# Accesses of these kinds go to one region and to no other.
_WHOLE: Final = ("ctx", "packet")
_REGIONS: Final = {p.CONTEXT_CHECK: "context", p.PACKET_CHECK: "packet"}
_COMPARE: Final = {
    op.JEQ: "eq", op.JNE: "ne", op.JGT: "ugt", op.JGE: "uge", op.JLT: "ult", op.JLE: "ule",
    op.JSGT: "sgt", op.JSGE: "sge", op.JSLT: "slt", op.JSLE: "sle",
}  # fmt: skip
_ATOMIC: Final = {
    op.ATOMIC_ADD: "add", op.ATOMIC_OR: "or", op.ATOMIC_AND: "and", op.ATOMIC_XOR: "xor",
    op.ATOMIC_XCHG & ~op.FETCH: "xchg",
}  # fmt: skip
