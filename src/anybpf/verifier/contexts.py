"""Contexts and other structures of fields, made ready for quick checks.

What a place of a structure holds, and whether it may be read or written with some width, is worked
out from the platform's table once and then found by place and width. What a load makes of it is
the business of ``access``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.platforms import kinds
from anybpf.platforms.model import Context, Field
from anybpf.verifier.values import MEMORY, OBJECT, TRUSTED, Region, Value

# What a load from a place yields.
REFUSED: Final = 0
PLAIN_NUMBER: Final = 1
PACKET_START: Final = 2
PACKET_LIMIT: Final = 3
META_START: Final = 4
POINTER: Final = 5  # to an object, always the same or maybe null
ARGUMENT: Final = 6  # an argument whose type the attach target says

# How far from its start the memory behind a field of unknown length may be touched: the kernel
# bounds offsets by BPF_MAX_VAR_OFF and compares with the real length when it attaches.
OPEN_SIZE: Final = 1 << 16

# Types of kernel structures are told from kinds of pointers by a word in front.
STRUCT: Final = "struct "


class Slot:
    """What an access of one width at one place finds.

    ``value`` is the pointer that is loaded where it is always the same one; a nullable one is made
    anew at each load, from ``kind``, ``size``, ``flags`` and ``type``.
    """

    __slots__ = ("flags", "kind", "name", "size", "type", "value", "what")

    def __init__(self, what: i64, name: str) -> None:
        self.what: i64 = what
        self.name: str = name
        self.value: Value | None = None
        self.size: i64 = 0
        self.flags: i64 = 0
        self.type: str = ""
        self.kind: i64 = OBJECT


class Layout:
    """One structure as one program may use it."""

    __slots__ = ("attach_type", "context", "open", "reads", "typed", "writes")

    def __init__(self, context: Context | None, attach_type: str) -> None:
        self.context: Context | None = context
        self.attach_type: str = attach_type
        self.typed: bool = context is not None and context.layout == "typed"
        self.open: bool = context is not None and context.layout == "open"
        self.reads: dict[i64, Slot] = {}
        self.writes: dict[i64, Slot] = {}

    def read(self, offset: i64, size: i64) -> Slot:
        """What a load of ``size`` bytes at ``offset`` finds; its ``what`` may be REFUSED."""
        key = offset * 16 + size
        found = self.reads.get(key)
        if found is None:
            found = self._make(offset, size, False)
            self.reads[key] = found
        return found

    def write(self, offset: i64, size: i64) -> Slot:
        key = offset * 16 + size
        found = self.writes.get(key)
        if found is None:
            found = self._make(offset, size, True)
            self.writes[key] = found
        return found

    def _make(self, offset: i64, size: i64, write: bool) -> Slot:
        context = self.context
        if context is None:
            return Slot(REFUSED, "")
        if self.typed and not write and offset % 8 == 0 and 0 <= offset < context.size:
            slot = Slot(ARGUMENT, f"argument {offset // 8}")
            slot.size = offset // 8
            return slot
        field = context.access(int(offset), int(size), write, self.attach_type)
        if field is None:
            there = context.field(int(offset), 1) if offset >= 0 else None
            return Slot(REFUSED, "" if there is None else there.name)
        return _slot_of(field)

    def problem(self, offset: i64, size: i64, write: bool) -> str:
        """Why the access is refused, in words."""
        context = self.context
        verb = "written" if write else "read"
        if context is None:
            return f"the context of this program type may not be {verb}"
        if offset < 0 or offset + size > context.size:
            return (
                f"{size} bytes at offset {offset} of {context.name}, which has {context.size} bytes"
            )
        field = context.field(int(offset), 1)
        if field is None:
            return f"offset {offset} of {context.name}, where no field may be {verb}"
        sizes = field.write_sizes if write else field.read_sizes
        place = f"{field.name} of {context.name}"
        if not sizes:
            return f"{place}, which this program type may not have {verb}"
        if context.access(int(offset), int(size), write, "") is not None:
            return f"{place}, which may not be {verb} at attach type {self.attach_type}"
        if int(size) not in sizes:
            words = " or ".join([str(width) for width in sizes])
            return f"{size} bytes of {place}, which is {verb} {words} bytes at a time"
        return f"{size} bytes at offset {offset}, inside {place}, which it must begin with"


def _slot_of(field: Field) -> Slot:
    kind = field.kind
    if kind == kinds.SCALAR:
        return Slot(PLAIN_NUMBER, field.name)
    if kind == kinds.PACKET:
        return Slot(PACKET_START, field.name)
    if kind == kinds.PACKET_END:
        return Slot(PACKET_LIMIT, field.name)
    if kind == kinds.PACKET_META:
        return Slot(META_START, field.name)
    slot = Slot(POINTER, field.name)
    if kind == kinds.BUFFER:
        slot.kind = MEMORY
        slot.size = OPEN_SIZE
    elif kind == kinds.BTF_POINTER:
        slot.type = STRUCT + field.type.rstrip(" *")
        slot.flags = TRUSTED
    else:
        slot.type = kind
        slot.flags = TRUSTED
    if not field.nullable:
        region = Region(slot.kind, slot.size, False, -1)
        region.flags = slot.flags
        region.type = slot.type
        slot.value = Value(slot.kind, 0, None, region)
    return slot


def pointer_from(slot: Slot) -> Value:
    """The pointer that a load of this place yields."""
    value = slot.value
    if value is not None:
        return value
    region = Region(slot.kind, slot.size, True, -1)
    region.flags = slot.flags
    region.type = slot.type
    return Value(slot.kind, 0, None, region)
