"""Typed values: bytes to Python objects or text, and Python objects to bytes.

Structs and unions are dicts (anonymous members belong to the outer one, as in C), arrays are
lists, arrays of `char` are strings, pointers are numbers. Where the bytes come from (a map, a
data section, an event) is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import error as layout_error
from struct import pack, unpack
from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF
from anybpf.btf.layout import MAX_DEPTH, broken, field_bits, is_bitfield, resolve, size_of
from anybpf.btf.names import identifier, quoted, type_name
from anybpf.errors import BTFError

# Values made at most besides one per byte; unions of unions can blow up a few bytes without end.
_MAX_VALUES: Final = 200_000
_FLOATS: Final = {2: "e", 4: "f", 8: "d"}


def to_python(
    btf: BTF, type_id: int, data: bytes | bytearray | memoryview, enum_names: bool = False
) -> object:
    """The value of a type that `data` begins with.

    Numbers and pointers are `int`, `_Bool` is `bool`, arrays of `char` are `str` up to the first
    NUL, floats of odd size are `bytes`. Enumerations are `int`, or with `enum_names` the name
    where the number has one.
    """
    return _Reader(btf, data, enum_names).whole(type_id)


def format_value(
    btf: BTF, type_id: int, data: bytes | bytearray | memoryview, indent: int | None = None
) -> str:
    """The value as a C initialiser: `{.proto = IPPROTO_TCP, .name = "eth0", .ports = {80, 443}}`.

    With `indent`, fields stand on lines of their own, indented by so many spaces.
    """
    return str(_Printer(btf, data, indent).whole(type_id))


def from_python(btf: BTF, type_id: int, value: object) -> bytes:
    """The bytes of a value: the way back from `to_python`.

    What a dict or list leaves out is zero; enumerations may be given by name; `bytes` of the
    right size stand for any type. An error names the field.
    """
    writer = _Writer(btf)
    size = size_of(btf, type_id)
    if size > _MAX_BYTES:
        raise broken(btf, type_id, f"a value of {size} bytes is too large to be made")
    out = _Buffer(size)
    writer.write(type_id, value, out, 0, "", 0)
    return bytes(out.data)


# Largest value made by `from_python`; maps and data sections stay far below.
_MAX_BYTES: Final = 1 << 26


def is_text(btf: BTF, found: t.Array) -> bool:
    """Whether an array is one of `char`, and so a string."""
    element = resolve(btf, found.element_id)
    return (
        isinstance(element, t.Int)
        and element.size == 1
        and element.bits == 8
        and (element.name == "char" or element.encoding & t.INT_CHAR != 0)
    )


class _Reader:
    """Makes Python objects; `_Printer` overrides what the leaves and groups become."""

    def __init__(
        self, btf: BTF, data: bytes | bytearray | memoryview, enum_names: bool = False
    ) -> None:
        self.btf: BTF = btf
        self.data: bytes = bytes(data)
        self.enum_names: bool = enum_names
        self.left: int = _MAX_VALUES + len(self.data)

    def whole(self, type_id: int) -> object:
        size = size_of(self.btf, type_id)
        if len(self.data) < size:
            raise BTFError(
                f"{type_name(self.btf, type_id)} takes {size} bytes, here are {len(self.data)}"
            )
        return self.read(type_id, 0, 0)

    def read(self, type_id: int, at: int, depth: int) -> object:
        found = resolve(self.btf, type_id)
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            raise broken(self.btf, type_id, "values are nested too deep or too many")
        if isinstance(found, t.Composite):
            return self.mapping(self.fields(found, at, depth), depth)
        if isinstance(found, t.Array):
            return self.array(found, at, depth)
        if isinstance(found, t.Var):
            return self.read(found.type_id, at, depth + 1)
        if isinstance(found, t.DataSection):
            entries: list[tuple[str, object]] = []
            for variable in found.vars:
                name = self.btf.type(variable.type_id).name
                entries.append((name, self.read(variable.type_id, at + variable.offset, depth + 1)))
            return self.mapping(entries, depth)
        size = size_of(self.btf, found.id)
        raw = self.data[at : at + size]
        if len(raw) != size:
            raise broken(self.btf, type_id, f"the value at {at} reaches past the end of the data")
        if isinstance(found, t.Float):
            return self.real(raw)
        number = int.from_bytes(raw, "big" if self.btf.big_endian else "little")
        if isinstance(found, t.Int) and (found.bits != size * 8 or found.bit_offset):
            return self.bits(found, at * 8 + found.bit_offset, found.bits)
        return self.number(found, _with_sign(found, number, size * 8))

    def fields(self, found: t.Composite, at: int, depth: int) -> list[tuple[str, object]]:
        entries: list[tuple[str, object]] = []
        for member in found.members:
            if is_bitfield(self.btf, member):
                if not member.name:
                    continue
                start, bits = field_bits(self.btf, member)
                base = resolve(self.btf, member.type_id)
                entries.append((member.name, self.bits(base, at * 8 + start, bits)))
            elif member.name:
                place = at + member.bit_offset // 8
                entries.append((member.name, self.read(member.type_id, place, depth + 1)))
            else:
                inner = resolve(self.btf, member.type_id)
                if isinstance(inner, t.Composite):
                    self.left -= 1
                    if depth > MAX_DEPTH or self.left < 0:
                        raise broken(self.btf, found.id, "structs are nested too deep")
                    entries += self.fields(inner, at + member.bit_offset // 8, depth + 1)
        return entries

    def bits(self, base: t.Type, start: int, bits: int) -> object:
        self.left -= 1
        raw = self.data[start // 8 : (start + bits + 7) // 8]
        if len(raw) * 8 < start % 8 + bits:
            raise broken(self.btf, base.id, "the bit-field reaches past the end of the data")
        number = _take_bits(raw, start % 8, bits, self.btf.big_endian)
        return self.number(base, _with_sign(base, number, bits))

    def array(self, found: t.Array, at: int, depth: int) -> object:
        size = size_of(self.btf, found.element_id)
        raw = self.data[at : at + size * found.count]
        if len(raw) != size * found.count:
            raise broken(self.btf, found.id, "the array reaches past the end of the data")
        if is_text(self.btf, found):
            return self.text(raw)
        if found.count > self.left:
            raise broken(self.btf, found.id, f"an array of {found.count} values is too long")
        items: list[object] = []
        for index in range(found.count):
            items.append(self.read(found.element_id, at + index * size, depth + 1))
        return self.sequence(items, depth)

    def real(self, raw: bytes) -> object:
        code = _FLOATS.get(len(raw))
        if code is None:
            return raw
        return unpack((">" if self.btf.big_endian else "<") + code, raw)[0]

    def number(self, found: t.Type, value: int) -> object:
        if isinstance(found, t.Int) and found.boolean and value in (0, 1):
            return value == 1
        if self.enum_names and isinstance(found, t.Enum):
            return _enumerator(found, value) or value
        return value

    def text(self, raw: bytes) -> object:
        return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def sequence(self, items: list[object], depth: int) -> object:
        return items

    def mapping(self, entries: list[tuple[str, object]], depth: int) -> object:
        return dict(entries)


class _Printer(_Reader):
    """Makes the text of a C initialiser."""

    def __init__(
        self, btf: BTF, data: bytes | bytearray | memoryview, indent: int | None = None
    ) -> None:
        super().__init__(btf, data)
        self.indent: int | None = indent

    def number(self, found: t.Type, value: int) -> object:
        if isinstance(found, t.Int) and found.boolean and value in (0, 1):
            return "true" if value else "false"
        if isinstance(found, t.Enum):
            return _enumerator(found, value) or str(value)
        return hex(value) if isinstance(found, t.Pointer) else str(value)

    def real(self, raw: bytes) -> object:
        value = super().real(raw)
        return f"0x{value.hex()}" if isinstance(value, bytes) else repr(value)

    def text(self, raw: bytes) -> object:
        return quoted(raw.partition(b"\0")[0].decode("utf-8", "surrogateescape"))

    def sequence(self, items: list[object], depth: int) -> object:
        return self.group([str(item) for item in items], depth)

    def mapping(self, entries: list[tuple[str, object]], depth: int) -> object:
        return self.group([f".{identifier(name)} = {value}" for name, value in entries], depth)

    def group(self, parts: list[str], depth: int) -> str:
        short = "{" + ", ".join(parts) + "}"
        if self.indent is None or not any("=" in part for part in parts):
            return short
        inner = "\n" + " " * (self.indent * (depth + 1))
        return (
            "{"
            + ",".join([inner + part for part in parts])
            + ",\n"
            + (" " * (self.indent * depth) + "}")
        )


def _with_sign(found: t.Type, number: int, bits: int) -> int:
    signed = found.signed if isinstance(found, (t.Int, t.Enum)) else False
    if signed and bits and number >> (bits - 1):
        return number - (1 << bits)
    return number


def _take_bits(raw: bytes, skip: int, bits: int, big_endian: bool) -> int:
    """A bit-field `skip` bits into `raw`; bits count from the least one, or the highest if big."""
    number = int.from_bytes(raw, "big" if big_endian else "little")
    shift = len(raw) * 8 - skip - bits if big_endian else skip
    return number >> shift & (1 << bits) - 1


def _enumerator(found: t.Enum, value: int) -> str:
    for entry in found.values:
        if entry.value == value:
            return entry.name
    return ""


class _Buffer:
    """Bytes being made, and which of their bits have been given a meaning."""

    __slots__ = ("data", "mask")

    def __init__(self, size: int) -> None:
        self.data: bytearray = bytearray(size)
        self.mask: bytearray = bytearray(size)

    def put(self, at: int, raw: bytes, mask: bytes | None = None) -> None:
        """Write `raw`, or of it those bits that `mask` has."""
        end = at + len(raw)
        if mask is None:
            self.data[at:end] = raw
            self.mask[at:end] = b"\xff" * len(raw)
            return
        for index, bits in enumerate(mask):
            self.data[at + index] = self.data[at + index] & ~bits | raw[index] & bits
            self.mask[at + index] |= bits

    def merge(self, other: _Buffer, at: int) -> bool:
        """Lay `other` over the bytes from `at` on; False if one bit gets two meanings."""
        end = at + len(other.data)
        mine = int.from_bytes(self.data[at:end], "big")
        theirs = int.from_bytes(other.data, "big")
        both = int.from_bytes(self.mask[at:end], "big") & int.from_bytes(other.mask, "big")
        if (mine ^ theirs) & both:
            return False
        self.put(at, bytes(other.data), bytes(other.mask))
        return True


class _Writer:
    """Puts Python objects into bytes; `path` says in errors where we are."""

    def __init__(self, btf: BTF) -> None:
        self.btf: BTF = btf
        self.left: int = _MAX_VALUES

    def fail(self, path: str, message: str) -> BTFError:
        return BTFError(f"{path.removeprefix('.') or 'the value'}: {message}")

    def write(
        self, type_id: int, value: object, out: _Buffer, at: int, path: str, depth: int
    ) -> None:
        found = resolve(self.btf, type_id)
        size = size_of(self.btf, type_id)
        if depth > MAX_DEPTH:
            raise broken(self.btf, type_id, "values are nested too deep")
        if at + size > len(out.data):
            raise broken(self.btf, type_id, f"'{path}' reaches past the end of what it is part of")
        if isinstance(value, (bytes, bytearray, memoryview)):
            raw = bytes(value)
            text = isinstance(found, t.Array) and is_text(self.btf, found) and len(raw) <= size
            if len(raw) != size and not text:
                raise self.fail(path, f"{len(raw)} bytes were given, {size} are needed")
            out.put(at, raw.ljust(size, b"\0"))
        elif isinstance(found, t.Composite):
            self.composite(found, value, out, at, path, depth)
        elif isinstance(found, t.Array):
            self.array(found, value, out, at, path, depth)
        elif isinstance(found, t.Var):
            self.write(found.type_id, value, out, at, path, depth + 1)
        elif isinstance(found, t.DataSection):
            self.section(found, value, out, at, path, depth)
        elif isinstance(found, t.Float):
            out.put(at, self.real(found, value, path))
        elif isinstance(found, t.Int) and (found.bits != size * 8 or found.bit_offset):
            self.bits(found, value, out, at * 8 + found.bit_offset, found.bits, path)
        else:
            number = self.number(found, value, size * 8, path)
            order = self.btf.big_endian
            out.put(at, number.to_bytes(size, "big" if order else "little"))

    def number(self, found: t.Type, value: object, bits: int, path: str) -> int:
        """The bits of a number, as an unsigned number."""
        if isinstance(value, str) and isinstance(found, t.Enum):
            for entry in found.values:
                if entry.name == value:
                    return entry.value & (1 << bits) - 1
            known = ", ".join([entry.name for entry in found.values[:8]])
            what = found.name or "(anon)"
            raise self.fail(path, f"enum {what} has no '{value}'; it has {known}")
        name = type_name(self.btf, found.id)
        if not isinstance(value, int):
            raise self.fail(path, f"{name} needs a number, not {_short(value)}")
        number = int(value)
        signed = found.signed if isinstance(found, (t.Int, t.Enum)) else False
        low = -(1 << bits - 1) if signed and bits else 0
        high = (1 << (bits - 1 if signed and bits else bits)) - 1
        if not low <= number <= high:
            raise self.fail(path, f"{number} does not fit into {name} ({low} to {high})")
        return number & (1 << bits) - 1

    def bits(
        self, base: t.Type, value: object, out: _Buffer, start: int, bits: int, path: str
    ) -> None:
        number = self.number(base, value, bits, path)
        low, high = start // 8, (start + bits + 7) // 8
        if high > len(out.data):
            raise self.fail(path, "the bit-field reaches past the end of what it is part of")
        order = self.btf.big_endian
        shift = (high - low) * 8 - start % 8 - bits if order else start % 8
        raw = number << shift
        mask = (1 << bits) - 1 << shift
        size = high - low
        if order:
            out.put(low, raw.to_bytes(size, "big"), mask.to_bytes(size, "big"))
        else:
            out.put(low, raw.to_bytes(size, "little"), mask.to_bytes(size, "little"))

    def array(
        self, found: t.Array, value: object, out: _Buffer, at: int, path: str, depth: int
    ) -> None:
        if isinstance(value, str):
            if not is_text(self.btf, found):
                raise self.fail(path, "only an array of char can be given as text")
            raw = value.encode("utf-8", "surrogateescape")
            if len(raw) > found.count:
                raise self.fail(path, f"text of {len(raw)} bytes is too long for {found.count}")
            # What follows the NUL is not part of the text, so it is left open.
            out.put(at, (raw + b"\0")[: found.count])
            return
        if not isinstance(value, Sequence):
            raise self.fail(path, f"an array needs a list, not {_short(value)}")
        if len(value) > found.count:
            raise self.fail(path, f"{len(value)} elements are too many for {found.count}")
        size = size_of(self.btf, found.element_id)
        for index, item in enumerate(value):
            place = at + index * size
            self.write(found.element_id, item, out, place, f"{path}[{index}]", depth + 1)

    def section(
        self, found: t.DataSection, value: object, out: _Buffer, at: int, path: str, depth: int
    ) -> None:
        given = self.mapping(value, path, f"section {found.name}")
        for variable in found.vars:
            name = self.btf.type(variable.type_id).name
            if name in given:
                place = at + variable.offset
                item = given.pop(name)
                self.write(variable.type_id, item, out, place, f"{path}.{name}", depth + 1)
        self.refuse_rest(given, path, f"section {found.name}")

    def composite(
        self, found: t.Composite, value: object, out: _Buffer, at: int, path: str, depth: int
    ) -> None:
        what = type_name(self.btf, found.id)
        given = self.mapping(value, path, what)
        self.fields(found, given, out, at, path, depth)
        self.refuse_rest(given, path, what)

    def fields(
        self,
        found: t.Composite,
        given: dict[str, object],
        out: _Buffer,
        at: int,
        path: str,
        depth: int,
    ) -> bool:
        """Write the fields that `given` has and take them out of it; say whether there were any."""
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            raise broken(self.btf, found.id, "structs are nested too deep")
        written = ""
        for member in found.members:
            if member.name and member.name not in given:
                continue
            if written and found.kind == t.KIND_UNION:
                other = _Buffer(found.size)
                if self.field(member, given, other, 0, path, depth) and not out.merge(other, at):
                    raise self.fail(
                        path,
                        f"'{written}' and '{member.name or '(anon)'}' of "
                        f"{type_name(self.btf, found.id)} share their bytes but were given "
                        "different ones; give one of them",
                    )
            elif self.field(member, given, out, at, path, depth):
                written = member.name or "(anon)"
        return written != ""

    def field(
        self,
        member: t.Member,
        given: dict[str, object],
        out: _Buffer,
        at: int,
        path: str,
        depth: int,
    ) -> bool:
        if not member.name:
            inner = resolve(self.btf, member.type_id)
            if not isinstance(inner, t.Composite):
                return False
            place = at + member.bit_offset // 8
            if place + inner.size > len(out.data):
                raise broken(self.btf, inner.id, "it reaches past the end of what it is part of")
            return self.fields(inner, given, out, place, path, depth + 1)
        value = given.pop(member.name)
        name = f"{path}.{member.name}"
        if is_bitfield(self.btf, member):
            start, bits = field_bits(self.btf, member)
            base = resolve(self.btf, member.type_id)
            self.bits(base, value, out, at * 8 + start, bits, name)
        else:
            place = at + member.bit_offset // 8
            self.write(member.type_id, value, out, place, name, depth + 1)
        return True

    def mapping(self, value: object, path: str, what: str) -> dict[str, object]:
        if not isinstance(value, Mapping):
            raise self.fail(path, f"{what} needs a dict, not {_short(value)}")
        return {str(name): item for name, item in value.items()}

    def refuse_rest(self, given: dict[str, object], path: str, what: str) -> None:
        for name in given:
            raise self.fail(path, f"{what} has no field '{name}'")

    def real(self, found: t.Float, value: object, path: str) -> bytes:
        code = _FLOATS.get(found.size)
        if code is None or not isinstance(value, (int, float)):
            raise self.fail(path, f"{found.name} needs a number or bytes, not {_short(value)}")
        try:
            return pack((">" if self.btf.big_endian else "<") + code, value)
        except (OverflowError, layout_error):
            raise self.fail(path, f"{value} does not fit into {found.name}") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
