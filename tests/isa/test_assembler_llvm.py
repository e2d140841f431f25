"""The dialect of clang and the kernel: every form of statement, and what is said of wrong ones."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybpf.errors import AssemblerError, NotFound
from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.isa.assembler import assemble


def code(text: str) -> str:
    return encode(assemble(text)).hex(" ", 8)


# Statement and encoding, as llvm-mc 19 encodes it where it knows the statement.
STATEMENTS = [
    ("r0 = *(u32 *)(r1 + 4)", "6110040000000000"),
    ("r1 = *(s8 *)(r2 - 0x4)", "9121fcff00000000"),
    ("r1 = *(s32 *)(r2)", "8121000000000000"),
    ("w1 = *(u16 *)(r2 + 2)", "6921020000000000"),
    ("r0=*(u64*)(r10-8)", "79a0f8ff00000000"),
    ("*(u8 *)(r10 - 1) = 5", "720affff05000000"),
    ("*(u64 *)(r10 - 8) = -1", "7a0af8ffffffffff"),
    ("*(u32 *)(r1 + 0) = w2", "6321000000000000"),
    ("*(u64 *)(r1 + 0) = r2", "7b21000000000000"),
    ("w0 += w1", "0c10000000000000"),
    ("r0 s/= r1", "3f10010000000000"),
    ("r1 s%= 5", "9701010005000000"),
    ("r1 s>>= 3", "c701000003000000"),
    ("w1 <<= w2", "6c21000000000000"),
    ("r1 = r2", "bf21000000000000"),
    ("r1 = w2", "bc21000000000000"),
    ("r1 = (s8)r2", "bf21080000000000"),
    ("w1 = (s16)w2", "bc21100000000000"),
    ("r1 = (s32)r2", "bf21200000000000"),
    ("r1 = -r1", "8701000000000000"),
    ("w1 = -w1", "8401000000000000"),
    ("r1 = -1", "b7010000ffffffff"),
    ("r9 = 0xffffffff", "b7090000ffffffff"),
    ("w1 = (1 << 4) | 3", "b401000013000000"),
    ("r1 = be16 r1", "dc01000010000000"),
    ("r1 = le64 r1", "d401000040000000"),
    ("r1 = bswap32 r1", "d701000020000000"),
    ("if r1 s> 7 goto +2", "6501020007000000"),
    ("if w1 & 5 goto +3", "4601030005000000"),
    ("if r1 != r2 goto -3", "5d21fdff00000000"),
    ("if r1 s> 0xfffffff6 goto pc+2", "65010200f6ffffff"),
    ("goto +1", "0500010000000000"),
    ("goto pc-6", "0500faff00000000"),
    ("gotol +65536", "0600000000000100"),
    ("may_goto +4", "e500040000000000"),
    ("call 1", "8500000001000000"),
    ("call bpf_map_lookup_elem#1", "8500000001000000"),
    ("call pc+3", "8510000003000000"),
    ("call pc+11#bpf_prog_add", "851000000b000000"),
    ("call elsewhere", "85100000ffffffff"),
    ("call kfunc[id:7]", "8520000007000000"),
    ("call kfunc[id:7,module:2]", "8520020007000000"),
    ("call kfunc[bpf_obj_new_impl]", "8520000000000000"),
    ("callx r2", "8d02000000000000"),
    ("exit", "9500000000000000"),
    ("r1 = 0x1122334455667788 ll", "1801000088776655 0000000044332211"),
    ("r1 = -1 ll", "18010000ffffffff 00000000ffffffff"),
    ("r9 = dummy_map ll", "1809000000000000 0000000000000000"),
    ("r9 = object + 16 ll", "1809000010000000 0000000000000000"),
    ("r1 = map[fd:5]", "1811000005000000 0000000000000000"),
    ("r1 = map_fd 5", "1811000005000000 0000000000000000"),
    ("r1 = map[hits]", "1811000000000000 0000000000000000"),
    ("r1 = map[name:.rodata.str1.1][0]+4", "1821000000000000 0000000004000000"),
    ("r1 = map[fd:5][0] + 16", "1821000005000000 0000000010000000"),
    ("r1 = var[id:7]", "1831000007000000 0000000000000000"),
    ("r1 = var[id:7,module:3]", "1831000007000000 0000000003000000"),
    ("r1 = subprog[+12]", "184100000c000000 0000000000000000"),
    ("r1 = subprog[-2]", "18410000feffffff 0000000000000000"),
    ("r1 = map[idx:3]", "1851000003000000 0000000000000000"),
    ("r1 = map[idx:3]+16", "1861000003000000 0000000010000000"),
    ("ld_pseudo r1, 1, 5", "1811000005000000 0000000000000000"),
    ("lock *(u64 *)(r1 + 0) += r2", "db21000000000000"),
    ("lock *(u32 *)(r1 + 8) ^= w2", "c3210800a0000000"),
    ("r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)", "db21000001000000"),
    ("w2 = atomic_fetch_or((u32 *)(r1 + 0), w2)", "c321000041000000"),
    ("r7 = atomic64_fetch_add((u64 *)(r8 +0), r7)", "db78000001000000"),
    ("r0 = cmpxchg_64(r1 + 0, r0, r2)", "db210000f1000000"),
    ("w0 = cmpxchg32_32(r1 + 0, w0, w2)", "c3210000f1000000"),
    ("r0 = atomic64_cmpxchg((u64 *)(r8 +0), r0, r1)", "db180000f1000000"),
    ("r2 = xchg_64(r1 - 8, r2)", "db21f8ffe1000000"),
    ("w2 = xchg32_32(r1 - 8, w2)", "c321f8ffe1000000"),
    ("r2 = load_acquire((u64 *)(r1 + 0))", "db12000000010000"),
    ("w2 = load_acquire((u8 *)(r1 + 0))", "d312000000010000"),
    ("store_release((u16 *)(r1 + 0), w2)", "cb21000010010000"),
    ("r1 = addr_space_cast(r2, 0, 1)", "bf21010001000000"),
    ("r1 = addr_space_cast(r2, 1, 0)", "bf21010000000100"),
    ("r0 = *(u16 *)skb[12]", "280000000c000000"),
    ("r0 = *(u8 *)skb[r7 + 4]", "5070000004000000"),
    ("r0 = * (u32*)skb[r2]", "4020000000000000"),
    (".quad 0xffffffff0001a2ff", "ffa20100ffffffff"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), STATEMENTS, ids=[text for text, _ in STATEMENTS])
def test_statements(text: str, expected: str) -> None:
    assert code(text) == expected


def test_labels_become_distances_and_stay_as_annotations() -> None:
    insns = assemble("""
    start:
        if r1 == 0 goto out     # forward
        r1 += -1
        goto start
    out: exit
    """)
    assert [insn.offset for insn in insns] == [2, 0, -3, 0]
    assert (insns[0].symbol, insns[0].reference) == ("start", "out")
    assert (insns[2].reference, insns[3].symbol) == ("start", "out")


def test_labels_count_slots_not_instructions() -> None:
    insns = assemble("goto end; r1 = 1 ll; r2 = 2 ll; end: exit")
    assert insns[0].offset == 4


def test_numeric_labels_may_come_again() -> None:
    insns = assemble("1: r0 = 1; goto 1b; goto 1f; r0 = 2; 1: goto 1b; exit")
    assert [insn.offset for insn in insns if insn.is_jump] == [-2, 1, -1]


def test_calls_reach_functions_here_and_name_those_elsewhere() -> None:
    here, there, load, _, _ = assemble("call f; call g; r1 = subprog[f]; exit; f: exit")
    assert (here.src, here.imm, here.reference) == (op.CALL_LOCAL, 4, "f")
    assert (there.src, there.imm, there.reference) == (op.CALL_LOCAL, -1, "g")
    assert (load.src, load.imm) == (op.PSEUDO_FUNCTION, 2)


def test_helpers_are_called_by_name_when_their_numbers_are_given() -> None:
    (insn,) = assemble("call bpf_ktime_get_ns", helpers={"bpf_ktime_get_ns": 5})
    assert (insn.src, insn.imm, insn.reference) == (0, 5, "bpf_ktime_get_ns")


def test_maps_keep_their_names() -> None:
    first, second = assemble("r1 = map[hits]; r2 = map[name:.data][0] + 8")
    assert (first.map_name, second.map_name) == ("hits", ".data")


def test_comments_and_separators() -> None:
    text = """
    ; xdp.c:12: int x = 1; /* a line of source, as listings have it
    r0 = 1; r1 = 2 ;; two of them begin a comment too
    r2 = 3 // so does this
    r3 = 4 # and this
    r4 /* in the middle */ = 5; /* over
    several lines r9 = 9
    */ exit
    """
    assert [insn.imm for insn in assemble(text)] == [1, 2, 3, 4, 5, 0]


def test_llvm_objdump_listings_are_read_whole() -> None:
    text = (
        "\nx.o:\tfile format elf64-bpf\n\nDisassembly of section xdp/a.b:\n\n"
        "0000000000000000 <prog>:\n"
        "       0:\tb7 00 00 00 01 00 00 00\tr0 = 0x1\n"
        "       1:\t18 01 00 00 05 00 00 00 00 00 00 00 00 00 00 00\tr1 = 0x5 ll\n"
        "       3:\t15 00 01 00 00 00 00 00\tif r0 == 0x0 goto +0x1 <xdp/a.b+0x28>\n\n"
        "0000000000000020 <LBB0_1>:\n"
        "       4:\t05 00 fb ff 00 00 00 00\tgoto -0x5 <prog>\n"
        "       5:\t95 00 00 00 00 00 00 00\texit\n"
    )
    insns = assemble(text)
    assert [insn.symbol for insn in insns] == ["prog", "", "", "LBB0_1", ""]
    assert code(text).split() == [
        "b700000001000000", "1801000005000000", "0000000000000000", "1500010000000000",
        "0500fbff00000000", "9500000000000000",
    ]  # fmt: skip


def test_bpftool_dumps_are_read() -> None:
    text = """int xdp_prog(struct xdp_md * ctx):
