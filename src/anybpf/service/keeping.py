"""The runtime of a service: its maps lie in files, and what is pinned comes back after a crash.

Maps' memory is mapped from files of the state directory, so it outlives the process without being
written anywhere. What else is needed (``state.json``, objects, proofs) is written in one step
whenever pins or what hangs on them change, before the client is told. Maps that hold programs or
maps are made anew and filled from that. Who asks for all this is not this module's business.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from anybpf import _core
from anybpf.errors import AnyBPFError, InputError
from anybpf.objects.specs import CollectionSpec, MapSpec
from anybpf.runtime.link import ATTACHED, LinkRecord, attach
from anybpf.runtime.map import CoreRefusal, MapRecord, Storage, check, create_map, open_map
from anybpf.runtime.objects import LINK, MAP, PROGRAM, Record
from anybpf.runtime.program import ProgramRecord
from anybpf.runtime.runtime import Runtime
from anybpf.runtime.types import TypesRecord, create_types
from anybpf.service.files import copy_memory, read_file, write_whole
from anybpf.service.values import spec_from_wire, spec_to_wire

FORMAT: Final = 1
# Says which start of the machine this is: proc(5).
_BOOT: Final = "/proc/sys/kernel/random/boot_id"

Prove = Callable[[bytes, dict[str, Any]], bytes]
Tell = Callable[..., None]


class Source:
    """An object that was loaded: its bytes, with what options, and what was proved of it."""

    __slots__ = ("data", "maps", "name", "options", "proof")

    def __init__(self, data: bytes, options: dict[str, Any], proof: bytes) -> None:
        self.data: bytes = data
        self.options: dict[str, Any] = options
        self.proof: bytes = proof
        self.maps: dict[str, int] = {}
        self.name: str = hashlib.sha256(
            json.dumps(options, sort_keys=True).encode() + b"\0" + data
        ).hexdigest()[:40]


class KeptStorage(Storage):
    """A map's memory in a file, which goes with the map, but not with the service."""

    path: str
    home: KeptRuntime

    def close(self) -> None:
        super().close()
        if not self.home.leaving:
            self.home.remove_file(self.path)


