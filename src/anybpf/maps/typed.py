"""Which codec the keys and values of a map have.

By the types of its definition where the object has BTF; bytes otherwise, but for the indexes of
arrays; or as somebody asks: "u4", "i8", "bytes", "text", or a structure's class.
"""

from __future__ import annotations

from typing import TypeAlias

from anybpf.btf import BTF
from anybpf.btf.layout import size_of
from anybpf.errors import BTFError, InputError
from anybpf.maps.codecs import Bytes, Codec, Number, Struct, Text, codec_of

Wish: TypeAlias = "str | type[Struct] | Codec"

# Kinds whose keys are indexes, whether or not a type says so.
INDEXED = frozenset(
    {
        "array",
        "percpu_array",
        "prog_array",
        "array_of_maps",
        "perf_event_array",
        "devmap",
    }
)
_NUMBERS = {f"{sign}{size}" for sign in "ui" for size in (1, 2, 4, 8)}


def codec_for(btf: BTF | None, type_id: int, size: int, indexed: bool = False) -> Codec:
    """The codec of what has that type and size; a type of another size is not believed."""
    if btf is not None and type_id:
        try:
            if size_of(btf, type_id) == size:
                return codec_of(btf, type_id)
        except BTFError:
            pass  # types of no size, such as void: the definition's size holds
    if indexed and size == 4:
        return Number("index", 4)
    return Bytes(size)


def codec_by_wish(wish: Wish, size: int, what: str) -> Codec:
    """The codec that somebody asked for, if it is of the right size."""
    codec: Codec
    if isinstance(wish, Codec):
        codec = wish
    elif isinstance(wish, type) and issubclass(wish, Struct):
        codec = wish._codec
    elif wish == "bytes":
        codec = Bytes(size)
    elif wish == "text":
        codec = Text(f"char [{size}]", size)
    elif wish in _NUMBERS:
        codec = Number(f"{'int' if wish[0] == 'i' else 'uint'}{int(wish[1]) * 8}_t",
                       int(wish[1]), wish[0] == "i")  # fmt: skip
    else:
        raise InputError(
            f"there is no codec {wish!r}: ask for 'bytes', 'text', u1 to u8, i1 to i8, or give a "
            "structure's class"
        )
    if codec.size != size:
        raise InputError(f"{codec.name} has {codec.size} bytes, a {what} of this map has {size}")
    return codec
