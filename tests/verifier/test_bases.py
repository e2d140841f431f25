"""An access that Linux translates serves one kind of pointer only."""

from __future__ import annotations

from anybpf.isa.assembler import assemble
from anybpf.verifier import verify_instructions

TWO_KINDS = """
    r6 = r1
    *(u64 *)(r10 - 8) = 0
    call 7
    r2 = r6
    if r0 > 5 goto use
    r2 = r10
    r2 += -8
use:
    r0 = *(u32 *)(r2 + 0)
    r0 = 2
    exit
"""


def kinds(text: str, platform: str = "linux") -> list[str]:
    return [f.kind for f in verify_instructions(assemble(text), platform=platform).findings]


def test_context_or_stack() -> None:
    assert kinds(TWO_KINDS) == ["not-a-pointer"]


def test_stack_on_both_ways() -> None:
    assert kinds(TWO_KINDS.replace("r2 = r6", "r2 = r10\n    r2 += -8")) == []
