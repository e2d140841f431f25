"""What a client may ask, and what the service does for it.

A session belongs to one connection. It holds handles by number, as a process holds descriptors: all
go when the connection does. Requests marked slow run in threads of their own; the others must be
done in microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from anybpf import __version__
from anybpf.errors import ClosedError, InputError, NotSupported, PolicyError
from anybpf.maps import Map
from anybpf.runtime.map import MapKeeper, MapRecord
from anybpf.runtime.objects import Handle
from anybpf.runtime.program import Program
from anybpf.service.keeping import KeptRuntime, Source, load_source
from anybpf.service.values import info_to_wire, spec_from_wire, spec_to_wire

if TYPE_CHECKING:
    from anybpf.runtime.runtime import Statistics
    from anybpf.service.server import Server

# Handles of one connection, as RLIMIT_NOFILE bounds descriptors.
MOST_HANDLES: Final = 4096
# Bytes that a run may be asked to go through in all, so that a request ends.
MOST_REPEATS: Final = 100_000_000
RUN_SECONDS: Final = 30.0


class Files:
    """Descriptors to be sent along with an answer; they are not the session's to close."""

    __slots__ = ("fds", "value")

    def __init__(self, value: Any, fds: list[int]) -> None:
        self.value = value
        self.fds = fds


class Session:
    """One client's handles."""

    def __init__(self, server: Server, uid: int) -> None:
        self.server = server
        self.runtime: KeptRuntime = server.runtime
        self.owner: str = f"uid {uid}"
        self.handles: dict[int, Any] = {}
        self._next: int = 1

    def put(self, thing: Any) -> int:
        if len(self.handles) >= MOST_HANDLES:
            thing.close()
            raise PolicyError(
                "a handle is refused", policy="service", rule=f"{MOST_HANDLES} handles a client"
            )
        number, self._next = self._next, self._next + 1
        self.handles[number] = thing
        return number

    def get(self, told: dict[str, Any]) -> Any:
        found = self.handles.get(told.get("handle", 0))
        if found is None:
            raise ClosedError("this handle is not open in the service: open the object again")
        return found

    def close(self) -> None:
        handles, self.handles = self.handles, {}
        for one in handles.values():
            one.close()


def number(told: dict[str, Any], name: str) -> int:
    found = told.get(name)
    if type(found) is not int:
        raise InputError(f"{name} is to be a number")
    return found


def text(told: dict[str, Any], name: str) -> str:
    found = told.get(name, "")
    if not isinstance(found, str):
        raise InputError(f"{name} is to be text")
    return found


def data(told: dict[str, Any], name: str) -> bytes:
    found = told.get(name, b"")
    if not isinstance(found, bytes):
        raise InputError(f"{name} is to be bytes")
    return found


# Looking.


def hello(session: Session, told: dict[str, Any]) -> Any:
    runtime = session.runtime
    return {"version": __version__, "platform": runtime.platform.name, "cpus": runtime.cpus,
            "pid": os.getpid()}  # fmt: skip


def domain(session: Session, told: dict[str, Any]) -> Files:
    return Files(None, [session.runtime.domain.fd])


def ids(session: Session, told: dict[str, Any]) -> Any:
    return session.runtime.ids(text(told, "kind"))


def infos(session: Session, told: dict[str, Any]) -> Any:
    return [info_to_wire(one) for one in session.runtime.infos(text(told, "kind"))]


def pins(session: Session, told: dict[str, Any]) -> Any:
    return session.runtime.pins(text(told, "below"), text(told, "kind"))


def status(session: Session, told: dict[str, Any]) -> Any:
    return session.server.status()


def features(session: Session, told: dict[str, Any]) -> Any:
    found = session.runtime.features().feature(text(told, "kind"), text(told, "name"))
    return [found.kind, found.name, found.has, found.since, found.why]


def feature_names(session: Session, told: dict[str, Any]) -> Any:
    return session.runtime.features().names(text(told, "kind"))


# Handles.


def _opened(session: Session, thing: Any) -> dict[str, Any]:
    """A handle as the client needs to know it, from now on the session's."""
    if isinstance(thing, Map):
        keeper = thing.keeper
        assert isinstance(keeper, MapKeeper)
        record = keeper.record
        assert isinstance(record, MapRecord)
        told = {
            "kind": "map", "id": record.id, "name": record.name,
            "spec": spec_to_wire(record.spec), "btf": _types_id(record),
        }  # fmt: skip
    else:
        told = {"kind": thing.record.kind, "id": thing.id, "name": thing.name}
        if isinstance(thing, Program):
            told["type"] = thing.type
            told["attach_type"] = thing.attach_type
        elif hasattr(thing, "state"):
            told["attach_type"] = thing.attach_type
    told["handle"] = session.put(thing)
    return told


