"""The four styles of `anybpf obj disasm`, each from the arguments.

Chooses what to list and gathers the names; the text itself is written in `anybpf.isa.listing`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from anybpf import platforms
from anybpf.cli.files import Input
from anybpf.errors import NotFound
from anybpf.isa import Instruction
from anybpf.objects import CollectionSpec, Function, ProgramSpec, load_spec
from anybpf.objects.elf import ElfFile
from anybpf.platforms import Helper, Platform


class HelperNames:
    """A platform's helpers by number, as a program of one type calls them."""

    def __init__(self, platform: Platform, program_type: str) -> None:
        self._platform = platform
        self._type = program_type

    def helper(self, number: int) -> Helper | None:
        return self._platform.find_helper(number, self._type)


class Piece:
    """What is listed in one go: a function by itself, or a program laid out whole.

    ``program_type`` is that of the program it is, or is the entry of; subprograms have none.
    """

    def __init__(
        self, owner: ProgramSpec | Function, code: list[Instruction], program_type: str = ""
    ) -> None:
        self.owner = owner
        self.code = code
        self.program_type = program_type or "unspec"
        self.title = f"{owner.name}: {program_type or 'subprogram'}, section {owner.section}"


def _load(args: argparse.Namespace) -> CollectionSpec:
    return load_spec(Input(args.file), platform=args.platform)


def _programs(spec: CollectionSpec, args: argparse.Namespace) -> list[ProgramSpec]:
    """The programs that were asked for; :class:`NotFound` if there are none such."""
    if args.program:
        return [spec.program(name=args.program, section=args.section or "")]
    programs = list(spec.programs.values())
    found = [program for program in programs if _is_in(program.section, args)]
    if not found:
        raise _nothing(args, "program", "programs", [program.section for program in programs])
    return found


def _pieces(spec: CollectionSpec, args: argparse.Namespace) -> list[Piece]:
    """One program whole, if one is asked for; else every function once, as the file has them."""
    if args.program:
        program = spec.program(name=args.program, section=args.section or "")
        return [Piece(program, program.instructions, program.type)]
    types = {id(program.function): program.type for program in spec.programs.values()}
    functions = list(spec.functions.values())
    found = [
        Piece(function, _named(function), types.get(id(function), ""))
        for function in functions
        if _is_in(function.section, args)
    ]
    if not found:
        raise _nothing(args, "code", "code", [function.section for function in functions])
    return found


def _is_in(section: str, args: argparse.Namespace) -> bool:
    """Whether this is the section that was asked for, if one was; "?" marks it, not names it."""
    return not args.section or section.removeprefix("?") == args.section.removeprefix("?")


def _nothing(args: argparse.Namespace, one: str, many: str, sections: list[str]) -> NotFound:
    """The error for a choice that leaves nothing, which says what there is."""
    what = f"no {one} in section {args.section}" if args.section else f"no {many}"
    choices = ", ".join(sorted(set(sections)))
    there = f"; sections with {many}: {choices}" if choices else ""
    return NotFound(f"{args.file}: {what}{there}")


def _named(function: Function) -> list[Instruction]:
    """The function's code, whose first instruction bears the function's name."""
    first, *rest = function.instructions
    head = first.copy()
    head.symbol = function.name
    return [head, *rest]


def _signatures(spec: CollectionSpec, bpftool: bool = False) -> dict[str, str]:
    """The C prototypes of the functions whose types are known; bpftool spaces them its own way."""
    found: dict[str, str] = {}
    if spec.btf is None:
        return found
    from anybpf.btf import Function as BTFFunction
    from anybpf.btf import FunctionProto
    from anybpf.btf.names import type_name

    for function in spec.functions.values():
        entry = spec.btf.type(function.type_id)
        if not isinstance(entry, BTFFunction):
            continue
        proto = spec.btf.type(entry.type_id)
        if bpftool and isinstance(proto, FunctionProto):
            words = [f"{type_name(spec.btf, p.type_id)} {p.name}" for p in proto.params]
            back = type_name(spec.btf, proto.return_id)
            found[function.name] = f"{back} {function.name}({', '.join(words)})"
        else:
            found[function.name] = type_name(spec.btf, entry.type_id, function.name)
    return found


def _hints(piece: Piece, spec: CollectionSpec, platform: Platform) -> dict[int, str]:
    from anybpf.objects.hints import access_hints

    return access_hints(piece.owner, spec, platform)


def anybpf_lines(args: argparse.Namespace) -> list[str]:
    from anybpf.isa.listing import anybpf as style

    spec = _load(args)
    platform = platforms.get(args.platform)
    signatures = _signatures(spec)
    out: list[str] = []
    first_label = 1
    for piece in _pieces(spec, args):
        out += [""] if out else []
        out.append(f"// {piece.title}")
        out += style.lines(
            piece.code,
            names=HelperNames(platform, piece.program_type),
            hints=_hints(piece, spec, platform),
            signatures=signatures,
            first_label=first_label,
        )
        first_label += style.labels_made(piece.code)
    return out


def bpftool_lines(args: argparse.Namespace) -> list[str]:
    from anybpf.isa.listing import bpftool as style

    spec = _load(args)
    platform = platforms.get(args.platform)
    signatures = _signatures(spec, bpftool=True)
    out: list[str] = []
    programs = _programs(spec, args)
    for program in programs:
        if len(programs) > 1:
            out += [""] if out else []
            out.append(f"{program.name}: {program.type}, section {program.section}")
        out += style.lines(
            program.instructions,
            names=HelperNames(platform, program.type),
            signatures=signatures,
        )
    return out


def netsh_lines(args: argparse.Namespace) -> list[str]:
    """The first program unless one is named, as netsh has it."""
    from anybpf.isa.listing import netsh as style

    spec = _load(args)
    program = _programs(spec, args)[0]
    platform = platforms.get(args.platform)
    return style.lines(program.instructions, names=HelperNames(platform, program.type))


def llvm_lines(args: argparse.Namespace) -> list[str]:
    from anybpf.isa.listing import llvm as style

    source = Input(args.file)
    elf = ElfFile(source.getvalue(), source.name, lenient=True)
    return style.file_lines(elf, source.name, section=args.section or "", symbol=args.program or "")


def as_json(args: argparse.Namespace) -> Any:
    """The code with its annotations; in style bpftool, what bpftool prints with --json."""
    spec = _load(args)
    platform = platforms.get(args.platform)
    if args.style == "bpftool":
        from anybpf.isa.listing import bpftool

        records = [
            bpftool.records(
                program.instructions,
                names=HelperNames(platform, program.type),
                signatures=_signatures(spec, bpftool=True),
                opcodes=True,
            )
            for program in _programs(spec, args)
        ]
        return records[0] if len(records) == 1 else records
    if args.style != "anybpf":
        return {"file": args.file, "lines": STYLES[args.style](args)}
    from anybpf.isa.listing.json import as_json as instructions_as_json

    return {
        "file": args.file,
        "platform": args.platform,
        "functions": [
            {
                "name": piece.owner.name,
                "section": piece.owner.section,
                "type": piece.program_type,
                "instructions": instructions_as_json(
                    piece.code,
                    names=HelperNames(platform, piece.program_type),
                    hints=_hints(piece, spec, platform),
                    big_endian=spec.big_endian,
                ),
            }
            for piece in _pieces(spec, args)
        ],
    }


STYLES: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "anybpf": anybpf_lines,
    "llvm": llvm_lines,
    "bpftool": bpftool_lines,
    "netsh": netsh_lines,
}
