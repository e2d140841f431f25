"""The service as a back end: the object model over its socket, maps as memory of one's own.

A map's memory is handed over when the map is opened; look-ups and changes then go to it directly,
as fast as in the service itself. Everything else is a request. Handles live as long as the
connection: if the service is restarted, what was pinned is to be opened again, by id or pin.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import warnings
from array import array
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Self, cast

from anybpf import __version__
from anybpf.errors import ClosedError, InputError, NotSupported
from anybpf.service import wire
from anybpf.service.paths import Places
from anybpf.service.values import info_from_wire, spec_from_wire, spec_to_wire

if TYPE_CHECKING:
    from anybpf import _core
    from anybpf.btf import BTF
    from anybpf.maps import Map
    from anybpf.objects.specs import CollectionSpec, MapSpec
    from anybpf.platforms import Platform
    from anybpf.runtime.collection import Collection
    from anybpf.runtime.features import Features
    from anybpf.runtime.infos import LinkInfo, MapInfo, ProgramInfo, TypesInfo

# Requests that may be asked again when the connection broke: they change nothing and hold nothing.
_AGAIN: Final = frozenset({"hello", "ids", "infos", "pins", "status", "feature", "feature_names"})
_ROOM: Final = socket.CMSG_SPACE(wire.MOST_FILES * 4) if hasattr(socket, "CMSG_SPACE") else 0
_FILES: Final = struct.calcsize("i")


class Channel:
    """One connection to the service, which may be made anew. Safe for many threads."""

    def __init__(self, places: Places, start: bool, timeout: float) -> None:
        self.places = places
        self.timeout: float = timeout
        # Counts connections: a handle is good for the one that it was opened on.
        self.epoch: int = 0
        self.dropped: deque[tuple[int, int]] = deque()
        self._start: bool = start
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()
        self._closed: bool = False

    @property
    def closed(self) -> bool:
        return self._closed

    def _connect(self) -> socket.socket:
        from anybpf.service import running

        sock = running.connect(self.places, self.timeout)
        if sock is None and self._start:
            running.start(running.Options(self.places.directory, self.places.platform))
            sock = running.connect(self.places, self.timeout)
        if sock is None:
            raise InputError(
                f"no service answers at {self.places.socket}: start it with `anybpf service start`"
            )
        self.epoch += 1
        self._sock = sock
        try:
            told, _ = self._exchange(sock, "hello", {})
            if told["version"] != __version__:
                raise InputError(
                    f"the service is of version {told['version']}, this is {__version__}: restart "
                    "it with `anybpf service stop` and `anybpf service start`"
                )
        except (ConnectionError, EOFError):
            self._break()
            raise ClosedError("the service went away while it was greeted") from None
        except BaseException:
            self._break()
            raise
        return sock

    def _break(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def ask(self, name: str, /, **arguments: Any) -> Any:
        return self.ask_for_files(name, arguments)[0]

    def ask_for_files(self, name: str, arguments: dict[str, Any]) -> tuple[Any, list[int]]:
        """The answer, and the descriptors that came with it, which are the caller's to close."""
        with self._lock:
            if self._closed:
                raise ClosedError("the connection to the service was closed")
            if self._sock is not None and name not in _AGAIN and self._is_broken(self._sock):
                self._break()
            sock = self._sock or self._connect()
            if self.dropped:
                self._let_go(sock)
            try:
                return self._exchange(sock, name, arguments)
            except (ConnectionError, EOFError):
                self._break()
                if name not in _AGAIN:
                    raise ClosedError(
                        f"the service went away during {name!r}: what is pinned comes back with "
                        "it; open it again"
                    ) from None
            except BlockingIOError:
                self._break()
                raise ClosedError(
                    f"the service did not answer {name!r} within {self.timeout:.0f} seconds"
                ) from None
            except wire.WireError:
                self._break()
                raise
            try:
                return self._exchange(self._connect(), name, arguments)
            except (ConnectionError, EOFError):
                self._break()
                raise ClosedError(f"the service went away twice during {name!r}") from None

    def ask_of(self, epoch: int, name: str, /, **arguments: Any) -> Any:
        """A request about a handle, which is good for its own connection only."""
        self.check(epoch)
        return self.ask_for_files(name, arguments)[0]

    def check(self, epoch: int) -> None:
        sock = self._sock
        if epoch != self.epoch or (sock is not None and self._is_broken(sock)):
            raise ClosedError(
                "the service was restarted since this was opened: open it again by id or pin"
            )

    @staticmethod
    def _is_broken(sock: socket.socket) -> bool:
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))  # nobody answers who was not asked: it is the end

    def _let_go(self, sock: socket.socket) -> None:
        while self.dropped:
            epoch, number = self.dropped.popleft()
            if epoch == self.epoch:
                self._exchange(sock, "close", {"handle": number})

    def _exchange(
        self, sock: socket.socket, name: str, arguments: dict[str, Any]
    ) -> tuple[Any, list[int]]:
        sock.sendall(wire.encode([name, arguments]))
        block: bytes | bytearray
        block, ancillary, _, _ = sock.recvmsg(1 << 16, _ROOM)
        fds = array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % _FILES])
        try:
            if not block:
                raise EOFError
            size = wire.frame_size(block)
            if not size or len(block) < size:
                block = self._rest(sock, bytearray(block))
            answer = wire.decode(block)
            if not isinstance(answer, list) or len(answer) != 2:
                raise wire.WireError("the service's answer cannot be read")
            if answer[0] != "ok":
                raise wire.error_from_wire(answer[1])
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        return answer[1], list(fds)

    @staticmethod
    def _rest(sock: socket.socket, got: bytearray) -> bytearray:
        while not (size := wire.frame_size(got)) or len(got) < size:
            block = sock.recv(min(1 << 20, max(size - len(got), wire.HEADER.size)))
            if not block:
                raise EOFError
            got += block
        return got

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._break()


