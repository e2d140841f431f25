"""Remarks on accesses, and what the light data flow behind them does not claim."""

from __future__ import annotations

from pathlib import Path

from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.objects import elf, load_spec
from anybpf.objects.elf_writer import ElfWriter
from anybpf.objects.hints import access_hints
from anybpf.platforms import get
from tests.objects import sources
from tests.objects.conftest import Build

LINUX = get("linux")


def hints_of(path: Path, program: str) -> list[str]:
    spec = load_spec(path)
    return list(access_hints(spec.programs[program], spec, LINUX).values())


def test_values_and_maps_are_named(build: Build) -> None:
    found = hints_of(build(sources.MAPS), "entry")
    assert found == [
        "map stats", "value->packets", "value->packets", "map jumps", "map bloom", "map outer",
    ]  # fmt: skip


def test_variables_and_configuration_are_named(build: Build) -> None:
    found = hints_of(build(sources.DATA), "reads")
    assert {"limit", "hidden", "origin.y", "counter", "CONFIG_HZ"} <= set(found)


def test_the_context_is_followed_into_subprograms(build: Build) -> None:
    text = f"""{sources.PRELUDE}
    struct __sk_buff {{ __u32 len, pkt_type, mark; }};
    static __noinline int deep(struct __sk_buff *skb) {{ return skb->mark + skb->len; }}
    SEC("tc") int entry(struct __sk_buff *skb) {{ return deep(skb) + skb->pkt_type; }}
    """
    spec = load_spec(build(text))
    program = spec.programs["entry"]
    found = access_hints(program, spec, LINUX)
    assert sorted(found.values()) == ["ctx->len", "ctx->mark", "ctx->pkt_type"]
    inside = [slot for slot, hint in found.items() if hint in ("ctx->len", "ctx->mark")]
    assert min(inside) >= spec.functions["entry"].slots
    # By itself a subprogram is not known to be given a context.
    assert access_hints(spec.functions["deep"], spec, LINUX) == {}


def assembled(*code: Instruction) -> dict[int, str]:
    """The remarks on an XDP program made of these instructions."""
    writer = ElfWriter()
    section = writer.add_section("xdp", encode(list(code)), flags=6, align=8)
    writer.add_symbol("main", section, kind=elf.STT_FUNC)
    spec = load_spec(writer.encode())
    return access_hints(spec.programs["main"], spec, LINUX)


EXIT = Instruction(op.EXIT_INSN)
LOAD_DATA = Instruction(op.LDX | op.MEM | op.W, dst=2, src=1, offset=0)  # r2 = *(u32 *)(r1 + 0)
SAVE = Instruction(op.STX | op.MEM | op.DW, dst=10, src=1, offset=-8)  # *(u64 *)(r10 - 8) = r1
RESTORE = Instruction(op.LDX | op.MEM | op.DW, dst=1, src=10, offset=-8)
CALL = Instruction(op.CALL_IMM, imm=7)  # bpf_get_prandom_u32


def test_a_spilled_context_is_found_again() -> None:
    assert assembled(SAVE, CALL, RESTORE, LOAD_DATA, EXIT) == {3: "ctx->data"}


def test_a_call_forgets_its_arguments() -> None:
    assert assembled(CALL, LOAD_DATA, EXIT) == {}


def test_offsets_add_up() -> None:
    add = Instruction(op.ALU64 | op.ADD | op.K, dst=1, imm=4)
    assert assembled(add, LOAD_DATA, EXIT) == {1: "ctx->data_end"}


def test_where_paths_disagree_nothing_is_said() -> None:
    skip = Instruction(op.JMP | op.JEQ | op.K, dst=3, offset=1)
    move = Instruction(op.ALU64 | op.ADD | op.K, dst=1, imm=4)
    assert assembled(skip, move, LOAD_DATA, EXIT) == {}
    assert assembled(skip, Instruction(op.MOV64_IMM, dst=4), LOAD_DATA, EXIT) == {2: "ctx->data"}


def test_a_loop_forgets_what_it_changes() -> None:
    add = Instruction(op.ALU64 | op.ADD | op.K, dst=1, imm=4)
    back = Instruction(op.JMP | op.JNE | op.K, dst=3, offset=-3)
    assert assembled(LOAD_DATA, add, back, EXIT) == {}


def test_a_stack_slot_that_is_overwritten_is_forgotten() -> None:
    zero = Instruction(op.ST | op.MEM | op.W, dst=10, offset=-4)
    assert assembled(SAVE, zero, RESTORE, LOAD_DATA, EXIT) == {}
