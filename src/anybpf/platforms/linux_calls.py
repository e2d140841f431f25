"""Linux: kernel functions and callbacks, made of the rows in ``linux_kfuncs``.

Apart from ``linux``, since most commands never ask for them.
"""

from __future__ import annotations

from anybpf.platforms.kinds import BTF_POINTER, CONTEXT, RCU, TRUSTED
from anybpf.platforms.linux_kfuncs import (
    ATTACH_TYPES_OF,
    CALLBACKS,
    CALLERS,
    KFUNCS,
    SUFFIXES,
)
from anybpf.platforms.model import Callback, Kfunc
from anybpf.platforms.platform import CallTables
from anybpf.platforms.prototype import parse
from anybpf.platforms.table import Row, Table


def make() -> CallTables:
    """The tables; objects are made of their rows when they are asked for."""
    return CallTables(
        "linux",
        Table("kernel function of linux", _kfunc_rows(), _kfunc),
        Table("callback of linux", _callback_rows(), _callback),
        SUFFIXES,
    )


def _kfunc_rows() -> list[Row]:
    """The rows with their positions in front, as a table wants them."""
    return [(index, *row) for index, row in enumerate(KFUNCS, 1)]


def _kfunc(row: Row) -> Kfunc:
    _, name, prototype, flags, callers, since = row
    args, returns = parse(prototype)
    words = flags.split()
    trust = TRUSTED if "trusted_args" in words else RCU if "rcu" in words else ""
    for arg in args:
        if arg.kind in (BTF_POINTER, CONTEXT):
            arg.trust = TRUSTED if arg.releases else trust
    return Kfunc(
        name,
        args,
        returns,
        flags=words,
        since=since,
        program_types=CALLERS[callers].split(),
        attach_types=ATTACH_TYPES_OF.get(name, "").split(),
    )


def _callback_rows() -> list[Row]:
    return [(index, *row) for index, row in enumerate(CALLBACKS, 1)]


def _callback(row: Row) -> Callback:
    _, name, parameters, low, high, manner = row
    args, _ = parse(f"{parameters} -> int")
    runs, *marks = manner.split()
    return Callback(
        name, args, low, high, runs, sleeps="sleeps" in marks, in_lock="in_lock" in marks
    )
