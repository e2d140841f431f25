"""What is attached at a place of the kernel, and attaching there without a link.

Programs attached without a link stay until they are detached, or their place goes: nobody holds
them. Prefer links (``attach``) where the kernel has them.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Final

from anybpf.backends.linux import syscall
from anybpf.backends.linux.attach import Path, Place, interface
from anybpf.backends.linux.link import refused
from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.backends.linux.program import Program
    from anybpf.platforms import Platform
    from anybpf.platforms.model import AttachType

# BPF_F_QUERY_EFFECTIVE and BPF_F_ALLOW_* (linux/bpf.h).
_EFFECTIVE: Final = 1 << 0
FLAGS: Final = {"": 0, "override": 1 << 0, "multi": 1 << 1}
_ROOM: Final = 64
_DEVICES: Final = ("tcx", "netkit")
_TRIES: Final = 8


@dataclass(frozen=True, slots=True)
class Attached:
    """The programs at one place, in the order in which they run.

    ``link_ids`` has 0 for programs without a link, and is empty where the kernel does not tell.
    ``revision`` counts changes of places that have a row of programs.
    """

    attach_type: str
    program_ids: tuple[int, ...]
    link_ids: tuple[int, ...] = ()
    flags: int = 0
    revision: int = 0


def attached(
    platform: Platform, attach_type: str, place: Path | int | str, *, effective: bool = False
) -> Attached:
    """What is attached to a network device, cgroup or network namespace as that attach type.

    ``effective`` adds what a cgroup has from those above it.
    """
    kind = platform.attach_type(attach_type)
    if kind.link_type in _DEVICES:
        if isinstance(place, int | str):
            return _query(kind, interface(place), 0, attach_type)
        raise InputError(f"{attach_type} has programs at network devices, not at {place}")
    if kind.link_type not in ("cgroup", "netns"):
        raise InputError(f"the kernel does not tell what is attached as {attach_type}")
    with Place(place, "cgroup" if kind.link_type == "cgroup" else "network namespace") as fd:
        return _query(kind, fd, _EFFECTIVE if effective else 0, attach_type)


def _query(kind: AttachType, target: int, flags: int, name: str) -> Attached:
    room = _ROOM
    for _ in range(_TRIES):  # others may attach more in between
        ids, links = create_string_buffer(4 * room), create_string_buffer(4 * room)
        told = kind.link_type in _DEVICES
        block = bytearray(
            pack(
                "=IIIIQIIQQQQ", target, kind.number, flags, 0, addressof(ids), room, 0, 0,
                addressof(links) if told else 0, 0, 0,
            )
        )  # fmt: skip
        result = syscall.call(syscall.PROG_QUERY, block)
        count = unpack_from("=I", block, 24)[0]
        if result == -errno.ENOSPC:
            room = max(2 * room, count)
            continue
        if result < 0:
            raise refused(f"asking what is attached as {name}", -result, f"attach type {name}")
        return Attached(
            name,
            unpack_from(f"={count}I", ids.raw),
            unpack_from(f"={count}I", links.raw) if told else (),
            unpack_from("=I", block, 12)[0],
            unpack_from("=Q", block, 56)[0],
        )
    raise InputError(f"what is attached as {name} changes faster than it can be read")


def attach_directly(
    program: Program, attach_type: str, place: Path | int, mode: str = "multi"
) -> Callable[[], None]:
    """Attach to a cgroup without a link; what this returns detaches it.

    ``mode`` says what cgroups below may do: "" nothing, "override" replace it, "multi" add theirs.
    """
    if mode not in FLAGS:
        raise InputError(f"modes are {', '.join(filter(None, FLAGS))} or none, not {mode!r}")
    kind = program.backend.platform.attach_type(attach_type)
    what = f"attaching program {program.name} ({program.type}) to {attach_type} of {place}"
    if kind.link_type != "cgroup":
        raise InputError(f"{what}: only cgroups are attached to without a link here")
    held = program.hold()
    with Place(place, "cgroup") as fd:
        result = syscall.call(
            syscall.PROG_ATTACH, pack("=IIIII", fd, held.fd, kind.number, FLAGS[mode], 0)
        )
    if result < 0:
        raise refused(what, -result, f"attach type {attach_type}")
    return lambda: detach_directly(program, attach_type, place)


def detach_directly(program: Program, attach_type: str, place: Path | int) -> None:
    """Take a program away from a cgroup to which it was attached without a link."""
    kind = program.backend.platform.attach_type(attach_type)
    held = program.hold()
    with Place(place, "cgroup") as fd:
        result = syscall.call(syscall.PROG_DETACH, pack("=IIII", fd, held.fd, kind.number, 0))
    if result < 0:
        what = f"detaching program {program.name} from {attach_type} of {place}"
        raise refused(what, -result, f"attach type {attach_type}")
