"""Object files in, specs out: programs, maps and variables as plain values, no system touched.

The front door. The container reader is `anybpf.objects.elf`; what a spec needs for a platform or
a kernel (`check`, `core`, `externs`, `hints`) is imported from its module when wanted.
"""

from __future__ import annotations

from anybpf.objects.load import load_spec
from anybpf.objects.specs import (
    CollectionSpec,
    ExternSpec,
    Function,
    MapSpec,
    ProgramSpec,
    VariableSpec,
)

__all__ = [
    "CollectionSpec",
    "ExternSpec",
    "Function",
    "MapSpec",
    "ProgramSpec",
    "VariableSpec",
    "load_spec",
]
