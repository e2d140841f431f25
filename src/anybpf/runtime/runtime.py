"""The execution context: one platform, its objects with their numbers and references, its rules.

Holds everything that is loaded and lets it go exactly when its last reference goes. How objects
are made is the business of ``map``, ``program`` and ``loading``; what they mean, of their kinds.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from anybpf import _core, platforms
from anybpf.errors import ClosedError, InputError, NotFound
from anybpf.platforms import Platform
from anybpf.runtime.habits import Habits, habits_of
from anybpf.runtime.log import Log
from anybpf.runtime.objects import (
    KINDS,
    LINK,
    MAP,
    PROGRAM,
    TYPES,
    Handle,
    Record,
    nanoseconds_since_boot,
)
from anybpf.runtime.pins import PinTree
from anybpf.runtime.policy import Policy, Usage
from anybpf.runtime.timers import TimerThread

if TYPE_CHECKING:
    from anybpf.maps import Map
    from anybpf.objects.specs import MapSpec
    from anybpf.runtime.collection import Collection
    from anybpf.runtime.features import Features
    from anybpf.runtime.link import Hook, Link
    from anybpf.runtime.program import Program
    from anybpf.runtime.types import Types


class Runtime:
    """An execution context inside this process.

    ``cpus`` are the processors that programs see (as many as the machine has), ``policies`` all
    have to agree to what is done, ``helpers`` are functions made with :func:`anybpf.runtime.helper`
    that programs may call by name. A ``shared`` runtime's maps can be handed to other processes;
    ``domain`` is what it shares with them, where it is there already.

    >>> with Runtime("linux", cpus=2) as runtime:
    ...     runtime.ids("program")
    []
    """

    def __init__(
        self,
        platform: str | Platform = "linux",
        *,
        cpus: int | None = None,
        policies: Iterable[Policy] = (),
        helpers: Iterable[Callable[..., int]] = (),
        shared: bool = False,
        domain: _core.Domain | None = None,
    ) -> None:
        self.name: str = "embedded"  # among the back ends
        self.platform: Platform = platforms.get(platform)
        count = (os.cpu_count() or 1) if cpus is None else cpus
        if not isinstance(count, int) or not 1 <= count <= MOST_CPUS:
            raise InputError(f"a runtime has 1 to {MOST_CPUS} processors, not {count!r}")
        self.cpus: int = count
        self.shared: bool = shared
        self.policies: tuple[Policy, ...] = tuple(policies)
        self.habits: Habits = habits_of(self.platform)
        self.domain: _core.Domain = _core.Domain(count, shared) if domain is None else domain
        self.helpers: dict[str, Callable[..., int]] = {}
        # Where events come from: by the name of an attach type, or of a program type.
        self.hooks: dict[str, Hook] = {}
        for function in helpers:
            self.add_helper(function)
        self.log: Log = Log(self.domain, self)
        self.timers: TimerThread | None = None
        # All below is guarded by the lock, which is never held while user code runs.
        self._dropped: deque[Record] = deque()
        self._lock = Guard(self)
        self._records: dict[int, Record] = {}
        self._next_id: int = self.platform.limits.get("first_object_id", 1)
        separator = self.habits.path("a/b", 4096)[-2]
        self._pins: PinTree = PinTree(separator)
        self._usage: dict[str, Usage] = {}
        self._statistics: int = 0
        self._closed: bool = False
        self._features: Features | None = None
        _runtimes.add(self)

    # Numbers and references.

    @property
    def closed(self) -> bool:
        return self._closed

    def reserve(self, kind: str, owner: str, what: str) -> int:
        """A number for an object that is about to be made, if the policies agree."""
        with self._lock:
            if self._closed:
                raise ClosedError(f"{what} cannot be created: the runtime was closed")
            usage = self._usage.setdefault(owner, Usage())
            for policy in self.policies:
                policy.check_count(owner, usage, kind, what)
            if self._next_id > 0xFFFFFFFF:
                raise InputError(f"{what} cannot be created: all 2^32 numbers were given")
            number = self._next_id
            self._next_id += 1
            usage.counts[kind] += 1
            return number

    def take_number(self) -> int:
        """A number that no object gets: for what lives only while others are made."""
        with self._lock:
            number = self._next_id
            self._next_id += 1
            return number

    def forget(self, record: Record) -> None:
        """A record that was taken in, and then could not be finished: as if it had not been."""
        with self._lock:
            if self._records.pop(record.id, None) is not None:
                usage = self._usage.get(record.owner)
                if usage is not None:
                    usage.memory -= record.memory
            record.gone = True

    def discard(self, record: Record) -> None:
        """Let a record go that nobody ever referred to."""
        with self._lock:
            self._let_go(record, False)

    def records(self, kind: str) -> list[Record]:
        """For the rooms of this package: all records of a kind, uncounted."""
        with self._lock:
            return [one for one in self._records.values() if one.kind == kind]

    def unreserve(self, kind: str, owner: str) -> None:
        """What was about to be made is not. Its number is not given again."""
        with self._lock:
            self._count_off(kind, owner, 0)

    def _count_off(self, kind: str, owner: str, memory: int) -> None:
        usage = self._usage.get(owner)
        if usage is not None:
            usage.counts[kind] -= 1
            usage.memory -= memory
            if usage.nothing:
                del self._usage[owner]

    def admit(self, record: Record, number: int, memory: int) -> None:
        """Take in a record that was made for a reserved number, if its memory is granted.

        It has no references yet; it goes as soon as it had one and has none.
        """
        with self._lock:
            if self._closed:
                raise ClosedError(f"{record.describe()} cannot be kept: the runtime was closed")
            usage = self._usage[record.owner]
            what = f"{record.kind} {record.name}"
            for policy in self.policies:
                policy.check_memory(record.owner, usage, memory, what)
            usage.memory += memory
            record.memory = memory
            record.id = number
            record.load_time = nanoseconds_since_boot()
            self._records[number] = record

    def hold(self, record: Record) -> None:
        """One more handle."""
        with self._lock:
            self._check_there(record)
            record.handles += 1

    def use(self, record: Record) -> None:
        """One more object holds it."""
        with self._lock:
            self._check_there(record)
            record.users += 1

    def _check_there(self, record: Record) -> None:
        if record.gone or self._closed:
            raise ClosedError(f"{record.describe()} is gone: its last reference went")

    def close_handle(self, handle: Handle) -> None:
        """The same by the handle itself, of which several threads may think that it is theirs."""
        with self._lock:
            if not handle._end():
                return
            if self._lock.nested:  # a user's finaliser in the middle of something
                self._dropped.append(handle._record)
            else:
                self._drop(handle._record)

    def drop_handle(self, record: Record) -> None:
        with self._lock:
            self._drop(record)

    def drop_later(self, record: Record) -> None:
        """The same where the lock may be held by this very thread: in a finaliser."""
        self._dropped.append(record)
        self.drain()

    def drain(self) -> None:
        """Drop what is queued, unless somebody has the lock: then that one does it."""
        while self._dropped and self._lock.try_take():
            try:
                while self._dropped:
                    self._drop(self._dropped.popleft())
            finally:
                self._lock.give()

    def _drop(self, record: Record) -> None:
        record.handles -= 1
        self._let_go(record, True)

    def unuse(self, record: Record) -> None:
        """An object no longer holds it."""
        with self._lock:
            record.users -= 1
            self._let_go(record, False)

    def replace_use(self, added: Record | None, removed: Record | None) -> None:
        """One held object takes another's place."""
        with self._lock:
            if added is not None:
                self._check_there(added)
                added.users += 1
            if removed is not None:
                removed.users -= 1
                self._let_go(removed, False)

    def _let_go(self, record: Record, user: bool) -> None:
        """A reference of the record went; whatever hangs on that, goes as well."""
        todo = [(record, user)]
        while todo:
            one, by_user = todo.pop()
            if one.gone:
                continue
            freed: list[Record] = []
            if by_user and one.user_references == 0:
                freed += one.on_last_user()
            if one.references == 0:
                one.gone = True
                self._records.pop(one.id, None)
                self._count_off(one.kind, one.owner, one.memory)
                freed += one.release()
            for other in freed:
                other.users -= 1
                todo.append((other, False))

    def guard(self) -> Guard:
        """The lock, for what records keep of their own."""
        return self._lock

    # Looking.

    def ids(self, kind: str) -> list[int]:
        """The numbers of all objects of a kind ("map", "program", "link", "btf"), sorted."""
        kind = self._known_kind(kind)
        with self._lock:
            return sorted(number for number, one in self._records.items() if one.kind == kind)

    def next_id(self, kind: str, after: int = 0) -> int | None:
        """The lowest number of that kind above ``after``; None at the end."""
        return next((number for number in self.ids(kind) if number > after), None)

    def infos(self, kind: str) -> Iterator[Any]:
        """What :meth:`Program.info` and its kin say of every object of that kind."""
        for number in self.ids(kind):
            try:
                yield self.record(kind, number).info()  # type: ignore[attr-defined]
            except NotFound:
                continue  # gone meanwhile

    def record(self, kind: str, number: int) -> Record:
        """For the rooms of this package: the record itself, uncounted."""
        kind = self._known_kind(kind)
        with self._lock:
            found = self._records.get(number)
            if found is None or found.kind != kind:
                there = ", ".join(
                    str(one) for one, each in sorted(self._records.items()) if each.kind == kind
                )
                raise NotFound(f"no {kind} has the id {number}; there are: {there or 'none'}")
            return found

    def name_of(self, number: int) -> str:
        """The name of the object with that number; empty if there is none."""
        found = self._records.get(number)
        return "" if found is None else found.name

    def _known_kind(self, kind: str) -> str:
        if kind not in KINDS and kind != "types":  # another word for what is told as "btf"
            raise InputError(f"objects are of the kinds {', '.join(KINDS)}, not {kind!r}")
        return TYPES if kind == "types" else kind

    def program(self, number: int) -> Program:
        """A new handle of the program with that number."""
        from anybpf.runtime.program import Program, ProgramRecord

        record = self.record(PROGRAM, number)
        assert isinstance(record, ProgramRecord)
        return Program(record)

    def map(self, number: int) -> Map:
        """A new handle of the map with that number."""
        from anybpf.runtime.map import MapRecord, open_map

        record = self.record(MAP, number)
        assert isinstance(record, MapRecord)
        return open_map(record)

    def link(self, number: int) -> Link:
        """A new handle of the link with that number."""
        from anybpf.runtime.link import Link, LinkRecord

        record = self.record(LINK, number)
        assert isinstance(record, LinkRecord)
        return Link(record)

    def types(self, number: int) -> Types:
        """A new handle of the type information with that number."""
        from anybpf.runtime.types import Types, TypesRecord

        record = self.record(TYPES, number)
        assert isinstance(record, TypesRecord)
        return Types(record)

    # Pins.

    def path(self, path: str) -> str:
        """A pin's path as it is kept."""
        return self.habits.path(path, self.platform.limits.get("pin_path_length", 4095))

    def pin(self, path: str, record: Record) -> str:
        kept = self.path(path)
        with self._lock:
            self._check_there(record)
            self._pins.add(kept, record)
            record.pins.add(kept)
        return kept

    def unpin(self, record: Record, path: str = "") -> None:
        with self._lock:
            paths = [self.path(path)] if path else sorted(record.pins)
            for kept in paths:
                if self._pins.get(kept) is not record:
                    raise self._pins.missing(kept)
            for kept in paths:
                self._pins.remove(kept)
                record.pins.discard(kept)
            if paths:
                self._let_go(record, True)

    def remove_pin(self, path: str) -> None:
        """Take a pin away, whatever is pinned there."""
        kept = self.path(path)
        with self._lock:
            record = self._pins.remove(kept)
            record.pins.discard(kept)
            self._let_go(record, True)

    def pins(self, below: str = "", kind: str = "") -> list[tuple[str, str, int]]:
        """Path, kind and number of every pin, sorted by path."""
        kept = self.path(below) if below else ""
        kind = self._known_kind(kind) if kind else ""
        with self._lock:
            return [
                (path, record.kind, record.id)
                for path, record in self._pins.items(kept)
                if not kind or record.kind == kind
            ]

    def pinned(self, path: str) -> Record | None:
        """For the rooms of this package: what is pinned there."""
        with self._lock:
            return self._pins.get(self.path(path))

    def open(self, path: str) -> Any:
        """A new handle of what is pinned there: a program, a map or a link."""
        record = self.pinned(path)
        if record is None:
            raise self._pins.missing(self.path(path))
        opens: dict[str, Callable[[int], Any]] = {
            PROGRAM: self.program,
            MAP: self.map,
            LINK: self.link,
            TYPES: self.types,
        }
        return opens[record.kind](record.id)

    # Loading.

    def load(self, source: Any, **options: Any) -> Collection:
        """See :func:`anybpf.runtime.load`."""
        from anybpf.runtime.loading import load

        return load(source, runtime=self, **options)

    def create_map(self, spec: MapSpec, *, owner: str = "") -> Map:
        """A map by itself, of no object file. Close it, or pin it."""
        from anybpf.runtime.map import create_map, open_map

        return open_map(create_map(self, spec.copy(), None, None, owner))

    def add_helper(self, function: Callable[..., int]) -> None:
        """Let programs call a Python function; see :func:`anybpf.runtime.helper`."""
        name = getattr(function, "helper_name", "")
        if not name:
            raise InputError(f"{function!r} is no helper: put @helper in front of its definition")
        self.helpers[str(name).removeprefix("bpf_")] = function

    def need_timers(self) -> None:
        """Programs that set timers are here: somebody must fire them."""
        with self._lock:
            if self.timers is None and not self._closed:
                self.timers = TimerThread(self.domain, self)

    # Statistics.

    @property
    def statistics(self) -> bool:
        """Whether runs and run times are counted."""
        return self._statistics > 0

    def enable_statistics(self) -> Statistics:
        """Count runs and run times of all programs until what this returns is closed."""
        self._switch_statistics(1)
        return Statistics(self)

    def _switch_statistics(self, by: int) -> None:
        with self._lock:
            self._statistics += by
            on = self._statistics > 0
            for record in self._records.values():
                record.count_runs(on)

    def features(self) -> Features:
        """What this runtime can do; asked once."""
        if self._features is None:
            from anybpf.runtime.features import embedded_features

            self._features = embedded_features(self)
        return self._features

    # The end.

    def usage(self, owner: str = "") -> Usage:
        """What an owner has: a copy."""
        with self._lock:
            out = Usage()
            found = self._usage.get(owner)
            if found is not None:
                out.memory = found.memory
                out.counts = dict(found.counts)
            return out

    def synchronize(self, timeout: float | None = None) -> bool:
        """Returns when every run that was under way has ended; False if time ran out first."""
        return self.domain.synchronize(timeout)

    def close(self) -> None:
        """Let everything go: pins first, then whatever handles still hold. Twice does no harm."""
        if self.timers is not None:
            self.timers.close()
        with self._lock:
            if self._closed:
                return
            for path, record in list(self._pins.items()):
                self._pins.remove(path)
                record.pins.discard(path)
                self._let_go(record, True)
            # Links before programs before maps: what holds goes before what is held.
            order = {LINK: 0, PROGRAM: 1, MAP: 2, TYPES: 3}
            for record in sorted(self._records.values(), key=lambda one: order[one.kind]):
                if not record.gone:
                    record.gone = True
                    for other in record.release():
                        other.users -= 1
            self._records.clear()
            self._usage.clear()
            self._closed = True
        self.log.close()
        self.domain.collect()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._records)} objects"
        return f"<Runtime {self.platform.name}, {self.cpus} processors, {state}>"

    def _forked(self) -> None:
        """In a child: nobody else holds the lock there."""
        self._lock = Guard(self)
        if self.timers is not None and not self._closed:
            self.timers.start()


