"""The programs of ``programs.c`` for benchmarks of engines: compiled to BPF and to native code.

Native code is called as compiled BPF is: through a pointer, by a loop in C. What is measured is the
CPU time of this thread, around the loop; what it is compared with is for the benchmarks to say.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from pathlib import Path

from anybpf import toolchain
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec

SOURCE = Path(__file__).with_name("programs.c")

# A program is called with two words: memory and its length, or a context and the run.
DRIVER = """
typedef unsigned long long u64;
typedef u64 (*program_type)(void *first, void *second);
u64 no_processor(void) { __asm__ volatile(""); return 0; }
u64 bench_calls(program_type program, void *first, void *second, u64 count)
{
    program_type volatile pointer = program;
    u64 result = 0;
    for (u64 i = 0; i < count; i++)
        result = pointer(first, second);
    return result;
}
/* The same from inside a run: what calls this as compiled code is called gets `inside` called. */
program_type volatile inside;
u64 inside_count = 1;
u64 bench_inside(void *context, void *run)
{
    u64 result = 0;
    for (u64 i = inside_count; i != 0; i--)
        result = inside(context, run);
    return result;
}
"""


def packet(size: int = 1500) -> bytearray:
    """A packet that passes most tests, and text that repeats after 256 bytes."""
    data = bytearray((i * 37 + 11) % 251 + 1 for i in range(size))
    data[256:512] = data[:256]
    data[500] ^= 1
    data[12:14] = b"\x08\x00"
    data[14] = 0x45
    data[23] = 6
    data[256 : 256 + 64] = data[:64]
    return data


def compile_bpf(place: Path, packets: bool) -> CollectionSpec:
    """The programs as BPF, instruction set v4: for XDP, or on plain memory."""
    output = place / f"programs-{'packets' if packets else 'memory'}.o"
    flags = ["-Wno-unused", *(["-DPACKETS"] if packets else [])]
    toolchain.compile(SOURCE, output, flags, cpu="v4")
    return load_spec(output)


def compilers() -> dict[str, list[str]]:
    """The machine's C compilers by name, as native programs are compiled with them."""
    found: dict[str, list[str]] = {}
    for name in ("gcc", "clang-19", "clang", "cc"):
        path = shutil.which(name)
        known = name.partition("-")[0]
        if path and known not in found and not (name == "cc" and found):
            found[known] = [path]
    return found


class Native:
    """The programs compiled by one C compiler with -O2."""

    def __init__(
        self, command: Sequence[str], place: Path, name: str, flags: Sequence[str] = ()
    ) -> None:
        driver = place / "driver.c"
        driver.write_text(DRIVER)
        library = place / f"{name}.so"
        options = ["-O2", "-w", "-shared", "-fPIC", *flags, "-o", str(library)]
        subprocess.run([*command, *options, str(SOURCE), str(driver)], check=True)
        self.name = name
        self.library = ctypes.CDLL(str(library))
        word = ctypes.c_uint64
        self.calls = self.library.bench_calls
        self.calls.restype = word
        self.calls.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, word]

    def function(self, name: str) -> int:
        """The address of a program, or of something of the driver; 0: there is none."""
        try:
            found = getattr(self.library, name)
        except AttributeError:
            return 0
        return ctypes.cast(found, ctypes.c_void_p).value or 0

    def call(self, name: str, first: int, second: int, count: int = 1) -> int:
        """The result of the last of `count` calls."""
        return int(self.calls(self.function(name), first, second, count))

    def caller(self, name: str, first: int, second: int) -> Callable[[int], object]:
        """What calls the program so often."""
        return lambda count: self.call(name, first, second, count)


def address_of(data: bytearray) -> int:
    """Where the bytes are; they must not grow."""
    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


def cpu_ns(call: Callable[[int], object], count: int) -> int:
    """Nanoseconds of CPU time of this thread that so many turns take."""
    start = time.thread_time_ns()
    call(count)
    return time.thread_time_ns() - start


def turns_for(call: Callable[[int], object], wanted_ns: int) -> int:
    """How many turns of a call take about that long."""
    count = 1
    while True:
        spent = cpu_ns(call, count)
        if spent > wanted_ns // 8 or count > 1 << 24:
            return max(1, int(count * wanted_ns / max(spent, 1)))
        count *= 4


def by_turns(
    calls: Mapping[str, Callable[[int], object]],
    counts: Mapping[str, int],
    rounds: int,
    most_seconds: float = 20.0,
) -> dict[str, list[float]]:
    """Nanoseconds of a turn of each, round by round, one after the other."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    start = time.monotonic()
    for _ in range(rounds):
        for name, call in calls.items():
            count = counts[name]
            times[name].append(cpu_ns(call, count) / count)
        if time.monotonic() - start > most_seconds:
            break
    return times


def mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return exp(sum(log(value) for value in values) / len(values))


def machine() -> str:
    """What this was measured on."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {platform.system()} {platform.release()}"
