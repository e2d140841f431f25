"""`bpftool net`: programs attached to network devices."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any, Final

from anybpf.cli.bpftool import kernel, references
from anybpf.cli.bpftool.session import EINVAL, Failure, Session, Words, choose, strerror, usage

USAGE: Final = """\
Usage: anybpf bpftool net { show | list } [dev NAME]
       anybpf bpftool net attach ATTACH_TYPE PROG dev NAME [overwrite]
       anybpf bpftool net detach ATTACH_TYPE dev NAME
       ATTACH_TYPE := { xdp | xdpgeneric | xdpdrv | xdpoffload }
       Shown are XDP, tcx and flow dissector programs; for classifiers of tc, see tc(8).
"""

_ATTACH_TYPES: Final = ("xdp", "xdpgeneric", "xdpdrv", "xdpoffload")
# enum bpf_attach_type
_FLOW_DISSECTOR: Final = 17
_TCX: Final = (("tcx/ingress", 46), ("tcx/egress", 47))


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def _index(name: str, number: int) -> int:
    from socket import if_nametoindex

    try:
        return if_nametoindex(name)
    except OSError:
        raise Failure(f"invalid devname {name}", number) from None


def show(session: Session, words: Words) -> int:
    only = 0
    if len(words) == 2:
        if not words.take_if("dev"):
            raise Failure(f"what is '{words.peek()}'?")
        only = _index(words.take(), 1)
    elif len(words):
        raise Failure(f"what is '{words.peek()}'?")
    kernel.require(session, "network devices")
    from socket import if_nameindex

    from anybpf.cli.bpftool import netlink

    names = dict(if_nameindex())
    xdp = [one for one in netlink.xdp_programs() if not only or one.index == only]
    tcx = _tcx(session, {only: names.get(only, "")} if only else names)
    dissector = _dissector()
    if session.json:
        session.emit([{
            "xdp": [{"devname": names.get(one.index, ""), "ifindex": one.index, "mode": one.mode,
                     "id": one.program} for one in xdp],
            "tc": tcx,
            "flow_dissector": [{"id": one} for one in dissector],
        }])  # fmt: skip
        return 0
    out = "xdp:\n"
    for one in xdp:
        out += f"{names.get(one.index, '')}({one.index}) {one.mode} id {one.program}\n"
    out += "\ntc:\n"
    for each in tcx:
        out += "{devname}({ifindex}) {kind} {name} prog_id {prog_id} \n".format(**each)
    out += "\nflow_dissector:\n" + "".join(f"id {one}\n" for one in dissector) + "\n"
    session.print(out)
    return 0


def _tcx(session: Session, names: dict[int, str]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for index, device in names.items():
        for kind, number in _TCX:
            for one in kernel.query(index, number)[2]:
                with session.backend.program(one) as handle:
                    name = handle.name
                out.append({"devname": device, "ifindex": index, "kind": kind, "name": name,
                            "prog_id": one})  # fmt: skip
    return out


def _dissector() -> list[int]:
    fd = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        return kernel.query(fd, _FLOW_DISSECTOR)[2]
    finally:
        os.close(fd)


def _kind(words: Words) -> str:
    word = words.take()
    found = next((one for one in _ATTACH_TYPES if one.startswith(word)), "")
    if not found:
        raise Failure(f"invalid net attach/detach type: {word}", EINVAL)
    return found


def attach(session: Session, words: Words) -> int:
    words.need(5, EINVAL)
    kind = _kind(words)
    with ExitStack() as held:
        try:
            program: Any = references.program(session, words, held)
        except Failure as failure:
            failure.code = -EINVAL & 0xFF
            raise
        index = _device(words)
        overwrite = False
        if len(words):
            if not words.take_if("overwrite"):
                raise Failure(f"expected 'overwrite', got: '{words.peek()}'?", EINVAL)
            overwrite = True
        kernel.require(session, "network devices")
        _set(kind, index, program.fd, overwrite, "attach")
    session.nothing()
    return 0


def _device(words: Words) -> int:
    if not words.take_if("dev"):
        raise Failure(f"expected 'dev', got: '{words.peek()}'?", EINVAL)
    if not len(words):
        raise Failure("'dev' needs at least 1 arguments, 0 found", EINVAL)
    return _index(words.take(), EINVAL)


def detach(session: Session, words: Words) -> int:
    words.need(3, EINVAL)
    kind = _kind(words)
    index = _device(words)
    kernel.require(session, "network devices")
    _set(kind, index, -1, True, "detach")
    session.nothing()
    return 0


def _set(kind: str, index: int, fd: int, overwrite: bool, verb: str) -> None:
    from anybpf.cli.bpftool import netlink

    number = netlink.set_xdp(index, fd, kind.removeprefix("xdp"), overwrite)
    if number:
        raise Failure(f"interface {kind} {verb} failed: {strerror(number)}", number)


_TABLE: Final = (
    ("show", show),
    ("list", show),
    ("attach", attach),
    ("detach", detach),
    ("help", usage),
)
