"""Options that several commands on loaded objects share, and those of the longer ones.

Kept by themselves so that a command's help, and the commands beside it, need not load what carries
it out.
"""

from __future__ import annotations

import argparse

ENGINES = ("auto", "interpret", "jit")
FORMS = ("bytecode", "xlated", "native")
STYLES = ("anybpf", "bpftool", "netsh")
_RUNS = 100_000

NOTATION = """\
Keys and values are one word each: an integer (80, 0x50, -1), an enumerator's name, text, an address
(10.0.0.1, fe80::1, 00:11:22:33:44:55), bytes (hex:0a000001, '0a 00 00 01', text:abc), fields of a
structure (source=10.0.0.1,ports[0]=80,inner.flag=1; what is not named is zero), or JSON
({"source": 1}).
"""


def add_load_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        metavar="VARIABLE=VALUE",
        action="append",
        default=[],
        help="what a global variable or constant is to be; may be given more than once",
    )
    parser.add_argument(
        "--map",
        metavar="NAME=MAP",
        dest="use",
        action="append",
        default=[],
        help="a loaded map (id, pin or name) to be used as the object's map NAME",
    )
    parser.add_argument(
        "--pin-maps", metavar="DIR", default="", help="where maps lie that are pinned by name"
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="",
        help="how the embedded back end and the service run programs (default: auto)",
    )


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "program", metavar="FILE|PROGRAM", help="an object file, or a loaded program"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="which of a file")
    parser.add_argument(
        "--data", metavar="FILE|HEX", default="", help="the packet: a file, or hex:DIGITS"
    )
    parser.add_argument(
        "--ctx",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="a field of the context; several with commas between; or hex:DIGITS for all of it",
    )
    parser.add_argument("--cpu", metavar="N", type=int, help="the processor to run on")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--repeat", metavar="N", type=count_of, default=1, help="run it so often (default: 1)"
    )
    parser.add_argument("--data-out", metavar="FILE", help="where to write the packet afterwards")
    parser.add_argument("--context", action="store_true", help="show the context afterwards")
    parser.add_argument("--maps", action="store_true", help="show the entries of its maps")


def add_profile_options(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--repeat", metavar="N", type=count_of, default=_RUNS,
        help=f"test runs with each engine (default: {_RUNS})",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", metavar="S", type=seconds_of, default=3.0,
        help="how long to watch a loaded program (default: 3)",
    )  # fmt: skip
    add_load_options(parser)


def count_of(word: str) -> int:
    try:
        number = int(word, 0)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no number from 1 on")
    return number


def seconds_of(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{word!r} is no number of seconds above 0")
    return number


def add_dump_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "program", metavar="FILE|PROGRAM", help="an object file, or a loaded program"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="which of a file")
    parser.add_argument(
        "--form",
        choices=FORMS,
        default="",
        help="(default: bytecode of a file, xlated of a loaded program)",
    )
    parser.add_argument("--style", choices=STYLES, default="anybpf", help="(default: anybpf)")
    add_load_options(parser)


def add_watch_options(parser: argparse.ArgumentParser, interval: float = 1.0) -> None:
    parser.add_argument(
        "--interval", metavar="S", type=seconds_of, default=interval,
        help=f"seconds between two looks (default: {interval:g})",
    )  # fmt: skip
    parser.add_argument(
        "--count", metavar="N", type=count_of, help="end after so many looks (default: go on)"
    )
