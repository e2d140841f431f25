"""Loaded objects in words: the rows of tables, the lines of one object, and JSON.

The names in JSON are bpftool's where it has one for the same thing. What there is to be told comes
from any back end's ``info()``; how it is printed is the business of ``output``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anybpf.runtime.infos import LinkInfo, MapInfo, ProgramInfo

PROGRAM_HEADINGS = ("id", "type", "name", "mode", "bytes", "runs", "ns/run", "maps", "pinned")
MAP_HEADINGS = ("id", "type", "name", "key", "value", "entries", "memory", "pinned")
LINK_HEADINGS = ("id", "type", "program", "attached to", "state", "pinned")


def program_as_json(info: ProgramInfo, pins: Sequence[str]) -> dict[str, Any]:
    return {
        "id": info.id,
        "type": info.type_name,
        "name": info.name,
        "tag": info.tag,
        "gpl_compatible": info.gpl_compatible,
        "loaded_at": loaded_at(info.load_time),
        "uid": info.created_by_uid,
        "mode": info.mode,
        "attach_type": info.attach_type_name,
        "bytes_xlated": info.xlated_prog_len,
        "bytes_jited": info.jited_prog_len,
        "bytes_memlock": info.memlock,
        "map_ids": list(info.map_ids),
        "btf_id": info.btf_id,
        "run_time_ns": info.run_time_ns,
        "run_cnt": info.run_cnt,
        "links": info.link_count,
        "pinned": list(pins),
    }


def map_as_json(info: MapInfo, pins: Sequence[str]) -> dict[str, Any]:
    return {
        "id": info.id,
        "type": info.type_name,
        "name": info.name,
        "flags": info.map_flags,
        "bytes_key": info.key_size,
        "bytes_value": info.value_size,
        "max_entries": info.max_entries,
        "map_extra": info.map_extra,
        "bytes_memlock": info.memlock,
        "frozen": info.frozen,
        "btf_id": info.btf_id,
        "inner_map_id": info.inner_map_id,
        "pinned": list(pins),
    }


def link_as_json(info: LinkInfo, pins: Sequence[str]) -> dict[str, Any]:
    return {
        "id": info.id,
        "type": info.type_name,
        "prog_id": info.prog_id,
        "attach_type": info.attach_type_name,
        "attach_data": info.attach_data.hex(),
        "state": info.state,
        "place": _place(info),
        "pinned": list(pins),
    }


def _place(info: LinkInfo) -> dict[str, Any]:
    """What the system says of the place besides, by its own names; text and numbers only."""
    details: dict[str, Any] = getattr(info, "details", {})
    return {name: one for name, one in details.items() if isinstance(one, int | str | float | bool)}


def loaded_at(since_boot: int) -> int:
    """Seconds since 1970 of a load time, which counts nanoseconds since the machine started."""
    from anybpf.runtime.objects import nanoseconds_since_boot

    return round(time.time() - (nanoseconds_since_boot() - since_boot) / 1e9)


def program_row(info: ProgramInfo, pins: Sequence[str]) -> tuple[object, ...]:
    each = str(info.run_time_ns // info.run_cnt) if info.run_cnt and info.run_time_ns else "-"
    return (
        info.id,
        info.type_name,
        info.name,
        info.mode,
        info.xlated_prog_len,
        info.run_cnt,
        each,
        ",".join(str(one) for one in info.map_ids) or "-",
        _first(pins),
    )


def map_row(info: MapInfo, pins: Sequence[str]) -> tuple[object, ...]:
    return (
        info.id,
        info.type_name,
        info.name,
        info.key_size,
        info.value_size,
        info.max_entries,
        info.memlock,
        _first(pins),
    )


def link_row(info: LinkInfo, pins: Sequence[str]) -> tuple[object, ...]:
    return (
        info.id,
        info.type_name,
        info.prog_id or "-",
        info.attach_type_name or "-",
        info.state,
        _first(pins),
    )


def _first(pins: Sequence[str]) -> str:
    """The first pin, and that there are more."""
    if not pins:
        return "-"
    return pins[0] if len(pins) == 1 else f"{pins[0]} +{len(pins) - 1}"


def program_lines(info: ProgramInfo, pins: Sequence[str], maps: Sequence[str]) -> list[str]:
    """One program in full."""
    from datetime import datetime

    when = datetime.fromtimestamp(loaded_at(info.load_time)).isoformat(" ")
    rows = [
        ("tag", info.tag),
        ("attach type", info.attach_type_name),
        ("loaded", f"{when} by user {info.created_by_uid}"),
        ("mode", info.mode),
        ("bytecode", f"{info.xlated_prog_len} bytes"),
        ("native code", f"{info.jited_prog_len} bytes" if info.jited_prog_len else ""),
        ("maps", ", ".join(maps)),
        ("types", f"btf {info.btf_id}" if info.btf_id else ""),
        ("runs", f"{info.run_cnt} in {info.run_time_ns} ns" if info.run_cnt else ""),
        ("links", str(info.link_count or "")),
        ("licence", "" if info.gpl_compatible else "not compatible with the GPL"),
        *(("pinned", path) for path in pins),
    ]
    return [f"{info.id}: {info.type_name}, program {info.name}", *pairs(rows)]


def map_lines(info: MapInfo, pins: Sequence[str], key: str, value: str) -> list[str]:
    """One map in full. ``key`` and ``value`` are the names of their types."""
    rows = [
        ("key", f"{info.key_size} bytes{_typed(key)}"),
        ("value", f"{info.value_size} bytes{_typed(value)}"),
        ("entries", f"at most {info.max_entries}"),
        ("flags", f"{info.map_flags:#x}" if info.map_flags else ""),
        ("memory", f"{info.memlock} bytes"),
        ("frozen", "yes" if info.frozen else ""),
        ("inner map", str(info.inner_map_id or "")),
        ("types", f"btf {info.btf_id}" if info.btf_id else ""),
        *(("pinned", path) for path in pins),
    ]
    return [f"{info.id}: {info.type_name}, map {info.name}", *pairs(rows)]


def _typed(name: str) -> str:
    return "" if name.startswith("bytes of size") else f", {name}"


def link_lines(info: LinkInfo, pins: Sequence[str], program: str) -> list[str]:
    rows = [
        ("program", f"{info.prog_id} {program}".rstrip() if info.prog_id else "none"),
        ("attach type", info.attach_type_name),
        ("attach data", info.attach_data.hex(" ")),
        ("state", info.state),
        *((name, str(value)) for name, value in _place(info).items()),
        *(("pinned", path) for path in pins),
    ]
    return [f"{info.id}: {info.type_name}", *pairs(rows)]


def pairs(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Names and what they are, indented and lined up; those that are nothing are left out."""
    kept = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in kept), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in kept]
