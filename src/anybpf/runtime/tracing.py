"""What a runtime does, as it does it: events by area and level, for people who look for a fault.

Nothing of it is in the way when nobody listens: the functions that are watched are wrapped when the
first tracer starts, and are themselves again when the last one stops. Every event of the process is
told, whatever thread or runtime it comes from; what programs do inside is not.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final, Self

from anybpf.errors import AnyBPFError, InputError
from anybpf.platforms.table import near

BASE: Final = "base"
VERIFIER: Final = "verifier"
CORE: Final = "core"
PROGRAMS: Final = "programs"
MAPS: Final = "maps"
LINKS: Final = "links"
PINS: Final = "pins"
ENTRY_EXIT: Final = "entry-exit"

# Area, and what its events are of.
AREAS: Final[dict[str, str]] = {
    BASE: "runtimes, and files that are loaded",
    VERIFIER: "proofs of programs, and refusals",
    CORE: "runs of programs that are asked for: test runs, batches",
    PROGRAMS: "programs made",
    MAPS: "maps made, entries put in, taken out and looked up",
    LINKS: "programs attached and detached",
    PINS: "pins made and removed",
    ENTRY_EXIT: "every watched function: its begin, and its end with the time it took",
}

ERROR: Final = "error"
INFO: Final = "info"
VERBOSE: Final = "verbose"
# Each has those before it.
LEVELS: Final = (ERROR, INFO, VERBOSE)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: when (ns of the monotonic clock), of what area and level, where, and what."""

    time: int
    area: str
    level: str
    function: str
    thread: int
    text: str

    def __str__(self) -> str:
        return f"{self.time / 1e9:.6f} {self.level:<7} {self.area:<10} {self.function}: {self.text}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


Describe = Callable[[tuple[Any, ...], Any], str]


@dataclass(frozen=True, slots=True)
class Point:
    """A function that is watched: where it is found, and what its events say."""

    area: str
    level: str
    module: str
    name: str
    describe: Describe


def _map_name(face: Any) -> str:
    return f"map {face.spec.name}"


def _entry(args: tuple[Any, ...], _: Any) -> str:
    return f"{_map_name(args[0])}[{args[1] if len(args) > 1 else ''!r}]"


def _found(args: tuple[Any, ...], result: Any) -> str:
    return f"{_entry(args, None)}: {result!r}"


def _put(args: tuple[Any, ...], _: Any) -> str:
    return f"{_entry(args, None)} = {args[2]!r}" if len(args) > 2 else _map_name(args[0])


def _proofs(args: tuple[Any, ...], _: Any) -> str:
    proofs = args[0].proofs
    told = ", ".join(f"{name} ({one.stats.steps} steps)" for name, one in proofs.items())
    return f"proved {told}" if told else "nothing to prove"


def _made_program(_: tuple[Any, ...], record: Any) -> str:
    size, kind = len(record.prepared.code), record.prepared.type.name
    return f"program {record.name} ({kind}, {size} bytes), id {record.id}"


def _made_map(_: tuple[Any, ...], record: Any) -> str:
    spec = record.spec
    return (
        f"map {record.name} ({record.type.name}, {spec.key_size} -> {spec.value_size} bytes, "
        f"{spec.max_entries} entries), id {record.id}"
    )


def _loaded(_: tuple[Any, ...], found: Any) -> str:
    programs, maps = ", ".join(found.programs), ", ".join(found.maps)
    return f"{found.name}: programs {programs or 'none'}; maps {maps or 'none'}"


def _ran(args: tuple[Any, ...], result: Any) -> str:
    name = result.retval_name or result.retval
    return f"program {args[0].name}: {name}, {result.duration} ns, {result.repeat} times"


def _ran_batch(args: tuple[Any, ...], result: Any) -> str:
    return f"program {args[0].name}: {len(result)} records, {len(result.errors)} stopped"


_RUNTIME: Final = "anybpf.runtime.runtime"
_LOADING: Final = "anybpf.runtime.loading"
_FACE: Final = "anybpf.maps.map"

# The names are those through which functions are called: tests/runtime/test_tracing.py sees to it.
POINTS: Final = (
    Point(BASE, INFO, _RUNTIME, "Runtime.__init__",
          lambda args, _: f"for {args[0].platform.name}, {args[0].cpus} processors"),
    Point(BASE, INFO, _RUNTIME, "Runtime.load", _loaded),
    Point(BASE, INFO, _RUNTIME, "Runtime.close", lambda args, _: args[0].platform.name),
    Point(VERIFIER, INFO, _LOADING, "_Load._verify", _proofs),
    Point(PROGRAMS, INFO, _LOADING, "create_program", _made_program),
    Point(MAPS, INFO, _LOADING, "create_map", _made_map),
    Point(MAPS, INFO, "anybpf.runtime.map", "create_map", _made_map),
    Point(CORE, VERBOSE, "anybpf.runtime.program", "Program.test_run", _ran),
    Point(CORE, VERBOSE, "anybpf.runtime.program", "Program.run_batch", _ran_batch),
    Point(MAPS, VERBOSE, _FACE, "Map.__getitem__", _found),
    Point(MAPS, VERBOSE, _FACE, "Map.__setitem__", _put),
    Point(MAPS, VERBOSE, _FACE, "Map.__delitem__", _entry),
    Point(MAPS, VERBOSE, _FACE, "Map.update", _put),
    Point(MAPS, VERBOSE, _FACE, "Map.get", _found),
    Point(MAPS, VERBOSE, _FACE, "Map.pop", _found),
    Point(MAPS, VERBOSE, _FACE, "Map.update_batch", lambda args, _: _map_name(args[0])),
    Point(MAPS, VERBOSE, _FACE, "Map.lookup_batch", lambda args, _: _map_name(args[0])),
    Point(MAPS, VERBOSE, _FACE, "Map.delete_batch", lambda args, _: _map_name(args[0])),
    Point(MAPS, VERBOSE, _FACE, "Queue.push", lambda args, _: f"{_map_name(args[0])}: {args[1]!r}"),
    Point(MAPS, VERBOSE, _FACE, "Queue.pop",
          lambda args, result: f"{_map_name(args[0])}: {result!r}"),
    Point(MAPS, VERBOSE, _FACE, "Holder.update", _put),
    Point(MAPS, VERBOSE, _FACE, "Holder.__delitem__", _entry),
    Point(LINKS, INFO, "anybpf.runtime.link", "attach",
          lambda args, link: f"program {args[0].name} by {link.attach_type}, link {link.id}"),
    Point(LINKS, INFO, "anybpf.runtime.link", "Link.detach",
          lambda args, _: f"link {args[0].id} of program {args[0].name}"),
    Point(PINS, INFO, _RUNTIME, "Runtime.pin",
          lambda args, path: f"{args[2].describe()} at {path}"),
    Point(PINS, INFO, _RUNTIME, "Runtime.unpin",
          lambda args, _: f"{args[1].describe()} from {args[2] if len(args) > 2 else 'all'}"),
    Point(PINS, INFO, _RUNTIME, "Runtime.remove_pin", lambda args, _: str(args[1])),
)  # fmt: skip


