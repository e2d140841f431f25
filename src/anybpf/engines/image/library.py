"""A shared library from the objects of programs, without a linker on the machine.

The library is one that every system's tools know (dlopen, nm -D, objdump -d, readelf -a), though
anybpf itself loads it without any of them. All references inside are relative to the place of the
instruction and settled here; what is outside is reached by ``anybpf_imports[]``, a table of
addresses that whoever loads the library fills in. What the cells mean is said in the image table.

Numbers of ELF are from the System V ABI (gabi 4.1); how processors refer to addresses is told by
``anybpf.engines.relocations``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from anybpf.engines.image.parts import UNDEFINED, Parts, Piece
from anybpf.engines.relocations import MACHINES, Absolute, Address, Low12, Machine
from anybpf.errors import CompileError, NotSupported

# Under these names the table of addresses and the image table are found.
IMPORTS: Final = "anybpf_imports"
TABLE: Final = "anybpf_image"
TABLE_SECTION: Final = ".anybpf"

_HEADER: Final = Struct("<16sHHIQQQIHHHHHH")
_SEGMENT: Final = Struct("<IIQQQQQQ")
_SECTION: Final = Struct("<IIQQQQIIQQ")
_SYMBOL: Final = Struct("<IBBHQQ")
_DYNAMIC: Final = Struct("<QQ")
_SHARED: Final = 3
_LOAD, _DYNAMIC_SEGMENT, _STACK = 1, 2, 0x6474E551
_X, _W, _R = 1, 2, 4
# Pages that the code of a machine may find: AArch64 has systems with up to 64 KiB.
_PAGES: Final = {"x86_64": 0x1000, "aarch64": 0x10000}
_CELL: Final = 8
_SECTION_NAMES: Final = (
    "", ".hash", ".dynsym", ".dynstr", ".text", ".rodata", ".dynamic", ".data", TABLE_SECTION,
    ".shstrtab",
)  # fmt: skip
_LOADS: Final = 5
_SEGMENTS: Final = _LOADS + 2
_GLOBAL_DATA, _GLOBAL_FUNCTION = 0x11, 0x12


class Block:
    """One program's part of a library.

    ``imports`` are the names behind the cells of the program's own ``anybpf_imports``; what the
    object refers to besides gets cells behind them. ``exports`` are the names in the library of
    symbols of the object.
    """

    __slots__ = ("cells", "exports", "first_cell", "imports", "parts")

    def __init__(
        self, name: str, data: bytes, imports: Sequence[str], exports: dict[str, str]
    ) -> None:
        self.parts: Parts = Parts(name, data)
        self.imports: list[str] = list(imports)
        self.exports: dict[str, str] = exports
        self.first_cell: int = 0
        self.cells: dict[str, int] = {}  # of what is not in `imports`
        for symbol in self.parts.undefined():
            if symbol != IMPORTS and symbol not in self.cells:
                self.cells[symbol] = len(self.imports) + len(self.cells)

    @property
    def names(self) -> list[str]:
        """What the cells of this program stand for, in order."""
        return [*self.imports, *self.cells]


class Place:
    """Where something lies: in the file, and as an address of the library."""

    __slots__ = ("address", "offset", "size")

    def __init__(self, offset: int, address: int, size: int) -> None:
        self.offset: int = offset
        self.address: int = address
        self.size: int = size


class Library:
    """A library on its way to be bytes. ``symbols`` are the addresses of what is exported."""

    def __init__(self, machine: str, blocks: Sequence[Block]) -> None:
        found = MACHINES.get(machine)
        if found is None or machine not in _PAGES:
            raise NotSupported(
                f"compiling ahead for {machine or '(no processor)'}", where=" and ".join(MACHINES)
            )
        self.machine: Machine = found
        self.page: int = _PAGES[machine]
        self.blocks: list[Block] = list(blocks)
        self._stubs: dict[int, int] = {}  # by cell: the place of the jump to what is in it
        count = 0
        for block in self.blocks:
            if block.parts.machine != found.number:
                raise block.parts.problem(
                    f"is for machine {block.parts.machine}, not {found.number}"
                )
            block.first_cell = count
            count += len(block.names)
        self.cells: int = count
        exports = [name for block in self.blocks for name in block.exports.values()]
        if len(set(exports)) != len(exports):
            raise CompileError("two programs are to be exported under one name")
        # Names, sections (of the library) and symbols of the object, in the order of the table.
        self._exported: list[str] = [*exports, IMPORTS, TABLE]
        self.symbols: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._lay_out()

    # Where everything lies.

    def _lay_out(self) -> None:
        self._strings: bytes = b"\0" + b"".join(name.encode() + b"\0" for name in self._exported)
        count = len(self._exported) + 1
        buckets = 1 + count // 2
        offset = _HEADER.size + _SEGMENT.size * _SEGMENTS
        self.hash: Place = self._at(offset, 4 * (2 + buckets + count), 0, 8)
        self.dynsym: Place = self._after(self.hash, _SYMBOL.size * count, 0, 8)
        self.dynstr: Place = self._after(self.dynsym, len(self._strings), 0, 1)
        self.text: Place = self._after(self.dynstr, 0, 1, 64)
        self.text.size = self._place_pieces(self.text.address, True)
        self.rodata: Place = self._after(self.text, 0, 2, 64)
        self.rodata.size = self._place_pieces(self.rodata.address, False)
        self.dynamic: Place = self._after(self.rodata, _DYNAMIC.size * 6, 3, 16)
        self.imports: Place = self._after(self.dynamic, _CELL * self.cells, 3, 16)
        self.table: Place = self._after(self.imports, 0, 4, 16)
        self._name_places()

    def _at(self, offset: int, size: int, segment: int, align: int) -> Place:
        offset = _round(offset, align)
        # Addresses are offsets, with a page between segments: so no page is in two of them.
        return Place(offset, offset + segment * self.page, size)

    def _after(self, place: Place, size: int, segment: int, align: int) -> Place:
        return self._at(place.offset + place.size, size, segment, align)

    def _pieces(self, is_text: bool) -> list[Piece]:
        return [
            piece
            for block in self.blocks
            for piece in block.parts.pieces.values()
            if piece.is_text == is_text
        ]

    def _place_pieces(self, start: int, is_text: bool) -> int:
        end = start
        for piece in self._pieces(is_text):
            if piece.align > self.page:
                raise CompileError(f"{piece.name} is to be aligned to {piece.align} bytes")
            piece.place = _round(end, piece.align)
            end = piece.place + len(piece.data)
        if is_text:
            end = self._place_stubs(_round(end, 16))
        return end - start

    def _place_stubs(self, end: int) -> int:
        """Calls go to a jump of ours, from where what is called is reached by its cell."""
        for block in self.blocks:
            for piece in block.parts.pieces.values():
                for _, kind, symbol, _ in piece.relocations:
                    fixup = self.machine.fixups.get(kind)
                    name, section, _, _ = block.parts.symbols[symbol]
                    if fixup is None or not fixup.is_call or section != UNDEFINED:
                        continue
                    cell = block.cells.get(name)
                    if cell is not None and block.first_cell + cell not in self._stubs:
                        self._stubs[block.first_cell + cell] = end
                        end += 16
        return end

    def _name_places(self) -> None:
        for block in self.blocks:
            for symbol, name in block.exports.items():
                found = block.parts.defined(symbol)
                if found is None:
                    raise block.parts.problem(f"does not define {symbol}")
                section, value, size = found
                self.symbols[name] = block.parts.pieces[section].place + value
                self._sizes[name] = size
        self.symbols[IMPORTS] = self.imports.address
        self._sizes[IMPORTS] = self.imports.size
        self.symbols[TABLE] = self.table.address

    def cell(self, number: int) -> int:
        """The address of a cell of the imports."""
        return self.imports.address + _CELL * number

    # The bytes.

    def write(self, make_table: Callable[[int, int], bytes]) -> bytes:
        """The file. ``make_table`` gives the image table; it is told where it begins in the file,
        and how many bytes follow it."""
        names = b"".join(name.encode() + b"\0" for name in _SECTION_NAMES)
        tail_size = len(names) + 16 + _SECTION.size * len(_SECTION_NAMES)
        table = make_table(self.table.offset, tail_size)
        self.table.size = len(table)
        self._sizes[TABLE] = len(table)
        names_at = self.table.offset + len(table)
        sections_at = _round(names_at + len(names), 8)
        out = bytearray(self.table.offset)
        self._write_loaded(out)
        out += table + names
        out += bytes(sections_at - len(out))
        out += self._section_headers(names_at, len(names))
        out += bytes(names_at + tail_size - len(out))
        out[: _HEADER.size] = _HEADER.pack(
            b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), _SHARED, self.machine.number, 1, 0,
            _HEADER.size, sections_at, 0, _HEADER.size, _SEGMENT.size, _SEGMENTS, _SECTION.size,
            len(_SECTION_NAMES), len(_SECTION_NAMES) - 1,
        )  # fmt: skip
        return bytes(out)

    def _write_loaded(self, out: bytearray) -> None:
        segments = self._segments()
        _put(out, _HEADER.size, segments)
        _put(out, self.hash.offset, self._hash())
        _put(out, self.dynsym.offset, self._symbol_table())
        _put(out, self.dynstr.offset, self._strings)
        for is_text, place in ((True, self.text), (False, self.rodata)):
            shift = place.address - place.offset
            for piece in self._pieces(is_text):
                _put(out, piece.place - shift, piece.data)
        for block in self.blocks:
            for piece in block.parts.pieces.values():
                self._relocate(out, block, piece)
        for cell, place_of_stub in self._stubs.items():
            shift = self.text.address - self.text.offset
            _put(out, place_of_stub - shift, self._stub(place_of_stub, self.cell(cell)))
        _put(out, self.dynamic.offset, self._dynamic())

    def _relocate(self, out: bytearray, block: Block, piece: Piece) -> None:
        home = self.text if piece.is_text else self.rodata
        shift = home.address - home.offset
        for offset, kind, symbol, addend in piece.relocations:
            name, section, value, _ = block.parts.symbols[symbol]
            fixup = self.machine.fixups.get(kind)
            place = piece.place + offset
            if fixup is None or isinstance(fixup, Absolute):
                raise block.parts.problem(
                    f"refers to {name or 'an address'} by relocation type {kind}, which has no "
                    "place in position-independent code"
                )
            if section != UNDEFINED:
                home_piece = block.parts.pieces.get(section)
                if home_piece is None or fixup.by_table:
                    raise block.parts.problem(f"refers to {name or f'symbol {symbol}'}")
                target = home_piece.place + value
            elif name == IMPORTS and not fixup.by_table:
                target = self.cell(block.first_cell)
            elif name in block.cells:
                cell = block.first_cell + block.cells[name]
                if fixup.by_table:
                    target = self.cell(cell)
                elif fixup.is_call:
                    target = self._stubs[cell]
                else:
                    raise block.parts.problem(f"refers to {name} as if it were near")
            else:
                raise block.parts.problem(f"refers to {name or f'symbol {symbol}'}")
            if not fixup.apply(out, place - shift, target + addend, place):
                raise block.parts.problem(f"cannot reach {name} from {place:#x}")

    def _stub(self, place: int, cell: int) -> bytes:
        if self.machine.name == "x86_64":
            # jmp *cell(%rip)
            return b"\xff\x25" + (cell - place - 6).to_bytes(4, "little", signed=True)
        # adrp x16, cell; ldr x16, [x16, cell]; br x16
        code = bytearray(bytes.fromhex("10000090 100240f9 00021fd6"))
        Address(12).apply(code, 0, cell, place)
        Low12(3).apply(code, 4, cell, place + 4)
        return bytes(code)

    def _segments(self) -> bytes:
        last = self.imports
        rows = [
            (_LOAD, _R, 0, 0, self.dynstr.offset + self.dynstr.size),
            (_LOAD, _R | _X, self.text.offset, self.text.address, self.text.size),
            (_LOAD, _R, self.rodata.offset, self.rodata.address, self.rodata.size),
            (
                _LOAD, _R | _W, self.dynamic.offset, self.dynamic.address,
                last.offset + last.size - self.dynamic.offset,
            ),
            (_LOAD, _R, self.table.offset, self.table.address, self.table.size),
            (
                _DYNAMIC_SEGMENT, _R | _W, self.dynamic.offset, self.dynamic.address,
                self.dynamic.size,
            ),
        ]  # fmt: skip
        out = b""
        for kind, flags, offset, address, size in rows:
            align = self.page if kind == _LOAD else 8
            out += _SEGMENT.pack(kind, flags, offset, address, address, size, size, align)
        # The stack of whoever loads it need not be executable.
        return out + _SEGMENT.pack(_STACK, _R | _W, 0, 0, 0, 0, 0, 16)

    def _symbol_table(self) -> bytes:
        out = bytes(_SYMBOL.size)
        at = 1
        for name in self._exported:
            section, info = 4, _GLOBAL_FUNCTION
            if name in (IMPORTS, TABLE):
                section, info = (7 if name == IMPORTS else 8), _GLOBAL_DATA
            out += _SYMBOL.pack(at, info, 0, section, self.symbols[name], self._sizes[name])
            at += len(name.encode()) + 1
        return out

    def _hash(self) -> bytes:
        """The symbols' hash table, as gabi describes it."""
        count = len(self._exported) + 1
        buckets = 1 + count // 2
        heads, chains = [0] * buckets, [0] * count
        for index, name in enumerate(self._exported, 1):
            bucket = _hash_of(name.encode()) % buckets
            chains[index] = heads[bucket]
            heads[bucket] = index
        words = [buckets, count, *heads, *chains]
        return b"".join(word.to_bytes(4, "little") for word in words)

    def _dynamic(self) -> bytes:
        rows = [
            (4, self.hash.address),  # DT_HASH
            (5, self.dynstr.address),  # DT_STRTAB
            (6, self.dynsym.address),  # DT_SYMTAB
            (10, self.dynstr.size),  # DT_STRSZ
            (11, _SYMBOL.size),  # DT_SYMENT
            (0, 0),
        ]
        return b"".join(_DYNAMIC.pack(*row) for row in rows)

    def _section_headers(self, names_at: int, names_size: int) -> bytes:
        places = [
            # type, flags, place, link, info, align, entry size
            (5, 2, self.hash, 2, 0, 8, 4),
            (11, 2, self.dynsym, 3, 1, 8, _SYMBOL.size),
            (3, 2, self.dynstr, 0, 0, 1, 0),
            (1, 6, self.text, 0, 0, 64, 0),
            (1, 2, self.rodata, 0, 0, 64, 0),
            (6, 3, self.dynamic, 3, 0, 16, _DYNAMIC.size),
            (1, 3, self.imports, 0, 0, 16, _CELL),
            (1, 2, self.table, 0, 0, 16, 0),
            (3, 0, Place(names_at, 0, names_size), 0, 0, 1, 0),
        ]
        out = bytes(_SECTION.size)
        at = 1
        for name, (kind, flags, place, link, info, align, entry) in zip(
            _SECTION_NAMES[1:], places, strict=True
        ):
            out += _SECTION.pack(
                at, kind, flags, place.address, place.offset, place.size, link, info, align, entry
            )
            at += len(name) + 1
        return out


def has_addresses(parts: Parts) -> bool:
    """Whether the object's constants hold addresses, which depend on where it will lie."""
    for machine in MACHINES.values():
        if machine.number == parts.machine:
            return any(
                isinstance(machine.fixups.get(kind), Absolute)
                for piece in parts.pieces.values()
                for _, kind, _, _ in piece.relocations
            )
    return False


def _hash_of(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value


def _round(value: int, to: int) -> int:
    return (value + to - 1) & -to


def _put(out: bytearray, offset: int, data: bytes) -> None:
    out[offset : offset + len(data)] = data
