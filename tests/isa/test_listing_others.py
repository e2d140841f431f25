"""The listings in the words of bpftool and of netsh, and the one for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anybpf.isa import decode, encode
from anybpf.isa.assembler import assemble
from anybpf.isa.listing import bpftool, netsh
from anybpf.isa.listing.json import as_json
from tests.isa.samples import SIGNATURES, Helpers, program

# Text, and what bpftool prints of its encoding.
KERNEL = [
    ("r6 = r1", "(bf) r6 = r1"),
    ("*(u32 *)(r10 - 4) = 0", "(62) *(u32 *)(r10 -4) = 0"),
    ("r2 += -4", "(07) r2 += -4"),
    ("w7 = -w7", "(84) w7 = -w7"),
    ("if w7 s< 8 goto +2", "(c6) if w7 s< 0x8 goto pc+2"),
    ("if r2 s> -10 goto +2", "(65) if r2 s> 0xfffffff6 goto pc+2"),
    ("goto -6", "(05) goto pc-6"),
    ("gotol +9", "(06) gotol pc+9"),
    ("may_goto +9", "(e5) may_goto pc+9"),
    ("lock *(u64 *)(r8 + 0) |= r1", "(db) lock *(u64 *)(r8 +0) |= r1"),
    (
        "r7 = atomic_fetch_add((u64 *)(r8 + 0), r7)",
        "(db) r7 = atomic64_fetch_add((u64 *)(r8 +0), r7)",
    ),
    (
        "r0 = cmpxchg_64(r8 + 0, r0, r1)",
        "(db) r0 = atomic64_cmpxchg((u64 *)(r8 +0), r0, r1)",
    ),
    ("r1 = xchg_64(r8 + 0, r1)", "(db) r1 = atomic64_xchg((u64 *)(r8 +0), r1)"),
    ("w1 = xchg32_32(r8 + 0, w1)", "(c3) r1 = atomic_xchg((u32 *)(r8 +0), r1)"),
    ("r1 = load_acquire((u8 *)(r2 + 1))", "(d3) r1 = load_acquire((u8 *)(r2 +1))"),
    ("store_release((u8 *)(r2 + 1), r1)", "(d3) store_release((u8 *)(r2 +1), r1)"),
    ("r2 = subprog[+45]", "(18) r2 = subprog[+45]"),
    ("r2 = -2 ll", "(18) r2 = 0xfffffffffffffffe"),
    ("r1 = map[hits]", "(18) r1 = map[name:hits]"),
    ("r1 = map[.data][0] + 8", "(18) r1 = map[name:.data][0]+8"),
    ("r1 = map[fd:3]", "(18) r1 = map[fd:3]"),
    ("r1 = map[idx:3][0] + 4", "(18) r1 = map[idx:3]+4"),
    ("call pc+30", "(85) call pc+30"),
    ("call 1", "(85) call bpf_map_lookup_elem#1"),
    ("call 999", "(85) call unknown#999"),
    ("call kfunc[id:12]", "(85) call kernel-function#12"),
    ("callx r2", "(8d) callx r2"),
    ("r1 = (s8)r2", "(bf) r1 = (s8)r2"),
    ("r1 s/= r2", "(3f) r1 s/= r2"),
    ("r1 = *(s16 *)(r2 + 4)", "(89) r1 = *(s16 *)(r2 +4)"),
    ("r1 = bswap32 r1", "(d7) r1 = bswap32 r1"),
    ("r1 = addr_space_cast(r2, 1, 0)", "(bf) r1 = addr_space_cast(r2, 1, 0)"),
    ("r0 = *(u16 *)skb[12]", "(28) r0 = *(u16 *)skb[12]"),
    ("r0 = *(u16 *)skb[r1 + 4]", "(48) r0 = *(u16 *)skb[r1 + 4]"),
    ("exit", "(95) exit"),
]


@pytest.mark.parametrize(("text", "expected"), KERNEL, ids=[text for text, _ in KERNEL])
def test_the_kernels_spelling(text: str, expected: str) -> None:
    insn = assemble(text)[0]
    assert bpftool.disassembly(insn, Helpers()) == expected


def test_bpftools_dump() -> None:
    insns = program()
    lines = bpftool.lines(insns, names=Helpers(), signatures=SIGNATURES, opcodes=True, linum=True)
    assert lines[:4] == [
        "int xdp_prog(struct xdp_md *ctx):",
        "; __u32 key = 0; [file:/src/count.c line_num:12 line_col:0]",
        "   0: (bf) r6 = r1",
        "       bf 16 00 00 00 00 00 00",
    ]
    assert "       18 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00" in lines
    assert "int add(u32 a, u32 b):" in lines
    plain = bpftool.lines(insns, names=Helpers())
    assert plain[:2] == ["; __u32 key = 0;", "   0: (bf) r6 = r1"]
    assert plain[-4:] == [
        "  15: (95) exit",
        "  16: (bc) w0 = w2",
        "  17: (2c) w0 *= w1",
        "  18: (95) exit",
    ]
    assert "  13: (85) call pc+2#add" in plain


def test_bpftools_json() -> None:
    records = bpftool.records(
        program(), names=Helpers(), signatures=SIGNATURES, opcodes=True, linum=True
    )
    assert records[0] == {
        "proto": "int xdp_prog(struct xdp_md *ctx)",
        "src": "__u32 key = 0;",
        "file": "/src/count.c",
        "line_num": 12,
        "disasm": "(bf) r6 = r1",
        "opcodes": {
            "code": "0xbf",
            "src_reg": "0x1",
            "dst_reg": "0x6",
            "off": ["0x00", "0x00"],
            "imm": ["0x00", "0x00", "0x00", "0x00"],
        },
    }
    assert records[5]["line_col"] == 9
    assert records[4]["disasm"] == "(18) r1 = map[name:hits]"
    assert len(records[4]["opcodes"]["imm"]) == 12
    assert list(bpftool.records(assemble("exit"))[0]) == ["disasm"]


NETSH = """\
; /src/count.c:12
;     __u32 key = 0;
       0:\tr6 = r1
       1:\t*(u32 *)(r10 - 4) = 0
       2:\tr2 = r10
       3:\tr2 += -4
       4:\tr1 = map_fd 1
