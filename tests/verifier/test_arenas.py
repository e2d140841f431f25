"""Arenas: what programs may do with pointers into one, and what is proved of that.

Where this machine's kernel can be asked, it says the same.
"""

from __future__ import annotations

import pytest

from anybpf.isa import Instruction
from anybpf.isa import opcodes as op
from anybpf.isa.assembler import assemble
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec, Function, MapSpec, ProgramSpec
from anybpf.verifier import Verification, verify
from anybpf.verifier.facts import MIXED_KIND
from fuzz import linux_kernel, linux_syscall
from tests.objects.conftest import Build, build
from tests.runtime.arenas import build_arena

__all__ = ["build"]

PAGES = 10
END = "r0 = 0; exit"


def arena(name: str) -> MapSpec:
    spec = MapSpec(name, "arena")
    spec.max_entries = PAGES
    spec.flags = 1 << 10  # BPF_F_MMAPABLE
    return spec


def load(name: str, register: int = 1, place: int = -1) -> Instruction:
    """The map, or the arena pointer to a place in it."""
    source = op.PSEUDO_MAP_FD if place < 0 else op.PSEUDO_MAP_VALUE
    insn = Instruction(op.LD_IMM64, dst=register, src=source, imm=max(place, 0) << 32)
    insn.map_name = name
    return insn


def cast(register: int = 1, to_user: bool = False) -> Instruction:
    opcode = op.ALU64 | op.MOV | op.X
    return Instruction(opcode, register, register, 1, 1 << 16 if to_user else 1)


# A pointer into the arena in r1, ready for use.
Parts = list[Instruction | str]
POINTER: Parts = [load("a", place=4096), cast()]

ACCEPTED: dict[str, Parts] = {
    "any number is a pointer": [load("a"), "r1 = 4096", cast(), "r0 = *(u64 *)(r1 + 0)"],
    "far from it": [*POINTER, "*(u64 *)(r1 + 32000) = 7"],
    "back again": [*POINTER, cast(to_user=True), "r0 = r1"],
    "at once": [*POINTER, "r2 = 1; lock *(u64 *)(r1 + 0) += r2"],
    "into itself": [*POINTER, "*(u64 *)(r1 + 0) = r1"],
    "spilled": [*POINTER, "*(u64 *)(r10 - 8) = r1; r2 = *(u64 *)(r10 - 8); *(u64 *)(r2 + 0) = 1"],
    "any arithmetic": [*POINTER, "r2 = *(u64 *)(r1 + 0); r1 += r2; r1 *= 3; r1 ^= r2; r1 -= r2",
                       "*(u8 *)(r1 + 0) = 1"],
    "added to a number": [*POINTER, "r2 = *(u64 *)(r1 + 0); r2 += r1; r0 = *(u64 *)(r2 + 0)"],
    "not tested for null": [*POINTER, "if r1 == 0 goto +1; r0 = *(u8 *)(r1 + 0)"],
}  # fmt: skip

REFUSED: dict[str, tuple[Parts, str]] = {
    "a cast without an arena": (["r1 = 4096", cast()], "uses no arena"),
    "not cast": ([load("a", place=4096), "r0 = *(u64 *)(r1 + 0)"], "a number"),
    "two arenas": ([load("a"), load("b")], "besides another"),
    "no entries": (
        [load("a"), "*(u32 *)(r10 - 4) = 0; r2 = r10; r2 += -4; call 1"],
        "does not work on maps of type arena",
    ),
    "beyond the end": ([load("a", place=4096 * PAGES + 1)], "which has 40960 bytes"),
    # What follows a test for null is followed on both sides, whatever was tested before.
    "null": ([*POINTER, f"if r1 == 0 goto +2; {END}; r0 = r9"], "reads r9"),
    "not null": ([*POINTER, f"if r1 != 0 goto +2; {END}; r0 = r9"], "reads r9"),
    "null after another": (
        [load("a", place=8), cast(), load("a", 2, 4096), cast(2),
         f"if r1 != 0 goto +2; {END}; if r2 == 0 goto +2; {END}; r0 = r9"],
        "reads r9",
    ),
    "equal to one moved": (
        [*POINTER, "r2 = *(u64 *)(r1 + 0)", "r2 += r1", f"if r2 == r1 goto +2; {END}; r0 = r9"],
        "reads r9",
    ),
}  # fmt: skip


def spec_of(parts: Parts) -> CollectionSpec:
    code: list[Instruction] = []
    for part in [*parts, END]:
        code += assemble(part) if isinstance(part, str) else [part.copy()]
    spec = CollectionSpec("case", "", "linux")
    spec.maps = {name: arena(name) for name in "ab"}
    function = Function("main", "socket", 0, code)
    spec.functions["main"] = function
    program = ProgramSpec(function, "socket", spec.functions)
    program.type, program.license = "socket_filter", "GPL"
    spec.programs["main"] = program
    return spec


def verdict(parts: Parts) -> Verification:
    spec = spec_of(parts)
    return verify(spec.programs["main"], spec)


def kernel_accepts(parts: Parts) -> bool:
    problem = linux_syscall.unavailable()
    if problem:
        pytest.skip(f"no kernel to ask: {problem}")
    spec = spec_of(parts)
    code = spec.programs["main"].instructions
    said = linux_kernel.load_instructions(code, "socket_filter", spec.maps)
    if said.obstacle:
        pytest.skip(f"this kernel has no arenas for us: {said.obstacle}")
    return said.accepted


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_programs_may_do(name: str) -> None:
    result = verdict(ACCEPTED[name])
    assert [finding.message for finding in result.findings] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_they_may_not(name: str) -> None:
    parts, why = REFUSED[name]
    assert why in verdict(parts).findings[0].message


@pytest.mark.parametrize("name", [*ACCEPTED, *REFUSED])
def test_the_kernel_says_the_same(name: str) -> None:
    parts = ACCEPTED[name] if name in ACCEPTED else REFUSED[name][0]
    assert kernel_accepts(parts) == (name in ACCEPTED)


def test_nothing_is_proved_of_where_accesses_go() -> None:
    """An engine has to look: the pointer may be any number."""
    accesses = verdict([*POINTER, "*(u64 *)(r1 + 0) = 7; r0 = *(u32 *)(r1 + 8)"]).facts.accesses
    assert [access.kind for access in accesses.values()] == [MIXED_KIND] * 2


def test_a_difference_of_pointers_is_any_number() -> None:
    moved = "r2 = r1; r3 = *(u64 *)(r1 + 0); r2 += r3; r2 -= r1; r4 = r10; r4 += r2"
    result = verdict([*POINTER, moved, "*(u8 *)(r4 - 1) = 1"])
    assert not result.ok


def test_programs_from_c(build: Build) -> None:
    spec = load_spec(build_arena(build))
    for program in spec.programs.values():
        assert [finding.message for finding in verify(program, spec).findings] == []


def test_programs_from_c_and_the_kernel(build: Build) -> None:
    problem = linux_syscall.unavailable()
    if problem:
        pytest.skip(f"no kernel to ask: {problem}")
    spec = load_spec(build_arena(build))
    for program in spec.programs.values():
        program.flags = ("sleepable",)  # as all of that section are
        said = linux_kernel.load(spec, program)
        assert said.accepted, said.log
