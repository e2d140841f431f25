"""Stacks: last in, first out. What they have in common with queues is tested there."""

from __future__ import annotations

import pytest

from anybpf import _core
from tests.core.maps.small import flags, make, name, refused, u32

EXIST = 2


@pytest.fixture
def domain() -> _core.Domain:
    return _core.Domain(2)


def test_what_was_pushed_last_is_popped_first(domain: _core.Domain) -> None:
    stack = make(domain, "stack", 0, 4, 3)
    for i in (1, 2, 3):
        assert name(stack.push(u32(i))) == "OK"
    assert name(stack.push(u32(4))) == "QUEUE_FULL"
    assert stack.peek() == u32(3)
    assert [stack.pop() for _ in range(4)] == [u32(3), u32(2), u32(1), None]
    assert stack.check() is None


def test_exist_drops_the_one_at_the_bottom(domain: _core.Domain) -> None:
    stack = make(domain, "stack", 0, 4, 2, flags=flags("DROPS_OLDEST"))
    for i in (1, 2, 3, 4):
        assert name(stack.push(u32(i), EXIST)) == "OK"
    assert [stack.pop(), stack.pop(), stack.pop()] == [u32(4), u32(3), None]
    assert stack.check() is None


def test_users_write_read_and_take_without_a_key(domain: _core.Domain) -> None:
    stack = make(domain, "stack", 0, 4, 2)
    stack.update(b"", u32(1))
    stack.update(b"", u32(2))
    assert stack.lookup(b"") == u32(2)
    assert stack.take(b"") == u32(2)
    assert stack.take(b"") == u32(1)
    assert stack.take(b"") is None


def test_a_stack_has_no_keys(domain: _core.Domain) -> None:
    with refused("BAD_SIZE"):
        make(domain, "stack", 4, 4, 2)
