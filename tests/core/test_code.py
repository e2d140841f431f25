"""Machine code in memory: what may be done with its pages when, and how programs run it."""

from __future__ import annotations

import ctypes
import gc
import os
import threading

import pytest

from anybpf import _core
from tests.core.pages import PAGE, mappings, reads_maps, resident, rights
from tests.core.programs import program

# A function that returns 42, and one that returns 43, by architecture.
RETURN_42 = {
    "x86_64": bytes.fromhex("b82a000000 c3"),  # mov eax, 42; ret
    "aarch64": bytes.fromhex("400580d2 c0035fd6"),  # mov x0, 42; ret
}.get(_core.MACHINE, b"")
RETURN_43 = {
    "x86_64": bytes.fromhex("b82b000000 c3"),
    "aarch64": bytes.fromhex("600580d2 c0035fd6"),
}.get(_core.MACHINE, b"")

runs_code = pytest.mark.skipif(not RETURN_42, reason="no machine code is known for this processor")


def ready(machine_code: bytes = RETURN_42) -> _core.Code:
    code = _core.Code(len(machine_code))
    code.write(0, machine_code)
    code.seal(PAGE)
    return code


def seven() -> _core.Program:
    return program("r0 = 7\nexit")


def test_sizes_are_whole_pages() -> None:
    assert _core.Code(1).size == PAGE
    assert _core.Code(PAGE + 1).size == 2 * PAGE
    for size in (0, -1, 1 << 40):
        with pytest.raises(ValueError, match="1 to"):
            _core.Code(size)


def test_what_is_written_is_there() -> None:
    code = _core.Code(100)
    code.write(3, b"abc")
    assert code.read(0, 8) == b"\0\0\0abc\0\0"
    code.write(PAGE, b"")
    code.write(PAGE - 1, b"z")


@pytest.mark.parametrize(
    ("offset", "data"), [(-1, b"a"), (PAGE, b"a"), (PAGE - 1, b"ab"), (1 << 62, b"a")]
)
def test_nothing_is_written_outside(offset: int, data: bytes) -> None:
    code = _core.Code(100)
    with pytest.raises(ValueError, match="do not fit"):
        code.write(offset, data)
    with pytest.raises(ValueError, match="are not in"):
        code.read(offset, len(data))


@reads_maps
def test_pages_are_writable_or_executable_and_never_both() -> None:
    code = _core.Code(3 * PAGE)
    assert rights(code.address) == "rw-p"
    code.write(0, b"text")
    code.seal(PAGE, 2 * PAGE)
    shown = [rights(code.address + page * PAGE) for page in range(3)]
    assert shown == ["r-xp", "r--p", "rw-p"]
    assert (code.sealed, code.text_size) == (True, PAGE)


def test_sealed_code_is_not_changed() -> None:
    code = ready()
    with pytest.raises(ValueError, match="sealed"):
        code.write(0, b"x")
    with pytest.raises(ValueError, match="sealed"):
        code.seal(PAGE)


@pytest.mark.parametrize(
    "bounds",
    [(1,), (-PAGE,), (3 * PAGE,), (PAGE, 1), (PAGE, 0), (PAGE, 3 * PAGE), (PAGE, PAGE + 8)],
)
def test_only_whole_pages_of_it_are_sealed(bounds: tuple[int, ...]) -> None:
    code = _core.Code(2 * PAGE)
    with pytest.raises(ValueError, match="whole pages"):
        code.seal(*bounds)
    assert not code.sealed


@runs_code
def test_a_program_runs_what_is_attached() -> None:
    run = seven()
    assert (run(), run.compiled) == (7, False)
    run.attach_code(ready(), 0)
    assert (run(), run.compiled) == (42, True)
    run.attach_code(ready(RETURN_43), 0)
    assert run() == 43
    run.detach_code()
    assert (run(), run.compiled) == (7, False)


@runs_code
def test_only_what_may_be_executed_is_attached() -> None:
    run = seven()
    raw = _core.Code(2 * PAGE)
    raw.write(0, RETURN_42)
    with pytest.raises(ValueError, match="no function begins at 0: 0 bytes"):
        run.attach_code(raw, 0)
    raw.seal(PAGE)
    for entry in (-1, PAGE, 1 << 60):
        with pytest.raises(ValueError, match="no function begins"):
            run.attach_code(raw, entry)
        with pytest.raises(ValueError, match="no function begins"):
            run.attach_code(raw, 0, [(1, entry)])
    with pytest.raises(ValueError, match="has no slot 2"):
        run.attach_code(raw, 0, [(2, 0)])
    with pytest.raises(ValueError, match="slot 1 is given twice"):
        run.attach_code(raw, 0, [(1, 0), (0, 0), (1, 0)])
    for wrong in ([1], 5, [("a", 0)], [(1, 2, 3)]):
        with pytest.raises(TypeError):
            run.attach_code(raw, 0, wrong)  # type: ignore[arg-type]
    assert run() == 7
    run.close()
    with pytest.raises(ValueError, match="closed"):
        run.attach_code(raw, 0)
    with pytest.raises(ValueError, match="closed"):
        run.detach_code()


