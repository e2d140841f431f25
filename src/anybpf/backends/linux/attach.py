"""Attaching programs in the kernel: a function for each hook, and one that goes by section name.

Each gives a :class:`Link` (or, for sockets, a :class:`SocketHold`). Close it, or pin it: when the
last hold on a link goes, the program is detached.
"""

from __future__ import annotations

import os
import socket as sockets
from collections.abc import Iterable
from ctypes import Array, addressof, c_char, create_string_buffer
from struct import pack, unpack
from typing import TYPE_CHECKING, Final

from anybpf.backends.linux import perf_events, syscall
from anybpf.backends.linux.link import Link, SocketHold, refused
from anybpf.backends.linux.symbols import symbol_offset
from anybpf.errors import InputError, NotFound, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.linux.collection import Collection
    from anybpf.backends.linux.handle import Handle
    from anybpf.backends.linux.maps import Map
    from anybpf.backends.linux.program import Program

Path = str | os.PathLike[str]

# XDP_FLAGS_* (linux/if_link.h).
XDP_MODES: Final = {"": 0, "generic": 1 << 1, "native": 1 << 2, "offload": 1 << 3}
# BPF_F_* of attachments in a row (linux/bpf.h).
_BEFORE: Final = 1 << 3
_AFTER: Final = 1 << 4
_BY_LINK: Final = 1 << 13
_DEFRAGMENT: Final = 1 << 0  # BPF_F_NETFILTER_IP_DEFRAG
# enum nf_inet_hooks and enum nfproto (linux/netfilter.h).
NETFILTER_HOOKS: Final = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
NETFILTER_FAMILIES: Final = {"ipv4": 2, "ipv6": 10}
# setsockopt(2) at SOL_SOCKET (asm-generic/socket.h).
_SO_ATTACH_BPF: Final = 50
_SO_DETACH_FILTER: Final = 27
_SO_ATTACH_REUSEPORT_EBPF: Final = 52
_SO_DETACH_REUSEPORT_BPF: Final = 68
_ON_RETURN: Final = 1 << 0  # BPF_F_UPROBE_MULTI_RETURN, BPF_F_KPROBE_MULTI_RETURN
# Sections of probes that name one function.
_PROBES: Final = ("kprobe", "kretprobe", "uprobe", "uretprobe")
# Program types that have one place in this network namespace.
_NEEDS_NOTHING: Final = ("sk_lookup", "flow_dissector")


def _create(
    program: Program, target: int, attach_type: str, rest: bytes = b"", flags: int = 0,
    where: str = "",
) -> Link:  # fmt: skip
    """LINK_CREATE: ``rest`` is what follows the first four fields for this kind of link."""
    backend = program.backend
    kind = backend.platform.attach_types[attach_type]
    held = program.hold()
    result = syscall.call(
        syscall.LINK_CREATE, pack("=IIII", held.fd, target, kind.number, flags) + rest
    )
    if result < 0:
        link = backend.platform.link_types[kind.link_type] if kind.link_type else None
        what = f"attaching program {program.name} ({program.type}) to {where or attach_type}"
        raise refused(
            what, -result, f"attach type {attach_type}", "" if link is None else link.since
        )
    return Link(backend, result, attach_type)


def _chosen(program: Program, attach_type: str, types: tuple[str, ...], what: str) -> str:
    """The attach type that was asked for, or the program's own."""
    name = attach_type or program.attach_type
    if not name and len(types) == 1:
        name = types[0]
    if name not in types:
        raise InputError(
            f"program {program.name} is attached to {what} as one of {', '.join(types)}, not as "
            f"{name or 'nothing'!r}: name the attach type"
        )
    return name


def interface(given: int | str) -> int:
    """The number of a network device, given by number or name."""
    if isinstance(given, int):
        if not 0 < given < 1 << 31:
            raise InputError(f"{given} is no number of a network device")
        return given
    try:
        return sockets.if_nametoindex(given)
    except OSError:
        names = ", ".join(name for _, name in sockets.if_nameindex())
        raise NotFound(f"there is no network device {given!r}; there are: {names}") from None


def attach_xdp(program: Program, device: int | str, mode: str = "") -> Link:
    """Every packet that arrives at a network device. ``mode``: "generic", "native", "offload"."""
    if mode not in XDP_MODES:
        raise InputError(f"XDP modes are {', '.join(filter(None, XDP_MODES))}, not {mode!r}")
    index = interface(device)
    return _create(program, index, "xdp", flags=XDP_MODES[mode], where=f"network device {device}")


