"""Code sections cut into functions, and what their instructions refer to.

A function begins where a symbol says so or where something calls to, and ends where the next one
begins. Relocations become annotations on instructions: the map, variable, function or extern that
is meant. Which functions are programs is decided in `programs`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from anybpf.errors import DecodeError, LinkError, ObjectError
from anybpf.isa import opcodes as op
from anybpf.isa.codec import decode
from anybpf.isa.instruction import Instruction
from anybpf.objects import elf as e
from anybpf.objects import sections as s
from anybpf.objects.elf import Relocation, Section, Symbol
from anybpf.objects.sections import ObjectFile, free_name
from anybpf.objects.specs import ExternSpec, Function

SLOT: Final = 8
# Functions that only calls tell of, without a symbol: no more than Linux allows a program to have
# in all (256), so that a small file cannot become very many functions.
MAX_UNNAMED: Final = 256
R_BPF_NONE: Final = 0


class Code:
    """A code section on its way to functions.

    ``wide`` are the slots of 16-byte loads, ascending. ``starts`` holds the symbol of each place
    where a function begins, none where only a call says so; ``aliases`` holds further names of
    such a place. ``relocated`` is 1 for each slot that a relocation points to. ``untyped``: what
    the section begins with has no symbol that says it is a function.
    """

    __slots__ = (
        "aliases", "instructions", "relocated", "relocations", "section", "slots", "starts",
        "untyped", "wide",
    )  # fmt: skip

    def __init__(self, section: Section) -> None:
        self.section: Section = section
        self.instructions: list[Instruction] = []
        self.slots: int = section.size // SLOT
        self.wide: list[int] = []
        self.untyped: bool = False
        self.relocations: list[Relocation] = []
        self.relocated: bytearray = bytearray(section.size // SLOT)
        self.starts: dict[int, Symbol | None] = {}
        self.aliases: dict[int, list[str]] = {}

    def index(self, slot: int) -> int:
        """The number of the instruction that begins at a slot, -1 if none does."""
        if slot < 0 or slot >= self.slots:
            return -1
        before = bisect_left(self.wide, slot)
        if before and self.wide[before - 1] == slot - 1:
            return -1
        return slot - before


def read_functions(obj: ObjectFile) -> list[Code]:
    """Put all functions into the spec, with what they call and refer to."""
    codes: dict[int, Code] = {}
    for section in obj.sections_with(s.CODE):
        codes[section.index] = _decode(obj, section)
    for code in codes.values():
        _starts_by_symbols(obj, code)
    for code in codes.values():
        _starts_by_relocations(obj, code, codes)
    for code in codes.values():
        _starts_by_calls(obj, code)
    _cut(obj, codes)
    for code in codes.values():
        _refer(obj, code)
        code.relocations = []
    return list(codes.values())


def _decode(obj: ObjectFile, section: Section) -> Code:
    if len(section.data) != section.size:
        raise obj.error(section, f"{section.size} bytes of code without contents")
    code = Code(section)
    try:
        code.instructions = decode(section.data, obj.elf.big_endian)
    except DecodeError as error:
        raise obj.error(
            section, f"slot {error.slot}: {error.message}", error.slot * SLOT
        ) from error
    slot = 0
    for insn in code.instructions:
        if insn.opcode == op.LD_IMM64:
            code.wide.append(slot)
            slot += 1
        slot += 1
    for relocation in obj.elf.relocations(section.index):
        # Before BPF had a machine number, compilers had no numbers for its relocations either.
        if relocation.type == R_BPF_NONE and obj.elf.machine != e.MACHINE_NONE:
            continue
        if relocation.offset % SLOT or code.index(relocation.offset // SLOT) < 0:
            raise obj.error(
                section, "a relocation into the middle of an instruction", relocation.offset
            )
        code.relocations.append(relocation)
        code.relocated[relocation.offset // SLOT] = 1
    return code


def _starts_by_symbols(obj: ObjectFile, code: Code) -> None:
    section = code.section
    for symbol in obj.symbols_in.get(section.index, []):
        offset = symbol.value
        if offset >= section.size:
            raise obj.error(
                section,
                f"function {symbol.name} would begin at byte {offset:#x} of the section, which "
                f"has {section.size:#x}",
                section.size,
            )
        if offset + symbol.size > section.size:
            raise obj.error(
                section,
                f"function {symbol.name} would take {symbol.size} bytes from {offset:#x} on, the "
                f"section ends at {section.size:#x}",
                offset,
            )
        _start(obj, code, offset, symbol)
    if 0 not in code.starts:
        first: Symbol | None = None
        for symbol in obj.labels.get(section.index, []):
            if symbol.value == 0:
                first = symbol
                break
        _start(obj, code, 0, first)


def _start(obj: ObjectFile, code: Code, offset: int, symbol: Symbol | None) -> None:
    if offset not in code.starts:
        if offset % SLOT or code.index(offset // SLOT) < 0:
            name = "a function" if symbol is None else f"function {symbol.name}"
            raise obj.error(
                code.section,
                f"{name} would begin at byte {offset:#x} of the section, where no instruction does",
                min(max(offset, 0), code.section.size),
            )
        if symbol is None and offset:
            obj.unnamed += 1
            if obj.unnamed > MAX_UNNAMED:
                raise obj.error(
                    code.section,
                    f"more than {MAX_UNNAMED} places are called that no symbol names",
                    offset,
                )
        code.starts[offset] = symbol
        return
    known = code.starts[offset]
    if symbol is None:
        return
    if known is None:
        code.starts[offset] = symbol
        return
    if _rank(symbol) < _rank(known):
        code.starts[offset] = symbol
        symbol = known
    code.aliases.setdefault(offset, []).append(symbol.name)


def _starts_by_relocations(obj: ObjectFile, code: Code, codes: dict[int, Code]) -> None:
    """Functions that are called or loaded by relocation, named or not."""
    symbols = obj.elf.symbols
    for relocation in code.relocations:
        symbol = symbols[relocation.symbol_index]
        target = codes.get(symbol.section_index)
        if target is None:
            continue
        insn = code.instructions[code.index(relocation.offset // SLOT)]
        offset = _code_target(insn, symbol, relocation)
        if offset in target.starts:
            continue
        if 0 <= offset < target.section.size:
            local = symbol if symbol.value == offset and symbol.kind == e.STT_NOTYPE else None
            _start(obj, target, offset, local)
        else:
            raise obj.error(
                code.section,
                f"slot {relocation.offset // SLOT} refers to byte {offset:#x} of section "
                f"{target.section.name}, which has {target.section.size:#x}",
                relocation.offset,
            )


def _code_target(insn: Instruction, symbol: Symbol, relocation: Relocation) -> int:
    """The byte in the symbol's section that a relocated instruction means."""
    base = symbol.value + relocation.addend
    if insn.opcode == op.LD_IMM64:
        return base + _low_signed(insn)
    # A call counts slots from the next instruction; with a named target that makes -1.
    return base + (int(insn.imm) + 1) * SLOT


