"""`bpftool map show` and `dump`, and how entries are printed wherever they are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.data import rows, strings
from anybpf.cli.bpftool.json_text import pretty
from anybpf.cli.bpftool.session import (
    EINVAL,
    ENOENT,
    ENOTSUPP,
    Failure,
    Session,
    UsageWanted,
    Words,
    errno_of,
    strerror,
)
from anybpf.cli.bpftool.values import formatted
from anybpf.errors import AnyBPFError, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import MapHandle

# Wider keys and values have lines of their own.
_WIDE: Final = 16
_LINE: Final = 24
# What walking over keys leaves as exit code for types that have none.
_NO_WALK: Final = {"ringbuf": ENOTSUPP, "user_ringbuf": ENOTSUPP, "queue": EINVAL, "stack": EINVAL}


def show(session: Session, words: Words) -> int:
    with ExitStack() as held:
        if len(words) == 2:
            found = references.maps(session, words, held)
            records = [_record(session, one.info(), one) for one in found]
            if session.json:
                session.emit(records[0] if len(records) == 1 else records)
            else:
                for one in found:
                    session.print(_text(session, one.info(), one))
            return 0
    if len(words):
        words.end()
    infos = list(session.backend.infos("map"))
    if session.json:
        session.emit([_record(session, info) for info in infos])
        return 0
    for info in infos:
        session.print(_text(session, info))
    return 0


def _owner(session: Session, info: Any, handle: Any = None) -> dict[str, str]:
    """Of a program array in the kernel: what type of programs it holds, and whether compiled."""
    if info.type_name != "prog_array":
        return {}
    from anybpf.cli.bpftool.descriptor import facts

    if handle is not None:
        return facts(handle)
    try:
        with session.backend.map(info.id) as opened:
            return facts(opened)
    except (AnyBPFError, OSError):
        return {}


def _record(session: Session, info: Any, handle: Any = None) -> dict[str, Any]:
    record: dict[str, Any] = {"id": info.id, "type": info.type_name}
    if info.name:
        record["name"] = info.name
    record["flags"] = info.map_flags
    if info.ifindex:
        record["dev"] = {"ifindex": info.ifindex}
    record["bytes_key"] = info.key_size
    record["bytes_value"] = info.value_size
    record["max_entries"] = info.max_entries
    record["bytes_memlock"] = info.memlock
    owner = _owner(session, info, handle)
    if owner.get("owner_prog_type"):
        record["owner_prog_type"] = _program_type(session, owner["owner_prog_type"])
    if owner.get("owner_jited"):
        record["owner_jited"] = owner["owner_jited"] != "0"
    record["frozen"] = int(info.frozen)
    if info.btf_id:
        record["btf_id"] = info.btf_id
    pins = session.pins_of("map", info.id)
    if pins:
        record["pinned"] = pins
    return record


def _program_type(session: Session, number: str) -> str:
    return next(
        (one.name for one in session.backend.platform.program_types if str(one.number) == number),
        number,
    )


def _header(info: Any) -> str:
    name = f"name {info.name}  " if info.name else ""
    return f"{info.id}: {info.type_name}  {name}flags {info.map_flags:#x}\n"


def _text(session: Session, info: Any, handle: Any = None) -> str:
    text = _header(info) + (
        f"\tkey {info.key_size}B  value {info.value_size}B  max_entries {info.max_entries}"
        f"  memlock {info.memlock}B"
    )
    owner = _owner(session, info, handle)
    if owner.get("owner_prog_type") or owner.get("owner_jited"):
        text += "\n\t"
        if owner.get("owner_prog_type"):
            text += f"owner_prog_type {_program_type(session, owner['owner_prog_type'])}  "
        if owner.get("owner_jited"):
            text += "owner jited" if owner["owner_jited"] != "0" else "owner not jited"
    for path in session.pins_of("map", info.id):
        text += f"\n\tpinned {path}"
    text += "\n"
    last = [f"btf_id {info.btf_id}"] if info.btf_id else []
    last += ["frozen"] if info.frozen else []
    return text + (f"\t{'  '.join(last)}\n" if last else "")


# Entries.


def bytes_view(one: MapHandle) -> Any:
    """The map with bytes for keys and values."""
    return one.typed("bytes", "bytes")


def has_types(one: MapHandle) -> bool:
    """Whether entries are listed by their types."""
    info = one.info()
    if one.btf is None or not info.btf_value_type_id:
        return False
    return not one.platform.map_type(info.type_name).holds


def per_cpu_values(one: MapHandle, value: bytes) -> list[bytes]:
    """One processor's value after the other; each starts at a multiple of eight bytes."""
    size = one.info().value_size
    stride = -(-size // 8) * 8
    return [value[at : at + size] for at in range(0, len(value), stride)]


def formatted_entry(one: MapHandle, key: bytes, value: bytes, plain: bool) -> dict[str, Any]:
    """An entry by its types."""
    assert one.btf is not None
    info = one.info()
    entry: dict[str, Any] = {}
    if info.btf_key_type_id:
        entry["key"] = formatted(one.btf, info.btf_key_type_id, key, plain)
    type_id = info.btf_value_type_id
    if one.per_cpu:
        entry["values"] = [
            {"cpu": cpu, "value": formatted(one.btf, type_id, each, plain)}
            for cpu, each in enumerate(per_cpu_values(one, value))
        ]
    else:
        entry["value"] = formatted(one.btf, type_id, value, plain)
    return entry


def typed_entry(one: MapHandle, key: bytes, value: bytes) -> dict[str, Any]:
    """An entry in JSON: bytes, and by its types if they are known."""
    entry: dict[str, Any] = {"key": strings(key)}
    if one.per_cpu:
        entry["values"] = [
            {"cpu": cpu, "value": strings(each)}
            for cpu, each in enumerate(per_cpu_values(one, value))
        ]
    else:
        entry["value"] = strings(value)
    if has_types(one):
        entry["formatted"] = formatted_entry(one, key, value, False)
    return entry


def print_entry(session: Session, one: MapHandle, key: bytes, value: bytes) -> None:
    info = one.info()
    if one.per_cpu:
        text = f"key:\n{rows(key)}\n" if key else ""
        gap = "\n" if info.value_size > _WIDE else " "
        for cpu, each in enumerate(per_cpu_values(one, value)):
            text += f"value (CPU {cpu:02d}):{gap}{rows(each)}\n"
        session.print(text)
        return
    _print_pair(session, one, key, rows(value) if info.value_size else "")


def _print_pair(session: Session, one: MapHandle, key: bytes, value: str) -> None:
    info = one.info()
    broken = info.key_size > _WIDE or info.value_size > _WIDE
    single = info.key_size + info.value_size <= _LINE and not broken
    gap = "\n" if broken else " "
    text = ""
    if info.key_size:
        text += f"key:{gap}{rows(key)}" + ("  " if single else "\n")
    if info.value_size:
        text += f"value:{gap}{value}"
    session.print(text + "\n")


def dump(session: Session, words: Words) -> int:
    if len(words) != 2:
        raise UsageWanted
    with ExitStack() as held:
        found = references.maps(session, words, held)
        many = len(found) > 1
        code = 0
        records: list[Any] = []
        typed: list[Any] = []
        for one in found:
            entries, count, code = _entries(one)
            records.append((one, entries, count))
            if code:
                break
        if session.json:
            out = [[_json_entry(one, *entry) for entry in entries] for one, entries, _ in records]
            session.emit(
                [_elements(one, out[i]) for i, (one, _, _) in enumerate(records)]
                if many
                else out[0]
            )
            return -code & 0xFF
        typed = [one for one, _, _ in records if has_types(one)]
        if len(typed) == len(records):
            lists = [
                [formatted_entry(one, key, value, True) for key, value in entries if value]
                for one, entries, _ in records
            ]
            answer = (
                [_elements(one, lists[i]) for i, (one, _, _) in enumerate(records)]
                if many
                else lists[0]
            )
            session.print(pretty(answer) + "\n")
            return -code & 0xFF
        for one, entries, count in records:
            if many:
                session.print(_header(one.info()))
            _print_entries(session, one, entries)
            session.print(f"Found {count} element{'' if count == 1 else 's'}\n")
        return -code & 0xFF


def _elements(one: MapHandle, entries: list[Any]) -> dict[str, Any]:
    info = one.info()
    record = {"id": info.id, "type": info.type_name, "name": info.name, "flags": info.map_flags}
    return {**record, "elements": entries}


def _print_entries(session: Session, one: MapHandle, entries: list[Any]) -> None:
    for key, value in entries:
        if isinstance(value, bytes):
            print_entry(session, one, key, value)
        else:
            said = "<no entry>" if value == ENOENT else strerror(value)
            _print_pair(session, one, key, said)


def _json_entry(one: MapHandle, key: bytes, value: bytes | int) -> dict[str, Any]:
    if isinstance(value, bytes):
        return typed_entry(one, key, value)
    return {"key": strings(key), "value": {"error": strerror(value)}}


def _entries(one: MapHandle) -> tuple[list[tuple[bytes, bytes | int]], int, int]:
    """All entries, or instead of a value the errno that is in its place; how many have one; and
    the errno that ended the walk."""
    info = one.info()
    if info.type_name in _NO_WALK:
        return [], 0, _NO_WALK[info.type_name]
    holds = one.platform.map_type(info.type_name).holds
    out: list[tuple[bytes, bytes | int]] = []
    count = 0
    key: bytes | None = None
    met: set[bytes] = set()
    while True:
        try:
            key = one.next_key(key)
        except NotSupported as error:
            raise Failure(f"{error}", 95) from None
        except (AnyBPFError, OSError) as error:
            number = errno_of(error)
            return out, count, 0 if number == ENOENT else number
        if key is None or key in met:  # an entry that went takes the walk back to the start
            return out, count, 0
        met.add(key)
        try:
            value = one.lookup(key)
        except (AnyBPFError, OSError) as error:
            out.append((key, errno_of(error)))
            continue
        if value is not None:
            out.append((key, value))
            count += 1
        elif holds not in ("programs", "maps"):
            out.append((key, ENOENT))
