"""Functions and blocks, and the module that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.graph import NOWHERE, Block
from anybpf.engines.lowering.llvm.calls import Calls
from anybpf.engines.lowering.llvm.text import SYMBOLS
from anybpf.engines.lowering.plan import FunctionPlan, Plan
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

_MAY_GOTO_TURNS: Final = 8 * 1024 * 1024


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


class _Printer(Calls):
    """A whole program."""

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