class KeptRuntime(Runtime):
    """A shared runtime that can be left at any moment and gone on with by the next process.

    ``directory`` is its state's. Only one process may have it (the service's lock sees to that).
    """

    def __init__(
        self, directory: str, platform: str = "linux", *, cpus: int | None = None, tell: Tell
    ) -> None:
        self.directory: str = directory
        self.leaving: bool = False
        self.dirty: bool = False
        self.sources: dict[int, Source] = {}
        self._wanted: int = 0
        self._plain: bool = False
        self._tell: Tell = tell
        self._written: set[str] = set()
        self._state: dict[str, Any] = self._read_state()
        domain = self._open_domain((os.cpu_count() or 1) if cpus is None else cpus)
        super().__init__(platform, cpus=domain.cpus, shared=True, domain=domain)
        if self.habits.links_wait:
            from anybpf.runtime.places import add_places

            add_places(self)

    def file(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def remove_file(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    # Beginning.

    def _read_state(self) -> dict[str, Any]:
        """What the process before this one wrote, if maps' contents can be believed."""
        raw = read_file(self.file("state.json"))
        if raw is None:
            return {}
        try:
            state = json.loads(raw)
            if state["format"] != FORMAT:
                raise ValueError(f"format {state['format']}")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._tell("state-unreadable", why=str(error))
            return {}
        if state.get("boot") != boot() and not state.get("clean"):
            # The machine stopped under a running service: what was in memory is not all on disk.
            self._tell("state-of-another-boot", boot=state.get("boot"))
            return {}
        found: dict[str, Any] = state
        return found

    def _open_domain(self, cpus: int) -> _core.Domain:
        path = self.file("domain")
        if self._state:
            try:
                return _attach_domain(path)
            except OSError as error:
                self._tell("domain-lost", why=str(error))
                self._state = {}
        fresh = _core.Domain(cpus, True)
        beside = f"{path}.new"
        os.close(copy_memory(fresh.fd, beside))
        os.replace(beside, path)
        return _attach_domain(path)

    # Numbers and memory of objects.

    def reserve(self, kind: str, owner: str, what: str) -> int:
        """As ever, except while an object is made anew: then it gets the number it had."""
        with self.guard():
            wanted, self._wanted = self._wanted, 0
            if not wanted or kind == "btf":
                self._wanted = wanted
                return super().reserve(kind, owner, what)
            after, self._next_id = self._next_id, wanted
            try:
                return super().reserve(kind, owner, what)
            finally:
                self._next_id = max(after, wanted + 1)

    def admit(self, record: Record, number: int, memory: int) -> None:
        if isinstance(record, MapRecord) and not isinstance(record.storage, KeptStorage):
            self._keep(record, number)
        super().admit(record, number, memory)

    def _keep(self, record: MapRecord, number: int) -> None:
        """Give a fresh map memory in a file. Those that hold objects are made anew instead."""
        if is_holder(record) or record.storage.fd < 0:
            return
        path = self.file(f"map-{number}")
        fd = copy_memory(record.storage.fd, path)
        try:
            record.storage.close()
            record.storage = self._attach(fd, path)
        finally:
            os.close(fd)

    def _attach(self, fd: int, path: str) -> KeptStorage:
        storage = KeptStorage.attach(self.domain, fd, True, False)
        storage.path = path
        storage.home = self
        return storage

    # What has to be written down.

    def pin(self, path: str, record: Record) -> str:
        self.dirty = True
        return super().pin(path, record)

    def unpin(self, record: Record, path: str = "") -> None:
        self.dirty = True
        super().unpin(record, path)

    def remove_pin(self, path: str) -> None:
        self.dirty = True
        super().remove_pin(path)

    def save(self, clean: bool = False) -> None:
        """Write down what is pinned and what that needs. There whole when this returns."""
        with self.guard():
            self.dirty = False
            state, sources = self._snapshot()
        state["clean"] = clean
        for name, source in sources.items():
            if name not in self._written:
                write_whole(self.file(f"object-{name}"), source.data)
                write_whole(self.file(f"proof-{name}"), source.proof)
                self._written.add(name)
        write_whole(self.file("state.json"), json.dumps(state).encode())
        for name in self._written - set(sources):
            self.remove_file(self.file(f"object-{name}"))
            self.remove_file(self.file(f"proof-{name}"))
        self._written &= set(sources)

    def _snapshot(self) -> tuple[dict[str, Any], dict[str, Source]]:
        pins = [[path, record.id] for path, record in self._pins.items()]
        todo = [record for _, record in self._pins.items()]
        found: dict[int, Record] = {}
        while todo:
            one = todo.pop()
            if one.id in found or one.gone or isinstance(one, TypesRecord):
                continue
            found[one.id] = one
            todo += _held(one)
        sources: dict[str, Source] = {}
        maps, programs, links = [], [], []
        for number, record in sorted(found.items()):
            source = self.sources.get(number)
            name = "" if source is None else source.name
            told: dict[str, Any] = {"id": number, "owner": record.owner, "source": name}
            if source is not None:
                sources[name] = source
            if isinstance(record, MapRecord):
                told["spec"] = spec_to_wire(record.spec)
                told["held"] = {key.hex(): one.id for key, one in record.held.items()}
                maps.append(told)
            elif isinstance(record, ProgramRecord):
                told["name"] = record.prepared.name
                told["maps"] = {} if source is None else source.maps
                programs.append(told)
            elif isinstance(record, LinkRecord):
                told["program"] = record.program.id
                told["attach_type"] = record.attach_type
                told["data"] = record.data.hex()
                told["attached"] = record.state == ATTACHED
                links.append(told)
        state = {
            "format": FORMAT,
            "boot": boot(),
            "platform": self.platform.name,
            "next_id": self._next_id,
            "objects": {name: one.options for name, one in sources.items()},
            "pins": pins,
            "maps": maps,
            "programs": programs,
            "links": links,
        }
        return state, sources

    # Going on.

    def restore(self, prove: Prove) -> dict[str, int]:
        """Bring back what was pinned; how much of each kind, and how much could not come."""
        state, self._state = self._state, {}
        back = {"maps": 0, "programs": 0, "links": 0, "pins": 0, "lost": 0}
        if state:
            self._next_id = max(self._next_id, int(state["next_id"]))
            _Return(self, state, prove, back, self._tell).run()
        self._remove_strangers()
        self.save()
        return back

    def _remove_strangers(self) -> None:
        """Files of objects that were being made, or were on their way out, at the end."""
        there = {f"map-{one.id}" for one in self.records(MAP)}
        kept = {f"object-{name}" for name in self._written}
        kept |= {f"proof-{name}" for name in self._written}
        for name in os.listdir(self.directory):
            if (name.startswith("map-") and name not in there) or (
                name.startswith(("object-", "proof-")) and name not in kept
            ):
                self.remove_file(self.file(name))

    def with_number(self, number: int) -> None:
        """The next object that is made gets this number."""
        self._wanted = number

    def leave(self) -> None:
        """Write everything down and let go of nothing: the next process goes on from here."""
        self.leaving = True
        self.save(clean=True)


class _Return:
    """One return of what was pinned."""

    def __init__(
        self,
        runtime: KeptRuntime,
        state: dict[str, Any],
        prove: Prove,
        back: dict[str, int],
        tell: Tell,
    ) -> None:
        self.runtime = runtime
        self.state = state
        self.prove = prove
        self.back = back
        self.tell = tell
        self.sources: dict[str, Source] = {}
        self.specs: dict[str, Any] = {}
        self.types: dict[str, TypesRecord] = {}
        self.handles: dict[int, Any] = {}

    def run(self) -> None:
        state = self.state
        for name, options in state["objects"].items():
            self._try("object", name, partial(self._object, name, options))
        for told in state["maps"]:
            self._try("maps", told["id"], partial(self._map, told))
        for told in state["programs"]:
            self._try("programs", told["id"], partial(self._program, told))
        for told in state["links"]:
            self._try("links", told["id"], partial(self._link, told))
        for told in state["maps"]:
            for key, number in told["held"].items():
                self._try("held", number, partial(self._hold, told, key, number))
        for path, number in state["pins"]:
            self._try("pins", path, partial(self._pin, path, number))
        for handle in self.handles.values():
            handle.close()

    def _try(self, what: str, which: object, step: Callable[[], None]) -> None:
        """One that cannot come back does not keep the others from it."""
        try:
            step()
        except (AnyBPFError, CoreRefusal, OSError, KeyError, ValueError, TypeError) as error:
            self.runtime.with_number(0)
            self.back["lost"] += 1
            self.tell(
                "not-restored", what=what, which=which, why=f"{type(error).__name__}: {error}"
            )
            return
        if what in self.back:
            self.back[what] += 1

    def _object(self, name: str, options: dict[str, Any]) -> None:
        from anybpf.service.edits import read

        data = read_file(self.runtime.file(f"object-{name}"))
        proof = read_file(self.runtime.file(f"proof-{name}"))
        if data is None or proof is None:
            raise InputError("its file is not there")
        source = Source(data, options, proof)
        if source.name != name:
            raise InputError("its file is not what it was")
        self.sources[name] = source
        self.specs[name] = read(data, self.runtime.platform, options)
        self.runtime._written.add(name)

    def _map(self, told: dict[str, Any]) -> None:
        runtime = self.runtime
        number = int(told["id"])
        spec = spec_from_wire(told["spec"])
        btf = self._btf(told["source"])
        types = self._types(told["source"], told["owner"])
        runtime.with_number(number)
        path = runtime.file(f"map-{number}")
        if spec.inner is not None or _holds(runtime, spec):
            record = create_map(runtime, spec, btf, types, told["owner"])
        else:
            record = self._kept(path, number, spec, told["owner"])
            record.btf = btf
            if types is not None:
                runtime.use(types)
                record.types = types
        if told["source"]:
            runtime.sources[number] = self.sources[told["source"]]
        self.handles[number] = open_map(record)

    def _kept(self, path: str, number: int, spec: MapSpec, owner: str) -> MapRecord:
        runtime = self.runtime
        record = MapRecord(runtime, owner, spec, check(spec, runtime))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            record.storage = runtime._attach(fd, path)
        finally:
            os.close(fd)
        storage = record.storage
        if storage.id != number or storage.max_entries != spec.max_entries:
            raise InputError("its memory is another map's")
        runtime.reserve(MAP, owner, f"map {spec.name}")
        runtime.admit(record, number, storage.memory)
        return record

    def _btf(self, name: str) -> Any:
        return self.specs[name].btf if name else None

    def _types(self, name: str, owner: str) -> TypesRecord | None:
        btf = self._btf(name)
        if btf is None or not self.runtime.habits.numbers_types:
            return None
        if name not in self.types:
            record = create_types(self.runtime, self.specs[name].name, owner, btf)
            self.types[name] = record
            self.handles[record.id] = record.open()
        return self.types[name]

    def _program(self, told: dict[str, Any]) -> None:
        runtime = self.runtime
        number = int(told["id"])
        source = self.sources[told["source"]]
        maps = {
            name: self.handles[one] for name, one in told["maps"].items() if one in self.handles
        }
        runtime.with_number(number)
        loaded = load_source(
            runtime,
            source,
            self.prove,
            owner=told["owner"],
            spec=self.specs[told["source"]],
            programs=[told["name"]],
            maps=maps,
        )
        source.maps = {str(name): int(one) for name, one in told["maps"].items()}
        try:
            self.handles[number] = loaded.detach_program(told["name"])
        finally:
            loaded.close()
        runtime.sources[number] = source

    def _link(self, told: dict[str, Any]) -> None:
        program = self.handles[int(told["program"])]
        number = int(told["id"])
        self.runtime.with_number(number)
        link = attach(
            program, told["attach_type"], bytes.fromhex(told["data"]), owner=told["owner"]
        )
        self.handles[number] = link
        if not told["attached"]:
            link.detach()

    def _hold(self, told: dict[str, Any], key: str, number: int) -> None:
        record = self.runtime.record(MAP, int(told["id"]))
        assert isinstance(record, MapRecord)
        status = record.store(bytes.fromhex(key), int(number))
        if status:
            raise InputError(_core.STATUSES[status])

    def _pin(self, path: str, number: int) -> None:
        handle = self.handles.get(int(number))
        if handle is None:
            raise InputError(f"object {number} did not come back")
        handle.pin(path)


def load_source(
    runtime: KeptRuntime,
    source: Source,
    prove: Prove,
    *,
    owner: str,
    spec: CollectionSpec | None = None,
    **more: Any,
) -> Any:
    """Load an object of which a proof is there; if it is out of date, it is proved anew."""
    from anybpf.engines.proof import own_proof
    from anybpf.errors import ImageError
    from anybpf.service.edits import read

    options = load_options(source.options)
    options.update(more)
    if spec is None:
        spec = read(source.data, runtime.platform, source.options)
    for turn in (0, 1):
        try:
            proof = own_proof(source.proof, source.data) if source.proof else None
            if proof is None and options.get("programs") is None:
                options["programs"] = []
            return runtime.load(spec, proof=proof, owner=owner, **options)
        except ImageError:
            if turn:
                raise
            source.proof = prove(source.data, source.options)
    raise AssertionError("one of two turns returns or raises")


def load_options(told: dict[str, Any]) -> dict[str, Any]:
    """Options of a load as they came over the wire and as they are written down."""
    options: dict[str, Any] = {}
    for name in ("programs", "pin_root", "engine", "kconfig", "kconfig_values"):
        if told.get(name) is not None:
            options[name] = told[name]
    values = told.get("variables")
    if values:
        options["variables"] = {
            name: bytes.fromhex(one[2:]) if isinstance(one, str) and one[:2] == "x:" else one
            for name, one in values.items()
        }
    return options


def is_holder(record: MapRecord) -> bool:
    """Whether what is in the map are numbers of objects, which have to be held."""
    return record.type.holds in ("programs", "maps") or record.spec.inner is not None


def _holds(runtime: Runtime, spec: MapSpec) -> bool:
    return runtime.platform.map_type(spec.type).holds in ("programs", "maps")


def _held(record: Record) -> Iterable[Record]:
    if isinstance(record, MapRecord):
        return list(record.held.values())
    if isinstance(record, ProgramRecord):
        return list(record.held)
    if isinstance(record, LinkRecord) and record.holds:
        return [record.program]
    return []


def boot() -> str:
    raw = read_file(_BOOT)
    return "" if raw is None else raw.decode().strip()


def _attach_domain(path: str) -> _core.Domain:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _core.Domain.attach(fd, False)
    finally:
        os.close(fd)


__all__ = [
    "LINK",
    "PROGRAM",
    "KeptRuntime",
    "Source",
    "is_holder",
    "load_options",
    "load_source",
]
