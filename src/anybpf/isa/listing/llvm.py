"""The listing of ``llvm-objdump -d``, to the character (LLVM 19).

Written from bytes, because LLVM's disassembler is looser than the instruction set: it ignores most
reserved fields, shows what it cannot decode as ``<unknown>``, folds runs of zero bytes and prints
data symbols as a hex dump. `section_lines` is one section, `file_lines` the whole output.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from anybpf.errors import NotFound, ObjectError
from anybpf.isa import opcodes as op
from anybpf.isa import text

_FORMS: Final = text.FORMS
_OPERATORS: Final = text.OPERATORS
_NAMES: Final = text.NAMES
_REGISTERS: Final = text.REGISTERS
_SUBREGISTERS: Final = text.SUBREGISTERS

_LAST_REGISTER: Final = 11  # LLVM has a stack pointer r11 of its own
_ADDRESS_MASK: Final = 0xFFFFFFFFFFFFFFFF
_SMALL: Final = 1024
_HEX: Final = tuple([f"0x{number:x}" for number in range(_SMALL)])
# What stands before a slot number of so many digits; a 64-bit address has 19 at most.
_PADDING: Final = tuple([" " * max(8 - digits, 0) for digits in range(21)])
_ZEROS_WORTH_FOLDING: Final = 8

# Numbers of the ELF symbol table that matter here: System V ABI, chapter 4.
_TYPE_OBJECT: Final = 1
_TYPE_FUNCTION: Final = 2
_TYPE_SECTION: Final = 3
_TYPE_FILE: Final = 4
_TYPE_COMMON: Final = 5
_SHT_PROGBITS: Final = 1
_SHF_EXECINSTR: Final = 4
_FIRST_RESERVED_SECTION: Final = 0xFF00
_MACHINE_BPF: Final = 247


class ElfSection(Protocol):
    """What a listing needs of an ELF section."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def data(self) -> memoryview: ...


