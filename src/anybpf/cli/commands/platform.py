"""`anybpf platform show`: what a platform offers to programs."""

from __future__ import annotations

import argparse

from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.output import print_json, print_lines

SHOW_EXAMPLES = """\
anybpf platform show linux
anybpf platform show windows --type bind
anybpf platform show linux --type xdp --json
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "platform", summary)
    show = add_command(
        group,
        "show",
        "print program types, sections, helpers, map types and limits",
        run_show,
        examples=SHOW_EXAMPLES,
    )
    show.add_argument("platform", metavar="PLATFORM", help="linux or windows")
    show.add_argument("--type", metavar="TYPE", help="one program type, in full")


def run_show(args: argparse.Namespace) -> int:
    from anybpf.platforms import describe, get

    platform = get(args.platform)
    if args.json:
        print_json(describe.describe(platform, args.type or ""))
    else:
        print_lines(describe.lines(platform, args.type or ""))
    return DONE
