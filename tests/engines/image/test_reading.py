"""Hostile and damaged images: each is refused with an error that says why, and none does harm."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from anybpf import _core
from anybpf.engines import llvm
from anybpf.engines.image import table as t
from anybpf.engines.image.compiling import compile_image, sealed
from anybpf.engines.image.reading import find_table, is_library, read_image
from anybpf.errors import AnyBPFError, ImageError
from anybpf.runtime import Runtime
from tests.runtime.making import PASS, collection, map_spec

pytestmark = pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")


@pytest.fixture(scope="module")
def image() -> bytes:
    inner = map_spec("inner")
    outer = map_spec("outer", "array_of_maps", value=4, inner=inner)
    return compile_image(collection(PASS, "call bpf_ktime_get_ns\nr0 = 1\nexit", maps=[outer]))


def read(data: bytes) -> t.Image:
    return read_image(data, "x.so", abi=_core.NATIVE_ABI)


def test_every_byte_counts(image: bytes) -> None:
    """Whatever byte is changed, machine code included: the image is not believed."""
    for at in range(len(image)):
        damaged = bytearray(image)
        damaged[at] ^= 1 + at % 255
        start, _ = find_table(image)
        if start + t.KEY_AT <= at < start + t.SIGNATURE_END:
            continue  # nobody signed it: these say nothing
        with pytest.raises(ImageError):
            read(bytes(damaged))


def test_every_cut_is_seen(image: bytes) -> None:
    for size in range(len(image)):
        with pytest.raises(ImageError):
            read(image[:size])
    with pytest.raises(ImageError, match="cut or added to"):
        read(image + b"\0")


def test_what_is_no_library_is_told() -> None:
    assert not is_library(b"")
    assert not is_library(b"\x7fELF\x02\x01\x01")
    with pytest.raises(ImageError, match="no native image"):
        read(b"MZ" + bytes(100))


@pytest.mark.parametrize(
    ("at", "value", "word"),
    [(8, 99, "format has version 99"), (12, 77, "version 77 of the runtime's interface")],
)
def test_other_versions_say_what_to_do(image: bytes, at: int, value: int, word: str) -> None:
    start, _ = find_table(image)
    data = bytearray(image)
    data[start + at : start + at + 4] = value.to_bytes(4, "little")
    with pytest.raises(ImageError, match=rf"{word}.*compile it again"):
        read(sealed(bytes(data), start))


def rewritten(image: bytes, change: Any) -> bytes:
    """The image with another document, and a hash that fits: as somebody would make it who can."""
    start, _ = find_table(image)
    header = list(t.HEADER.unpack_from(image, start))
    text_at = start + t.HEADER.size
    value = json.loads(image[text_at : text_at + header[4]])
    new = json.dumps(change(value)).encode()
    grown = len(new) - header[4]
    tail = image[text_at + header[4] :]
    header[3] += grown
    header[4] = len(new)
    data = bytearray(image[:start] + t.HEADER.pack(*header) + new + tail)
    # The section headers moved along; their table entry for .anybpf grew.
    sections = int.from_bytes(data[40:48], "little") + grown
    data[40:48] = sections.to_bytes(8, "little")
    for index in range(10):
        at = sections + 64 * index
        offset = int.from_bytes(data[at + 24 : at + 32], "little")
        length = int.from_bytes(data[at + 32 : at + 40], "little")
        if offset == start:
            data[at + 32 : at + 40] = (length + grown).to_bytes(8, "little")
        elif offset > start:
            data[at + 24 : at + 32] = (offset + grown).to_bytes(8, "little")
    return sealed(bytes(data), start)


def test_a_document_written_again_is_read_again(image: bytes) -> None:
    """The tests below would show nothing if this did not hold."""
    assert list(read(rewritten(image, lambda value: value)).programs) == ["main", "main1"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything in a document."""
    out = [path] if path else []
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in items:
            out += places(one, (*path, key))
    return out


def test_documents_that_lie_are_refused_or_harmless(image: bytes) -> None:
    """Each value in turn becomes something else, and the whole is loaded: an error, or a program
    that runs. Addresses of code are checked, so that none leads out of it."""
    start, _ = find_table(image)
    header = t.HEADER.unpack_from(image, start)
    text_at = start + t.HEADER.size
    document = json.loads(image[text_at : text_at + header[4]])
    lies: list[Any] = [
        None, -1, 7, 1 << 31, 1 << 63, 1 << 70, "", "x" * 300, "\udc80", "\0", [], {}, True, [[1]],
    ]  # fmt: skip
    chance = random.Random(5)
    with Runtime("linux", cpus=1) as runtime:
        for path in places(document):
            if path[0] == "imports" or path[-1] in ("entry", "functions"):
                continue  # where code goes is up to whoever compiled it
            for lie in chance.sample(lies, 6):

                def change(value: Any, path: tuple[Any, ...] = path, lie: Any = lie) -> Any:
                    home = value
                    for key in path[:-1]:
                        home = home[key]
                    home[path[-1]] = lie
                    return value

                try:
                    with runtime.load(rewritten(image, change)):
                        pass
                except AnyBPFError:
                    continue


@pytest.mark.parametrize("entry", [0, 1, 1 << 40, 1 << 63])
def test_code_begins_in_the_text(image: bytes, entry: int) -> None:
    def change(value: Any) -> Any:
        value["programs"]["main"]["entry"] = entry
        return value

    with pytest.raises(ImageError, match="which is no code"):
        read(rewritten(image, change))


@pytest.mark.parametrize("name", ["system", "anybpf_helper_7", "anybpf_map_0", ""])
def test_only_the_runtimes_own_functions_are_bound(image: bytes, name: str) -> None:
    def change(value: Any) -> Any:
        value["imports"][0][1] = name
        return value

    with (
        Runtime("linux", cpus=1) as runtime,
        pytest.raises(ImageError, match="not in this runtime"),
    ):
        runtime.load(rewritten(image, change))
