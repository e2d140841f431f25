"""What one object file became in the kernel: its programs, maps and variables, held together.

How it came about is the business of ``loading``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anybpf.backends.linux.maps import Map
from anybpf.backends.linux.program import Program
from anybpf.errors import AnyBPFError, InputError
from anybpf.runtime.collection import Gathered

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.btf import BTF
    from anybpf.objects.core import CoreReport
    from anybpf.objects.specs import CollectionSpec, VariableSpec

_FIRST = b"\0\0\0\0"


class Variable:
    """A global variable of a loaded program: bytes of its section's map.

    ``value`` is typed by BTF where the object has any, else bytes.
    """

    __slots__ = ("_btf", "_map", "_view", "spec")

    def __init__(self, spec: VariableSpec, home: Map, btf: BTF | None) -> None:
        self.spec: VariableSpec = spec
        self._map: Map = home
        self._btf: BTF | None = btf
        self._view: memoryview | None = None

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

    def _memory(self) -> memoryview | None:
        """The map's memory, where it can be seen: mapped once, and then at memory speed."""
        if self._map.closed:
            self._map.hold()  # says so
        if self._view is None and self._map.flags & (1 << 10):
            self._view = self._map.values_view()
        return self._view

    @property
    def data(self) -> bytes:
        """The bytes as they are now."""
        memory = self._memory()
        if memory is not None:
            return bytes(memory[self.offset : self.offset + self.size])
        found = self._map.lookup(_FIRST)
        if found is None:
            raise AnyBPFError(f"variable {self.name}: its map has no entry")
        return found[self.spec.offset : self.spec.offset + self.size]

    @data.setter
    def data(self, new: bytes) -> None:
        if len(new) != self.size:
            raise InputError(
                f"variable {self.name} has {self.size} bytes, the new value has {len(new)}"
            )
        if self.read_only:
            raise InputError(
                f"variable {self.name} is constant: change it in the spec, before loading"
            )
        memory = self._memory()
        if memory is not None:
            memory[self.offset : self.offset + self.size] = new
            return
        # Without memory to write to, the whole value is written: what programs change beside it
        # in between is undone.
        whole = bytearray(self._map.lookup(_FIRST) or bytes(self._map.value_size))
        whole[self.spec.offset : self.spec.offset + self.size] = new
        self._map.put(_FIRST, bytes(whole))

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


class Collection(Gathered[Program, Map, Variable]):
    """Programs, maps and variables by name, as :class:`CollectionSpec` has them."""

    def __init__(self, backend: LinuxBackend, spec: CollectionSpec) -> None:
        super().__init__(spec)
        self.backend: LinuxBackend = backend
        # What became of the records by which the object was fitted to this kernel's types.
        self.core: CoreReport | None = None
