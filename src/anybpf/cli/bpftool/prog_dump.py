"""`bpftool prog dump`: the code of loaded programs, as the system has it or as machine code.

Instructions are worded in ``anybpf.isa.listing.bpftool``; here they get the numbers of maps, the
names of what they call, source lines and the prototypes of functions.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.session import Failure, Session, UsageWanted, Words
from anybpf.errors import AnyBPFError, NotSupported

if TYPE_CHECKING:
    from anybpf.btf import BTF
    from anybpf.isa import Instruction

_LISTED: Final = ("opcodes", "visual", "linum")


class Code:
    """A program's instructions with all that is known of them."""

    def __init__(self, instructions: list[Instruction], names: Any, raw: bytes) -> None:
        self.instructions = instructions
        self.names = names
        self.raw = raw
        self.protos: dict[int, str] = {}
        self.lines: dict[int, Any] = {}


class Names:
    """Names of what is called: the platform's helpers, else what stands at an address."""

    def __init__(self, helpers: Any, functions: Any) -> None:
        self._helpers = helpers
        self._functions = functions

    def helper(self, number: int) -> Any:
        found = self._helpers.helper(number)
        return found if found is not None else self._functions.called(number)


class _Nothing:
    """Where there are no addresses."""

    def called(self, number: int) -> Any:
        return None

    def subprogram(self, index: int) -> str:
        return ""


def dump(session: Session, words: Words) -> int:
    if words.take_if("jited"):
        native = True
    elif words.take_if("xlated"):
        native = False
    else:
        raise Failure(f"expected 'xlated' or 'jited', got: {words.peek() or '(null)'}")
    with ExitStack() as held:
        found = references.programs(session, words, held)
        file, wanted = _options(words, native, len(found))
        if file:
            data = _machine_code(session, found[0]) if native else found[0].info().xlated_prog_insns
            _write(file, data)
            session.nothing()
            return 0
        if native:
            _print_native(session, found)
        else:
            _print_translated(session, found, wanted)
    return 0


def _options(words: Words, native: bool, count: int) -> tuple[str, str]:
    if words.take_if("file"):
        if not len(words):
            raise Failure("expected file path")
        if count > 1:
            raise Failure("can't write several programs to one file")
        return words.take(), ""
    wanted = ""
    for option in _LISTED:
        if words.is_next(option) and not (native and option == "visual"):
            words.take()
            wanted = option
            break
    if wanted == "visual" and count > 1:
        raise Failure("several programs matched, can't dump visual")
    if len(words):
        raise UsageWanted
    return "", wanted


def _write(file: str, data: bytes) -> None:
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)
    except OSError as error:
        raise Failure(f"can't open file {file}: {error.strerror}") from None


# As the system has it.


def _print_translated(session: Session, programs: list[Any], wanted: str) -> None:
    many = len(programs) > 1
    if many:
        from anybpf.cli.bpftool.prog import header, header_text
    records = []
    for index, handle in enumerate(programs):
        info = handle.info()
        code = _code_of(session, handle, info, plain=wanted == "visual")
        if wanted == "visual":
            if session.json:
                raise Failure("'visual' is not compatible with JSON output")
            from anybpf.cli.bpftool.dot import graph

            session.print(graph(code.instructions, partial(_words, names=code.names)))
            return
        if session.json:
            listed = _records(code, wanted)
            records.append({**header(session, info), "insns": listed} if many else listed)
            continue
        if many:
            session.print(header_text(session, info) + "\n")
        session.print("".join(f"{line}\n" for line in _lines(code, wanted)))
        if many and index != len(programs) - 1:
            session.print("\n")
    if session.json:
        session.emit(records if many else records[0])


def _words(insn: Instruction, names: Any) -> str:
    from anybpf.isa.listing import bpftool

    return bpftool.disassembly(insn, names).replace("map[fd:", "map[id:")


def _lines(code: Code, wanted: str) -> list[str]:
    out: list[str] = []
    slot = 0
    for insn in code.instructions:
        if slot in code.protos:
            out.append(f"{code.protos[slot]}:")
        line = code.lines.get(slot)
        if line is not None:
            place = f" [file:{line.file} line_num:{line.line} line_col:{line.column}]"
            out.append(f"; {line.text.lstrip()}{place if wanted == 'linum' else ''}")
        out.append(f"{slot:4d}: {_words(insn, code.names)}")
        if wanted == "opcodes":
            out.append(f"       {code.raw[slot * 8 : (slot + insn.slots) * 8].hex(' ')}")
        slot += insn.slots
    return out


