"""One load or store, one kind of pointer: what Linux asks where it translates accesses.

Accesses to the context and to typed objects are rewritten when a program is loaded, so the same
instruction cannot also serve another kind. Looks at what the engines noted of each access.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import faults
from anybpf.verifier.engine import Found
from anybpf.verifier.environment import Fault
from anybpf.verifier.operations import KIND_BITS, Access
from anybpf.verifier.program import Code
from anybpf.verifier.values import CONTEXT, KIND_NAMES, MIXED, OBJECT

TRANSLATED: Final[list[i64]] = [CONTEXT, OBJECT]


def accesses(code: Code) -> list[Access]:
    """All loads and stores of the program."""
    found: list[Access] = []
    for function in code.functions:
        for block in function.graph.blocks:
            for operation in block.operations:
                if isinstance(operation, Access):
                    found.append(operation)
    return found


def forget(code: Code) -> None:
    """Start over: what was noted so far came from ways that may not exist."""
    code.env.mixes_bases = False
    for access in accesses(code):
        access.seen_kinds = 0


def conflicts(code: Code) -> list[Found]:
    """The accesses that were made through pointers that do not go together."""
    found: list[Found] = []
    if not code.env.mixes_bases:
        return found
    for access in accesses(code):
        kinds = access.seen_kinds & ~KIND_BITS[MIXED]
        for kind in TRANSLATED:
            if kinds & KIND_BITS[kind] and kinds != KIND_BITS[kind]:
                found.append(Found(access.pc, _fault(access, kinds), None, []))
                break
    return found


def _fault(access: Access, kinds: i64) -> Fault:
    names = [name for bit, name in enumerate(KIND_NAMES) if (kinds >> bit) & 1]
    return Fault(
        faults.NOT_A_POINTER,
        f"accesses memory through different kinds of pointers ({', '.join(names)}) on different "
        "ways here; each needs an instruction of its own",
        access.base,
        "one kind of pointer",
        " or ".join(names),
    )
