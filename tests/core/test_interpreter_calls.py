"""The shortest runs, one at a time and many on a seat; what one leaves is not there for others."""

from __future__ import annotations

import array
import platform
import signal
import struct
import threading
import time

import pytest

from anybpf import _core
from tests.core.programs import EXIT, code, ends, program

CONTEXT = 24
# r0 = the packet's first byte; then counts it up, and the context's word at 16
TOUCH = code(
    (0x79, 2, 1, -64), (0x71, 0, 2, 0), (0xBF, 3, 0), (0x07, 3, 0, 0, 1), (0x73, 2, 3, 0),
    (0x61, 4, 1, 16), (0x0F, 0, 4), (0x07, 4, 0, 0, 100), (0x63, 1, 4, 16), EXIT,
)  # fmt: skip
# The packet's length.
LENGTH = code((0x79, 0, 1, -56), (0x79, 2, 1, -64), (0x1F, 0, 2), EXIT)


def test_a_packet_is_copied_and_all_else_is_as_if_it_were_the_first() -> None:
    run = program(TOUCH, context_size=CONTEXT)
    packet, writable = b"\x07" + bytes(63), bytearray(b"\x09" + bytes(9))
    for _ in range(3):
        assert run.packet(packet) == 7
        assert run.packet(writable) == 9
        assert run.packet(memoryview(packet)[1:]) == 0
        assert run.packet(packet, bytes(16) + b"\x05") == 12
    assert packet == b"\x07" + bytes(63)
    assert writable == b"\x09" + bytes(9)


def test_lengths_and_pointers_of_a_packet() -> None:
    run = program(LENGTH, context_size=CONTEXT)
    for size in (1, 64, 0, 64, 64, 1500, 9000, 2, 70_000, 3):
        assert run.packet(bytes(size)) == size
    both = code(
        (0x79, 2, 1, 8), (0x79, 3, 1, 0), (0x1F, 2, 3), (0x61, 0, 1, 24), (0x0F, 0, 2), EXIT
    )
    windows = program(both, context_size=40, packet_fields=(0, 8, -1), length_field=24)
    for size in (5, 5, 64, 5):
        assert windows.packet(bytes(size)) == 2 * size
        assert windows.run_batch(bytes(4 * size), stride=size)[0] == struct.pack(
            "=4Q", *[2 * size] * 4
        )


def adjusting(helper: str, by: int, read: int) -> _core.Program:
    """Moves an end of the packet; r0: the eight bytes at `read` of what it is then."""
    return program(
        code(
            (0xBF, 6, 1), (0xB7, 2, 0, 0, by), (0x85, 0, 0, 0, 0), (0x55, 0, 0, 5, 0),
            (0x79, 2, 6, -64), (0x79, 0, 2, read), (0xB7, 3, 0, 0, -1), (0x7B, 2, 3, read), EXIT,
            (0xB7, 0, 0, 0, -1), EXIT,
        ),
        helpers=[_core.helper(helper)], context_size=CONTEXT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("helper", "by", "read"), [("xdp_adjust_tail", 64, 32), ("xdp_adjust_head", -64, 8)]
)
def test_room_around_a_packet_is_zero_whoever_was_there(helper: str, by: int, read: int) -> None:
    run = adjusting(helper, by, read)
    for packet in (b"\xee" * 1500, b"\xdd" * 32, b"\xcc" * 32, b"\xee" * 100, b"\xdd" * 32):
        seen = {run.packet(packet) for _ in range(3)}
        assert seen == ({0} if len(packet) == 32 or by < 0 else {int.from_bytes(packet[:8])})
        run.run(packet=b"\xff" * 400, context=bytes(CONTEXT))


def test_ways_of_running_do_not_see_each_other() -> None:
    run = program(code((0x79, 2, 1, -64), (0x71, 0, 2, 0), EXIT), context_size=CONTEXT)
    for _ in range(3):
        assert run.packet(b"\x05") == 5
        assert ends(run()) == "OUT_OF_BOUNDS"
        assert ends(run(bytes(16))) == "OUT_OF_BOUNDS"
        assert run.run(packet=b"\x06", context=bytes(CONTEXT))[0] == 6
        assert ends(run.run(context=bytes(CONTEXT))[1]) == "OUT_OF_BOUNDS"
        assert run.run_batch(b"\x01\x02", stride=1)[0] == struct.pack("=2Q", 1, 2)
        assert ends(run.packet(b"")) == "OUT_OF_BOUNDS"


def test_memory_that_may_only_be_read() -> None:
    write = program(code((0x72, 1, 0, 0, 7), (0xB7, 0), EXIT))
    memory = bytes(8)
    assert ends(write(memory)) == "READ_ONLY"
    assert ends(write(memoryview(memory))) == "READ_ONLY"
    assert memory == bytes(8)
    assert ends(write()) == "OUT_OF_BOUNDS"


