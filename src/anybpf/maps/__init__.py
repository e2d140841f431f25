"""Maps as Python sees them: faces over the core's storage, with keys and values typed by BTF.

What a face is made for, and who holds the map, is the runtime's business: it calls :func:`make`.
"""

from __future__ import annotations

from anybpf.maps.codecs import Struct, struct_class
from anybpf.maps.keeper import Keeper
from anybpf.maps.map import ANY, EXIST, LOCK, NOEXIST, CPUView, Filter, Holder, Map, Queue, make

__all__ = [
    "ANY",
    "EXIST",
    "LOCK",
    "NOEXIST",
    "CPUView",
    "Filter",
    "Holder",
    "Keeper",
    "Map",
    "Queue",
    "Struct",
    "make",
    "struct_class",
]