; int k = 0;
   0: (18) r1 = map[id:10]
   2: (18) r2 = 0x10
   4: (85) call bpf_map_lookup_elem#1
   5: (15) if r0 == 0x0 goto pc+1
   6: (95) exit
"""
    insns = assemble(text)
    assert insns[0].symbol == "xdp_prog"
    assert [insn.opcode for insn in insns] == [0x18, 0x18, 0x85, 0x15, 0x95]
    assert insns[1].imm == 16


def test_clang_assembly_is_read_code_and_no_data() -> None:
    text = """
        .text
        .file "a.c"
        .section xdp,"ax",@progbits
        .globl prog                     # -- Begin function prog
        .p2align 3
        .type prog,@function
    prog:                               # @prog
    .Lprog$local:
        .cfi_startproc
        r1 = hits ll
        goto LBB0_2
    LBB0_2:
        r0 = 2
        exit
    .Lfunc_end0:
        .size prog, .Lfunc_end0-prog
        .cfi_endproc
        .type _license,@object
        .section license,"aw",@progbits
    _license:
        .asciz "GPL"
        .addrsig
    """
    insns = assemble(text)
    assert [insn.symbol for insn in insns] == ["prog", "", "LBB0_2", ""]
    assert insns[0].reference == "hits"


def test_constants() -> None:
    assert code(".equ foo, -1\nif r1 > r2 goto foo + 2") == "2d21010000000000"
    assert code(".set size, 4 * 4\nr0 = *(u32 *)(r1 + size - 4)") == "61100c0000000000"


# What is wrong, where, and words of what would have been right.
MISTAKES = [
    ("r0 = 1\n  gato l1", 2, 3, "did you mean goto"),
    ("r0 = *(u33 *)(r1 + 4)", 1, 8, "u8, u16, u32, u64"),
    ("r0 = *(u32 *)(r1 + 0x10000)", 1, 18, "an offset"),
    ("r0 = *(u32 *)(r1 + 40000)", 1, 18, "16 bits"),
    ("r0 = *(u32 *)(w1 + 4)", 1, 15, "expected r1"),
    ("w0 = *(u64 *)(r1 + 4)", 1, 7, "write r0"),
    ("w0 += r1", 1, 7, "write w1"),
    ("r11 = 1", 1, 1, "the last is r10"),
    ("r1 = -r2", 1, 7, "write r1 on both sides"),
    ("r1 = be16 r2", 1, 11, "write r1 on both sides"),
    ("r1 = be17 r1", 1, 6, "did you mean be16"),
    ("w1 = (s32)w2", 1, 7, "(s8) and (s16)"),
    ("r1 =", 1, 5, "end of the line"),
    ("r1 := 2", 1, 4, "expected one of"),
    ("r1 = 0x123456789", 1, 6, "with 'll' behind it"),
    ("r1 = 5 6", 1, 8, "at the end of a statement"),
    ("w1 = 5 ll", 1, 1, "write r1"),
    ("if r1 => 5 goto l", 1, 7, "expected one of == >"),
    ("if r1 == 5 gotol l", 1, 12, "no long form"),
    ("if r1 == 5 exit", 1, 12, "expected 'goto'"),
    ("goto nowhere\nnowhere2: exit", 1, 6, "did you mean nowhere2"),
    ("goto 1b", 1, 6, "no label 1b"),
    ("a: exit\na: exit", 2, 1, "second time"),
    ("lock *(u16 *)(r1 + 0) += r2", 1, 7, "u32 and u64 only"),
    ("lock *(u64 *)(r1 + 0) -= r2", 1, 23, "expected one of += |="),
    ("*(u64 *)(r1 + 0) += r2", 1, 18, "begins with lock"),
    ("r2 = atomic_fetch_ad((u64 *)(r1 + 0), r2)", 1, 6, "did you mean atomic_fetch_and"),
    ("r3 = atomic_fetch_add((u64 *)(r1 + 0), r2)", 1, 40, "write r3 in both places"),
    ("r1 = cmpxchg_64(r1 + 0, r1, r2)", 1, 27, "r0"),
    ("r2 = load_acquire((u64 *)(r1 + 0)", 1, 34, "')'"),
    ("r1 = *(u8 *)skb[3]", 1, 7, "r0 = *(u8 *)skb"),
    ("call", 1, 5, "expected an immediate"),
    ("callx w1", 1, 7, "expected r1"),
    ("r1 = map[]", 1, 11, "map[fd:3]"),
    ("r1 = map[fd:x]", 1, 15, "expected a number"),
    ("r1 = mop[fd:3]", 1, 6, "did you mean map"),
    ("r1 = var[7]", 1, 6, "id:NUMBER"),
    ("/* for ever", 1, 1, "never ends"),
    (".glob x", 1, 1, "did you mean .globl"),
    (".byte 1", 1, 1, ".quad"),
    ("<unknown>", 1, 1, "no instruction"),
    ("r1 ? 2", 1, 4, "expected one of"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"), MISTAKES, ids=[m[0] for m in MISTAKES]
)
def test_mistakes(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(AssemblerError) as caught:
        assemble(text, file="a.s")
    assert (caught.value.line, caught.value.column) == (line, column), str(caught.value)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"a.s:{line}:{column}: ")


def test_far_labels_ask_for_the_long_jump() -> None:
    text = "goto far\n" + "r0 = 0\n" * 40000 + "far: exit"
    with pytest.raises(AssemblerError, match="gotol reaches it"):
        assemble(text)
    assert assemble(text.replace("goto", "gotol"))[0].imm == 40000


def test_unknown_dialect() -> None:
    with pytest.raises(NotFound, match="llvm, mnemonic"):
        assemble("exit", dialect="intel")


PIECES = [text for text, _ in STATEMENTS] + [m[0] for m in MISTAKES]
WORDS = 'r1 w2 = += * ( ) [ ] u32 goto if ; : - 5 ll # // /* */ map call .quad 0x " , << ~'
TOKENS = WORDS.split()


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(TOKENS), max_size=25).map(" ".join),
        st.tuples(st.sampled_from(PIECES), st.integers(0, 40), st.text(max_size=3)).map(
            lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
        ),
    ),
    st.sampled_from(["llvm", "mnemonic"]),
)
def test_any_text_is_assembled_or_refused(text: str, dialect: str) -> None:
    try:
        instructions: list[Instruction] = assemble(text, dialect)
    except AssemblerError as error:
        line, column = error.line, error.column
    else:
        line = column = 1
        encode(instructions)
    assert line >= 1
    assert column >= 1


@pytest.mark.parametrize("text", ["r0 = " + "(" * 5000, "r0 = " + "-" * 5000, "r0 = " + "9" * 9999])
def test_deep_and_long_expressions_are_refused(text: str) -> None:
    with pytest.raises(AssemblerError):
        assemble(text)


@pytest.mark.parametrize(
    "text",
    [
        "/**/" * 50_000 + "exit",
        "a: " + "goto a; " * 5_000,
        "1: " + "goto 1b; 1: " * 20_000 + "exit",
        '\\"' * 50_000,
        "a" * 100_000 + "(:",
        "r1 = map[" + "x " * 50_000,
        "r0 = 1" + "+1" * 50_000,
        "; ; ;" * 50_000,
    ],
    ids=lambda text: text[:12],
)
def test_long_lines_take_no_more_time_than_their_length(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(AssemblerError):
        assemble(text)
    assert time.process_time() - started < 5
