"""Prototypes and size rules written as text."""

from __future__ import annotations

import pytest

from anybpf.platforms.prototype import limit, parse


def test_memory_is_tied_to_the_size_beside_it() -> None:
    args, returns = parse("skb:ctx offset:any from:mem len:size flags:any -> int")
    assert [arg.kind for arg in args] == ["context", "anything", "memory", "size", "anything"]
    assert (args[2].size_arg, args[3].memory_arg) == (3, 2)
    assert args[2].access == "r"
    assert returns.kind == "integer"


def test_memory_may_name_its_size() -> None:
    args, _ = parse("buffer:out@room flags:any room:size -> int")
    assert (args[0].size_arg, args[2].memory_arg) == (2, 0)


def test_fixed_memory_with_alignment() -> None:
    args, _ = parse("buf:mem buf_len:size flags:any res:out=8%8 -> int")
    assert (args[3].size, args[3].align, args[3].size_arg, args[3].access) == (8, 8, -1, "w")


def test_types_null_and_references() -> None:
    args, returns = parse("dst:kptr ptr:btf<task_struct>?! -> +sock?")
    assert (args[1].type, args[1].nullable, args[1].releases) == ("task_struct", True, True)
    assert (returns.kind, returns.nullable, returns.acquires) == ("socket", True, True)
    assert parse("-> btf<task_struct>^")[1].trusted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4", "4"),
        ("1..", "1.."),
        ("8..1016 /8", "8..1016 in steps of 8"),
        ("4096.. pow2 pages", "4096.., a power of two, whole pages"),
    ],
)
def test_limits(text: str, shown: str) -> None:
    assert str(limit(text)) == shown
