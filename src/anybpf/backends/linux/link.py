"""Links of the kernel: a program held at its place until the last descriptor and pin of it go.

What makes them is ``attach``; here is what can be done with one: ask, replace the program, detach,
read an iterator.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass, field
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from anybpf.backends.linux import syscall
from anybpf.backends.linux.handle import Handle
from anybpf.backends.linux.info import LINK_INFO, raw_info
from anybpf.errors import AnyBPFError, ClosedError, InputError, NotFound, NotSupported
from anybpf.platforms import Platform
from anybpf.runtime.infos import LinkInfo
from anybpf.runtime.link import ATTACHED, DETACHED

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.backends.linux.program import Program

# Flag of LINK_UPDATE: the program to be replaced is named, too (linux/bpf.h).
_REPLACE: Final = 4
_TEXT_ROOM: Final = 4096
# enum bpf_perf_event_type
_PERF_KINDS: Final = (
    "unspec", "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint", "event",
)  # fmt: skip
# enum nf_inet_hooks; enum nfproto
_HOOKS: Final = ("prerouting", "input", "forward", "output", "postrouting")
_FAMILIES: Final = {2: "ipv4", 10: "ipv6"}

# Links with one place only, of which the kernel therefore does not tell the attach type.
_ONE_PLACE: Final = {
    "xdp": "xdp",
    "netfilter": "netfilter",
    "perf_event": "perf_event",
    "iter": "trace_iter",
    "struct_ops": "struct_ops",
}


@dataclass(frozen=True, slots=True)
class LinuxLinkInfo(LinkInfo):
    """The same, and what the kernel says of the place, under the names of ``bpf_link_info``."""

    details: dict[str, Any] = field(default_factory=dict)


class Link(Handle):
    """A hold on a link. When the last handle and pin of it go, the program is detached."""

    object_kind = "link"

    def __init__(self, backend: LinuxBackend, fd: int, attach_type: str = "") -> None:
        super().__init__(backend, fd)
        try:
            number, ident, _ = _head(fd)
        except BaseException:
            self.close()
            raise
        self._id = ident
        self._type: int = number
        self._attach_type: str = attach_type
        # Links have no name of their own.
        self._name = self.type

    @property
    def type(self) -> str:
        """The link's type, such as ``xdp``."""
        return _type_name(self.backend.platform, self._type)

    @property
    def state(self) -> str:
        """``attached``, or ``detached`` if the program or its place was taken away."""
        return self.info().state

    @property
    def attach_type(self) -> str:
        return self._attach_type or self.info().attach_type_name

    def info(self) -> LinuxLinkInfo:
        held = self.hold()
        return link_info(held.fd, self.backend.platform, len(self._pins), self._attach_type)

    def update(self, program: Program, old: Program | None = None) -> None:
        """Put another program in the place of the link's, without a moment in which none runs.

        With ``old`` only if that one is still there; else :class:`InputError`.
        """
        # Held, so that no other thread can close them in the middle of the call.
        held = (self.hold(), program.hold(), None if old is None else old.hold())
        flags, replaced = (0, 0) if held[2] is None else (_REPLACE, held[2].fd)
        result = syscall.call(
            syscall.LINK_UPDATE, pack("=IIII", held[0].fd, held[1].fd, flags, replaced)
        )
        if result >= 0:
            return
        what = f"replacing the program of {self.describe()}"
        if result == -errno.EPERM and old is not None:
            raise InputError(f"{what}: another program is there than program {old.name}")
        if result == -errno.EINVAL:
            raise InputError(
                f"{what} by program {program.name}: it is of another type or for another place, "
                "or links of this type keep their program"
            )
        raise refused(what, -result, f"the link type {self.type}")

    def detach(self) -> None:
        """Take the program away from its place. The link stays, and says so.

        Links whose type cannot do that (tracing, perf events) are detached by closing them.
        """
        held = self.hold()
        result = syscall.call(syscall.LINK_DETACH, pack("=I", held.fd))
        if result < 0:
            raise refused(
                f"detaching {self.describe()} (close all handles and pins of it instead)",
                -result,
                f"the link type {self.type}",
            )

    def open_iterator(self) -> BinaryIO:
        """What an iterator program writes, as a file to read from: one run of it over everything.

        Read it to its end, or close it.
        """
        held = self.hold()
        result = syscall.call(syscall.ITER_CREATE, pack("=II", held.fd, 0))
        if result < 0:
            if result == -errno.EINVAL:
                raise InputError(f"{self.describe()} is a link of type {self.type}, not of iter")
            raise refused(f"opening the iterator of {self.describe()}", -result)
        return open(result, "rb", buffering=0)

    def read(self) -> bytes:
        """All that an iterator program writes in one run."""
        with self.open_iterator() as stream:
            parts: list[bytes] = []
            while True:
                try:
                    part = stream.read(65536)
                except OSError as error:
                    raise AnyBPFError(
                        f"the iterator of {self.describe()} was stopped: "
                        f"{syscall.text(error.errno or 0)}"
                    ) from None
                if not part:
                    return b"".join(parts)
                parts.append(part)


