"""`anybpf prog dump`: the code of a program, of a file or loaded.

Chooses what to list; the text is written in `anybpf.isa.listing` and `anybpf.engines.listing`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE
from anybpf.cli.backend import opened
from anybpf.cli.disasm import HelperNames
from anybpf.cli.output import document, print_json, print_lines
from anybpf.cli.selection import is_file
from anybpf.errors import InputError, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import Backend, ProgramHandle
    from anybpf.isa import Instruction


def run(args: argparse.Namespace) -> int:
    from anybpf.cli.running import meant

    form = args.form or ("bytecode" if is_file(args.program) else "xlated")
    with opened(args) as backend, meant(args, backend) as (program, collection):
        if form == "native":
            _print_native(args, program)
            return DONE
        code = _code(program, collection, form)
        if args.json:
            print_json(_as_json(backend, program, form, code))
        else:
            print_lines(_lines(backend, program, args.style, code))
    return DONE


def _print_native(args: argparse.Namespace, program: ProgramHandle) -> None:
    listing = getattr(program, "native_listing", None)
    if listing is None:
        raise NotSupported("a listing of machine code", where="this back end")
    text = listing()
    if args.json:
        print_json(
            document(id=program.id, program=program.name, form="native", lines=text.splitlines())
        )
    else:
        print(text.rstrip("\n"))


def _code(program: ProgramHandle, collection: Any, form: str) -> list[Instruction]:
    from anybpf.isa import decode

    if form == "bytecode":
        if collection is None:
            raise InputError(
                f"what program {program.id} was loaded from is not kept: give the file, or ask "
                "for --form xlated"
            )
        found = collection.spec.programs.get(program.name)
        if found is not None:
            return list(found.instructions)
    data = program.info().xlated_prog_insns
    if not data:
        raise InputError(
            f"the code of program {program.id} is not shown to this user: ask as an administrator"
        )
    return decode(data, check=False)


def _lines(
    backend: Backend, program: ProgramHandle, style: str, code: list[Instruction]
) -> list[str]:
    names = HelperNames(backend.platform, program.type)
    if style == "bpftool":
        from anybpf.isa.listing import bpftool

        return bpftool.lines(code, names=names)
    if style == "netsh":
        from anybpf.isa.listing import netsh

        return netsh.lines(code, names=names)
    from anybpf.isa.listing import anybpf

    return [f"// {program.name}: {program.type}", *anybpf.lines(code, names=names)]


def _as_json(
    backend: Backend, program: ProgramHandle, form: str, code: list[Instruction]
) -> object:
    from anybpf.isa.listing.json import as_json

    names = HelperNames(backend.platform, program.type)
    return document(
        id=program.id,
        program=program.name,
        type=program.type,
        form=form,
        instructions=as_json(code, names=names),
    )
