"""Helpers written in Python, and what they see of a program."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from anybpf import _core
from tests.core.helpers.running import Case
from tests.core.helpers.texts import pointer

Memory = _core.Memory


def call(function: Any, before: str = "", after: str = "exit", **options: Any) -> Any:
    text = f"{before}\ncall bpf_mine\n{after}"
    return Case().run(text, functions={"mine": function}, **options)


def test_a_function_gets_as_many_words_as_it_has_parameters() -> None:
    words = "r1 = 1\nr2 = 2\nr3 = 3\nr4 = 4\nr5 = -1\n"
    assert call(lambda: 7).value == 7
    assert call(lambda a, b: a * 10 + b, words).value == 12
    assert call(lambda *args: len(args), words).value == 5
    assert call(lambda a, b, c, d, e: e, words).value == -1


class Adder:
    def __init__(self) -> None:
        self.sum = 0

    def add(self, memory: Memory, word: int) -> int:
        self.sum += word
        return memory.cpu

    def __call__(self, memory: Memory, *words: int) -> int:
        return len(words)


def test_methods_and_objects_are_functions_too() -> None:
    adder = Adder()
    assert call(adder.add, "r1 = 5\n", cpu=1).value == 1
    assert adder.sum == 5
    assert call(adder).value == 5


@pytest.mark.parametrize(
    ("result", "value"), [(None, 0), (True, 1), (-1, -1), (1 << 64, 0), ((1 << 63) - 1, 2**63 - 1)]
)
def test_a_result_is_64_bits(result: object, value: int) -> None:
    assert call(lambda: result).value == value


def test_memory_is_read_and_written_as_the_program_may() -> None:
    def mine(memory: Memory, address: int) -> int:
        assert memory.read(address, 8) == b"hello\0\0\0"
        assert memory.string(address) == b"hello"
        memory.write(address + 1, b"ow")
        for beyond in (address + 1, 64, -1):
            with pytest.raises(ValueError, match="may not read"):
                memory.read(beyond, 8)
        with pytest.raises(ValueError, match="may not write"):
            memory.write(address + 7, b"12")
        assert memory.packet == b"packet"
        assert memory.read(memory.context, 4) == bytes(4)
        return int.from_bytes(memory.read(address, 8), "little")

    text = b"hello\0\0\0"
    before = f"r1 = {int.from_bytes(text, 'little')} ll\n*(u64 *)(r10 - 8) = r1\n"
    result = call(mine, before + pointer("r1", -8), packet=b"packet")
    assert result.value == int.from_bytes(b"howlo\0\0\0", "little")


def test_memory_is_gone_after_the_call() -> None:
    kept: list[Memory] = []
    call(lambda memory: kept.append(memory))
    with pytest.raises(ValueError, match="is over"):
        kept[0].read(0, 1)
    with pytest.raises(ValueError, match="is over"):
        kept[0].cpu  # noqa: B018


def test_a_map_is_the_object_that_it_is_in_python() -> None:
    case = Case({"kind": "array", "key_size": 4, "value_size": 8, "max_entries": 1})
    found: list[object] = []

    def mine(memory: Memory, which: int) -> None:
        found.extend([memory.map(which), memory.map(64)])

    assert not case.run("r1 = map 0 ll\ncall bpf_mine\nexit", functions={"mine": mine}).end
    assert found == [case.maps[0], None]


def test_an_exception_ends_the_run_and_is_raised() -> None:
    def mine() -> int:
        raise LookupError("nothing here")

    with pytest.raises(LookupError, match="nothing here"):
        call(mine, after="r0 = 1\nexit")
    with pytest.raises(TypeError):
        call(lambda: "text")


def test_exceptions_are_not_kept() -> None:
    class Mark(Exception):
        pass

    marks: list[weakref.ref[Mark]] = []

    def mine() -> int:
        mark = Mark()
        marks.append(weakref.ref(mark))
        raise mark

    with pytest.raises(Mark):
        call(mine)
    gc.collect()
    assert marks[0]() is None


def test_a_callback_may_call_python() -> None:
    text = """
    r1 = 5
    r2 = function each ll
    r3 = 0
    r4 = 0
    call bpf_loop
    exit
    each:
    call bpf_mine
    r0 = 0
    exit
    """
    seen: list[int] = []
    assert Case().run(text, functions={"mine": lambda index: seen.append(index)}).value == 5
    assert seen == [0, 1, 2, 3, 4]


def test_many_threads_call_at_once() -> None:
    case = Case(cpus=4)
    program = case.program(
        "r6 = 200\nagain:\nr1 = r6\ncall bpf_mine\nr6 += -1\nif r6 != 0 goto again\nexit",
        functions={"mine": lambda word: word},
    )
    results: list[object] = []
    threads = [threading.Thread(target=lambda: results.append(program())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8


def test_helpers_are_found_by_name() -> None:
    assert "map_lookup_elem" in _core.helpers()
    assert len(set(_core.helpers())) == len(_core.helpers())
    assert _core.helper("map_lookup_elem") not in (0, -1)
    assert _core.helper("no_such_thing") == -1
    with pytest.raises(TypeError):
        _core.helper(7)  # type: ignore[arg-type]
