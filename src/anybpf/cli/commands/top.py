"""`anybpf top`: which programs run, how often, and how much of a processor they take."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.backend import SHORT_LIVED, add_backend_option, is_lasting, opened
from anybpf.cli.options import add_watch_options
from anybpf.cli.output import document, note, plural, print_json_line, print_table

if TYPE_CHECKING:
    from anybpf.backends.model import Backend

EXAMPLES = """\
anybpf top --backend linux
anybpf top --sort runs --interval 5 --backend service
anybpf top --count 1 --json --backend linux
"""
HEADINGS = ("id", "type", "name", "runs/s", "ns/run", "cpu%", "runs")
# To the upper left corner, and nothing below it: ECMA-48 8.3.21 and 8.3.39.
CLEAR = "\033[H\033[J"


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "top",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "A table of all programs: runs in a second, time for each, share of a processor. "
            "Counting is switched on meanwhile. With --json, one object for each look, on a line "
            "of its own."
        ),
    )
    parser.add_argument("--all", action="store_true", help="programs that do not run, too")
    parser.add_argument(
        "--sort", choices=("cpu", "runs", "each", "id"), default="cpu", help="(default: cpu)"
    )
    add_watch_options(parser)
    add_backend_option(parser)


def run(args: argparse.Namespace) -> int:
    if not is_lasting(args):
        note(SHORT_LIVED)
        return DONE
    from anybpf.cli.watching import looks

    with opened(args) as backend, backend.enable_statistics():
        before, then = _counts(backend), time.monotonic()
        time.sleep(args.interval)
        for _ in looks(args):
            now, moment = _counts(backend), time.monotonic()
            rows = _rows(before, now, moment - then, args)
            if args.json:
                print_json_line(document(seconds=round(moment - then, 3), programs=rows))
            else:
                _show(rows, len(now))
            before, then = now, moment
    return DONE


def _counts(backend: Backend) -> dict[int, Any]:
    return {one.id: one for one in backend.infos("program")}


def _rows(
    before: dict[int, Any], now: dict[int, Any], seconds: float, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """What each program did in between; those that are new count from nothing."""
    rows = []
    for number, info in now.items():
        old = before.get(number)
        runs = info.run_cnt - (old.run_cnt if old else 0)
        busy = info.run_time_ns - (old.run_time_ns if old else 0)
        if runs <= 0 and not args.all:
            continue
        rows.append(
            {
                "id": number,
                "type": info.type_name,
                "name": info.name,
                "runs_per_second": round(runs / seconds, 1) if seconds else 0.0,
                "average_ns": busy // runs if runs else 0,
                "cpu_percent": round(busy / seconds / 1e7, 2) if seconds else 0.0,
                "run_cnt": info.run_cnt,
            }
        )
    key = {"cpu": "cpu_percent", "runs": "runs_per_second", "each": "average_ns", "id": "id"}
    name = key[args.sort]
    return sorted(rows, key=lambda row: (row[name] if name == "id" else -row[name], row["id"]))


def _show(rows: list[dict[str, Any]], loaded: int) -> None:
    if sys.stdout.isatty():
        sys.stdout.write(CLEAR)
    print(f"{plural(loaded, 'program')}, {len(rows)} shown")
    if rows:
        print_table(
            HEADINGS,
            [
                (
                    row["id"],
                    row["type"],
                    row["name"],
                    row["runs_per_second"],
                    row["average_ns"],
                    row["cpu_percent"],
                    row["run_cnt"],
                )
                for row in rows
            ],
            right="id runs/s ns/run cpu% runs",
        )
