"""Machine code beside the bytecode and the source that it was made of, for people to read.

A program is compiled once more, with a place for each instruction; what runs is the same but for
the places. Compiling for running is the business of ``jit`` and ``image``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from anybpf import _core
from anybpf.engines.lowering import UNPROVED, Source, make_plan, source_of
from anybpf.engines.lowering.llvm import print_module
from anybpf.engines.prepared import Prepared
from anybpf.platforms import Helper, Platform

# What stands where there is no machine code to be shown.
_NO_DISASSEMBLER: Final = (
    "The machine code of an image is not shown: llvmlite takes none apart. `objdump -d` does, and "
    "the library names its programs."
)
_MACHINE_INDENT: Final = " " * 12


class _Names:
    """Helpers by the numbers that a program calls them by."""

    __slots__ = ("_platform", "_type")

    def __init__(self, prepared: Prepared) -> None:
        self._platform: Platform = prepared.platform
        self._type: str = prepared.type.name

    def helper(self, number: int) -> Helper | None:
        return self._platform.find_helper(number, self._type)


class _Part:
    """What stands together: a source line, its instructions, and their machine code."""

    __slots__ = ("bytecode", "first", "heading", "machine")

    def __init__(self, first: int, heading: str) -> None:
        self.first: int = first
        self.heading: str = heading
        self.bytecode: list[str] = []
        self.machine: list[str] = []


def native_listing(
    prepared: Prepared,
    source: Source | None = None,
    *,
    checks: str = UNPROVED,
    triple: str | None = None,
) -> str:
    """The listing of one program. ``source`` is what it is compiled from, if that is not what
    ``prepared`` says; ``triple`` another target than this machine.

    :class:`NotSupported` where llvmlite is missing. Programs out of images are shown without
    machine code.
    """
    parts = _parts(prepared)
    if prepared.proof is None:
        title = [f"Program {prepared.name}, out of an image.", _NO_DISASSEMBLER]
        return _text(title, parts)
    from anybpf.engines import llvm

    plan = make_plan(source_of(prepared) if source is None else source, checks)
    module = print_module(plan, _core.LAYOUT, lines=True).text
    rows = machine_lines(llvm.assembly(module, triple=triple))
    _place(rows, parts)
    count = sum(1 for _, line in rows if not line.endswith(":"))
    host = llvm.host()
    instructions = sum(1 for one in prepared.instructions if one.slots)
    title = [
        f"Program {prepared.name}: {instructions} instructions, compiled to {count} of "
        f"{triple or host.triple} by LLVM {host.version}."
    ]
    return _text(title, parts)


def emit_listing(programs: Iterable[Prepared], triple: str | None = None) -> str:
    """The listings of several programs, one after the other."""
    return "\n".join(native_listing(one, triple=triple) for one in programs)


def _text(title: list[str], parts: list[_Part]) -> str:
    out = list(title)
    for part in parts:
        out.append("")
        if part.heading:
            out.append(part.heading)
        out += part.bytecode
        out += part.machine
    return "\n".join(out) + "\n"


def _parts(prepared: Prepared) -> list[_Part]:
    """A part for each stretch of instructions of one source line."""
    texts = _bytecode(prepared)
    parts: list[_Part] = []
    last: str | None = None
    slot = 0
    for index, insn in enumerate(prepared.instructions):
        heading = _heading(prepared, index, slot)
        # A label at which others arrive begins a part where nothing else tells parts apart.
        if heading != last or (not heading and len(texts[slot]) > 1):
            parts.append(_Part(slot, heading))
            last = heading
        parts[-1].bytecode += texts[slot]
        slot += insn.slots
    return parts


def _heading(prepared: Prepared, index: int, slot: int) -> str:
    place = prepared.source_place(slot)
    if place is None:
        return ""
    line = None if prepared.proof is None else prepared.proof.source_line(index)
    text = "" if line is None or not line.text else f": {line.text.strip()}"
    return f"{place[0]}:{place[1]}{text}"


def _bytecode(prepared: Prepared) -> dict[int, list[str]]:
    """By slot: the instruction as our own listing has it, and labels in front of it."""
    from anybpf.isa.listing import anybpf as listing

    hints: dict[int, str] = {}
    names: _Names | None = None
    if prepared.proof is not None:
        names = _Names(prepared)
        if prepared.proof.collection is not None:
            from anybpf.objects.hints import access_hints

            hints = access_hints(
                prepared.proof.program, prepared.proof.collection, prepared.platform
            )
    found: dict[int, list[str]] = {}
    slots = []
    slot = 0
    for insn in prepared.instructions:
        slots.append(slot)
        slot += insn.slots
    waiting: list[str] = []
    following = iter(slots)
    for line in listing.lines(prepared.instructions, names=names, hints=hints, sources=False):
        waiting.append(line)
        number = line.strip().partition(":")[0]
        if line.startswith(" ") and number.isdigit():
            found[next(following)] = waiting
            waiting = []
    return found


def machine_lines(assembly: str) -> list[tuple[int, str]]:
    """The instructions and labels of LLVM's assembly text, each with the slot that it is of.

    Debug locations are slots counted from one; what has none belongs to what stands in front.

    >>> machine_lines("entry:\\n\\t.loc 1 3 0\\n\\tretq\\n")
    [(2, 'entry:'), (2, 'retq')]
    """
    rows: list[tuple[int, str]] = []
    slot = 0
    labels: list[str] = []
    for line in assembly.splitlines():
        text = " ".join(line.split())
        if text.startswith(".loc "):
            number = int(text.split()[2])
            slot = number - 1 if number else slot
        elif line[:1] not in ("", "\t", " ", "#", "/"):
            labels.append(text)
        elif text.startswith((".section", ".text")):
            labels = []
        elif text and not text.startswith((".", "#", "//")):
            rows += [(slot, label) for label in labels if not label.startswith(_NOBODYS)]
            labels = []
            rows.append((slot, text))
    return rows


# Labels of LLVM's own that nothing jumps to.
_NOBODYS: Final = (".Lfunc", ".Ltmp", ".Lcu", ".Ldebug", ".Linfo", ".Lline")


def _place(rows: list[tuple[int, str]], parts: list[_Part]) -> None:
    """Machine code to its parts, in the order in which it lies in memory."""
    from bisect import bisect_right

    starts = [part.first for part in parts]
    for slot, line in rows:
        part = parts[max(0, bisect_right(starts, slot) - 1)]
        indent = _MACHINE_INDENT[:-4] if line.endswith(":") else _MACHINE_INDENT
        part.machine.append(indent + line)
