"""Sizes, alignments and places of fields, by the rules of C on the machine the BTF is for.

Every walk here is bounded, since damaged BTF can describe a struct that contains itself. How
types are written in C is the business of `names` and `cdump`.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF
from anybpf.errors import BTFError

# The kernel follows 32 types in a row when it resolves one (MAX_RESOLVE_DEPTH in
# kernel/bpf/btf.c); what is deeper cannot be loaded.
MAX_DEPTH: Final = 32
# Sizes in BTF are 32-bit numbers.
_MAX_SIZE: Final = 0xFFFFFFFF
# Fields looked at before a search is given up; a real struct has some hundreds.
_SEARCH_LIMIT: Final = 20_000

_STRIPPED: Final = frozenset(
    (t.KIND_TYPEDEF, t.KIND_VOLATILE, t.KIND_CONST, t.KIND_RESTRICT, t.KIND_TYPE_TAG)
)


class Place:
    """A field found inside a struct or union: `bit_offset` counts from the outermost one."""

    __slots__ = ("bit_offset", "member", "parent")

    def __init__(self, member: t.Member, bit_offset: int, parent: t.Composite) -> None:
        self.member: t.Member = member
        self.bit_offset: int = bit_offset
        self.parent: t.Composite = parent


def broken(btf: BTF, type_id: int, message: str) -> BTFError:
    """An error about one type, with the place of its record."""
    return BTFError(f"type {type_id}: {message}", file=btf.file, offset=btf.offset_of(type_id))


def resolve(btf: BTF, type_id: int) -> t.Type:
    """The type behind typedefs, qualifiers and type tags."""
    found = btf.type(type_id)
    depth = 0
    while found.kind in _STRIPPED:
        assert isinstance(found, t.Reference)
        depth += 1
        if depth > MAX_DEPTH:
            raise broken(btf, type_id, "typedefs and qualifiers go round in circles")
        found = btf.type(found.type_id)
    return found


def size_of(btf: BTF, type_id: int) -> int:
    """Bytes that a value of this type takes; void and functions have no size, which is an error."""
    factor = 1
    found = resolve(btf, type_id)
    for _ in range(MAX_DEPTH):
        if isinstance(found, t.Array):
            factor *= found.count
            if factor > _MAX_SIZE:
                raise broken(btf, type_id, "the array is larger than 4 GiB")
            found = resolve(btf, found.element_id)
        elif isinstance(found, t.Var):
            found = resolve(btf, found.type_id)
        else:
            size = factor * _own_size(btf, found)
            if size > _MAX_SIZE:
                raise broken(btf, type_id, "the array is larger than 4 GiB")
            return size
    raise broken(btf, type_id, "arrays are nested too deep or go round in circles")


def _own_size(btf: BTF, found: t.Type) -> int:
    if isinstance(found, t.Composite):
        return found.size
    if isinstance(found, t.Int):
        return found.size
    if isinstance(found, t.Pointer):
        return btf.pointer_size
    if isinstance(found, t.Enum):
        return found.size
    if isinstance(found, t.DataSection):
        return found.size
    if isinstance(found, t.Float):
        return found.size
    raise broken(btf, found.id, f"{found.kind_name} {found.name or '(anon)'} has no size")


def align_of(btf: BTF, type_id: int) -> int:
    """Alignment in bytes; 1 for a packed struct."""
    known = btf.alignments.get(type_id)
    if known is None:
        known = _align(btf, type_id, 0)
        btf.alignments[type_id] = known
    return known


def _align(btf: BTF, type_id: int, depth: int) -> int:
    found = resolve(btf, type_id)
    steps = 0
    while isinstance(found, (t.Array, t.Var)):
        steps += 1
        if steps > MAX_DEPTH:
            raise broken(btf, type_id, "arrays are nested too deep or go round in circles")
        found = resolve(btf, found.element_id if isinstance(found, t.Array) else found.type_id)
    if isinstance(found, t.Composite):
        known = btf.alignments.get(found.id)
        if known is None:
            known = _composite_align(btf, found, depth)
            btf.alignments[found.id] = known
        return known
    size = _own_size(btf, found)
    # Data sections have no type of their own; nothing in C is aligned to more than 16 bytes by
    # itself. A size that is no power of two (80-bit floats) aligns to the next lower one.
    largest = 1
    while largest * 2 <= size and largest < 16:
        largest *= 2
    return largest


def _composite_align(btf: BTF, found: t.Composite, depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise broken(btf, found.id, "structs are nested too deep or contain themselves")
    natural = 1
    for member in found.members:
        align = _align(btf, member.type_id, depth + 1)
        natural = max(natural, align)
        plain = not member.bitfield_size
        if plain and not is_bitfield(btf, member) and member.bit_offset % (align * 8):
            return 1
    return 1 if found.size % natural else natural


def is_bitfield(btf: BTF, member: t.Member) -> bool:
    """Whether a field is a bit-field, in the new style or the old (an int of odd width)."""
    if member.bitfield_size:
        return True
    found = resolve(btf, member.type_id)
    return isinstance(found, t.Int) and (found.bits != found.size * 8 or found.bit_offset != 0)


def field_bits(btf: BTF, member: t.Member) -> tuple[int, int]:
    """Offset in the struct and width of a field, both in bits, whichever way they are stored."""
    if member.bitfield_size:
        return member.bit_offset, member.bitfield_size
    found = resolve(btf, member.type_id)
    if isinstance(found, t.Int):
        return member.bit_offset + found.bit_offset, found.bits
    return member.bit_offset, size_of(btf, member.type_id) * 8


def find_member(btf: BTF, type_id: int, name: str) -> Place | None:
    """The field of this name, also one inside anonymous structs and unions."""
    found = resolve(btf, type_id)
    if not isinstance(found, t.Composite):
        return None
    # Widest first; a nested type that was searched in vain need not be searched again.
    todo: list[tuple[t.Composite, int]] = [(found, 0)]
    seen = {found.id}
    for parent, base in todo:
        for member in parent.members:
            if member.name == name and name:
                return Place(member, base + member.bit_offset, parent)
            if not member.name:
                inner = resolve(btf, member.type_id)
                if isinstance(inner, t.Composite) and inner.id not in seen:
                    seen.add(inner.id)
                    todo.append((inner, base + member.bit_offset))
    return None


def field_path(btf: BTF, type_id: int, offset: int, size: int = 0) -> str | None:
    """How C would name what lies `offset` bytes into a type: `a.b[2].c`, or None.

    With `size`, a field of that size is preferred to the struct or union around it; without, the
    path goes as deep as it can. An offset in the middle of a field gives the field, if the access
    stays inside.
    """
    search = _PathSearch(btf, size)
    return search.run(type_id, offset)


class _PathSearch:
    """One search of `field_path`, with the work that it may still do."""

    __slots__ = ("_btf", "_left", "_size")

    def __init__(self, btf: BTF, size: int) -> None:
        self._btf: BTF = btf
        self._size: int = size
        self._left: int = _SEARCH_LIMIT

    def run(self, type_id: int, offset: int) -> str | None:
        if offset < 0:
            return None
        found = resolve(self._btf, type_id)
        if not isinstance(found, (t.Composite, t.Array)):
            return None
        path = self._descend(found, offset, True, 0)
        if path is None:
            path = self._descend(found, offset, False, 0)
        return None if path is None else path.removeprefix(".")

    def _descend(self, found: t.Type, offset: int, exact: bool, depth: int) -> str | None:
        """The path below `found`; `exact` asks for a field that starts and ends as the access."""
        if depth > MAX_DEPTH or self._left <= 0:
            return None
        if isinstance(found, t.Array):
            size = size_of(self._btf, found.element_id)
            if size == 0:
                return None
            index = offset // size
            if index >= found.count and found.count:
                return None
            path = self._enter(found.element_id, offset % size, exact, depth)
            return None if path is None else f"[{index}]{path}"
        assert isinstance(found, t.Composite)
        for member in found.members:
            self._left -= 1
            start, bits = field_bits(self._btf, member)
            low = start // 8
            if is_bitfield(self._btf, member):
                high = (start + bits + 7) // 8
                if low <= offset < high and not (exact and self._size and low != offset):
                    return f".{member.name}" if member.name else None
                continue
            if offset < low:
                continue
            flexible = bits == 0 and isinstance(resolve(self._btf, member.type_id), t.Array)
            if offset + max(self._size, 1) > low + bits // 8 and not flexible:
                continue
            path = self._enter(member.type_id, offset - low, exact, depth)
            if path is not None and (member.name or path):
                return f".{member.name}{path}" if member.name else path
        return None

    def _enter(self, type_id: int, offset: int, exact: bool, depth: int) -> str | None:
        """The path below a field: empty if the field itself is meant."""
        found = resolve(self._btf, type_id)
        size = size_of(self._btf, type_id)
        path: str | None = None
        if isinstance(found, (t.Composite, t.Array)):
            path = self._descend(found, offset, exact, depth + 1)
            if path is not None:
                return path
        if exact and self._size:
            return "" if offset == 0 and self._size == size else None
        return "" if offset + max(self._size, 1) <= size else None