def _row(before: Handle | None, after: Handle | None, revision: int) -> tuple[int, bytes]:
    """Flags and fields that say where in the row of programs the new one stands."""
    if before is not None and after is not None:
        raise InputError("a program is attached before one or after one, not both")
    other = before if before is not None else after
    if other is None:
        return 0, pack("=I4xQ", 0, revision)
    flags = (_BEFORE if before is not None else _AFTER) | (
        _BY_LINK if isinstance(other, Link) else 0
    )
    return flags, pack("=I4xQ", other.fd, revision)


def attach_tcx(
    program: Program,
    device: int | str,
    attach_type: str = "",
    *,
    before: Handle | None = None,
    after: Handle | None = None,
    revision: int = 0,
) -> Link:
    """Packets that enter ("tcx_ingress") or leave ("tcx_egress") a network device.

    ``before`` and ``after`` are a link or a program that is attached there; with ``revision`` only
    if nothing was attached or detached there since.
    """
    name = _chosen(program, attach_type, ("tcx_ingress", "tcx_egress"), "a network device")
    flags, rest = _row(before, after, revision)
    return _create(program, interface(device), name, rest, flags, f"{name} of {device}")


def attach_netkit(
    program: Program,
    device: int | str,
    attach_type: str = "",
    *,
    before: Handle | None = None,
    after: Handle | None = None,
    revision: int = 0,
) -> Link:
    """Packets through a netkit device, at its primary end or its peer."""
    name = _chosen(program, attach_type, ("netkit_primary", "netkit_peer"), "a netkit device")
    flags, rest = _row(before, after, revision)
    return _create(program, interface(device), name, rest, flags, f"{name} of {device}")


def attach_cgroup(program: Program, group: Path | int, attach_type: str = "") -> Link:
    """What the processes of a cgroup do: its directory (cgroup v2), or a descriptor of it."""
    name = attach_type or program.attach_type
    kind = program.backend.platform.attach_types
    if name not in kind or kind[name].link_type != "cgroup":
        raise InputError(
            f"program {program.name} ({program.type}) is attached to a cgroup as "
            f"{_cgroup_types(program)}, not as {name or 'nothing'!r}: name the attach type"
        )
    with Place(group, "cgroup") as fd:
        return _create(program, fd, name, where=f"{name} of cgroup {group}")


def _cgroup_types(program: Program) -> str:
    names = [
        one.name
        for one in program.backend.platform.attach_types
        if one.link_type == "cgroup" and program.type in one.program_types
    ]
    return f"one of {', '.join(names)}" if names else "nothing that its type allows"


def attach_netns(program: Program, namespace: Path | int = "/proc/self/ns/net") -> Link:
    """Socket look-ups, or the dissection of flows, in a network namespace (this one's)."""
    name = program.type
    if name not in ("sk_lookup", "flow_dissector"):
        raise InputError(
            f"program {program.name} is of type {name}: sk_lookup and flow_dissector are attached "
            "to network namespaces"
        )
    with Place(namespace, "network namespace") as fd:
        return _create(program, fd, name, where=f"network namespace {namespace}")


def attach_netfilter(
    program: Program,
    hook: str = "input",
    family: str = "ipv4",
    priority: int = 0,
    *,
    defragment: bool = False,
) -> Link:
    """Packets at a hook of netfilter in this network namespace, in order of ``priority``.

    Hooks are "prerouting", "input", "forward", "output" and "postrouting". Priorities are unique.
    """
    for what, given, known in (
        ("hooks of netfilter", hook, NETFILTER_HOOKS),
        ("families of netfilter", family, NETFILTER_FAMILIES),
    ):
        if given not in known:
            raise InputError(f"{what} are {', '.join(known)}, not {given!r}")
    if not -(1 << 31) < priority < (1 << 31) - 1:
        raise InputError(f"{priority} is no priority: the lowest and the highest are not free")
    rest = pack(
        "=IIiI", NETFILTER_FAMILIES[family], NETFILTER_HOOKS[hook], priority,
        _DEFRAGMENT if defragment else 0,
    )  # fmt: skip
    where = f"netfilter's {family} {hook} with priority {priority}"
    return _create(program, 0, "netfilter", rest, where=where)