class ElfSymbol(Protocol):
    """What a listing needs of an ELF symbol."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def section_index(self) -> int: ...


class ElfView(Protocol):
    """What `file_lines` needs of an ELF file; `anybpf.objects.elf.ElfFile` is one."""

    @property
    def machine(self) -> int: ...
    @property
    def big_endian(self) -> bool: ...
    @property
    def sections(self) -> Sequence[ElfSection]: ...
    @property
    def symbols(self) -> Sequence[ElfSymbol]: ...


def file_lines(elf: ElfView, file: str, section: str = "", symbol: str = "") -> list[str]:
    """All that ``llvm-objdump -d file`` prints for ``elf``, as lines without their ends.

    ``section`` and ``symbol`` narrow it down, as ``--section`` and ``--disassemble-symbols`` do;
    :class:`NotFound` where there is no such code.

    Code sections in the order of the file; empty ones are passed over, as are symbols of kinds
    section and file and nameless ones. A file without BPF's machine number, as compilers once
    made them, is listed as LLVM does when it is told ``--triple=bpf``.
    """
    by_section = _symbols_by_section(elf, file)
    kind = "bpf" if elf.machine == _MACHINE_BPF else "unknown"
    lines = ["", f"{file}:\tfile format elf64-{kind}"]
    found = not section and not symbol
    names: list[str] = []
    for number, each in enumerate(elf.sections):
        if each.type != _SHT_PROGBITS or not each.flags & _SHF_EXECINSTR or not len(each.data):
            continue
        symbols = by_section.get(number, [])
        names += [name for _, name, _ in symbols] if symbol else [each.name]
        if section and each.name != section:
            continue
        listed = section_lines(
            each.name,
            bytes(each.data),
            symbols,
            address=each.address,
            big_endian=elf.big_endian,
            only=symbol,
        )
        lines += listed
        found = found or bool(listed)
    if not found:
        what = f"symbol {symbol}" if symbol else f"code section {section}"
        raise NotFound(f"{file}: no {what}; there are: {', '.join(names) or 'none'}")
    return lines


def _symbols_by_section(elf: ElfView, file: str) -> dict[int, list[tuple[int, str, int]]]:
    """The symbols that are shown: offset, name and type, by section index."""
    by_section: dict[int, list[tuple[int, str, int]]] = {}
    first = True
    for symbol in elf.symbols:
        if first:  # the table's first entry is no symbol
            first = False
            continue
        index = symbol.section_index
        if index == 0 or index >= _FIRST_RESERVED_SECTION:
            continue
        if index >= len(elf.sections):
            raise ObjectError(f"symbol {symbol.name}: invalid section index: {index}", file=file)
        if symbol.name and symbol.kind != _TYPE_SECTION and symbol.kind != _TYPE_FILE:
            by_section.setdefault(index, []).append((symbol.value, symbol.name, symbol.kind))
    return by_section


def section_lines(
    name: str,
    data: bytes,
    symbols: Iterable[tuple[int, str, int]] = (),
    *,
    address: int = 0,
    big_endian: bool = False,
    only: str = "",
) -> list[str]:
    """A section's listing, from its blank line and headline on; nothing for an empty one.

    ``symbols`` are offset in the section, name and ELF type of each; of these, only the code
    under the symbol ``only`` is listed if that is given.

    >>> print(*section_lines("xdp", bytes.fromhex("95" + "00" * 7), [(0, "pass", 2)]), sep="\\n")
    <BLANKLINE>
    Disassembly of section xdp:
    <BLANKLINE>
    0000000000000000 <pass>:
           0:	95 00 00 00 00 00 00 00	exit
    """
    size = len(data)
    if size == 0:
        return []
    here = sorted([(address + offset, symbol, kind) for offset, symbol, kind in symbols])
    if not here or here[0][0] != 0:
        here.insert(0, (address, name, _TYPE_FUNCTION))
    addresses = [symbol[0] for symbol in here]
    names = [symbol[1] for symbol in here]
    lines: list[str] = ["", f"Disassembly of section {name}:"]
    count = len(here)
    index = 0
    while index < count:
        start = addresses[index]
        shown = ""
        last = ""
        wanted = not only
        while index < count and addresses[index] == start:
            last = names[index]
            wanted = wanted or last == only
            if here[index][2] not in (_TYPE_OBJECT, _TYPE_COMMON):
                shown = last
            index += 1
        end = addresses[index] if index < count else address + size
        end = min(end, address + size)
        if start < address or start >= end or not wanted:
            continue
        lines.append("")
        lines.append(f"{start:016x} <{only or shown or last}>:")
        if shown:
            _code(
                lines, data, start - address, end - address, address, big_endian, addresses, names
            )
        else:
            _dump(lines, data, start - address, end - address, address)
    return lines if len(lines) > 2 else []


def code_lines(data: bytes, big_endian: bool = False, name: str = "") -> list[str]:
    """Only the lines of the instructions; jump targets count from ``name`` if there is one.

    >>> print(*code_lines(bytes.fromhex("b700000007000000")))
           0:	b7 00 00 00 07 00 00 00	r0 = 0x7
    """
    lines: list[str] = []
    _code(lines, data, 0, len(data), 0, big_endian, [0] if name else [], [name] if name else [])
    return lines


def _code(
    lines: list[str],
    data: bytes,
    start: int,
    end: int,
    address: int,
    big_endian: bool,
    addresses: list[int],
    names: list[str],
) -> None:
    size = len(data)
    index = start
    append = lines.append
    while index < end:
        opcode: int = data[index]
        if opcode == 0:
            zeros = _leading_zeros(data, index, end)
            if zeros >= _ZEROS_WORTH_FOLDING:
                append("\t\t...")
                index += zeros - zeros % 4
                continue
        number = str((address + index) >> 3)
        pad = _PADDING[len(number)]
        after = index + 8
        if after > size:
            append(f"{pad}{number}:\t{data[index]:02x}\t<unknown>")
            index += 1
            continue
        regs: int = data[index + 1]
        if big_endian:
            dst = regs >> 4
            src = regs & 15
            offset = data[index + 2] << 8 | data[index + 3]
        else:
            dst = regs & 15
            src = regs >> 4
            offset = data[index + 2] | data[index + 3] << 8
        if offset >= 0x8000:
            offset -= 0x10000
        imm = _word(data, index + 4, big_endian)
        if opcode == op.LD_IMM64 and offset == 0 and dst <= _LAST_REGISTER:
            after = index + 16
            if after > size:
                append(f"{pad}{number}:\t{data[index]:02x}\t<unknown>")
                index += 1
                continue
            imm = (imm & 0xFFFFFFFF) + _word(data, index + 12, big_endian) * 0x100000000
        words = instruction_text(opcode, dst, src, offset, imm) or "<unknown>"
        raw = data[index:after].hex(" ")
        form = _FORMS[opcode]
        if text.JUMP_IMM <= form <= text.JUMP_MAYBE and addresses and words != "<unknown>":
            distance = imm if form == text.JUMP_LONG else offset
            target = _target((address + after + distance * 8) & _ADDRESS_MASK, addresses, names)
            append(f"{pad}{number}:\t{raw}\t{words}{target}")
        else:
            append(f"{pad}{number}:\t{raw}\t{words}")
        index = after


def _word(data: bytes, index: int, big_endian: bool) -> int:
    """The signed 32-bit number at ``index``."""
    if big_endian:
        value = data[index] << 24 | data[index + 1] << 16 | data[index + 2] << 8 | data[index + 3]
    else:
        value = data[index] | data[index + 1] << 8 | data[index + 2] << 16 | data[index + 3] << 24
    return value - 0x100000000 if value >= 0x80000000 else value


def _target(target: int, addresses: list[int], names: list[str]) -> str:
    """A jump's target as LLVM says it: the nearest symbol before it, and how far behind that."""
    which = bisect_right(addresses, target) - 1
    if which < 0:
        return ""
    beyond = target - addresses[which]
    name = names[which]
    return f" <{name}+{_hex(beyond)}>" if beyond else f" <{name}>"


