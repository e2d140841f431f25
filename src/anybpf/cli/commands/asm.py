"""`anybpf asm`: assemble text to instructions, as hex digits or as an object."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.files import read_text, write_whole
from anybpf.cli.output import print_json, print_lines
from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.isa import Instruction

EXAMPLES = """\
echo 'r0 = 2; exit' | anybpf asm - --hex
anybpf asm filter.s -o filter.o --section xdp
anybpf asm add.s --dialect mnemonic
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "asm",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Assemble text to instructions and print them with their bytes, or as hex digits, or "
            "write an object with one program."
        ),
    )
    parser.add_argument("file", metavar="FILE", help="assembly text; '-' is standard input")
    parser.add_argument(
        "--dialect",
        choices=("llvm", "mnemonic"),
        default="llvm",
        help="llvm: 'r0 = *(u32 *)(r1 + 4)'; mnemonic: 'ldxw %%r0, [%%r1+4]' (default: llvm)",
    )
    out = parser.add_mutually_exclusive_group()
    out.add_argument("--hex", action="store_true", help="print only hex digits, a line a slot")
    out.add_argument("-o", dest="output", metavar="FILE.o", help="write an object")
    parser.add_argument("--section", default="xdp", help="the object's section (default: xdp)")
    parser.add_argument("--name", default="main", help="the program's name (default: main)")
    parser.add_argument("--license", default="Dual MIT/GPL", help="(default: Dual MIT/GPL)")
    parser.add_argument("--big-endian", action="store_true", help="for a big-endian machine")
    parser.add_argument(
        "--platform", default="linux", help="whose helpers are called by name (default: linux)"
    )


def run(args: argparse.Namespace) -> int:
    from anybpf.isa import encode
    from anybpf.isa.assembler import assemble
    from anybpf.isa.listing.json import as_json
    from anybpf.platforms import get

    name = "<stdin>" if args.file == "-" else args.file
    instructions = assemble(
        read_text(args.file),
        dialect=args.dialect,
        file=name,
        helpers={helper.name: helper.number for helper in get(args.platform).helpers},
        open_names=bool(args.output),
    )
    if not instructions:
        raise InputError(f"{name}: no instructions")
    if args.output:
        return _write_object(args, instructions)
    if args.json:
        digits = encode(instructions, args.big_endian).hex()
        records = as_json(instructions, big_endian=args.big_endian)
        print_json({"hex": digits, "instructions": records})
    elif args.hex:
        code = encode(instructions, args.big_endian)
        print_lines([code[i : i + 8].hex(" ") for i in range(0, len(code), 8)])
    else:
        print_lines(_listing(as_json(instructions, big_endian=args.big_endian)))
    return DONE


def _write_object(args: argparse.Namespace, instructions: list[Instruction]) -> int:
    from anybpf.objects.elf_writer import object_from_instructions

    image = object_from_instructions(
        [(args.name, args.section, instructions)],
        license=args.license,
        big_endian=args.big_endian,
        platform=args.platform,
    )
    write_whole(Path(args.output), image)
    if args.json:
        print_json({"object": args.output, "bytes": len(image), "program": args.name})
    return DONE


def _listing(records: list[dict[str, Any]]) -> list[str]:
    """Slot, bytes and text; the second half of a 16-byte load has a line of its own."""
    lines: list[str] = []
    for record in records:
        if "label" in record:
            lines.append(f"{record['label']}:")
        data = bytes.fromhex(record["bytes"])
        lines.append(f"{record['slot']:4}: {data[:8].hex(' ')}  {record['text']}")
        if len(data) > 8:
            lines.append(f"      {data[8:].hex(' ')}")
    return lines
