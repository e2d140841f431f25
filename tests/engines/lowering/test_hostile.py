"""Code of which nothing is proved, in compiled form: it stops where the interpreter stops it.

No verifier has seen these programs. What they reach for is not theirs, or they do not end; compiled
code says so with the same words, at the same instruction, and the host goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from anybpf import _core
from anybpf.engines import jit, llvm
from anybpf.engines.lowering import Source
from anybpf.engines.lowering.c import Unit, print_c
from anybpf.errors import NotSupported
from anybpf.testing import c_engine
from tests.core.programs import EXIT, code, ends, program

PRINTERS = ["llvm", "c"]
ENTER = (0x85, 0, 1, 0)  # a local call


def compiled(printer: str, text: str | bytes) -> _core.Program:
    """The program, whose runs are of compiled code."""
    made = program(text)
    attach(printer, made, Source("test", made.code))
    assert made.compiled
    return made


def attach(printer: str, made: _core.Program, source: Source) -> None:
    if printer == "llvm":
        if not llvm.is_there() or not _core.MACHINE:
            pytest.skip("llvmlite is not installed")
        jit.attach(made, jit.compile_object(source))
        return
    if not c_engine.compilers() or not _core.MACHINE:
        pytest.skip("there is no C compiler")
    text = print_c([Unit(source)], _core.LAYOUT, _core.NATIVE_ABI)
    c_engine.build(text).attach(made, source)


# What r1 leads to are sixteen bytes, which may be written.
SIZE = 16
OUTSIDE: dict[str, str | bytes] = {
    "before": "r0 = *(u8 *)(r1 - 1); exit",
    "behind": "r0 = *(u8 *)(r1 + 16); exit",
    "across the end": "r0 = *(u64 *)(r1 + 9); exit",
    "across the begin": "r0 = *(u32 *)(r1 - 3); exit",
    "far": "r0 = *(u64 *)(r1 + 32767); exit",
    "far before": "r0 = *(u64 *)(r1 - 32768); exit",
    "no pointer": "r3 = 0; r0 = *(u64 *)(r3 + 0); exit",
    "a number": "r3 = 4660; r0 = *(u64 *)(r3 + 0); exit",
    "the last address": "r3 = -4; r0 = *(u64 *)(r3 + 0); exit",
    "around": "r3 = -1; r0 = *(u8 *)(r3 + 1); exit",
    "computed": "r2 <<= 20; r1 += r2; r0 = *(u8 *)(r1 + 0); exit",
    "a sum of pointers": "r1 += r10; r0 = *(u8 *)(r1 + 0); exit",
    "half a pointer": "w1 = w1; r0 = *(u8 *)(r1 + 0); exit",
    "a register never written": "r0 = *(u8 *)(r7 + 0); exit",
    "signed": code((0x91, 0, 1, 16), EXIT),
    "store": "*(u8 *)(r1 + 16) = 1; r0 = 0; exit",
    "store a register": "*(u64 *)(r1 + 9) = r2; r0 = 0; exit",
    "atomic add": code((0xDB, 1, 2, 16, 0), EXIT),
    "atomic fetch": code((0xC3, 1, 2, -4, 1), EXIT),
    "exchange": code((0xDB, 1, 2, 16, 0xE1), EXIT),
    "compare and exchange": code((0xDB, 1, 2, 4096, 0xF1), EXIT),
    "load acquire": code((0xDB, 0, 1, 16, 0x100), EXIT),
    "store release": code((0xDB, 1, 2, 16, 0x110), EXIT),
    "above the frame": "r0 = *(u64 *)(r10 + 0); exit",
    "across the frame's end": "r0 = *(u64 *)(r10 - 4); exit",
    "below the frame": "r0 = *(u64 *)(r10 - 520); exit",
    "store above the frame": "*(u64 *)(r10 + 0) = r1; exit",
    "store far below the frame": "*(u32 *)(r10 - 32768) = 7; exit",
    "a place in the frame that is computed": (
        "r2 <<= 6; r3 = r10; r3 -= r2; r0 = *(u8 *)(r3 + 1024); exit"
    ),
    "below, by steps": "r3 = r10; r3 += -500; r3 += -500; r0 = *(u8 *)(r3 + 0); exit",
    "the frame of a function that is over": """
        call inner
        r0 = *(u64 *)(r0 - 8)
        exit
    inner:
        r0 = r10
        exit
    """,
    "in a function": """
        r0 = 0
        call inner
        exit
    inner:
        r0 = *(u64 *)(r1 + 16)
        exit
    """,
    "behind a branch": "r0 = 1; if r2 == 16 goto +1; exit; r0 = *(u8 *)(r1 + 16); exit",
    "in a loop": "r0 = 0; r0 = *(u8 *)(r1 + 0); r1 += 1; goto -3",
}


def told(stop: object) -> tuple[object, ...]:
    """Why, where, how many bytes, and whether it was a write."""
    assert isinstance(stop, tuple), f"it ended by itself with {stop!r}"
    return _core.ENDS[stop[0]], stop[2], stop[5], stop[6]


@pytest.fixture(scope="module")
def attached() -> Callable[[str, str], _core.Program]:
    """All of these programs by printer and name; of C, one file has them all."""
    sources: dict[str, Source] = {}
    for name, text in OUTSIDE.items():
        sources[name] = Source(name, program(text).code)
    if c_engine.compilers() and _core.MACHINE:
        units = [Unit(one) for one in sources.values()]
        library = c_engine.build(print_c(units, _core.LAYOUT, _core.NATIVE_ABI))

    def find(printer: str, name: str) -> _core.Program:
        made = program(sources[name].code)
        if printer == "c" and c_engine.compilers() and _core.MACHINE:
            library.attach(made, sources[name])
        else:
            attach(printer, made, sources[name])
        return made

    return find


@pytest.mark.parametrize("name", list(OUTSIDE))
@pytest.mark.parametrize("printer", PRINTERS)
def test_accesses_outside_stop(
    attached: Callable[[str, str], _core.Program], printer: str, name: str
) -> None:
    wanted = program(OUTSIDE[name])(bytearray(SIZE))
    made = attached(printer, name)
    assert made.compiled
    found = made(bytearray(SIZE))
    assert ends(found) == "OUT_OF_BOUNDS"
    assert told(found) == told(wanted)
    made.detach_code()
    assert told(made(bytearray(SIZE))) == told(wanted)  # and nothing is left behind


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_an_access_may_end_where_the_memory_ends(printer: str, size: int) -> None:
    for at in (0, SIZE - size):
        made = compiled(printer, f"r0 = *(u{8 * size} *)(r1 + {at}); exit")
        assert made(bytes(range(1, SIZE + 1))) == int.from_bytes(
            bytes(range(1, SIZE + 1))[at : at + size], "little"
        )


@pytest.mark.parametrize("printer", PRINTERS)
def test_what_is_read_only_is_not_written(printer: str) -> None:
    for store in ((0x7B, 1, 2), (0x7A, 1), (0xDB, 1, 2), (0xDB, 1, 2, 0, 0x110)):
        made = compiled(printer, code((0xB7, 0), store, EXIT))
        data = bytes(16)
        stop = made(data)
        assert ends(stop) == "READ_ONLY"
        assert isinstance(stop, tuple)
        assert stop[2] == 1
        assert data == bytes(16)


@pytest.mark.parametrize("printer", PRINTERS)
def test_atomic_operations_need_alignment(printer: str) -> None:
    for imm in (0, 0xE1, 0xF1, 0x110, 0x100):
        src, dst = (1, 2) if imm == 0x100 else (2, 1)
        made = compiled(printer, code((0xB7, 0), (0xDB, dst, src, 4, imm), EXIT))
        stop = made(bytearray(32))
        assert ends(stop) == "MISALIGNED"
        assert isinstance(stop, tuple)
        assert stop[2] == 1


# What does not end.

ENDLESS = {
    "a loop": "r0 = 0; again: r0 += 1; goto again",
    "nothing but a jump": "again: goto again",
    "two loops": "r0 = 0; again: r0 += 1; if r0 & 1 goto again; goto again",
    "a loop with two ways in": "if r1 == 0 goto b; a: r0 += 1; b: r0 += 2; goto a",
    "through a function": "r0 = 0; again: call f; goto again; f: r0 = 1; exit",
    "in a function": "call f; exit; f: r0 = 0; again: goto again",
    "a loop in a loop": """
        again: r3 = 10
        inner: r3 -= 1
        if r3 != 0 goto inner
        goto again
    """,
}


@pytest.mark.parametrize("name", list(ENDLESS))
@pytest.mark.parametrize("printer", PRINTERS)
def test_what_does_not_end_is_stopped(printer: str, name: str) -> None:
    made = compiled(printer, ENDLESS[name])
    assert ends(made.run(budget=300_000)[1]) == "OUT_OF_BUDGET"
    start = time.monotonic()
    assert ends(made.run(timeout=0.02)[1]) == "OUT_OF_TIME"
    assert time.monotonic() - start < 10
    assert made.run(budget=300_000)[6] >= 200_000


@pytest.mark.parametrize("printer", PRINTERS)
def test_another_thread_may_stop_a_run(printer: str) -> None:
    made = compiled(printer, ENDLESS["a loop"])
    stops: list[object] = []
    thread = threading.Thread(target=lambda: stops.append(made()))
    thread.start()
    deadline = time.monotonic() + 30
    while not stops and time.monotonic() < deadline:
        time.sleep(0.01)
        made.stop()
    thread.join(30)
    assert [ends(stop) for stop in stops] == ["STOPPED"]


RECURSION = {
    "plain": "call again; exit; again: call again; exit",
    "with a frame": "call f; exit; f: *(u64 *)(r10 - 8) = 1; call f; r0 = *(u64 *)(r10 - 8); exit",
    "by turns": "call f; exit; f: call g; exit; g: call f; exit",
    "without a return": "call f; exit; f: r1 += 1; call f; goto -2",
}


@pytest.mark.parametrize("name", list(RECURSION))
@pytest.mark.parametrize("printer", PRINTERS)
def test_recursion_is_stopped(printer: str, name: str) -> None:
    wanted = program(RECURSION[name])()
    found = compiled(printer, RECURSION[name])()
    assert ends(found) == "TOO_DEEP"
    assert told(found) == told(wanted)


@pytest.mark.parametrize("printer", PRINTERS)
def test_eight_frames_are_allowed(printer: str) -> None:
    functions = "call f1; r0 = 1; exit; "
    functions += "".join(f"f{i}: call f{i + 1}; exit; " for i in range(1, 7)) + "f7: r0 = 0; exit"
    assert compiled(printer, functions)() == 1
    deeper = functions.replace("f7: r0 = 0; exit", "f7: call f8; exit; f8: r0 = 0; exit")
    assert ends(compiled(printer, deeper)()) == "TOO_DEEP"


# Numbers that are called.


@pytest.mark.parametrize("printer", PRINTERS)
def test_registers_that_hold_no_function_are_not_called(printer: str) -> None:
    for number in (5, -1, 0x7FFFFFFF):
        made = compiled(printer, code((0xB7, 3, 0, 0, number), (0x8D, 3), EXIT))
        stop = made()
        assert ends(stop) == "BAD_CALL"
        assert isinstance(stop, tuple)
        assert stop[2] == 1


@pytest.mark.parametrize("printer", PRINTERS)
def test_code_that_moves_the_frame_pointer_is_interpreted(printer: str) -> None:
    moved = code((0x07, 10, 0, 0, 4096), (0x79, 0, 10, -8), EXIT)
    with pytest.raises(NotSupported, match="code that changes r10"):
        compiled(printer, moved)


# Memory that nobody wrote. What is read does not matter, that it can be does.

UNWRITTEN = {
    "a word": "r0 = *(u64 *)(r10 - 8); exit",
    "a branch": "r1 = *(u64 *)(r10 - 8); r0 = 1; if r1 == 5 goto +1; r0 = 2; exit",
    "a divisor": "r1 = *(u64 *)(r10 - 8); r0 = 7; r0 /= r1; exit",
    "a distance": "r1 = *(u64 *)(r10 - 8); r0 = 7; r0 <<= r1; exit",
    "half of it": "*(u32 *)(r10 - 8) = 1; r0 = *(u64 *)(r10 - 8); exit",
    "all": """
        r0 = 0
        r1 = r10
        r1 += -512
    again:
        r2 = *(u64 *)(r1 + 0)
        r0 ^= r2
        r1 += 8
        if r1 != r10 goto again
        exit
    """,
    "twice": """
        r1 = *(u64 *)(r10 - 16)
        r2 = *(u64 *)(r10 - 16)
        r1 ^= r2
        r0 = r1
        exit
    """,
    "on one way": """
        if r1 == 0 goto +1
        *(u64 *)(r10 - 8) = 3
        r0 = *(u64 *)(r10 - 8)
        exit
    """,
    "by a function": """
        r1 = r10
        r1 += -8
        call f
        exit
    f:
        r0 = *(u64 *)(r1 + 0)
        exit
    """,
    "an atomic": "r2 = 1; lock *(u64 *)(r10 - 8) += r2; r0 = 0; exit",
}


@pytest.mark.parametrize("name", list(UNWRITTEN))
@pytest.mark.parametrize("printer", PRINTERS)
def test_memory_that_nobody_wrote_holds_something(printer: str, name: str) -> None:
    made = compiled(printer, UNWRITTEN[name])
    for _ in range(3):
        assert isinstance(made(), int)
    if name == "twice":
        assert made() == 0
