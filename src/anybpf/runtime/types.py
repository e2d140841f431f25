"""Type information as an object: what a loaded file said of its types, with a number.

What stands in it is the business of the room ``btf``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybpf.btf import BTF
from anybpf.runtime.objects import TYPES, Handle, Record

if TYPE_CHECKING:
    from anybpf.runtime.infos import TypesInfo as TypesInfo
    from anybpf.runtime.runtime import Runtime


class TypesRecord(Record):
    kind = TYPES

    def __init__(self, runtime: Runtime, name: str, owner: str, btf: BTF) -> None:
        super().__init__(runtime, name, owner)
        self.btf: BTF = btf
        self._size: int = -1

    def info(self) -> TypesInfo:
        from anybpf.runtime.infos import TypesInfo

        if self._size < 0:
            self._size = len(self.btf.encode())
        return TypesInfo(self.id, self.name, self._size)

    def open(self) -> Types:
        return Types(self)


class Types(Handle):
    """A hold on loaded type information."""

    __slots__ = ()

    @property
    def btf(self) -> BTF:
        record = self.record
        assert isinstance(record, TypesRecord)
        return record.btf

    def info(self) -> TypesInfo:
        record = self.record
        assert isinstance(record, TypesRecord)
        return record.info()


def create_types(runtime: Runtime, name: str, owner: str, btf: BTF) -> TypesRecord:
    """Type information with a number of its own; whoever uses it must hold it."""
    record = TypesRecord(runtime, name, owner, btf)
    number = runtime.reserve(TYPES, owner, f"type information of {name}")
    try:
        runtime.admit(record, number, 0)
    except BaseException:
        runtime.unreserve(TYPES, owner)
        raise
    return record
