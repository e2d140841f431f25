"""From rows to objects: the steps that every platform's module needs.

How prototypes and size rules are written is ``prototype``'s business; what the rows say, that of
each platform's tables.
"""

from __future__ import annotations

from anybpf.platforms.kinds import TRUSTED
from anybpf.platforms.model import Context, Field

FieldRow = tuple[str, int, int, str, str, str]

_ELEMENT_SIZES = {
    "u8": 1,
    "u16": 2,
    "be16": 2,
    "u32": 4,
    "s32": 4,
    "be32": 4,
    "u64": 8,
}


def element_size(type_name: str) -> int:
    """The size of a field's type, or of one element where the field is an array. Pointers: 8."""
    return _ELEMENT_SIZES.get(type_name, 8)


def helper_numbers(numbers: dict[str, int], names: str) -> list[int]:
    """The numbers of the helpers named in one text."""
    return [numbers[name] for name in names.split()]


def context_of(
    name: str,
    layout: tuple[int, tuple[FieldRow, ...]],
    readable: str,
    writable: str,
    groups: dict[str, str],
    layout_word: str = "fields",
) -> Context:
    """A context with the rights of one program type.

    Rights are names of fields, "*" for all; "name@group" holds for that group's attach types.
    Behind a field's kind may stand "?" (or null) and "^" (a trusted pointer).
    """
    size, rows = layout
    reads = _rights(readable, groups)
    writes = _rights(writable, groups)
    fields = []
    for row in rows:
        field_name, offset, field_size, type_name, mode, kind = row
        read = reads.get(field_name, reads.get("*"))
        write = writes.get(field_name, writes.get("*"))
        element = element_size(type_name)
        trusted = kind.endswith("^")
        kind = kind.removesuffix("^")
        nullable = kind.endswith("?")
        fields.append(
            Field(
                field_name,
                offset,
                field_size,
                type_name,
                kind=kind[:-1] if nullable else kind,
                nullable=nullable,
                read_sizes=() if read is None else _read_sizes(mode, element),
                write_sizes=() if write is None else _write_sizes(mode, element),
                attach_types=read or (),
                write_attach_types=write or (),
                exact=mode == "start",
                trust=TRUSTED if trusted else "",
            )
        )
    return Context(name, size, fields, layout=layout_word)


def _rights(text: str, groups: dict[str, str]) -> dict[str, tuple[str, ...]]:
    rights: dict[str, tuple[str, ...]] = {}
    for word in text.split():
        field, _, group = word.partition("@")
        rights[field] = tuple(groups[group].split()) if group else ()
    return rights


def _read_sizes(mode: str, element: int) -> tuple[int, ...]:
    if mode == "whole":
        return (element,)
    if mode == "half":
        return (element // 2, element)
    highest = {"bytes": 8, "pair": element * 2}.get(mode, element)
    return tuple([size for size in (1, 2, 4, 8) if size <= highest])


def _write_sizes(mode: str, element: int) -> tuple[int, ...]:
    if mode == "bytes":
        return (1, 2, 4, 8)
    return (element, element * 2) if mode == "pair" else (element,)
