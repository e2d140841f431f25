"""What the kernel's own verifier says, where this machine lets us ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction
from anybpf.objects import load_spec
from anybpf.objects.specs import MapSpec
from anybpf.toolchain import Compiler
from fuzz import linux_kernel, linux_syscall

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "droppacket"
SET_R0 = Instruction(op.ALU64 | op.MOV, dst=0, imm=0)
EXIT = Instruction(op.JMP | op.EXIT)


@pytest.fixture(autouse=True, scope="module")
def _kernel() -> None:
    problem = linux_syscall.unavailable()
    if problem:
        pytest.skip(f"no kernel to ask: {problem}")


def test_the_first_example_is_accepted(droppacket: Path) -> None:
    verdict = linux_kernel.load(load_spec(droppacket), "drop_packet")
    assert verdict.accepted, verdict.log
    assert verdict.processed > 0


def test_its_unsafe_variant_is_refused_with_a_reason(compiler: Compiler, tmp_path: Path) -> None:
    source = EXAMPLE / "droppacket_unsafe.c"
    built = toolchain.compile(source, tmp_path / "unsafe.o", compiler=compiler)
    verdict = linux_kernel.load(load_spec(built.output), "drop_packet")
    assert not verdict.accepted
    assert not verdict.obstacle
    assert "outside of the packet" in verdict.reason


def test_instructions_made_up_on_the_spot() -> None:
    assert linux_kernel.load_instructions([SET_R0, EXIT], "socket_filter").accepted
    refused = linux_kernel.load_instructions([EXIT], "socket_filter")
    assert not refused.accepted
    assert refused.reason == "R0 !read_ok"


def test_maps_of_instructions_are_found_by_name() -> None:
    spec = MapSpec("counters", "array")
    spec.key_size = 4
    spec.value_size = 8
    spec.max_entries = 1
    load = Instruction(op.LD_IMM64, dst=1, src=op.PSEUDO_MAP_FD)
    load.map_name = "counters"
    program = [load, SET_R0, EXIT]
    assert linux_kernel.load_instructions(program, "xdp", {"counters": spec}).accepted
    unknown = linux_kernel.load_instructions(program, "xdp")
    assert unknown.obstacle == "map counters is not defined"
