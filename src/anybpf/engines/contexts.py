"""Contexts by name: from ``{"ingress_ifindex": 3}`` to the bytes behind r1, and back.

The layout is that of the platform's table, whichever platform. Fields that hold packet pointers
are not among the bytes: they lie in the header in front (``src/core/run.h``), and stand here for
distances in the packet, as in the kernel's test run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeGuard

from anybpf.engines.prepared import HEADER_SLOTS
from anybpf.errors import InputError
from anybpf.platforms.kinds import PACKET, PACKET_END, PACKET_META, SCALAR
from anybpf.platforms.model import Context, Field, ProgramType
from anybpf.platforms.table import near

# What callers may give for a context, and for one field of it.
FieldValue = int | bytes | bytearray | memoryview | Sequence[int]
ContextValue = Mapping[str, FieldValue] | Sequence[int] | bytes | bytearray | memoryview | None
_BYTES: Final = (bytes, bytearray, memoryview)

# Types of fields by name: width, signed, byte order ("" for the machine's own).
_ELEMENTS: Final[dict[str, tuple[int, bool, str]]] = {
    **{f"u{bits}": (bits // 8, False, "") for bits in (8, 16, 32, 64)},
    **{f"s{bits}": (bits // 8, True, "") for bits in (8, 16, 32, 64)},
    **{f"be{bits}": (bits // 8, False, "big") for bits in (16, 32, 64)},
    **{f"le{bits}": (bits // 8, False, "little") for bits in (16, 32, 64)},
}


class PacketPlace:
    """Where in the data given the packet lies: bytes of metadata in front, and the rest."""

    __slots__ = ("meta",)

    def __init__(self, meta: int = 0) -> None:
        self.meta = meta


class ContextLayout:
    """The context of one program type, as a caller fills and reads it.

    >>> from anybpf import platforms
    >>> layout = ContextLayout(platforms.get("linux").program_type("xdp"))
    >>> made = layout.build({"ingress_ifindex": 3})
    >>> len(made), layout.read(made)["ingress_ifindex"]
    (24, 3)
    """

    def __init__(self, program_type: ProgramType) -> None:
        self.program_type: str = program_type.name
        self.context: Context | None = program_type.context
        self.size: int = 0 if self.context is None else self.context.size
        fields = () if self.context is None else self.context.fields
        # One name may have several rows: different widths of one place. The widest says it all.
        self.fields: dict[str, Field] = {}
        for field in fields:
            known = self.fields.get(field.name)
            if known is None or field.size > known.size:
                self.fields[field.name] = field
        self._header_fields: list[Field] = [
            field for field in self.fields.values() if field.kind in HEADER_SLOTS
        ]
        self.has_packet: bool = any(field.kind == PACKET for field in fields)

    @property
    def takes_arguments(self) -> bool:
        """Whether the context is a row of 8-byte arguments."""
        return self.context is not None and self.context.layout == "typed"

    @property
    def is_memory(self) -> bool:
        """Whether the context is memory of the caller's, of any length."""
        return self.context is not None and self.context.layout == "memory"

    def build(self, value: ContextValue = None) -> bytes:
        """The structure's bytes. What is not named is zero."""
        if value is None:
            return bytes(self.size)
        if self.context is None:
            raise InputError(f"programs of type {self.program_type} have no context to give")
        if isinstance(value, _BYTES):
            return self._from_bytes(bytes(value))
        if isinstance(value, Mapping):
            return self._from_names(value)
        if not _is_row(value):
            raise InputError(
                f"a context is bytes or values by name, such as ctx={{{self._example()}}}, "
                f"not {type(value).__name__}"
            )
        return self._from_arguments(value)

    def _example(self) -> str:
        for field in self.fields.values():
            if field.kind == SCALAR:
                return f'"{field.name}": 1'
        return '"field": 1'

    def _from_bytes(self, data: bytes) -> bytes:
        if any(data[self.size :]):
            raise InputError(
                f"a context of type {self._name()} has {self.size} bytes, {len(data)} were given, "
                "and what is too much is not zero"
            )
        out = data[: self.size].ljust(self.size, b"\0")
        for field in self.fields.values():
            if _is_pointer(field) and any(out[field.offset : field.end]):
                raise _no_address(field)
        if not self.has_packet:
            return out
        # Packet pointers are not among the bytes: `packet_place` looks at these.
        cleared = bytearray(out)
        for field in self._header_fields:
            cleared[field.offset : field.end] = bytes(field.size)
        return bytes(cleared)

    def _from_arguments(self, values: Sequence[int]) -> bytes:
        if not self.takes_arguments:
            raise InputError(
                f"a context of type {self._name()} has fields: give values by name, such as "
                f"ctx={{{self._example()}}}, or all of it as bytes"
            )
        if len(values) * 8 > self.size:
            raise InputError(f"{len(values)} arguments were given, at most {self.size // 8} fit")
        out = bytearray(self.size)
        for index, number in enumerate(values):
            out[8 * index : 8 * index + 8] = _encode(f"argument {index}", number, 8, None, "")
        return bytes(out)

    def _from_names(self, values: Mapping[str, FieldValue]) -> bytes:
        out = bytearray(self.size)
        for name, value in values.items():
            if name == "args" and self.takes_arguments and name not in self.fields:
                if not isinstance(value, Sequence) or isinstance(value, _BYTES):
                    raise InputError("args is a sequence of numbers, one for each argument")
                out[:] = self._from_arguments(value)
                continue
            field = self.field(name)
            if field.kind in HEADER_SLOTS:
                continue  # `packet_place` looks at these
            out[field.offset : field.end] = encode_field(field, value)
        return bytes(out)

    def field(self, name: str) -> Field:
        """The field of that name; :class:`InputError` says what looks like it."""
        found = self.fields.get(name)
        if found is None:
            hint = near(name, self.fields)
            there = ", ".join(self.fields) or "none by name"
            raise InputError(
                f"{self._name()} has no field {name!r}{hint or f'; there are: {there}'}"
            )
        return found

    def packet_place(self, value: ContextValue, size: int) -> PacketPlace:
        """Where the caller says that the packet begins and ends in ``size`` bytes of data.

        As in the kernel's test run: ``data_meta`` is 0, ``data`` the length of the metadata in
        front of the packet, ``data_end`` the size of all. What is not given is taken to be so.
        """
        given = self._packet_fields(value)
        for kind, wanted in ((PACKET_META, 0), (PACKET_END, size)):
            number = given.get(kind)
            if number is not None and number[1] != wanted:
                raise InputError(
                    f"{number[0]} of the context is {number[1]}, but the data given has {size} "
                    f"bytes: {number[0]} must be {wanted} or be left out"
                )
        name, meta = given.get(PACKET, ("", 0))
        if meta < 0 or meta > size or meta % 4:
            raise InputError(
                f"{name} of the context is {meta}: the length of the metadata in front of the "
                f"packet, a multiple of 4 of at most {size}"
            )
        return PacketPlace(meta)

    def _packet_fields(self, value: ContextValue) -> dict[str, tuple[str, int]]:
        """What the caller gave for fields that are packet pointers, by kind: name and number."""
        found: dict[str, tuple[str, int]] = {}
        if value is None or not self.has_packet:
            return found
        if isinstance(value, Mapping):
            for name, one in value.items():
                field = self.fields.get(name)
                if field is not None and field.kind in HEADER_SLOTS:
                    if not isinstance(one, int):
                        raise InputError(f"{name} of the context is a number of bytes")
                    found[field.kind] = (name, one)
            return found
        if isinstance(value, _BYTES):
            data = bytes(value)[: self.size].ljust(self.size, b"\0")
            for field in self.fields.values():
                if field.kind in HEADER_SLOTS:
                    number = int.from_bytes(data[field.offset : field.end], sys.byteorder)
                    if number:
                        found[field.kind] = (field.name, number)
        return found

    def with_packet(self, data: bytes, meta: int, size: int) -> bytes:
        """The context after a run, its packet fields as distances again."""
        out = bytearray(data)
        numbers = {PACKET_META: 0, PACKET: meta, PACKET_END: size}
        for field in self._header_fields:
            number = numbers[field.kind]
            if field.read:
                out[field.offset : field.end] = number.to_bytes(field.size, sys.byteorder)
        return bytes(out)

    def read(self, data: bytes | bytearray | memoryview) -> dict[str, object]:
        """The fields of a context by name. Pointers are left out."""
        found: dict[str, object] = {}
        for field in self.fields.values():
            if field.kind == SCALAR or field.kind in HEADER_SLOTS:
                found[field.name] = decode_field(field, bytes(data[field.offset : field.end]))
        if self.takes_arguments and not found:
            found["args"] = [
                int.from_bytes(data[at : at + 8], sys.byteorder) for at in range(0, self.size, 8)
            ]
        return found

    def _name(self) -> str:
        return self.program_type if self.context is None else self.context.name


