"""Maps as Python sees them: faces over the core's storage, typed by BTF.

What a face is made for, and who holds the map, is the runtime's business: it calls :func:`make`.
"""

from __future__ import annotations

from anybpf.maps.make import Keeper, Map, make

__all__ = ["Keeper", "Map", "make"]
