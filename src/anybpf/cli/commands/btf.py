"""`anybpf btf dump`: the type information of an object or of a kernel."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.files import Input
from anybpf.cli.output import print_json
from anybpf.errors import NotFound

if TYPE_CHECKING:
    from anybpf.btf import BTF

DUMP_EXAMPLES = """\
anybpf btf dump droppacket.o
anybpf btf dump /sys/kernel/btf/vmlinux --format c > vmlinux.h
anybpf btf dump droppacket.o --type ethhdr --format c
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "btf", summary)
    dump = add_command(
        group,
        "dump",
        "print all types",
        run_dump,
        examples=DUMP_EXAMPLES,
        description=(
            "Print the types of a BPF object, or of a file that holds BTF as it is, such as "
            "/sys/kernel/btf/vmlinux."
        ),
    )
    dump.add_argument(
        "file", metavar="FILE", help="an object or a file of BTF; '-' is standard input"
    )
    dump.add_argument(
        "--format",
        choices=("raw", "c", "json"),
        default="raw",
        help="one type a line as bpftool prints them, a C header, or JSON (default: raw)",
    )
    dump.add_argument(
        "--type", metavar="NAME", help="only types of this name, in C with all that they need"
    )
    dump.add_argument("--base", metavar="FILE", help="the BTF that this one extends (modules)")


def run_dump(args: argparse.Namespace) -> int:
    from anybpf.btf import dump

    base = load_btf(args.base) if args.base else None
    btf = load_btf(args.file, base)
    ids = _with_name(btf, args.type, args.file) if args.type else None
    if args.json or args.format == "json":
        print_json({"file": args.file, "types": dump.dump_dicts(btf, ids)})
    elif args.format == "c":
        from anybpf.btf.cdump import dump_c

        sys.stdout.write(dump_c(btf, ids, guard=f"__{Path(args.file).stem.upper()}_H__"))
    else:
        sys.stdout.write(dump.dump_raw(btf, ids))
    return DONE


def load_btf(name: str, base: BTF | None = None) -> BTF:
    """The BTF in a file: an object's section, or the whole file."""
    from anybpf.btf import BTF

    source = Input(name)
    data = source.getvalue()
    if data[:4] != b"\x7fELF":
        return BTF.parse(data, base=base, file=source.name)
    from anybpf.objects.elf import ElfFile

    section = ElfFile(data, source.name).section(".BTF")
    if section is None:
        raise NotFound(f"{source.name}: the object has no .BTF section; compile it with -g")
    return BTF.parse(section.data, base=base, file=f"{source.name}, section .BTF")


def _with_name(btf: BTF, name: str, file: str) -> list[int]:
    ids = btf.find_ids(name)
    if not ids:
        raise NotFound(f"{file}: no type is named '{name}'")
    return ids
