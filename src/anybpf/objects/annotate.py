"""What `.BTF.ext` knows of instructions, put onto them: functions, source lines, CO-RE records.

Runs once per object, after code was cut into functions. What a CO-RE record comes to on a kernel
is the business of `core`.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import BTF, BTFExt
from anybpf.btf import types as t
from anybpf.btf.ext import InfoSection
from anybpf.isa.instruction import (
    BTFFunction,
    CoreRelocation,
    Instruction,
    Metadata,
    SourceLine,
)
from anybpf.objects.functions import SLOT, Code
from anybpf.objects.sections import ObjectFile

# The lower bits of a line_col word are the column: btf.rst, section 4.2.
_COLUMN_BITS: Final = 10
_COLUMN_MASK: Final = (1 << _COLUMN_BITS) - 1


def annotate(obj: ObjectFile, codes: list[Code], btf: BTF, ext: BTFExt) -> None:
    """Attach all records to the instructions that they name."""
    by_name: dict[str, Code] = {}
    for code in codes:
        by_name.setdefault(code.section.name, code)
    for table in ext.func_info:
        code = _code_of(obj, by_name, btf, table, "function")
        _functions(obj, code, btf, table)
    lines = _Lines(btf)
    for table in ext.line_info:
        code = _code_of(obj, by_name, btf, table, "line")
        lines.attach(obj, code, table)
    for table in ext.core_relo:
        code = _code_of(obj, by_name, btf, table, "CO-RE")
        _relocations(obj, code, btf, table)


def _code_of(
    obj: ObjectFile, by_name: dict[str, Code], btf: BTF, table: InfoSection, what: str
) -> Code:
    name = btf.string(table.name_offset)
    code = by_name.get(name)
    if code is None:
        message = f"there are {what} records for section '{name}', which is no code of this file"
        section = obj.elf.section(".BTF.ext")
        raise obj.elf.error(message, 0) if section is None else obj.error(section, message)
    return code


def _instruction(obj: ObjectFile, code: Code, offset: int, what: str) -> Instruction:
    """The instruction that begins so many bytes into a section."""
    index = -1 if offset % SLOT else code.index(offset // SLOT)
    if index >= 0:
        return code.instructions[index]
    raise obj.error(
        code.section,
        f".BTF.ext has a {what} record for byte {offset:#x}, where no instruction begins",
        min(offset, code.section.size),
    )


def _functions(obj: ObjectFile, code: Code, btf: BTF, table: InfoSection) -> None:
    for row in table.rows():
        offset: int = row[0]
        found = btf.type(row[1])
        if not isinstance(found, t.Function):
            raise obj.error(
                code.section,
                f".BTF.ext names type {found.id} as the function at byte {offset:#x}; it is "
                f"{found.kind_name}",
                min(offset, code.section.size),
            )
        insn = _instruction(obj, code, offset, "function")
        insn.function = BTFFunction(found.name, found.id)
        function = obj.function_at(code.section.index, offset)
        if function is not None:
            function.type_id = found.id


class _Lines:
    """Attaches source lines; each line is one object however many instructions it has."""

    __slots__ = ("_btf", "_files", "_known")

    def __init__(self, btf: BTF) -> None:
        self._btf: BTF = btf
        self._known: dict[int, SourceLine] = {}
        self._files: dict[int, str] = {}

    def attach(self, obj: ObjectFile, code: Code, table: InfoSection) -> None:
        known = self._known
        last: Instruction | None = None
        for row in table.rows():
            offset: int = row[0]
            insn = _instruction(obj, code, offset, "line")
            # File, text, line and column in one number: all three words have 32 bits.
            key: int = (row[1] << 64) | (row[2] << 32) | row[3]
            line = known.get(key)
            if line is None:
                line = self._line(row[1], row[2], row[3])
                known[key] = line
            if insn is last and insn.line is not None:
                continue  # the first of two records for one place is where the line begins
            last = insn
            meta = insn.meta
            if meta is None:
                meta = Metadata()
                insn.meta = meta
            meta.line = line

    def _line(self, file_offset: int, text_offset: int, place: int) -> SourceLine:
        file = self._files.get(file_offset)
        if file is None:
            file = self._btf.string(file_offset)
            self._files[file_offset] = file
        text = self._btf.string(text_offset)
        return SourceLine(file, place >> _COLUMN_BITS, place & _COLUMN_MASK, text.rstrip())


def _relocations(obj: ObjectFile, code: Code, btf: BTF, table: InfoSection) -> None:
    known: dict[tuple[int, int, int], CoreRelocation] = {}
    for row in table.rows():
        key: tuple[int, int, int] = (row[1], row[2], row[3])
        record = known.get(key)
        if record is None:
            record = CoreRelocation(row[1], btf.string(row[2]), row[3])
            known[key] = record
        _instruction(obj, code, row[0], "CO-RE").core = record
