"""``show maps``, ``show links``, ``show pins``, ``show processes``: tables of what is loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from anybpf.cli.netsh.grammar import Values
from anybpf.cli.netsh.session import Session, own_process

DONE: Final = 0

MAPS: Final = (
    "",
    "                              Key  Value      Max  Inner",
    "     ID            Map Type  Size   Size  Entries     ID  Pins  Name",
    "=======  ==================  ====  =====  =======  =====  ====  ========",
)
LINKS: Final = (
    "",
    "   Link  Program  Attach",
    "     ID       ID  Type",
    "=======  =======  =============",
)
PINS: Final = (
    "",
    "     ID     Type  Path",
    "=======  =======  ==============",
)
PROCESSES: Final = (
    "",
    "  PID  Name",
    "=====  ==============",
)
NOT_ELEVATED: Final = "This command requires running as Administrator"


def maps(session: Session, values: Values) -> int:
    from anybpf.cli.live import map_as_json

    session.print(*MAPS)
    for info in session.backend.infos("map"):
        session.print(map_row(info))
        session.tell("maps", partial(_as_value, session, "map", map_as_json, info))
    return DONE


def _as_value(session: Session, kind: str, make: Callable[..., Any], info: Any) -> Any:
    return make(info, session.pins_of(kind, info.id))


def map_row(info: Any) -> str:
    return (
        f"{info.id:>7}  {info.type_name:>18}{info.key_size:>6}{info.value_size:>7}"
        f"{info.max_entries:>9}{info.inner_map_id:>7}{info.pinned_path_count:>6}  {info.name}"
    )


def links(session: Session, values: Values) -> int:
    from anybpf.cli.live import link_as_json

    session.print(*LINKS)
    for info in session.backend.infos("link"):
        session.print(f"{info.id:>7}{info.prog_id:>9}  {info.attach_type_name}")
        session.tell("links", partial(_as_value, session, "link", link_as_json, info))
    return DONE


def pins(session: Session, values: Values) -> int:
    """Programs only, as netsh has it."""
    session.print(*PINS)
    for path, kind, number in session.backend.pins(kind="program"):
        session.print(f"{number:>7}  Program  {path}")
        session.tell("pins", partial(dict, id=number, kind=kind, path=path))
    return DONE


def processes(session: Session, values: Values) -> int:
    """Who holds objects: this process, if it does. Others are the service's to know."""
    try:
        session.backend.ids("program")
    except PermissionError as error:
        return session.fail(NOT_ELEVATED, error)
    session.print(*PROCESSES)
    if session.collections:
        number, name = own_process()
        session.print(f"{number:>5}  {name}")
        session.tell("processes", partial(dict, pid=number, name=name))
    return DONE
