"""The fuzzer that holds the verifier to its word: its machine, its programs, its comparisons.

A few hundred programs are verified and run here; `make fuzz` goes on from there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.isa import decode, problem
from anybpf.isa.assembler import assemble
from anybpf.platforms import get
from anybpf.verifier import values, verify_instructions
from anybpf.verifier.numbers import between
from anybpf.verifier.values import NUMBER, PLAIN, Unknown, Value
from fuzz.soundness import blocks
from fuzz.soundness.blocks import MEMORY, Block
from fuzz.soundness.campaign import Campaign
from fuzz.soundness.code import Code
from fuzz.soundness.compare import Comparer, contains
from fuzz.soundness.generate import Generator, standard_maps
from fuzz.soundness.live import ALL_REGISTERS, ALL_SLOTS, Live
from fuzz.soundness.machine import Machine
from fuzz.soundness.minimise import without
from fuzz.soundness.mutations import MUTATIONS, Mutation
from fuzz.soundness.scene import Scene
from tests.conftest import ROOT
from tests.isa import conformance

LINUX = get("linux")
ALL = (ALL_REGISTERS, ALL_SLOTS, True)


def machine(text: str, type_name: str = "xdp") -> Machine:
    """A machine that ran the text once, to its end."""
    made = Machine(Scene(LINUX, type_name, standard_maps()), Code(assemble(text)))
    made.start(1, 1)
    while not made.finished and made.steps < 10_000:
        made.step()
    return made


def test_the_machine_agrees_with_the_conformance_suite(shared: Path) -> None:
    scene = Scene(LINUX, "xdp", [])
    wrong: list[str] = []
    for case in conformance.cases(shared):
        if case.name == "callx":
            continue  # calls by register: the machine has none, no verifier here accepts any
        code = assemble(case.asm, "mnemonic") if case.asm.strip() else decode(case.raw)
        runner = Machine(scene, Code(code))
        runner.start(1, 1)
        memory = bytearray(case.memory or b"")
        block = Block(MEMORY, runner.place(len(memory)), memory, -1)
        runner.put(1, block.address if memory else 0, block if memory else None)
        runner.put(2, len(memory), None)
        while not runner.finished and runner.steps < 100_000:
            runner.step()
        if runner.violation or runner.unsupported or runner.result != case.result:
            wrong.append(case.name)
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("r0 = r3; exit", "r3 is read before it is written"),
        ("r0 = *(u64 *)(r10 + 0); exit", "8-byte load at 0 of a stack"),
        ("r0 = *(u64 *)(r10 - 516); exit", "8-byte load at -516 of a stack"),
        ("r1 = 0; r0 = *(u8 *)(r1 + 0); exit", "through the null pointer"),
        ("r1 = 5; r0 = *(u8 *)(r1 + 0); exit", "through a number"),
        ("r0 = *(u32 *)(r1 + 3); exit", "4-byte load at 3 of the context"),
        ("r2 = *(u32 *)(r1 + 0); r0 = *(u8 *)(r2 + 300); exit", "1-byte load at 300 of a packet"),
        ("r10 = 1; r0 = 0; exit", "r10 is written"),
        ("call 7; r0 = r1; exit", "r1 is read before it is written"),
        ("r1 = 1; goto +5; exit", "runs out of its code"),
        ("r1 = 1; call 1; exit", "r1 is not a map"),
    ],
)
def test_the_machine_notices(text: str, trouble: str) -> None:
    assert trouble in machine(text).violation


def test_pointers_survive_the_stack_only_whole() -> None:
    kept = "*(u64 *)(r10 - 8) = r1; r2 = *(u64 *)(r10 - 8); r0 = *(u32 *)(r2 + 12); exit"
    assert machine(kept).violation == ""
    torn = "*(u64 *)(r10 - 8) = r1; *(u8 *)(r10 - 8) = 0; r2 = *(u64 *)(r10 - 8); " + (
        "r0 = *(u32 *)(r2 + 12); exit"
    )
    assert "through a number" in machine(torn).violation


def test_kinds_bear_the_numbers_of_the_verifier() -> None:
    for name in ("CONTEXT", "STACK", "MAP_VALUE", "PACKET", "PACKET_END", "PACKET_META", "MAP"):
        assert getattr(blocks, name) == getattr(values, name)
    for name in ("MEMORY", "OBJECT", "FUNCTION"):
        assert getattr(blocks, name) == getattr(values, name)


def test_a_seed_names_its_programs() -> None:
    first = Generator(5, [])
    second = Generator(5, [])
    for number in range(50):
        assert first.program(number).code == second.program(number).code


def test_generated_instructions_are_legal() -> None:
    generator = Generator(6, [])
    for number in range(300):
        program = generator.program(number)
        assert [problem(insn) for insn in program.code if problem(insn)] == []
        assert len(program.code) >= 3


def test_what_is_accepted_behaves() -> None:
    campaign = Campaign(7, [], 2)
    for number in range(250):
        found = campaign.one(number)
        assert found is None, f"seed 7 number {number}: {found.kind}: {found.text}"
    assert campaign.tally.accepted > 80


def test_a_wrong_state_is_noticed() -> None:
    code = assemble("r2 = *(u32 *)(r1 + 12); r2 &= 7; r0 = r2; exit")
    verification = verify_instructions(code, "xdp", record=True)
    runner = Machine(Scene(LINUX, "xdp", []), Code(verification.instructions))
    comparer = Comparer(runner)
    seen: set[bool] = set()
    for run in range(40):
        runner.start(3, run)
        for _ in range(2):
            runner.step()
        state = verification.states[2][0]
        assert comparer.explain(state, *ALL) == ""
        wrong = state.copy()
        wrong.regs[2] = Value(NUMBER, 0, Unknown(between(0, 3), PLAIN, 0, None), None)
        seen.add(comparer.explain(wrong, *ALL) == "")
    assert seen == {True, False}


def test_ranges_are_read_as_they_are_meant() -> None:
    known = between(-4, 9)
    assert [word for word in range(16) if contains(known, word)] == list(range(10))
    assert contains(known, 2**64 - 4)
    assert not contains(known, 2**64 - 5)


def test_jumps_follow_when_instructions_are_taken_out() -> None:
    code = assemble("r0 = 0; r1 = 1 ll; if r0 == 0 goto out; r2 = 2; r3 = 3; out: exit")
    shorter = without(code, 3, 4)
    assert shorter is not None
    assert shorter == assemble("r0 = 0; r1 = 1 ll; if r0 == 0 goto out; r3 = 3; out: exit")


def test_what_is_read_again() -> None:
    text = "r2 = 1; *(u64 *)(r10 - 8) = r2; r3 = *(u64 *)(r10 - 8); if r3 == 0 goto out; r0 = r2; "
    live = Live(Code(assemble(text + "exit; out: r0 = 0; exit")), Scene(LINUX, "xdp", []))
    assert [bin(bits).count("1") for bits in live.registers[:6]] == [1, 2, 2, 2, 1, 0]
    assert list(live.slots[:4]) == [0, 0, 1 << 63, 0]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[one.name for one in MUTATIONS])
def test_every_bug_can_still_be_planted(mutation: Mutation) -> None:
    """Whether each is found takes minutes: `fuzz/verifier.py --mutations`."""
    text = (ROOT / "src" / "anybpf" / "verifier" / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    assert mutation.old != mutation.new
