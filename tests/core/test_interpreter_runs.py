"""Runs from Python: contexts and packets in and out, batches, traces, statistics, threads."""

from __future__ import annotations

import array
import ctypes
import random
import signal
import struct
import threading

import pytest

from anybpf import _core
from tests.core.programs import EXIT, code, ends, program

# r0 = the packet's first byte; adds one to it; counts in the context's last word
TOUCH = code(
    (0x79, 2, 1, -64), (0x71, 0, 2, 0), (0xBF, 3, 0), (0x07, 3, 0, 0, 1), (0x73, 2, 3, 0),
    (0x61, 4, 1, 20), (0x07, 4, 0, 0, 1), (0x63, 1, 4, 20), EXIT,
)  # fmt: skip


def test_packets_and_contexts_come_back() -> None:
    run = program(TOUCH, context_size=24)
    value, stop, packet, meta, context, ns, used, redirect = run.run(
        packet=b"\x07abc", context=bytes(20) + b"\x05\0\0\0"
    )
    assert (value, stop, packet, meta, redirect) == (7, None, b"\x08abc", b"", None)
    assert context == bytes(20) + b"\x06\0\0\0"
    assert ns > 0
    assert used == 9


def test_repetitions_work_on_the_same_packet() -> None:
    run = program(TOUCH, context_size=24)
    outcome = run.run(packet=b"\x00", context=bytes(24), repeat=10)
    assert outcome[0] == 9
    assert outcome[2] == b"\x0a"


def test_pointers_in_the_context_are_filled_in_and_not_given_away() -> None:
    length = code((0x79, 2, 1, 8), (0x79, 3, 1, 0), (0x1F, 2, 3), (0x61, 0, 1, 24), (0x0F, 0, 2),
                  EXIT)  # fmt: skip
    run = program(length, context_size=32, packet_fields=(0, 8, -1), length_field=24)
    outcome = run.run(packet=b"12345", context=bytes(32))
    assert outcome[0] == 10
    assert outcome[4] == bytes(24) + struct.pack("=II", 5, 0)


def test_metadata_lies_in_front_of_the_packet() -> None:
    distance = code((0x79, 2, 1, -64), (0x79, 3, 1, -48), (0xBF, 0, 2), (0x1F, 0, 3), EXIT)
    run = program(distance, context_size=24)
    outcome = run.run(packet=b"MMMMpacket", meta=4, context=bytes(24))
    assert outcome[:4] == (4, None, b"packet", b"MMMM")


def test_classic_loads_come_in_the_order_of_the_network() -> None:
    run = program(code((0x28, 0, 0, 0, 1), EXIT))
    assert run.run(packet=b"\x01\x02\x03\x04")[0] == 0x0203
    run = program(code((0xB7, 2, 0, 0, 1), (0x40, 0, 2, 0, 0), EXIT))
    assert run.run(packet=b"\x01\x02\x03\x04\x05")[0] == 0x02030405
    beyond = program(code((0xB7, 0, 0, 0, 9), (0x20, 0, 0, 0, 1), (0xB7, 0, 0, 0, 9), EXIT))
    assert beyond.run(packet=b"\x01\x02\x03\x04")[:2] == (0, None)
    assert program(code((0x20, 0, 0, 0, -4), EXIT)).run(packet=b"\x01\x02\x03\x04")[0] == 0


def test_memory_is_changed_in_place() -> None:
    memory = bytearray(8)
    assert program(code((0x72, 1, 0, 3, 7), (0xBF, 0, 2), EXIT))(memory) == 8
    assert memory == b"\0\0\0\x07\0\0\0\0"


