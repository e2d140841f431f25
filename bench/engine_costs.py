"""What engines cost besides the running: compiling, loading, calls from Python, memory.

Part of ``engines.py``, which calls :func:`report`. Times are CPU time, the least of several; memory
is what the process holds (its resident set) after a first quarter of the cycles and at the end.
"""

from __future__ import annotations

import gc
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
import timeit
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from programs import Native, address_of, by_turns, compile_bpf, packet

from anybpf import _core
from anybpf.engines import Prepared, prepare
from anybpf.isa import codec
from anybpf.isa.assembler import assemble
from anybpf.testing import engines
from anybpf.verifier import verify_instructions

SIZES = (100, 1000, 4000)
FIRST_RESULT_MS = {"interpret": 25.0, "jit": 30.0}
CALL_NS = 30.0
PACKET_NS = 4.0
FILTER = "filter"

FRONT = """
    r0 = 0
    r2 = *(u32 *)(r1 + 0)
    r3 = *(u32 *)(r1 + 4)
    r4 = r2
    r4 += 256
    if r4 > r3 goto out
"""
# As filters are: a few loads, arithmetic, a spill, a branch. Fourteen slots, all of them needed.
BLOCK = """
    r5 = *(u8 *)(r2 + {first})
    r7 = *(u16 *)(r2 + {second})
    r5 <<= 8
    r5 |= r7
    *(u64 *)(r10 - {spill}) = r5
    r8 = *(u32 *)(r2 + {third})
    r8 ^= r5
    r8 &= {mask}
    if r8 == {value} goto over{block}
    r9 = *(u64 *)(r10 - {spill})
    r9 += r8
    r0 ^= r9
    r0 += {value}
over{block}:
    r0 *= 3
"""


