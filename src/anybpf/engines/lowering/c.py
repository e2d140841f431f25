"""Plans as C: one file for several programs, which any C compiler makes a library of.

The file defines where the run's fields lie, includes ``anybpf/native.h``, and ends with a table of
its programs and of the addresses that it needs; ``engines/c_library`` loads what becomes of it. The
text of a function is the business of ``c_function``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from struct import pack
from typing import TYPE_CHECKING, Final

from anybpf.engines.lowering.c_function import FunctionPrinter
from anybpf.engines.lowering.plan import FunctionPlan, Plan, make_plan
from anybpf.engines.lowering.source import UNPROVED, Source, source_of

if TYPE_CHECKING:
    from anybpf.engines.prepared import Prepared

# What the header asks for, and under which name of `_core.LAYOUT` that stands.
_PLACES: Final = {
    "RUN_SLICE": "run.slice",
    "RUN_END": "run.stop.end",
    "RUN_NEXT": "run.next_program",
    "RUN_CALLING": "run.calling",
    "RUN_SEAT": "run.seat",
    "RUN_FRAMES": "run.frames",
    "RUN_STACK": "run.stack",
    "RUN_REGION": "run.region",
    "REGION_BYTES": "region.bytes",
    "REGION_START": "region.start",
    "REGION_SIZE": "region.size",
    "REGION_WRITABLE_SIZE": "region.writable_size",
    "CONTEXT": "regions.context",
    "PACKET": "regions.packet",
    "FIRST_AREA": "regions.first_area",
    "FRAMES": "frames",
    "FRAME_BYTES": "frame.bytes",
}

# Functions of the run time (src/core/native.h): result and parameters.
_RUNTIME: Final = {
    "anybpf_native_stopped": ("uint64_t", "struct anybpf_run *, uint32_t"),
    "anybpf_native_fault": (
        "uint64_t", "struct anybpf_run *, uint32_t, uint64_t, uint32_t, uint32_t"
    ),
    "anybpf_native_misaligned": (
        "uint64_t", "struct anybpf_run *, uint32_t, uint64_t, uint32_t"
    ),
    "anybpf_native_bad": ("uint64_t", "struct anybpf_run *, uint32_t"),
    "anybpf_native_check": ("uint32_t", "struct anybpf_run *, uint64_t, uint32_t, uint32_t"),
    "anybpf_native_spend": ("uint32_t", "struct anybpf_run *"),
    "anybpf_native_enter": ("uint32_t", "struct anybpf_run *"),
    "anybpf_native_leave": ("void", "struct anybpf_run *"),
    "anybpf_native_next": ("uint64_t", "uint8_t *, struct anybpf_run *, uint64_t"),
    "anybpf_native_next_inside": ("uint64_t", "struct anybpf_run *"),
    "anybpf_native_call": (
        "uint64_t",
        "struct anybpf_run *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t",
    ),
    "anybpf_native_packet": ("uint32_t", "struct anybpf_run *, uint32_t, uint32_t, uint64_t *"),
    "anybpf_native_cast": ("uint64_t", "struct anybpf_run *, uint64_t, uint32_t"),
    "anybpf_native_update": (
        "uint64_t", "struct anybpf_run *, void *, const uint8_t *, const uint8_t *, uint64_t"
    ),
    "anybpf_native_delete": ("uint64_t", "struct anybpf_run *, void *, const uint8_t *"),
}  # fmt: skip
_LOOKUP: Final = ("uint8_t *", "void *, const uint8_t *, uint32_t")
# Other symbols by what they begin with: how they are called here, and their type.
_OWN: Final = (
    ("anybpf_helper_", "helper_", "anybpf_helper"),
    ("anybpf_map_", "map_", "void *"),
    ("anybpf_values_", "values_", "uint8_t *"),
    ("anybpf_lookup_", "lookup_", ""),
)


class Unit:
    """A program to be written: what it is, and what people are told about it.

    ``names`` are those of functions by the slot that they begin at, ``comments`` stand above
    instructions.
    """

    __slots__ = ("comments", "names", "source")

    def __init__(self, source: Source) -> None:
        self.source: Source = source
        self.names: dict[int, str] = {}
        self.comments: dict[int, str] = {}


def emit_c(programs: Iterable[Prepared], checks: str = UNPROVED) -> str:
    """The C of prepared programs, with their source lines where these are known.

    :class:`NotSupported` for code that only the interpreter runs.
    """
    from anybpf import _core

    units = [unit_of(program) for program in programs]
    return print_c(units, _core.LAYOUT, _core.NATIVE_ABI, checks)


def unit_of(prepared: Prepared) -> Unit:
    unit = Unit(source_of(prepared, ahead=True))
    last: tuple[str, int] | None = None
    for index, slot in enumerate(unit.source.slots):
        place = prepared.source_place(slot)
        if place is not None and place != last:
            text = "" if prepared.proof is None else _text_of(prepared, index)
            unit.comments[index] = _comment(f"{place[0]}:{place[1]}{text}")
        last = place
    if prepared.proof is not None:
        for index, name in enumerate(prepared.proof.function_of):
            slot = unit.source.slots[index]
            if index == 0 or prepared.proof.function_of[index - 1] != name:
                unit.names.setdefault(slot, name)
    return unit


def _text_of(prepared: Prepared, index: int) -> str:
    line = prepared.verification.source_line(index)
    return "" if line is None or not line.text else f": {line.text.strip()}"


def _comment(text: str) -> str:
    return f"/* {' '.join(text.split()).replace('*/', '* /').replace('/*', '/ *')} */"


def identity(source: Source, checks: str = UNPROVED) -> str:
    """A digest of all that code was made of: where two are equal, one's code is the other's."""
    digest = hashlib.sha256()
    maps = [
        (one.name, one.kind, one.key_size, one.value_size, one.max_entries, one.open)
        for one in source.maps
    ]
    rest = (
        source.helpers, maps, sorted(source.pointers), sorted(source.returning), source.arguments,
        source.context_size, checks,
    )  # fmt: skip
    for part in (source.code, repr(rest).encode(), source.facts.to_json().encode()):
        digest.update(pack("<Q", len(part)))
        digest.update(part)
    return digest.hexdigest()


def print_c(
    units: Sequence[Unit], layout: Mapping[str, int], abi: int, checks: str = UNPROVED
) -> str:
    """The file."""
    return _File(units, layout, abi, checks).text()


class _Program:
    """One program on its way: the names that it uses, and the text of its functions."""

    def __init__(self, file: _File, unit: Unit, name: str, checks: str) -> None:
        self.file: _File = file
        self.unit: Unit = unit
        self.name: str = name
        self.plan: Plan = make_plan(unit.source, checks)
        self.symbols: dict[str, str] = {}  # how they are written, by symbol
        self.functions: list[list[str]] = []
        self.heads: list[str] = []
        self.values: list[FunctionPlan] = []
        for one in self.plan.functions:
            if one.blocks:
                self._print(one)

    def _print(self, one: FunctionPlan) -> None:
        printer = FunctionPrinter(self.plan, one, self.symbol, self.name_of, self.comment)
        text = printer.run()
        self.heads.append(f"{text[0]};")
        self.functions.append(text)
        if one.function.is_value:
            self.values.append(one)

    def comment(self, index: int) -> str:
        return self.unit.comments.get(index, "")

    def name_of(self, one: FunctionPlan) -> str:
        if one.function.number == 0:
            return self.name
        own = _identifier(self.unit.names.get(one.function.slot, ""))
        return f"{self.name}__{own}_{one.function.slot}".replace("___", "__")

    def symbol(self, symbol: str) -> str:
        if symbol in _RUNTIME:
            self.file.use(symbol)
            return symbol
        known = self.symbols.get(symbol)
        if known is None:
            known = self._word(symbol)
            if known in self.symbols.values():
                known += f"_{len(self.symbols)}"
            self.symbols[symbol] = known
        return known

    def _word(self, symbol: str) -> str:
        source = self.unit.source
        for start, word, _ in _OWN:
            if symbol.startswith(start):
                index = int(symbol[len(start) :])
                names = source.helpers if word == "helper_" else [one.name for one in source.maps]
                name = names[index] if index < len(names) else str(index)
                return word + _identifier(name)
        return "functions"  # anybpf_ops

    def defines(self) -> list[str]:
        out = []
        for symbol, word in self.symbols.items():
            cell = self.file.cell(self.unit.source.name, symbol)
            kind = next((kind for start, _, kind in _OWN if symbol.startswith(start)), "uint8_t *")
            if kind:
                out.append(f"#define {word} ANYBPF_IMPORT({kind}, {cell})")
            else:
                out.append(f"#define {word} ANYBPF_FUNCTION({_LOOKUP[0]}, ({_LOOKUP[1]}), {cell})")
        return out

    def text(self) -> list[str]:
        source = self.unit.source
        title = _comment(f"Program {source.name}: {len(source.code) // 8} slots.")
        out = ["", title, "", *self.defines(), ""]
        out += [*self.heads, ""]
        for function in self.functions:
            out += [*function, ""]
        if self.values:
            rows = [f"    {{{one.function.slot}, {self.name_of(one)}}}," for one in self.values]
            out += [f"static const struct anybpf_c_function {self.name}__values[] = {{", *rows]
            out += ["};", ""]
        return out + [f"#undef {word}" for word in self.symbols.values()]

    def row(self) -> str:
        source = self.unit.source
        values = f"{self.name}__values, {len(self.values)}" if self.values else "NULL, 0"
        made_of = identity(source, self.plan.checks)
        return f'    {{{_string(source.name)}, "{made_of}",\n     {self.name}, {values}}},'


class _File:
    def __init__(
        self, units: Sequence[Unit], layout: Mapping[str, int], abi: int, checks: str
    ) -> None:
        self.layout: Mapping[str, int] = layout
        self.abi: int = abi
        self.checks: str = checks
        self.cells: dict[tuple[str, str], int] = {}
        self.runtime: list[str] = []
        self.programs: list[_Program] = []
        names: set[str] = set()
        for unit in units:
            name = "program_" + _identifier(unit.source.name)
            while name in names:
                name += "_"
            names.add(name)
            self.programs.append(_Program(self, unit, name, checks))

    def use(self, symbol: str) -> None:
        if symbol not in self.runtime:
            self.runtime.append(symbol)

    def cell(self, program: str, symbol: str) -> int:
        return self.cells.setdefault((program, symbol), len(self.cells))

    def text(self) -> str:
        defines = []
        for name in self.runtime:
            result, parameters = _RUNTIME[name]
            cell = self.cell("", name)
            defines.append(
                f"#define {name} \\\n    ANYBPF_FUNCTION({result}, ({parameters}), {cell})"
            )
        body = [line for program in self.programs for line in program.text()]
        places = [f"#define ANYBPF_{name} {self.layout[key]}" for name, key in _PLACES.items()]
        out = [
            "/* Written by anybpf: not to be edited, but read. Compile it with",
            " *",
            " *     cc -O2 -shared -fPIC -I$(include directory of anybpf) FILE.c -o FILE.so",
            " */",
            f"#define ANYBPF_ABI {self.abi}",
            f"#define ANYBPF_CELLS {max(1, len(self.cells))}",
            *places,
            "#include <anybpf/native.h>",
            "",
            *defines,
            *body,
            "",
            *self.table(),
        ]
        return "\n".join(out) + "\n"

    def table(self) -> list[str]:
        imports = [
            f"    {{{_string(program)}, {_string(symbol)}}}," for program, symbol in self.cells
        ]
        return [
            "static const struct anybpf_c_import imports[] = {",
            *(imports or ["    {NULL, NULL},"]),
            "};",
            "",
            "static const struct anybpf_c_program programs[] = {",
            *[program.row() for program in self.programs],
            "    {NULL, NULL, NULL, NULL, 0},",
            "};",
            "",
            "const struct anybpf_c_image anybpf_image = {",
            "    {'A', 'N', 'Y', 'B', 'P', 'F', 'C', '1'}, ANYBPF_ABI, "
            f"{len(self.programs)}, {len(self.cells)}, programs, imports, anybpf_imports,",
            "};",
        ]


def _identifier(name: str) -> str:
    """As much of a name as C can have."""
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)


def _string(text: str) -> str:
    """As C writes it; what is no plain character as three octal digits."""
    plain = [
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode(errors="replace")
    ]
    return '"' + "".join(plain) + '"'
