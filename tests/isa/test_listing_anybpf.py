"""Our own listing: as it is read, and as it is assembled again."""

from __future__ import annotations

from struct import Struct

from hypothesis import given
from hypothesis import strategies as st

from anybpf.isa import Instruction, decode, encode
from anybpf.isa import opcodes as op
from anybpf.isa.assembler import assemble
from anybpf.isa.listing import anybpf, bpftool, llvm, netsh
from anybpf.isa.listing.json import as_json
from anybpf.isa.listing.syntax import instruction_text
from tests.isa.samples import SIGNATURES, Helpers, program

EXPECTED = """\
xdp_prog:                                     // int xdp_prog(struct xdp_md *ctx)
  ; count.c:12: __u32 key = 0;
   0: r6 = r1
   1: *(u32 *)(r10 - 4) = 0
   2: r2 = r10
   3: r2 += -4
   4: r1 = map[hits]
  ; count.c:14: value = lookup(&hits, &key);
   6: call bpf_map_lookup_elem#1              // (map r1, map_key r2)
   7: if r0 == 0 goto out
  ; helpers.h:3: return x + 1;
   8: r1 = 1
   9: lock *(u64 *)(r0 + 0) += r1
  10: r2 = *(u32 *)(r6 + 12)                  // ctx->ingress_ifindex
  11: r1 = map[.data][0] + 16                 // limit
  13: call add
out:
  14: w0 = 2
  15: exit

add:                                          // int add(u32 a, u32 b)
  16: w0 = w2
  17: w0 *= w1
  18: exit"""


def listing() -> list[str]:
    return anybpf.lines(
        program(), names=Helpers(), hints={10: "ctx->ingress_ifindex"}, signatures=SIGNATURES
    )


def test_everything_that_is_known_is_shown() -> None:
    assert "\n".join(listing()) == EXPECTED


def test_it_assembles_to_the_same_bytes_and_names() -> None:
    again = assemble("\n".join(listing()))
    assert encode(again) == encode(program())
    assert [insn.map_name for insn in again if insn.is_map_load] == ["hits", ".data"]


def test_bare_code_gets_labels() -> None:
    code = decode(encode(program()))
    lines = anybpf.lines(code)
    assert lines[0] == "   0: r6 = r1"
    assert "   7: if r0 == 0 goto l1" in lines
    assert "  13: call l2" in lines
    assert [line for line in lines if line.startswith("l")] == ["l1:", "l2:"]


def test_labels_keep_clear_of_names_that_are_taken() -> None:
    lines = anybpf.lines(assemble("l1: r0 = 0; goto l1; if r0 == 0 goto +0; exit"))
    assert lines[0] == "l1:"
    assert "l2:" in lines


def test_slots_may_count_from_elsewhere() -> None:
    lines = anybpf.lines(assemble("a: goto a; exit"), first_slot=12345, hints={12346: "done"})
    assert lines[1] == "12345: goto a"
    assert lines[2].endswith("// done")


def test_source_lines_can_be_left_out() -> None:
    assert not [line for line in anybpf.lines(program(), sources=False) if "count.c" in line]


def test_jumps_out_of_the_code_stay_distances() -> None:
    assert anybpf.lines(assemble("goto -5; gotol +9")) == ["   0: goto -5", "   1: gotol +9"]


def test_illegal_slots_are_numbers_with_the_reason() -> None:
    code = decode(bytes.fromhex("b7100000 05000000 ff000000 00000000"), check=False)
    lines = anybpf.lines(code)
    assert lines[0].startswith("   0: .quad 0x00000005000010b7")
    assert lines[0].endswith("must have source register 0, found 1")
    assert encode(assemble("\n".join(lines))) == encode(code)


def test_calls_of_functions_elsewhere_are_named() -> None:
    insn = Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=-1)
    insn.reference = "parse_ipv4"
    assert anybpf.lines([insn]) == ["   0: call parse_ipv4"]


def test_numbers_are_decimal_for_counting_and_hexadecimal_for_bits() -> None:
    texts = ["r1 += 1000", "r1 &= 255", "r1 = 0x86dd", "r1 = 0x123456789 ll", "r1 &= 7"]
    assert [instruction_text(assemble(text)[0]) for text in texts] == [
        "r1 += 1000", "r1 &= 0xff", "r1 = 0x86dd", "r1 = 0x123456789 ll", "r1 &= 7",
    ]  # fmt: skip


SLOT = Struct("<BBhi")
SLOTS = st.builds(
    SLOT.pack,
    st.integers(0, 255),
    st.integers(0, 10).map(lambda register: register * 17) | st.integers(0, 255),
    st.sampled_from((0, 0, 0, 1, 8, 16, 32)) | st.integers(-0x8000, 0x7FFF),
    st.sampled_from((0, 1, 16, 32, 64, 0x41, 0xE1, 0xF1, 0x100)) | st.integers(-(1 << 31), 0x7FFF),
)


@given(st.lists(SLOTS, max_size=12).map(b"".join))
def test_any_code_legal_or_not_is_listed_and_assembled_again(data: bytes) -> None:
    code = decode(data, check=False)
    names = Helpers()
    again = assemble("\n".join(anybpf.lines(code, names=names)))
    assert encode(again) == encode(code)
    assert len(as_json(code, names=names)) == len(code)
    assert len(netsh.lines(code, names=names)) == len(code) + 1
    assert len(bpftool.lines(code, names=names)) == len(code)
    llvm.section_lines("x", data)