def attach_sockmap(program: Program, into: Map, attach_type: str = "") -> Link:
    """What the sockets in a sockmap or sockhash send or receive."""
    types = ("sk_skb_stream_parser", "sk_skb_stream_verdict", "sk_skb_verdict", "sk_msg_verdict")
    name = _chosen(program, attach_type, types, "a map of sockets")
    return _create(program, into.fd, name, where=f"{name} of map {into.name}")


def attach_raw_tracepoint(program: Program, name: str = "", cookie: int = 0) -> Link:
    """A tracepoint with its arguments as they are. Without name: the one that it was loaded for."""
    target = name or _target(program)
    if program.type == "tracing":
        return attach_tracing(program, cookie)
    if not target:
        raise InputError(f"program {program.name}: name the tracepoint, such as sched_switch")
    text = create_string_buffer(target.encode())
    return _open_raw(program, addressof(text), cookie, f"the raw tracepoint {target}", text)


def attach_tracing(program: Program, cookie: int = 0) -> Link:
    """What the program was loaded for: a typed tracepoint, a function's entry or exit, a hook of
    a security module. Its target is chosen when it is loaded."""
    if program.type not in ("tracing", "lsm", "ext"):
        raise InputError(
            f"program {program.name} is of type {program.type}; those of tracing, lsm and ext are "
            "attached to what they were loaded for"
        )
    return _open_raw(program, 0, cookie, f"{program.attach_type or program.type}", None)


def _open_raw(program: Program, name: int, cookie: int, where: str, held: object) -> Link:
    descriptor = program.hold()
    result = syscall.call(syscall.RAW_TRACEPOINT_OPEN, pack("=QI4xQ", name, descriptor.fd, cookie))
    del held  # the name had to be there until now
    if result < 0:
        raise refused(f"attaching program {program.name} ({program.type}) to {where}", -result)
    return Link(program.backend, result)


def attach_perf_event(program: Program, event: int, cookie: int = 0, where: str = "") -> Link:
    """A descriptor of perf_event_open(2), such as those of ``perf_events``. It may be closed."""
    place = where or "a perf event"
    link = _create(program, event, "perf_event", pack("=Q", cookie), where=place)
    try:
        perf_events.enable(event)
    except OSError as error:
        link.close()
        raise refused(f"starting {place}", error.errno or 0) from None
    return link


def _on_event(program: Program, event: int, cookie: int, where: str) -> Link:
    try:
        return attach_perf_event(program, event, cookie, where)
    finally:
        os.close(event)


def attach_tracepoint(program: Program, name: str = "", cookie: int = 0) -> Link:
    """A tracepoint, "category/name"; without name: the one that its section names."""
    target = name or _target(program)
    category, _, event = target.partition("/")
    where = f"the tracepoint {target}"
    return _on_event(program, perf_events.open_tracepoint(category, event), cookie, where)


def attach_software_event(
    program: Program,
    name: str = "cpu-clock",
    *,
    cpu: int = 0,
    pid: int = -1,
    period: int = 0,
    frequency: int = 0,
    cookie: int = 0,
) -> Link:
    """An event that the kernel counts, on one processor, every so many (``period``) or so many
    times a second (``frequency``)."""
    config = perf_events.SOFTWARE_EVENTS.get(name)
    if config is None:
        from anybpf.platforms.table import near

        raise NotFound(
            f"no software event is named {name!r}{near(name, perf_events.SOFTWARE_EVENTS)}"
        )
    event = perf_events.open_event(
        perf_events.SOFTWARE, config, pid=pid, cpu=cpu,
        period=period or (0 if frequency else 1), frequency=frequency, what=f"the event {name}",
    )  # fmt: skip
    return _on_event(program, event, cookie, f"the event {name}")


def attach_uprobe(
    program: Program,
    binary: Path,
    symbol: str | int,
    *,
    pid: int = -1,
    returns: bool = False,
    cookie: int = 0,
) -> Link:
    """A function of a program or library (its name, or its offset in the file), entered or left.

    In one process, or in all of them.
    """
    path = os.path.abspath(os.fspath(binary))
    offset = symbol if isinstance(symbol, int) else symbol_offset(path, symbol)
    event = perf_events.open_uprobe(path, offset, pid=pid, returns=returns)
    return _on_event(program, event, cookie, f"{symbol} of {path}")


