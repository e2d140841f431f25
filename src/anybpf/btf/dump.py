"""All types as a listing or as data for JSON, in the shape of `bpftool btf dump format raw`.

The C form is made by `cdump`. An anonymous type is called `(anon)`, as bpftool does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF

_ENCODINGS: Final = {0: "(none)", t.INT_SIGNED: "SIGNED", t.INT_CHAR: "CHAR", t.INT_BOOL: "BOOL"}
_FUNCTION_LINKAGE: Final = ("static", "global", "extern")
_VARIABLE_LINKAGE: Final = ("static", "global", "extern")


def dump_raw(btf: BTF, ids: Iterable[int] | None = None) -> str:
    """A line for each type and for each of its parts; without `ids`, of all own types."""
    lines: list[str] = []
    for type_id in _chosen(btf, ids):
        lines += raw_lines(btf, btf.type(type_id))
    return "\n".join(lines) + "\n" if lines else ""


def dump_dicts(btf: BTF, ids: Iterable[int] | None = None) -> list[dict[str, object]]:
    """A dict for each type: `id`, `kind`, `name`, and what the kind has besides."""
    return [type_dict(btf, btf.type(type_id)) for type_id in _chosen(btf, ids)]


def _chosen(btf: BTF, ids: Iterable[int] | None) -> Iterable[int]:
    return range(btf.first_id, len(btf)) if ids is None else ids


def raw_lines(btf: BTF, found: t.Type) -> list[str]:
    """One type of the listing."""
    head = f"[{found.id}] {found.kind_name.upper()} '{found.name or '(anon)'}'"
    facts = type_dict(btf, found)
    parts = _parts_key(found)
    words: list[str] = []
    for key, value in facts.items():
        if key not in ("id", "kind", "name", parts):
            words.append(f"{key}={value}")
    # The listing of bpftool has a comma in this one place.
    separator = ", " if found.kind == t.KIND_VAR else " "
    lines = [f"{head} {separator.join(words)}" if words else head]
    lines += _part_lines(btf, found)
    return lines


def _parts_key(found: t.Type) -> str:
    if isinstance(found, t.Composite):
        return "members"
    if isinstance(found, t.Enum):
        return "values"
    if isinstance(found, t.FunctionProto):
        return "params"
    return "vars"


def _part_lines(btf: BTF, found: t.Type) -> Iterator[str]:
    if isinstance(found, t.Composite):
        for member in found.members:
            size = f" bitfield_size={member.bitfield_size}" if member.bitfield_size else ""
            yield (
                f"\t'{member.name or '(anon)'}' type_id={member.type_id} "
                f"bits_offset={member.bit_offset}{size}"
            )
    elif isinstance(found, t.Enum):
        suffix = ""
        if found.kind == t.KIND_ENUM64:
            suffix = "LL" if found.signed else "ULL"
        for entry in found.values:
            yield f"\t'{entry.name or '(anon)'}' val={entry.value}{suffix}"
    elif isinstance(found, t.FunctionProto):
        for param in found.params:
            yield f"\t'{param.name or '(anon)'}' type_id={param.type_id}"
    elif isinstance(found, t.DataSection):
        for variable in found.vars:
            target = btf.type(variable.type_id)
            yield (
                f"\ttype_id={variable.type_id} offset={variable.offset} size={variable.size}"
                f" ({target.kind_name.upper()} '{target.name or '(anon)'}')"
            )


def type_dict(btf: BTF, found: t.Type) -> dict[str, object]:
    """One type as a dict that JSON can hold."""
    facts: dict[str, object] = {
        "id": found.id,
        "kind": found.kind_name.upper(),
        "name": found.name or "(anon)",
    }
    if isinstance(found, t.Int):
        facts["size"] = found.size
        facts["bits_offset"] = found.bit_offset
        facts["nr_bits"] = found.bits
        facts["encoding"] = _ENCODINGS.get(found.encoding, "UNKN")
    elif isinstance(found, t.FunctionProto):
        facts["ret_type_id"] = found.return_id
        facts["vlen"] = len(found.params)
        facts["params"] = [
            {"name": param.name or "(anon)", "type_id": param.type_id} for param in found.params
        ]
    elif isinstance(found, t.Reference):
        _reference_facts(found, facts)
    elif isinstance(found, t.Array):
        facts["type_id"] = found.element_id
        facts["index_type_id"] = found.index_id
        facts["nr_elems"] = found.count
    elif isinstance(found, t.Composite):
        facts["size"] = found.size
        facts["vlen"] = len(found.members)
        facts["members"] = [_member_dict(member) for member in found.members]
    elif isinstance(found, t.Enum):
        facts["encoding"] = "SIGNED" if found.signed else "UNSIGNED"
        facts["size"] = found.size
        facts["vlen"] = len(found.values)
        facts["values"] = [
            {"name": entry.name or "(anon)", "val": entry.value} for entry in found.values
        ]
    elif isinstance(found, t.Forward):
        facts["fwd_kind"] = "union" if found.is_union else "struct"
    elif isinstance(found, t.DataSection):
        facts["size"] = found.size
        facts["vlen"] = len(found.vars)
        facts["vars"] = [
            {"type_id": place.type_id, "offset": place.offset, "size": place.size}
            for place in found.vars
        ]
    elif isinstance(found, t.Float):
        facts["size"] = found.size
    return facts


def _reference_facts(found: t.Reference, facts: dict[str, object]) -> None:
    facts["type_id"] = found.type_id
    if isinstance(found, t.Function):
        facts["linkage"] = _word(_FUNCTION_LINKAGE, found.linkage)
    elif isinstance(found, t.Var):
        facts["linkage"] = _word(_VARIABLE_LINKAGE, found.linkage)
    elif isinstance(found, t.DeclTag):
        facts["component_idx"] = found.component_index


def _word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else "(unknown)"


def _member_dict(member: t.Member) -> dict[str, object]:
    facts: dict[str, object] = {
        "name": member.name or "(anon)",
        "type_id": member.type_id,
        "bits_offset": member.bit_offset,
    }
    if member.bitfield_size:
        facts["bitfield_size"] = member.bitfield_size
    return facts