class SocketHold:
    """A program on a socket, which is no link: it goes with the socket, or by :meth:`detach`."""

    def __init__(self, detach: Callable[[], None], what: str) -> None:
        self._detach: Callable[[], None] | None = detach
        self._what = what

    @property
    def state(self) -> str:
        return DETACHED if self._detach is None else ATTACHED

    def detach(self) -> None:
        """Take the program away. The second time it does nothing."""
        work, self._detach = self._detach, None
        if work is not None:
            work()

    def __repr__(self) -> str:
        return f"<SocketHold {self._what}, {self.state}>"


def _head(fd: int) -> tuple[int, int, int]:
    data = raw_info(fd, create_string_buffer(LINK_INFO), "a link")
    found: tuple[int, int, int] = unpack_from("=III", data, 0)
    return found


def _type_name(platform: Platform, number: int) -> str:
    types = platform.link_types
    return types.name(number) if number in types else f"type_{number}"


def link_info(fd: int, platform: Platform, pins: int = 0, attach_type: str = "") -> LinuxLinkInfo:
    """All about one link. ``attach_type`` is for kinds of which the kernel does not tell it."""
    block = create_string_buffer(LINK_INFO)
    number, ident, program = unpack_from("=III", raw_info(fd, block, "a link"), 0)
    kind = _type_name(platform, number)
    reader = _DETAILS.get(kind)
    details = reader(fd) if reader is not None else {}
    attach = _attach_number(platform, kind, details, attach_type)
    there = attach in platform.attach_types if attach is not None else False
    place = details.get("ifindex", details.get("cgroup_id", details.get("netns_ino")))
    return LinuxLinkInfo(
        id=ident,
        type=number,
        type_name=kind,
        prog_id=program,
        attach_type=attach or 0,
        attach_type_name=platform.attach_types.name(attach) if there and attach is not None else "",
        attach_data=_data(details),
        state=DETACHED if place == 0 else ATTACHED,
        attach_type_uuid="",
        program_type_uuid="",
        pinned_path_count=pins,
        details=details,
    )


def _attach_number(
    platform: Platform, kind: str, details: dict[str, Any], attach_type: str
) -> int | None:
    said: int | None = details.get("attach_type")
    if said is not None:
        return said
    name = attach_type or _ONE_PLACE.get(kind, "")
    return platform.attach_types[name].number if name in platform.attach_types else None


def _data(details: dict[str, Any]) -> bytes:
    """What one would attach with again, as far as that is a number."""
    if "ifindex" in details:
        return pack("=I", details["ifindex"])
    if "cgroup_id" in details:
        return pack("=Q", details["cgroup_id"])
    if "netns_ino" in details:
        return pack("=I", details["netns_ino"])
    return b""


# What follows the head of struct bpf_link_info, by type (linux/bpf.h). Offsets from its start.


def _raw(fd: int) -> bytes:
    return raw_info(fd, create_string_buffer(LINK_INFO), "a link")


def _with_text(fd: int, at: int, ask: str = "=QI") -> tuple[bytes, str]:
    """The structure, and the text for which room is offered at this offset."""
    room = create_string_buffer(_TEXT_ROOM)
    block = create_string_buffer(LINK_INFO)
    asked = pack(ask, addressof(room), len(room))
    block.raw = bytes(at) + asked
    data = raw_info(fd, block, "a link")
    return data, room.value.decode(errors="replace")


def _raw_tracepoint(fd: int) -> dict[str, Any]:
    return {"tp_name": _with_text(fd, 16)[1]}


def _tracing(fd: int) -> dict[str, Any]:
    attach, target, btf_id = unpack_from("=III", _raw(fd), 16)
    return {"attach_type": attach, "target_obj_id": target, "target_btf_id": btf_id}


def _cgroup(fd: int) -> dict[str, Any]:
    ident, attach = unpack_from("=QI", _raw(fd), 16)
    return {"cgroup_id": ident, "attach_type": attach}


