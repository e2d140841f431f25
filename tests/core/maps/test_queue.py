"""Queues: first in, first out; what full and empty mean; several processes at one queue."""

from __future__ import annotations

import os
import sys

import pytest

from anybpf import _core
from tests.core.maps.small import flags, make, name, refused, u32, u64

EXIST, NOEXIST = 2, 1


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def test_what_was_pushed_first_is_popped_first(domain: _core.Domain) -> None:
    queue = make(domain, "queue", 0, 4, 3)
    for i in (1, 2, 3):
        assert name(queue.push(u32(i))) == "OK"
    assert queue.count() == 3
    assert queue.peek() == u32(1)
    assert [queue.pop() for _ in range(4)] == [u32(1), u32(2), u32(3), None]
    assert queue.peek() is None
    assert queue.check() is None


def test_a_full_queue_takes_nothing(domain: _core.Domain) -> None:
    queue = make(domain, "queue", 0, 4, 1)
    queue.push(u32(1))
    assert name(queue.push(u32(2))) == "QUEUE_FULL"
    assert name(queue.push(u32(2), EXIST)) == "QUEUE_FULL"
    assert queue.peek() == u32(1)


def test_exist_drops_the_oldest_where_the_platform_says_so(domain: _core.Domain) -> None:
    queue = make(domain, "queue", 0, 4, 2, flags=flags("DROPS_OLDEST"))
    for i in (1, 2, 3, 4):
        assert name(queue.push(u32(i), EXIST)) == "OK"
    assert [queue.pop(), queue.pop(), queue.pop()] == [u32(3), u32(4), None]
    assert queue.check() is None


@pytest.mark.parametrize("bad", [NOEXIST, 3, 4, 1 << 63])
def test_other_flags_are_refused(domain: _core.Domain, bad: int) -> None:
    queue = make(domain, "queue", 0, 4, 2)
    assert name(queue.push(u32(1), bad)) == "BAD_FLAGS"
    assert queue.count() == 0


def test_users_write_read_and_take_without_a_key(domain: _core.Domain) -> None:
    queue = make(domain, "queue", 0, 4, 2)
    assert queue.lookup(b"") is None
    assert name(queue.update(b"", u32(7))) == "OK"
    assert queue.lookup(b"") == u32(7)
    assert queue.take(b"") == u32(7)
    assert queue.count() == 0


def test_a_queue_has_no_keys(domain: _core.Domain) -> None:
    queue = make(domain, "queue", 0, 4, 2)
    with refused("NOT_SUPPORTED"):
        queue.next_key(None)
    assert name(queue.delete(b"")) == "NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("key", "value", "entries"), [(4, 4, 4), (0, 0, 4), (0, 4, 0)], ids=["key", "value", "entries"]
)
def test_shapes_that_make_no_queue(
    domain: _core.Domain, key: int, value: int, entries: int
) -> None:
    with refused("BAD_SIZE"):
        make(domain, "queue", key, value, entries)


def test_it_goes_round_and_round(domain: _core.Domain) -> None:
    queue = make(domain, "queue", 0, 12, 3)
    pushed = popped = 0
    for turn in range(1000):
        for _ in range(turn % 4):
            pushed += name(queue.push(u64(pushed) + b"tail")) == "OK"
        for _ in range(turn % 3):
            value = queue.pop()
            if value is not None:
                assert value == u64(popped) + b"tail"
                popped += 1
        assert queue.count() == pushed - popped
    assert queue.check() is None


@pytest.mark.skipif(sys.platform != "linux", reason="shared maps are built on Linux's memory files")
def test_two_processes_share_one() -> None:
    domain = _core.Domain(2, shared=True)
    queue = make(domain, "queue", 0, 8, 8, shared=True)
    child = os.fork()
    if child == 0:
        sent = 0
        while sent < 1000:
            sent += queue.push(u64(sent)) == 0
        os._exit(0)
    got: list[bytes] = []
    while len(got) < 1000:
        value = queue.pop()
        if value is not None:
            got.append(value)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert got == [u64(i) for i in range(1000)]
    assert queue.check() is None
