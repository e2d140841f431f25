"""Making BTF: add strings and types, merge in other BTF, get bytes or a `BTF` back.

Ids are given in the order of adding, so a type may refer to one that comes later (see
`next_id`). Equal types are not looked for here (see `dedup`); equal strings are stored once.
"""

from __future__ import annotations

from struct import Struct as Layout
from struct import error as layout_error
from struct import pack

from anybpf.btf import types as t
from anybpf.btf.container import BTF, MAGIC
from anybpf.btf.references import references, with_references
from anybpf.btf.strings import encode_text
from anybpf.errors import BTFError

_MAX_COUNT = 0xFFFF  # vlen has 16 bits: btf.rst, section 2.2
_MAX_MEMBER_BIT = 0xFFFFFF  # a member offset has 24 bits beside a bit-field size


class BTFBuilder:
    """Collects types; with `base`, those of a split BTF that continues `base`.

    >>> builder = BTFBuilder()
    >>> from anybpf.btf import Int, Member, Struct
    >>> number = builder.add(Int("int", 4))
    >>> builder.add(Struct("point", 8, [Member("x", number, 0), Member("y", number, 32)]))
    2
    >>> builder.build().find("point").members[1].bit_offset
    32
    """

    __slots__ = (
        "_added", "_one", "_order", "_pair", "_records", "_strings", "_text", "_triple",
        "base", "big_endian", "first_id",
    )  # fmt: skip

    def __init__(self, big_endian: bool = False, base: BTF | None = None) -> None:
        if base is not None and base.big_endian != big_endian:
            raise BTFError("a split BTF has the byte order of its base")
        self.big_endian: bool = big_endian
        self.base: BTF | None = base
        self.first_id: int = len(base) if base is not None else 1
        self._records: list[bytes] = []
        self._strings: dict[str, int] = {"": 0}
        # A BTF that stands alone begins with the empty string; a split one goes on from its base.
        self._added: int = 0 if base is not None else 1
        self._text: list[bytes] = [] if base is not None else [b"\0"]
        self._order: str = ">" if big_endian else "<"
        self._one: Layout = Layout(self._order + "I")
        self._pair: Layout = Layout(self._order + "II")
        self._triple: Layout = Layout(self._order + "III")

    @property
    def next_id(self) -> int:
        """The id that the next type added will have."""
        return self.first_id + len(self._records)

    def add_string(self, text: str) -> int:
        """The offset of `text`, which is stored if it is new."""
        known = self._strings.get(text)
        if known is not None:
            return known
        start = self.base.strings.end if self.base is not None else 0
        raw = encode_text(text)
        offset = start + self._added
        self._text.append(raw + b"\0")
        self._added += len(raw) + 1
        self._strings[text] = offset
        return offset

    def add(self, new: t.Type) -> int:
        """Append a type and return its id; `new` itself is not kept."""
        self._records.append(self._record(new))
        return self.next_id - 1

    def replace(self, type_id: int, new: t.Type) -> None:
        """Put another type in the place of one added before, under the same id."""
        index = type_id - self.first_id
        if not 0 <= index < len(self._records):
            raise BTFError(f"type id {type_id} was not added here, so it cannot be replaced")
        self._records[index] = self._record(new)

    def merge(self, other: BTF) -> list[int]:
        """Append all types of `other`; the list gives the new id for each old one."""
        shift = self.next_id - 1
        ids = [0] + [type_id + shift for type_id in range(1, len(other))]
        for found in other.types():
            self.add(with_references(found, remap(ids, references(found))))
        return ids

    def encode(self) -> bytes:
        """Header, types and strings: the contents of a `.BTF` section."""
        types = b"".join(self._records)
        text = b"".join(self._text)
        header = pack(
            self._order + "HBBIIIII", MAGIC, 1, 0, 24, 0, len(types), len(types), len(text)
        )
        return header + types + text

    def build(self, file: str = "") -> BTF:
        """What was added, as a `BTF`."""
        return BTF.parse(self.encode(), self.base, file)

    def _record(self, new: t.Type) -> bytes:
        try:
            return self._encode(new)
        except layout_error as error:
            raise BTFError(
                f"{new.kind_name} '{new.name}' has a number that BTF cannot store: {error}"
            ) from None

    def _head(self, new: t.Type, size: int, count: int = 0, flag: bool = False) -> bytes:
        if not 0 <= count <= _MAX_COUNT:
            raise BTFError(
                f"{new.kind_name} '{new.name}' has {count} parts, BTF can store {_MAX_COUNT}"
            )
        info = new.kind << 24 | count | (1 << 31 if flag else 0)
        return self._triple.pack(self.add_string(new.name), info, size)

    def _encode(self, new: t.Type) -> bytes:
        if isinstance(new, t.Reference):
            return self._reference(new)
        if isinstance(new, t.Composite):
            return self._composite(new)
        if isinstance(new, t.FunctionProto):
            head = self._head(new, new.return_id, len(new.params))
            rows = [self._pair.pack(self.add_string(p.name), p.type_id) for p in new.params]
            return head + b"".join(rows)
        if isinstance(new, t.Int):
            word = (new.encoding & 0xF) << 24 | (new.bit_offset & 0xFF) << 16 | new.bits & 0xFF
            return self._head(new, new.size) + self._one.pack(word)
        if isinstance(new, t.Array):
            tail = self._triple.pack(new.element_id, new.index_id, new.count)
            return self._head(new, 0) + tail
        if isinstance(new, t.Enum):
            return self._enumeration(new)
        if isinstance(new, t.DataSection):
            head = self._head(new, new.size, len(new.vars))
            rows = [self._triple.pack(v.type_id, v.offset, v.size) for v in new.vars]
            return head + b"".join(rows)
        if isinstance(new, t.Forward):
            return self._head(new, 0, 0, new.is_union)
        if isinstance(new, t.Float):
            return self._head(new, new.size)
        raise BTFError(f"a type of kind {new.kind_name} cannot be added to BTF")

    def _reference(self, new: t.Reference) -> bytes:
        if isinstance(new, t.Function):
            return self._head(new, new.type_id, new.linkage)
        if isinstance(new, t.Var):
            return self._head(new, new.type_id) + self._one.pack(new.linkage)
        if isinstance(new, t.DeclTag):
            head = self._head(new, new.type_id, 0, new.attribute)
            return head + self._one.pack(new.component_index & 0xFFFFFFFF)
        if isinstance(new, t.TypeTag):
            return self._head(new, new.type_id, 0, new.attribute)
        return self._head(new, new.type_id)

    def _composite(self, new: t.Composite) -> bytes:
        rows = [self._head(new, new.size, len(new.members), new.kind_flag)]
        for member in new.members:
            place = member.bit_offset
            if new.kind_flag:
                if place > _MAX_MEMBER_BIT or member.bitfield_size > 0xFF:
                    raise BTFError(
                        f"field '{member.name}' of '{new.name}' lies too far out to be stored "
                        "in a struct with bit-fields"
                    )
                place |= member.bitfield_size << 24
            elif member.bitfield_size:
                raise BTFError(
                    f"field '{member.name}' of '{new.name}' is a bit-field, "
                    "but the struct has no kind_flag"
                )
            rows.append(self._triple.pack(self.add_string(member.name), member.type_id, place))
        return b"".join(rows)

    def _enumeration(self, new: t.Enum) -> bytes:
        rows = [self._head(new, new.size, len(new.values), new.signed)]
        bits = 64 if new.kind == t.KIND_ENUM64 else 32
        low = -(1 << bits - 1) if new.signed else 0
        high = 1 << (bits - 1 if new.signed else bits)
        for entry in new.values:
            if not low <= entry.value < high:
                raise BTFError(
                    f"{entry.name} = {entry.value} of enum '{new.name}' does not fit "
                    f"into {bits} {'signed' if new.signed else 'unsigned'} bits"
                )
            name = self.add_string(entry.name)
            value = entry.value & (1 << bits) - 1
            if bits == 64:
                rows.append(self._triple.pack(name, value & 0xFFFFFFFF, value >> 32))
            else:
                rows.append(self._pair.pack(name, value))
        return b"".join(rows)


def remap(ids: list[int], old: list[int]) -> list[int]:
    """The new id for each of `old`; an id that does not exist is an error."""
    known = len(ids)
    for type_id in old:
        if type_id >= known:
            raise BTFError(f"type id {type_id} does not exist, ids go up to {known - 1}")
    return [ids[type_id] for type_id in old]


def rebuild(btf: BTF, big_endian: bool | None = None) -> BTF:
    """The same types under the same ids with a fresh string section, in either byte order."""
    order = btf.big_endian if big_endian is None else big_endian
    builder = BTFBuilder(order, btf.base)
    for found in btf.types(own=True):
        builder.add(found)
    return builder.build(btf.file)