def attach_uprobes(
    program: Program,
    binary: Path,
    symbols: Iterable[str | int],
    *,
    pid: int = 0,
    returns: bool = False,
    cookies: Iterable[int] = (),
) -> Link:
    """Many functions of a program or library by one link, for ``SEC("uprobe.multi")``.

    In one process, or (0) in all of them. ``cookies``, one a function, is what each one's program
    gets from ``bpf_get_attach_cookie``.
    """
    path = os.path.abspath(os.fspath(binary))
    offsets = [one if isinstance(one, int) else symbol_offset(path, one) for one in symbols]
    name = create_string_buffer(os.fsencode(path))
    places = create_string_buffer(pack(f"={len(offsets)}Q", *offsets), 8 * len(offsets) or 1)
    values = _cookies(cookies, len(offsets))
    rest = pack(
        "=QQQQIII4x", addressof(name), addressof(places), 0,
        0 if values is None else addressof(values), len(offsets), _ON_RETURN if returns else 0, pid,
    )  # fmt: skip
    return _create(program, 0, _multi_type(program, "uprobe"), rest, where=f"functions of {path}")


def attach_kprobes(
    program: Program,
    functions: Iterable[str],
    *,
    returns: bool = False,
    cookies: Iterable[int] = (),
) -> Link:
    """Many functions of the kernel by one link, for ``SEC("kprobe.multi")``."""
    texts = [create_string_buffer(one.encode()) for one in functions]
    names = create_string_buffer(
        pack(f"={len(texts)}Q", *[addressof(one) for one in texts]), 8 * len(texts) or 1
    )
    values = _cookies(cookies, len(texts))
    rest = pack(
        "=IIQQQ", _ON_RETURN if returns else 0, len(texts), addressof(names), 0,
        0 if values is None else addressof(values),
    )  # fmt: skip
    return _create(program, 0, _multi_type(program, "kprobe"), rest, where="kernel functions")


def _cookies(given: Iterable[int], count: int) -> Array[c_char] | None:
    values = list(given)
    if not values:
        return None
    if len(values) != count:
        raise InputError(f"{count} functions want as many cookies, not {len(values)}")
    return create_string_buffer(pack(f"={count}Q", *values), 8 * count)


def _multi_type(program: Program, kind: str) -> str:
    names = (f"trace_{kind}_multi", f"trace_{kind}_session")
    return _chosen(program, program.attach_type or names[0], names, f"many {kind}s")


def attach_kprobe(
    program: Program, function: str = "", offset: int = 0, *, returns: bool = False, cookie: int = 0
) -> Link:
    """A function of the kernel, entered or left."""
    target = function or _target(program)
    event = perf_events.open_kprobe(target, offset, returns=returns)
    return _on_event(program, event, cookie, f"the kernel's {target}")


def attach_iterator(
    program: Program, *, over: Map | None = None, pid: int = 0, tid: int = 0
) -> Link:
    """An iterator, over a map's entries (``over``) or one process's tasks; read the link."""
    if over is not None:
        about = create_string_buffer(pack("=I", over.fd), 4)
    elif pid or tid:
        about = create_string_buffer(pack("=III", tid, pid, 0), 12)
    else:
        return _create(program, 0, "trace_iter", where="what it iterates over")
    # union bpf_iter_link_info holds one of: map_fd; tid, pid, pid_fd.
    rest = pack("=QI", addressof(about), len(about))
    return _create(program, 0, "trace_iter", rest, where="what it iterates over")


def attach_socket(program: Program, socket: sockets.socket) -> SocketHold:
    """Packets of one socket (a ``socket_filter``), or which of a group gets them."""
    chooses = program.type == "sk_reuseport"
    put, take = (
        (_SO_ATTACH_REUSEPORT_EBPF, _SO_DETACH_REUSEPORT_BPF)
        if chooses
        else (_SO_ATTACH_BPF, _SO_DETACH_FILTER)
    )
    try:
        socket.setsockopt(sockets.SOL_SOCKET, put, program.fd)
    except OSError as error:
        what = f"attaching program {program.name} ({program.type}) to a socket"
        raise refused(what, error.errno or 0) from None

    def detach() -> None:
        if socket.fileno() >= 0:
            socket.setsockopt(sockets.SOL_SOCKET, take, 0)

    return SocketHold(detach, f"{program.name} on socket {socket.fileno()}")