def _types_id(record: MapRecord) -> int:
    """The types that a client needs to read keys and values as they are meant; 0: none."""
    spec = record.spec
    if record.types is None or not (spec.key_type_id or spec.value_type_id):
        return 0
    return record.types.id


def open_id(session: Session, told: dict[str, Any]) -> Any:
    runtime = session.runtime
    opens: dict[str, Callable[[int], Any]] = {
        "program": runtime.program, "map": runtime.map, "link": runtime.link,
        "btf": runtime.types, "types": runtime.types,
    }  # fmt: skip
    kind = text(told, "kind")
    if kind not in opens:
        raise InputError(f"objects are of the kinds {', '.join(opens)}, not {kind!r}")
    return _opened(session, opens[kind](number(told, "id")))


def open_pin(session: Session, told: dict[str, Any]) -> Any:
    return _opened(session, session.runtime.open(text(told, "path")))


def remove_pin(session: Session, told: dict[str, Any]) -> None:
    session.runtime.remove_pin(text(told, "path"))


def close(session: Session, told: dict[str, Any]) -> None:
    thing = session.handles.pop(told.get("handle", 0), None)
    if thing is not None:
        thing.close()


def info(session: Session, told: dict[str, Any]) -> Any:
    return info_to_wire(session.get(told).info())


def pin(session: Session, told: dict[str, Any]) -> Any:
    return session.get(told).pin(text(told, "path"))


def unpin(session: Session, told: dict[str, Any]) -> None:
    session.get(told).unpin(text(told, "path"))


def pins_of(session: Session, told: dict[str, Any]) -> Any:
    return session.get(told).pins


def types_data(session: Session, told: dict[str, Any]) -> Any:
    return session.get(told).btf.encode()


# Maps.


def _map(session: Session, told: dict[str, Any]) -> MapRecord:
    thing = session.get(told)
    if not isinstance(thing, Map) or not isinstance(thing.keeper, MapKeeper):
        raise InputError("this handle is not one of a map")
    record = thing.keeper.record
    assert isinstance(record, MapRecord)
    return record


def map_memory(session: Session, told: dict[str, Any]) -> Files:
    """The map's memory itself, for the client to read and write without asking again."""
    storage = _map(session, told).storage
    if storage.fd < 0:
        raise NotSupported("memory of its own for this map", where="the service")
    return Files(None, [storage.fd])


def create_map(session: Session, told: dict[str, Any]) -> Any:
    spec = told.get("spec")
    if not isinstance(spec, dict):
        raise InputError("a map's definition is to be given")
    made = session.runtime.create_map(spec_from_wire(spec), owner=session.owner)
    return _opened(session, made)


def freeze(session: Session, told: dict[str, Any]) -> Any:
    return _map(session, told).storage.freeze()


def store(session: Session, told: dict[str, Any]) -> Any:
    record = _map(session, told)
    value = told.get("value")
    if isinstance(value, dict):
        value = session.get(value)
    session.runtime.dirty = True
    return record.store(data(told, "key"), value, number(told, "flags"))


def erase(session: Session, told: dict[str, Any]) -> Any:
    session.runtime.dirty = True
    return _map(session, told).erase(data(told, "key"))


def held(session: Session, told: dict[str, Any]) -> Any:
    thing = session.get(told).keeper.held(data(told, "key"))
    return None if thing is None else _opened(session, thing)


# Programs and links.


def load(session: Session, told: dict[str, Any]) -> Any:
    from anybpf.engines.image.reading import is_library

    raw = data(told, "data")
    if is_library(raw):
        raise NotSupported(
            "a native image", where="the service, which runs only what it verified itself"
        )
    options = told.get("options", {})
    if not isinstance(options, dict):
        raise InputError("options of a load are a table")
    maps = {}
    for name, one in options.pop("maps", {}).items():
        maps[name] = session.get({"handle": one})
    runtime = session.runtime
    server = session.server
    proof = server.prove(raw, options)
    source = Source(raw, options, proof)
    loaded = load_source(runtime, source, server.prove, owner=session.owner, maps=maps)
    try:
        source.maps = {name: one.keeper.record.id for name, one in loaded.maps.items()}
        given = {one.keeper.record.id for one in maps.values()}
        for one in source.maps.values():
            if one not in given:
                runtime.sources.setdefault(one, source)
        for program in loaded.programs.values():
            runtime.sources[program.id] = source
        answer: dict[str, Any] = {"name": loaded.name, "programs": {}, "maps": {}}
        for name in list(loaded.programs):
            answer["programs"][name] = _opened(session, loaded.detach_program(name))
        for name in list(loaded.maps):
            answer["maps"][name] = _opened(session, loaded.detach_map(name))
    except BaseException:
        loaded.close()
        raise
    return answer


