"""`anybpf obj`: look into BPF objects.

`show` is the overview, `disasm` the code, `maps` the maps in full. What is printed of a spec is
put into words in `anybpf.cli.describe`.
"""

from __future__ import annotations

import argparse

from anybpf.cli import describe
from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.files import Input
from anybpf.cli.output import print_json, print_lines

STYLES = ("anybpf", "llvm", "bpftool", "netsh")

SHOW_EXAMPLES = """\
anybpf obj show droppacket.o
anybpf obj show bindmonitor.o --platform windows --json
"""
DISASM_EXAMPLES = """\
anybpf obj disasm droppacket.o
anybpf obj disasm droppacket.o xdp --style llvm
anybpf obj disasm bpf_lxc.o --program handle_policy --style bpftool
"""
MAPS_EXAMPLES = """\
anybpf obj maps droppacket.o
anybpf obj maps droppacket.o --json
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "obj", summary)
    show = add_command(
        group,
        "show",
        "print sections, programs, maps, variables and externs",
        run_show,
        examples=SHOW_EXAMPLES,
    )
    _common(show)
    disasm = add_command(
        group,
        "disasm",
        "print code as assembly",
        run_disasm,
        examples=DISASM_EXAMPLES,
        description=(
            "Print code as assembly. Style anybpf has source lines, labels, and the names of "
            "helpers, maps and fields; llvm is what llvm-objdump -d prints; bpftool is its "
            "'prog dump xlated'; netsh is 'netsh ebpf show disassembly'."
        ),
    )
    _common(disasm)
    disasm.add_argument("section", metavar="SECTION", nargs="?", help="only this section")
    disasm.add_argument("--program", metavar="P", help="only this program")
    disasm.add_argument("--style", choices=STYLES, default="anybpf", help="(default: anybpf)")
    maps = add_command(
        group, "maps", "print the maps with their types", run_maps, examples=MAPS_EXAMPLES
    )
    _common(maps)


def _common(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE.o", help="the object; '-' is standard input")
    parser.add_argument(
        "--platform", default="linux", help="whose names and numbers to use (default: linux)"
    )


def run_show(args: argparse.Namespace) -> int:
    from anybpf.objects import load_spec
    from anybpf.objects.elf import ElfFile

    source = Input(args.file)
    elf = ElfFile(source.getvalue(), source.name)
    spec = load_spec(source, platform=args.platform)
    if args.json:
        print_json(describe.object_as_json(spec, elf))
    else:
        print_lines(describe.object_lines(spec, elf))
    return DONE


def run_maps(args: argparse.Namespace) -> int:
    from anybpf.objects import load_spec

    spec = load_spec(Input(args.file), platform=args.platform)
    if args.json:
        print_json([describe.map_as_json(spec, key, each) for key, each in spec.maps.items()])
    else:
        print_lines(describe.map_lines(spec))
    return DONE


def run_disasm(args: argparse.Namespace) -> int:
    from anybpf.cli import disasm

    if args.json:
        print_json(disasm.as_json(args))
    else:
        print_lines(disasm.STYLES[args.style](args))
    return DONE
