"""Maps as objects of a runtime: how they are made from specs, and what those that hold others hold.

The sizes and flags that a map may have stand in the platform's tables; storage is the core's; what
people do with a map is the business of its face (``anybpf.maps``).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from anybpf import _core
from anybpf.btf import BTF
from anybpf.engines.interpreter import kept_name
from anybpf.errors import InputError, NotSupported
from anybpf.maps import Map, make
from anybpf.maps.failures import STATUS
from anybpf.objects.fields import SPIN_LOCK, TIMER, fields_of
from anybpf.objects.specs import ARENA_PAGE, MapSpec
from anybpf.platforms.model import MapType
from anybpf.runtime.habits import CORE_KINDS, core_flags, habits_of
from anybpf.runtime.objects import MAP, Handle, Record

if TYPE_CHECKING:
    from anybpf.runtime.infos import MapInfo as MapInfo
    from anybpf.runtime.runtime import Runtime
    from anybpf.runtime.types import TypesRecord

READ_ONLY_KINDS = ("rodata", "kconfig")


class CoreRefusal(Exception):
    """The core's status, on its way to whoever words it."""

    def __init__(self, what: str, status: int) -> None:
        self.what = what
        self.status = status
        super().__init__(what, status)

    @property
    def word(self) -> str:
        return "closed" if self.status < 0 else _core.STATUSES[self.status]


class Storage(_core.Map):
    """A map's memory. Users have faces that share it."""

    def _fail(self, what: str, status: int, key: object) -> NoReturn:
        raise CoreRefusal(what, status)


class MapRecord(Record):
    kind = MAP

    def __init__(self, runtime: Runtime, owner: str, spec: MapSpec, map_type: MapType) -> None:
        super().__init__(runtime, spec.name, owner)
        self.spec: MapSpec = spec
        self.type: MapType = map_type
        self.btf: BTF | None = None
        self.types: TypesRecord | None = None  # held
        self.inner_id: int = 0
        self.held: dict[bytes, Record] = {}
        self.storage: Storage
        self.reader: Any = None

    # References.

    @property
    def has_timers(self) -> bool:
        return not self.gone and self.storage.timer_offset >= 0

    def on_last_user(self) -> Iterable[Record]:
        # As on Linux: a timer goes on only while a user has the map.
        if self.has_timers:
            self.storage.abandon(True)
        if self.type.holds not in self.runtime.habits.emptied:
            return ()
        return self._let_all_go()

    def release(self) -> Iterable[Record]:
        freed = self._let_all_go()
        if self.types is not None:
            freed.append(self.types)
            self.types = None
        # A view of its values may still be there: then the memory goes with that.
        with contextlib.suppress(BufferError):
            self.storage.close()
        return freed

    def _let_all_go(self) -> list[Record]:
        freed = list(self.held.values())
        for key in self.held:
            self.storage.delete(key)
        self.held.clear()
        return freed

    def store(self, key: bytes, value: object, flags: int = 0) -> int:
        """Put another object in; a status. The one that was there is let go."""
        record = self._contained(value)
        runtime = self.runtime
        if isinstance(record, int):
            return record
        runtime.use(record)  # while the core may already hand it to programs
        with runtime.guard():
            if self.gone:
                status = STATUS["NO_OBJECT"]
            else:
                number = record.id.to_bytes(4, sys.byteorder)
                status = self.storage.update(key, number, flags)
            if status == STATUS["OK"]:
                old = self.held.get(key)
                self.held[key] = record
            else:
                old = record
        if old is not None:
            runtime.unuse(old)
        return status

    def _contained(self, value: object) -> Record | int:
        """The record that a user means, or a status."""
        holds = {"programs": "program", "maps": MAP}.get(self.type.holds)
        if holds is None:
            return STATUS["NOT_SUPPORTED"]
        record: object = None
        if isinstance(value, Handle):
            record = value.record
        elif isinstance(value, Map):
            keeper = value.keeper
            record = keeper.record if isinstance(keeper, MapKeeper) else None
        elif isinstance(value, int):
            if value not in self.runtime.ids(holds):
                return STATUS["NO_OBJECT"]
            record = self.runtime.record(holds, value)
        if not isinstance(record, Record) or record.kind != holds:
            return STATUS["BAD_OBJECT"]
        return record if record.runtime is self.runtime else STATUS["NO_OBJECT"]

    def erase(self, key: bytes) -> int:
        if self.type.holds not in ("programs", "maps"):
            return STATUS["NOT_SUPPORTED"]
        with self.runtime.guard():
            status = self.storage.delete(key)
            old = self.held.pop(key, None) if status == STATUS["OK"] else None
        if old is not None:
            self.runtime.unuse(old)
        return status

    def info(self) -> MapInfo:
        from anybpf.runtime.infos import MapInfo

        spec = self.spec
        with self.runtime.guard():
            frozen = not self.gone and self.storage.frozen
        return MapInfo(
            id=self.id,
            type=self.type.number,
            type_name=self.type.name,
            name=self.name,
            key_size=spec.key_size,
            value_size=spec.value_size,
            max_entries=spec.max_entries,
            map_flags=spec.flags,
            map_extra=spec.extra,
            ifindex=0,
            btf_id=0 if self.types is None else self.types.id,
            btf_key_type_id=spec.key_type_id,
            btf_value_type_id=spec.value_type_id,
            frozen=frozen,
            memlock=self.memory,
            inner_map_id=self.inner_id,
            pinned_path_count=len(self.pins),
            load_time=self.load_time,
            pids=(),
        )

    def open(self) -> Map:
        return open_map(self)