def encode_field(field: Field, value: FieldValue) -> bytes:
    """The bytes of one field. An array takes bytes or numbers, one for each element."""
    if _is_pointer(field) and value != 0:
        raise _no_address(field)
    if isinstance(value, _BYTES):
        data = bytes(value)
        if len(data) > field.size:
            raise InputError(f"field {field.name} has {field.size} bytes, not {len(data)}")
        return data.ljust(field.size, b"\0")
    width, signed, order = _element(field)
    if isinstance(value, int):
        if width != field.size and width < field.size and value >> (8 * width):
            # A number for the whole of an array: as wide as that.
            width = field.size
        return _encode(f"field {field.name}", value, width, signed, order).ljust(field.size, b"\0")
    if not _is_row(value):
        raise InputError(
            f"field {field.name} of type {field.type} takes a number or bytes, "
            f"not {type(value).__name__}"
        )
    if len(value) * width > field.size:
        raise InputError(
            f"field {field.name} has {field.size // width} elements, {len(value)} were given"
        )
    parts = [
        _encode(f"field {field.name}[{at}]", number, width, signed, order)
        for at, number in enumerate(value)
    ]
    return b"".join(parts).ljust(field.size, b"\0")


def decode_field(field: Field, data: bytes) -> object:
    """A field's value: a number, bytes for an array of bytes, a list for other arrays."""
    width, signed, order = _element(field)
    byteorder = _order(order)
    if field.size == width:
        return int.from_bytes(data, byteorder, signed=signed)
    if width == 1:
        return data
    return [
        int.from_bytes(data[at : at + width], byteorder, signed=signed)
        for at in range(0, field.size, width)
    ]


