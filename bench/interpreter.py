"""The interpreter: its time on programs of many kinds against the same C compiled to native code.

Every program is run by turns, natively (by gcc and clang with -O2, the better counts) and
interpreted, and the least time of many rounds counts:
on a shared machine the least is what the code takes, the rest is what others took. Printed are the
ratio, and nanoseconds for each BPF instruction executed (counted by the tracing interpreter).
`--peer 'PROGRAM OPTIONS'` adds a plugin of the conformance suite, such as uBPF's.
"""

from __future__ import annotations

import argparse
import array
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from programs import Native, address_of, by_turns, compile_bpf, compilers, mean, packet, turns_for

from anybpf import _core
from anybpf.isa import Instruction, encode
from anybpf.isa.assembler import assemble

ROUNDS = 40
ROUND_NS = 400_000  # about this long is one measurement


def code_of(instructions: list[Instruction]) -> tuple[bytes, list[object]]:
    """The code, with its one helper by index."""
    helper: list[object] = []
    for insn in instructions:
        if insn.opcode == 0x85 and insn.src == 0:
            insn.imm = 0
            helper = [_core.helper("get_smp_processor_id")]
    return encode(instructions, big_endian=sys.byteorder == "big"), helper


# r6 times: call the program that follows, with the same r1 and r2.
REPEAT = """
    r6 = {count} ll
    r7 = r1
    r8 = r2
again:
    r1 = r7
    r2 = r8
    call program
    r6 += -1
    if r6 != 0 goto again
    exit
program:
    exit
"""


def peer_time(peer: str, code: bytes, data: bytearray, count: int) -> float | None:
    """Nanoseconds a run, of a plugin of the conformance suite: the time of `count` runs and more in
    one process, less that of a process with one. None if it refuses the program."""
    program, *options = peer.split()
    times = []
    for turns in (1, count):
        front = encode(assemble(REPEAT.format(count=turns)))[:-8]
        best = 1e18
        for _ in range(5):
            start = time.perf_counter_ns()
            done = subprocess.run(
                [program, data.hex(), *options],
                input=(front + code).hex() + "\n", capture_output=True, text=True, check=False,
                timeout=120,
            )  # fmt: skip
            best = min(best, float(time.perf_counter_ns() - start))
            if done.returncode != 0:
                return None
        times.append(best)
    return (times[1] - times[0]) / (count - 1)


def repeated(program: _core.Program, data: bytearray) -> Callable[[int], object]:
    return lambda count: program.run(memory=data, repeat=count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", help="a plugin of the conformance suite, with options")
    parser.add_argument("--only", nargs="*", help="names of programs")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    domain = _core.Domain(1)
    codes = [0] * len(_core.STATUSES)
    ratios: list[float] = []
    costs: list[float] = []
    peers: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        natives = [Native(command, place, name) for name, command in compilers().items()]
        spec = compile_bpf(place, packets=False)
        print(
            f"{'program':14} {'slots':>5} {'executed':>8} {'native':>9} {'ours':>10} ratio  ns/insn"
        )
        for number, program in enumerate(spec.programs.values(), 1):
            if options.only and program.name not in options.only:
                continue
            code, helpers = code_of(program.instructions)
            run = _core.Program(domain, number, program.name, code, [], helpers, codes)
            data = packet()
            ours = run(data)
            calls = {"": repeated(run, data)}
            for native in natives:
                other = packet()
                place_of_data = address_of(other)
                theirs = native.call(program.name, place_of_data, len(other))
                if ours != theirs or data != other:
                    raise SystemExit(
                        f"{program.name}: {ours!r} interpreted, {theirs} by {native.name}"
                    )
                calls[native.name] = native.caller(program.name, place_of_data, len(other))
            counts = array.array("Q", bytes(len(code)))
            run.run(memory=data, counts=counts)
            executed = sum(counts)
            turns = {name: turns_for(call, ROUND_NS) for name, call in calls.items()}
            times = by_turns(calls, turns, options.rounds)
            mine = min(times.pop(""))
            best = min(min(each) for each in times.values())
            ratio, cost = mine / best, mine / executed
            ratios.append(ratio)
            costs.append(cost)
            line = (
                f"{program.name:14} {len(code) // 8:5} {executed:8} {best:9.2f} {mine:10.2f} "
                f"{ratio:5.1f}  {cost:.3f}"
            )
            if options.peer:
                peer = peer_time(options.peer, code, data, 50 * turns[""])
                if peer is not None:
                    peers.append(peer / mine)
                    line += f"   peer {peer:.1f} ns, {peer / mine:.1f} times ours"
            print(line, flush=True)
    print(
        f"geometric mean of {len(ratios)}: {mean(ratios):.1f} times native, "
        f"{mean(costs):.3f} ns an instruction (wanted: under 1)"
    )
    if peers:
        print(f"the peer takes {mean(peers):.1f} times as long as the interpreter here")
    print(f"least of {options.rounds} rounds of {ROUND_NS / 1e6:g} ms each, by turns")


if __name__ == "__main__":
    main()