def test_what_is_wrong_about_packets_is_said() -> None:
    run = program(TOUCH, context_size=CONTEXT)
    for arguments in ((), (b"", b"", b""), (1,), (b"", 1)):
        with pytest.raises(TypeError):
            run.packet(*arguments)
    with pytest.raises(ValueError, match="24 bytes, not 25"):
        run.packet(b"a", bytes(25))
    assert run.packet(b"a") == 97
    run.close()
    with pytest.raises(ValueError, match="closed"):
        run.packet(b"a")


def test_a_helper_in_python_runs_the_same_program() -> None:
    def again(depth: int) -> int:
        return 1 + (run.packet(bytes([depth - 1])) if depth else 0)  # type: ignore[operator]

    source = code((0x79, 2, 1, -64), (0x71, 1, 2, 0), (0x85, 0, 0, 0, 0), EXIT)
    run = program(source, domain=_core.Domain(16), helpers=[again], context_size=CONTEXT)
    for depth in (0, 1, 2, 9, 3):
        assert run.packet(bytes([depth])) == depth + 1


def test_many_threads_with_packets_of_their_own() -> None:
    read = code((0x79, 2, 1, -64), (0x71, 0, 2, 0), EXIT)
    run = program(read, domain=_core.Domain(2), context_size=CONTEXT)
    wrong: list[object] = []

    def work(mine: int) -> None:
        packet = bytes([mine]) * (mine + 1)
        results = {run.packet(packet) for _ in range(2000)}
        results |= set(array.array("Q", run.run_batch(packet * 50, stride=len(packet))[0]))
        if results != {mine}:
            wrong.append((mine, results))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


# Many short runs do not keep others from being heard.


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_signals_reach_whoever_waits_for_many_short_runs() -> None:
    def ring(*_: object) -> None:
        raise InterruptedError("enough")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError, match="enough"):
            program("r0 = 0; exit").run(repeat=1 << 40)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_many_short_runs_are_stopped_from_outside_and_by_the_clock() -> None:
    run = program("r0 = 0; exit")
    outcomes: list[_core.Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run.run(repeat=1 << 40)))
    thread.start()
    while thread.is_alive():
        time.sleep(0.01)
        run.stop()
    assert ends(outcomes[0][1]) == "STOPPED"
    assert run() == 0
    assert ends(run.run(repeat=1 << 40, timeout=0.02)[1]) == "OUT_OF_TIME"
    records = bytes(3_000_000)
    results, stops = run.run_batch(records, stride=1, kind="memory", timeout=1e-6)
    assert len(results) < 8 * len(records)
    assert [(8 * index, ends(stop)) for index, stop in stops] == [(len(results), "OUT_OF_TIME")]


def test_a_budget_is_for_all_repetitions() -> None:
    loop = program("r1 = 3; again: r1 += -1; if r1 != 0 goto again; r0 = 0; exit")
    once = loop.run()[6]
    assert loop.run(repeat=1000)[6] == 1000 * once
    value, stop, *_, used, _ = loop.run(repeat=1000, budget=10 * once)
    assert (value, ends(stop), used) == (0, "OUT_OF_BUDGET", 10 * once)


# Compiled code: r0 = the packet's first byte.
NATIVE = {
    "x86_64": "48 8b 47 c0 0f b6 00 c3",
    "AMD64": "48 8b 47 c0 0f b6 00 c3",
    "aarch64": "08 00 5c f8 00 01 40 39 c0 03 5f d6",
    "arm64": "08 00 5c f8 00 01 40 39 c0 03 5f d6",
}


@pytest.mark.skipif(platform.machine() not in NATIVE, reason="no machine code for this processor")
def test_compiled_code_finds_packets_where_the_interpreter_does() -> None:
    run = program(code((0xB7, 0, 0, 0, 999), EXIT), context_size=CONTEXT)
    compiled = _core.Code(64)
    compiled.write(0, bytes.fromhex(NATIVE[platform.machine()]))
    compiled.seal(compiled.size)
    packets = bytes(number % 251 for number in range(5000))
    assert run.packet(b"\x05") == 999
    run.attach_code(compiled, 0)
    assert [run.packet(bytes([number])) for number in range(9)] == list(range(9))
    assert run.run(packet=b"\x07", context=bytes(CONTEXT), repeat=300)[0] == 7
    assert list(array.array("Q", run.run_batch(packets, stride=1)[0])) == list(packets)
    assert list(array.array("Q", run.run_batch(packets, stride=10, budget=5)[0])) == list(
        packets[::10]
    )
    offsets = struct.pack("=4Q", 0, 3, 9, 20)
    assert list(array.array("Q", run.run_batch(packets, offsets=offsets)[0])) == [0, 3, 9]
    run.statistics = True
    run.run_batch(packets, stride=1)
    run.packet(b"\x01")
    assert run.runs == len(packets) + 1
    run.detach_code()
    assert run.packet(b"\x05") == 999
