"""`bpftool struct_ops`: refused clearly, but for lists of what there is."""

from __future__ import annotations

from typing import Final

from anybpf.cli.bpftool.session import Failure, Session, Words, choose, usage
from anybpf.errors import NotSupported

USAGE: Final = """\
Usage: anybpf bpftool struct_ops { show | list } [STRUCT_OPS_MAP]
"""


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def show(session: Session, words: Words) -> int:
    """The maps of that type; the state and the names of what they implement are not told."""
    if len(words):
        raise _refused("looking into one map of operations")
    infos = [one for one in session.backend.infos("map") if one.type_name == "struct_ops"]
    if session.json:
        session.emit([{"id": one.id, "name": one.name} for one in infos])
    else:
        for one in infos:
            session.print(f"{one.id}: {one.name}\n")
    return 0


def _refused(what: str) -> NotSupported:
    return NotSupported(
        what, where="this command; 'map dump' shows the map's bytes, 'link show' what is registered"
    )


def register(session: Session, words: Words) -> int:
    if not len(words):
        raise Failure("'register' needs at least 1 arguments, 0 found")
    raise _refused("registering operations of the kernel")


def unregister(session: Session, words: Words) -> int:
    raise _refused("unregistering operations of the kernel")


def dump(session: Session, words: Words) -> int:
    raise _refused("a typed listing of operations")


_TABLE: Final = (
    ("show", show),
    ("list", show),
    ("register", register),
    ("unregister", unregister),
    ("dump", dump),
    ("help", usage),
)
