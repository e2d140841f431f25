"""What tests of machine code look at: rights of pages, and memory in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf import _core

PAGE = _core.PAGE_SIZE
MAPS = Path("/proc/self/maps")
reads_maps = pytest.mark.skipif(not MAPS.exists(), reason="this system has no /proc/self/maps")


def rights(address: int) -> str:
    """What may be done with the page at an address: "r-xp" and the like; "" if there is none."""
    for line in MAPS.read_text().splitlines():
        span, word = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end:
            return word
    return ""


def executable() -> set[str]:
    """The lines of all mappings that can be executed."""
    return {line for line in MAPS.read_text().splitlines() if "x" in line.split()[1]}


def mappings() -> int:
    return len(MAPS.read_text().splitlines())


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
