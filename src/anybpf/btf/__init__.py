"""Type information: read, write, look up, lay out, print as C, relocate (CO-RE).

This front door has the container, the types and the records of `.BTF.ext`, which every object
file needs; the rest is imported from its module when wanted: `layout`, `names`, `values`,
`cdump`, `dump`, `dedup`, `core`.
"""

from __future__ import annotations

from anybpf.btf.builder import BTFBuilder
from anybpf.btf.container import BTF
from anybpf.btf.ext import BTFExt
from anybpf.btf.types import (
    Array,
    Composite,
    Const,
    DataSection,
    DeclTag,
    Enum,
    Enum64,
    Enumerator,
    Float,
    Forward,
    Function,
    FunctionProto,
    Int,
    Member,
    Param,
    Pointer,
    Restrict,
    SectionVar,
    Struct,
    Type,
    Typedef,
    TypeTag,
    Union,
    Var,
    Void,
    Volatile,
)

__all__ = [
    "BTF",
    "Array",
    "BTFBuilder",
    "BTFExt",
    "Composite",
    "Const",
    "DataSection",
    "DeclTag",
    "Enum",
    "Enum64",
    "Enumerator",
    "Float",
    "Forward",
    "Function",
    "FunctionProto",
    "Int",
    "Member",
    "Param",
    "Pointer",
    "Restrict",
    "SectionVar",
    "Struct",
    "Type",
    "TypeTag",
    "Typedef",
    "Union",
    "Var",
    "Void",
    "Volatile",
]
