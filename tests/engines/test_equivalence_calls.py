"""What programs do beyond single instructions comes to the same in every engine.

Calls of functions and helpers, callbacks, tail calls, all kinds of maps, rings, global variables,
stack frames, and packets whose ends move. Expectations stand only where they are the point; the
rest is agreement with the interpreter, after each run.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from anybpf.objects.specs import MapSpec
from anybpf.runtime import Collection
from tests.engines.equivalence import Case, check, every_engine, on_packet, pairs, storage_of, words
from tests.runtime.making import map_spec

PACKETS = tuple(words(a, b, size=64) for a, b in pairs(11, 5)[::9])
# As RFC 9669 has it for the sum: functions get fresh frames, and leave r6 to r9 as they were.
CALLS = """
    r6 = *(u64 *)(r2 + 0)
    r7 = *(u64 *)(r2 + 8)
    r8 = 8
    r9 = r2
    *(u64 *)(r10 - 8) = r6
    r1 = r6
    r2 = r7
    call twice
    *(u64 *)(r9 + 16) = r0
    *(u64 *)(r9 + 24) = r6
    *(u64 *)(r9 + 32) = r8
    r1 = *(u64 *)(r10 - 8)
    *(u64 *)(r9 + 40) = r1
"""
FUNCTIONS = """
twice:
    r6 = r1
    r8 = r2
    *(u64 *)(r10 - 8) = r8
    call mixed
    r6 ^= r0
    r1 = r6
    r2 = *(u64 *)(r10 - 8)
    call mixed
    r0 += r6
    exit
mixed:
    *(u64 *)(r10 - 8) = 77
    r6 = r1
    r6 *= 31
    if r6 > r2 goto other
    r0 = r6
    exit
other:
    r0 = r6
    r0 -= r2
    exit
"""
# Eight frames deep, each with bytes of its own and a pointer to those of the one above.
DEPTH = 8


def deep() -> Case:
    text = on_packet(16, """
    r1 = *(u64 *)(r2 + 0)
    r9 = r2
    *(u64 *)(r10 - 16) = r1
    r1 = r10
    r1 += -16
    call level1
    *(u64 *)(r9 + 0) = r0
    r1 = *(u64 *)(r10 - 16)
    *(u64 *)(r9 + 8) = r1
    """)  # fmt: skip
    for level in range(1, DEPTH):
        text += f"level{level}:\nr6 = r1\nr7 = *(u64 *)(r6 + 0)\nr7 += {level}\n"
        text += "*(u64 *)(r10 - 32) = r7\n"
        if level < DEPTH - 1:
            text += f"r1 = r10\nr1 += -32\ncall level{level + 1}\n"
        else:
            text += "r0 = 0\n"
        text += "r7 = *(u64 *)(r10 - 32)\nr0 += r7\n*(u64 *)(r6 + 0) = r0\nexit\n"
    return Case("eight-frames", (text,), PACKETS)


def big_frame() -> Case:
    """All 512 bytes, reached by computed offsets."""
    text = on_packet(24, """
    r6 = *(u64 *)(r2 + 0)
    r7 = 0
clear:
    r8 = r10
    r8 += -512
    r9 = r7
    r9 <<= 3
    r8 += r9
    r6 *= 13
    r6 += r7
    *(u64 *)(r8 + 0) = r6
    r7 += 1
    if r7 < 64 goto clear
    r7 = *(u64 *)(r2 + 8)
    r7 &= 63
    r7 <<= 3
    r8 = r10
    r8 += -512
    r8 += r7
    r6 = *(u64 *)(r8 + 0)
    *(u64 *)(r2 + 16) = r6
    *(u32 *)(r8 + 0) = 5
    r6 = *(u64 *)(r10 - 512)
    *(u64 *)(r2 + 0) = r6
    r6 = *(u64 *)(r10 - 8)
    *(u64 *)(r2 + 8) = r6
    """)  # fmt: skip
    return Case("big-frame", (text,), PACKETS)


def spills() -> Case:
    """Pointers of every kind go to the stack and come back; halves of numbers as well."""
    text = """
    r6 = r1
    *(u32 *)(r10 - 4) = 2
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto short
    *(u64 *)(r10 - 16) = r0
    *(u64 *)(r10 - 24) = r6
    r1 = *(u64 *)(r10 - 24)
    """ + on_packet(32, """
    *(u64 *)(r10 - 32) = r2
    *(u64 *)(r10 - 40) = r3
    r5 = r10
    r5 += -100
    *(u64 *)(r10 - 48) = r5
    r2 = 0
    r5 = *(u64 *)(r10 - 32)
    r6 = *(u64 *)(r5 + 0)
    r4 = *(u64 *)(r10 - 16)
    lock *(u64 *)(r4 + 0) += r6
    r7 = *(u64 *)(r10 - 48)
    *(u64 *)(r7 + 92) = r6
    w8 = *(u32 *)(r7 + 92)
    *(u64 *)(r5 + 16) = r8
    w8 = *(u32 *)(r7 + 96)
    *(u64 *)(r5 + 24) = r8
    r8 = *(s8 *)(r7 + 95)
    *(u64 *)(r5 + 8) = r8
    """)  # fmt: skip
    return Case("spills", (text,), PACKETS, (map_spec(),))


def may_goto(limit: int) -> Case:
    text = on_packet(16, f"""
    r6 = 0
