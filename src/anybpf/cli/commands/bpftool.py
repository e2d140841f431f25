"""`anybpf bpftool`: bpftool's commands as they are; all words are passed on unread."""

from __future__ import annotations

import argparse

from anybpf.cli.app import DONE, Parser

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
        description=(
            "The commands of Linux's bpftool, with its options, outputs and exit codes: text, JSON "
            "with -j (--json) and -p (--pretty). Besides these, --backend says where the objects "
            "are. 'anybpf bpftool NOUN help' shows what a noun can do."
        ),
        examples=EXAMPLES,
        add_help=False,
        prefix_chars=_NO_PREFIX,
    )
    parser.add_argument("words", metavar="WORD", nargs="*", help="as bpftool has them")
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    if args.words == ["--help"]:  # '-h' is bpftool's own
        args.parser.print_help()
        return DONE
    from anybpf.cli.bpftool import run as run_words

    return run_words(args.words)
