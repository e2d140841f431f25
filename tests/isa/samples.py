"""A small program with every annotation, and names for its helpers, for the listings' tests."""

from __future__ import annotations

from anybpf.isa import BTFFunction, Instruction, SourceLine
from anybpf.isa.assembler import assemble

TEXT = """
xdp_prog:
    r6 = r1
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[hits]
    call 1
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r2 = *(u32 *)(r6 + 12)
    r1 = map[.data][0] + 16
    call add
out:
    w0 = 2
    exit
add:
    w0 = w2
    w0 *= w1
    exit
"""

SIGNATURES = {"xdp_prog": "int xdp_prog(struct xdp_md *ctx)", "add": "int add(u32 a, u32 b)"}


class Argument:
    """What the platforms' tables say of a helper's argument."""

    def __init__(
        self, name: str, kind: str, *, nullable: bool = False, access: str = "", size_arg: int = -1
    ) -> None:
        self.name = name
        self.kind = kind
        self.nullable = nullable
        self.access = access
        self.size_arg = size_arg


class Helper:
    def __init__(self, name: str, *args: Argument) -> None:
        self.name = name
        self.args = args


class Helpers:
    """Some helpers of Linux, by number."""

    def __init__(self) -> None:
        self.table = {
            12: Helper(
                "bpf_tail_call",
                Argument("ctx", "context"),
                Argument("map", "map"),
                Argument("index", "anything"),
            ),
            1: Helper("bpf_map_lookup_elem", Argument("map", "map"), Argument("key", "map_key")),
            2: Helper(
                "bpf_map_update_elem",
                Argument("map", "map"),
                Argument("key", "map_key"),
                Argument("value", "map_value"),
                Argument("flags", "anything"),
            ),
            25: Helper(
                "bpf_perf_event_output",
                Argument("ctx", "context"),
                Argument("map", "map"),
                Argument("flags", "anything"),
                Argument("data", "memory", access="r", size_arg=4),
                Argument("size", "size_or_zero"),
            ),
        }

    def helper(self, number: int) -> Helper | None:
        return self.table.get(number)


def program() -> list[Instruction]:
    """The program, as a loader would hand it to a listing."""
    insns = assemble(TEXT)
    insns[0].function = BTFFunction("xdp_prog", 7)
    insns[0].line = SourceLine("/src/count.c", 12, 0, "    __u32 key = 0;")
    insns[5].line = SourceLine("/src/count.c", 14, 9, "    value = lookup(&hits, &key);")
    insns[6].line = SourceLine("/src/count.c", 14, 9, "    value = lookup(&hits, &key);")
    insns[7].line = SourceLine("/src/helpers.h", 3, 1, "\treturn x + 1;")
    insns[10].reference = "limit"
    insns[14].function = BTFFunction("add", 8)
    return insns
