"""`anybpf bpftool`: bpftool's commands as they are; all words are passed on unread."""

from __future__ import annotations

import argparse

from anybpf.cli.app import Parser

EXAMPLES = """\
anybpf bpftool prog help
anybpf bpftool btf dump file droppacket.o format c
anybpf bpftool --backend linux -p prog show
"""

# No word can begin with this: so nothing is an option to argparse, and all words stay in order.
_NO_PREFIX = "\0"


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = subparsers.add_parser(
        "bpftool",
        help=summary,
        description=summary,
        examples=EXAMPLES,
        add_help=False,
        prefix_chars=_NO_PREFIX,
    )
    parser.add_argument("words", metavar="WORD", nargs="*", help="as bpftool has them")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    from anybpf.cli.bpftool import run as run_words

    return run_words(args.words)
