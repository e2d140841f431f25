"""`anybpf cc`: compile C to a BPF object, with whatever compiler there is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.output import print_json
from anybpf.errors import InputError

EXAMPLES = """\
anybpf cc droppacket.c -o droppacket.o
anybpf cc droppacket.c -DLIMIT=10 -mcpu=v4
"""

# clang's flags whose value stands apart, as clang's manual lists them; ours is only -o.
PASSED_ON_WITH_VALUE = (
    "-I", "-D", "-U", "-include", "-imacros", "-isystem", "-idirafter", "-iquote", "-isysroot",
    "-target", "-x", "-Xclang", "-mllvm", "-MF", "-MT", "-MQ",
)  # fmt: skip


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "cc",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Compile C to a BPF object. Uses $ANYBPF_CC, else the machine's clang, else the clang "
            "inside the ziglang wheel (pip install 'anybpf[compile]'). Debug information is kept, "
            "our headers are on the include path, and flags it does not know go to the compiler."
        ),
    )
    parser.add_argument("file", metavar="FILE.c", help="the C source")
    parser.add_argument("-o", dest="output", metavar="FILE.o", help="the object to write")
    parser.add_argument("--big-endian", action="store_true", help="for a big-endian machine")
    parser.set_defaults(takes_rest=True)


def run(args: argparse.Namespace) -> int:
    from anybpf import toolchain

    source = Path(args.file)
    if source.suffix == ".o" and not args.output:
        raise InputError(f"{source} is an object already: give the C source, or -o")
    output = Path(args.output) if args.output else source.with_suffix(".o")
    result = toolchain.compile(source, output, flags=args.rest, big_endian=args.big_endian)
    if result.messages:
        print(result.messages.rstrip("\n"), file=sys.stderr)
    if args.json:
        print_json(
            {
                "source": str(source),
                "object": str(output),
                "bytes": output.stat().st_size,
                "compiler": result.compiler.describe(),
                "command": result.command,
            }
        )
    return DONE
