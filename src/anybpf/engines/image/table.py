"""The image table: what a native image says of itself, and how that is stored.

A header of fixed size, one JSON document, and the bytes that it refers to. The header holds a hash
of the whole file and the signature over it, so that nothing else need be read before both are known
to be good (``reading`` does so). What is in the document is plain values; nothing here loads code.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from anybpf.errors import ImageError
from anybpf.objects.specs import MAP_FIELDS, CollectionSpec, MapSpec, VariableSpec

# Counts up with every change of what is stored; a reader refuses all others.
FORMAT: Final = 1
MAGIC: Final = b"ANYBPFIM"
# Magic, format, machine code ABI, bytes of the file, of the document, of what follows it; then the
# hash of the file, the signer's public key, and the signature.
HEADER: Final = Struct("<8sIIQQQ32s32s64s")
HASH_AT: Final = 40
KEY_AT: Final = 72
SIGNATURE_AT: Final = 104
SIGNATURE_END: Final = HEADER.size

_MOST_NUMBER: Final = 1 << 64
_INNER_MOST: Final = 8


class Stretch:
    """A part of the library: where it lies in the file, and at which address."""

    __slots__ = ("address", "offset", "size")

    def __init__(self, offset: int, address: int, size: int) -> None:
        self.offset: int = offset
        self.address: int = address
        self.size: int = size

    @property
    def end(self) -> int:
        return self.address + self.size


class ImageProgram:
    """One program of an image.

    ``entry`` is the address of its machine code, ``functions`` those of functions that are called
    by value, with their slots. ``tables`` is the digest of the platform's tables that it was
    proved against. ``maps`` are keys of the image's maps; the rest is as ``Prepared`` has it.
    """

    __slots__ = (
        "attach_to",
        "attach_type",
        "autoload",
        "code",
        "context_size",
        "dead",
        "entry",
        "flags",
        "functions",
        "handler",
        "helper_numbers",
        "helpers",
        "license",
        "lines",
        "maps",
        "name",
        "section",
        "size",
        "symbol",
        "tables",
        "tag",
        "type",
        "typed_functions",
        "verified_steps",
    )

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.section: str = ""
        self.type: str = ""
        self.attach_type: str = ""
        self.attach_to: str = ""
        self.license: str = ""
        self.symbol: str = ""
        self.tables: str = ""
        self.tag: str = ""
        self.entry: int = 0
        self.size: int = 0  # of the machine code
        self.context_size: int = 0
        self.handler: int = 0
        self.verified_steps: int = 0
        self.typed_functions: int = 0
        self.autoload: bool = True
        self.flags: tuple[str, ...] = ()
        self.helpers: tuple[str, ...] = ()
        self.maps: tuple[str, ...] = ()
        self.dead: tuple[str, ...] = ()
        # Beside each helper: its number on the platform; -1: it is called by name.
        self.helper_numbers: tuple[int, ...] = ()
        self.functions: tuple[tuple[int, int], ...] = ()
        self.lines: list[tuple[int, str, int]] = []
        self.code: bytes = b""


class Image:
    """What a native image holds.

    ``object_hash`` is the SHA-256 of the object that was compiled, or empty. ``imports`` say what
    each cell of the table of addresses is to hold: a symbol, and of which program. ``layout`` is
    the digest of the places of fields that the machine code touches.
    ``spec`` has maps, variables and types as the object had them, and no programs.
    """

    __slots__ = (
        "abi",
        "big_endian",
        "file",
        "imports",
        "imports_at",
        "key",
        "layout",
        "library",
        "object_hash",
        "programs",
        "rodata",
        "signed",
        "spec",
        "target",
        "text",
        "verifier",
    )

    def __init__(self, spec: CollectionSpec) -> None:
        self.spec: CollectionSpec = spec
        self.file: str = spec.file
        self.abi: int = 0
        self.target: str = ""
        self.verifier: str = ""
        self.layout: str = ""
        self.object_hash: str = ""
        self.programs: dict[str, ImageProgram] = {}
        self.text: Stretch = Stretch(0, 0, 0)
        self.rodata: Stretch = Stretch(0, 0, 0)
        self.imports_at: Stretch = Stretch(0, 0, 0)
        self.imports: list[tuple[str, str]] = []
        # Of the file it was read from.
        self.library: memoryview = memoryview(b"")
        self.key: bytes = b""
        self.signed: bool = False

    def __repr__(self) -> str:
        return f"<Image {self.spec.name} for {self.target}: {', '.join(self.programs) or 'empty'}>"


# Writing.


class _Blobs:
    """Bytes that the document refers to by place, each kept once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, list[int]] = {}

    def add(self, data: bytes) -> list[int]:
        found = self._known.get(data)
        if found is None:
            found = self._known[data] = [len(self.data), len(data)]
            self.data += data
        return found


