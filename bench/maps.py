"""Maps: look-ups and updates from Python against a dict, from programs, in batches, and against the
kernel's maps through bpf(2) where this machine permits that.

Everything is measured by turns with what it is compared to, and the least time of many rounds
counts: on a shared machine the least is what the code takes, the rest is what others took. Targets
stand beside the figures they are for; a figure past its target is marked.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import struct
import sys
import time
import timeit
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from anybpf import _core
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from fuzz import linux_syscall

SMALL = 1 << 10
LARGE = 1 << 20
NUMBER = "key 4 bytes, value 8 bytes"


def report(what: str, ns: float, target: float | None = None, beside: str = "") -> None:
    wanted = "" if target is None else f"  target {target:g}{'' if ns <= target else '  MISSED'}"
    print(f"    {what:44} {ns:8.2f} ns{wanted}{'  ' if beside else ''}{beside}")


def least(statements: Mapping[str, str], names: Mapping[str, object], rounds: int) -> list[float]:
    """Nanoseconds of each statement, by turns, without the loop around it."""
    count = 4_000
    timers = [timeit.Timer(text, globals=dict(names)) for text in ["pass", *statements.values()]]
    times = [[timer.timeit(count) for timer in timers] for _ in range(rounds)]
    best = [min(column) / count * 1e9 for column in zip(*times, strict=True)]
    return [time - best[0] for time in best[1:]]


def least_call(call: Callable[[], object], count: int, rounds: int) -> float:
    """Nanoseconds of one of `count` things that a call does."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - start)
    return best / count


def make(
    domain: _core.Domain, number: int, kind: str, entries: int, key_size: int = 4
) -> _core.Map:
    made = _core.Map(domain, number, kind, key_size, 8, entries)
    numbers = list(range(entries))
    random.Random(1).shuffle(numbers)
    keys = b"".join(number.to_bytes(key_size, sys.byteorder) for number in numbers)
    values = bytes(entries * made.user_value_size)
    done, status = made.update_many(keys, values)
    assert done == entries, _core.STATUSES[status]
    if key_size <= 8:
        made.set_codec(f"u{key_size}", "u8")
    return made


def from_python(domain: _core.Domain, kinds: list[str], rounds: int) -> None:
    print(f"From Python, {SMALL} entries, {NUMBER}, one at a time:")
    for number, kind in enumerate(kinds, 1):
        made = make(domain, number, kind, SMALL)
        ours = {
            "m[key]": "m[k]", "m[key] = value": "m[k] = 5", "key in m": "k in m",
            "m.lookup(key), bytes": "m.lookup(b)",
        }  # fmt: skip
        dicts = {"d[key]": "d[k]", "d[key] = value": "d[k] = 5", "key in d": "k in d"}
        names = {"m": made, "d": {i: i for i in range(SMALL)}, "k": 77, "b": struct.pack("=I", 77)}
        times = least({**ours, **dicts}, names, rounds)
        mine, theirs = times[: len(ours)], times[len(ours) :]
        for what, ns, dict_ns in zip(ours, mine, [*theirs, theirs[0]], strict=True):
            target = 60 if what in ("m[key]", "key in m") else None
            report(f"{kind}: {what}", ns, target, f"dict {dict_ns:.1f}, ratio {ns / dict_ns:.1f}")
        made.close()


def in_batches(domain: _core.Domain, kinds: list[str], rounds: int) -> None:
    print(f"From Python, in batches of {LARGE} entries, {NUMBER}:")
    keys = array("I", range(LARGE))
    values, out = array("Q", range(LARGE)), bytearray(8 * LARGE)
    for number, kind in enumerate(kinds, 1):
        made = make(domain, number, kind, LARGE)
        ns = least_call(lambda m=made: m.scan_into(0, None, out), LARGE, rounds)  # type: ignore[misc]
        report(f"{kind}: scan_into, values", ns, 2 if kind == "array" else None)
        ns = least_call(lambda m=made: m.lookup_many(keys, out), LARGE, rounds)  # type: ignore[misc]
        report(f"{kind}: lookup_many", ns)
        ns = least_call(lambda m=made: m.update_many(keys, values), LARGE, rounds)  # type: ignore[misc]
        report(f"{kind}: update_many", ns)
        made.close()
    fill = {i: i for i in range(LARGE)}
    report("dict: list(values())", least_call(lambda: list(fill.values()), LARGE, rounds))


# From a program: pseudo-random keys, so that what is measured at a million entries is memory too.
# The same program without the call is taken off.
LOOP = """
r6 = 88172645
r7 = 0
r9 = {count}
again:
r0 = r6
r0 <<= 13
r6 ^= r0
r0 = r6
r0 >>= 7
r6 ^= r0
r0 = r6
r0 <<= 17
r6 ^= r0
r0 = r6
r0 &= {mask}
{key}
*(u64 *)(r10 - 24) = r9
r2 = r10
r2 += -16
r3 = r10
r3 += -24
r4 = 0
r1 = 0 ll
{call}
r9 += -1
if r9 != 0 goto again
r0 = r7
exit
"""
KEYS = {
    4: "*(u32 *)(r10 - 16) = r0",
    8: "*(u64 *)(r10 - 16) = r0",
    16: "*(u64 *)(r10 - 16) = r0\nr0 = 0\n*(u64 *)(r10 - 8) = r0",
}
CALLS = {
    "nothing": "r0 = 0",
    "map_lookup_elem": "call 1\nif r0 == 0 goto +2\nr0 = *(u64 *)(r0 + 0)\nr7 += r0",
    "map_update_elem": "call 2\nr7 += r0",
}


