"""Calls of programs from Python, and runs in a batch, beside `lambda: None` called in the same run.

For what is compiled, machine code of a few instructions stands in: what is measured is the way
there and back. CPU time, by turns, and the least of many rounds: what others take of the machine is
not in it. Wanted: a call at most 10 ns above the lambda's, a packet of a batch at most 4 ns.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat

from anybpf import _core
from anybpf.isa import encode
from anybpf.isa.assembler import assemble

ROUNDS = 200
CALLS = 5_000
PACKETS = 4_000
CONTEXT = 24  # struct xdp_md
RETURN_2 = {  # mov eax, 2; ret
    "x86_64": "b8 02 00 00 00 c3",
    "AMD64": "b8 02 00 00 00 c3",
    "aarch64": "40 00 80 d2 c0 03 5f d6",
    "arm64": "40 00 80 d2 c0 03 5f d6",
}


def programs() -> dict[str, _core.Program]:
    """An empty program, interpreted and, where there is code for this machine, compiled."""
    domain, codes = _core.Domain(4), [0] * len(_core.STATUSES)
    code = encode(assemble("r0 = 2; exit"), big_endian=sys.byteorder == "big")
    made = {}
    for number, name in enumerate(["interpreted", "compiled"], 1):
        run = _core.Program(domain, number, name, code, [], [], codes, context_size=CONTEXT)
        if name == "compiled":
            if platform.machine() not in RETURN_2:
                continue
            native = _core.Code(64)
            native.write(0, bytes.fromhex(RETURN_2[platform.machine()]))
            native.seal(native.size)
            run.attach_code(native, 0)
        made[name] = run
    return made


def of_calls(function: Callable[..., object], *arguments: object) -> float:
    turns = repeat(None, CALLS)
    if arguments:
        (argument,) = arguments
        start = time.thread_time_ns()
        for _ in turns:
            function(argument)
    else:
        start = time.thread_time_ns()
        for _ in turns:
            function()
    return (time.thread_time_ns() - start) / CALLS


def of_runs(run: _core.Program) -> float:
    start = time.thread_time_ns()
    run.run(repeat=20 * CALLS, context=bytes(CONTEXT))
    return (time.thread_time_ns() - start) / (20 * CALLS)


def of_batch(run: _core.Program, packets: bytes) -> float:
    start = time.thread_time_ns()
    run.run_batch(packets, stride=len(packets) // PACKETS)
    return (time.thread_time_ns() - start) / PACKETS


def main() -> None:
    packets = bytes(64 * PACKETS)
    things: dict[str, Callable[[], float]] = {
        "lambda: None": partial(of_calls, lambda: None),
        "len(packet)": partial(of_calls, len, packets),
    }
    for name, run in programs().items():
        things |= {
            f"program(), {name}": partial(of_calls, run),
            f"program(bytes), {name}": partial(of_calls, run, packets),
            f"program.packet(64 bytes), {name}": partial(of_calls, run.packet, packets[:64]),
            f"program.packet(1500 bytes), {name}": partial(of_calls, run.packet, packets[:1500]),
            f"a run of program.run(repeat=...), {name}": partial(of_runs, run),
            f"a packet of program.run_batch, {name}": partial(of_batch, run, packets),
        }
    best = dict.fromkeys(things, 1e18)
    for _ in range(ROUNDS):
        for name, measure in things.items():
            best[name] = min(best[name], measure())
    beside = best["lambda: None"]
    for name, time_ in best.items():
        print(f"{name:45} {time_:7.1f} ns   {time_ / beside:5.2f} of the lambda")
    print(f"least of {ROUNDS} rounds by turns; an empty program, its context {CONTEXT} bytes")


if __name__ == "__main__":
    main()