def _records(code: Code, wanted: str) -> list[dict[str, Any]]:
    out = []
    slot = 0
    for insn in code.instructions:
        record: dict[str, Any] = {}
        if slot in code.protos:
            record["proto"] = code.protos[slot]
        line = code.lines.get(slot)
        if line is not None:
            record["src"] = line.text.lstrip()
            if wanted == "linum":
                record["file"] = line.file
                record["line_num"] = line.line
                if line.column:
                    record["line_col"] = line.column
        record["disasm"] = _words(insn, code.names)
        if wanted == "opcodes":
            data = code.raw[slot * 8 : (slot + insn.slots) * 8]
            record["opcodes"] = {
                "code": f"{insn.opcode:#04x}",
                "src_reg": f"{insn.src:#x}",
                "dst_reg": f"{insn.dst:#x}",
                "off": [f"{byte:#04x}" for byte in data[2:4]],
                "imm": [f"{byte:#04x}" for byte in data[4:]],
            }
        out.append(record)
        slot += insn.slots
    return out


def _code_of(session: Session, handle: Any, info: Any, plain: bool = False) -> Code:
    from anybpf.cli.disasm import HelperNames
    from anybpf.isa import decode

    if not info.xlated_prog_insns:
        raise Failure("no instructions returned")
    helpers = HelperNames(session.backend.platform, info.type_name)
    prepared = getattr(handle, "prepared", None)
    functions: Any = _Nothing()
    if prepared is None and hasattr(handle, "fd"):
        from anybpf.cli.bpftool.kernel_code import CalledFunctions

        functions = CalledFunctions(handle.fd)
    raw = info.xlated_prog_insns
    code = Code(decode(raw, check=False), Names(helpers, functions), raw)
    btf = _types(session, info.btf_id)
    if prepared is not None:
        _embedded(code, prepared, info, btf)
    elif hasattr(handle, "fd") and btf is not None and not plain:
        from anybpf.cli.bpftool.kernel_code import functions_and_lines

        functions_at, code.lines = functions_and_lines(handle.fd, btf)
        code.protos = {slot: prototype(btf, type_id) for slot, type_id in functions_at.items()}
    if prepared is None:
        for insn in code.instructions:
            name = functions.subprogram(insn.imm) if insn.is_local_call else ""
            if name:
                # Of compiled programs the kernel keeps the function's number where the distance
                # was, and the distance beside it.
                insn.reference = "" if plain else name
                insn.imm = int(insn.offset)
                insn.offset = 0
    return code


def _types(session: Session, number: int) -> BTF | None:
    if not number:
        return None
    try:
        with session.backend.types(number) as handle:
            return handle.btf
    except (AnyBPFError, OSError):
        return None


def _embedded(code: Code, prepared: Any, info: Any, btf: BTF | None) -> None:
    """The runtime's code has places in the program's list of maps instead of their numbers, and
    in that of its helpers."""
    from anybpf.isa import encode

    for insn in code.instructions:
        if insn.is_map_load and insn.src in (1, 2) and insn.low < len(info.map_ids):
            insn.imm = (insn.imm & ~0xFFFFFFFF) | info.map_ids[insn.low]
        elif insn.is_helper_call and insn.imm < len(prepared.helpers):
            named = prepared.platform.find_helper(prepared.helpers[insn.imm], prepared.type.name)
            insn.imm = named.number if named is not None else insn.imm
    code.raw = encode(code.instructions)
    slot = 0
    for insn in prepared.instructions:
        if insn.line is not None and insn.line.text:
            code.lines[slot] = insn.line
        if insn.function is not None and btf is not None:
            code.protos[slot] = prototype(btf, insn.function.type_id)
        slot += insn.slots


def prototype(btf: BTF, type_id: int) -> str:
    """A function as C declares it, with bpftool's spaces; '' if the type is none."""
    from anybpf.btf import types as t
    from anybpf.btf.names import type_name

    found = btf.type(type_id)
    proto = btf.type(found.type_id) if isinstance(found, t.Function) else None
    if not isinstance(proto, t.FunctionProto):
        return found.name
    words = [f"{type_name(btf, one.type_id)} {one.name}" for one in proto.params]
    return f"{type_name(btf, proto.return_id)} {found.name}({', '.join(words)})"


# Machine code.


def _machine_code(session: Session, handle: Any) -> bytes:
    if hasattr(handle, "fd"):
        from anybpf.cli.bpftool.kernel_code import machine_code

        return machine_code(handle.fd)
    raise NotSupported(
        "the bytes of machine code", where="this back end; without 'file' they are listed"
    )


def _print_native(session: Session, programs: list[Any]) -> None:
    records = []
    for handle in programs:
        listing = getattr(handle, "native_listing", None)
        if listing is None:
            raise NotSupported(
                "a listing of the kernel's machine code",
                where="this command; 'file FILE' writes its bytes for another disassembler",
            )
        text = listing()
        if session.json:
            lines = [{"operation": line} for line in text.splitlines()]
            records.append({"name": handle.name, "insns": lines})
        else:
            session.print(text if text.endswith("\n") else f"{text}\n")
    if session.json:
        session.emit(records)