def document(image: Image) -> tuple[bytes, bytes]:
    """The image's document and the bytes that it refers to. Equal images have equal ones."""
    import json

    blobs = _Blobs()
    spec = image.spec
    keys = {id(one): key for key, one in spec.maps.items()}
    # What maps are to hold at first, as far as it is in the image.
    there = {*image.programs, *spec.maps, *[one.name for one in spec.maps.values()]}
    value = {
        "name": spec.name,
        "platform": spec.platform,
        "license": spec.license,
        "version": spec.version,
        "big_endian": spec.big_endian,
        "target": image.target,
        "verifier": image.verifier,
        "layout": image.layout,
        "object": image.object_hash,
        "text": _stretch(image.text),
        "rodata": _stretch(image.rodata),
        "imports_at": _stretch(image.imports_at),
        "imports": [list(row) for row in image.imports],
        "programs": {name: _program(one, blobs) for name, one in image.programs.items()},
        # In their order, which users see.
        "maps": [[key, _map(one, blobs, there)] for key, one in spec.maps.items()],
        "variables": [
            [name, _variable(one, keys[id(one.map)])]
            for name, one in spec.variables.items()
            if id(one.map) in keys
        ],
        "btf": [] if spec.btf is None else blobs.add(spec.btf.encode()),
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text.encode(), bytes(blobs.data)


def _stretch(one: Stretch) -> list[int]:
    return [one.offset, one.address, one.size]


def _program(one: ImageProgram, blobs: _Blobs) -> dict[str, Any]:
    row = {name: getattr(one, name) for name in one.__slots__ if name not in ("code", "lines")}
    files = list(dict.fromkeys(line[1] for line in one.lines))
    row["files"] = files
    row["lines"] = [[slot, files.index(file), line] for slot, file, line in one.lines]
    row["code"] = blobs.add(one.code)
    return row


_MAP_FIELDS: Final = tuple(name for name in MAP_FIELDS if name not in ("contents", "inner"))


def _map(spec: MapSpec, blobs: _Blobs, there: set[str]) -> dict[str, Any]:
    row = {name: getattr(spec, name) for name in _MAP_FIELDS}
    row["inner"] = None if spec.inner is None else _map(spec.inner, blobs, there)
    row["contents"] = [
        [blobs.add(key), value if isinstance(value, str) else blobs.add(value)]
        for key, value in spec.contents
        if isinstance(value, bytes) or value in there
    ]
    return row


def _variable(one: VariableSpec, home: str) -> dict[str, Any]:
    return {
        "section": one.section,
        "offset": one.offset,
        "size": one.size,
        "map": home,
        "type_id": one.type_id,
        "is_global": one.is_global,
        "tags": one.tags,
    }


# Reading.


class Row:
    """A JSON object that is asked for what it must have; :class:`ImageError` if it has not."""

    __slots__ = ("_value", "_what")

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise ImageError(f"{what} is no JSON object")
        self._value: dict[str, Any] = value
        self._what: str = what

    def problem(self, text: str) -> ImageError:
        return ImageError(f"{self._what}: {text}")

    def get(self, key: str, kind: type) -> Any:
        found = self._value.get(key)
        if type(found) is not kind:
            raise self.problem(f"{key} is {_short(found)}, which is no {kind.__name__}")
        return found

    def text(self, key: str) -> str:
        found: str = self.get(key, str)
        if not _fits(found, str):
            raise self.problem(f"{key} is {_short(found)}, which is no text")
        return found

    def number(self, key: str, least: int = 0) -> int:
        found: int = self.get(key, int)
        if not least <= found < _MOST_NUMBER:
            raise self.problem(f"{key} is {_short(found)}, which is out of range")
        return found

    def flag(self, key: str) -> bool:
        found: bool = self.get(key, bool)
        return found

    def rows(self, key: str, *kinds: type | tuple[type, ...]) -> list[list[Any]]:
        """A list of lists whose values are of these types, one each; numbers are never below 0."""
        found: list[Any] = self.get(key, list)
        for row in found:
            if (
                not isinstance(row, list)
                or len(row) != len(kinds)
                or not all(map(_fits, row, kinds))
            ):
                raise self.problem(f"{key} has {_short(row)} in it")
        return found

    def words(self, key: str) -> tuple[str, ...]:
        found: list[Any] = self.get(key, list)
        if not all(_fits(one, str) for one in found):
            raise self.problem(f"{key} is {_short(found)}, which is no list of words")
        return tuple(found)

    def stretch(self, key: str) -> Stretch:
        found: list[Any] = self.get(key, list)
        if len(found) != 3 or not all(_fits(one, int) for one in found):
            raise self.problem(f"{key} is {_short(found)}, which is no place")
        return Stretch(*found)


def _fits(value: object, kind: type | tuple[type, ...]) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, one) for one in kind)
    if type(value) is int:
        return kind is int and 0 <= value < _MOST_NUMBER
    if type(value) is str:
        return kind is str and _is_text(value)
    return type(value) is kind


