"""Commands that go on: how often they look, when they end; and `anybpf map watch`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

from anybpf.cli.app import DONE
from anybpf.cli.backend import opened
from anybpf.cli.output import document, paint, print_json_line
from anybpf.cli.selection import find
from anybpf.cli.words import as_json, plain, shown


def looks(args: argparse.Namespace) -> Iterator[int]:
    """The numbers of the looks, from 0 on, each when its time has come."""
    start = time.monotonic()
    number = 0
    while args.count is None or number < args.count:
        left = start + number * args.interval - time.monotonic()
        if left > 0:
            time.sleep(left)
        yield number
        sys.stdout.flush()
        number += 1


def run_watch(args: argparse.Namespace) -> int:
    from anybpf.cli.entries import check_entries, entries_of

    with opened(args) as backend, find(backend, "map", args.map) as one:
        check_entries(one)
        before: dict[str, tuple[Any, Any]] = {}
        for number in looks(args):
            now = {shown(key): (plain(key), plain(value)) for key, value in entries_of(one)}
            for event in _changes(before, now, first=number == 0):
                _tell(args, *event)
            before = now
    return DONE


_STYLES = {"there": "dim", "new": "green", "changed": "yellow", "gone": "red"}


def _changes(
    before: dict[str, tuple[Any, Any]], now: dict[str, tuple[Any, Any]], *, first: bool
) -> Iterator[tuple[str, Any, Any, Any]]:
    """What happened, to which key, and the values before and after."""
    for name, (key, value) in now.items():
        if name not in before:
            yield "there" if first else "new", key, None, value
        elif before[name][1] != value:
            yield "changed", key, before[name][1], value
    for name, (key, value) in before.items():
        if name not in now:
            yield "gone", key, value, None


def _tell(args: argparse.Namespace, what: str, key: Any, old: Any, new: Any) -> None:
    if args.json:
        print_json_line(
            document(event=what, key=as_json(key), before=as_json(old), value=as_json(new))
        )
        return
    change = {
        "there": f"{shown(key)}: {shown(new)}",
        "new": f"{shown(key)}: {shown(new)}",
        "changed": f"{shown(key)}: {shown(old)} -> {shown(new)}",
        "gone": f"{shown(key)}: {shown(old)}",
    }[what]
    print(paint(f"{what:<8}{change}", _STYLES[what]))