def _iter(fd: int) -> dict[str, Any]:
    data, name = _with_text(fd, 16)
    found: dict[str, Any] = {"target_name": name}
    if name in ("bpf_map_elem", "bpf_sk_storage_map", "sockmap"):
        found["map_id"] = unpack_from("=I", data, 28)[0]
    elif name == "cgroup":
        found["cgroup_id"], found["order"] = unpack_from("=QI", data, 32)
    elif name in ("task", "task_file", "task_vma"):
        found["tid"], found["pid"] = unpack_from("=II", data, 32)
    return found


def _netns(fd: int) -> dict[str, Any]:
    inode, attach = unpack_from("=II", _raw(fd), 16)
    return {"netns_ino": inode, "attach_type": attach}


def _xdp(fd: int) -> dict[str, Any]:
    return {"ifindex": unpack_from("=I", _raw(fd), 16)[0]}


def _interface(fd: int) -> dict[str, Any]:
    index, attach = unpack_from("=II", _raw(fd), 16)
    return {"ifindex": index, "attach_type": attach}


def _map(fd: int) -> dict[str, Any]:
    return {"map_id": unpack_from("=I", _raw(fd), 16)[0]}


def _sockmap(fd: int) -> dict[str, Any]:
    number, attach = unpack_from("=II", _raw(fd), 16)
    return {"map_id": number, "attach_type": attach}


def _netfilter(fd: int) -> dict[str, Any]:
    family, hook, priority, flags = unpack_from("=IIiI", _raw(fd), 16)
    return {
        "pf": family,
        "pf_name": _FAMILIES.get(family, str(family)),
        "hooknum": hook,
        "hook_name": _HOOKS[hook] if hook < len(_HOOKS) else str(hook),
        "prio": priority,
        "flags": flags,
    }


def _perf_event(fd: int) -> dict[str, Any]:
    # The kernel says of which kind it is, and fills in a name where it finds room for one.
    number = unpack_from("=I", _raw(fd), 16)[0]
    kind = _PERF_KINDS[number] if number < len(_PERF_KINDS) else str(number)
    found: dict[str, Any] = {"event_type": kind}
    if kind == "event":
        config, event, cookie = unpack_from("=QI4xQ", _raw(fd), 24)
        return found | {"config": config, "type": event, "cookie": cookie}
    data, name = _with_text(fd, 24)
    if kind == "tracepoint":
        return found | {"tp_name": name, "cookie": unpack_from("=Q", data, 40)[0]}
    if kind in ("uprobe", "uretprobe"):
        offset, cookie = unpack_from("=IQ", data, 36)
        return found | {"file_name": name, "offset": offset, "cookie": cookie}
    if kind in ("kprobe", "kretprobe"):
        offset, address, missed, cookie = unpack_from("=IQQQ", data, 36)
        return found | {
            "func_name": name, "offset": offset, "addr": address, "missed": missed,
            "cookie": cookie,
        }  # fmt: skip
    return found


def _uprobe_multi(fd: int) -> dict[str, Any]:
    return {"count": unpack_from("=I", _raw(fd), 52)[0]}


def _kprobe_multi(fd: int) -> dict[str, Any]:
    return {"count": unpack_from("=I", _raw(fd), 24)[0]}


_DETAILS: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "raw_tracepoint": _raw_tracepoint,
    "tracing": _tracing,
    "cgroup": _cgroup,
    "iter": _iter,
    "netns": _netns,
    "xdp": _xdp,
    "tcx": _interface,
    "netkit": _interface,
    "struct_ops": _map,
    "sockmap": _sockmap,
    "netfilter": _netfilter,
    "perf_event": _perf_event,
    "uprobe_multi": _uprobe_multi,
    "kprobe_multi": _kprobe_multi,
}


def refused(what: str, number: int, feature: str = "", since: str = "") -> AnyBPFError:
    """The error for what the kernel says to an attachment."""
    if number == errno.EPERM:
        return syscall.not_permitted(what)
    if number in (errno.EOPNOTSUPP, syscall.ENOTSUPP, errno.ENOSYS):
        return NotSupported(what, where=f"{syscall.release()} for {feature or 'this'}", since=since)
    if number in (errno.ENODEV, errno.ENOENT, errno.ESRCH):
        return NotFound(f"{what}: {syscall.text(number)}")
    if number == errno.EBADF:
        return ClosedError(f"{what}: a descriptor is not open, or is of another kind")
    if number == errno.EBUSY:
        return InputError(f"{what}: something is attached there already: detach it first")
    return InputError(f"{what}: {syscall.text(number)}")
