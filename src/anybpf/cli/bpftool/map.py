"""`bpftool map`: what changes maps and looks single entries up. Listings are in ``map_show``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.data import rows, strings, take_bytes
from anybpf.cli.bpftool.map_show import (
    bytes_view,
    dump,
    has_types,
    print_entry,
    show,
    typed_entry,
)
from anybpf.cli.bpftool.session import (
    ENOENT,
    Failure,
    Session,
    UsageWanted,
    Words,
    choose,
    failed,
    number_of,
    usage,
)
from anybpf.errors import AnyBPFError, NoSuchKey, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import MapHandle
    from anybpf.objects.specs import MapSpec

USAGE: Final = """\
Usage: anybpf bpftool map { show | list } [MAP]
       anybpf bpftool map create FILE type TYPE key KEY_SIZE value VALUE_SIZE \\
                                 entries MAX_ENTRIES name NAME [flags FLAGS] [inner_map MAP]
       anybpf bpftool map dump | freeze MAP
       anybpf bpftool map update MAP [key DATA] [value VALUE] [any | exist | noexist]
       anybpf bpftool map lookup | getnext | peek MAP [key DATA]
       anybpf bpftool map delete MAP key DATA
       anybpf bpftool map push | enqueue MAP value VALUE
       anybpf bpftool map pop | dequeue MAP
       anybpf bpftool map pin MAP FILE
       anybpf bpftool map event_pipe MAP
       MAP := { id N | pinned FILE | name NAME }, DATA := [hex] BYTES, VALUE := DATA | MAP | PROG
