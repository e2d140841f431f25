"""How the bytes of one C type become a Python object and back: numbers, text, arrays, structures.

A codec is made once for a type and reads and writes in place, so that a structure's fields can be
looked at without decoding the rest. Which map uses which codec is decided in ``typed``; one-off
conversions of whole values are the business of ``anybpf.btf.values``.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, overload

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.layout import MAX_DEPTH, broken, field_bits, is_bitfield, resolve, size_of
from anybpf.btf.names import type_name
from anybpf.btf.values import is_text
from anybpf.errors import InputError

ORDER = "<" if sys.byteorder == "little" else ">"
_INTEGERS = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLOATS = {2: "e", 4: "f", 8: "d"}

Readable = bytes | bytearray | memoryview
Writable = bytearray | memoryview


class Codec:
    """One type of ``size`` bytes. ``name`` is the type as C writes it.

    ``code`` is the core's word for it where the core can do it by itself ("u4"), else "O".
    """

    code = "O"

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def read(self, data: Readable, at: int) -> Any:
        raise NotImplementedError

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        """Put the value there. ``path`` says which field it is, for the error's sake."""
        raise NotImplementedError

    def plain(self, data: Readable, at: int) -> Any:
        """The value in plain objects: numbers, strings, bytes, lists and dicts."""
        return self.read(data, at)

    def decode(self, data: Readable) -> Any:
        return self.read(data, 0)

    def decode_key(self, data: bytes) -> Any:
        """As `decode`, of a key: what cannot be changed."""
        return self.decode(data)

    def encode(self, value: Any) -> bytes:
        if isinstance(value, bytes | bytearray | memoryview) and len(value) == self.size:
            return bytes(value)
        out = bytearray(self.size)
        self.write(out, 0, value, "")
        return bytes(out)

    def refuse(self, value: object, path: str, wanted: str) -> InputError:
        place = f"{path}: " if path else ""
        return InputError(f"{place}{value!r} is no {self.name}: {wanted}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {self.size} bytes>"


class Bytes(Codec):
    """Bytes that have no type."""

    code = "B"

    def __init__(self, size: int) -> None:
        super().__init__(f"bytes of size {size}", size)

    def read(self, data: Readable, at: int) -> bytes:
        return bytes(data[at : at + self.size])

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        if not isinstance(value, bytes | bytearray | memoryview) or len(value) != self.size:
            raise self.refuse(value, path, f"give bytes, {self.size} of them")
        data[at : at + self.size] = value


class Number(Codec):
    """Integers, enumerations, pointers and floats: whatever ``struct`` packs."""

    def __init__(self, name: str, size: int, signed: bool = False, real: bool = False) -> None:
        super().__init__(name, size)
        letter = _FLOATS[size] if real else _INTEGERS[size]
        self.real = real
        self.signed = signed
        self.format = struct.Struct(ORDER + (letter.lower() if signed and not real else letter))
        if not real:
            self.code = f"{'i' if signed else 'u'}{size}"

    def read(self, data: Readable, at: int) -> Any:
        return self.format.unpack_from(data, at)[0]

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        try:
            self.format.pack_into(data, at, value)
        except (struct.error, TypeError, OverflowError):
            raise self.refuse(value, path, self.range()) from None

    def range(self) -> str:
        if self.real:
            return "give a number"
        bits = 8 * self.size
        low, high = (
            (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if self.signed else (0, (1 << bits) - 1)
        )
        return f"give an integer from {low} to {high}"


class Enumeration(Number):
    """A number that may be written by the name of an enumerator."""

    def __init__(self, name: str, found: t.Enum) -> None:
        super().__init__(name, found.size, found.signed)
        self.numbers = {value.name: value.value for value in found.values}

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        if isinstance(value, str):
            if value not in self.numbers:
                names = ", ".join(list(self.numbers)[:8])
                raise self.refuse(value, path, f"its names are {names}")
            value = self.numbers[value]
        super().write(data, at, value, path)


class Boolean(Codec):
    def read(self, data: Readable, at: int) -> bool:
        return any(data[at : at + self.size])

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        if value not in (0, 1):
            raise self.refuse(value, path, "give True or False")
        data[at : at + self.size] = int(value).to_bytes(self.size, sys.byteorder)


class BitField(Codec):
    """``bits`` bits from bit ``start`` on, counted as the machine's C compiler does."""

    def __init__(self, name: str, start: int, bits: int, signed: bool) -> None:
        super().__init__(name, (start % 8 + bits + 7) // 8)
        self.shift = start % 8 if sys.byteorder == "little" else -(start + bits) % 8
        self.bits = bits
        self.signed = signed

    def read(self, data: Readable, at: int) -> int:
        whole = int.from_bytes(data[at : at + self.size], sys.byteorder)
        number = whole >> self.shift & ((1 << self.bits) - 1)
        if self.signed and number >> (self.bits - 1):
            number -= 1 << self.bits
        return number

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        low = -(1 << (self.bits - 1)) if self.signed else 0
        high = low + (1 << self.bits) - 1
        if not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(value, path, f"give an integer from {low} to {high}")
        mask = ((1 << self.bits) - 1) << self.shift
        whole = int.from_bytes(data[at : at + self.size], sys.byteorder) & ~mask
        whole |= value << self.shift & mask
        data[at : at + self.size] = whole.to_bytes(self.size, sys.byteorder)


class Text(Codec):
    """An array of ``char``: text up to the first NUL. Bytes that are no UTF-8 stay as they are
    (PEP 383), so that what was read can be written back."""

    def read(self, data: Readable, at: int) -> str:
        raw = bytes(data[at : at + self.size])
        return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape")
        if not isinstance(value, bytes | bytearray | memoryview) or len(value) > self.size:
            raise self.refuse(value, path, f"give text or bytes, {self.size} bytes at most")
        data[at : at + self.size] = bytes(value).ljust(self.size, b"\0")


class Array(Codec):
    def __init__(self, name: str, element: Codec, count: int) -> None:
        super().__init__(name, element.size * count)
        self.element = element
        self.count = count

    def read(self, data: Readable, at: int) -> ArrayView:
        return ArrayView(self, data, at)

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        if isinstance(value, bytes | bytearray) and len(value) == self.size:
            data[at : at + self.size] = value
            return
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise self.refuse(value, path, f"give a sequence of up to {self.count}")
        if len(value) > self.count:
            raise self.refuse(value, path, f"it has {self.count} elements, here are {len(value)}")
        for index, item in enumerate(value):
            self.element.write(data, at + index * self.element.size, item, f"{path}[{index}]")
        left = self.count - len(value)
        data[at + self.size - left * self.element.size : at + self.size] = bytes(
            left * self.element.size
        )

    def plain(self, data: Readable, at: int) -> list[Any]:
        step = self.element.size
        return [self.element.plain(data, at + index * step) for index in range(self.count)]


class ArrayView(Sequence[Any]):
    """An array inside a value: what is assigned to its elements is in the value."""

    __slots__ = ("_at", "_codec", "_data")

    def __init__(self, codec: Array, data: Readable, at: int) -> None:
        self._codec = codec
        self._data = data
        self._at = at

    def __len__(self) -> int:
        return self._codec.count

    def _place(self, index: int) -> int:
        count = self._codec.count
        if not -count <= index < count:
            raise IndexError(f"{self._codec.name} has {count} elements, there is no {index}")
        return self._at + index % count * self._codec.element.size

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._codec.element.read(self._data, self._place(index))

    def __setitem__(self, index: int, value: Any) -> None:
        if isinstance(self._data, bytes):
            raise TypeError("this value is a key: it cannot be changed (copy it with `replace`)")
        self._codec.element.write(self._data, self._place(index), value, f"[{index}]")

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArrayView):
            other = other.plain()
        return self.plain() == (list(other) if isinstance(other, tuple) else other)

    __hash__ = None  # type: ignore[assignment]

    def plain(self) -> list[Any]:
        return self._codec.plain(self._data, self._at)

    def __repr__(self) -> str:
        return repr(list(self))


class Field:
    """A descriptor: one field of a structure."""

    def __init__(self, name: str, codec: Codec, offset: int) -> None:
        self.name = name
        self.codec = codec
        self.offset = offset

    def __get__(self, obj: Struct | None, owner: type[Struct] | None = None) -> Any:
        if obj is None:
            return self
        return self.codec.read(obj._data, obj._at + self.offset)

    def __set__(self, obj: Struct, value: Any) -> None:
        if isinstance(obj._data, bytes):
            raise TypeError(
                f"{type(obj).__name__} is a key here: it cannot be changed (copy it with `replace`)"
            )
        self.codec.write(obj._data, obj._at + self.offset, value, self.name)

    def __repr__(self) -> str:
        return f"<Field {self.name} at {self.offset}: {self.codec.name}>"


class Struct:
    """A value of a C structure or union: its fields are attributes, and items by name.

    Classes of this kind are made from BTF (:func:`struct_class`). Fields that were not given are
    zero. Two are equal if their fields are; those that are keys of a map cannot be changed, and
    can be keys of a dict.
    """

    __slots__ = ("_at", "_data")
    _codec: StructCodec
    _fields: ClassVar[dict[str, Field]] = {}

    def __init__(self, values: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        self._data: Readable = bytearray(self._codec.size)
        self._at: int = 0
        self._codec.write(self._data, 0, {**(values or {}), **fields}, "")

    @classmethod
    def from_bytes(cls, data: Readable) -> Struct:
        """The value that some bytes are; they are copied."""
        if len(data) != cls._codec.size:
            raise InputError(f"{cls._codec.name} has {cls._codec.size} bytes, here are {len(data)}")
        return cls._view(bytearray(data), 0)

    @classmethod
    def _view(cls, data: Readable, at: int) -> Struct:
        new = cls.__new__(cls)
        new._data = data
        new._at = at
        return new

    def as_dict(self) -> dict[str, Any]:
        """All fields in plain objects, structures inside as dicts too."""
        return self._codec.plain(self._data, self._at)

    def replace(self, **fields: Any) -> Struct:
        """A copy that can be changed, with some fields different."""
        new = type(self)._view(bytearray(bytes(self)), 0)
        for name, value in fields.items():
            new[name] = value
        return new

    def __getitem__(self, name: str) -> Any:
        return self._codec.field(name).__get__(self)

    def __setitem__(self, name: str, value: Any) -> None:
        self._codec.field(name).__set__(self, value)

    def __getattr__(self, name: str) -> Any:
        return self._codec.field(name).__get__(self)  # which says what there is

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("_data", "_at") and name not in self._fields:
            self._codec.field(name)  # which says what there is
        object.__setattr__(self, name, value)

    def __bytes__(self) -> bytes:
        return bytes(self._data[self._at : self._at + self._codec.size])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Struct):
            if type(self) is type(other) and bytes(self) == bytes(other):
                return True
            return Struct.as_dict(self) == Struct.as_dict(other)
        if isinstance(other, Mapping):
            return Struct.as_dict(self) == other
        return NotImplemented

    def __hash__(self) -> int:
        if not isinstance(self._data, bytes):
            raise TypeError(
                f"{type(self).__name__} can change, and cannot be a dict's key: use bytes(value)"
            )
        return hash(bytes(self))

    def __repr__(self) -> str:
        fields = ", ".join(
            f"{name}={field.__get__(self)!r}" for name, field in self._fields.items()
        )
        return f"{type(self).__name__}({fields})"


class StructCodec(Codec):
    """A structure or union; members of anonymous ones inside are its own fields, as in C."""

    def __init__(self, name: str, size: int, fields: dict[str, Field]) -> None:
        super().__init__(name, size)
        self.fields = fields
        attributes: dict[str, Any] = {
            field: made for field, made in fields.items() if not field.startswith("__")
        }
        attributes.update(
            __slots__=(), _codec=self, _fields=fields, __doc__=f"{name} ({size} bytes)."
        )
        self.type: type[Struct] = type(name.split()[-1], (Struct,), attributes)

    def field(self, name: str) -> Field:
        found = self.fields.get(name)
        if found is None:
            raise AttributeError(
                f"{self.name} has no field {name!r}; its fields are {', '.join(self.fields)}"
            )
        return found

    def read(self, data: Readable, at: int) -> Struct:
        return self.type._view(data, at)

    def write(self, data: Writable, at: int, value: Any, path: str) -> None:
        if isinstance(value, Struct) and value._codec.size == self.size:
            data[at : at + self.size] = bytes(value)
            return
        if isinstance(value, bytes | bytearray | memoryview) and len(value) == self.size:
            data[at : at + self.size] = value
            return
        if not isinstance(value, Mapping):
            raise self.refuse(value, path, f"give a dict or a {self.type.__name__}")
        data[at : at + self.size] = bytes(self.size)
        for name, item in value.items():
            found = self.fields.get(name)
            if found is None:
                raise self.refuse(value, path, f"it has no field {name!r}; {self._names()}")
            found.codec.write(data, at + found.offset, item, f"{path}.{name}" if path else name)

    def _names(self) -> str:
        return "its fields are " + ", ".join(self.fields)

    def decode(self, data: Readable) -> Struct:
        return self.type._view(bytearray(data), 0)

    def decode_key(self, data: bytes) -> Struct:
        return self.type._view(bytes(data), 0)

    def plain(self, data: Readable, at: int) -> dict[str, Any]:
        return {
            name: field.codec.plain(data, at + field.offset) for name, field in self.fields.items()
        }


# From BTF.


def codec_of(btf: BTF, type_id: int) -> Codec:
    """The codec of a type."""
    return _Maker(btf).make(type_id, 0)


def struct_class(btf: BTF, name: str) -> type[Struct]:
    """The Python class of the structure or union of that name."""
    found = btf.get(name)
    codec = codec_of(btf, found.id)
    if not isinstance(codec, StructCodec):
        raise InputError(f"{codec.name} is no structure")
    return codec.type


class _Maker:
    def __init__(self, btf: BTF) -> None:
        self.btf = btf
        self.made: dict[int, Codec] = {}

    def make(self, type_id: int, depth: int) -> Codec:
        found = resolve(self.btf, type_id)
        if depth > MAX_DEPTH:
            raise broken(self.btf, type_id, "types are nested too deep")
        codec = self.made.get(found.id)
        if codec is None:
            codec = self._make(found, depth)
            self.made[found.id] = codec
        return codec

    def _make(self, found: t.Type, depth: int) -> Codec:
        name = type_name(self.btf, found.id)
        if isinstance(found, t.Int):
            if found.boolean:
                return Boolean(name, found.size)
            if found.size in _INTEGERS:
                return Number(name, found.size, found.signed)
            return Bytes(found.size)
        if isinstance(found, t.Enum):
            return Enumeration(name, found)
        if isinstance(found, t.Pointer):
            return Number(name, size_of(self.btf, found.id))
        if isinstance(found, t.Float):
            return (
                Number(name, found.size, real=True) if found.size in _FLOATS else Bytes(found.size)
            )
        if isinstance(found, t.Array):
            size = size_of(self.btf, found.id)
            if size == 0:
                return Bytes(0)
            if is_text(self.btf, found):
                return Text(name, size)
            return Array(name, self.make(found.element_id, depth + 1), found.count)
        if isinstance(found, t.Composite):
            fields: dict[str, Field] = {}
            self._fields(found, 0, fields, depth)
            return StructCodec(name, found.size, fields)
        return Bytes(size_of(self.btf, found.id))

    def _fields(self, found: t.Composite, at: int, fields: dict[str, Field], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise broken(self.btf, found.id, "types are nested too deep")
        for member in found.members:
            if is_bitfield(self.btf, member):
                if member.name:
                    start, bits = field_bits(self.btf, member)
                    kind = resolve(self.btf, member.type_id)
                    signed = bool(getattr(kind, "signed", False))
                    codec = BitField(f"bit-field of {bits}", start, bits, signed)
                    fields[member.name] = Field(member.name, codec, at + start // 8)
                continue
            offset = at + member.bit_offset // 8
            inner = resolve(self.btf, member.type_id)
            if not member.name and isinstance(inner, t.Composite):
                self._fields(inner, offset, fields, depth + 1)
            elif member.name:
                fields[member.name] = Field(
                    member.name, self.make(member.type_id, depth + 1), offset
                )
