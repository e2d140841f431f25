"""What engines are given: only what was proved, indexes for names, the header for packets."""

from __future__ import annotations

import sys

import pytest

from anybpf.engines import Prepared, prepare
from anybpf.errors import InputError, NotSupported, VerifierError
from anybpf.isa import Instruction, decode
from anybpf.objects.specs import MapSpec
from anybpf.verifier import verify
from tests.runtime.making import PASS, collection, map_spec

HOST = sys.byteorder == "big"


def prepared(
    text: str,
    kind: str = "xdp",
    maps: list[MapSpec] | None = None,
    platform: str = "linux",
    attach_type: str = "",
) -> Prepared:
    spec = collection(text, kind=kind, maps=maps, platform=platform, attach_type=attach_type)
    program = spec.programs["main"]
    return prepare(program, verify(program, spec))


def code(made: Prepared) -> list[Instruction]:
    return decode(made.code, big_endian=HOST)


def test_what_was_not_proved_is_refused() -> None:
    spec = collection("r0 = r3\nexit")
    program = spec.programs["main"]
    proof = verify(program, spec)
    with pytest.raises(VerifierError, match="program main was not proved safe: reads r3") as caught:
        prepare(program, proof)
    assert caught.value.verification is proof


def test_the_proof_must_be_of_this_program() -> None:
    one, other = collection(PASS), collection(PASS)
    with pytest.raises(InputError, match="verify this very program"):
        prepare(one.programs["main"], verify(other.programs["main"], other))


def test_what_is_prepared_is_what_was_proved() -> None:
    """The spec may be changed after its verification; that is not run."""
    spec = collection(PASS)
    program = spec.programs["main"]
    proof = verify(program, spec)
    program.function.instructions[0].imm = 99
    assert code(prepare(program, proof))[0].imm == 2


def test_code_for_the_other_byte_order_is_refused() -> None:
    spec = collection(PASS)
    spec.big_endian = not HOST
    program = spec.programs["main"]
    with pytest.raises(NotSupported, match="endian"):
        prepare(program, verify(program, spec))


def test_packet_pointers_come_from_the_header() -> None:
    made = prepared("r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = *(u32 *)(r1 + 8)\n" + PASS)
    loads = code(made)[:3]
    assert [insn.opcode for insn in loads] == [0x79] * 3  # eight bytes each
    assert [insn.offset for insn in loads] == [-64, -56, -48]


def test_other_fields_stay_where_they_are() -> None:
    made = prepared("r2 = *(u32 *)(r1 + 12)\n" + PASS)
    assert (code(made)[0].opcode, code(made)[0].offset) == (0x61, 12)
    assert made.context_size == 24


def test_a_context_pointer_that_was_moved_still_finds_the_header() -> None:
    text = "r2 = *(u64 *)(r1 + 8)\nr6 = r1\nr6 += 16\nr3 = *(u64 *)(r6 - 16)\nr0 = 1\nexit"
    made = prepared(text, platform="windows")
    loads = [insn for insn in code(made) if insn.opcode == 0x79]
    assert [insn.offset for insn in loads] == [-56, -64 - 16]


def test_pointers_of_windows_take_the_same_way() -> None:
    made = prepared("r2 = *(u64 *)(r1 + 0)\nr0 = 0\nexit", "bind", platform="windows")
    assert (code(made)[0].opcode, code(made)[0].offset) == (0x79, -64)
    assert made.packet_fields == (0, 8, -1)


def test_the_length_of_a_packet_has_a_place() -> None:
    assert prepared("r0 = 0\nexit", "sched_cls").length_field == 0
    assert prepared(PASS).length_field == -1


def test_maps_and_helpers_are_indexes() -> None:
    text = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[second]
        call bpf_map_lookup_elem
        *(u32 *)(r10 - 4) = 1
        r2 = r10
        r2 += -4
        r1 = map[first]
        call bpf_map_lookup_elem
        call bpf_ktime_get_ns
        r0 = 2
        exit
    """
    made = prepared(text, maps=[map_spec("first"), map_spec("second")])
    assert [spec.name for spec in made.maps] == ["second", "first"]
    assert made.helpers == ["map_lookup_elem", "ktime_get_ns"]
    loads = [insn for insn in code(made) if insn.is_map_load]
    assert [(insn.src, insn.imm) for insn in loads] == [(1, 0), (1, 1)]
    calls = [insn for insn in code(made) if insn.is_helper_call]
    assert [insn.imm for insn in calls] == [0, 0, 1]
    assert not made.dead


def test_an_address_in_a_value_keeps_its_offset() -> None:
    spec = collection("r1 = map[data][0]\nr2 = *(u32 *)(r1 + 0)\nr0 = 2\nexit", maps=[
        map_spec("data", value=16, entries=1)
    ])  # fmt: skip
    program = spec.programs["main"]
    program.function.instructions[0].imm = 12 << 32
    load = code(prepare(program, verify(program, spec)))[0]
    assert (load.src, load.low, load.high) == (2, 0, 12)


def test_helpers_that_only_dead_code_calls_are_known() -> None:
    made = prepared("r0 = 1\nif r0 == 1 goto +1\ncall bpf_ktime_get_ns\nexit")
    assert made.dead == {"ktime_get_ns"}


def test_programs_that_may_follow_one_another() -> None:
    xdp, classifier = prepared(PASS), prepared("r0 = 0\nexit", "sched_cls")
    assert xdp.compatible == prepared("r0 = 1\nexit").compatible
    assert xdp.compatible != classifier.compatible
    four, six = (
        prepared("r0 = 1\nexit", "cgroup_sock_addr", attach_type=f"cgroup_inet{n}_connect")
        for n in (4, 6)
    )
    assert four.compatible != six.compatible


def test_a_tag_is_of_the_code_alone() -> None:
    assert prepared(PASS).tag == prepared(PASS).tag
    assert prepared(PASS).tag != prepared("r0 = 1\nexit").tag
    assert len(prepared(PASS).tag) == 16
