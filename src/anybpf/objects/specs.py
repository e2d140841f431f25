"""What an object file says: programs, functions, maps, variables, as plain values.

A spec touches no system and holds no handle. It can be copied, looked through and changed before
anything is loaded from it. How a file becomes specs is the business of the modules beside this
one; what loads them are the back ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from anybpf.btf import BTF
from anybpf.errors import LinkError, NotFound
from anybpf.isa.instruction import Instruction


class Function:
    """One function of an object: a program's entry or a subprogram.

    ``calls`` are the names of the functions that it calls or whose address it takes, in order of
    first mention. ``offset`` is in bytes from the start of its section.
    """

    __slots__ = (
        "calls",
        "instructions",
        "is_global",
        "is_weak",
        "name",
        "offset",
        "section",
        "tags",
        "type_id",
    )

    def __init__(
        self, name: str, section: str, offset: int, instructions: list[Instruction]
    ) -> None:
        self.name = name
        self.section = section
        self.offset = offset
        self.instructions = instructions
        self.is_global = True
        self.is_weak = False
        self.type_id = 0  # the BTF function, 0 if there is none
        self.tags: list[str] = []  # BTF declaration tags of the function itself
        self.calls: list[str] = []

    @property
    def slots(self) -> int:
        """The length in units of eight bytes."""
        return sum([insn.slots for insn in self.instructions])

    def __repr__(self) -> str:
        return f"<Function {self.name} in {self.section}, {self.slots} slots>"


class ProgramSpec:
    """A program: an entry function, what kind of program it is, and the functions it needs."""

    __slots__ = (
        "attach_to",
        "attach_type",
        "autoload",
        "flags",
        "function",
        "license",
        "platform",
        "section",
        "subprograms",
        "type",
    )

    def __init__(self, function: Function, section: str) -> None:
        self.function = function
        self.section = section  # as written in the file, without a leading "?"
        self.type = "unspec"
        self.attach_type = ""
        self.attach_to = ""  # what stands behind the section's prefix: a function, a tracepoint
        self.autoload = True
        self.flags: list[str] = []  # words such as "sleepable", "frags"
        self.license = ""
        self.platform = ""
        self.subprograms: list[Function] = []  # all that are reachable, in order of first call

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def functions(self) -> list[Function]:
        """The entry function and all subprograms, in the order in which they are laid out."""
        return [self.function, *self.subprograms]

    @property
    def slots(self) -> int:
        """The length of the whole program in units of eight bytes."""
        return sum([function.slots for function in self.functions])

    @property
    def instructions(self) -> list[Instruction]:
        """The whole program as one piece of code: a fresh copy, calls resolved.

        Each function's first instruction bears its name as symbol. Map references are left to
        whoever creates the maps.
        """
        starts: dict[str, int] = {}
        slot = 0
        for function in self.functions:
            starts[function.name] = slot
            slot += function.slots
        out: list[Instruction] = []
        slot = 0
        for function in self.functions:
            first = True
            for original in function.instructions:
                insn = original.copy()
                if first:
                    insn.symbol = function.name
                    first = False
                if insn.is_local_call or insn.is_function_load:
                    target = starts.get(insn.reference)
                    if target is None:
                        raise LinkError(
                            f"program {self.name}: function {insn.reference or '?'} is called "
                            f"at slot {slot} but is not part of the program",
                            section=function.section,
                        )
                    insn.imm = target - (slot + 1)
                slot += insn.slots
                out.append(insn)
        return out

    def __repr__(self) -> str:
        return f"<ProgramSpec {self.name}, {self.type}, section {self.section}, {self.slots} slots>"


class MapSpec:
    """A map as the file describes it.

    ``contents`` are the initial entries that the file gives: key bytes, and the value as bytes,
    or the name of the map or program to be put there.
    """

    __slots__ = (
        "contents",
        "extra",
        "flags",
        "inner",
        "key_size",
        "key_type_id",
        "kind",
        "max_entries",
        "name",
        "numa_node",
        "pinning",
        "section",
        "section_offset",
        "tags",
        "type",
        "value_size",
        "value_type_id",
    )

    def __init__(self, name: str, type_name: str) -> None:
        self.name = name
        self.type = type_name  # the platform's name of the map type, such as "percpu_hash"
        self.kind = "user"  # or what section data it holds: "data", "rodata", "bss", "kconfig", …
        self.key_size = 0
        self.value_size = 0
        self.max_entries = 0
        self.flags = 0
        self.pinning = ""  # "" or "by_name"
        self.numa_node = -1
        self.extra = 0
        self.inner: MapSpec | None = None
        self.key_type_id = 0
        self.value_type_id = 0
        self.contents: list[tuple[bytes, bytes | str]] = []
        self.section = ""
        self.section_offset = 0
        self.tags: list[str] = []

    def __repr__(self) -> str:
        return (
            f"<MapSpec {self.name}, {self.type}, key {self.key_size} B, value {self.value_size} B, "
            f"{self.max_entries} entries>"
        )


class VariableSpec:
    """A global variable: a named, typed piece of a section's data map."""

    __slots__ = ("is_global", "map", "name", "offset", "section", "size", "tags", "type_id")

    def __init__(self, name: str, section: str, offset: int, size: int, map_spec: MapSpec) -> None:
        self.name = name
        self.section = section
        self.offset = offset
        self.size = size
        self.map = map_spec
        self.type_id = 0
        self.is_global = True
        self.tags: list[str] = []

    @property
    def is_constant(self) -> bool:
        """Whether programs may only read it."""
        return self.map.kind in ("rodata", "kconfig")

    @property
    def value(self) -> bytes:
        """The initial value."""
        data = _data_of(self.map)
        return data[self.offset : self.offset + self.size]

    @value.setter
    def value(self, value: bytes) -> None:
        if len(value) != self.size:
            raise ValueError(
                f"variable {self.name} holds {self.size} bytes, the new value has {len(value)}"
            )
        data = _data_of(self.map)
        self.map.contents = [
            (b"\0\0\0\0", data[: self.offset] + value + data[self.offset + self.size :])
        ]

    def __repr__(self) -> str:
        return f"<VariableSpec {self.name} in {self.section}, {self.size} bytes>"