@runs_code
@reads_maps
def test_code_stays_as_long_as_its_program_and_no_longer() -> None:
    domain = _core.Domain(1)
    run = program("r0 = 7\nexit", domain=domain)
    code = ready()
    address = code.address
    run.attach_code(code, 0)
    run.detach_code()
    run.attach_code(ready(RETURN_43), 0)
    del code
    assert rights(address) == "r-xp"
    run.close()
    del run
    gc.collect()
    domain.synchronize()
    domain.collect()
    assert "x" not in rights(address)


@runs_code
@reads_maps
def test_memory_comes_back() -> None:
    domain = _core.Domain(1)

    def rounds(count: int) -> None:
        for _ in range(count):
            run = program("r0 = 7\nexit", domain=domain)
            run.attach_code(ready(), 0, [(1, 0)])
            assert run() == 42
            run.close()
        domain.synchronize()
        domain.collect()

    rounds(200)
    before, mapped = resident(), mappings()
    rounds(1000)
    assert resident() - before < 1 << 20
    assert mappings() - mapped < 10


@runs_code
def test_engines_are_exchanged_under_runs() -> None:
    run = seven()
    codes = [ready(), ready(RETURN_43)]
    seen: set[object] = set()
    done = threading.Event()

    def keep_running() -> None:
        while not done.is_set():
            seen.update(run() for _ in range(100))

    threads = [threading.Thread(target=keep_running) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(300):
        run.attach_code(codes[turn % 2], 0, [(0, 0)])
        if turn % 3 == 0:
            run.detach_code()
    done.set()
    for thread in threads:
        thread.join()
    assert seen <= {7, 42, 43}


def test_symbols_are_what_the_program_was_made_of() -> None:
    domain = _core.Domain(2)
    store = _core.Map(domain, 1, "array", 4, 8, 4)
    tree = _core.Map(domain, 2, "hash", 4, 8, 4)
    helper = _core.helper("map_lookup_elem")
    run = program("r0 = 7\nexit", domain=domain, maps=[store, tree], helpers=[helper, -1])
    assert run.symbol("anybpf_helper_0") == helper
    values = run.symbol("anybpf_values_0")
    store[(2).to_bytes(4, "little")] = b"8 bytes."
    assert ctypes.string_at(values + 16, 8) == b"8 bytes."
    assert len({run.symbol(f"anybpf_{what}") for what in ("map_0", "map_1", "ops")}) == 3
    assert run.symbol("anybpf_lookup_0") != run.symbol("anybpf_lookup_1")
    assert run.symbol("anybpf_update_1") != run.symbol("anybpf_erase_1")
    assert run.symbol("memcpy") == _core.symbol("memcpy")
    for name in (
        "anybpf_helper_1",  # not there
        "anybpf_helper_2",
        "anybpf_helper_",
        "anybpf_helper_0x",
        "anybpf_helper_-1",
        "anybpf_helper_18446744073709551616",
        "anybpf_map_2",
        "anybpf_values_2",
        "anybpf_lookup_2",
        "system",
        "",
    ):
        with pytest.raises(LookupError):
            run.symbol(name)
    with pytest.raises(LookupError, match="system"):
        _core.symbol("system")
    with pytest.raises(TypeError):
        _core.symbol(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["memcpy", "memmove", "memset", "memcmp"])
def test_what_compilers_call_by_themselves_is_there(name: str) -> None:
    assert _core.symbol(name) > 0


def test_the_layout_has_what_compiled_code_touches() -> None:
    layout = _core.LAYOUT
    assert layout["run.region"] == 0
    assert layout["region.bytes"] == 32
    assert layout["op.bytes"] == 16
    assert layout["run.stack.size"] == layout["frames"] * layout["frame.bytes"]
    assert layout["run.stack"] + layout["run.stack.size"] <= layout["run.size"]
    assert layout["context.bytes"] == 64
    assert _core.NATIVE_ABI >= 1


@runs_code
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_code_runs_in_a_child() -> None:
    run = seven()
    run.attach_code(ready(), 0)
    child = os.fork()
    if child == 0:
        os._exit(int(run() == 42))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
