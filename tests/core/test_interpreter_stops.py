"""What a program may not do ends it, and says where; the host goes on."""

from __future__ import annotations

import struct
import threading
import time

import pytest

from anybpf import _core
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from tests.core.programs import BIG, EXIT, code, ends, program

HEADER_DATA, HEADER_RUN = -64, -64 + 8 * 3


def stop_of(source: str | bytes, memory: bytes | bytearray | None = None) -> tuple[object, ...]:
    stop = program(source)(memory)
    assert isinstance(stop, tuple), f"the program ended by itself with {stop!r}"
    return stop


# Regions.


@pytest.mark.parametrize("distance", [-1, 16, 9, 2**15 - 1, -(2**15)])
def test_memory_has_ends(distance: int) -> None:
    stop = stop_of(code((0x79, 0, 1, distance), EXIT), bytearray(16))
    assert ends(stop) == "OUT_OF_BOUNDS"
    assert stop[2] == 0
    assert stop[4:6] == (8, False)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_an_access_may_end_where_the_region_ends(size: int) -> None:
    field = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}[size]
    assert program(code((0x61 | field, 0, 1, 16 - size), EXIT))(bytearray(16)) == 0
    stop = stop_of(code((0x61 | field, 0, 1, 17 - size), EXIT), bytearray(16))
    assert ends(stop) == "OUT_OF_BOUNDS"


def test_what_is_read_only_is_not_written() -> None:
    for store in ((0x7B, 1, 2), (0x7A, 1), (0xDB, 1, 2), (0xDB, 1, 2, 0, 0x110)):
        stop = stop_of(code((0xB7, 0), store, EXIT), bytes(16))
        assert ends(stop) == "READ_ONLY"
        assert stop[2] == 1
        assert stop[5] is True
    assert program(code((0x79, 0, 1), EXIT))(struct.pack("=Q", 5)) == 5


@pytest.mark.parametrize("offset", [0, -520, 8, -513])
def test_the_frame_has_ends(offset: int) -> None:
    assert ends(stop_of(code((0x79, 0, 10, offset), EXIT))) == "OUT_OF_BOUNDS"
    assert ends(stop_of(code((0x7A, 10, 0, offset, 1), EXIT))) == "OUT_OF_BOUNDS"


def test_a_callee_may_use_its_callers_frame_but_nobody_a_frame_that_is_gone() -> None:
    text = """
        *(u64 *)(r10 - 8) = 77
        r1 = r10
        r1 += -8
        call inner
        r0 = *(u64 *)(r0 + 0)
        exit
    inner:
        r2 = *(u64 *)(r1 + 0)
        if r2 == 77 goto +1
        exit
        r0 = r10
        r0 += -8
        exit
    """
    stop = stop_of(text)
    assert ends(stop) == "OUT_OF_BOUNDS"
    assert stop[2] == 4


def test_code_that_moves_the_frame_pointer_is_held_by_checks() -> None:
    moved = code((0x07, 10, 0, 0, 4096), (0x79, 0, 10, -8), EXIT)
    stop = stop_of(moved)
    assert ends(stop) == "OUT_OF_BOUNDS"
    assert stop[2] == 1
    fetched = code((0x7A, 10, 0, -8, 64), (0xBF, 2, 10), (0xDB, 2, 10, -8, 1),
                   (0x7B, 10, 2, -8), EXIT)  # fmt: skip
    assert ends(stop_of(fetched)) == "OUT_OF_BOUNDS"


def test_null_and_numbers_are_no_pointers() -> None:
    for number in (0, 1, -1, 0x1234):
        assert ends(stop_of(code((0xB7, 3, 0, 0, number), (0x79, 0, 3), EXIT))) == "OUT_OF_BOUNDS"
    # whose end would be past the last address
    assert ends(stop_of(code((0xB7, 3, 0, 0, -4), (0x79, 0, 3), EXIT))) == "OUT_OF_BOUNDS"


def test_contexts_have_a_header_that_is_only_read_and_not_all() -> None:
    def run(source: bytes) -> _core.Outcome:
        return program(source, context_size=24).run(packet=b"abcd", context=bytes(24))

    length = code((0x79, 2, 1, -56), (0x79, 0, 1, -64), (0x1F, 2, 0), (0xBF, 0, 2), EXIT)
    assert run(length)[0] == 4
    assert ends(run(code((0x79, 0, 1, HEADER_RUN), EXIT))[1]) == "OUT_OF_BOUNDS"
    assert ends(run(code((0x7A, 1, 0, HEADER_DATA, 1), EXIT))[1]) == "READ_ONLY"
    assert ends(run(code((0x79, 0, 1, 20), EXIT))[1]) == "OUT_OF_BOUNDS"
    assert ends(run(code((0x79, 0, 1, -72), EXIT))[1]) == "OUT_OF_BOUNDS"


