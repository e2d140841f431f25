"""`bpftool cgroup`: programs attached to control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

from anybpf.cli.bpftool import kernel, references
from anybpf.cli.bpftool.session import Failure, Session, UsageWanted, Words, choose, strerror, usage
from anybpf.errors import AnyBPFError

USAGE: Final = """\
Usage: anybpf bpftool cgroup { show | list } CGROUP [effective]
       anybpf bpftool cgroup tree [CGROUP_ROOT] [effective]
       anybpf bpftool cgroup attach CGROUP ATTACH_TYPE PROG [multi | override]
       anybpf bpftool cgroup detach CGROUP ATTACH_TYPE PROG
       ATTACH_TYPE := cgroup_inet_egress and the like
"""

# What bpftool called some attach types before, and still takes; longer names are the kernel's.
_OLD_NAMES: Final = {
    "ingress": "cgroup_inet_ingress", "egress": "cgroup_inet_egress",
    "sock_create": "cgroup_inet_sock_create", "sock_ops": "cgroup_sock_ops",
    "device": "cgroup_device", "bind4": "cgroup_inet4_bind", "bind6": "cgroup_inet6_bind",
    "connect4": "cgroup_inet4_connect", "connect6": "cgroup_inet6_connect",
    "post_bind4": "cgroup_inet4_post_bind", "post_bind6": "cgroup_inet6_post_bind",
    "sendmsg4": "cgroup_udp4_sendmsg", "sendmsg6": "cgroup_udp6_sendmsg",
    "recvmsg4": "cgroup_udp4_recvmsg", "recvmsg6": "cgroup_udp6_recvmsg",
    "sysctl": "cgroup_sysctl", "getsockopt": "cgroup_getsockopt",
    "setsockopt": "cgroup_setsockopt", "sock_release": "cgroup_inet_sock_release",
    "getpeername4": "cgroup_inet4_getpeername", "getpeername6": "cgroup_inet6_getpeername",
    "getsockname4": "cgroup_inet4_getsockname", "getsockname6": "cgroup_inet6_getsockname",
}  # fmt: skip
_FLAG_WORDS: Final = {0: "", kernel.MULTI: "multi", kernel.OVERRIDE: "override"}
_NO_GROUP: Final = 9  # EBADF: what is asked of a folder that is no cgroup


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def _kinds(session: Session) -> dict[str, int]:
    return {
        one.name: one.number
        for one in session.backend.platform.attach_types
        if one.link_type == "cgroup" or one.name.startswith("cgroup_")
    }


class _Place:
    """A control group, open inside the block."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.fd = -1

    def __enter__(self) -> int:
        try:
            self.fd = os.open(self._path, os.O_RDONLY)
        except OSError:
            raise Failure(f"can't open cgroup {self._path}") from None
        return self.fd

    def __exit__(self, *exc_info: object) -> None:
        os.close(self.fd)


def _effective(words: Words) -> bool:
    if not len(words):
        return False
    if not words.take_if("effective"):
        raise Failure(f"expected no more arguments, 'effective', got: '{words.peek()}'?")
    return True


def _attached(
    session: Session, fd: int, path: str, effective: bool
) -> list[tuple[int, str, str, str]]:
    """Id, attach type, flags and name of every program there."""
    out = []
    answered = False
    number = 0
    for name, kind in _kinds(session).items():
        number, flags, ids, each = kernel.query(fd, kind, kernel.EFFECTIVE if effective else 0)
        answered = answered or not number
        for index, one in enumerate(ids):
            bits = flags or (each[index] if index < len(each) else 0)
            word = _FLAG_WORDS.get(bits, f"unknown({bits:x})")
            out.append((one, name, word, _name(session, one)))
    if not answered:
        raise Failure(f"can't query bpf programs attached to {path}: {strerror(number)}")
    return out


def _name(session: Session, number: int) -> str:
    try:
        with session.backend.program(number) as handle:
            return handle.name
    except (AnyBPFError, OSError):
        return ""