"""

_FLAGS: Final = {"any": 0, "noexist": 1, "exist": 2}
_NO_KEY: Final = ("queue", "stack", "bloom_filter")


class Element:
    """A key, a value and flags, as far as the command line has them."""

    def __init__(self) -> None:
        self.key: bytes | None = None
        self.value: Any = None
        self.flags: int | None = None


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def _one(session: Session, words: Words, held: ExitStack, least: int = 2) -> MapHandle:
    if len(words) < least:
        raise UsageWanted
    return references.one_map(session, words, held)


def _parse(
    session: Session,
    words: Words,
    one: MapHandle,
    held: ExitStack,
    *,
    key: bool = False,
    value: bool = False,
    flags: bool = False,
) -> Element:
    """The element that the rest of the line describes, in any order."""
    found = Element()
    info = one.info()
    key = key and bool(info.key_size)
    while len(words):
        if words.take_if("key"):
            if found.key is not None:
                raise Failure("duplicate key")
            if not key:
                raise Failure("unnecessary key")
            found.key = take_bytes(words, "key", info.key_size)
        elif words.take_if("value"):
            if found.value is not None:
                raise Failure("duplicate value")
            if not value:
                raise Failure("unnecessary value")
            found.value = _take_value(session, words, one, held)
        elif flags and words.is_next(*_FLAGS):
            word = words.take()
            if found.flags is not None:
                raise Failure(f"flags specified multiple times: {word}")
            found.flags = next(bit for name, bit in _FLAGS.items() if name.startswith(word))
        else:
            raise Failure(f"expected key or value, got: {words.peek()}")
    if key and found.key is None:
        raise Failure("did not find key")
    if value and found.value is None:
        raise Failure("did not find value")
    return found


def _take_value(session: Session, words: Words, one: MapHandle, held: ExitStack) -> Any:
    info = one.info()
    holds = one.platform.map_type(info.type_name).holds
    if holds == "maps":
        words.need(2)
        return references.one_map(session, words, held)
    if holds == "programs":
        words.need(2)
        keyword = words.peek()
        by = "MAP_ID" if keyword == "id" else "MAP_NAME"
        if not "pinned".startswith(keyword):
            session.note(
                f"Warning: updating program array via {by}, make sure this map is kept open\n"
                "         by some process or pinned otherwise update will be lost"
            )
        return references.program(session, words, held)
    data = take_bytes(words, "value", info.value_size)
    if not one.per_cpu:
        return data
    # The same for every processor, each from a multiple of eight bytes on.
    return data.ljust(-(-len(data) // 8) * 8, b"\0") * one.cpus


def update(session: Session, words: Words) -> int:
    with ExitStack() as held:
        one = _one(session, words, held)
        element = _parse(session, words, one, held, key=True, value=True, flags=True)
        _store(one, element, "update")
    session.nothing()
    return 0


def _store(one: MapHandle, element: Element, what: str) -> None:
    view = bytes_view(one)
    try:
        if not one.info().key_size or one.info().type_name in _NO_KEY:
            view.push(element.value, element.flags or 0)
        else:
            view.update(element.key, element.value, element.flags or 0)
    except NotSupported:
        raise
    except (AnyBPFError, OSError) as error:
        raise failed(f"{what} failed", error) from None


def lookup(session: Session, words: Words) -> int:
    with ExitStack() as held:
        one = _one(session, words, held)
        element = _parse(session, words, one, held, key=True)
        key = element.key or b""
        try:
            value = _peek(one) if one.info().type_name in _NO_KEY else one.lookup(key)
        except NoSuchKey:
            value = None
        except (AnyBPFError, OSError) as error:
            raise failed("lookup failed", error) from None
        if value is None:
            if session.json:
                session.emit(None)
            else:
                session.print(f"key:\n{rows(key)}\n\nNot found\n")
            return -ENOENT & 0xFF
        _answer(session, one, key, value)
    return 0


def _peek(one: MapHandle) -> bytes | None:
    found: bytes | None = bytes_view(one).peek()
    return found


def _answer(session: Session, one: MapHandle, key: bytes, value: bytes) -> None:
    """One entry as the answer of a look-up."""
    if session.json:
        session.emit(typed_entry(one, key, value))
    elif has_types(one):
        from anybpf.cli.bpftool.json_text import pretty
        from anybpf.cli.bpftool.map_show import formatted_entry

        session.print(pretty(formatted_entry(one, key, value, True)) + "\n")
    else:
        print_entry(session, one, key, value)


def getnext(session: Session, words: Words) -> int:
    with ExitStack() as held:
        one = _one(session, words, held)
        key = _parse(session, words, one, held, key=True).key if len(words) else None
        try:
            after = one.next_key(key)
        except (AnyBPFError, OSError) as error:
            raise failed("can't get next key", error) from None
        if after is None:
            raise Failure("can't get next key: No such file or directory", ENOENT)
        if session.json:
            session.emit({"key": strings(key) if key else None, "next_key": strings(after)})
        elif key:
            session.print(f"key:\n{rows(key)}\nnext key:\n{rows(after)}\n")
        else:
            session.print(f"key: None\nnext key:\n{rows(after)}\n")
    return 0


def delete(session: Session, words: Words) -> int:
    with ExitStack() as held:
        one = _one(session, words, held)
        key = _parse(session, words, one, held, key=True).key
        try:
            bytes_view(one).delete(key)
        except (AnyBPFError, OSError) as error:
            raise failed("delete failed", error) from None
    session.nothing()
    return 0


def push(session: Session, words: Words) -> int:
    with ExitStack() as held:
        one = _one(session, words, held)
        element = _parse(session, words, one, held, value=True)
        try:
            bytes_view(one).push(element.value)
        except AttributeError:
            raise Failure("update failed: Operation not supported", 95) from None
        except (AnyBPFError, OSError) as error:
            raise failed("update failed", error) from None
    session.nothing()
    return 0


def pop(session: Session, words: Words) -> int:
    with ExitStack() as held:
        one = _one(session, words, held)
        try:
            value = bytes_view(one).pop()
        except NoSuchKey:
            if session.json:
                session.emit(None)
            else:
                session.print("Error: empty map\n")
            return -ENOENT & 0xFF
        except (AnyBPFError, OSError) as error:
            raise failed("pop failed", error) from None
        if session.json:
            session.emit({"key": [], "value": strings(value)})
        else:
            print_entry(session, one, b"", value)
    return 0


def freeze(session: Session, words: Words) -> int:
    words.need(2)
    with ExitStack() as held:
        one = references.one_map(session, words, held)
        if len(words):
            raise UsageWanted
        if one.frozen:
            raise Failure("failed to freeze map: Operation not permitted")
        try:
            one.freeze()
        except (AnyBPFError, OSError) as error:
            raise failed("failed to freeze map", error) from None
    session.nothing()
    return 0


def pin(session: Session, words: Words) -> int:
    words.need(3, 22)
    with ExitStack() as held:
        pin_at(session, references.one_map(session, words, held), words.take())
    return 0


def pin_at(session: Session, handle: Any, path: str) -> None:
    """Pin any object, as all nouns do it."""
    try:
        handle.pin(path)
    except (AnyBPFError, OSError) as error:
        from anybpf.cli.bpftool.session import EEXIST, errno_of, strerror

        taken = any(one == path for one, _, _ in session.backend.pins())
        number = EEXIST if taken else errno_of(error)
        raise Failure(f"can't pin the object ({path}): {strerror(number)}", number) from None
    session.nothing()


def create(session: Session, words: Words) -> int:
    words.need(7)
    from anybpf.objects.specs import MapSpec

    spec = MapSpec("", "")
    path = words.take()
    seen: set[str] = set()
    with ExitStack() as held:
        while len(words):
            words.need(2)
            _take_setting(session, words, spec, seen, held)
        if not spec.name:
            raise Failure("map name not specified")
        try:
            made = held.enter_context(session.backend.create_map(spec))
        except NotSupported:
            raise
        except (AnyBPFError, OSError) as error:
            session.note(f"anybpf: {error}")
            raise failed("map create failed", error, 1) from None
        pin_at(session, made, path)
    return 0


def _take_setting(
    session: Session, words: Words, spec: MapSpec, seen: set[str], held: ExitStack
) -> None:
    sizes = {
        "key": ("key_size", "key size"),
        "value": ("value_size", "value size"),
        "entries": ("max_entries", "max entries"),
        "flags": ("flags", "flags"),
    }
    if words.take_if("type"):
        _once(seen, "type", "map type")
        word = words.take()
        kinds = session.backend.platform.map_types
        names = [
            kind.name for kind in kinds if kind.name.startswith(word) and kind.name != "unspec"
        ]
        name = word if word in names else names[0] if names else ""
        if not name:
            raise Failure(f"unrecognized map type: {word}")
        spec.type = name
        return
    if words.take_if("name"):
        _once(seen, "name", "map name")
        spec.name = words.take()
        return
    for keyword, (field, what) in sizes.items():
        if words.take_if(keyword):
            _once(seen, keyword, what)
            setattr(spec, field, number_of(words.take(), what))
            return
    if words.take_if("dev"):
        raise Failure(f"unrecognized netdevice '{words.take()}': maps of devices are not supported")
    if words.take_if("inner_map"):
        _once(seen, "inner_map", "inner map")
        inner = references.one_map(session, words, held)
        spec.inner = inner.spec.copy()
        return
    raise Failure(f"unknown arg {words.peek()}")


def _once(seen: set[str], keyword: str, what: str) -> None:
    if keyword in seen:
        raise Failure(f"{what} already specified")
    seen.add(keyword)


def event_pipe(session: Session, words: Words) -> int:
    """Records of a perf event array, until interrupted; as text, or a JSON value for each."""
    words.need(2)
    with ExitStack() as held:
        one = references.one_map(session, words, held)
        if len(words):
            raise NotSupported(
                "one processor and index", where="event_pipe, which reads all processors"
            )
        if one.info().type_name != "perf_event_array":
            raise Failure("map is not a perf event array")
        from anybpf.cli.bpftool.events import pipe

        pipe(session, one)
    return 0


_TABLE: Final = (
    ("show", show),
    ("list", show),
    ("help", usage),
    ("dump", dump),
    ("update", update),
    ("lookup", lookup),
    ("getnext", getnext),
    ("delete", delete),
    ("pin", pin),
    ("event_pipe", event_pipe),
    ("create", create),
    ("peek", lookup),
    ("push", push),
    ("enqueue", push),
    ("pop", pop),
    ("dequeue", pop),
    ("freeze", freeze),
)