def filter_of(slots: int) -> str:
    """A filter of about so many slots."""
    text = FRONT
    for block in range((slots - 9) // 14):
        text += BLOCK.format(
            first=block % 200, second=(7 * block) % 250, third=(13 * block) % 250,
            spill=8 + 8 * (block % 60), mask=0xFF << block % 16, value=block % 97, block=block,
        )  # fmt: skip
    return text + "\nout:\n    exit\n"


def proved(text: str) -> Prepared:
    verification = verify_instructions(assemble(text), "xdp")
    return prepare(verification.program, verification)


def cpu_ms(call: Callable[[], object], rounds: int = 5) -> float:
    """The least CPU time of this process, all its threads, that a call takes."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.process_time_ns()
        call()
        best = min(best, float(time.process_time_ns() - start))
    return best / 1e6


def wanted(value: float, most: float) -> str:
    return f"wanted at most {most:g}{'' if value <= most else '  MISSED'}"


def compiling() -> None:
    from anybpf.engines import jit
    from anybpf.engines.cache import Cache
    from anybpf.engines.lowering import source_of

    print("Compiling filters, and loading them from the cache (CPU ms, the least of 5):")
    print(f"    {'slots':>6} {'verify':>8} {'plan, IR':>9} {'LLVM':>8} {'object':>8} {'cached':>8}")
    domain = _core.Domain(1)
    for size in SIZES:
        text = filter_of(size)
        code = assemble(text)
        made = proved(text)
        source = source_of(made)
        data = jit.compile_object(source)
        proving = cpu_ms(lambda code=code: verify_instructions(code, "xdp"))  # type: ignore[misc]
        lowering = cpu_ms(lambda source=source: jit.object_text(source))  # type: ignore[misc]
        whole = cpu_ms(lambda source=source: jit.compile_object(source))  # type: ignore[misc]
        with tempfile.TemporaryDirectory() as place:
            cache = Cache(str(Path(place) / "cache"))
            jit.compile_object(source, cache=cache)
            program = engines.make(engines.REFERENCE, made, domain, size, [], [])

            def cached(source: Any = source, cache: Any = cache, program: Any = program) -> None:
                jit.attach(program, jit.compile_object(source, cache=cache))

            loading = cpu_ms(cached)
        slots = len(made.code) // 8
        print(
            f"    {slots:6} {proving:8.1f} {lowering:9.1f} {whole - lowering:8.1f} "
            f"{len(data):7}B {loading:8.2f}"
        )


# In a process of its own: from the file to the answer.
FIRST = """
import sys
from anybpf.runtime import Runtime
with Runtime("linux") as runtime:
    loaded = runtime.load(sys.argv[1], programs=["{program}"], engine="{engine}")
    done = loaded.programs["{program}"].test_run(bytes(1500))
    assert done.retval == 2, done.retval
"""


def cpu_of_process(command: list[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, **environment})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def first_results(file: Path, rounds: int = 15) -> None:
    print("From a file to the first result in one process, beyond `python -c pass` (CPU ms):")
    if codec.__file__.endswith(".py"):
        print("    the rooms are not compiled here: these times are not those of an installation")
    with tempfile.TemporaryDirectory() as cache:
        environment = {"ANYBPF_CACHE": cache}
        scripts = {"": "pass"}
        for engine in FIRST_RESULT_MS:
            if not engines.problem(engine):
                scripts[engine] = FIRST.format(program=FILTER, engine=engine)
        times: dict[str, list[float]] = {engine: [] for engine in scripts}
        for turn in range(rounds + 1):
            for engine, script in scripts.items():
                command = [sys.executable, "-c", script, str(file)]
                spent = cpu_of_process(command, environment)
                if turn:  # the first fills the cache
                    times[engine].append(spent)
    for engine, each in times.items():
        if engine:
            least = min(each) - min(times[""])
            print(f"    {engine:12} {least:8.1f}  {wanted(least, FIRST_RESULT_MS[engine])}")


def calls(place: Any, natives: Sequence[Native]) -> None:
    """Single calls are measured without the loop around them; beside batches stands native code."""
    print(f"Calls of the compiled program {FILTER} (ns, the least):")
    made = place.make("jit", FILTER)
    data = bytes(packet()[:64])
    count = 20_000
    timers = [
        timeit.Timer(text, globals={"call": made.packet, "data": data})
        for text in ("pass", "call(data)")
    ]
    rows = [[timer.timeit(count) for timer in timers] for _ in range(30)]
    empty, whole = (min(column) / count * 1e9 for column in zip(*rows, strict=True))
    one = whole - empty
    print(f"    a call from Python with a packet of 64 bytes {one:8.1f}  {wanted(one, CALL_NS)}")
    many = bytearray(data * 8192)
    context = bytes(24)
    # As compiled code finds it: pointers to the packet in front of the context.
    block = bytearray(64 + 24)
    at = address_of(many)
    block[:16] = struct.pack("=QQ", at, at + 64)
    empty_program = place.make("jit", "empty")
    each: dict[str, Callable[[int], object]] = {
        "a packet of a batch": lambda count: [
            made.run_batch(many, stride=64, context=context, cpu=0) for _ in range(count // 8192)
        ],
        "one of many runs of `empty`": lambda count: empty_program.run(
            packet=data, context=context, cpu=0, repeat=count
        ),
    }
    for native in natives:
        name = f"the same in C by {native.name.split('-')[0]}, called in a loop"
        each[name] = native.caller(FILTER, address_of(block) + 64, 0)
    for name, times in by_turns(each, dict.fromkeys(each, 8 * 8192), 30).items():
        beside = f"  {wanted(min(times), PACKET_NS)}" if name == "a packet of a batch" else ""
        print(f"    {name:44} {min(times):8.2f}{beside}")


def resident() -> int:
    """Bytes of memory that this process has in use."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cycles(count: int, different: int) -> None:
    """Load, compile, run, unload: so many different programs, over and over, through the cache."""
    from anybpf.engines import jit
    from anybpf.engines.cache import Cache
    from anybpf.engines.lowering import source_of

    domain = _core.Domain(1)
    sizes = array("q")
    with tempfile.TemporaryDirectory() as place:
        cache = Cache(str(Path(place) / "cache"))
        for number in range(count):
            constant = number % different
            made = proved(f"r0 = *(u32 *)(r1 + 12)\nr0 += {constant}\nexit")
            program = engines.make(engines.REFERENCE, made, domain, 1, [], [])
            jit.attach(program, jit.compile_object(source_of(made), cache=cache))
            value = program.run(packet=bytes(64), context=bytes(24), cpu=0)[0]
            if value != constant:
                raise SystemExit(f"cycle {number}: {value}")
            program.close()
            domain.collect()
            if number % 64 == 0:
                gc.collect()
                sizes.append(resident())
    first, last = sizes[len(sizes) // 4], sizes[-1]
    growth = (last - first) / (count * 3 / 4)
    what = "from the cache" if different < count else "compiled each time"
    print(
        f"Loading and unloading {count} programs, {what}: {first / 1e6:.1f} MB after a quarter, "
        f"{last / 1e6:.1f} MB at the end: {growth:.0f} bytes a cycle, wanted 0"
    )


def report(place: Any, natives: Sequence[Native], count: int) -> None:
    """All costs; ``place`` has the programs for packets."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "programs-packets.o"
        compile_bpf(folder, packets=True)
        if not engines.problem("jit"):
            compiling()
            calls(place, natives)
        first_results(file)
    if count and not engines.problem("jit"):
        cycles(count, 16)
        cycles(count, count)