def test_what_is_wrong_about_arguments_is_said() -> None:
    run = program(TOUCH, context_size=24)
    with pytest.raises(ValueError, match="24 bytes"):
        run.run(context=bytes(25))
    with pytest.raises(ValueError, match="meta"):
        run.run(packet=b"abc", meta=4)
    with pytest.raises(ValueError, match="timeout"):
        run.run(timeout=-1.0)
    with pytest.raises(ValueError, match="event"):
        run.run(event=b"short")
    with pytest.raises(ValueError, match="processor"):
        run.run(cpu=2)
    with pytest.raises(TypeError):
        run(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        run(b"", b"")  # type: ignore[call-arg]


# Batches.


def test_a_batch_runs_on_each_record() -> None:
    run = program(code((0x71, 0, 1, 0), (0x0F, 0, 2), EXIT))
    records = bytes(range(64))
    results, stops = run.run_batch(records, stride=16, kind="memory")
    assert list(array.array("Q", results)) == [16, 32, 48, 64]
    assert stops == []
    offsets = struct.pack("=4Q", 0, 1, 10, 64)
    results, _ = run.run_batch(records, offsets=offsets, kind="memory")
    assert list(array.array("Q", results)) == [0 + 1, 1 + 9, 10 + 54]


def test_a_batch_of_packets_in_place_and_of_contexts() -> None:
    run = program(TOUCH, context_size=24)
    packets = bytearray(b"\x01aaa\x05bbb")
    results, stops = run.run_batch(packets, stride=4)
    assert (list(array.array("Q", results)), stops) == ([1, 5], [])
    assert packets == b"\x02aaa\x06bbb"
    stops = run.run_batch(bytes(packets), stride=4)[1]
    assert [(index, ends(stop)) for index, stop in stops] == [(0, "READ_ONLY"), (1, "READ_ONLY")]
    contexts = program(code((0x61, 0, 1, 4), EXIT), context_size=8)
    results, _ = contexts.run_batch(struct.pack("=4I", 1, 2, 3, 4), stride=8, kind="context")
    assert list(array.array("Q", results)) == [2, 4]


def test_a_record_does_not_reach_into_the_next() -> None:
    run = program(code((0x71, 0, 1, 4), EXIT))
    results, stops = run.run_batch(bytes(12), stride=4, kind="memory")
    assert results == bytes(24)
    assert [index for index, _ in stops] == [0, 1, 2]
    assert {ends(stop) for _, stop in stops} == {"OUT_OF_BOUNDS"}


def test_a_budget_is_each_records_and_a_timeout_the_batchs() -> None:
    endless = program("again: goto again")
    results, stops = endless.run_batch(bytes(8), stride=1, kind="memory", budget=1000)
    assert len(results) == 64
    assert {ends(stop) for _, stop in stops} == {"OUT_OF_BUDGET"}
    results, stops = endless.run_batch(bytes(8), stride=1, kind="memory", timeout=0.02)
    assert results == b""
    assert [(index, ends(stop)) for index, stop in stops] == [(0, "OUT_OF_TIME")]


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"stride": 5}, {"stride": -1}, {"stride": 1, "offsets": bytes(8)}, {"offsets": b""},
        {"offsets": b"123"}, {"offsets": struct.pack("=2Q", 0, 9)},
        {"offsets": struct.pack("=2Q", 4, 2)}, {"offsets": struct.pack("=2Q", 2**64 - 1, 4)},
        {"stride": 4, "kind": "record"},
    ],
)  # fmt: skip
def test_batches_that_make_no_sense(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=" "):
        program("r0 = 0; exit").run_batch(bytes(8), **arguments)  # type: ignore[arg-type]


# Tracing.

LOOP = "r1 = 3; again: r1 += -1; if r1 != 0 goto again; *(u64 *)(r10 - 8) = r1; r0 = 0; exit"


def test_counts_of_each_slot() -> None:
    run = program(LOOP)
    counts = array.array("Q", bytes(8 * run.slots))
    run.run(counts=counts, repeat=2)
    assert list(counts) == [2, 6, 6, 2, 2, 2]
    with pytest.raises(ValueError, match="counts"):
        run.run(counts=array.array("Q", [0]))


def test_single_steps_see_registers_and_may_stop() -> None:
    run = program(LOOP)
    seen: list[tuple[int, int]] = []

    def step(number: int, slot: int, registers: tuple[int, ...]) -> bool:
        assert number == run.id
        seen.append((slot, registers[1]))
        return slot == 3

    outcome = run.run(step=step)
    assert seen == [(0, 0), (1, 3), (2, 2), (1, 2), (2, 1), (1, 1), (2, 0), (3, 0)]
    assert ends(outcome[1]) == "STOPPED"
    assert outcome[1] is not None
    assert outcome[1][2] == 3


def test_steps_that_raise() -> None:
    def step(*_: object) -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        program(LOOP).run(step=step)


def test_watched_memory_is_told_before_it_is_touched() -> None:
    memory = bytearray(16)
    place = (ctypes.c_char * 16).from_buffer(memory)
    address = ctypes.addressof(place)
    source = code((0x79, 3, 1, 0), (0x7B, 1, 2, 8), (0x71, 3, 1, 9), (0xB7, 0), EXIT)
    seen: list[tuple[int, int, int, bool]] = []

    def touch(
        _: int, slot: int, registers: tuple[int, ...], at: int, size: int, write: bool
    ) -> None:
        assert registers[1] == address
        seen.append((slot, at - address, size, write))

    program(source).run(memory=memory, touch=touch, watch=[(address + 9, 1, True, True)])
    assert seen == [(1, 8, 8, True), (2, 9, 1, False)]
    seen.clear()
    program(source).run(memory=memory, touch=touch, watch=[(address + 9, 1, True, False)])
    assert seen == [(2, 9, 1, False)]