def _leading_zeros(data: bytes, start: int, end: int) -> int:
    index = start
    while index < end and data[index] == 0:
        index += 1
    return index - start


def _dump(lines: list[str], data: bytes, start: int, end: int, address: int) -> None:
    """Bytes under a data symbol: eight a line, in hexadecimal and as characters."""
    for index in range(start, end, 8):
        piece = data[index : min(index + 8, end)]
        characters = "".join([chr(byte) if 32 <= byte < 127 else "." for byte in piece])
        lines.append(f"{address + index:8x}: {piece.hex(' '):<23}         {characters}")


def _hex(number: int) -> str:
    if 0 <= number < _SMALL:
        return _HEX[number]
    return f"0x{number:x}" if number >= 0 else f"-0x{-number:x}"


def _place(base: int, offset: int) -> str:
    """An address such as ``r10 - 0x8``."""
    if offset >= 0:
        return f"{_REGISTERS[base]} + {_hex(offset)}"
    return f"{_REGISTERS[base]} - {_hex(-offset)}"


def instruction_text(opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    """What LLVM calls an instruction, or '' for what it does not know.

    >>> instruction_text(0x61, 1, 10, -8, 0)
    'r1 = *(u32 *)(r10 - 0x8)'
    """
    form = _FORMS[opcode]
    if form == text.ALU_REG or form == text.MOVE_REG:
        names = _NAMES[opcode]
        if dst > _LAST_REGISTER or src > _LAST_REGISTER:
            return ""
        if offset == 0:
            return f"{names[dst]} {_OPERATORS[opcode]} {names[src]}"
        if form == text.MOVE_REG:
            return _unusual_move(opcode, dst, src, offset, imm)
        sign = text.SIGNED_ASSIGNMENTS.get(opcode & op.OP_MASK)
        return f"{names[dst]} {sign} {names[src]}" if sign and offset == 1 else ""
    if form == text.ALU_IMM:
        names = _NAMES[opcode]
        if dst > _LAST_REGISTER:
            return ""
        if offset == 0:
            return f"{names[dst]} {_OPERATORS[opcode]} {_hex(imm)}"
        sign = text.SIGNED_ASSIGNMENTS.get(opcode & op.OP_MASK)
        return f"{names[dst]} {sign} {_hex(imm)}" if sign and offset == 1 else ""
    if form == text.LOAD:
        if dst > _LAST_REGISTER or src > _LAST_REGISTER:
            return ""
        return f"{_REGISTERS[dst]} = *({_OPERATORS[opcode]} *)({_place(src, offset)})"
    if form == text.STORE:
        if dst > _LAST_REGISTER or src > _LAST_REGISTER:
            return ""
        return f"*({_OPERATORS[opcode]} *)({_place(dst, offset)}) = {_REGISTERS[src]}"
    if form == text.JUMP_IMM:
        if dst > _LAST_REGISTER:
            return ""
        left = f"if {_NAMES[opcode][dst]} {_OPERATORS[opcode]}"
        return f"{left} {_hex(imm)} goto {_distance(offset)}"
    if form == text.JUMP_REG:
        if dst > _LAST_REGISTER or src > _LAST_REGISTER:
            return ""
        names = _NAMES[opcode]
        left = f"if {names[dst]} {_OPERATORS[opcode]}"
        return f"{left} {names[src]} goto {_distance(offset)}"
    if form == text.LOAD_64:
        if dst > _LAST_REGISTER or offset != 0:
            return ""
        if src == 0:
            return f"{_REGISTERS[dst]} = {_hex(imm)} ll"
        # Of the immediate LLVM shows the lower half only.
        return f"ld_pseudo\t{_REGISTERS[dst]}, {_hex(src)}, {_hex(imm & 0xFFFFFFFF)}"
    if form == text.CALL:
        return f"call {_hex(imm)}"
    if form == text.JUMP:
        return f"goto {_distance(offset)}"
    if form == text.RETURN:
        return "exit" if imm == 0 else ""
    return _rare(form, opcode, dst, src, offset, imm)


def _distance(slots: int) -> str:
    return f"+{_hex(slots)}" if slots >= 0 else _hex(slots)


def _unusual_move(opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    """Moves that extend a sign or cast an address space."""
    names = _NAMES[opcode]
    wide = opcode & op.CLASS_MASK == op.ALU64
    if offset in (8, 16) or (offset == 32 and wide):
        return f"{names[dst]} = (s{offset}){names[src]}"
    if offset == op.ADDRESS_SPACE_CAST and wide:
        spaces = f"{_hex((imm >> 16) & 0xFFFF)}, {_hex(imm & 0xFFFF)}"
        return f"{names[dst]} = addr_space_cast({names[src]}, {spaces})"
    return ""


def _rare(form: int, opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    if form == text.STORE_IMM:
        if dst > _LAST_REGISTER:
            return ""
        return f"*({_OPERATORS[opcode]} *)({_place(dst, offset)}) = {_hex(imm)}"
    if form == text.ATOMIC:
        if dst > _LAST_REGISTER or src > _LAST_REGISTER:
            return ""
        return _atomic(opcode, dst, src, offset, imm)
    if form == text.NEGATE:
        name = _NAMES[opcode][dst]
        return f"{name} = -{name}" if dst <= _LAST_REGISTER else ""
    if form == text.SWAP:
        if dst > _LAST_REGISTER or imm not in (16, 32, 64):
            return ""
        return f"{_REGISTERS[dst]} = {_OPERATORS[opcode]}{imm} {_REGISTERS[dst]}"
    if form == text.JUMP_LONG:
        return "gotol " + _distance(imm)
    if form == text.JUMP_MAYBE:
        return "may_goto " + _distance(offset)
    if form == text.CALL_REGISTER:
        return "callx " + _REGISTERS[dst] if dst <= _LAST_REGISTER else ""
    if form == text.LOAD_PACKET:
        return f"r0 = *({_OPERATORS[opcode]} *)skb[{_hex(imm)}]"
    if form == text.LOAD_PACKET_REG and src <= _LAST_REGISTER:
        return f"r0 = *({_OPERATORS[opcode]} *)skb[{_REGISTERS[src]}]"
    return ""


def _atomic(opcode: int, dst: int, src: int, offset: int, imm: int) -> str:
    """LLVM looks at the low eight bits of the operation, and without 32-bit registers (which
    it does not assume for a file) knows no other 32-bit one than addition."""
    size = opcode & op.SIZE_MASK
    operation = imm & 0xF0
    place = _place(dst, offset)
    name = _REGISTERS[src]
    if size == op.W:
        return f"lock *(u32 *)({place}) += {name}" if operation == op.ATOMIC_ADD else ""
    if size != op.DW:
        return ""
    fetch = imm & 0x0F == op.FETCH
    if operation in text.ATOMIC_WORDS:
        if fetch:
            return f"{name} = atomic_fetch_{text.ATOMIC_WORDS[operation]}((u64 *)({place}), {name})"
        return f"lock *(u64 *)({place}) {text.ATOMIC_ASSIGNMENTS[operation]} {name}"
    if fetch and operation == op.ATOMIC_XCHG & 0xF0:
        return f"{name} = xchg_64({place}, {name})"
    if fetch and operation == op.ATOMIC_CMPXCHG & 0xF0:
        return f"r0 = cmpxchg_64({place}, r0, {name})"
    return ""
