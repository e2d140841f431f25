"""What one object file became: its programs, maps and variables, held together.

Closing the collection closes what is still in it; ``detach`` takes one thing out. How it came about
is the business of ``loading``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from anybpf.btf import BTF
from anybpf.errors import AnyBPFError, InputError, NotFound
from anybpf.maps import Map
from anybpf.objects.specs import CollectionSpec, VariableSpec
from anybpf.platforms.table import near
from anybpf.runtime.program import Program

if TYPE_CHECKING:
    from anybpf.runtime.runtime import Runtime

_FIRST = b"\0\0\0\0"
Found = TypeVar("Found")


class Closable(Protocol):
    """As much of programs and maps as collections need."""

    def close(self) -> None: ...


OneProgram = TypeVar("OneProgram", bound=Closable)
OneMap = TypeVar("OneMap", bound=Closable)
OneVariable = TypeVar("OneVariable")


class Variable:
    """A global variable of a loaded program: bytes of its section's map.

    ``value`` is typed by BTF where the object has any, else bytes.
    """

    __slots__ = ("_btf", "_map", "spec")

    def __init__(self, spec: VariableSpec, home: Map, btf: BTF | None) -> None:
        self.spec: VariableSpec = spec
        self._map: Map = home
        self._btf: BTF | None = btf

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def size(self) -> int:
        return self.spec.size

    @property
    def read_only(self) -> bool:
        """Whether neither programs nor users may change it any more."""
        return self.spec.is_constant or self._map.frozen

    @property
    def offset(self) -> int:
        """Where it lies in its map's value or in its arena, in bytes."""
        return self.spec.offset + self._map.spec.data_offset

    @property
    def data(self) -> bytes:
        """The bytes as they are now."""
        if self._map.spec.data_size:  # an arena, which has no entries
            with self._map.values_view() as view, view.cast("B") as whole:
                return bytes(whole[self.offset : self.offset + self.spec.size])
        found = self._map.lookup(_FIRST)
        if found is None:
            raise AnyBPFError(f"variable {self.name}: its map has no entry")
        return found[self.spec.offset : self.spec.offset + self.spec.size]

    @data.setter
    def data(self, new: bytes) -> None:
        if len(new) != self.spec.size:
            raise InputError(
                f"variable {self.name} has {self.spec.size} bytes, the new value has {len(new)}"
            )
        if self.read_only:
            raise InputError(
                f"variable {self.name} is constant: change it in the spec, before loading"
            )
        # In place, so that what programs change beside it meanwhile is not undone.
        with self._map.values_view() as view, view.cast("B") as whole:
            whole[self.offset : self.offset + self.spec.size] = new

    @property
    def value(self) -> Any:
        if self._btf is None or not self.spec.type_id:
            return self.data
        from anybpf.btf.values import to_python

        return to_python(self._btf, self._type(), self.data)

    @value.setter
    def value(self, new: object) -> None:
        if isinstance(new, bytes) or self._btf is None or not self.spec.type_id:
            if not isinstance(new, bytes):
                raise InputError(f"variable {self.name} has no type: give {self.size} bytes")
            self.data = new
            return
        from anybpf.btf.values import from_python

        self.data = from_python(self._btf, self._type(), new)

    def _type(self) -> int:
        """The variable's type: its BTF entry is one of a variable, which has it."""
        from anybpf.btf import Var

        assert self._btf is not None
        found = self._btf.type(self.spec.type_id)
        return int(found.type_id) if isinstance(found, Var) else self.spec.type_id

    def __repr__(self) -> str:
        return f"<Variable {self.name}, {self.size} bytes>"


class Gathered(Generic[OneProgram, OneMap, OneVariable]):
    """What a collection is wherever its objects live: programs, maps and variables by name."""

    def __init__(self, spec: CollectionSpec) -> None:
        self.spec: CollectionSpec = spec
        self.programs: dict[str, OneProgram] = {}
        self.maps: dict[str, OneMap] = {}
        self.variables: dict[str, OneVariable] = {}

    @property
    def name(self) -> str:
        return self.spec.name

    def program(self, name: str = "") -> OneProgram:
        """The program of that name, or the only one."""
        if not name and len(self.programs) == 1:
            return next(iter(self.programs.values()))
        return _find("program", name, self.programs)

    def map(self, name: str) -> OneMap:
        """The map of that name."""
        return _find("map", name, self.maps)

    def variable(self, name: str) -> OneVariable:
        """The variable of that name."""
        return _find("variable", name, self.variables)

    def detach_program(self, name: str) -> OneProgram:
        """Take a program out: it stays open when the collection closes."""
        found = _find("program", name, self.programs)
        del self.programs[name]
        return found

    def detach_map(self, name: str) -> OneMap:
        """Take a map out: it stays open when the collection closes."""
        found = _find("map", name, self.maps)
        del self.maps[name]
        return found

    def close(self) -> None:
        """Close all programs and maps that were not taken out. Twice does no harm."""
        for program in self.programs.values():
            program.close()
        for one in self.maps.values():
            one.close()

    def __iter__(self) -> Iterator[OneProgram]:
        return iter(list(self.programs.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<Collection {self.name}: {len(self.programs)} programs, {len(self.maps)} maps, "
            f"{len(self.variables)} variables>"
        )


class Collection(Gathered[Program, Map, Variable]):
    """Programs, maps and variables by name, as :class:`CollectionSpec` has them."""

    def __init__(self, runtime: Runtime, spec: CollectionSpec) -> None:
        super().__init__(spec)
        self.runtime: Runtime = runtime


def _find(what: str, name: str, there: dict[str, Found]) -> Found:
    found = there.get(name)
    if found is None:
        raise NotFound(f"no {what} is named {name!r}{_hint(name, there)}")
    return found


def _hint(name: str, there: Iterable[str]) -> str:
    names = list(there)
    return near(name, names) or f"; there are: {', '.join(names) or 'none'}"
