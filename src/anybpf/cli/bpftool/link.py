"""`bpftool link`: what is attached by links."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.map import pin_at
from anybpf.cli.bpftool.session import (
    EINVAL,
    Failure,
    Session,
    Words,
    choose,
    failed,
    usage,
)
from anybpf.errors import AnyBPFError

USAGE: Final = """\
Usage: anybpf bpftool link { show | list } [LINK]
       anybpf bpftool link pin LINK FILE
       anybpf bpftool link detach LINK
       LINK := { id N | pinned FILE }
"""


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def show(session: Session, words: Words) -> int:
    if len(words) == 2:
        if not words.is_next("id", "pinned"):
            raise Failure(f"expected 'id' or 'pinned', got: '{words.peek()}'?")
        with ExitStack() as held:
            handle = references.link(session, words, held)
            record, text = _told(session, handle.info())
        if session.json:
            session.emit(record)
        else:
            session.print(text)
        return 0
    if len(words):
        raise Failure(f"what is '{words.peek()}'?")
    records = []
    for info in session.backend.infos("link"):
        record, text = _told(session, info)
        if session.json:
            records.append(record)
        else:
            session.print(text)
    if session.json:
        session.emit(records)
    return 0


def _told(session: Session, info: Any) -> tuple[dict[str, Any], str]:
    """A link as JSON and as text."""
    record: dict[str, Any] = {"id": info.id, "type": info.type_name, "prog_id": info.prog_id}
    text = f"{info.id}: {info.type_name}  prog {info.prog_id}  "
    details = _details(session, info)
    record.update(details.record)
    text += details.text
    pins = session.pins_of("link", info.id)
    if pins:
        record["pinned"] = pins
    return record, text + "".join(f"\n\tpinned {path}" for path in pins) + "\n"


class _Details:
    """What is told of one type of link only."""

    def __init__(self, record: dict[str, Any], text: str) -> None:
        self.record = record
        self.text = text


def _details(session: Session, info: Any) -> _Details:
    told: dict[str, Any] = getattr(info, "details", {})
    attach = str(info.attach_type_name)
    kind = info.type_name
    if kind == "raw_tracepoint" and "tp_name" in told:
        return _Details({"tp_name": told["tp_name"]}, f"\n\ttp '{told['tp_name']}'  ")
    if kind == "iter" and "target_name" in told:
        return _iterator(told)
    if kind == "tracing":
        return _tracing(session, info, told, attach)
    if kind in ("xdp", "tcx", "netkit") and "ifindex" in told:
        return _device(told["ifindex"], "" if kind == "xdp" else attach)
    if kind == "netfilter" and "hook_name" in told:
        return _Details(
            {"pf": told["pf"], "hook": told["hooknum"], "prio": told["prio"],
             "flags": told["flags"]},
            f"\n\t{told['pf_name'].replace('ipv', 'ip')} {told['hook_name']} prio {told['prio']}",
        )  # fmt: skip
    for known, word in (("cgroup", "cgroup_id"), ("netns", "netns_ino")):
        if kind == known and word in told:
            record = {word: told[word], "attach_type": attach}
            return _Details(record, f"\n\t{word} {told[word]}  attach_type {attach}  ")
    if not told and attach:
        # Back ends other than the kernel attach by attach type and data.
        data = info.attach_data.hex()
        record = {"attach_type": attach, **({"attach_data": data} if data else {})}
        return _Details(record, "".join(f"{name} {one}  " for name, one in record.items()))
    return _Details({}, "")


def _iterator(told: dict[str, Any]) -> _Details:
    record: dict[str, Any] = {}
    for name in ("target_name", "map_id"):
        if name in told:
            record[name] = told[name]
    return _Details(record, "".join(f"{name} {one}  " for name, one in record.items()))


def _tracing(session: Session, info: Any, told: dict[str, Any], attach: str) -> _Details:
    record: dict[str, Any] = {"prog_type": _program_type(session, info), "attach_type": attach}
    text = f"\n\tprog_type {record['prog_type']}  attach_type {attach}  "
    if told.get("target_obj_id"):
        record["target_obj_id"] = told["target_obj_id"]
        record["target_btf_id"] = told["target_btf_id"]
        text += (
            f"\n\ttarget_obj_id {told['target_obj_id']}  target_btf_id {told['target_btf_id']}  "
        )
    return _Details(record, text)


def _device(index: int, attach: str) -> _Details:
    from socket import if_indextoname

    try:
        name = if_indextoname(index)
    except OSError:
        name = "(unknown)" if index else "(detached)"
    record: dict[str, Any] = {"devname": name, "ifindex": index}
    text = f"\n\tifindex {name}({index})  "
    if attach:
        record["attach_type"] = attach
        text += f"attach_type {attach}  "
    return _Details(record, text)


def _program_type(session: Session, info: Any) -> str:
    try:
        with session.backend.program(info.prog_id) as handle:
            return handle.type
    except (AnyBPFError, OSError):
        return "unspec"


def pin(session: Session, words: Words) -> int:
    words.need(3, EINVAL)
    with ExitStack() as held:
        pin_at(session, references.link(session, words, held), words.take())
    return 0


def detach(session: Session, words: Words) -> int:
    if len(words) != 2:
        raise Failure("link specifier is invalid or missing\n", 255)
    with ExitStack() as held:
        try:
            handle = references.link(session, words, held)
        except Failure as failure:
            failure.code = 1
            raise
        try:
            handle.detach()
        except (AnyBPFError, OSError) as error:
            raise failed("failed link detach", error, 255) from None
    session.nothing()
    return 0


_TABLE: Final = (
    ("show", show),
    ("list", show),
    ("help", usage),
    ("pin", pin),
    ("detach", detach),
)
