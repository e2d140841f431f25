"""Object files in, specs out: programs, maps and variables as plain values, no system touched.

The front door. The container reader is `anybpf.objects.elf`; what a spec needs for a platform or
a kernel (`check`, `core`, `externs`, `hints`) is imported from its module when wanted. So is all
that reads files: who only needs specs does without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybpf.objects.specs import (
    CollectionSpec,
    ExternSpec,
    Function,
    MapSpec,
    ProgramSpec,
    VariableSpec,
)

if TYPE_CHECKING:
    from anybpf.objects.load import Source
    from anybpf.platforms import Platform

__all__ = [
    "CollectionSpec",
    "ExternSpec",
    "Function",
    "MapSpec",
    "ProgramSpec",
    "VariableSpec",
    "load_spec",
]


def load_spec(
    source: Source, platform: str | Platform = "linux", name: str | None = None
) -> CollectionSpec:
    """Read an object file; see :func:`anybpf.objects.load.load_spec`."""
    from anybpf.objects import load

    return load.load_spec(source, platform, name)