class MapKeeper(Handle):
    """One face's hold on a map."""

    __slots__ = ()

    def __init__(self, record: MapRecord) -> None:
        super().__init__(record)
        if record.has_timers:
            record.storage.abandon(False)

    def _map(self) -> MapRecord:
        record = self.record
        assert isinstance(record, MapRecord)
        return record

    def info(self) -> MapInfo:
        return self._map().info()

    def freeze(self) -> int:
        return self._map().storage.freeze()

    def store(self, key: bytes, value: object, flags: int = 0) -> int:
        return self._map().store(bytes(key), value, flags)

    def erase(self, key: bytes) -> int:
        return self._map().erase(bytes(key))

    def held(self, key: bytes) -> Any:
        record = self._map()
        with record.runtime.guard():
            found = record.held.get(bytes(key))
        return None if found is None else found.open()  # type: ignore[attr-defined]


def open_map(record: MapRecord) -> Map:
    """A new face of the map, with a hold of its own."""
    return make(
        record.storage,
        MapKeeper(record),
        spec=record.spec,
        btf=record.btf,
        platform=record.runtime.platform,
    )


# Making.


def settle(spec: MapSpec, runtime: Runtime) -> None:
    """Fill in what object files leave to whoever creates the map, as all loaders do."""
    kind = runtime.platform.map_types.get(spec.type)
    if kind is None:
        return
    if kind.holds in ("maps", "programs") and not spec.value_size:
        spec.value_size = 4
    if kind.holds == "perf_events" and kind.key_size.low == 4:
        spec.key_size = spec.key_size or 4
        spec.value_size = spec.value_size or 4
        if not spec.max_entries or spec.max_entries > runtime.cpus:
            spec.max_entries = runtime.cpus
    if spec.inner is not None:
        settle(spec.inner, runtime)


def check_numbers(spec: MapSpec) -> None:
    """Whether every number fits where systems keep it; :class:`InputError` names the first."""
    for name in ("key_size", "value_size", "max_entries", "flags"):
        number = getattr(spec, name)
        if not 0 <= number < 1 << 32:
            raise InputError(f"map {spec.name}: {name} is {number}, which is no number of 32 bits")
    if not 0 <= spec.extra < 1 << 64:
        raise InputError(f"map {spec.name}: extra is {spec.extra}, which is no number of 64 bits")


