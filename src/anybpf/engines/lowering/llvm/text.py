"""Lines of LLVM's assembly: names, labels, symbols, fields of the run, and the ends of a run.

What is called and where fields lie is told by ``src/core/native.h``. What lines are about is for
the modules beside this one, each of which adds to :class:`Text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.plan import FunctionPlan, Plan

# Symbols are addresses that a linker fills in, or places in the table `anybpf_imports`.
SYMBOLS: Final = "symbols"
TABLE: Final = "table"

BITS: Final = {1: "i8", 2: "i16", 4: "i32", 8: "i64"}

# What compiled code calls: result, parameters, attributes. `i64` results of those that end the run
# are what the function returns then.
RUNTIME: Final = {
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

# Metadata: the domain of scopes is !0, those of accesses follow; lists of them from 10 on.
SCOPES: Final = (*p.SEPARATE, "run")
UNLIKELY: Final = ", !prof !30"
ALWAYS_SAME: Final = ", !invariant.load !31"


class Text:
    """A module on its way; see :func:`anybpf.engines.lowering.llvm.print_module`."""

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

    def tail(self) -> list[str]:
        out = ["!0 = distinct !{!0}"]
        numbers = {name: number + 1 for number, name in enumerate(SCOPES)}
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
            f"load ptr, ptr getelementptr (ptr, ptr @anybpf_imports, i64 {place}){ALWAYS_SAME}"
        )

    def runtime(self, name: str, arguments: str) -> str:
        kind = RUNTIME[name]
        return f"call {kind[0]} {self.symbol(name, kind)}({arguments})"

    def field(self, name: str, base: str = "%run") -> str:
        return self.value(f"getelementptr i8, ptr {base}, i64 {self.layout[name]}")

    def load_field(self, kind: str, name: str, base: str = "%run") -> str:
        return self.value(f"load {kind}, ptr {self.field(name, base)}{scope('run')}")

    def load_region(self, region: str, field: str) -> str:
        layout = self.layout
        place = layout["run.region"] + layout[f"regions.{region}"] * layout["region.bytes"]
        place += layout[f"region.{field}"]
        address = self.value(f"getelementptr i8, ptr %run, i64 {place}")
        return self.value(f"load i64, ptr {address}{scope('run')}")

    def store_field(self, kind: str, name: str, text: str) -> None:
        self.emit(f"store {kind} {text}, ptr {self.field(name)}{scope('run')}")

    def intrinsic(self, declaration: str) -> None:
        self.intrinsics.add(declaration)

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
        self.emit(f"br i1 {wrong}, label %{over}, label %{on}{UNLIKELY}")
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
        self.emit(f"br i1 {spent}, label %{ask}, label %{on}{UNLIKELY}")
        self.begin(ask)
        more = self.value(self.runtime("anybpf_native_spend", "ptr %run"))
        self.stop_unless(self.value(f"icmp ne i32 {more}, 0"))
        self.emit(f"br label %{on}")
        self.begin(on)


def scope(kind: str) -> str:
    if kind not in SCOPES:
        return ""
    number = SCOPES.index(kind) + 1
    return f", !alias.scope !{9 + number}, !noalias !{19 + number}"
