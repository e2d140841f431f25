"""`bpftool map event_pipe`: what programs put into a perf event array, as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from anybpf.cli.bpftool.data import rows
from anybpf.cli.bpftool.session import Session
from anybpf.errors import NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import MapHandle


def pipe(session: Session, one: MapHandle) -> None:
    """Print records until interrupted, or until the reader has no more."""
    reader: Any = getattr(one, "reader", None)
    if reader is None:
        raise NotSupported(
            "reading perf event arrays", where=f"the back end {session.backend.name}"
        )
    for index, record in enumerate(reader()):
        data = bytes(getattr(record, "data", record))
        cpu = getattr(record, "cpu", 0)
        if session.json:
            numbers = [f"{byte:#04x}" for byte in data]
            session.print(session.render({"cpu": cpu, "index": index, "data": numbers}) + "\n")
        else:
            session.print(f"== CPU: {cpu} size {len(data)}\n{rows(data)}\n")
        sys.stdout.flush()