def check(spec: MapSpec, runtime: Runtime) -> MapType:
    """The map's type, if the platform lets such a map be created and the core can do it."""
    check_numbers(spec)
    platform = runtime.platform
    kind = platform.map_types.get(spec.type)
    if kind is None:
        raise platform.map_types.missing(spec.type)
    core_kind = CORE_KINDS.get(kind.name, kind.name)
    if core_kind is None or core_kind not in _core.KINDS:
        raise NotSupported(
            f"map {spec.name}: the map type {kind.name}", where="the embedded runtime"
        )
    problems = kind.problems(spec.key_size, spec.value_size, spec.max_entries)
    problems += _flag_problems(spec, kind, runtime)
    if spec.data_offset < 0:
        problems.append(
            f"{kind.name} map: {spec.max_entries} pages have no room for the object's variables, "
            f"which take {spec.data_size} bytes"
        )
    if kind.holds == "maps" and spec.inner is None:
        problems.append(f"{kind.name} map: it has no template for the maps that it is to hold")
    if kind.holds != "maps" and spec.inner is not None:
        problems.append(f"{kind.name} map: it has a template, but holds no maps")
    if problems:
        raise InputError(
            f"map {spec.name} cannot be created on {platform.name}: {'; '.join(problems)}"
        )
    if spec.inner is not None:
        inner = check(spec.inner, runtime)
        if inner.holds == "maps" and spec.inner.inner is None:
            raise InputError(f"map {spec.name}: its template {spec.inner.name} has none itself")
    return kind


def _flag_problems(spec: MapSpec, kind: MapType, runtime: Runtime) -> list[str]:
    found = []
    table = runtime.platform.map_flags
    known = 0
    for flag in table:
        known |= flag.bit
        if (
            spec.flags & flag.bit
            and flag.name not in kind.allowed_flags
            and (flag.name not in kind.required_flags)
        ):
            found.append(f"{kind.name} map: the flag {flag.name} is not for this type")
        if flag.name in kind.required_flags and not spec.flags & flag.bit:
            found.append(f"{kind.name} map: the flag {flag.name} must be set")
    if spec.flags & ~known:
        found.append(f"{kind.name} map: flags {spec.flags & ~known:#x} are not known")
    both = ("rdonly", "wronly"), ("rdonly_prog", "wronly_prog")
    for one, other in both:
        names = {flag.name for flag in table if spec.flags & flag.bit}
        if {one, other} <= names:
            found.append(f"{kind.name} map: the flags {one} and {other} exclude each other")
    return found


def create_map(
    runtime: Runtime,
    spec: MapSpec,
    btf: BTF | None,
    types: TypesRecord | None,
    owner: str,
) -> MapRecord:
    """A map without contents, unreferenced: it goes with the first handle that is closed.

    The spec becomes the record's own.
    """
    settle(spec, runtime)
    kind = check(spec, runtime)
    record = MapRecord(runtime, owner, spec, kind)
    record.btf = btf
    what = f"map {spec.name}"
    number = runtime.reserve(MAP, owner, what)
    try:
        template = None
        if spec.inner is not None:
            template = _template(runtime, spec.inner, btf)
        try:
            record.storage = _storage(runtime, spec, kind, btf, number, template)
        finally:
            if template is not None:
                template.close()
        try:
            runtime.admit(record, number, record.storage.memory)
            if types is not None:
                try:
                    runtime.use(types)
                except BaseException:
                    runtime.forget(record)
                    raise
                record.types = types
        except BaseException:
            record.storage.close()
            raise
    except BaseException:
        runtime.unreserve(MAP, owner)
        raise
    return record