class Handle:
    """A hold on an object of the service, by a number that is good on this connection."""

    __slots__ = ("_backend", "_closed", "_epoch", "_id", "_name", "_number", "_told")

    def __init__(self, backend: ServiceBackend, told: dict[str, Any]) -> None:
        self._closed: bool = False
        self._backend = backend
        self._epoch: int = backend.channel.epoch
        self._told = told
        self._number: int = told["handle"]
        self._id: int = told["id"]
        self._name: str = told["name"]

    @property
    def id(self) -> int:
        return self._id

    @property
    def name(self) -> str:
        return self._name

    @property
    def closed(self) -> bool:
        return self._closed

    def ask(self, name: str, /, **arguments: Any) -> Any:
        if self._closed:
            raise ClosedError(
                f"{self._told['kind']} {self._name} (id {self._id}) was closed: open it again by "
                "id or pin, or use it before it is closed"
            )
        return self._backend.channel.ask_of(self._epoch, name, handle=self._number, **arguments)

    @property
    def number(self) -> int:
        """For requests that name this handle."""
        self._backend.channel.check(self._epoch)
        return self._number

    def close(self) -> None:
        """Let go. If nothing else refers to the object, it is gone when this returns."""
        if self._closed:
            return
        self._closed = True
        channel = self._backend.channel
        if not channel.closed:
            try:
                channel.ask_of(self._epoch, "close", handle=self._number)
            except (ClosedError, InputError):
                return  # with the connection, its handles went

    def pin(self, path: str) -> str:
        """Give the object a place in the service's directory tree; the path as it is kept."""
        return str(self.ask("pin", path=path))

    def unpin(self, path: str = "") -> None:
        """Take one pin away, or all that the object has."""
        self.ask("unpin", path=path)

    @property
    def pins(self) -> list[str]:
        return list(self.ask("pins_of"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_closed", True):
            return
        self._closed = True
        channel = self._backend.channel
        if not channel.closed:
            channel.dropped.append((self._epoch, self._number))
            warnings.warn(
                f"{self._told['kind']} {self._name} of the service was never closed",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"id {self._id}"
        return f"<{type(self).__name__} {self._name} of the service, {state}>"


class Program(Handle):
    """A program in the service."""

    __slots__ = ()

    @property
    def type(self) -> str:
        return str(self._told["type"])

    @property
    def attach_type(self) -> str:
        return str(self._told["attach_type"])

    def info(self) -> ProgramInfo:
        return cast("ProgramInfo", info_from_wire("program", self.ask("info")))

    def test_run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        *,
        repeat: int = 1,
        cpu: int | None = None,
        batch: int = 0,
        data_size_out: int | None = None,
        flags: int = 0,
        budget: int = 0,
        timeout: float | None = None,
    ) -> Any:
        """See :meth:`anybpf.runtime.Program.test_run`; the run takes place in the service."""
        from anybpf.engines import ContextLayout
        from anybpf.runtime.testrun import TestRun

        told = self.ask(
            "test_run", data=bytes(data), ctx=_context(ctx),
            options={"repeat": repeat, "cpu": cpu, "batch": batch, "data_size_out": data_size_out,
                     "flags": flags, "budget": budget, "timeout": timeout},
        )  # fmt: skip
        redirect = None if told[8] is None else tuple(told[8])
        layout = ContextLayout(self._backend.platform.program_type(self.type))
        result: Any = TestRun
        return result(*told[:8], redirect, layout)

    def run_batch(
        self,
        buffer: bytes | bytearray | memoryview,
        *,
        stride: int = 0,
        offsets: Any = None,
        ctx: Any = None,
        cpu: int | None = None,
        budget: int = 0,
        timeout: float | None = None,
    ) -> list[int]:
        """The results of a run for each record in the buffer, 32 bits each. The packets are changed
        where they are if the buffer is writable."""
        raw, stops, after = self.ask(
            "run_batch", data=bytes(buffer), ctx=_context(ctx),
            options={"stride": stride, "offsets": None if offsets is None else list(offsets),
                     "cpu": cpu, "budget": budget, "timeout": timeout},
        )  # fmt: skip
        if stops:
            from anybpf.errors import RunError

            first = min(stops, key=int)
            raise RunError(f"record {first}: {stops[first]}")
        view = memoryview(buffer)
        if not view.readonly:
            view.cast("B")[:] = after
        return [value & 0xFFFFFFFF for value in memoryview(raw).cast("Q")]

    def attach(self, attach_type: str = "", data: bytes = b"") -> Link:
        """Attach it by the service's hook for that attach type (its own, if none is named)."""
        return Link(self._backend, self.ask("attach", attach_type=attach_type, data=data))


class Link(Handle):
    """A link in the service."""

    __slots__ = ()

    @property
    def state(self) -> str:
        return str(self.ask("link_state"))

    @property
    def attach_type(self) -> str:
        return str(self._told["attach_type"])

    def detach(self) -> None:
        """Take the program away from its place. The link stays, and says so."""
        self.ask("detach")

    def info(self) -> LinkInfo:
        return cast("LinkInfo", info_from_wire("link", self.ask("info")))


class Types(Handle):
    """Type information in the service."""

    __slots__ = ()

    @property
    def btf(self) -> BTF:
        from anybpf.btf import BTF

        return BTF.parse(self.ask("types_data"))

    def info(self) -> TypesInfo:
        return cast("TypesInfo", info_from_wire("btf", self.ask("info")))


class MapKeeper(Handle):
    """A map's hold in the service; its face has the memory."""

    __slots__ = ()

    def info(self) -> MapInfo:
        return cast("MapInfo", info_from_wire("map", self.ask("info")))

    def freeze(self) -> int:
        return int(self.ask("freeze"))

    def store(self, key: bytes, value: object, flags: int = 0) -> int:
        from anybpf.maps.failures import STATUS

        keeper = getattr(value, "keeper", value)
        told: object = value
        if isinstance(keeper, Handle):
            told = {"handle": keeper.number}
        elif not isinstance(value, int):
            return int(STATUS["BAD_OBJECT"])
        return int(self.ask("store", key=bytes(key), value=told, flags=flags))

    def erase(self, key: bytes) -> int:
        return int(self.ask("erase", key=bytes(key)))

    def held(self, key: bytes) -> Any:
        told = self.ask("held", key=bytes(key))
        return None if told is None else self._backend.opened(told)


class ServiceBackend:
    """The service of this user, started if it does not run (``start=False``: only used).

    ``directory`` and ``platform`` say which service; ``timeout`` is how many seconds an answer may
    take.
    """

    name: Final = "service"

    def __init__(
        self,
        platform: str = "linux",
        *,
        directory: str = "",
        start: bool = True,
        timeout: float = 120.0,
    ) -> None:
        self._platform_name: str = platform
        self._platform: Platform | None = None
        self.channel = Channel(Places(directory, platform), start, timeout)
        self._domain: tuple[int, _core.Domain] | None = None
        self._types: dict[tuple[int, int], BTF] = {}
        self._features: Features | None = None
        self.channel.ask("hello")

    @property
    def platform(self) -> Platform:
        if self._platform is None:
            from anybpf import platforms

            self._platform = platforms.get(self._platform_name)
        return self._platform

    @property
    def closed(self) -> bool:
        return self.channel.closed

    # Looking.

    def ids(self, kind: str) -> list[int]:
        return list(self.channel.ask("ids", kind=_kind(kind)))

    def next_id(self, kind: str, after: int = 0) -> int | None:
        return next((number for number in self.ids(kind) if number > after), None)

    def infos(self, kind: str) -> Iterator[Any]:
        kind = _kind(kind)
        for fields in self.channel.ask("infos", kind=kind):
            yield info_from_wire(kind, fields)

    def status(self) -> dict[str, Any]:
        """What the service says of itself."""
        return dict(self.channel.ask("status"))

    def program(self, number: int) -> Program:
        return Program(self, self._open("program", number))

    def map(self, number: int) -> Map:
        return self._face(self._open("map", number))

    def link(self, number: int) -> Link:
        return Link(self, self._open("link", number))

    def types(self, number: int) -> Types:
        return Types(self, self._open("btf", number))

    def _open(self, kind: str, number: int) -> dict[str, Any]:
        return dict(self.channel.ask("open", kind=kind, id=number))

    def opened(self, told: dict[str, Any]) -> Any:
        """The handle of what the service opened."""
        if told["kind"] == "map":
            return self._face(told)
        return {"program": Program, "link": Link, "btf": Types}[told["kind"]](self, told)

    # Pins.

    def pins(self, below: str = "", kind: str = "") -> list[tuple[str, str, int]]:
        found = self.channel.ask("pins", below=below, kind=_kind(kind))
        return [(path, kind, number) for path, kind, number in found]

    def open(self, path: str) -> Any:
        return self.opened(self.channel.ask("open_pin", path=path))

    def remove_pin(self, path: str) -> None:
        self.channel.ask("remove_pin", path=path)

    # Making.

    def load(self, source: Any, **options: Any) -> Collection:
        """Load an object into the service: a file's path, its bytes, a binary file, or a spec that
        was read from a file, with what was changed of it.

        ``options`` are ``programs``, ``maps``, ``variables``, ``pin_root``, ``engine``, ``kconfig``
        and ``kconfig_values`` of :func:`anybpf.runtime.load`.
        """
        from anybpf.objects import load_spec
        from anybpf.objects.specs import CollectionSpec
        from anybpf.runtime.collection import Collection, Variable

        told_options = _load_options(options)
        if isinstance(source, CollectionSpec):
            data, spec, edits = _of_spec(source, self.platform)
            if edits:
                told_options["edits"] = edits
        else:
            data, file = _whole(source)
            name = os.path.basename(file).partition(".")[0]
            spec = load_spec(data, self.platform, name or None)
            spec.file = file
        told_options["name"] = spec.name
        told = self.channel.ask("load", data=data, options=told_options)
        handles = [self.opened(one) for one in [*told["programs"].values(), *told["maps"].values()]]
        try:
            loaded = Collection(cast("Any", self), spec)
            loaded.programs.update(
                zip(told["programs"], handles[: len(told["programs"])], strict=True)
            )
            loaded.maps.update(zip(told["maps"], handles[len(told["programs"]) :], strict=True))
        except BaseException:
            for handle in handles:
                handle.close()
            raise
        homes = {id(one): name for name, one in spec.maps.items()}
        for name, variable in spec.variables.items():
            home = homes.get(id(variable.map), "")
            if home in loaded.maps:
                loaded.variables[name] = Variable(variable, loaded.maps[home], spec.btf)
        return loaded

    def create_map(self, spec: MapSpec) -> Map:
        """A map by itself, of no object file. Close it, or pin it."""
        return self._face(self.channel.ask("create_map", spec=spec_to_wire(spec)))

    def _face(self, told: dict[str, Any]) -> Map:
        """The map with its memory, which the service hands over."""
        from anybpf.maps import make

        keeper = MapKeeper(self, told)
        try:
            _, fds = self.channel.ask_for_files("map_memory", {"handle": told["handle"]})
            try:
                if len(fds) != 1:
                    raise InputError("the service sent no memory for the map")
                storage = _memory().attach(self._shared_domain(), fds[0], True, False)
            finally:
                for fd in fds:
                    os.close(fd)
            return make(
                storage, keeper, spec=spec_from_wire(told["spec"]), btf=self._btf(told["btf"]),
                platform=self.platform,
            )  # fmt: skip
        except BaseException:
            keeper.close()
            raise

    def _shared_domain(self) -> _core.Domain:
        """What keeps this process and the service from using memory that the other still reads."""
        from anybpf import _core

        # One for each map: two views of a map in one process must not meet in one domain.
        _, fds = self.channel.ask_for_files("domain", {})
        try:
            return _core.Domain.attach(fds[0], False)
        finally:
            for fd in fds:
                os.close(fd)

    def _btf(self, number: int) -> BTF | None:
        if not number:
            return None
        key = (self.channel.epoch, number)
        if key not in self._types:
            with self.types(number) as types:
                self._types[key] = types.btf
        return self._types[key]

    # The rest.

    def enable_statistics(self) -> Statistics:
        """Count runs and run times of all programs until what this returns is closed."""
        return Statistics(self.channel, self.channel.ask("statistics"))

    def features(self) -> Features:
        from anybpf.runtime.features import Feature, Features

        if self._features is None:
            self._features = Features(
                f"the service of {self._platform_name}",
                lambda kind: list(self.channel.ask("feature_names", kind=kind)),
                lambda kind, name: Feature(*self.channel.ask("feature", kind=kind, name=name)),
            )
        return self._features

    def close(self) -> None:
        """Let go of the connection, and so of every handle. Twice does no harm."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.channel.places.socket
        return f"<ServiceBackend {self._platform_name}, {state}>"


class Statistics:
    """The statistics switch of the service, on. Closing it twice does no harm."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._epoch: int = channel.epoch
        self._number: int = number

    def close(self) -> None:
        number, self._number = self._number, 0
        if number and not self._channel.closed:
            try:
                self._channel.ask_of(self._epoch, "close", handle=number)
            except ClosedError:
                return  # with the connection, the switch went off

    def __enter__(self) -> Statistics:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


_memory_class: list[type[_core.Map]] = []


def _memory() -> type[_core.Map]:
    """A map's memory in this process; the core is loaded when there is the first."""
    if not _memory_class:
        from anybpf import _core

        class Memory(_core.Map):
            def _fail(self, what: str, status: int, key: object) -> Any:
                raise InputError(f"a map of the service: {what}: {_core.STATUSES[status]}")

        _memory_class.append(Memory)
    return _memory_class[0]


def _kind(kind: str) -> str:
    return "btf" if kind == "types" else kind


def _context(ctx: Any) -> Any:
    if ctx is None or isinstance(ctx, dict):
        return ctx
    return bytes(ctx)


def _whole(source: Any) -> tuple[bytes, str]:
    """All bytes of an object file, and its name."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            return stream.read(), os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), ""
    if hasattr(source, "read"):
        return bytes(source.read()), str(getattr(source, "name", ""))
    raise NotSupported(
        f"loading a {type(source).__name__}",
        where="the service, which takes the bytes of object files; set what is to be other by the "
        "options of load",
    )


def _of_spec(
    given: CollectionSpec, platform: Platform
) -> tuple[bytes, CollectionSpec, dict[str, Any]]:
    """The object that a spec was read from, and what was changed since."""
    from anybpf.objects import load_spec
    from anybpf.service.edits import difference

    if not os.path.isfile(given.file):
        raise NotSupported(
            f"loading collection {given.name}, which was not read from a file",
            where="the service, which reads objects itself",
        )
    with open(given.file, "rb") as stream:
        data = stream.read()
    return data, given.copy(), difference(load_spec(data, platform, given.name), given)


def _load_options(options: dict[str, Any]) -> dict[str, Any]:
    known = ("programs", "maps", "variables", "pin_root", "engine", "kconfig", "kconfig_values")
    told: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or value == "":
            continue
        if name == "platform":
            continue  # the service has one, and says so where the object needs another
        if name not in known:
            raise NotSupported(f"loading with the option {name!r}", where="the service")
        if name == "programs":
            value = [value] if isinstance(value, str) else list(value)
        elif name == "variables":
            value = {
                key: f"x:{bytes(one).hex()}" if isinstance(one, bytes | bytearray) else one
                for key, one in value.items()
            }
        elif name == "maps":
            value = {key: one.keeper.number for key, one in value.items()}
        told[name] = value
    return told