def _heading(effective: bool) -> str:
    flags = "" if effective else f"{'AttachFlags':<15} "
    return f"{'ID':<8} {'AttachType':<15} {flags}{'Name':<15}\n"


def _row(one: tuple[int, str, str, str], effective: bool, indent: str = "") -> str:
    number, kind, flags, name = one
    middle = "" if effective else f"{flags:<15} "
    return f"{indent}{number:<8} {kind:<15} {middle}{name:<15}{' ' * 16}\n"


def _record(one: tuple[int, str, str, str], effective: bool) -> dict[str, Any]:
    number, kind, flags, name = one
    return {
        "id": number, "attach_type": kind, **({} if effective else {"attach_flags": flags}),
        "name": name, "attach_btf_name": "", "attach_btf_obj_id": 0, "attach_btf_id": 0,
    }  # fmt: skip


def show(session: Session, words: Words) -> int:
    words.need(1)
    path = words.take()
    effective = _effective(words)
    kernel.require(session, "control groups")
    with _Place(path) as fd:
        found = _attached(session, fd, path, effective)
    if session.json:
        if found:
            session.emit([_record(one, effective) for one in found])
    elif found:
        session.print(_heading(effective) + "".join(_row(one, effective) for one in found))
    return 0


def _root() -> str:
    """Where the second version's hierarchy is mounted."""
    try:
        with open("/proc/mounts") as lines:
            mounts = [line.split() for line in lines]
    except OSError:
        return ""
    return next((mount[1] for mount in mounts if len(mount) > 2 and mount[2] == "cgroup2"), "")


def tree(session: Session, words: Words) -> int:
    root = "" if not len(words) or words.is_next("effective") else words.take()
    effective = _effective(words)
    kernel.require(session, "control groups")
    root = root or _root()
    if not root:
        raise Failure("cgroup v2 isn't mounted")
    if not session.json:
        session.print("CgroupPath\n" + _heading(effective))
    records = []
    for path in _folders(root):
        with _Place(path) as fd:
            found = _attached(session, fd, path, effective)
        if not found:
            continue
        if session.json:
            programs = [_record(one, effective) for one in found]
            records.append({"cgroup": path, "programs": programs})
        else:
            indent = "" if path == root else "    "
            session.print(f"{path}\n" + "".join(_row(one, effective, indent) for one in found))
    if session.json:
        session.emit(records)
    return 0


def _folders(root: str) -> Iterator[str]:
    for folder, inner, _ in os.walk(root):
        inner.sort()
        yield folder


def _change(session: Session, words: Words, attaching: bool) -> int:
    verb = "attach" if attaching else "detach"
    if len(words) < 4:
        raise Failure(f"too few parameters for cgroup {verb}")
    path = words.take()
    kinds = _kinds(session)
    word = words.take()
    kind = kinds.get(_OLD_NAMES.get(word, word))
    if kind is None:
        raise Failure("invalid attach type")
    with ExitStack() as held:
        program: Any = references.program(session, words, held)
        flags = 0
        while attaching and len(words):
            if words.take_if("multi"):
                flags |= kernel.MULTI
            elif words.take_if("override"):
                flags |= kernel.OVERRIDE
            else:
                raise Failure(f"unknown option: {words.peek()}")
        if len(words):
            raise UsageWanted
        kernel.require(session, "control groups")
        with _Place(path) as fd:
            if attaching:
                number = kernel.attach(fd, program.fd, kind, flags)
            else:
                number = kernel.detach(fd, program.fd, kind)
    if number:
        raise Failure(f"failed to {verb} program")
    session.nothing()
    return 0


def attach(session: Session, words: Words) -> int:
    return _change(session, words, True)


def detach(session: Session, words: Words) -> int:
    return _change(session, words, False)


_TABLE: Final = (
    ("show", show),
    ("list", show),
    ("tree", tree),
    ("attach", attach),
    ("detach", detach),
    ("help", usage),
)