def fill_arena(record: MapRecord) -> None:
    """The object's variables, in pages that are theirs from now on."""
    spec, storage = record.spec, record.storage
    pages = -(-spec.data_size // ARENA_PAGE)
    if not storage.alloc_pages(pages, storage.arena_start() + spec.data_offset):
        raise InputError(f"map {spec.name}: the pages for its variables are taken")
    for _, value in spec.contents:
        if isinstance(value, bytes):
            with storage.values_view() as view, view.cast("B") as whole:
                whole[spec.data_offset : spec.data_offset + len(value)] = value


def _template(runtime: Runtime, spec: MapSpec, btf: BTF | None) -> Storage:
    """A map that shows the core what those inside another must be like."""
    kind = runtime.platform.map_type(spec.type)
    inner = None if spec.inner is None else _template(runtime, spec.inner, btf)
    try:
        return _storage(runtime, spec, kind, btf, runtime.take_number(), inner)
    finally:
        if inner is not None:
            inner.close()


def _storage(
    runtime: Runtime,
    spec: MapSpec,
    kind: MapType,
    btf: BTF | None,
    number: int,
    template: Storage | None,
) -> Storage:
    platform = runtime.platform
    special = fields_of(btf, spec.value_type_id)
    lock = special.of_kind(SPIN_LOCK)
    timer = special.of_kind(TIMER)
    extra = spec.extra
    if kind.holds == "perf_events":
        extra = habits_of(platform).perf_ring
    inner = spec.inner
    flags = core_flags(
        platform,
        kind,
        spec.flags,
        None if inner is None else (platform.map_type(inner.type), inner.flags),
    )
    core_kind = CORE_KINDS.get(kind.name) or kind.name
    # Owners are pointers or what a hook has instead: wider than the descriptor that Linux takes.
    key_size = 8 if core_kind == "local_storage" else spec.key_size
    try:
        return Storage(
            runtime.domain,
            number,
            core_kind,
            key_size,
            spec.value_size,
            spec.max_entries,
            flags=flags,
            extra=extra,
            lock_offset=-1 if lock is None else int(lock.offset),
            timer_offset=-1 if timer is None else int(timer.offset),
            name=kept_name(spec.name, platform),
            inner=template,
            shared=runtime.shared,
        )
    except CoreRefusal as error:
        raise _worded(spec, kind, error) from None
    except (OSError, MemoryError) as error:
        raise InputError(f"map {spec.name} cannot be created: {error}") from error


def _worded(spec: MapSpec, kind: MapType, error: CoreRefusal) -> InputError:
    sizes = (
        f"keys of {spec.key_size} bytes, values of {spec.value_size} bytes, "
        f"{spec.max_entries} entries"
    )
    why = {
        "NO_MEMORY": "there is not enough memory for it; give it fewer entries",
        "BAD_SIZE": "a size is out of range",
        "TOO_BIG": "it would be larger than a map may be",
        "BAD_FLAGS": f"flags {spec.flags:#x} do not go together",
        "NAME_TOO_LONG": "its name is too long",
    }.get(error.word, error.word.lower().replace("_", " "))
    return InputError(f"map {spec.name} ({kind.name}: {sizes}) cannot be created: {why}")


# Using one that is there.


def differences(spec: MapSpec, record: MapRecord, btf: BTF | None) -> list[str]:
    """In what an existing map is not what the spec asks for, one line each."""
    have = record.spec
    found = []
    for what, wanted, there in (
        ("type", record.runtime.platform.map_type(spec.type).name, record.type.name),
        ("key size", spec.key_size, have.key_size),
        ("value size", spec.value_size, have.value_size),
        ("max entries", spec.max_entries, have.max_entries),
        ("flags", spec.flags, have.flags),
        ("extra", spec.extra, have.extra),
    ):
        if wanted != there:
            found.append(f"{what} is {there}, not {wanted}")
    mine, theirs = fields_of(btf, spec.value_type_id), fields_of(record.btf, have.value_type_id)
    if [(int(f.kind), int(f.offset)) for f in mine.fields] != [
        (int(f.kind), int(f.offset)) for f in theirs.fields
    ]:
        found.append("locks, timers or pointers in its values lie elsewhere")
    if (spec.inner is None) != (have.inner is None):
        found.append("one has a template for inner maps, the other has none")
    elif spec.inner is not None and have.inner is not None:
        found += _inner_differences(spec.inner, have.inner)
    if spec.kind in READ_ONLY_KINDS and spec.contents:
        # What was proved of the program was proved of these very bytes.
        wanted_bytes = spec.contents[0][1]
        if not record.storage.frozen or record.storage.lookup(spec.contents[0][0]) != wanted_bytes:
            found.append("its constants are others")
    return found


def _inner_differences(spec: MapSpec, have: MapSpec) -> list[str]:
    found = []
    for what in ("type", "key_size", "value_size", "max_entries", "flags"):
        wanted, there = getattr(spec, what), getattr(have, what)
        if wanted != there:
            found.append(f"{what.replace('_', ' ')} of its inner maps is {there}, not {wanted}")
    if (spec.inner is None) != (have.inner is None):
        found.append("one has a template two deep, the other has none")
    elif spec.inner is not None and have.inner is not None:
        found += _inner_differences(spec.inner, have.inner)
    return found
