"""Calls: of helpers, of functions of the program, and of maps without a helper between."""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.llvm.memory import Memory
from anybpf.engines.lowering.llvm.text import RUNTIME
from anybpf.engines.lowering.plan import Call, FunctionPlan
from anybpf.isa import Instruction

_LOOKUP: Final = ("ptr", "ptr, ptr captures(none), i32", "")
_HELPER: Final = ("i64", "i64, i64, i64, i64, i64, ptr", "")


class Calls(Memory):
    """Instructions that call."""

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
            kind = RUNTIME["anybpf_native_next"]
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

    def name_of(self, one: FunctionPlan) -> str:
        if one.function.number == 0:
            return f"{self.prefix}anybpf_entry"
        return f"{self.prefix}anybpf_inner_{one.function.slot}"