again:
    may_goto out
    r6 += 1
    if r6 != {limit} goto again
out:
    *(u64 *)(r2 + 0) = r6
    """)  # fmt: skip
    return Case(f"may-goto-{limit}", (text,))


def nested_loops() -> Case:
    text = on_packet(16, """
    r6 = *(u64 *)(r2 + 0)
    r7 = 0
outer:
    r8 = 0
inner:
    r6 *= 5
    r6 += r8
    r9 = r6
    r9 &= 7
    if r9 == 3 goto next
    r8 += 1
    if r8 < 9 goto inner
next:
    r7 += 1
    if r7 < 20 goto outer
    *(u64 *)(r2 + 8) = r6
    """)  # fmt: skip
    return Case("nested-loops", (text,), PACKETS)


# Callbacks.

LOOP = on_packet(24, """
    r9 = r2
    r6 = *(u64 *)(r2 + 0)
    *(u64 *)(r10 - 8) = r6
    *(u64 *)(r10 - 16) = 0
    r1 = {count}
    r2 = subprog[each]
    r3 = r10
    r3 += -16
    r4 = 0
    call bpf_loop
    *(u64 *)(r9 + 8) = r0
    r1 = *(u64 *)(r10 - 16)
    *(u64 *)(r9 + 16) = r1
""") + """
each:
    r6 = *(u64 *)(r2 + 8)
    r7 = *(u64 *)(r2 + 0)
    r7 *= 3
    r7 += r6
    r7 += r1
    *(u64 *)(r2 + 0) = r7
    r0 = 0
    if r7 != {last} goto +1
    r0 = 1
    exit
"""  # fmt: skip
NESTED = on_packet(24, """
    r9 = r2
    *(u64 *)(r10 - 8) = 0
    r1 = 5
    r2 = subprog[outer]
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_loop
    r1 = *(u64 *)(r10 - 8)
    *(u64 *)(r9 + 8) = r1
""") + """
outer:
    r6 = r2
    r7 = r1
    *(u64 *)(r10 - 8) = r7
    r1 = 4
    r2 = subprog[inner]
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_loop
    r1 = *(u64 *)(r10 - 8)
    r2 = *(u64 *)(r6 + 0)
    r2 += r1
    *(u64 *)(r6 + 0) = r2
    r0 = 0
    exit
inner:
    r3 = *(u64 *)(r2 + 0)
    r3 *= 7
    r3 += r1
    *(u64 *)(r2 + 0) = r3
    r0 = 0
    exit
"""  # fmt: skip
FOR_EACH = on_packet(24, """
    r9 = r2
    r6 = *(u64 *)(r2 + 0)
    *(u64 *)(r10 - 8) = r6
    r1 = map[counts]
    r2 = subprog[each]
    r3 = r10
    r3 += -8
    r4 = 0
    call bpf_for_each_map_elem
    *(u64 *)(r9 + 8) = r0
    r1 = *(u64 *)(r10 - 8)
    *(u64 *)(r9 + 16) = r1
""") + """
each:
    r5 = *(u32 *)(r2 + 0)
    r6 = *(u64 *)(r3 + 0)
    r6 += r5
    r6 += 1
    *(u64 *)(r3 + 0) = r6
    r7 = *(u64 *)(r4 + 0)
    r7 += r6
    *(u64 *)(r4 + 0) = r7
    r0 = 0
    exit