def test_packets_have_ends() -> None:
    def byte_at(offset: int) -> object:
        source = code((0x79, 2, 1, -64), (0x71, 0, 2, offset), EXIT)
        outcome = program(source, context_size=24).run(packet=b"abcd", context=bytes(24))
        return ends(outcome[1]) if outcome[1] else outcome[0]

    assert byte_at(0) == ord("a")
    assert byte_at(3) == ord("d")
    assert byte_at(4) == "OUT_OF_BOUNDS"
    assert byte_at(-1) == "OUT_OF_BOUNDS"


def value_program(
    domain: _core.Domain, array: _core.Map, offset: int, write: bool
) -> _core.Program:
    access = (0x7A, 1, 0, offset, 5) if write else (0x79, 0, 1, offset)
    return program(
        code((0x18, 1, 2, 0, 0), (0, 0, 0, 0, 0), (0xB7, 0), access, EXIT),
        domain=domain, maps=[array],
    )  # fmt: skip


def test_values_of_maps_have_ends() -> None:
    domain = _core.Domain(1)
    array = _core.Map(domain, 900, "array", 4, 16, 2)
    assert value_program(domain, array, 0, True)() == 0
    assert value_program(domain, array, 0, False)() == 5
    assert value_program(domain, array, 24, True)() == 0
    for offset in (-8, 25, 32):
        stop = value_program(domain, array, offset, True)()
        assert ends(stop) == "OUT_OF_BOUNDS"


def test_a_map_that_programs_only_read() -> None:
    domain = _core.Domain(1)
    flags = _core.MAP_FLAGS["PROGRAM_READS_ONLY"]
    array = _core.Map(domain, 901, "array", 4, 16, 1, flags)
    assert value_program(domain, array, 8, False)() == 0
    assert ends(value_program(domain, array, 8, True)()) == "READ_ONLY"


def test_atomic_operations_need_alignment() -> None:
    memory = bytearray(32)
    for imm, operation in ((0, "add"), (0xE1, "xchg"), (0x110, "release"), (0x100, "acquire")):
        for opcode, odd in ((0xC3, 2), (0xDB, 4)):
            src = 1 if imm == 0x100 else 2
            dst = 2 if imm == 0x100 else 1
            stop = stop_of(code((0xB7, 0), (opcode, dst, src, odd, imm), EXIT), memory)
            assert ends(stop) == "MISALIGNED", operation
            assert stop[2] == 1


# Budget, time and others.

ENDLESS = "r0 = 0; again: r0 += 1; goto again"


def test_a_budget_ends_what_does_not_end() -> None:
    outcome = program(ENDLESS).run(budget=1_000_000)
    assert ends(outcome[1]) == "OUT_OF_BUDGET"
    assert outcome[1] is not None
    assert outcome[1][2] == 2
    assert outcome[6] >= 1_000_000 - 2


def test_a_budget_counts_what_is_run() -> None:
    run = program("r1 = 1000; again: r1 += -1; if r1 != 0 goto again; r0 = 0; exit")
    used = run.run()[6]
    assert 2000 <= used <= 2020
    assert run.run(budget=used)[1] is None
    assert ends(run.run(budget=1000)[1]) == "OUT_OF_BUDGET"


def test_straight_code_is_charged_as_well() -> None:
    calls = "r6 = 500; again: call work; r6 += -1; if r6 != 0 goto again; r0 = 0; exit; work: "
    text = calls + "r0 += 1; " * 1000 + "exit"
    assert program(text).run()[6] >= 500_000
    assert ends(program(text).run(budget=100_000)[1]) == "OUT_OF_BUDGET"


@pytest.mark.parametrize("jump", ["goto", "gotol"])
def test_a_deadline_ends_what_does_not_end(jump: str) -> None:
    start = time.monotonic()
    outcome = program(f"again: {jump} again").run(timeout=0.05)
    assert ends(outcome[1]) == "OUT_OF_TIME"
    assert 0.05 <= time.monotonic() - start < 5


def test_recursion_is_ended() -> None:
    stop = stop_of("call again; exit; again: call again; exit")
    assert ends(stop) == "TOO_DEEP"


