"""Maps and NumPy: whole arrays as views, all entries as two arrays, C types as dtypes.

NumPy is imported when something here is first called, and not needed for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anybpf.errors import InputError, NotSupported
from anybpf.maps.codecs import ORDER, Array, BitField, Boolean, Codec, Number, StructCodec, Text

if TYPE_CHECKING:
    from anybpf.maps.map import Map


def numpy() -> Any:
    """NumPy, if it is installed."""
    try:
        import numpy
    except ImportError:
        raise NotSupported(
            "a map's values as an array", where="this machine: install NumPy for it"
        ) from None
    return numpy


def dtype(codec: Codec) -> Any:
    """The dtype of a C type. Bit-fields have none: look at them through structures."""
    np = numpy()
    if isinstance(codec, Number):
        return np.dtype(f"{ORDER}{'f' if codec.real else 'i' if codec.signed else 'u'}{codec.size}")
    if isinstance(codec, Boolean) and codec.size == 1:
        return np.dtype("?")
    if isinstance(codec, Text):
        return np.dtype(f"S{codec.size}")
    if isinstance(codec, Array):
        return np.dtype((dtype(codec.element), (codec.count,)))
    if isinstance(codec, StructCodec):
        fields = [f for f in codec.fields.values() if not isinstance(f.codec, BitField)]
        return np.dtype(
            {
                "names": [field.name for field in fields],
                "formats": [dtype(field.codec) for field in fields],
                "offsets": [field.offset for field in fields],
                "itemsize": codec.size,
            }
        )
    return np.dtype(f"V{codec.size}")


def array_view(face: Map) -> Any:
    """An array's memory: one element an entry, or a row of them for each processor."""
    if face.kind not in ("array", "percpu_array"):
        raise InputError(
            f"map {face.spec.name} is no array: its entries have no order; `arrays()` copies them"
        )
    np = numpy()
    rows = np.asarray(face.values_view())
    first = rows if rows.ndim == 1 else rows[0]
    entries = np.ndarray(
        face.max_entries, dtype=dtype(face.value), buffer=first, strides=face.value_stride
    )
    if not face.per_cpu:
        return entries
    return np.lib.stride_tricks.as_strided(
        entries,
        shape=(face.cpus, *entries.shape),
        strides=(rows.strides[0], *entries.strides),
        writeable=entries.flags.writeable,
    )


def arrays(face: Map) -> tuple[Any, Any]:
    """All entries, copied: keys and values; of per-CPU maps, values are rows of one a processor."""
    np = numpy()
    room = max(len(face), 1)
    keys = np.empty(room, dtype=dtype(face.key))
    values = np.empty((room, face.user_value_size), dtype="u1")
    cursor = 0
    used = 0
    done = False
    while not done:
        if used == room:  # entries came meanwhile
            room *= 2
            keys = np.resize(keys, room)
            values = np.resize(values, (room, face.user_value_size))
        cursor, count, done = face.scan_into(
            cursor, keys[used:].view("u1"), values[used:].reshape(-1)
        )
        used += count
    element = dtype(face.value)
    cpus = face.cpus if face.per_cpu else 1
    shaped = np.ndarray(
        (used, cpus), dtype=element, buffer=values.data,
        strides=(face.user_value_size, face.value_stride),
    )  # fmt: skip
    return keys[:used], shaped if face.per_cpu else shaped[:, 0]
