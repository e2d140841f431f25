"""Programs that lie: every helper, called with what no proof would let through.

Nothing is asked of the results but that there are some: the host goes on, and a run takes no longer
than its budget. Under the sanitizers this is the test that helpers look before they follow.
"""

from __future__ import annotations

import random

import pytest

from anybpf import _core
from tests.core.helpers.running import SCHED_CLS, SKB_BYTES, XDP, XDP_BYTES, Case

SHAPES: list[dict[str, object]] = [
    {"kind": "hash", "key_size": 4, "value_size": 32, "max_entries": 8},
    {"kind": "array", "key_size": 4, "value_size": 64, "max_entries": 4,
     "lock_offset": 0, "timer_offset": 8},
    {"kind": "percpu_array", "key_size": 4, "value_size": 16, "max_entries": 2},
    {"kind": "lpm_trie", "key_size": 8, "value_size": 8, "max_entries": 8},
    {"kind": "queue", "key_size": 0, "value_size": 16, "max_entries": 2},
    {"kind": "ringbuf", "key_size": 0, "value_size": 0, "max_entries": 4096},
    {"kind": "user_ringbuf", "key_size": 0, "value_size": 0, "max_entries": 4096},
    {"kind": "perf_event_array", "key_size": 4, "value_size": 4, "max_entries": 2, "extra": 4096},
    {"kind": "prog_array", "key_size": 4, "value_size": 4, "max_entries": 2},
    {"kind": "devmap", "key_size": 4, "value_size": 8, "max_entries": 2},
    {"kind": "local_storage", "key_size": 4, "value_size": 16, "max_entries": 8},
    {"kind": "bloom_filter", "key_size": 0, "value_size": 8, "max_entries": 8, "extra": 3},
    {"kind": "arena", "key_size": 0, "value_size": 0, "max_entries": 2},
]  # fmt: skip
WITH_VALUES = (1,)
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 14, 16, 31, 63, 64, 100, 255, 256, 512, 4095, 4096, 0xFFFF, 1 << 20,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
# What ends the run by design, or would wait for somebody else.
CALLS_PER_RUN = 12


def argument(random_: random.Random, register: str) -> str:
    """A number, a pointer, or a pointer that is a little off."""
    off = random_.choice([0, 0, 0, 1, 4, 8, 24, 64, -1, -8, -64, -512, 1 << 20])
    kind = random_.randrange(8)
    if kind == 0:
        return f"{register} = {random_.choice(NUMBERS)} ll\n"
    if kind in (1, 2):
        return f"{register} = r10\n{register} += {-8 * random_.randint(1, 64) + (off & 7)}\n"
    if kind == 3:
        return f"{register} = r6\n" + (f"{register} += {off}\n" if random_.random() < 0.2 else "")
    if kind == 4:
        return f"{register} = map {random_.randrange(len(SHAPES))} ll\n"
    if kind == 5:
        return f"{register} = value {random_.choice(WITH_VALUES)} ll\n{register} += {off}\n"
    if kind == 6:
        return f"{register} = function back ll\n"
    return f"{register} = r0\n"


def program(random_: random.Random, names: list[str]) -> str:
    """Calls one after the other, each with what the last one returned at hand."""
    text = "r6 = r1\nr0 = 0\n"
    for at in range(8, 513, 8):
        text += f"*(u64 *)(r10 - {at}) = {random_.choice([0, 1, 37, 100, 0x10000008])}\n"
    for name in names:
        text += "".join(argument(random_, f"r{register}") for register in range(1, 6))
        text += f"call bpf_{name}\n"
    return text + "r0 = 0\nexit\nback:\nr0 = 0\nexit"


def hosted() -> tuple[Case, tuple[object, ...]]:
    case = Case(*SHAPES, cpus=2)
    hosts = (_core.Log(case.domain, 4096), _core.Timers(case.domain))
    return case, hosts


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_programs_pass_brings_the_host_down(seed: int) -> None:
    random_ = random.Random(seed)
    case, hosts = hosted()
    names = sorted(_core.helpers())
    ends: set[str] = set()
    for _ in range(250):
        chosen = random_.choices(names, k=CALLS_PER_RUN)
        kind = random_.choice([XDP, SCHED_CLS])
        size = XDP_BYTES if kind == XDP else SKB_BYTES
        result = case.run(
            program(random_, chosen),
            random_.randbytes(random_.choice([14, 64, 200])),
            kind=kind,
            platform=random_.choice(["linux", "windows"]),
            context=bytes(size),
            context_size=size,
            budget=200_000,
            timeout=5.0,
        )
        ends.add(result.end)
        for one in case.maps[:6]:
            assert one.check() is None
    assert "OUT_OF_TIME" not in ends
    assert "" in ends
    timers = hosts[1]
    assert isinstance(timers, _core.Timers)
    timers.fire(1000)


@pytest.mark.parametrize("name", sorted(_core.helpers()))
def test_each_helper_by_itself(name: str) -> None:
    random_ = random.Random(name)
    case, _hosts = hosted()
    for _ in range(12):
        kind = random_.choice([XDP, SCHED_CLS])
        size = XDP_BYTES if kind == XDP else SKB_BYTES
        result = case.run(
            program(random_, [name] * 6),
            bytes(100),
            kind=kind,
            platform=random_.choice(["linux", "windows"]),
            context=bytes(size),
            context_size=size,
            budget=200_000,
            timeout=5.0,
        )
        assert result.end != "OUT_OF_TIME"