def test_eight_frames_are_allowed() -> None:
    functions = "call f1; r0 = 1; exit; "
    functions += "".join(f"f{i}: call f{i + 1}; exit; " for i in range(1, 7)) + "f7: r0 = 0; exit"
    assert program(functions)() == 1
    deeper = functions.replace("f7: r0 = 0; exit", "f7: call f8; exit; f8: r0 = 0; exit")
    assert ends(program(deeper)()) == "TOO_DEEP"


def test_another_thread_may_stop_a_run() -> None:
    run = program(ENDLESS)
    stops: list[object] = []
    threads = [threading.Thread(target=lambda: stops.append(run())) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(stops) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
        run.stop()
    for thread in threads:
        thread.join(30)
    assert [ends(stop) for stop in stops] == ["STOPPED", "STOPPED"]


# Calls.


def test_registers_that_hold_no_function_are_not_called() -> None:
    for number in (5, -1, 0x7FFFFFFF):
        assert ends(stop_of(code((0xB7, 3, 0, 0, number), (0x8D, 3), EXIT))) == "BAD_CALL"
    inside = code((0x18, 3, 4, 0, 1), (0,), (0x07, 3, 0, 0, 8), (0x8D, 3), EXIT)
    assert ends(stop_of(inside)) == "BAD_CALL"
    half = code((0x18, 3, 4, 0, 3), (0,), (0x07, 3, 0, 0, -48), (0x8D, 3), EXIT, EXIT)
    assert ends(stop_of(half)) == "BAD_CALL"


def test_a_helper_that_is_not_there_is_not_called() -> None:
    run = program(code((0xB7, 0), (0x85,), EXIT), helpers=[-1])
    assert ends(run()) == "BAD_CALL"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (code((0x85, 0, 0, 0, 1), EXIT), "helper"),
        (code((0x85, 0, 0, 0, -1), EXIT), "helper"),
        (code((0x85, 0, 2, 0, 5), EXIT), "kernel function"),
        (code((0x18, 1, 1, 0, 1), (0,), EXIT), "map"),
        (code((0x18, 1, 1, 0, -1), (0,), EXIT), "map"),
        (code((0x18, 1, 2, 0, 0), (0, 0, 0, 0, 64), EXIT), "outside the values"),
        (code((0x18, 1, 2, 0, 0), (0, 0, 0, 0, -1), EXIT), "outside the values"),
        (code((0x18, 1, 3), (0,), EXIT), "not prepared"),
        (code((0x18, 1, 6), (0,), EXIT), "not prepared"),
        (code((0x18, 1, 4, 0, 9), (0,), EXIT), "not legal"),
        (code((0x05, 0, 0, 1), EXIT), "not legal"),
        (code((0xB7, 0)), "not legal"),
        (b"", "not legal"),
        (b"1234567", "not legal"),
    ],
)
def test_code_that_lies_is_refused(bad: bytes, says: str) -> None:
    domain = _core.Domain(1)
    array = _core.Map(domain, 902, "array", 4, 32, 2)
    with pytest.raises(ValueError, match=says):
        program(bad, domain=domain, maps=[array], helpers=[-1])


def test_numbers_that_are_no_helpers_are_refused() -> None:
    with pytest.raises(ValueError, match="helper"):
        program(code(EXIT), helpers=[0x1234])
    with pytest.raises(TypeError, match="helper"):
        program(code(EXIT), helpers=["map_lookup_elem"])


def test_a_python_helper_that_raises_ends_the_run() -> None:
    def broken(value: int) -> int:
        raise KeyError(value)

    run = program("r1 = 7; call 0; r0 = 1; exit", helpers=[broken])
    with pytest.raises(KeyError, match="7"):
        run()


# Tail calls.


def chain(domain: _core.Domain, array: _core.Map, number: int) -> _core.Program:
    """Adds one to a counter in the context and calls what is in the array: itself."""
    text = """
        r6 = r1
        r0 = *(u64 *)(r1 + 0)
        r0 += 1
        *(u64 *)(r1 + 0) = r0
        r2 = 0 ll
        r3 = 0
        call 0
        r0 = *(u64 *)(r6 + 0)
        exit
    """
    instructions = assemble(text)
    instructions[4].src = 1
    return program(
        encode(instructions, big_endian=BIG), domain=domain, number=number, maps=[array],
        helpers=[_core.helper("tail_call")], context_size=8, compatible=1,
    )  # fmt: skip


