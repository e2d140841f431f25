"""What an object file says: programs, functions, maps, variables, as plain values.

A spec touches no system and holds no handle. It can be copied, looked through and changed before
anything is loaded from it. How a file becomes specs is the business of the modules beside this
one; what loads them are the back ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from anybpf.btf import BTF
from anybpf.errors import LinkError, NotFound
from anybpf.isa.instruction import Instruction, SourceLine

# The declaration tag with which a program names its handler of exceptions (docs.kernel.org/bpf).
EXCEPTION_CALLBACK: Final = "exception_callback:"
# Bytes of a page of an arena, by which `max_entries` counts, wherever we run.
ARENA_PAGE: Final = 4096


class Function:
    """One function of an object: a program's entry or a subprogram.

    ``name`` is unique in its object: the symbol's name, with the section added where two functions
    share it. ``symbol`` is the name as the file has it, ``aliases`` are further symbols of the same
    place. ``calls`` are the names of the functions that it calls or whose address it takes, in
    order of first mention. ``offset`` is in bytes from the start of its section.
    """

    __slots__ = (
        "aliases",
        "calls",
        "instructions",
        "is_global",
        "is_hidden",
        "is_weak",
        "name",
        "offset",
        "section",
        "symbol",
        "tags",
        "type_id",
    )

    def __init__(
        self, name: str, section: str, offset: int, instructions: list[Instruction]
    ) -> None:
        self.name: str = name
        self.symbol: str = name
        self.section: str = section
        self.offset: int = offset
        self.instructions: list[Instruction] = instructions
        self.is_global: bool = True
        # Visible to other files, not to other objects: loaders tell Linux that it is static.
        self.is_hidden: bool = False
        self.is_weak: bool = False
        self.type_id: int = 0  # the BTF function, 0 if there is none
        self.tags: tuple[str, ...] = ()  # BTF declaration tags of the function itself
        self.aliases: tuple[str, ...] = ()
        self.calls: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """The length in units of eight bytes."""
        total = 0
        for insn in self.instructions:
            total += insn.slots
        return total

    def source_line(self, index: int) -> SourceLine | None:
        """The source line of the instruction at ``index`` of :attr:`instructions`.

        Only the first instruction of a line bears it; this looks back to that one.
        """
        while index >= 0:
            line = self.instructions[index].line
            if line is not None:
                return line
            index -= 1
        return None

    def copy(self) -> Function:
        """The same function with instructions of its own."""
        new = Function(
            self.name, self.section, self.offset, [insn.copy() for insn in self.instructions]
        )
        new.symbol = self.symbol
        new.is_global = self.is_global
        new.is_hidden = self.is_hidden
        new.is_weak = self.is_weak
        new.type_id = self.type_id
        new.tags = self.tags
        new.aliases = self.aliases
        new.calls = self.calls
        return new

    def __repr__(self) -> str:
        return f"<Function {self.name} in {self.section}, {self.slots} slots>"


class ProgramSpec:
    """A program: an entry function, what kind of program it is, and the functions it needs.

    ``functions`` of the constructor are those of the whole object by name; the program finds its
    subprograms there.
    """

    __slots__ = (
        "_all_functions",
        "attach_to",
        "attach_type",
        "autoload",
        "flags",
        "function",
        "license",
        "platform",
        "section",
        "type",
    )

    def __init__(
        self, function: Function, section: str, functions: dict[str, Function] | None = None
    ) -> None:
        self.function: Function = function
        self.section: str = section  # as written in the file, without a leading "?"
        self.type: str = "unspec"
        self.attach_type: str = ""
        # What stands behind the section's prefix: a function, a tracepoint.
        self.attach_to: str = ""
        self.autoload: bool = True
        self.flags: tuple[str, ...] = ()  # words such as "sleepable", "frags"
        self.license: str = ""
        self.platform: str = ""
        self._all_functions: dict[str, Function] = {} if functions is None else functions

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def subprograms(self) -> list[Function]:
        """All functions that the entry reaches, in order of first call, depth first.

        The last is the one that a declaration tag of the entry names to handle exceptions, if any.
        """
        found: list[Function] = []
        seen: set[str] = {self.function.name}
        # What handles exceptions is called by nobody; it comes last.
        todo: list[str] = [
            tag.removeprefix(EXCEPTION_CALLBACK)
            for tag in self.function.tags
            if tag.startswith(EXCEPTION_CALLBACK)
        ]
        todo.extend(reversed(self.function.calls))
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            function = self._all_functions.get(name)
            if function is None:
                continue
            found.append(function)
            todo.extend(reversed(function.calls))
        return found

    @property
    def functions(self) -> list[Function]:
        """The entry function and all subprograms, in the order in which they are laid out."""
        return [self.function, *self.subprograms]

    @property
    def slots(self) -> int:
        """The length of the whole program in units of eight bytes."""
        total = 0
        for function in self.functions:
            total += function.slots
        return total

    @property
    def instructions(self) -> list[Instruction]:
        """The whole program as one piece of code: a fresh copy, calls resolved.

        Each function's first instruction bears its name as symbol. Map references are left to
        whoever creates the maps.
        """
        starts: dict[str, int] = {}
        slot = 0
        functions = self.functions
        for function in functions:
            starts[function.name] = slot
            slot += function.slots
        out: list[Instruction] = []
        slot = 0
        for function in functions:
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
                    distance = target - (slot + 1)
                    # A load's upper half is reserved: a distance back must not spill into it.
                    insn.imm = distance & 0xFFFFFFFF if insn.is_function_load else distance
                slot += insn.slots
                out.append(insn)
        return out

    def copy(self) -> ProgramSpec:
        """The same program with functions of its own, to be changed apart."""
        functions = {name: one.copy() for name, one in self._all_functions.items()}
        return self._twin(functions.get(self.name) or self.function.copy(), functions)

    def _twin(self, function: Function, functions: dict[str, Function]) -> ProgramSpec:
        new = ProgramSpec(function, self.section, functions)
        new.type = self.type
        new.attach_type = self.attach_type
        new.attach_to = self.attach_to
        new.autoload = self.autoload
        new.flags = self.flags
        new.license = self.license
        new.platform = self.platform
        return new

    def __repr__(self) -> str:
        return f"<ProgramSpec {self.name}, {self.type}, section {self.section}, {self.slots} slots>"


class MapSpec:
    """A map as the file describes it.

    ``contents`` are the initial entries that the file gives: key bytes, and the value as bytes,
    or the name of the map or program to be put there. A data map without contents is zero all
    over. ``members`` of a ``struct_ops`` map name the program behind each function pointer.
    ``pinning`` names where the map is looked for and pinned by what the loader makes of its name;
    ``pin_path`` is such a place in full, which goes before it.
    ``data_size`` are the bytes of an arena that the object's variables take; ``data_offset`` says
    where they begin.
    """

    __slots__ = (
        "contents",
        "data_size",
        "extra",
        "flags",
        "id",
        "inner",
        "key_size",
        "key_type_id",
        "kind",
        "max_entries",
        "members",
        "name",
        "numa_node",
        "pin_path",
        "pinning",
        "section",
        "section_offset",
        "tags",
        "type",
        "value_size",
        "value_type_id",
    )

    def __init__(self, name: str, type_name: str) -> None:
        self.name: str = name
        self.type: str = type_name  # the platform's name of the map type, such as "percpu_hash"
        # Or what section data it holds: "data", "rodata", "bss", "kconfig", "arena", "struct_ops".
        self.kind: str = "user"
        self.key_size: int = 0
        self.value_size: int = 0
        self.max_entries: int = 0
        self.flags: int = 0
        # "", "by_name", or "by_object" (iproute2: a directory of the object's own)
        self.pinning: str = ""
        self.pin_path: str = ""
        self.numa_node: int = -1
        self.extra: int = 0
        self.id: int = 0  # iproute2 and Windows: a number that other definitions refer to
        self.inner: MapSpec | None = None
        self.key_type_id: int = 0
        self.value_type_id: int = 0
        self.contents: list[tuple[bytes, bytes | str]] = []
        self.members: dict[str, str] = {}
        self.data_size: int = 0
        self.section: str = ""
        self.section_offset: int = 0
        self.tags: tuple[str, ...] = ()

    @property
    def data_offset(self) -> int:
        """Where the object's variables begin: in an arena, with the page that lets the last of them
        end in the arena's last; 0 elsewhere. Below 0: the arena is too small for them.

        So libbpf does it from December 2025 on, where the kernel can load such addresses. Before,
        they came first, where the first of them looks like a null pointer in many arenas.
        """
        if not self.data_size:
            return 0
        return (self.max_entries - -(-self.data_size // ARENA_PAGE)) * ARENA_PAGE

    def copy(self) -> MapSpec:
        """The same definition, to be changed apart."""
        new = MapSpec(self.name, self.type)
        new.kind = self.kind
        new.key_size = self.key_size
        new.value_size = self.value_size
        new.max_entries = self.max_entries
        new.flags = self.flags
        new.pinning = self.pinning
        new.pin_path = self.pin_path
        new.numa_node = self.numa_node
        new.extra = self.extra
        new.id = self.id
        new.inner = None if self.inner is None else self.inner.copy()
        new.key_type_id = self.key_type_id
        new.value_type_id = self.value_type_id
        new.contents = list(self.contents)
        new.members = dict(self.members)
        new.data_size = self.data_size
        new.section = self.section
        new.section_offset = self.section_offset
        new.tags = self.tags
        return new

    def __repr__(self) -> str:
        return (
            f"<MapSpec {self.name}, {self.type}, key {self.key_size} B, value {self.value_size} B, "
            f"{self.max_entries} entries>"
        )


# What a MapSpec has, for those who write it down: compiled classes do not tell their slots.
MAP_FIELDS: Final = (
    "contents", "data_size", "extra", "flags", "id", "inner", "key_size", "key_type_id", "kind",
    "max_entries", "members", "name", "numa_node", "pin_path", "pinning", "section",
    "section_offset", "tags", "type", "value_size", "value_type_id",
)  # fmt: skip


class VariableSpec:
    """A global variable: a named, typed piece of a section's data map."""

    __slots__ = ("is_global", "map", "name", "offset", "section", "size", "tags", "type_id")

    def __init__(self, name: str, section: str, offset: int, size: int, map_spec: MapSpec) -> None:
        self.name: str = name
        self.section: str = section
        self.offset: int = offset
        self.size: int = size
        self.map: MapSpec = map_spec
        self.type_id: int = 0
        self.is_global: bool = True
        self.tags: tuple[str, ...] = ()

    @property
    def is_constant(self) -> bool:
        """Whether programs may only read it."""
        return self.map.kind in ("rodata", "kconfig")

    @property
    def value(self) -> bytes:
        """The initial value."""
        return self.head(self.size)

    @value.setter
    def value(self, value: bytes) -> None:
        if len(value) != self.size:
            raise ValueError(
                f"variable {self.name} holds {self.size} bytes, the new value has {len(value)}"
            )
        data = _data_of(self.map)
        if data is None:
            data = bytes(self.map.data_size or self.map.value_size)
        self.map.contents = [
            (b"\0\0\0\0", data[: self.offset] + value + data[self.offset + self.size :])
        ]

    def head(self, count: int) -> bytes:
        """The first bytes of the initial value, at most ``count``; cheap for huge variables."""
        count = min(count, self.size)
        data = _data_of(self.map)
        return bytes(count) if data is None else data[self.offset : self.offset + count]

    def __repr__(self) -> str:
        return f"<VariableSpec {self.name} in {self.section}, {self.size} bytes>"