"""  # fmt: skip


def fill(loaded: Collection) -> None:
    counts = storage_of(loaded, "counts")
    for key in range(4):
        counts.update(key.to_bytes(4, "little"), (key * 1000).to_bytes(8, "little"))


def callbacks() -> list[Case]:
    found = [
        Case(f"bpf_loop-{count}", (LOOP.format(count=count, last=last),), PACKETS)
        for count, last in ((0, 1), (1, 1), (50, 7), (3000, 4))
    ]
    found.append(Case("bpf_loop-nested", (NESTED,), PACKETS[:2]))
    found += [
        Case(f"for_each-{kind}", (FOR_EACH,), PACKETS[:3], (map_spec(kind=kind),), prepare=fill)
        for kind in ("array", "hash", "lru_hash")
    ]
    return found


# Tail calls.

TAIL_CALL = """
    r6 = r1
    r2 = map[jumps]
    r3 = {index}
    call bpf_tail_call
    r0 = 1
    exit
"""
COUNTS_AND_CALLS = """
    r6 = r1
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto end
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r1 = r6
    r2 = map[jumps]
    r3 = 0
    call bpf_tail_call
end:
    r0 = 2
    exit
"""
FROM_FUNCTION = """
    r6 = r1
    *(u64 *)(r10 - 8) = 5
    call away
    r0 = *(u64 *)(r10 - 8)
    exit
away:
    r6 = 9
    r2 = map[jumps]
    r3 = {index}
    call bpf_tail_call
    r0 = 3
    exit
"""


def jumps(entries: int = 2) -> MapSpec:
    return map_spec("jumps", "prog_array", value=4, entries=entries)


def put(*names: str) -> Callable[[Collection], None]:
    def prepare(loaded: Collection) -> None:
        array = loaded.map("jumps")
        for index, name in enumerate(names):
            assert array.keeper.store(index.to_bytes(4, "little"), loaded.programs[name]) == 0

    return prepare


def tail_calls() -> list[Case]:
    taken = on_packet(16, "*(u64 *)(r2 + 0) = 99")
    there, nowhere, outside = (TAIL_CALL.format(index=index) for index in (0, 1, 7))
    from_function = FROM_FUNCTION.format(index=0)
    not_taken = FROM_FUNCTION.format(index=1)
    maps = (jumps(),)
    both = (jumps(), map_spec())
    return [
        Case("tail-call", (there, taken), maps=maps, prepare=put("main1")),
        Case("tail-call-empty", (nowhere, taken), maps=maps, prepare=put("main1")),
        Case("tail-call-outside", (outside, taken), maps=maps, prepare=put("main1")),
        Case("tail-calls-33", (COUNTS_AND_CALLS,), (bytes(64),) * 2, both, prepare=put("main")),
        Case("tail-call-chain", (there, COUNTS_AND_CALLS, taken), maps=both, prepare=put("main1")),
        Case("tail-call-function", (from_function, taken), maps=maps, prepare=put("main1")),
        Case("tail-call-function-not", (not_taken, taken), maps=maps, prepare=put("main1")),
    ]


# Maps.

COUNT = """
    r6 = r1
    r7 = 1
    """ + on_packet(16, """
    r7 = *(u64 *)(r2 + 0)
    w8 = *(u32 *)(r2 + 8)
    r9 = r2
    w8 {bound}
    *(u32 *)(r10 - 4) = w8
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto insert
    r1 = *(u64 *)(r0 + 0)
    r1 += r7
    *(u64 *)(r0 + 0) = r1
    *(u64 *)(r9 + 8) = r1
    goto done
insert:
    *(u64 *)(r10 - 16) = r7
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = 1
    r1 = map[counts]
    call bpf_map_update_elem
    *(u64 *)(r9 + 0) = r0
    r0 = 0
    w1 = w8
    w1 &= 3
    if w1 != 1 goto done
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_delete_elem
    *(u64 *)(r9 + 8) = r0
done:
    """)  # fmt: skip
UPDATES = on_packet(16, """
    r9 = r2
    r6 = *(u64 *)(r2 + 0)
    w8 = *(u32 *)(r2 + 8)
    *(u64 *)(r10 - 16) = r6
    *(u32 *)(r10 - 4) = w8
    r2 = r10
    r2 += -4
    r3 = r10
    r3 += -16
    r4 = r6
    r4 &= 3
    r1 = map[counts]
    call bpf_map_update_elem
    *(u64 *)(r9 + 0) = r0
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_delete_elem
    *(u64 *)(r9 + 8) = r0
""")  # fmt: skip
FIFO = on_packet(32, """
    r9 = r2
    r6 = *(u64 *)(r2 + 0)
    *(u64 *)(r10 - 8) = r6
    *(u64 *)(r10 - 16) = 0
    r1 = map[counts]
    r2 = r10
    r2 += -8
    r3 = r6
    r3 &= 2
    call bpf_map_push_elem
    *(u64 *)(r9 + 0) = r0
    r1 = map[counts]
    r2 = r10
    r2 += -16
    call bpf_map_peek_elem
    *(u64 *)(r9 + 8) = r0
    if r6 s< 0 goto out
    r1 = map[counts]
    r2 = r10
    r2 += -16
    call bpf_map_pop_elem
    *(u64 *)(r9 + 16) = r0