; /src/count.c:14
;     value = lookup(&hits, &key);
       6:\tr0 = bpf_map_lookup_elem:1(map_fd r1, map_key r2)
       7:\tif r0 == 0 goto +6 <14>
; /src/helpers.h:3
; \treturn x + 1;
       8:\tr1 = 1
       9:\tlock *(u64 *)(r0 + 0) += r1
      10:\tr2 = *(u32 *)(r6 + 12)
      11:\tr1 = map_val(2) + 16
      13:\tcall <add>
      14:\tw0 = 2
      15:\texit
      16:\tw0 = w2
      17:\tw0 *= w1
      18:\texit
"""


def test_netshs_layout() -> None:
    assert "\n".join(netsh.lines(program(), names=Helpers())) == NETSH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "call 2",
            "r0 = bpf_map_update_elem:2(map_fd r1, map_key r2, map_value r3, uint64_t r4)",
        ),
        (
            "call 25",
            "r0 = bpf_perf_event_output:25(ctx r1, map_fd r2, uint64_t r3, "
            "mem r4[r5?], uint64_t r5)",
        ),
        ("call 12", "r0 = bpf_tail_call:12(ctx r1, map_fd_programs r2, uint64_t r3)"),
        ("call 999", "r0 = unknown:999()"),
        ("r1 s>>= 3", "r1 >>>= 3"),
        ("r1 = (s8)r2", "r1 s8= r2"),
        ("if r1 & 5 goto -1", "if r1 &== 5 goto -1 <0>"),
        ("lock *(u64 *)(r1 + 0) ^= r2", "lock *(u64 *)(r1 + 0) ^= r2"),
        ("r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)", "lock *(u64 *)(r1 + 0) += r2 fetch"),
        ("r2 = xchg_64(r1 + 0, r2)", "lock *(u64 *)(r1 + 0) x= r2"),
        ("r0 = cmpxchg_64(r1 + 0, r0, r2)", "lock *(u64 *)(r1 + 0) cx= r2"),
        ("r1 = 5 ll", "r1 = 5 ll"),
        ("r1 = be16 r1", "r1 = be16 r1"),
        ("r1 = bswap16 r1", "r1 = swap16 r1"),
    ],
)
def test_netshs_words(text: str, expected: str) -> None:
    assert netsh.lines(assemble(text), names=Helpers())[0] == f"       0:\t{expected}"


def test_netsh_numbers_maps_as_it_is_told() -> None:
    (line, _) = netsh.lines(assemble("r1 = map[hits]"), map_numbers={"other": 1, "hits": 2})
    assert line == "       0:\tr1 = map_fd 2"


def test_json_says_what_is_known_and_nothing_else() -> None:
    records = as_json(program(), names=Helpers(), hints={10: "ctx->ingress_ifindex"})
    json.dumps(records)
    assert records[0] == {
        "slot": 0,
        "bytes": "bf16000000000000",
        "opcode": 0xBF,
        "dst": 6,
        "src": 1,
        "offset": 0,
        "imm": 0,
        "text": "r6 = r1",
        "label": "xdp_prog",
        "function": "xdp_prog",
        "source": {"file": "/src/count.c", "line": 12, "column": 0, "text": "    __u32 key = 0;"},
    }
    by_slot: dict[int, dict[str, Any]] = {record["slot"]: record for record in records}
    assert by_slot[4]["map"] == "hits"
    assert by_slot[6]["helper"] == "bpf_map_lookup_elem"
    assert (by_slot[7]["target"], by_slot[7]["text"]) == (14, "if r0 == 0 goto out")
    assert by_slot[10]["hint"] == "ctx->ingress_ifindex"
    assert by_slot[11]["reference"] == "limit"
    assert (by_slot[13]["target"], by_slot[13]["reference"]) == (16, "add")
    assert set(by_slot[17]) == {
        "slot", "bytes", "opcode", "dst", "src", "offset", "imm", "text",
    }  # fmt: skip


def test_json_texts_are_the_bytes() -> None:
    insns = program()
    records = as_json(insns)
    assert "".join(record["bytes"] for record in records) == encode(insns).hex()


def test_json_of_illegal_code_says_why() -> None:
    (record,) = as_json(decode(bytes.fromhex("ff00000000000000"), check=False))
    assert record["problem"] == "opcode 0xff is not defined"
