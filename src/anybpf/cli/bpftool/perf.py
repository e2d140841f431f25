"""`bpftool perf`: programs that processes run on tracepoints and probes by perf events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

from anybpf.cli.bpftool import kernel
from anybpf.cli.bpftool.session import Failure, Session, Words, choose, usage

USAGE: Final = """\
Usage: anybpf bpftool perf { show | list }
"""

# enum bpf_task_fd_type
_KINDS: Final = ("raw_tracepoint", "tracepoint", "kprobe", "kretprobe", "uprobe", "uretprobe")
_ANONYMOUS: Final = ("anon_inode:[perf_event]", "anon_inode:bpf-raw-tracepoint")


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def show(session: Session, words: Words) -> int:
    if len(words):
        raise Failure(f"what is '{words.peek()}'?")
    kernel.require(session, "perf events")
    records = []
    for pid, fd in _descriptors():
        found = kernel.task_event(pid, fd)
        if found is None or found["kind"] >= len(_KINDS):
            continue
        place = _place(_KINDS[found["kind"]], found)
        if session.json:
            records.append({"pid": pid, "fd": fd, "prog_id": found["program"],
                            "fd_type": _KINDS[found["kind"]], **place})  # fmt: skip
        else:
            words_of = "  ".join(f"{name} {value}" for name, value in place.items())
            session.print(
                f"pid {pid}  fd {fd}: prog_id {found['program']}  "
                f"{_KINDS[found['kind']]}  {words_of}\n"
            )
    if session.json:
        session.emit(records)
    return 0


def _place(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    if kind in ("raw_tracepoint", "tracepoint"):
        return {"tracepoint": found["name"]}
    if kind in ("uprobe", "uretprobe"):
        return {"filename": found["name"], "offset": found["offset"]}
    if found["name"]:
        return {"func": found["name"], "offset": found["offset"]}
    return {"addr": found["address"]}


def _descriptors() -> Iterator[tuple[int, int]]:
    """Processes and their descriptors that may be such events."""
    for process in sorted((one for one in os.listdir("/proc") if one.isdigit()), key=int):
        folder = f"/proc/{process}/fd"
        try:
            numbers = sorted(os.listdir(folder), key=int)
        except OSError:
            continue  # gone, or another user's
        for number in numbers:
            try:
                target = os.readlink(f"{folder}/{number}")
            except OSError:
                continue
            if target.startswith(_ANONYMOUS):
                yield int(process), int(number)


_TABLE: Final = (("show", show), ("list", show), ("help", usage))
