"""`anybpf log`: what programs print (``bpf_printk``), as it comes.

A runtime keeps such lines itself; the kernel has one stream for all, which is read from tracefs.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.backend import SHORT_LIVED, add_backend_option, is_lasting, opened
from anybpf.cli.options import count_of
from anybpf.cli.output import document, note, paint, print_json_line
from anybpf.errors import NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import Backend

EXAMPLES = """\
anybpf log --backend linux
anybpf log --once --json --backend linux
"""
# Where tracefs is: Documentation/trace/ftrace.rst.
PIPES = ("/sys/kernel/tracing/trace_pipe", "/sys/kernel/debug/tracing/trace_pipe")
# "  comm-123  [001] d..21  12.345678: bpf_trace_printk: text", as that document has it.
_LINE = re.compile(
    r"\s*(?P<comm>.+)-(?P<pid>\d+)\s+(?:\(.{7}\)\s+)?\[(?P<cpu>\d+)\]\s+\S+\s+"
    r"(?P<time>\d+\.\d+): bpf_trace_printk: (?P<text>.*)"
)


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "log",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Print what programs print, as it comes; what is read is taken. With --json, one "
            "object for each line. The kernel does not say which program a line is from."
        ),
    )
    parser.add_argument(
        "--program", metavar="P", default="", help="only of this program (a number or a name)"
    )
    parser.add_argument("--count", metavar="N", type=count_of, help="end after so many lines")
    parser.add_argument("--once", action="store_true", help="only what is there now")
    add_backend_option(parser)


def run(args: argparse.Namespace) -> int:
    if not is_lasting(args):
        note(SHORT_LIVED + "; 'anybpf prog run' shows what a program prints")
        return DONE
    with opened(args) as backend:
        shown = 0
        for record in _lines(backend, args):
            if args.program and args.program not in (str(record["id"]), record["program"]):
                continue
            _tell(args, record)
            shown += 1
            if shown == args.count:
                break
    return DONE


def _lines(backend: Backend, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    log = getattr(backend, "log", None)
    if log is not None:
        for line in log.lines() if args.once else log:
            yield {
                "time": line.time / 1e9,
                "id": line.program,
                "program": line.program_name,
                "cpu": line.cpu,
                "pid": line.pid,
                "text": line.text,
            }
        return
    if backend.name != "linux":
        raise NotSupported("the output of programs", where=f"the {backend.name} back end")
    if args.program:
        raise NotSupported("telling programs' output apart", where="the kernel, which mixes it")
    yield from _kernel_lines(args.once)


def _kernel_lines(once: bool) -> Iterator[dict[str, Any]]:
    import os

    path = next((pipe for pipe in PIPES if Path(pipe).exists()), "")
    if not path:
        raise NotSupported(
            "the output of programs", where="this system: tracefs is not mounted on /sys/kernel"
        )
    descriptor = os.open(path, os.O_RDONLY | (os.O_NONBLOCK if once else 0))
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        rest = b""
        while piece := pipe.read(65536):
            *lines, rest = (rest + piece).split(b"\n")
            for raw in lines:
                found = parse(raw.decode("utf-8", "replace"))
                if found is not None:
                    yield found


def parse(line: str) -> dict[str, Any] | None:
    """A line of the kernel's stream; None for what no program printed.

    >>> parse("  curl-12  [001] d..21  2.5: bpf_trace_printk: hello")["text"]
    'hello'
    """
    found = _LINE.match(line)
    if found is None:
        return None
    return {
        "time": float(found["time"]),
        "id": 0,
        "program": "",
        "cpu": int(found["cpu"]),
        "pid": int(found["pid"]),
        "text": found["text"],
    }


def _tell(args: argparse.Namespace, record: dict[str, Any]) -> None:
    if args.json:
        print_json_line(document(**record))
        return
    who = f"{record['program'] or '?'}-{record['id']}" if record["id"] else f"pid {record['pid']}"
    where = paint(f"{record['time']:.6f} [{record['cpu']:03}]", "dim")
    print(f"{where} {paint(who, 'cyan')}: {record['text']}")
    sys.stdout.flush()
