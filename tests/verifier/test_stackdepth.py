"""Chains of calls share the stack of Linux: what their frames take together is bounded."""

from __future__ import annotations

import pytest

from anybpf.isa import opcodes as op
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import MapSpec
from anybpf.verifier import verify_instructions

CHAIN = """
    r1 = 0
    *(u64 *)(r10 - {outer}) = r1
    call inner
    r0 = 0
    exit
inner:
    r2 = r10
    r2 += -{inner}
    r1 = 0
    *(u64 *)(r2 + 0) = r1
    r0 = 0
    exit
"""


@pytest.mark.parametrize(
    ("outer", "inner", "type_name", "kinds"),
    [
        (256, 256, "xdp", []),
        (256, 264, "xdp", ["stack-depth"]),
        (248, 264, "xdp", ["stack-depth"]),  # each frame is rounded up to 16 bytes
        (8, 496, "xdp", []),
        (400, 400, "tracepoint", []),  # these frames lie outside of the kernel's stack
    ],
)
def test_frames_are_added_up(outer: int, inner: int, type_name: str, kinds: list[str]) -> None:
    code = assemble(CHAIN.format(outer=outer, inner=inner))
    found = verify_instructions(code, type=type_name)
    assert [finding.kind for finding in found.findings] == kinds


def test_windows_gives_each_function_a_stack_of_its_own() -> None:
    code = assemble(CHAIN.format(outer=400, inner=400))
    assert verify_instructions(code, type="xdp", platform="windows").ok


def test_nine_frames_are_too_many_even_where_nobody_goes() -> None:
    text = "r0 = 0\nif r0 == 0 goto +1\ncall f1\nexit\n"
    for number in range(1, 9):
        text += f"f{number}:\n" + (f"call f{number + 1}\n" if number < 8 else "") + "r0 = 0\nexit\n"
    found = verify_instructions(assemble(text), type="xdp")
    assert [finding.kind for finding in found.findings] == ["call-depth"]


def test_little_stack_may_lie_above_a_tail_call() -> None:
    text = """
    *(u64 *)(r10 - {depth}) = 0
    call inner
    r0 = 0
    exit
inner:
    r2 = jumps ll
    r3 = 0
    call 12
    r0 = 0
    exit
"""
    jumps = MapSpec("jumps", "prog_array")
    jumps.key_size = jumps.value_size = 4
    jumps.max_entries = 1
    kinds = []
    for depth in (240, 256):
        code = assemble(text.format(depth=depth))
        for insn in code:
            if insn.reference == "jumps":
                insn.src, insn.map_name = op.PSEUDO_MAP_FD, "jumps"
        found = verify_instructions(code, type="xdp", maps=[jumps])
        kinds.append([finding.kind for finding in found.findings])
    assert kinds == [[], ["stack-depth"]]