class ExternSpec:
    """A name that the object uses and the system must supply: ``.kconfig`` and ``.ksyms``."""

    __slots__ = ("is_function", "is_weak", "name", "offset", "section", "size", "type_id")

    def __init__(self, name: str, section: str) -> None:
        self.name: Final = name
        self.section: Final = section
        self.is_function = False
        self.is_weak = False
        self.type_id = 0
        self.offset = 0
        self.size = 0

    def __repr__(self) -> str:
        weak = ", weak" if self.is_weak else ""
        return f"<ExternSpec {self.name} in {self.section}{weak}>"


class CollectionSpec:
    """All that one object file says. What :func:`anybpf.objects.load_spec` returns."""

    __slots__ = (
        "big_endian",
        "btf",
        "externs",
        "file",
        "functions",
        "license",
        "maps",
        "name",
        "platform",
        "programs",
        "variables",
        "version",
    )

    def __init__(self, name: str, file: str, platform: str) -> None:
        self.name = name
        self.file = file
        self.platform = platform
        self.big_endian = False
        self.license = ""
        self.version = 0
        self.btf: BTF | None = None
        self.programs: dict[str, ProgramSpec] = {}
        self.functions: dict[str, Function] = {}
        self.maps: dict[str, MapSpec] = {}
        self.variables: dict[str, VariableSpec] = {}
        self.externs: dict[str, ExternSpec] = {}

    def program(self, name: str = "", section: str = "") -> ProgramSpec:
        """The one program of that name, section, or both; :class:`NotFound` lists the choices."""
        found = [
            program
            for program in self.programs.values()
            if (not name or program.name == name) and (not section or program.section == section)
        ]
        if len(found) == 1:
            return found[0]
        what = " and ".join(
            [f"{word} {text}" for word, text in (("name", name), ("section", section)) if text]
        )
        there = ", ".join([f"{p.name} ({p.section})" for p in self.programs.values()]) or "none"
        problem = "several programs" if found else "no program"
        raise NotFound(
            f"{self.file or self.name}: {problem}{f' with {what}' if what else ''}; "
            f"there are: {there}"
        )

    def __iter__(self) -> Iterator[ProgramSpec]:
        return iter(list(self.programs.values()))

    def __repr__(self) -> str:
        return (
            f"<CollectionSpec {self.name} for {self.platform}: {len(self.programs)} programs, "
            f"{len(self.maps)} maps, {len(self.variables)} variables>"
        )


def _data_of(spec: MapSpec) -> bytes:
    """The bytes of a section's data map; one that was never given contents is zero."""
    if spec.contents:
        value = spec.contents[0][1]
        if isinstance(value, bytes):
            return value
    return bytes(spec.value_size)