class Guard:
    """A runtime's lock. Who gives it back does what finalisers left to do meanwhile.

    The collector may run a user's finaliser wherever an object is made, also in a thread that has
    the lock. Such a thread gets it once more instead of waiting for itself; ``nested`` tells.
    """

    __slots__ = ("_depth", "_lock", "_runtime")

    def __init__(self, runtime: Runtime) -> None:
        self._lock = threading.RLock()
        self._depth: int = 0
        self._runtime = weakref.ref(runtime)

    @property
    def nested(self) -> bool:
        """Whether the thread that has the lock had it before. To be asked by that thread."""
        return self._depth > 1

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *exc_info: object) -> None:
        self._depth -= 1
        self._lock.release()
        runtime = self._runtime()
        if runtime is not None:
            runtime.drain()

    def try_take(self) -> bool:
        """Take it if that needs no waiting and nobody, not even this thread, is at work with it."""
        if not self._lock.acquire(blocking=False):
            return False
        if self._depth:
            self._lock.release()
            return False
        self._depth += 1
        return True

    def give(self) -> None:
        self._depth -= 1
        self._lock.release()


class Statistics:
    """The statistics switch, on. Closing it twice does no harm."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime: Runtime | None = runtime

    def close(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime._switch_statistics(-1)

    def __enter__(self) -> Statistics:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


# The most processors that a domain has: src/core/domain.h.
MOST_CPUS = 1024
_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()


def _after_fork() -> None:
    for runtime in list(_runtimes):
        runtime._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