def program_of(
    domain: _core.Domain, number: int, made: _core.Map, call: str, entries: int, count: int
) -> _core.Program:
    key = KEYS[made.key_size]
    code = assemble(LOOP.format(count=count, mask=entries - 1, key=key, call=CALLS[call]))
    helpers = []
    for insn in code:
        if insn.opcode == 0x18:
            insn.src = 1  # the map with index 0
        if insn.opcode == 0x85:
            insn.imm = 0
            helpers = [_core.helper(call)]
    codes = [0] * len(_core.STATUSES)
    return _core.Program(domain, number, "bench", encode(code), [made], helpers, codes)


def from_programs(domain: _core.Domain, kinds: list[str], rounds: int) -> None:
    print("From a program in the interpreter, random keys, values of 8 bytes:")
    count = 5_000
    targets = {SMALL: 8.0, LARGE: 90.0}
    sizes = {SMALL: (4, 8, 16), LARGE: (4,)}
    for entries in (SMALL, LARGE):
        cases = [
            (each, size) for each in kinds for size in sizes[entries] if "hash" in each or size == 4
        ]
        for kind, key_size in cases:
            made = make(domain, 1, kind, entries, key_size)
            times: dict[str, float] = {}
            programs = {
                call: program_of(domain, number, made, call, entries, count)
                for number, call in enumerate(CALLS, 2)
            }
            for _ in range(rounds):
                for call, program in programs.items():
                    ns = least_call(program, count, 1)
                    times[call] = min(ns, times.get(call, ns))
            for call in list(CALLS)[1:]:
                target = targets[entries] if kind in ("hash", "array") else None
                what = f"{kind}, {entries} keys of {key_size}: {call}"
                report(what, times[call] - times["nothing"], target)
            for program in programs.values():
                program.close()
            made.close()


# The kernel: Linux UAPI header linux/bpf.h, commands and union bpf_attr.
LOOKUP_ELEM = 1
LOOKUP_BATCH = 24
KERNEL_KINDS = {"array": 2, "hash": 1}


def against_the_kernel(domain: _core.Domain, kinds: list[str], rounds: int) -> None:
    problem = linux_syscall.unavailable()
    if problem:
        print(f"Against the kernel: not measured: {problem}")
        return
    print(f"Against the kernel by bpf(2), called through ctypes, {LARGE} entries, {NUMBER}:")
    for kind in [kind for kind in kinds if kind in KERNEL_KINDS]:
        made = make(domain, 1, kind, LARGE)
        theirs = linux_syscall.create_map(KERNEL_KINDS[kind], 4, 8, LARGE)
        try:
            compare_with_kernel(kind, made, theirs, rounds)
        finally:
            os.close(theirs)
            made.close()


def compare_with_kernel(kind: str, made: _core.Map, descriptor: int, rounds: int) -> None:
    system = linux_syscall._system
    assert system.libc is not None
    call = system.libc.syscall
    key, value = ctypes.c_uint32(77), ctypes.c_uint64(5)
    one = ctypes.create_string_buffer(
        struct.pack("=IIQQQ", descriptor, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    )
    call(system.number, linux_syscall.MAP_UPDATE_ELEM, one, len(one) - 1)
    names = {"m": made, "call": call, "n": system.number, "one": one, "size": len(one) - 1}
    ours, single = least(
        {"ours": "m[77]", "theirs": f"call(n, {LOOKUP_ELEM}, one, size)"}, names, rounds
    )
    report(f"{kind}: m[key]", ours, None, f"kernel {single:.0f}, ratio {ours / single:.3f}")
    if kind != "array":
        return
    keys, out = (ctypes.c_uint32 * LARGE)(), (ctypes.c_uint64 * LARGE)()
    batch = ctypes.c_uint32()

    def whole() -> None:
        attributes = struct.pack(
            "=QQQQIIQQ", 0, ctypes.addressof(batch), ctypes.addressof(keys),
            ctypes.addressof(out), LARGE, descriptor, 0, 0,
        )  # fmt: skip
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        call(system.number, LOOKUP_BATCH, buffer, len(attributes))

    into_keys, into_values = bytearray(4 * LARGE), bytearray(8 * LARGE)
    theirs = least_call(whole, LARGE, 5)
    mine = least_call(lambda: made.scan_into(0, into_keys, into_values), LARGE, 5)
    report(f"{kind}: a batch, keys and values", mine, None,
           f"kernel {theirs:.2f}, ratio {mine / theirs:.3f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    domain = _core.Domain(1)
    kinds: list[str] = [kind for kind in ("array", "hash", "lru_hash") if kind in _core.KINDS]
    from_python(domain, kinds, rounds)
    in_batches(domain, kinds, max(3, rounds // 8))
    if hasattr(_core, "Program"):
        per_cpu = [kind for kind in ("percpu_hash", "lru_percpu_hash", "percpu_array")
                   if kind in _core.KINDS]  # fmt: skip
        from_programs(domain, [*kinds, *per_cpu], rounds)
    else:
        print("From programs: not measured: this build has no interpreter")
    against_the_kernel(domain, kinds, rounds)


if __name__ == "__main__":
    main()
