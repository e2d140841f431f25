"""`anybpf explain-error`: what an error code or its name means, on Linux or on Windows."""

from __future__ import annotations

import argparse

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.output import print_json, print_lines

EXAMPLES = """\
anybpf explain-error 119 --platform windows
anybpf explain-error -22
anybpf explain-error EBPF_KEY_NOT_FOUND --platform windows
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "explain-error",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Say what an error code stands for: an errno (Linux and the Windows C runtime number "
            "them differently), a result of eBPF for Windows, a Win32 code."
        ),
    )
    parser.add_argument("code", metavar="CODE", help="a number, negative or not, or a name")
    parser.add_argument(
        "--platform", metavar="PLATFORM", default="linux", help="linux (the default) or windows"
    )


def run(args: argparse.Namespace) -> int:
    from anybpf.platforms.explain import explain

    meanings = explain(args.code, args.platform)
    if args.json:
        print_json(
            {
                "platform": args.platform,
                "code": args.code,
                "meanings": [
                    {
                        "kind": one.kind,
                        "number": one.number,
                        "name": one.name,
                        "text": one.text,
                        "notes": one.notes,
                    }
                    for one in meanings
                ],
            }
        )
        return DONE
    for one in meanings:
        print_lines([str(one), *[f"  {note}" for note in one.notes]])
    return DONE