@pytest.mark.parametrize("seed", range(20))
def test_tracing_changes_nothing(seed: int) -> None:
    """The tracing loop takes apart what the other does in one step."""
    rng = random.Random(seed)
    body: list[tuple[int, ...]] = [(0xB7, i, 0, 0, rng.randrange(-9, 9)) for i in range(9)]
    for _ in range(200):
        dst, src = rng.randrange(9), rng.randrange(9)
        opcode = rng.choice([0xBF, 0x0F, 0x07, 0x57, 0x67, 0x77, 0xC7, 0x27, 0xB7, 0xBC, 0x54])
        imm = rng.randrange(64) if opcode in (0x67, 0x77, 0xC7) else rng.randrange(-99, 99)
        body.append((opcode, dst, src, 0, 0) if opcode & 8 else (opcode, dst, 0, 0, imm))
    for i in range(1, 9):
        body.append((0xAF, 0, i, 0, 0))
    run = program(code(*body, EXIT))
    counts = array.array("Q", bytes(8 * run.slots))
    assert run.run(counts=counts)[0] == run()
    assert list(counts) == [1] * run.slots


# Life.


def test_statistics_when_they_are_on() -> None:
    run = program("r0 = 0; exit")
    run()
    assert (run.runs, run.run_ns, run.statistics) == (0, 0, False)
    run.statistics = True
    run()
    run.run(repeat=4)
    assert run.runs == 5
    assert run.run_ns > 0


def test_closed_programs_are_not_run() -> None:
    run = program("r0 = 0; exit")
    states = [run.closed]
    run.close()
    run.close()
    assert [*states, run.closed] == [False, True]
    for use in (run, run.run, lambda: run.id, lambda: run.run_batch(b"1", stride=1)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_closing_waits_for_runs_that_are_under_way() -> None:
    domain = _core.Domain(1)  # one processor: most of the threads wait for it
    for _ in range(20):
        run = program(
            "r1 = 20000; again: r1 += -1; if r1 != 0 goto again; r0 = 3; exit",
            domain=domain,
            number=8,
            context_size=8,
        )
        results: list[object] = []

        def work(run: _core.Program = run, results: list[object] = results) -> None:
            try:
                results.append(run.run(context=bytes(8), repeat=5)[0])
                results.append(len(run.run_batch(bytes(8), stride=2, kind="memory")[0]))
            except ValueError as error:
                results.append(str(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        run.close()  # and its number is free at once
        for thread in threads:
            thread.join(60)
        assert set(results) <= {3, 32, "this program is closed"}
        assert len(results) >= 4


def test_numbers_are_free_again_after_closing() -> None:
    domain = _core.Domain(1)
    first = program("r0 = 1; exit", domain=domain, number=7)
    with pytest.raises(ValueError, match="taken"):
        program("r0 = 2; exit", domain=domain, number=7)
    first.close()
    assert program("r0 = 2; exit", domain=domain, number=7)() == 2


def test_many_threads_run_one_program() -> None:
    domain = _core.Domain(2)
    counter = _core.Map(domain, 910, "array", 4, 8, 1)
    run = program(
        code((0x18, 1, 2, 0, 0), (0,), (0xB7, 2, 0, 0, 1), (0xDB, 1, 2, 0, 0), (0xB7, 0), EXIT),
        domain=domain, maps=[counter],
    )  # fmt: skip
    threads = [
        threading.Thread(target=lambda: [run.run(repeat=100) for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counter.lookup(bytes(4)) == struct.pack("=Q", 8 * 200 * 100)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_signals_reach_whoever_waits_for_a_long_run() -> None:
    def ring(*_: object) -> None:
        raise InterruptedError("enough")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError, match="enough"):
            program("again: goto again")()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError, match="enough"):
            program("again: goto again").run_batch(bytes(4), stride=1, kind="memory")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_maps_that_are_gone_are_not_touched_by_later_runs() -> None:
    """The areas that a run remembers are forgotten when a map is closed."""
    domain = _core.Domain(1)
    table = _core.Map(domain, 911, "array", 4, 8, 1)
    hand_over = program(
        code((0x18, 0, 2, 0, 0), (0,), (0x79, 3, 0), EXIT), domain=domain, maps=[table]
    )
    address = hand_over()
    assert isinstance(address, int)
    peek = program(code((0x79, 2, 1, 0), (0x79, 0, 2), EXIT), domain=domain)
    memory = bytearray(struct.pack("=Q", address))
    assert peek(memory) == 0
    hand_over.close()
    table.close()
    assert ends(peek(memory)) == "OUT_OF_BOUNDS"


def test_one_seat_and_python_helpers_in_many_threads() -> None:
    """Whoever waits for the only processor does not keep the GIL from whoever has it."""
    domain = _core.Domain(1)
    run = program("r1 = 5; call 0; exit", domain=domain, helpers=[lambda value: value + 1])
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.extend(run() for _ in range(200))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [6] * 800