def test_thirty_three_tail_calls_and_no_more() -> None:
    domain = _core.Domain(1)
    array = _core.Map(domain, 903, "prog_array", 4, 4, 1)
    run = chain(domain, array, 904)
    assert array.update(struct.pack("=I", 0), struct.pack("=I", 904)) == 0
    outcome = run.run(context=bytes(8))
    assert outcome[1] is None
    assert outcome[0] == 34
    assert outcome[4] == struct.pack("=Q", 34)
    again = run.run(context=bytes(8), repeat=1000)  # counted anew each time, and no deeper
    assert again[0] == 34000


def test_a_tail_call_in_a_function_returns_to_its_caller() -> None:
    domain = _core.Domain(1)
    array = _core.Map(domain, 905, "prog_array", 4, 4, 2)
    target = program("r0 = 5; exit", domain=domain, number=906, context_size=8, compatible=1)
    instructions = assemble(
        "r6 = r1; call inner; r0 += 100; exit; inner: r2 = 0 ll; r3 = 1; call 0; r0 = 7; exit"
    )
    instructions[4].src = 1
    run = program(
        encode(instructions, big_endian=BIG), domain=domain, maps=[array],
        helpers=[_core.helper("tail_call")], context_size=8, compatible=1,
    )  # fmt: skip
    assert run.run(context=bytes(8))[0] == 107  # nothing there: the call is as if it were not
    assert array.update(struct.pack("=I", 1), struct.pack("=I", 906)) == 0
    assert run.run(context=bytes(8))[0] == 105
    target.close()
    assert run.run(context=bytes(8))[0] == 107


def test_throwing_ends_the_run_from_any_frame() -> None:
    text = "r6 = 1; call inner; r0 = 2; exit; inner: r1 = 42; call 0; r0 = 3; exit"
    run = program(text, helpers=[_core.helper("throw")])
    outcome = run.run()
    assert ends(outcome[1]) == "THROWN"
    assert outcome[0] == 42
    assert outcome[1] is not None
    assert outcome[1][2] == 5


def test_a_handler_says_what_becomes_of_a_throw() -> None:
    """It runs where the program began, with nothing but what was thrown; its end is the run's."""
    text = """
        r6 = 1; call inner; r0 = 2; exit
        inner: r1 = 42; call 0; r0 = 3; exit
        handler: r0 = r1; r0 += 100; *(u64 *)(r10 - 512) = r0; exit
    """
    run = program(text, helpers=[_core.helper("throw")], handler=8)
    assert run.run()[:2] == (142, None)
    assert run() == 142
    again = program(text.replace("r0 += 100", "call 0"), helpers=[_core.helper("throw")], handler=8)
    value, stop = again.run()[:2]
    assert (value, ends(stop)) == (42, "THROWN")  # which no handler handles


def test_a_handler_has_what_is_left_of_the_budget() -> None:
    text = "r1 = 1; call 0; exit; handler: again: r1 += 1; goto again"
    run = program(text, helpers=[_core.helper("throw")], handler=3)
    value, stop = run.run(budget=1000)[:2]
    assert (value, ends(stop)) == (0, "OUT_OF_BUDGET")
    assert run.run(budget=1000)[6] >= 1000


@pytest.mark.parametrize("slot", [1, 3, 1 << 31])
def test_a_handler_begins_where_an_instruction_does(slot: int) -> None:
    with pytest.raises(ValueError, match=f"slot {slot}: no instruction begins there"):
        program("r0 = 1 ll; exit", handler=slot)


def test_callbacks_count_as_frames_and_may_stop() -> None:
    text = """
        r1 = 10
        r2 = 0 ll
        r3 = 0
        r4 = 0
        call 0
        exit
    work:
        if r1 == 4 goto bad
        r0 = 0
        exit
    bad:
        r0 = *(u64 *)(r1 + 0)
        exit
    """
    instructions = assemble(text)
    instructions[1].src, instructions[1].imm = 4, 5
    made = encode(instructions, big_endian=BIG)
    outcome = program(made, helpers=[_core.helper("loop")]).run()
    assert ends(outcome[1]) == "OUT_OF_BOUNDS"
    assert outcome[1] is not None
    assert outcome[1][2] == 10
    text = text.replace("if r1 == 4 goto bad", "r1 = 0")
    instructions = assemble(text)
    instructions[1].src, instructions[1].imm = 4, 5
    made = encode(instructions, big_endian=BIG)
    assert program(made, helpers=[_core.helper("loop")])() == 10
    assert ends(program(made, helpers=[_core.helper("loop")]).run(budget=15)[1]) == "OUT_OF_BUDGET"
