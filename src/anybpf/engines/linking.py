"""Machine code from an object file to memory where it runs.

Reads the few things that objects of our own compiler consist of, and refuses everything else:
bytes may come from a damaged cache, so every bound is checked, and nothing becomes executable
before all of it was right. Objects of BPF code are the business of anybpf.objects; this reader
imports nothing, since cached programs are to run within a millisecond.

Numbers of ELF are from the System V ABI (gabi 4.1) and its supplements for x86-64 and AArch64.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from anybpf import _core
from anybpf.engines.relocations import MACHINES, Fixup, Machine
from anybpf.errors import LinkError, NotSupported, ObjectError

_HEADER: Final = Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = Struct("<IIQQQQIIQQ")
_SYMBOL: Final = Struct("<IBBHQQ")
_RELOCATION: Final = Struct("<QIIq")

_IDENT: Final = b"\x7fELF\x02\x01\x01"  # 64 bits, little endian, version 1
_RELOCATABLE: Final = 1
_PROGBITS, _SYMTAB, _RELA, _NOTE, _NOBITS, _REL = 1, 2, 4, 7, 8, 9
_X86_UNWIND: Final = 0x70000001
_WRITE, _ALLOC, _EXECUTE, _TLS = 1, 2, 4, 0x400
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1
_FIRST_RESERVED: Final = 0xFF00
_LOCAL: Final = 0

# What no run needs: nobody unwinds through compiled programs.
_LEFT_OUT: Final = (b".eh_frame",)
# Written by a loader, and by nobody after it.
_CONSTANT_WHEN_LINKED: Final = b".data.rel.ro"

_MOST_BYTES: Final = 1 << 26
_MOST_NAME: Final = 256
_MOST_ALIGNMENT: Final = 4096

Resolve = Callable[[str], int]


class Linked:
    """Code that can be run. ``symbols`` are offsets in it of the functions that it defines, by
    name; ``text`` are the offsets of machine code, without what the linker added."""

    __slots__ = ("code", "symbols", "text")

    def __init__(self, code: _core.Code, symbols: dict[str, int], text: range) -> None:
        self.code: _core.Code = code
        self.symbols: dict[str, int] = symbols
        self.text: range = text

    def __repr__(self) -> str:
        return f"<Linked {len(self.text)} bytes of text at {self.code.address:#x}>"


class _Section:
    __slots__ = ("align", "data", "flags", "index", "name", "place", "size")

    def __init__(
        self, index: int, name: bytes, flags: int, size: int, align: int, data: memoryview | None
    ) -> None:
        self.index: int = index
        self.name: bytes = name
        self.flags: int = flags
        self.size: int = size
        self.align: int = align
        self.data: memoryview | None = data  # None: zeroes
        self.place: int = -1  # offset in the code


class Layout:
    """An object, read and laid out, not yet bound to addresses.

    First come text and the stubs of far calls, then constants, then data, each on pages of its
    own. ``relocated`` gives the bytes for an address.
    """

    __slots__ = (
        "_data",
        "_got",
        "_links",
        "_records",
        "_sections",
        "_stubs",
        "_symbols",
        "data_start",
        "machine",
        "size",
        "symbols",
        "text",
        "text_size",
    )

    def __init__(self, data: bytes, machine: Machine, page: int) -> None:
        self.machine: Machine = machine
        self._data: memoryview = memoryview(data).cast("B")
        self._sections: dict[int, _Section] = {}
        # By index: section, value, offset of the name.
        self._symbols: list[tuple[int, int, bytes]] = []
        # Section that is changed, and its records (offset, type, symbol, addend).
        self._links: list[tuple[_Section, list[tuple[int, int, int, int]]]] = []
        self._records: int = 0  # bytes of them read so far: tables may overlap in damaged objects
        self._stubs: dict[int, int] = {}  # by symbol: the offset of its stub
        self._got: dict[int, int] = {}
        self.symbols: dict[str, int] = {}
        self._read()
        self._lay_out(page)

    # Reading.

    def _read(self) -> None:
        data = self._data
        if len(data) < _HEADER.size:
            raise ObjectError(f"an object has {_HEADER.size} bytes at least, not {len(data)}")
        header = _HEADER.unpack_from(data)
        if not header[0].startswith(_IDENT):
            raise ObjectError("this is no 64-bit little-endian ELF file", offset=0)
        if header[1] != _RELOCATABLE:
            raise ObjectError(f"this is no relocatable object but type {header[1]}", offset=16)
        if header[2] != self.machine.number:
            raise ObjectError(
                f"this object is for machine {header[2]}, and {self.machine.name} is "
                f"{self.machine.number}",
                offset=18,
            )
        start, size, count, names = header[6], header[11], header[12], header[13]
        if size != _SECTION.size:
            raise ObjectError(f"section headers have {_SECTION.size} bytes, not {size}", offset=58)
        table = self._bytes(start, size * count, 40, "the section headers")
        rows: list[tuple[int, ...]] = list(_SECTION.iter_unpack(table))
        if names >= len(rows):
            raise ObjectError(f"there is no section {names} with names", offset=62)
        texts = self._bytes(rows[names][4], rows[names][5], start + names * size, "section names")
        for index, row in enumerate(rows):
            if row[2] & _ALLOC:
                self._take_section(index, row, bytes(texts), start + index * size)
        for index, row in enumerate(rows):
            if row[1] == _SYMTAB:
                self._take_symbols(rows, row, start + index * size)
        for index, row in enumerate(rows):
            if row[1] in (_RELA, _REL) and row[7] in self._sections:
                self._take_relocations(row, start + index * size)

    def _bytes(self, offset: int, size: int, where: int, what: str) -> memoryview:
        if offset + size > len(self._data):
            raise ObjectError(
                f"{what} are to be {size} bytes at {offset:#x}, and the object has "
                f"{len(self._data)}",
                offset=where,
            )
        return self._data[offset : offset + size]

    def _take_section(self, index: int, row: tuple[int, ...], names: bytes, where: int) -> None:
        name = _name_at(names, row[0])
        kind, flags, offset, size, align = row[1], row[2], row[4], row[5], row[8] or 1
        if kind in (_NOTE, _X86_UNWIND) or name in _LEFT_OUT:
            return
        text = name.decode(errors="replace")
        if kind not in (_PROGBITS, _NOBITS) or flags & _TLS:
            raise ObjectError(
                f"a section of type {kind:#x} with flags {flags:#x} cannot be linked",
                section=text,
                offset=where,
            )
        if align & (align - 1) or align > _MOST_ALIGNMENT:
            raise ObjectError(f"alignment {align} is none", section=text, offset=where + 48)
        if size > _MOST_BYTES:
            raise ObjectError(f"{size} bytes are too many", section=text, offset=where + 32)
        content = None if kind == _NOBITS else self._bytes(offset, size, where + 24, "contents")
        self._sections[index] = _Section(index, name, flags, size, align, content)

    def _take_symbols(self, rows: list[tuple[int, ...]], row: tuple[int, ...], where: int) -> None:
        if self._symbols:
            raise ObjectError("there is a second symbol table", offset=where)
        if row[6] >= len(rows):
            raise ObjectError(f"there is no section {row[6]} with names", offset=where + 40)
        if row[5] % _SYMBOL.size:
            raise ObjectError(f"{row[5]} bytes are no whole symbols", offset=where + 32)
        strings = rows[row[6]]
        names = bytes(self._bytes(strings[4], strings[5], where, "names of symbols"))
        table = self._bytes(row[4], row[5], where + 24, "symbols")
        for name, info, _, section, value, _ in _SYMBOL.iter_unpack(table):
            text = b""
            if info >> 4 != _LOCAL or section == _UNDEFINED:
                text = _name_at(names, name)
            self._symbols.append((section, value, text))

    def _take_relocations(self, row: tuple[int, ...], where: int) -> None:
        target = self._sections[row[7]]
        name = target.name.decode(errors="replace")
        if row[1] == _REL:
            raise ObjectError("relocations without addends", section=name, offset=where)
        if row[5] % _RELOCATION.size:
            raise ObjectError(
                f"{row[5]} bytes are no whole relocations", section=name, offset=where + 32
            )
        table = self._bytes(row[4], row[5], where + 24, "relocations")
        self._records += row[5]
        if self._records > len(self._data):
            raise ObjectError("there are more relocations than bytes", section=name, offset=where)
        fixups = self.machine.fixups
        records: list[tuple[int, int, int, int]] = []
        for offset, kind, symbol, addend in _RELOCATION.iter_unpack(table):
            fixup = fixups.get(kind)
            if fixup is None:
                raise ObjectError(
                    f"relocation type {kind} of {self.machine.name} is not known", section=name
                )
            if offset + fixup.size > target.size or target.data is None:
                raise ObjectError(
                    f"a relocation at {offset:#x} lies outside of {target.size} bytes",
                    section=name,
                )
            if symbol >= len(self._symbols):
                raise ObjectError(f"there is no symbol {symbol}", section=name)
            records.append((offset, kind, symbol, addend))
            if fixup.by_table:
                self._got.setdefault(symbol, 0)
            elif fixup.is_call and self._symbols[symbol][0] == _UNDEFINED:
                self._stubs.setdefault(symbol, 0)
        self._links.append((target, records))

    # Laying out.

    def _lay_out(self, page: int) -> None:
        sections = self._sections.values()
        text = [s for s in sections if s.flags & _EXECUTE]
        data = [s for s in sections if not s.flags & _EXECUTE and _is_data(s)]
        for section in text:
            if section.flags & _WRITE:
                raise ObjectError(
                    "code that can be written is not linked",
                    section=section.name.decode(errors="replace"),
                )
        others = [s for s in sections if not s.flags & _EXECUTE and not _is_data(s)]
        end = _place(text, 0)
        self.text: range = range(end)
        for symbol in self._stubs:
            end = _round(end, 16)
            self._stubs[symbol] = end
            end += len(self.machine.stub) + 8
        self.text_size: int = _round(end, page)
        end = self.text_size
        for symbol in self._got:
            self._got[symbol] = end
            end += 8
        end = _place(others, end)
        self.data_start: int = _round(end, page)
        self.size: int = _round(_place(data, self.data_start), page)
        if self.size > _MOST_BYTES:
            raise ObjectError(f"{self.size} bytes are too many")
        for index, value, name in self._symbols:
            home = self._sections.get(index)
            if name and home is not None and home.flags & _EXECUTE:
                if value >= home.size:
                    raise ObjectError(
                        f"{name.decode(errors='replace')} lies at {value:#x}, outside",
                        section=home.name.decode(errors="replace"),
                    )
                self.symbols[name.decode(errors="replace")] = home.place + value

    # Binding.

    def relocated(self, address: int, resolve: Resolve) -> bytearray:
        """All bytes, as they are to lie at ``address``."""
        out = bytearray(self.size)
        for section in self._sections.values():
            if section.data is not None:
                out[section.place : section.place + section.size] = section.data
        found: dict[int, int] = {}
        for symbol, place in self._stubs.items():
            value = self._value(symbol, address, resolve, found)
            stub = self.machine.stub + value.to_bytes(8, "little")
            out[place : place + len(stub)] = stub
        for symbol, place in self._got.items():
            value = self._value(symbol, address, resolve, found)
            out[place : place + 8] = value.to_bytes(8, "little")
        fixups = self.machine.fixups
        for section, records in self._links:
            for offset, kind, symbol, addend in records:
                target = found.get(symbol)
                if target is None:
                    target = self._value(symbol, address, resolve, found)
                fixup: Fixup = fixups[kind]
                place = section.place + offset
                if fixup.by_table:
                    target = address + self._got[symbol]
                elif (
                    symbol in self._stubs
                    and fixup.is_call
                    and not fixup.reaches(target + addend - address - place)
                ):
                    target = address + self._stubs[symbol]
                if not fixup.apply(out, place, target + addend, address + place):
                    raise LinkError(
                        f"{self._name(symbol)} at {target:#x} with {addend} cannot be reached "
                        f"from {address + place:#x} by relocation type {kind}",
                        section=section.name.decode(errors="replace"),
                    )
        return out

    def _value(self, symbol: int, address: int, resolve: Resolve, found: dict[int, int]) -> int:
        index, value, name = self._symbols[symbol]
        section = self._sections.get(index)
        if section is not None:
            if value > section.size:
                raise LinkError(f"{self._name(symbol)} lies outside of its section")
            result = address + section.place + value
        elif index == _UNDEFINED and name:
            text = name.decode(errors="replace")
            try:
                result = resolve(text)
            except LookupError as error:
                raise LinkError(f"{text} is not defined: {error}") from None
            if not 0 <= result < 1 << 64:
                raise LinkError(f"{text} is to lie at {result:#x}, which is no address")
        elif index == _ABSOLUTE:
            result = value
        else:
            raise LinkError(f"{self._name(symbol)} is not in what is linked (section {index})")
        found[symbol] = result
        return result

    def _name(self, symbol: int) -> str:
        return self._symbols[symbol][2].decode(errors="replace") or f"symbol {symbol}"


def _name_at(names: bytes, offset: int) -> bytes:
    """The name that begins there; empty if none ends within what names may have."""
    return names[offset : max(offset, names.find(b"\0", offset, offset + _MOST_NAME))]


def _is_data(section: _Section) -> bool:
    return bool(section.flags & _WRITE) and not section.name.startswith(_CONSTANT_WHEN_LINKED)


def _round(value: int, to: int) -> int:
    return (value + to - 1) & -to


def _place(sections: list[_Section], start: int) -> int:
    for section in sections:
        section.place = _round(start, section.align)
        start = section.place + section.size
    return start


def link(data: bytes, resolve: Resolve) -> Linked:
    """The object's code, in memory of this process and ready to run.

    ``resolve`` has the addresses of what the object does not define, by name, and raises
    LookupError for what it does not know. :class:`ObjectError` if the bytes are no object that can
    be linked, :class:`LinkError` if a name leads nowhere.
    """
    layout = Layout(data, own_machine(), _core.PAGE_SIZE)
    code = _core.Code(max(layout.size, 1))
    code.write(0, layout.relocated(code.address, resolve))
    try:
        code.seal(layout.text_size, layout.data_start)
    except OSError as error:
        raise NotSupported(
            f"code made at run time ({error.strerror or error})", where="this system"
        ) from error
    return Linked(code, layout.symbols, layout.text)


def own_machine() -> Machine:
    """The machine that this process runs on; :class:`NotSupported` if it is no known one."""
    found = MACHINES.get(_core.MACHINE)
    if found is None:
        raise NotSupported("running compiled programs", where="this kind of processor")
    return found
