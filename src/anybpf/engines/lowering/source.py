"""What lowering starts from: a program's code, and what was proved of it.

Plain values, so that a proved program, one from an image and one of a test come in alike. What is
made of them is the business of ``plan``.
"""

from __future__ import annotations

import sys
from typing import Final

from anybpf.engines.prepared import CONTEXT_KIND, HEADER_SLOTS, Prepared
from anybpf.errors import InputError
from anybpf.isa import Instruction, decode
from anybpf.isa import opcodes as op
from anybpf.platforms.kinds import MAP_VALUE, MEMORY
from anybpf.verifier.facts import Facts

# Which accesses are compared with their bounds when they are made: those not proved, or all.
UNPROVED: Final = "unproved"
ALL: Final = "all"
CHECKS: Final = (UNPROVED, ALL)

_PREFIX: Final = "bpf_"
# Flags of maps that say what programs may not do end so: "rdonly_prog".
_FOR_PROGRAMS: Final = "_prog"


class MapShape:
    """As much of a map as compiled code knows of it."""

    __slots__ = ("key_size", "kind", "max_entries", "name", "open", "value_size")

    def __init__(
        self, name: str, kind: str, key_size: int, value_size: int, max_entries: int, is_open: bool
    ) -> None:
        self.name: str = name
        self.kind: str = kind
        self.key_size: int = key_size
        self.value_size: int = value_size
        self.max_entries: int = max_entries
        # Whether programs may both read and write it.
        self.open: bool = is_open


class Source:
    """One program. Instructions are numbered as facts number them; ``slots`` says where each is.

    ``pointers`` are the instructions that load a pointer to the packet from the context,
    ``returning`` the helpers that give a pointer, by index. ``facts`` without anything proved
    make code in which every access is checked.
    """

    __slots__ = (
        "ahead",
        "arguments",
        "code",
        "context_size",
        "facts",
        "helpers",
        "index_of",
        "instructions",
        "map_of_fact",
        "maps",
        "name",
        "pointers",
        "returning",
        "slots",
        "unwritten_reads",
    )

    def __init__(self, name: str, code: bytes, facts: Facts | None = None) -> None:
        self.name: str = name
        self.code: bytes = code
        self.instructions: list[Instruction] = decode(code, big_endian=sys.byteorder == "big")
        self.slots: list[int] = []
        self.index_of: dict[int, int] = {}
        slot = 0
        for index, insn in enumerate(self.instructions):
            self.slots.append(slot)
            self.index_of[slot] = index
            slot += insn.slots
        if not self.instructions:
            raise InputError(f"program {name} has no instructions to compile")
        self.facts: Facts = Facts(len(self.instructions)) if facts is None else facts
        self.helpers: list[str] = []
        # Whether it is compiled for a time when helpers of any name may be in Python.
        self.ahead: bool = False
        self.maps: list[MapShape] = []
        # Which of the maps a fact means by its number, or -1.
        self.map_of_fact: list[int] = []
        self.pointers: set[int] = set()
        self.returning: set[int] = set()
        # How many arguments each helper takes; five where that is not known.
        self.arguments: list[int] = []
        self.context_size: int = 0
        # Whether the program may read bytes of its stack that it has not written.
        self.unwritten_reads: bool = True

    @property
    def proved(self) -> bool:
        """Whether anything is known of the program beyond its code."""
        return bool(self.facts.reached)

    def is_in_python(self, helper: int) -> None:
        """The helper is no built-in, whatever its name: nothing is known of what it does."""
        self.helpers[helper] = f"{self.helpers[helper]} in Python"
        self.arguments[helper] = 5
        self.returning.discard(helper)

    def reached(self, index: int) -> bool:
        return not self.proved or index in self.facts.reached


def source_of(prepared: Prepared, *, ahead: bool = False) -> Source:
    """What is known of a prepared program; see :attr:`Source.ahead`."""
    facts = None if prepared.proof is None else prepared.proof.facts
    source = Source(prepared.name, prepared.code, facts)
    source.ahead = ahead
    source.helpers = list(prepared.helpers)
    source.context_size = prepared.context_size
    closing = sum(f.bit for f in prepared.platform.map_flags if f.name.endswith(_FOR_PROGRAMS))
    for spec in prepared.maps:
        sizes = spec.key_size, spec.value_size, spec.max_entries
        source.maps.append(MapShape(spec.name, spec.type, *sizes, not spec.flags & closing))
    if prepared.proof is not None:
        numbers = {id(spec): index for index, spec in enumerate(prepared.maps)}
        source.map_of_fact = [numbers.get(id(spec), -1) for spec in prepared.proof.maps]
    _find_pointers(source, prepared)
    for index, name in enumerate(prepared.helpers):
        helper = prepared.platform.find_helper(_PREFIX + name, prepared.type.name)
        source.arguments.append(5 if helper is None else len(helper.args))
        if helper is not None and helper.returns.kind in (MAP_VALUE, MEMORY):
            source.returning.add(index)
    return source


def _find_pointers(source: Source, prepared: Prepared) -> None:
    """Loads of the context's packet pointers, whether from their field or from the header."""
    fields = () if prepared.context is None else prepared.context.fields
    places = {field.offset: field for field in fields if field.kind in HEADER_SLOTS and field.read}
    for index, access in source.facts.accesses.items():
        if access.kind == CONTEXT_KIND and not access.write and access.low in places:
            insn = source.instructions[index]
            if insn.opcode & op.CLASS_MASK == op.LDX and access.high == places[access.low].end:
                source.pointers.add(index)