class ExternSpec:
    """A name that the object uses and the system must supply.

    ``section`` is ``.kconfig`` or ``.ksyms``, or empty where the object does not say what it is.
    """

    __slots__ = ("is_function", "is_weak", "name", "offset", "section", "size", "type_id")

    def __init__(self, name: str, section: str) -> None:
        self.name: Final = name
        self.section: Final = section
        self.is_function: bool = False
        self.is_weak: bool = False
        self.type_id: int = 0  # the BTF variable or function, 0 if there is none
        self.offset: int = 0  # in the map .kconfig
        self.size: int = 0

    def __repr__(self) -> str:
        weak = ", weak" if self.is_weak else ""
        return f"<ExternSpec {self.name} in {self.section}{weak}>"


class CollectionSpec:
    """All that one object file says. What :func:`anybpf.objects.load_spec` returns.

    ``programs``, ``functions``, ``variables`` and ``externs`` go by the names of their symbols,
    ``maps`` by the names of their definitions, or where a map holds a section's data, by that of
    the section: ``.rodata``, ``.data``, ``.bss``, ``.data.custom``, ``.kconfig``. (Such a map's
    own ``name`` is what libbpf would create it as, such as ``prog.rodata``.) Where two things
    share a name, one of them is found under ``name@section``; none is lost.
    """

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
        self.name: str = name
        self.file: str = file
        self.platform: str = platform
        self.big_endian: bool = False
        self.license: str = ""
        self.version: int = 0
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
            if (not name or name in (program.name, program.function.symbol))
            and (not section or program.section == section)
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

    def program_by_key(self, name: str) -> ProgramSpec:
        """The program that :attr:`programs` has under this name."""
        found = self.programs.get(name)
        if found is None:
            raise self._missing("program", name, self.programs)
        return found

    def map(self, name: str) -> MapSpec:
        """The map of that name; :class:`NotFound` lists the choices."""
        found = self.maps.get(name)
        if found is None:
            raise self._missing("map", name, self.maps)
        return found

    def variable(self, name: str) -> VariableSpec:
        """The variable of that name; :class:`NotFound` lists the choices."""
        found = self.variables.get(name)
        if found is None:
            raise self._missing("variable", name, self.variables)
        return found

    def _missing(self, what: str, name: str, there: Iterable[str]) -> NotFound:
        from anybpf.platforms.table import near

        names = list(there)
        hint = near(name, names) or f"; there are: {', '.join(names) or 'none'}"
        return NotFound(f"{self.file or self.name}: no {what} is named {name!r}{hint}")

    def get(self, name: str) -> object:
        """A variable's initial value: typed by BTF if the object has any, else bytes."""
        from anybpf.objects.editing import get_value

        return get_value(self, self.variable(name))

    def set(self, name: str, value: object) -> None:
        """Give a variable or constant another initial value, before loading.

        ``value`` is what its type takes: numbers, text for arrays of ``char``, lists, dicts for
        structures, names for enumerations; bytes of the right size for any of them.
        """
        from anybpf.objects.editing import set_value

        set_value(self, self.variable(name), value)

    def subset(self, programs: Iterable[str], maps: Iterable[str] = ()) -> CollectionSpec:
        """A copy with only these programs and maps, and what they need of the rest.

        That is functions, maps that programs use, maps in maps, variables in what is left, and
        the programs behind the members of a kernel structure. Tables of programs lose the entries
        of programs that are left out.
        """
        from anybpf.objects.editing import subset

        return subset(self, programs, maps)

    def copy(self) -> CollectionSpec:
        """The same collection with programs, maps and variables of its own; types are shared."""
        new = CollectionSpec(self.name, self.file, self.platform)
        new.big_endian = self.big_endian
        new.license = self.license
        new.version = self.version
        new.btf = self.btf
        new.functions = {name: function.copy() for name, function in self.functions.items()}
        for name, program in self.programs.items():
            entry = new.functions.get(program.name) or program.function.copy()
            new.programs[name] = program._twin(entry, new.functions)
        new.maps = {name: spec.copy() for name, spec in self.maps.items()}
        keys = {id(spec): name for name, spec in self.maps.items()}
        for name, variable in self.variables.items():
            home_key = keys.get(id(variable.map))
            home = variable.map if home_key is None else new.maps[home_key]
            same = VariableSpec(
                variable.name, variable.section, variable.offset, variable.size, home
            )
            same.type_id = variable.type_id
            same.is_global = variable.is_global
            same.tags = variable.tags
            new.variables[name] = same
        new.externs = dict(self.externs)
        return new

    def __iter__(self) -> Iterator[ProgramSpec]:
        return iter(list(self.programs.values()))

    def __repr__(self) -> str:
        return (
            f"<CollectionSpec {self.name} for {self.platform}: {len(self.programs)} programs, "
            f"{len(self.maps)} maps, {len(self.variables)} variables>"
        )


def _data_of(spec: MapSpec) -> bytes | None:
    """The bytes of a section's data map; None for one that is zero all over."""
    if spec.contents:
        value = spec.contents[0][1]
        if isinstance(value, bytes):
            return value
    return None