out:
    r1 = *(u64 *)(r10 - 16)
    *(u64 *)(r9 + 24) = r1
""")  # fmt: skip
PREFIX = on_packet(16, """
    r9 = r2
    w6 = *(u32 *)(r2 + 0)
    *(u32 *)(r10 - 8) = 32
    *(u32 *)(r10 - 4) = w6
    r2 = r10
    r2 += -8
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto short
    r1 = *(u64 *)(r0 + 0)
    *(u64 *)(r9 + 8) = r1
""")  # fmt: skip
RING = on_packet(16, """
    r9 = r2
    r6 = *(u64 *)(r2 + 0)
    *(u64 *)(r10 - 8) = r6
    r1 = map[records]
    r2 = r10
    r2 += -8
    r3 = 8
    r4 = 0
    call bpf_ringbuf_output
    *(u64 *)(r9 + 8) = r0
    r1 = map[records]
    r2 = 24
    r3 = 0
    call bpf_ringbuf_reserve
    if r0 == 0 goto short
    *(u64 *)(r0 + 0) = r6
    *(u64 *)(r0 + 8) = 7
    *(u64 *)(r0 + 16) = 9
    r1 = r0
    r2 = 0
    if r6 s> 100 goto submit
    call bpf_ringbuf_discard
    goto done
submit:
    call bpf_ringbuf_submit
done:
""")  # fmt: skip
GLOBALS = on_packet(16, """
    r6 = map[state][0]
    r7 = map[state][0]+12
    r1 = *(u64 *)(r2 + 0)
    r3 = *(u64 *)(r6 + 0)
    r3 += r1
    *(u64 *)(r6 + 0) = r3
    *(u32 *)(r7 + 0) = w1
    lock *(u32 *)(r7 + 4) += w1
    r1 = map[fixed][0]+4
    w1 = *(u32 *)(r1 + 0)
    *(u64 *)(r2 + 8) = r1
    r1 &= 7
    r4 = map[state][0]
    r4 += r1
    *(u8 *)(r4 + 24) = 255
""")  # fmt: skip


def keyed(seed: int, count: int = 24, spread: int = 6) -> tuple[bytes, ...]:
    """Packets: a value, and one of a few keys."""
    chance = random.Random(seed)
    return tuple(
        words(chance.getrandbits(64), chance.randrange(spread), size=32) for _ in range(count)
    )


def prefixes(loaded: Collection) -> None:
    for length, value in ((0, 1), (8, 2), (16, 3), (24, 4), (32, 5)):
        key = length.to_bytes(4, "little") + bytes((10, 1, 2, 3))
        assert storage_of(loaded, "counts").update(key, value.to_bytes(8, "little")) == 0


def addresses() -> tuple[bytes, ...]:
    near = [(10, 1, 2, 3), (10, 1, 2, 4), (10, 1, 3, 3), (10, 2, 2, 3), (11, 1, 2, 3)]
    return tuple(bytes(four) + bytes(28) for four in near)


def global_maps() -> tuple[MapSpec, MapSpec]:
    state = map_spec("state", value=32, entries=1)
    fixed = map_spec("fixed", value=16, entries=1)
    state.kind, fixed.kind = "data", "rodata"
    fixed.contents = [(bytes(4), bytes(range(16)))]
    return state, fixed


def maps() -> list[Case]:
    counted = [
        ("array", "&= 7"), ("hash", "&= 7"), ("percpu_array", "&= 7"), ("percpu_hash", "&= 7"),
        ("lru_hash", "&= 3"), ("array", "<<= 29"),
    ]  # fmt: skip
    found = [
        Case(f"count-{kind}-{bound[0]}", (COUNT.format(bound=bound),), keyed(3),
             (map_spec(kind=kind),))
        for kind, bound in counted
    ]  # fmt: skip
    found += [
        Case(f"update-{kind}", (UPDATES,), keyed(5), (map_spec(kind=kind),))
        for kind in ("array", "hash", "percpu_hash")
    ]
    found += [
        Case(kind, (FIFO,), keyed(4), (map_spec(kind=kind, key=0, entries=3),))
        for kind in ("queue", "stack")
    ]
    trie = map_spec(kind="lpm_trie", key=8, flags=1, entries=8)
    found.append(Case("lpm", (PREFIX,), addresses(), (trie,), prepare=prefixes))
    ring = map_spec("records", "ringbuf", 0, 0, 4096)
    found.append(Case("ringbuf", (RING,), PACKETS, (ring,)))
    found.append(Case("globals", (GLOBALS,), PACKETS, global_maps()))
    return found


# Packets.


def moved(helper: str, amount: int) -> Case:
    """Both ends are read again after the helper, as verifiers demand."""
    text = f"""
    r6 = r1
    r2 = {amount}
    call {helper}
    r7 = r0
    r1 = r6
    """ + on_packet(4, """
    *(u8 *)(r2 + 0) = r7
    *(u8 *)(r2 + 3) = 0x5a
    r3 -= r2
    *(u8 *)(r2 + 1) = r3
    """)  # fmt: skip
    packets = tuple(bytes(range(1, size + 1)) for size in (1, 4, 14, 60, 64, 200))
    return Case(f"{helper}-{amount}", (text,), packets)


SKB_STORE = """
    r6 = r1
    *(u64 *)(r10 - 8) = 0x41424344
    r2 = 20
    r3 = r10
    r3 += -8
    r4 = 4
    r5 = 0
    call bpf_skb_store_bytes
    r7 = r0
    r1 = r6
    r2 = 18
    r3 = r10
    r3 += -16
    r4 = 8
    call bpf_skb_load_bytes
    if r0 s< 0 goto out
    r0 = *(u64 *)(r10 - 16)
    *(u32 *)(r6 + 48) = w0
