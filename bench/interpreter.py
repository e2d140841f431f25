"""The interpreter: its time on programs of many kinds against the same C compiled to native code.

Every program is run by turns, natively and interpreted, and the least time of many rounds counts:
on a shared machine the least is what the code takes, the rest is what others took. Printed are the
ratio, and nanoseconds for each BPF instruction executed (counted by the tracing interpreter).
`--peer 'PROGRAM OPTIONS'` adds a plugin of the conformance suite, such as uBPF's.
"""

from __future__ import annotations

import argparse
import array
import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from math import exp, log
from pathlib import Path

from anybpf import _core, toolchain
from anybpf.isa import Instruction, encode
from anybpf.isa.assembler import assemble
from anybpf.objects import load_spec

SOURCE = Path(__file__).with_name("interpreter_programs.c")
ROUNDS = 40
ROUND_NS = 400_000  # about this long is one measurement

DRIVER = """
#include <time.h>
typedef unsigned long long u64;
u64 processor(void) { __asm__ volatile(""); return 0; }
u64 bench_time(u64 (*volatile program)(unsigned char *, u64), unsigned char *data, u64 size,
               u64 count)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (u64 i = 0; i < count; i++)
        program(data, size);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (u64)(b.tv_sec - a.tv_sec) * 1000000000ull + (u64)b.tv_nsec - (u64)a.tv_nsec;
}
"""


def code_of(instructions: list[Instruction]) -> tuple[bytes, list[object]]:
    """The code, with its one helper by index."""
    helper: list[object] = []
    for insn in instructions:
        if insn.opcode == 0x85 and insn.src == 0:
            insn.imm = 0
            helper = [_core.helper("get_smp_processor_id")] if hasattr(_core, "helper") else [-1]
    return encode(instructions, big_endian=sys.byteorder == "big"), helper


def buffer() -> bytearray:
    """A packet that passes most tests, and text that repeats after 256 bytes."""
    data = bytearray((i * 37 + 11) % 251 + 1 for i in range(1500))
    data[256:512] = data[:256]
    data[500] ^= 1
    data[12:14] = b"\x08\x00"
    data[14] = 0x45
    data[23] = 6
    data[256 : 256 + 64] = data[:64]
    return data


class Native:
    """The programs compiled by the machine's C compiler."""

    def __init__(self, place: Path) -> None:
        driver = place / "driver.c"
        driver.write_text(DRIVER)
        compiler = shutil.which("clang-19") or shutil.which("clang") or shutil.which("cc") or "cc"
        library = place / "native.so"
        subprocess.run(
            [compiler, "-O2", "-w", "-shared", "-fPIC", str(SOURCE), str(driver), "-o", library],
            check=True,
        )
        self.library = ctypes.CDLL(str(library))
        self.library.bench_time.restype = ctypes.c_uint64
        self.library.bench_time.argtypes = [
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64,
        ]  # fmt: skip

    def function(self, name: str) -> int:
        return ctypes.cast(getattr(self.library, name), ctypes.c_void_p).value or 0

    def result(self, name: str, data: bytearray) -> int:
        function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)(
            self.function(name)
        )
        place = (ctypes.c_char * len(data)).from_buffer(data)
        return int(function(ctypes.addressof(place), len(data)))

    def time(self, name: str, data: bytearray, count: int) -> float:
        place = (ctypes.c_char * len(data)).from_buffer(data)
        address = ctypes.addressof(place)
        return float(self.library.bench_time(self.function(name), address, len(data), count))


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


def mean(values: list[float]) -> float:
    return exp(sum(log(value) for value in values) / len(values))


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
    with tempfile.TemporaryDirectory() as place:
        native = Native(Path(place))
        object_file = Path(place) / "programs.o"
        toolchain.compile(SOURCE, object_file, ["-Wno-unused"])
        spec = load_spec(object_file)
        print(
            f"{'program':14} {'slots':>5} {'executed':>8} {'native':>9} {'ours':>10} ratio  ns/insn"
        )
        for number, program in enumerate(spec.programs.values(), 1):
            if options.only and program.name not in options.only:
                continue
            code, helpers = code_of(program.instructions)
            run = _core.Program(domain, number, program.name, code, [], helpers, codes)
            data, other = buffer(), buffer()
            ours = run(data)
            theirs = native.result(program.name, other)
            if ours != theirs or data != other:
                raise SystemExit(f"{program.name}: {ours!r} interpreted, {theirs} native")
            counts = array.array("Q", bytes(len(code)))
            run.run(memory=data, counts=counts)
            executed = sum(counts)
            count = max(1, int(ROUND_NS / max(native.time(program.name, data, 100) / 100, 0.5)))
            mine = max(1, int(ROUND_NS / (executed + 3)))
            best = [1e18, 1e18]
            start = time.monotonic()
            for _ in range(options.rounds):
                best[0] = min(best[0], native.time(program.name, data, count) / count)
                best[1] = min(best[1], run.run(memory=data, repeat=mine)[5] / mine)
                if time.monotonic() - start > 20:
                    break
            ratio, cost = best[1] / best[0], best[1] / executed
            ratios.append(ratio)
            costs.append(cost)
            line = (
                f"{program.name:14} {len(code) // 8:5} {executed:8} {best[0]:9.2f} {best[1]:10.2f} "
                f"{ratio:5.1f}  {cost:.3f}"
            )
            if options.peer:
                peer = peer_time(options.peer, code, data, 50 * mine)
                if peer is not None:
                    peers.append(peer / best[1])
                    line += f"   peer {peer:.1f} ns, {peer / best[1]:.1f} times ours"
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
