"""What each section of an object is for, and the state that the steps of loading share.

A section's role follows from its name and kind alone. What the sections hold is read by the
module named after it: `functions`, `maps_legacy`, `maps_btf`, `data`, `externs`, `struct_ops`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from anybpf.btf import BTF
from anybpf.errors import ObjectError
from anybpf.objects import elf as e
from anybpf.objects.elf import ElfFile, Section, Symbol
from anybpf.objects.specs import CollectionSpec, Function
from anybpf.platforms import Platform

OTHER: Final = 0
CODE: Final = 1
LICENSE: Final = 2
VERSION: Final = 3
LEGACY_MAPS: Final = 4
BTF_MAPS: Final = 5
DATA: Final = 6
RODATA: Final = 7
BSS: Final = 8
STRUCT_OPS: Final = 9
ARENA: Final = 10

# The names of data maps' kinds, by role.
DATA_KINDS: Final = {DATA: "data", RODATA: "rodata", BSS: "bss"}

# Names: libbpf's overview of program types and sections (docs.kernel.org/bpf/libbpf) and the
# "maps/" form of other loaders.
_EXACT: Final = {
    "license": LICENSE,
    "version": VERSION,
    "maps": LEGACY_MAPS,
    ".maps": BTF_MAPS,
    ".data": DATA,
    ".rodata": RODATA,
    ".bss": BSS,
    ".struct_ops": STRUCT_OPS,
    ".struct_ops.link": STRUCT_OPS,
    "?.struct_ops": STRUCT_OPS,
    "?.struct_ops.link": STRUCT_OPS,
    ".addr_space.1": ARENA,
}
_PREFIXES: Final = (
    ("maps/", LEGACY_MAPS),
    (".data.", DATA),
    (".rodata.", RODATA),
    (".bss.", BSS),
)


def role_of(section: Section) -> int:
    """What a section is for, as one of the numbers above."""
    if section.type != e.SHT_PROGBITS and section.type != e.SHT_NOBITS:
        return OTHER
    if section.size == 0:
        return OTHER
    if section.is_code:
        return CODE
    name = section.name
    role = _EXACT.get(name)
    if role is not None:
        return role
    for prefix, found in _PREFIXES:
        if name.startswith(prefix):
            return found
    return OTHER


def is_subprogram_section(name: str) -> bool:
    """Whether functions there are helpers of programs elsewhere, not programs themselves."""
    return name == ".text" or name.startswith(".text.")


class ObjectFile:
    """An object file on its way to becoming a :class:`CollectionSpec`.

    ``symbols_in`` holds the symbols that define something in a section with a role, ``map_at`` the
    key in ``spec.maps`` of each map definition by section and offset, ``data_map`` the key of each
    data section's map, ``functions_in`` the functions of each section by offset.
    """

    __slots__ = (
        "btf", "data_map", "elf", "functions_in", "labels", "map_at", "platform", "roles", "spec",
        "symbols_in", "tags", "unnamed",
    )  # fmt: skip

    def __init__(self, elf: ElfFile, spec: CollectionSpec, platform: Platform) -> None:
        self.elf: ElfFile = elf
        self.spec: CollectionSpec = spec
        self.platform: Platform = platform
        self.btf: BTF | None = None
        self.roles: list[int] = [role_of(section) for section in elf.sections]
        self.symbols_in: dict[int, list[Symbol]] = {}
        self.labels: dict[int, list[Symbol]] = {}
        self.map_at: dict[int, dict[int, str]] = {}
        self.data_map: dict[int, str] = {}
        self.functions_in: dict[int, list[Function]] = {}
        self.unnamed: int = 0  # functions that only calls tell of
        # Declaration tags by the id of the type that they are on.
        self.tags: dict[int, list[str]] = {}
        roles = self.roles
        count = len(roles)
        for symbol in elf.symbols:
            index = symbol.section_index
            if index == 0 or index >= count or roles[index] == OTHER:
                continue
            if symbol.kind == e.STT_SECTION or symbol.kind == e.STT_FILE or not symbol.name:
                continue
            if symbol.kind == e.STT_NOTYPE and symbol.binding == e.STB_LOCAL:
                # A jump label, or what compilers before types made of a static function.
                self.labels.setdefault(index, []).append(symbol)
            else:
                self.symbols_in.setdefault(index, []).append(symbol)

    def function_at(self, section_index: int, offset: int) -> Function | None:
        """The function that begins at an offset of a section."""
        functions = self.functions_in.get(section_index)
        if functions is None:
            return None
        low = 0
        high = len(functions)
        while low < high:
            middle = (low + high) // 2
            if functions[middle].offset < offset:
                low = middle + 1
            else:
                high = middle
        if low < len(functions) and functions[low].offset == offset:
            return functions[low]
        return None

    def forget_symbols(self) -> None:
        """Give the memory of the symbols back, once everything refers to specs instead."""
        self.symbols_in = {}
        self.labels = {}
        self.elf.forget_symbols()

    def sections_with(self, role: int) -> list[Section]:
        """The sections of a role, in file order."""
        return [section for section in self.elf.sections if self.roles[section.index] == role]

    def error(self, section: Section, message: str, offset: int = 0) -> ObjectError:
        return self.elf.error_in(section, message, offset)

    def tags_of(self, type_id: int) -> tuple[str, ...]:
        """The declaration tags of a type."""
        found = self.tags.get(type_id)
        return () if found is None else tuple(found)


def text_of(data: memoryview) -> str:
    """A C string, up to its NUL; bytes that are no UTF-8 become backslash escapes."""
    raw = bytes(data)
    end = raw.find(0)
    if end >= 0:
        raw = raw[:end]
    return raw.decode("utf-8", "backslashreplace")


def free_name(taken: Collection[str], name: str, section: str, offset: int) -> str:
    """``name``, or ``name@section``, or with the offset added: the first that is not taken."""
    if name not in taken:
        return name
    longer = f"{name}@{section}"
    if longer not in taken:
        return longer
    longer = f"{name}@{section}+{offset:#x}"
    # Sections may share their names too; the count makes what is left different.
    return f"{longer}#{len(taken)}" if longer in taken else longer
