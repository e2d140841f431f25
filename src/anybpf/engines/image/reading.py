"""An image from a file: found, checked, and only then believed.

The file is read once, and everything is taken from those bytes. Signature, format, versions and the
hash of the whole file are looked at before the document is parsed, and that before a byte becomes
executable. Needs neither the verifier nor the reader of object files.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import Any, Final

from anybpf.engines.image import table as t
from anybpf.errors import ImageError

_HEADER: Final = Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = Struct("<IIQQQQIIQQ")
_SHARED: Final = 3
_MACHINE_BPF: Final = 247
_NAME: Final = b".anybpf\0"
# In front of what is signed, so that a signature means this and nothing else.
PURPOSE: Final = b"anybpf native image\0"
_MACHINES: Final = {62: "x86_64", 183: "aarch64"}


def is_library(data: bytes) -> bool:
    """Whether these are the bytes of a shared library, and not of an object with BPF code."""
    return (
        data[:5] == b"\x7fELF\x02"
        and len(data) >= 20
        and int.from_bytes(data[16:18], "little") == _SHARED
        and int.from_bytes(data[18:20], "little") != _MACHINE_BPF
    )


def read_image(
    data: bytes, file: str = "", *, abi: int, keys: frozenset[bytes] | None = None
) -> t.Image:
    """The image in a shared library; :class:`ImageError` says why it is not believed.

    ``abi`` is the version of the machine code's interface that this process has. With ``keys``,
    only an image that the owner of one of them signed is read.
    """
    try:
        return _read(data, file, abi, keys)
    except ImageError as error:
        raise _placed(error, file) from error


def signer(data: bytes, file: str = "") -> bytes:
    """The public key by which an image says that it was signed, not checked; empty: by none."""
    try:
        start, size = find_table(data)
        header = _header(data, start, size)
    except ImageError as error:
        raise _placed(error, file) from error
    key: bytes = header[7]
    return key if any(header[8]) else b""


def _placed(error: ImageError, file: str) -> ImageError:
    return error if error.file or not file else ImageError(error.message, file=file)


def _header(data: bytes, start: int, size: int) -> tuple[Any, ...]:
    if size < t.HEADER.size or start + size > len(data):
        raise ImageError(f"its table has {size} bytes at {start:#x}, which cannot be")
    header = t.HEADER.unpack_from(data, start)
    if header[0] != t.MAGIC:
        raise ImageError("its section .anybpf holds no image table")
    return header


def _read(data: bytes, file: str, abi: int, keys: frozenset[bytes] | None) -> t.Image:
    start, size = find_table(data)
    header = _header(data, start, size)
    _, version, own_abi, whole, text_size, blob_size, digest, key, signature = header
    signed = bool(any(signature))
    if keys is not None:
        _check_signature(data, start, key, signature, keys)
    if version != t.FORMAT:
        raise ImageError(
            f"its format has version {version}, this reads version {t.FORMAT}: compile it again"
        )
    if own_abi != abi:
        raise ImageError(
            f"its machine code is for version {own_abi} of the runtime's interface, this is "
            f"version {abi}: compile it again"
        )
    if whole != len(data):
        raise ImageError(f"it is to have {whole} bytes and has {len(data)}: it was cut or added to")
    if t.HEADER.size + text_size + blob_size != size:
        raise ImageError("the parts of its table are not as long as the table")
    found = content_hash(data, start)
    if found != digest:
        raise ImageError(
            f"it was damaged: the hash of its contents is {found.hex()[:16]}..., and it says "
            f"{digest.hex()[:16]}..."
        )
    text_at = start + t.HEADER.size
    text = data[text_at : text_at + text_size]
    blobs = data[text_at + text_size : text_at + text_size + blob_size]
    image = t.parse(text, blobs, file)
    image.abi = own_abi
    image.library = memoryview(data)
    image.signed, image.key = signed, key if signed else b""
    _check_places(image, len(data))
    machine = _MACHINES.get(int.from_bytes(data[18:20], "little"), "another machine")
    if image.target.split("-")[0] != machine:
        raise ImageError(f"it says that it is for {image.target[:60]!r}, and is for {machine}")
    return image


def _check_signature(
    data: bytes, start: int, key: bytes, signature: bytes, keys: frozenset[bytes]
) -> None:
    from anybpf.engines.image import signing

    if not any(signature):
        raise ImageError("it is not signed, and only signed images are to be loaded")
    if key not in keys:
        there = ", ".join(sorted(signing.short(one) for one in keys))
        raise ImageError(
            f"it was signed with key {signing.short(key)}, which is not allowed; allowed: {there}"
        )
    if not signing.is_good(key, signature, signed_bytes(data, start)):
        raise ImageError(f"its signature by key {signing.short(key)} is not good")


def signed_bytes(data: bytes, start: int) -> bytes:
    """What is signed: the file, with zeroes where the signature stands."""
    at = start + t.SIGNATURE_AT
    return PURPOSE + data[:at] + bytes(64) + data[at + 64 :]


def content_hash(data: bytes, start: int) -> bytes:
    """SHA-256 of the file, with zeroes where hash, key and signature stand."""
    view = memoryview(data)
    hashed = hashlib.sha256(view[: start + t.HASH_AT])
    hashed.update(bytes(t.SIGNATURE_END - t.HASH_AT))
    hashed.update(view[start + t.SIGNATURE_END :])
    return hashed.digest()


def find_table(data: bytes) -> tuple[int, int]:
    """Where in the library the section ``.anybpf`` lies."""
    if not is_library(data):
        raise ImageError("this is no native image: `anybpf compile` makes one of an object")
    if len(data) < _HEADER.size:
        raise ImageError(f"a shared library has {_HEADER.size} bytes at least, not {len(data)}")
    header = _HEADER.unpack_from(data)
    start, size, count, names = header[6], header[11], header[12], header[13]
    if header[0][:6] != b"\x7fELF\x02\x01" or size != _SECTION.size:
        raise ImageError("this is no 64-bit little-endian ELF file with sections")
    if start + size * count > len(data) or names >= count:
        raise ImageError(f"its {count} section headers at {start:#x} are not all there")
    rows = [_SECTION.unpack_from(data, start + size * index) for index in range(count)]
    texts = data[rows[names][4] : rows[names][4] + rows[names][5]]
    for row in rows:
        if texts[row[0] : row[0] + len(_NAME)] == _NAME:
            return row[4], row[5]
    raise ImageError("this is a shared library, but no image: it has no section .anybpf")


def _check_places(image: t.Image, size: int) -> None:
    """Text, constants and the table of addresses lie in the file, and apart from each other."""
    last = -1
    for what, one in (
        ("text", image.text), ("constants", image.rodata), ("imports", image.imports_at),
    ):  # fmt: skip
        if one.offset + one.size > size or one.address < one.offset or one.address <= last:
            raise ImageError(f"its {what} cannot be {one.size} bytes at {one.offset:#x}")
        last = max(last, one.end - 1, one.address)
    if image.imports_at.end - image.text.address > size + (1 << 20):
        raise ImageError("its parts lie too far from each other")
    if image.imports_at.size != 8 * len(image.imports):
        raise ImageError(f"its {len(image.imports)} imports are not {image.imports_at.size} bytes")
    for program in image.programs.values():
        for address in [program.entry, *[place for _, place in program.functions]]:
            if not image.text.address <= address < image.text.end:
                raise ImageError(f"program {program.name} begins at {address:#x}, which is no code")
    for owner, name in image.imports:
        if owner not in image.programs:
            raise ImageError(f"the import {name} is of program {owner}, which is not there")