def _low_signed(insn: Instruction) -> int:
    low = insn.low
    return low - 0x100000000 if low & 0x80000000 else low


def _starts_by_calls(obj: ObjectFile, code: Code) -> None:
    """Functions that are called within their section, which needs no relocation."""
    slot = 0
    for insn in code.instructions:
        if insn.opcode == op.CALL_IMM or insn.opcode == op.LD_IMM64:
            if (insn.is_local_call or insn.is_function_load) and not code.relocated[slot]:
                target = slot + 1 + _low_signed(insn)
                if target * SLOT not in code.starts:
                    if not 0 <= target < code.slots:
                        raise obj.error(
                            code.section,
                            f"slot {slot} calls slot {target}, the section has slots 0 to "
                            f"{code.slots - 1}",
                            slot * SLOT,
                        )
                    _start(obj, code, target * SLOT, None)
            if insn.opcode == op.LD_IMM64:
                slot += 1
        slot += 1


def _rank(symbol: Symbol) -> int:
    """Which of the symbols of one place names the function: global ones and functions first."""
    return (symbol.binding == e.STB_LOCAL) * 2 + (symbol.kind != e.STT_FUNC)


class _Start:
    """One function to be cut: its section, place and symbol."""

    __slots__ = ("code", "key", "offset", "symbol")

    def __init__(self, code: Code, offset: int, symbol: Symbol | None) -> None:
        self.code: Code = code
        self.offset: int = offset
        self.symbol: Symbol | None = symbol
        self.key: str = ""