def _program(session: Session, told: dict[str, Any]) -> Program:
    thing = session.get(told)
    if not isinstance(thing, Program):
        raise InputError("this handle is not one of a program")
    return thing


def test_run(session: Session, told: dict[str, Any]) -> Any:
    program = _program(session, told)
    options = _run_options(told)
    repeat = options.get("repeat", 1)
    if type(repeat) is not int or not 1 <= repeat <= MOST_REPEATS:
        raise InputError(f"a run over the service is repeated 1 to {MOST_REPEATS} times")
    done = program.test_run(data(told, "data"), told.get("ctx"), **options)
    redirect = done.redirect
    return [
        done.retval, done.retval_name, done.value, done.data_out, done.ctx_out, done.duration,
        done.repeat, done.instructions, None if redirect is None else list(redirect),
    ]  # fmt: skip


def run_batch(session: Session, told: dict[str, Any]) -> Any:
    program = _program(session, told)
    buffer = bytearray(data(told, "data"))
    done = program.run_batch(buffer, ctx=told.get("ctx"), **_run_options(told))
    stops = {str(index): str(error) for index, error in done.errors.items()}
    return [bytes(done.values), stops, bytes(buffer)]


def _run_options(told: dict[str, Any]) -> dict[str, Any]:
    options = told.get("options", {})
    known = {
        "repeat", "cpu", "batch", "data_size_out", "flags", "budget", "timeout", "event",
        "stride", "offsets",
    }  # fmt: skip
    if not isinstance(options, dict) or not known.issuperset(options):
        raise InputError(f"options of a run are {', '.join(sorted(known))}")
    limit = options.get("timeout")
    if limit is None or not isinstance(limit, int | float) or not 0 < limit <= RUN_SECONDS:
        options["timeout"] = RUN_SECONDS
    return options


def attach(session: Session, told: dict[str, Any]) -> Any:
    from anybpf.runtime.link import attach as attach_program

    link = attach_program(
        _program(session, told), text(told, "attach_type"), data(told, "data"), owner=session.owner
    )
    return _opened(session, link)


def detach(session: Session, told: dict[str, Any]) -> None:
    session.runtime.dirty = True
    thing = session.get(told)
    if not hasattr(thing, "detach"):
        raise InputError("this handle is not one of a link")
    thing.detach()


def link_state(session: Session, told: dict[str, Any]) -> Any:
    thing = session.get(told)
    return thing.state if isinstance(thing, Handle) and hasattr(thing, "state") else ""


class Counting:
    """The statistics switch as a handle."""

    def __init__(self, switch: Statistics) -> None:
        self._switch = switch

    def close(self) -> None:
        self._switch.close()


def statistics(session: Session, told: dict[str, Any]) -> Any:
    return session.put(Counting(session.runtime.enable_statistics()))


def stop(session: Session, told: dict[str, Any]) -> None:
    session.server.stop()


Request = Callable[[Session, dict[str, Any]], Any]

REQUESTS: Final[dict[str, tuple[Request, bool]]] = {
    "hello": (hello, False),
    "domain": (domain, False),
    "ids": (ids, False),
    "infos": (infos, False),
    "pins": (pins, False),
    "status": (status, False),
    "feature": (features, True),
    "feature_names": (feature_names, True),
    "open": (open_id, False),
    "open_pin": (open_pin, False),
    "remove_pin": (remove_pin, False),
    "close": (close, False),
    "info": (info, False),
    "pin": (pin, False),
    "unpin": (unpin, False),
    "pins_of": (pins_of, False),
    "types_data": (types_data, False),
    "map_memory": (map_memory, False),
    "create_map": (create_map, True),
    "freeze": (freeze, False),
    "store": (store, False),
    "erase": (erase, False),
    "held": (held, False),
    "load": (load, True),
    "test_run": (test_run, True),
    "run_batch": (run_batch, True),
    "attach": (attach, True),
    "detach": (detach, True),
    "link_state": (link_state, False),
    "statistics": (statistics, False),
    "stop": (stop, False),
}