def _is_pointer(field: Field) -> bool:
    """Whether it is one that programs follow: to a socket, to kernel structures."""
    return field.kind != SCALAR and field.kind not in HEADER_SLOTS


def _no_address(field: Field) -> InputError:
    return InputError(
        f"field {field.name} is a pointer, which programs follow: no address can be given for it, "
        "only 0"
    )


def _is_row(value: object) -> TypeGuard[Sequence[int]]:
    """Whether it is a sequence, of numbers presumably; text is one of text."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def _element(field: Field) -> tuple[int, bool, str]:
    found = _ELEMENTS.get(field.type)
    if found is None or found[0] > field.size or field.size % found[0]:
        return field.size, False, ""
    return found


def _order(order: str) -> Literal["little", "big"]:
    if order == "big":
        return "big"
    return "little" if order == "little" else sys.byteorder


def _encode(what: str, value: object, width: int, signed: bool | None, order: str) -> bytes:
    """``signed`` None: either."""
    if not isinstance(value, int):
        raise InputError(f"{what} takes numbers, not {type(value).__name__}")
    bits = 8 * width
    # A negative number for an unsigned field is its two's complement, as in C.
    if not -(1 << (bits - 1)) <= value < (1 << bits) or (signed and value >> (bits - 1) > 0):
        raise InputError(f"{what} has {width} bytes, {value} does not fit in them")
    return (value & ((1 << bits) - 1)).to_bytes(width, _order(order))
