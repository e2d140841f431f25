"""BTF as a container: types by id and by name, strings by offset, on top of a base if split.

Parsing only finds where each record starts; a type becomes an object when it is asked for, so
that the hundred thousand types of a kernel cost next to nothing. Meaning (sizes, C text, CO-RE)
lives in the modules beside this one.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from struct import Struct as Layout
from typing import Final

from anybpf.btf import types as t
from anybpf.btf.decode import TypeDecoder, record_words
from anybpf.btf.flavours import essential_name
from anybpf.btf.strings import StringTable
from anybpf.errors import BTFError, NotFound

MAGIC: Final = 0xEB9F  # btf.rst, section 2
_LITTLE_MAGIC: Final = b"\x9f\xeb"
_BIG_MAGIC: Final = b"\xeb\x9f"
_HEADER_SIZE: Final = 24
# Words looked at together while records are counted; bounds the memory that this needs.
_WINDOW: Final = 1 << 15

_RECORD_WORDS: Final = record_words()


class BTF:
    """The types of an object file or a kernel.

    >>> from anybpf.btf import BTFBuilder, Int
    >>> builder = BTFBuilder()
    >>> builder.add(Int("int", 4))
    1
    >>> btf = builder.build()
    >>> btf.find("int").size, len(btf)
    (4, 2)
    """

    __slots__ = (
        "_data", "_decoder", "_flavoured", "_name_offsets", "_named", "_pointer_size", "_repeated",
        "_starts", "_type_section", "_types", "alignments", "base", "big_endian", "file",
        "first_id", "strings",
    )  # fmt: skip

    def __init__(
        self,
        data: bytes,
        type_section: memoryview,
        type_offset: int,
        strings: StringTable,
        big_endian: bool,
        base: BTF | None,
        file: str,
    ) -> None:
        """Not for callers: use `BTF.parse` or `BTFBuilder.build`."""
        self._data: bytes = data
        self._type_section: int = type_offset
        self.file: str = file
        self.base: BTF | None = base
        self.big_endian: bool = big_endian
        self.strings: StringTable = strings
        self.first_id: int = len(base) if base is not None else 1
        # Per own type, byte offset of its record and string offset of its name.
        self._starts: array[int] = array("I")
        self._name_offsets: array[int] = array("I")
        self._scan(type_section)
        self._types: list[t.Type | None] = [None] * len(self._starts)
        self._decoder: TypeDecoder = TypeDecoder(type_section, big_endian, strings)
        # The name index, made when first needed: first own id of a name, and all ids of a name
        # that more than one own type bears.
        self._named: dict[str, int] | None = None
        self._repeated: dict[str, list[int]] = {}
        self._flavoured: dict[str, list[str]] | None = None
        self._pointer_size: int = 0
        # Filled by `layout.align_of`.
        self.alignments: dict[int, int] = {}

    @classmethod
    def parse(cls, data: bytes | memoryview, base: BTF | None = None, file: str = "") -> BTF:
        """Read the contents of a `.BTF` section or of a file below `/sys/kernel/btf`.

        With `base`, the ids and strings of `data` continue those of `base` (split BTF).
        """
        raw = bytes(data)
        if len(raw) < _HEADER_SIZE:
            raise BTFError(
                f"BTF has a header of {_HEADER_SIZE} bytes, here are {len(raw)}",
                file=file,
                offset=0,
            )
        big_endian = raw[:2] == _BIG_MAGIC
        if not big_endian and raw[:2] != _LITTLE_MAGIC:
            raise BTFError(
                f"this is no BTF: it starts with {raw[:2].hex()} instead of 9feb or eb9f",
                file=file,
                offset=0,
            )
        header = Layout((">" if big_endian else "<") + "HBBIIIII").unpack_from(raw)
        version, header_size = header[1], header[3]
        type_offset, type_size, string_offset, string_size = header[4:]
        if version != 1:
            raise BTFError(f"BTF version {version} is unknown; 1 is known", file=file, offset=2)
        if header_size < _HEADER_SIZE or header_size > len(raw):
            raise BTFError(
                f"header length {header_size} is impossible in {len(raw)} bytes",
                file=file,
                offset=4,
            )
        if base is not None and base.big_endian != big_endian:
            raise BTFError("split BTF and its base differ in byte order", file=file, offset=0)
        type_offset += header_size
        string_offset += header_size
        if type_offset + type_size > len(raw) or type_offset % 4 or type_size % 4:
            raise BTFError(
                f"type section of {type_size} bytes at {type_offset:#x} does not fit "
                f"into {len(raw)} bytes or is not a multiple of four",
                file=file,
                offset=8,
            )
        if string_offset + string_size > len(raw):
            raise BTFError(
                f"string section of {string_size} bytes at {string_offset:#x} does not fit "
                f"into {len(raw)} bytes",
                file=file,
                offset=16,
            )
        text = raw[string_offset : string_offset + string_size]
        if text and (text[-1] != 0 or (base is None and text[0] != 0)):
            raise BTFError(
                "the string section does not begin and end with a NUL byte",
                file=file,
                offset=string_offset,
            )
        strings = StringTable(text, base.strings if base is not None else None, file)
        types = memoryview(raw)[type_offset : type_offset + type_size]
        return cls(raw, types, type_offset, strings, big_endian, base, file)

    def _scan(self, section: memoryview) -> None:
        """Find where each record starts, and check that the last one ends with the section."""
        words: memoryview | array[int]
        if self.big_endian == (sys.byteorder == "big"):
            words = section.cast("I")
        else:
            words = array("I", section.tobytes())
            words.byteswap()
        fixed, unit = _RECORD_WORDS
        end: int = len(words)
        low: int = 0  # first word of the window
        at: int = 0  # the record looked at, counted from `low`
        while low < end:
            window: list[int] = words[low : low + _WINDOW].tolist()
            last: int = len(window) - 1
            starts: list[int] = []
            names: list[int] = []
            if last < 2:
                raise self._damaged(low, "the last type is cut off")
            while at < last:
                info: int = window[at + 1]
                upper: int = info >> 16
                size: int = fixed[upper]
                if size == 0:
                    raise self._damaged(
                        low + at,
                        f"type {len(self) + len(starts)} has info {info:#010x}: "
                        "unknown kind or reserved bits",
                    )
                starts.append((low + at) * 4)
                names.append(window[at])
                at += size + unit[upper] * (info & 0xFFFF)
            self._starts.fromlist(starts)
            self._name_offsets.fromlist(names)
            low += at
            at = 0
        if low != end:
            raise self._damaged(end, f"type {len(self) - 1} reaches past the type section")

    def _damaged(self, word: int, message: str) -> BTFError:
        return BTFError(message, file=self.file, offset=self._type_section + word * 4)

    def __len__(self) -> int:
        """One more than the highest id: types of the base and void count."""
        return self.first_id + len(self._starts)

    def type(self, type_id: int) -> t.Type:
        """The type with this id; 0 is void."""
        index = type_id - self.first_id
        if index < 0:
            if type_id == 0:
                return _VOID
            if self.base is not None and type_id > 0:
                return self.base.type(type_id)
        elif index < len(self._types):
            known = self._types[index]
            return self._materialise(index) if known is None else known
        raise BTFError(
            f"type id {type_id} does not exist, ids go up to {len(self) - 1}", file=self.file
        )

    def kind_of(self, type_id: int) -> int:
        """The kind of a type, without making an object of it."""
        index = type_id - self.first_id
        if 0 <= index < len(self._types):
            return self._decoder.kind(self._starts[index])
        return self.type(type_id).kind if self.base is None else self.base.kind_of(type_id)

    def _materialise(self, index: int) -> t.Type:
        found = self._decoder.read(self._starts[index])
        found.id = index + self.first_id
        self._types[index] = found
        return found

    def types(self, own: bool = False) -> Iterator[t.Type]:
        """All types but void in the order of their ids; with `own`, without those of the base."""
        for type_id in range(self.first_id if own else 1, len(self)):
            yield self.type(type_id)

    def string(self, offset: int) -> str:
        """The string at an offset, as in line information and member names."""
        return self.strings.get(offset)

    def offset_of(self, type_id: int) -> int | None:
        """Byte offset of a type's record in the data, for error messages."""
        index = type_id - self.first_id
        if 0 <= index < len(self._starts):
            return self._type_section + self._starts[index]
        return None

    def name_index(self) -> dict[str, int]:
        """For each name, the first own type that bears it."""
        if self._named is not None:
            return self._named
        names = self.strings.get_all(self._name_offsets)
        first = self.first_id
        ids = range(first + len(names) - 1, first - 1, -1)
        named: dict[str, int] = dict(zip(reversed(names), ids, strict=True))
        named.pop("", None)
        repeated = self._repeated
        if len(named) != len(names):
            for type_id, lowest in enumerate(map(named.get, names), first):
                if lowest is not None and lowest != type_id:
                    name = names[type_id - first]
                    others = repeated.get(name)
                    if others is None:
                        repeated[name] = [lowest, type_id]
                    else:
                        others.append(type_id)
        self._named = named
        return named

    def find_ids(self, name: str) -> list[int]:
        """Ids of all types of this name, those of the base first."""
        found = self.base.find_ids(name) if self.base is not None else []
        first = self.name_index().get(name)
        if first is None:
            return found
        many = self._repeated.get(name)
        return found + (many if many is not None else [first])

    def find(self, name: str, kind: int | None = None) -> t.Type | None:
        """The first type of this name (and kind), or None."""
        for type_id in self.find_ids(name):
            if kind is None or self.kind_of(type_id) == kind:
                return self.type(type_id)
        return None

    def find_all(self, name: str) -> list[t.Type]:
        """All types of this name, of any kind."""
        return [self.type(type_id) for type_id in self.find_ids(name)]

    def get(self, name: str, kind: int | None = None) -> t.Type:
        """Like `find`, but a missing type is an error."""
        found = self.find(name, kind)
        if found is None:
            what = f"{t.KIND_NAMES[kind]} " if kind is not None else ""
            raise NotFound(f"no type {what}'{name}' in {self.file or 'this BTF'}")
        return found

    def flavours(self, essential: str) -> list[str]:
        """Names of own types that are `essential` with a `___flavour` added (see `core`)."""
        if self._flavoured is None:
            flavoured: dict[str, list[str]] = {}
            for name in self.name_index():
                if "___" in name:
                    flavoured.setdefault(essential_name(name), []).append(name)
            self._flavoured = flavoured
        return [name for name in self._flavoured.get(essential, []) if name != essential]

    @property
    def pointer_size(self) -> int:
        """Bytes of a pointer, judged by the type `long` as C compilers define it; 8 if unknown."""
        if self._pointer_size == 0:
            self._pointer_size = 8
            for name in ("long", "long int", "unsigned long", "long unsigned int"):
                found = self.find(name, t.KIND_INT)
                if isinstance(found, t.Int) and found.size in (4, 8):
                    self._pointer_size = found.size
                    break
        return self._pointer_size

    def encode(self) -> bytes:
        """The bytes that `parse` was given; of a split BTF, only its own part."""
        return self._data

    def __repr__(self) -> str:
        return f"<BTF {self.file or 'data'}: {len(self) - 1} types>"


_VOID: Final = t.Void()
