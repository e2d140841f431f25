"""What a finding says of itself: in one line, in a paragraph, and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.isa.assembler import assemble
from anybpf.objects import load_spec
from anybpf.objects.specs import MapSpec
from anybpf.toolchain import Compiler
from anybpf.verifier import Verification, faults, verify, verify_instructions
from anybpf.verifier.explain import Explanation, explain
from anybpf.verifier.remedies import REMEDIES, remedy
from anybpf.verifier.trail import follow_back, shortest_way, whole_way
from anybpf.verifier.wording import Words
from tests.conftest import ROOT

REJECTED = ROOT / "examples" / "rejected"


def counts() -> MapSpec:
    spec = MapSpec("counts", "hash")
    spec.key_size, spec.value_size, spec.max_entries = 4, 8, 16
    return spec


def check(text: str) -> Verification:
    return verify_instructions(assemble(text), "xdp", [counts()], record=True)


def first(verification: Verification) -> Explanation:
    assert not verification.ok
    return explain(verification, verification.findings[0])


LOOKUP = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call 1
"""


def test_the_call_that_may_return_null_is_shown() -> None:
    said = first(check(LOOKUP + "r0 = *(u64 *)(r0 + 0); exit"))
    assert said.finding.kind == "null-pointer"
    assert said.text == "r0 = *(u64 *)(r0 + 0)"
    assert ("r0", "a value of map counts (8 bytes), or null") in said.known
    assert [step.text for step in said.steps] == ["call bpf_map_lookup_elem#1"]
    assert said.steps[0].remark == "map counts, key 0"
    assert "NULL" in said.hint


def test_branches_on_the_way_say_what_held() -> None:
    said = first(
        check(LOOKUP + "if r0 == 0 goto out; r0 = *(u64 *)(r0 + 8); exit; out: r0 = 0; exit")
    )
    assert said.finding.kind == "out-of-bounds"
    assert ("r0", "a value of map counts (8 bytes)") in said.known
    (branch,) = [step for step in said.steps if step.note]
    assert branch.note == "not taken: r0 != 0"


def test_packet_checks_show_what_was_compared() -> None:
    said = first(
        check(
            """
            r2 = *(u32 *)(r1 + 0)
            r3 = *(u32 *)(r1 + 4)
            r9 = 7
            r4 = r2
            r4 += 14
            if r4 > r3 goto out
            r0 = *(u8 *)(r2 + 14)
            exit
            out: r0 = 2
            exit
            """
        )
    )
    assert said.finding.kind == "packet-bounds"
    texts = [step.text for step in said.steps]
    assert texts == [
        "r2 = *(u32 *)(r1 + 0)",
        "r3 = *(u32 *)(r1 + 4)",
        "r4 = r2",
        "r4 += 14",
        "if r4 > r3 goto 8",
    ]
    assert said.steps[-1].note == "not taken: r4 <= r3"
    assert [what for name, what in said.known if name == "r2"] == [
        "the packet, with 14 bytes checked from there on"
    ]


def test_values_are_followed_through_the_stack() -> None:
    said = first(
        check(
            """
            r6 = *(u32 *)(r1 + 12)
            *(u64 *)(r10 - 8) = r6
            r6 = 1
            r7 = *(u64 *)(r10 - 8)
            r2 = r10
            r2 += r7
            r0 = *(u8 *)(r2 + 0)
            exit
            """
        )
    )
    texts = [step.text for step in said.steps]
    assert "r6 = *(u32 *)(r1 + 12)" in texts
    assert "*(u64 *)(r10 - 8) = r6" in texts
    assert "r6 = 1" not in texts


def test_a_long_way_is_cut_in_the_middle() -> None:
    moves = "\n".join(["r2 += 1"] * 30)
    said = first(check(f"r2 = *(u32 *)(r1 + 12)\n{moves}\nr0 = *(u8 *)(r2 + 0)\nexit"))
    assert len(said.steps) == 12
    assert said.elided == 19
    assert said.steps[0].text == "r2 = *(u32 *)(r1 + 12)"
    assert "... 19 more steps" in said.step_lines()


def test_the_paragraph_begins_with_the_line() -> None:
    said = first(check("r0 = r5; exit"))
    lines = said.lines()
    assert lines[0] == said.short()
    assert lines[0].startswith("slot 0: ")
    assert lines[0].endswith(" [uninitialized-register]")
    assert any(line.startswith("  required ") for line in lines)
    assert any(line.startswith("  mend ") for line in lines)


def test_json_has_the_same() -> None:
    said = first(check("r0 = r5; exit"))
    value = json.loads(json.dumps(said.as_json()))
    assert (value["kind"], value["instruction"], value["slot"]) == ("uninitialized-register", 0, 0)
    assert value["hint"] == said.hint
    assert value["source"] is None