class Place:
    """A directory or file for the time of a call, or a descriptor that is somebody else's."""

    def __init__(self, given: Path | int, what: str) -> None:
        self.given = given
        self.what = what
        self.fd = -1

    def __enter__(self) -> int:
        if isinstance(self.given, int):
            return self.given
        try:
            self.fd = os.open(self.given, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(
                f"the {self.what} {os.fspath(self.given)} cannot be opened: {error.strerror}"
            ) from None
        return self.fd

    def __exit__(self, *exc_info: object) -> None:
        if self.fd >= 0:
            os.close(self.fd)


# By section name.


def _target(program: Program) -> str:
    """What stands behind the prefix of the section that the program was loaded from."""
    return program.attach_to


def attach(program: Program, attach_type: str = "", data: bytes = b"") -> Link:
    """Attach by what the program's section says, and ``data`` for what that leaves open.

    ``data`` is a network device for XDP, tcx and netkit (its number in four bytes, as eBPF for
    Windows has it, or its name), the directory of a cgroup, a tracepoint "category/name", a probe
    "file:function" or the kernel's function, a network namespace; none of these, where the section
    has it already.
    """
    name = attach_type or program.attach_type
    kind = program.type
    if kind == "xdp":
        return attach_xdp(program, _device(program, data))
    if kind == "sched_cls":
        if name.startswith("netkit"):
            return attach_netkit(program, _device(program, data), name)
        return attach_tcx(program, _device(program, data), name or "tcx_ingress")
    if kind in ("sk_lookup", "flow_dissector"):
        return attach_netns(program, os.fsdecode(data) or "/proc/self/ns/net")
    if kind == "netfilter":
        return attach_netfilter(program, data.decode() or "input")
    types = program.backend.platform.attach_types
    if name in types and types[name].link_type == "cgroup":
        if not data:
            raise InputError(f"program {program.name}: name the cgroup's directory")
        return attach_cgroup(program, os.fsdecode(data), name)
    return _attach_tracing_kind(program, name, os.fsdecode(data))


def attach_all(loaded: Collection) -> dict[str, Link]:
    """Attach every program whose section says where: the links by the programs' names.

    Programs that need to be told a device, a cgroup or a file are left to the functions above. All
    are attached, or none.
    """
    platform = loaded.backend.platform
    links: dict[str, Link] = {}
    try:
        for name, program in loaded.programs.items():
            match = platform.section(program.section)
            alone = "auto_attach" in match.flags and bool(match.attach_to)
            if program.type == "kprobe":
                alone = alone and match.rule is not None and match.rule.name in _PROBES
            if alone or program.type in _NEEDS_NOTHING:
                links[name] = attach(program)
    except BaseException:
        for link in links.values():
            link.close()
        raise
    return links


def _attach_tracing_kind(program: Program, name: str, target: str) -> Link:
    kind = program.type
    if kind == "tracing" and name == "trace_iter":
        return attach_iterator(program)
    if kind in ("raw_tracepoint", "raw_tracepoint_writable"):
        return attach_raw_tracepoint(program, target)
    if kind in ("tracing", "lsm", "ext"):
        return attach_tracing(program)
    if kind == "tracepoint":
        return attach_tracepoint(program, target)
    if kind == "perf_event":
        return attach_software_event(program, target or "cpu-clock", frequency=99)
    if kind == "kprobe":
        return _attach_probe(program, target or _target(program))
    raise NotSupported(
        f"attaching programs of type {kind} by their section",
        where="the linux back end: see anybpf.backends.linux.attach for a function for each hook",
    )


def _attach_probe(program: Program, target: str) -> Link:
    """By the section: "uprobe/file:function+offset" or "kprobe/function+offset"."""
    section = program.section
    form = section.partition("/")[0].removesuffix(".s")
    if form not in _PROBES:
        raise NotSupported(
            f"attaching program {program.name} by its section {section!r}",
            where="the linux back end: attach_uprobes and attach_kprobes take lists of functions",
        )
    returns = section.startswith(("uretprobe", "kretprobe"))
    binary, colon, function = target.rpartition(":")
    if not colon and section.startswith("u"):
        raise InputError(f"program {program.name}: say what is probed, as file:function")
    function, _, more = function.partition("+")
    try:
        offset = int(more, 0) if more else 0
    except ValueError:
        raise InputError(f"program {program.name}: {more} is no offset") from None
    if colon:
        start = symbol_offset(binary, function) + offset
        return attach_uprobe(program, binary, start, returns=returns)
    return attach_kprobe(program, function, offset, returns=returns)


def _device(program: Program, data: bytes) -> int | str:
    if not data:
        raise InputError(f"program {program.name}: name the network device")
    if len(data) == 4 and not data.isalnum():
        return int(unpack("=I", data)[0])
    return data.rstrip(b"\0").decode(errors="replace")