def _cut(obj: ObjectFile, codes: dict[int, Code]) -> None:
    starts: list[_Start] = []
    for code in codes.values():
        for offset in sorted(code.starts):
            starts.append(_Start(code, offset, code.starts[offset]))
        first_symbol = code.starts[0]
        code.untyped = first_symbol is None or first_symbol.kind != e.STT_FUNC
        code.starts = {}
    _name(starts)
    for position, start in enumerate(starts):
        code = start.code
        section = code.section
        end = section.size
        if position + 1 < len(starts) and starts[position + 1].code is code:
            end = starts[position + 1].offset
        named = start.symbol
        if named is not None and named.size:
            if start.offset + named.size > end:
                raise obj.error(
                    section,
                    f"function {named.name} of {named.size} bytes runs into the next one, which "
                    f"begins at {end:#x}",
                    start.offset,
                )
            end = start.offset + named.size
        if end % SLOT or (end < section.size and code.index(end // SLOT) < 0):
            raise obj.error(
                section,
                f"function {start.key} would end at byte {end:#x} of the section, in the middle "
                "of an instruction",
                end,
            )
        instructions = code.instructions
        if start.offset or end < section.size:
            first = code.index(start.offset // SLOT)
            last = code.index(end // SLOT) if end < section.size else len(instructions)
            instructions = instructions[first:last]
        function = Function(start.key, section.name, start.offset, instructions)
        if named is not None:
            function.symbol = named.name
            function.is_global = named.binding != e.STB_LOCAL
            function.is_hidden = named.visibility in (e.STV_INTERNAL, e.STV_HIDDEN)
            function.is_weak = named.binding == e.STB_WEAK
            others = code.aliases.get(start.offset)
            if others is not None:
                function.aliases = tuple(others)
        else:
            function.is_global = False
        obj.spec.functions[start.key] = function
        obj.functions_in.setdefault(section.index, []).append(function)


def _name(starts: list[_Start]) -> None:
    """Unique names: global functions have the first choice, places without symbol the last."""
    taken: set[str] = set()
    for wanted in range(3):
        for start in starts:
            named = start.symbol
            rank = 2 if named is None else 1 if named.binding == e.STB_LOCAL else 0
            if rank != wanted:
                continue
            section = start.code.section.name
            name = section if named is None else named.name
            if named is None and start.offset:
                name = f"{section}+{start.offset:#x}"
            start.key = free_name(taken, name, section, start.offset)
            taken.add(start.key)


def _refer(obj: ObjectFile, code: Code) -> None:
    """Annotate each instruction that refers to something, and note who calls whom."""
    for relocation in code.relocations:
        index = code.index(relocation.offset // SLOT)
        _relocate(obj, code, relocation, code.instructions[index])
    section_index = code.section.index
    for function in obj.functions_in.get(section_index, []):
        slot = function.offset // SLOT
        calls: dict[str, None] = {}
        for insn in function.instructions:
            opcode = insn.opcode
            if opcode == op.CALL_IMM:
                if insn.src == op.CALL_LOCAL:
                    if not code.relocated[slot]:
                        insn.reference = _name_at(obj, section_index, slot + 1 + int(insn.imm))
                    calls[insn.reference] = None
            elif opcode == op.LD_IMM64:
                if insn.src == op.PSEUDO_FUNCTION:
                    if not code.relocated[slot]:
                        insn.reference = _name_at(obj, section_index, slot + 1 + _low_signed(insn))
                    calls[insn.reference] = None
                slot += 1
            slot += 1
        if calls:
            function.calls = tuple(calls)


def _name_at(obj: ObjectFile, section_index: int, slot: int) -> str:
    """The name of the function at a slot where one was found to begin."""
    function = obj.function_at(section_index, slot * SLOT)
    assert function is not None
    return function.name


def _relocate(obj: ObjectFile, code: Code, relocation: Relocation, insn: Instruction) -> None:
    symbol = obj.elf.symbols[relocation.symbol_index]
    section_index = symbol.section_index
    if insn.opcode == op.CALL_IMM:
        if section_index == e.SHN_UNDEF:
            _extern_call(obj, code, relocation, symbol, insn)
            return
        called = obj.function_at(section_index, _code_target(insn, symbol, relocation))
        if called is None:
            raise _wrong(obj, code, relocation, symbol, "a call to what is no code")
        insn.src = op.CALL_LOCAL
        insn.reference = called.name
        return
    if insn.opcode != op.LD_IMM64:
        raise _wrong(
            obj, code, relocation, symbol, f"no instruction with opcode {insn.opcode:#04x} can be"
        )
    if section_index == e.SHN_UNDEF:
        _extern_load(obj, code, relocation, symbol, insn)
        return
    maps = obj.map_at.get(section_index)
    addend = _low_signed(insn) + relocation.addend
    if maps is not None:
        key = maps.get(symbol.value + addend)
        if key is None:
            raise _wrong(
                obj, code, relocation, symbol, f"no map begins at byte {symbol.value + addend:#x}"
            )
        insn.src = op.PSEUDO_MAP_FD
        insn.imm = 0
        insn.map_name = key
        return
    key = obj.data_map.get(section_index)
    if key is not None:
        # The upper half is the place in the map's value; both halves are 32 bits.
        place = (symbol.value + addend) & 0xFFFFFFFF
        insn.src = op.PSEUDO_MAP_VALUE
        insn.imm = (place - ((place & 0x80000000) << 1)) * 0x100000000
        insn.map_name = key
        if symbol.kind != e.STT_SECTION:
            insn.reference = symbol.name
        return
    meant = obj.function_at(section_index, _code_target(insn, symbol, relocation))
    if meant is not None:
        insn.src = op.PSEUDO_FUNCTION
        insn.reference = meant.name
        insn.imm = 0
        return
    name = ""
    if section_index < len(obj.elf.sections):
        name = obj.elf.sections[section_index].name
    raise _wrong(
        obj, code, relocation, symbol, f"section {name or section_index} is no map and no data"
    )


def _wrong(
    obj: ObjectFile, code: Code, relocation: Relocation, symbol: Symbol, why: str
) -> ObjectError:
    slot = relocation.offset // SLOT
    return LinkError(
        f"slot {slot} cannot be made to refer to {symbol.name or 'a section'}: {why}",
        file=obj.elf.file,
        section=code.section.name,
        offset=code.section.offset + relocation.offset,
    )


def _extern(obj: ObjectFile, symbol: Symbol) -> ExternSpec:
    """The extern of that name; one that BTF does not describe is added without a section."""
    known = obj.spec.externs.get(symbol.name)
    if known is None:
        known = ExternSpec(symbol.name, "")
        known.is_weak = symbol.binding == e.STB_WEAK
        obj.spec.externs[symbol.name] = known
    return known


def _extern_call(
    obj: ObjectFile, code: Code, relocation: Relocation, symbol: Symbol, insn: Instruction
) -> None:
    if not symbol.name:
        raise _wrong(obj, code, relocation, symbol, "a call to a symbol without name")
    extern = _extern(obj, symbol)
    if extern.section == ".kconfig":
        raise _wrong(obj, code, relocation, symbol, "a configuration value is no function")
    extern.is_function = True
    insn.src = op.CALL_BTF
    insn.imm = 0
    insn.reference = symbol.name


def _extern_load(
    obj: ObjectFile, code: Code, relocation: Relocation, symbol: Symbol, insn: Instruction
) -> None:
    if not symbol.name:
        raise _wrong(obj, code, relocation, symbol, "a load of a symbol without name")
    extern = _extern(obj, symbol)
    insn.reference = symbol.name
    if extern.section == ".kconfig":
        insn.src = op.PSEUDO_MAP_VALUE
        insn.imm = extern.offset * 0x100000000
        insn.map_name = ".kconfig"
    elif extern.type_id:
        insn.src = op.PSEUDO_VARIABLE
        insn.imm = 0
    # An extern without type is an address, which the system supplies as a plain number.
