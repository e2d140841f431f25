"""Maps as Python sees them: faces over the core's storage, with keys and values typed by BTF.

What a face is made for, and who holds the map, is the runtime's business: it calls :func:`make`.
"""

from __future__ import annotations

from anybpf.maps.codecs import Struct, struct_class
from anybpf.maps.keeper import Keeper
from anybpf.maps.map import (
    ANY,
    EXIST,
    LOCK,
    NOEXIST,
    CommandRing,
    CPUView,
    EventArray,
    Filter,
    Holder,
    Map,
    Queue,
    Ring,
    make,
)
from anybpf.maps.perf import Event, PackedEvents, PerfReader
from anybpf.maps.reading import Packed
from anybpf.maps.ring import RingReader, UserRing

__all__ = [
    "ANY",
    "EXIST",
    "LOCK",
    "NOEXIST",
    "CPUView",
    "CommandRing",
    "Event",
    "EventArray",
    "Filter",
    "Holder",
    "Keeper",
    "Map",
    "Packed",
    "PackedEvents",
    "PerfReader",
    "Queue",
    "Ring",
    "RingReader",
    "Struct",
    "UserRing",
    "make",
    "struct_class",
]