def _is_text(text: str) -> bool:
    """Whether it has an encoding: JSON can name halves of characters, which have none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Reader:
    def __init__(self, blobs: bytes) -> None:
        self.blobs: bytes = blobs

    def blob(self, place: object, what: str) -> bytes:
        if (
            not isinstance(place, list)
            or len(place) != 2
            or not all(_fits(one, int) for one in place)
            or place[0] + place[1] > len(self.blobs)
        ):
            raise ImageError(f"{what}: {_short(place)} is no place in {len(self.blobs)} bytes")
        return self.blobs[place[0] : place[0] + place[1]]

    def program(self, name: str, value: object) -> ImageProgram:
        row = Row(value, f"program {name}")
        one = ImageProgram(name)
        for field in one.__slots__:
            kind = type(getattr(one, field))
            if kind is str and field != "name":
                setattr(one, field, row.text(field))
            elif kind is int:
                setattr(one, field, row.number(field))
        one.autoload = row.flag("autoload")
        for field in ("flags", "helpers", "maps", "dead"):
            setattr(one, field, row.words(field))
        one.functions = tuple([(a, b) for a, b in row.rows("functions", int, int)])
        numbers = row.get("helper_numbers", list)
        if len(numbers) != len(one.helpers) or not all(type(each) is int for each in numbers):
            raise row.problem("helper_numbers does not fit helpers")
        one.helper_numbers = tuple(numbers)
        files = row.words("files")
        for slot, file, line in row.rows("lines", int, int, int):
            if file >= len(files):
                raise row.problem(f"lines speaks of file {file} of {len(files)}")
            one.lines.append((slot, files[file], line))
        one.code = self.blob(row.get("code", list), f"program {name}: code")
        return one

    def map(self, key: str, value: object, depth: int = 0) -> MapSpec:
        row = Row(value, f"map {key}")
        spec = MapSpec(row.text("name"), row.text("type"))
        for field in _MAP_FIELDS:
            kind = type(getattr(spec, field))
            if kind is int:
                found = row.number(field, least=-(1 << 31))
                if found >= 1 << 32 and field != "extra":
                    raise row.problem(f"{field} is {found}, which is out of range")
                setattr(spec, field, found)
            elif kind is str:
                setattr(spec, field, row.text(field))
            elif kind is tuple:
                setattr(spec, field, row.words(field))
        for member, program in row.get("members", dict).items():
            if not _fits(program, str) or not _fits(member, str):
                raise row.problem(f"member {member} is {_short(program)}")
            spec.members[member] = program
        if spec.data_size and spec.type != "arena":
            raise row.problem(f"data_size is {spec.data_size}, which only arenas have")
        inner = row._value.get("inner")
        if inner is not None:
            if depth >= _INNER_MOST:
                raise row.problem("its templates are nested too deep")
            spec.inner = self.map(f"{key} (inner)", inner, depth + 1)
        for place, contents in row.rows("contents", list, (list, str)):
            what = f"map {key}: contents"
            entry = contents if isinstance(contents, str) else self.blob(contents, what)
            spec.contents.append((self.blob(place, what), entry))
        return spec

    def variable(self, name: str, value: object, spec: CollectionSpec) -> VariableSpec:
        row = Row(value, f"variable {name}")
        home = spec.maps.get(row.text("map"))
        offset, size = row.number("offset"), row.number("size")
        if home is None or offset + size > max(home.value_size, home.data_size):
            raise row.problem(f"{size} bytes at {offset} of map {row.text('map')} are not there")
        one = VariableSpec(name, row.text("section"), offset, size, home)
        one.type_id = row.number("type_id")
        one.is_global = row.flag("is_global")
        one.tags = row.words("tags")
        return one


def parse(text: bytes, blobs: bytes, file: str) -> Image:
    """The image that a document describes; :class:`ImageError` for what it cannot be."""
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"the image table is no JSON: {error}") from None
    row = Row(value, "the image table")
    spec = CollectionSpec(row.text("name"), file, row.text("platform"))
    spec.license = row.text("license")
    spec.version = row.number("version")
    spec.big_endian = row.flag("big_endian")
    image = Image(spec)
    image.target = row.text("target")
    image.verifier = row.text("verifier")
    image.layout = row.text("layout")
    image.object_hash = row.text("object")
    image.text, image.rodata = row.stretch("text"), row.stretch("rodata")
    image.imports_at = row.stretch("imports_at")
    image.imports = [(program, name) for program, name in row.rows("imports", str, str)]
    reader = _Reader(blobs)
    for key, one in row.rows("maps", str, dict):
        spec.maps[key] = reader.map(key, one)
    for name, one in row.rows("variables", str, dict):
        spec.variables[name] = reader.variable(name, one, spec)
    for name, one in row.get("programs", dict).items():
        if not _fits(name, str):
            raise row.problem(f"{_short(name)} is no name of a program")
        image.programs[name] = reader.program(name, one)
        for each in image.programs[name].maps:
            if each not in spec.maps:
                raise ImageError(f"program {name} uses map {_short(each)}, which is not there")
    place = row.get("btf", list)
    if place:
        from anybpf.btf import BTF

        spec.btf = BTF.parse(reader.blob(place, "types"), file=file)
    return image
