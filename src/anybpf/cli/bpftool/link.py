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
            record, text = _told(session, handle.info(), handle)
        if session.json:
            session.emit(record)
        else:
            session.print(text)
        return 0
    if len(words):
        raise Failure(f"what is '{words.peek()}'?")
    records = []
    for info in list(session.backend.infos("link")):
        with ExitStack() as held:
            try:
                handle = held.enter_context(session.backend.link(info.id))
            except (AnyBPFError, OSError):
                continue  # gone meanwhile
            record, text = _told(session, info, handle)
        if session.json:
            records.append(record)
        else:
            session.print(text)
    if session.json:
        session.emit(records)
    return 0


def _told(session: Session, info: Any, handle: Any) -> tuple[dict[str, Any], str]:
    """A link as JSON and as text."""
    record: dict[str, Any] = {"id": info.id, "type": info.type_name, "prog_id": info.prog_id}
    text = f"{info.id}: {info.type_name}  prog {info.prog_id}  "
    details = _details(session, info, handle)
    record.update(details.record)
    text += details.text
    pins = session.pins_of("link", info.id)
    if pins:
        record["pinned"] = pins
    return record, text + "".join(f"\n\tpinned {path}" for path in pins) + "\n"


class _Details:
    """What is told of one type of link only."""

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}
        self.text = ""


def _details(session: Session, info: Any, handle: Any) -> _Details:
    out = _Details()
    kernel: dict[str, Any] = {}
    if hasattr(handle, "fd"):
        from anybpf.cli.bpftool.kernel_links import details

        kernel = details(handle.fd)
    attach = _attach_word(session, info)
    if info.type_name == "raw_tracepoint" and "tp_name" in kernel:
        out.record = {"tp_name": kernel["tp_name"]}
        out.text = f"\n\ttp '{kernel['tp_name']}'  "
    elif info.type_name == "iter" and "target_name" in kernel:
        out.record = {"target_name": kernel["target_name"]}
        out.text = f"target_name {kernel['target_name']}  "
        if kernel["target_name"] in ("bpf_map_elem", "bpf_sk_storage_map") and "map_id" in kernel:
            out.record["map_id"] = kernel["map_id"]
            out.text += f"map_id {kernel['map_id']}  "
    elif info.type_name == "tracing":
        out.record = {"prog_type": _program_type(session, info), "attach_type": attach}
        out.text = f"\n\tprog_type {out.record['prog_type']}  attach_type {attach}  "
        if kernel.get("target_obj_id"):
            out.record["target_obj_id"] = kernel["target_obj_id"]
            out.record["target_btf_id"] = kernel["target_btf_id"]
            out.text += (
                f"\n\ttarget_obj_id {kernel['target_obj_id']}  "
                f"target_btf_id {kernel['target_btf_id']}  "
            )
    elif info.type_name == "cgroup" and "cgroup_id" in kernel:
        out.record = {"cgroup_id": kernel["cgroup_id"], "attach_type": attach}
        out.text = f"\n\tcgroup_id {kernel['cgroup_id']}  attach_type {attach}  "
    elif info.type_name == "netns" and "netns_ino" in kernel:
        out.record = {"netns_ino": kernel["netns_ino"], "attach_type": attach}
        out.text = f"\n\tnetns_ino {kernel['netns_ino']}  attach_type {attach}  "
    elif not kernel and attach:
        # Back ends other than the kernel attach by attach type and data.
        out.record = {"attach_type": attach}
        out.text = f"\n\tattach_type {attach}  "
        if info.attach_data:
            out.record["attach_data"] = info.attach_data.hex()
            out.text += f"attach_data {info.attach_data.hex()}  "
    return out


def _attach_word(session: Session, info: Any) -> str:
    return str(info.attach_type_name)


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
