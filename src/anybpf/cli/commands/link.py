"""`anybpf link`: make one object of several."""

from __future__ import annotations

import argparse
from pathlib import Path

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.files import write_whole
from anybpf.cli.output import print_json

EXAMPLES = """\
anybpf link parser.o policy.o -o firewall.o
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "link",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Make one BPF object of several: symbols resolved across files, maps and sections "
            "merged, type and line information rebased and deduplicated."
        ),
    )
    parser.add_argument("files", metavar="FILE.o", nargs="+", help="the objects, in this order")
    parser.add_argument("-o", dest="output", metavar="FILE.o", required=True, help="the result")


def run(args: argparse.Namespace) -> int:
    from anybpf.objects.linker import link

    image = link(args.files)
    write_whole(Path(args.output), image)
    if args.json:
        print_json({"objects": args.files, "object": args.output, "bytes": len(image)})
    return DONE