def test_every_kind_has_a_remedy() -> None:
    kinds = {
        word
        for name, word in vars(faults).items()
        if name.isupper() and isinstance(word, str) and not name.startswith("_")
    }
    assert kinds <= set(REMEDIES)
    assert remedy("no such kind") == ("", "")


def test_a_way_is_filled_in_between_marks() -> None:
    verification = check("if r1 != 0 goto a; r2 = 1; a: r3 = 1; r4 = 1; r0 = 0; exit")
    assert whole_way(verification, [0, 2], 4) == [0, 2, 3, 4]
    assert whole_way(verification, [0, 1], 4) == [0, 1, 2, 3, 4]
    assert whole_way(verification, [], 3) == [3]
    assert whole_way(verification, [99, 0], 2) == [0, 2]
    assert shortest_way(verification, 4) == [0, 2, 3, 4]


def test_a_way_through_calls() -> None:
    verification = check(
        """
        r6 = *(u32 *)(r1 + 12)
        r1 = r6
        call f
        r2 = r10
        r2 += r0
        r0 = *(u8 *)(r2 + 0)
        exit
        f: r0 = r1
        r0 += 3
        exit
        """
    )
    trail = follow_back(verification, [0, 1, 2, 7, 8, 9, 3, 4, 5], True, [2])
    texts = [Words(verification).instruction(step.index) for step in trail.steps]
    assert texts == [
        "r6 = *(u32 *)(r1 + 12)", "r1 = r6", "r0 = r1", "r0 += 3", "r2 = r10", "r2 += r0",
    ]  # fmt: skip


def example(compiler: Compiler, name: str, place: Path, platform: str = "linux") -> Explanation:
    made = toolchain.compile(REJECTED / f"{name}.c", place / f"{name}.o", compiler=compiler)
    spec = load_spec(made.output, platform=platform)
    return first(verify(spec.program(), spec, record=True))


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("missing_null_check", faults.NULL_POINTER, "stats->packets++"),
        ("packet_bounds", faults.PACKET_BOUNDS, "ip->protocol"),
        ("unbounded_loop", faults.LOOP_BOUND, ""),
        ("leaked_record", faults.REFERENCE_LEAK, "}"),
        ("wrong_size", faults.STACK_BOUNDS, "bpf_get_current_comm"),
        ("wrong_variable", faults.OUT_OF_BOUNDS, "hits[port]"),
        ("context_field", faults.CONTEXT_ACCESS, "skb->len = 1500"),
    ],
)
def test_the_examples(compiler: Compiler, tmp_path: Path, name: str, kind: str, line: str) -> None:
    """Each mistake is found at the line that makes it, under its kind, with a way there."""
    said = example(compiler, name, tmp_path)
    assert said.finding.kind == kind
    assert line in said.source
    assert said.place.startswith(f"{name}.c:")
    assert said.steps
    assert said.hint


def test_unwritten_padding_is_refused_on_windows(compiler: Compiler, tmp_path: Path) -> None:
    said = example(compiler, "uninitialised_stack", tmp_path, "windows")
    assert said.finding.kind == faults.UNINITIALIZED_STACK
    assert any("key.kind = 1" in step.source for step in said.steps)


def test_fields_bear_their_names(compiler: Compiler, tmp_path: Path) -> None:
    said = example(compiler, "missing_null_check", tmp_path)
    assert said.remark == "value->packets"
    assert ("r0", "a value of map per_queue (struct stats, 16 bytes), or null") in said.known
    said = example(compiler, "wrong_variable", tmp_path)
    assert any(what.startswith("the address of hits[0] + (") for _, what in said.known)
    assert any(step.remark == "ctx->ingress_ifindex" for step in said.steps)


def test_a_stale_pointer_shows_the_call_that_moved_the_packet() -> None:
    said = first(
        check(
            """
            r6 = r1
            r7 = *(u32 *)(r1 + 0)
            r2 = 4
            call 44
            r0 = *(u8 *)(r7 + 0)
            exit
            """
        )
    )
    assert "call bpf_xdp_adjust_head#44" in [step.text for step in said.steps]


def test_what_happened_in_a_subprogram_is_shown() -> None:
    said = first(
        check(
            """
            r6 = *(u32 *)(r1 + 12)
            r1 = r6
            call f
            exit
            f: r1 &= 0xffff
            r2 = r10
            r2 += r1
            r0 = *(u8 *)(r2 + 0)
            exit
            """
        )
    )
    assert said.finding.function.startswith("f")
    assert said.way_known
    texts = [step.text for step in said.steps]
    assert texts == [
        "r6 = *(u32 *)(r1 + 12)", "r1 = r6", "r1 &= 0xffff", "r2 = r10", "r2 += r1",
    ]  # fmt: skip
