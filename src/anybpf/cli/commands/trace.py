"""`anybpf trace`: another command, and what the runtime does meanwhile.

What events there are is the business of `anybpf.runtime.tracing`.
"""

from __future__ import annotations

import argparse
import sys
from json import dumps
from typing import TYPE_CHECKING, TextIO

from anybpf.cli.app import DONE, Parser, add_command, main
from anybpf.cli.output import document
from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.runtime.tracing import Event

EXAMPLES = """\
anybpf trace prog run droppacket.o --data packet.bin
anybpf trace --area maps,verifier --level info prog load droppacket.o
anybpf trace --area entry-exit --output events.log prog run droppacket.o
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "trace",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Run another command and tell what the runtime does for it, as it does it: on "
            "standard error, or in a file. Its exit code is that command's. With --json, an object "
            "for each event, on a line of its own.\n\nAreas: base, verifier, core, programs, maps, "
            "links, pins and entry-exit; all but the last, if none is named. Levels: error, info "
            "(what is made and goes), verbose (entries of maps, runs)."
        ),
    )
    parser.add_argument(
        "--area", metavar="A[,A]", action="append", default=[], help="only events of these areas"
    )
    parser.add_argument(
        "--level",
        choices=("error", "info", "verbose"),
        default="verbose",
        help="(default: verbose)",
    )
    parser.add_argument("--output", metavar="FILE", help="where events go (default: stderr)")
    parser.add_argument("--list", action="store_true", help="say what areas there are")
    parser.add_argument(
        "words", metavar="COMMAND …", nargs=argparse.REMAINDER, help="the command, as by itself"
    )


def run(args: argparse.Namespace) -> int:
    from anybpf.runtime.tracing import AREAS, Tracer

    if args.list:
        print("\n".join(f"{name:<11} {text}" for name, text in AREAS.items()))
        return DONE
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise InputError("which command? Say it behind: anybpf trace prog run FILE.o")
    areas = [area for word in args.area for area in word.split(",") if area]
    if args.output is None:
        with Tracer(Sink(sys.stderr, args.json), areas, args.level):
            return main(words)
    with (
        open(args.output, "w", encoding="utf-8") as file,
        Tracer(Sink(file, args.json), areas, args.level),
    ):
        return main(words)


class Sink:
    """Writes events, each on a line; times count from the first."""

    def __init__(self, file: TextIO, json: bool) -> None:
        self._file = file
        self._json = json
        self._start: int | None = None

    def __call__(self, event: Event) -> None:
        if self._start is None:
            self._start = event.time
        since = (event.time - self._start) / 1e9
        if self._json:
            line = dumps(document(**{**event.as_dict(), "time": since}), ensure_ascii=False)
        else:
            place = f"{event.level:<7} {event.area:<10}"
            line = f"{since:10.6f} {place} {event.function}: {event.text}"
        self._file.write(line + "\n")
        self._file.flush()