out:
    r0 = r7
    exit
"""
LEGACY = """
    r6 = r1
    r0 = *(u16 *)skb[12]
    r7 = r0
    r0 = *(u8 *)skb[r7 + 4]
    r7 += r0
    r0 = *(u32 *)skb[20]
    r0 += r7
    exit
"""
CONTEXT = """
    w2 = *(u32 *)(r1 + 12)
    w3 = *(u32 *)(r1 + 16)
    r0 = r2
    r0 <<= 32
    r0 |= r3
    exit
"""
MARKS = """
    w2 = *(u32 *)(r1 + 8)
    w2 += 1
    *(u32 *)(r1 + 8) = w2
    *(u32 *)(r1 + 48) = w2
    w3 = *(u32 *)(r1 + 52)
    w3 ^= w2
    *(u32 *)(r1 + 56) = w3
    r0 = 0
    exit
"""


def packets() -> list[Case]:
    found = [
        moved(helper, amount)
        for helper, amounts in (
            ("bpf_xdp_adjust_head", (0, 4, 14, -16, -256, -257)),
            ("bpf_xdp_adjust_tail", (0, -4, 8, 64, 100000)),
            ("bpf_xdp_adjust_meta", (-8, -12, 4)),
        )
        for amount in amounts
    ]
    ethernet = (b"\0" * 12 + b"\0\x05" + bytes(range(50)), bytes(range(64)), bytes(14))
    found.append(Case("skb_store_bytes", (SKB_STORE,), ethernet, kind="sched_cls"))
    found.append(Case("packet-loads", (LEGACY,), ethernet, kind="sched_cls"))
    found.append(Case("context", (CONTEXT,), ctx={"ingress_ifindex": 3, "rx_queue_index": 9}))
    found.append(Case("context-writes", (MARKS,), kind="sched_cls", ctx={"mark": 7, "cb": 0}))
    found.append(Case("redirect", ("r1 = 5\nr2 = 0\ncall bpf_redirect\nexit",)))
    return found


def stops() -> list[Case]:
    """Runs that do not end by themselves, and what they leave behind."""
    return [
        Case("out-of-budget", (LOOP.format(count=100000, last=1),), PACKETS[:1], budget=20000),
        Case("within-budget", (LOOP.format(count=10, last=1),), PACKETS[:1], budget=20000),
    ]


CASES = [
    Case("calls", (on_packet(48, CALLS) + FUNCTIONS,), PACKETS), deep(), big_frame(), spills(),
    may_goto(5), may_goto(5000), nested_loops(),
]  # fmt: skip


@every_engine(CASES)
def test_functions_frames_and_loops(case: Case, engine: str) -> None:
    check(case, engine)


@every_engine(callbacks())
def test_callbacks(case: Case, engine: str) -> None:
    check(case, engine)


@every_engine(tail_calls())
def test_tail_calls(case: Case, engine: str) -> None:
    check(case, engine)


@every_engine(maps())
def test_maps(case: Case, engine: str) -> None:
    check(case, engine)


@every_engine(packets())
def test_packets_and_contexts(case: Case, engine: str) -> None:
    check(case, engine)


@every_engine(stops())
def test_stops(case: Case, engine: str) -> None:
    check(case, engine)