class Tracer:
    """Gives events to ``sink`` between ``start`` and ``stop``, or in a ``with`` block.

    ``areas`` are some of :data:`AREAS` (without any, all but entry-exit), ``level`` is one of
    :data:`LEVELS`. The sink is called in the thread that does what is told, and must not raise.

    >>> from anybpf.runtime import Runtime
    >>> with Tracer(lambda event: print(event.area, event.function, event.text), ["base"]):
    ...     Runtime("linux", cpus=2).close()
    base Runtime.__init__ for linux, 2 processors
    base Runtime.close linux
    """

    def __init__(
        self, sink: Callable[[Event], None], areas: Iterable[str] = (), level: str = VERBOSE
    ) -> None:
        chosen = frozenset(areas) or frozenset(AREAS) - {ENTRY_EXIT}
        for area in sorted(chosen):
            if area not in AREAS:
                hint = near(area, AREAS) or f"; there are: {', '.join(AREAS)}"
                raise InputError(f"no area of events is named {area!r}{hint}")
        if level not in LEVELS:
            raise InputError(f"levels of events are {', '.join(LEVELS)}, not {level!r}")
        self.areas: frozenset[str] = chosen
        self.levels: frozenset[str] = frozenset(LEVELS[: LEVELS.index(level) + 1])
        self._sink = sink

    def start(self) -> None:
        """Listen from now on."""
        with _lock:
            if self in _listening:
                return
            if not _listening:
                _install()
            _listening.append(self)

    def stop(self) -> None:
        """Listen no more. Twice does no harm."""
        with _lock:
            if self not in _listening:
                return
            _listening.remove(self)
            if not _listening:
                _remove()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def take(self, event: Event) -> None:
        """Hand an event on, if it is wanted. An error is told if its area is listened to at all."""
        if event.area in self.areas and event.level in self.levels:
            self._sink(event)


_lock = threading.RLock()
_listening: list[Tracer] = []
# What was wrapped: the owner, the name, and what stood there (None: it was inherited).
_wrapped: list[tuple[Any, str, Any]] = []
# Of each thread: the areas of the watched functions that it is in, and whether it tells of one.
_busy = threading.local()
TELLING: Final = "telling"


def _install() -> None:
    for point in POINTS:
        owner: Any = import_module(point.module)
        *path, name = point.name.split(".")
        for part in path:
            owner = getattr(owner, part)
        _wrapped.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, _watch(getattr(owner, name), point))


def _remove() -> None:
    while _wrapped:
        owner, name, before = _wrapped.pop()
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _watch(function: Callable[..., Any], point: Point) -> Callable[..., Any]:
    """The function, telling what it did. What it calls of its own area is part of it, and what
    telling calls is not told."""

    @functools.wraps(function)
    def told(*args: Any, **options: Any) -> Any:
        inside: list[str] = _busy.__dict__.setdefault("inside", [])
        if point.area in inside or TELLING in inside:
            return function(*args, **options)
        _tell(ENTRY_EXIT, VERBOSE, point, lambda: "begin")
        begin = time.perf_counter_ns()
        inside.append(point.area)
        try:
            result = function(*args, **options)
        except BaseException as error:
            _tell_error(point, error)
            raise
        finally:
            inside.remove(point.area)
        spent = time.perf_counter_ns() - begin
        _tell(point.area, point.level, point, lambda: point.describe(args, result))
        _tell(ENTRY_EXIT, VERBOSE, point, lambda: f"end, {spent / 1000:.1f} us")
        return result

    return told


def _tell(area: str, level: str, point: Point, words: Callable[[], str]) -> None:
    wanted = [one for one in list(_listening) if area in one.areas and level in one.levels]
    if not wanted:
        return
    inside: list[str] = _busy.__dict__.setdefault("inside", [])
    inside.append(TELLING)
    try:
        try:
            text = words()
        except (AnyBPFError, AttributeError) as error:  # what it is about may be closed by now
            text = f"(it cannot be told: {error})"
        event = Event(time.monotonic_ns(), area, level, point.name, threading.get_native_id(), text)
        for one in wanted:
            one.take(event)
    finally:
        inside.remove(TELLING)


def _tell_error(point: Point, error: BaseException) -> None:
    words = f"{type(error).__name__}: {error}".rstrip()
    _tell(point.area, ERROR, point, lambda: words)
