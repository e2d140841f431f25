"""The shape itself: what a field, a size rule or a return range allows."""

from __future__ import annotations

import pytest

from anybpf.platforms.model import Context, Field, Limit, ProgramType, ReturnRange

MARK = Field("mark", 8, 4, "u32", read_sizes=(1, 2, 4), write_sizes=(4,))
DATA = Field("data", 16, 4, "u32", kind="packet")
STATE = Field("state", 72, 4, "u32", read_sizes=(1, 2, 4), exact=True)
USER_IP6 = Field(
    "user_ip6",
    24,
    16,
    "u32",
    read_sizes=(4, 8),
    write_sizes=(4,),
    attach_types=("connect6", "bind6"),
    write_attach_types=("bind6",),
)


@pytest.mark.parametrize(
    ("field", "offset", "size", "write", "allowed"),
    [
        (MARK, 8, 4, False, True),
        (MARK, 10, 2, False, True),
        (MARK, 9, 2, False, False),  # not aligned
        (MARK, 10, 4, False, False),  # reaches over the end
        (MARK, 8, 1, True, False),  # writing takes the whole
        (MARK, 8, 4, True, True),
        (DATA, 16, 4, False, True),
        (DATA, 16, 2, False, False),
        (DATA, 16, 4, True, False),
        (STATE, 72, 1, False, True),
        (STATE, 73, 1, False, False),  # narrow, but only at its start
        (USER_IP6, 32, 8, False, True),
        (USER_IP6, 28, 8, False, False),
    ],
)
def test_field_access(field: Field, offset: int, size: int, write: bool, allowed: bool) -> None:
    assert field.allows(offset, size, write) is allowed


def test_field_rights_depend_on_the_attach_type() -> None:
    assert USER_IP6.allows(24, 4, attach_type="connect6")
    assert not USER_IP6.allows(24, 4, attach_type="connect4")
    assert USER_IP6.allows(24, 4, write=True, attach_type="bind6")
    assert not USER_IP6.allows(24, 4, write=True, attach_type="connect6")


def test_context_finds_pointers_and_fields() -> None:
    context = Context("md", 80, [MARK, DATA, STATE])
    assert (context.data, context.data_end, context.data_meta) == (16, -1, -1)
    assert context.field(10, 2) is MARK
    assert context.field(12, 1) is None
    assert context.named("state") is STATE
    assert context.access(8, 4, write=True) is MARK
    assert context.access(12, 4) is None


def test_contexts_without_fields() -> None:
    record = Context("record", 64, layout="bytes", start=8)
    assert record.access(8, 8) is not None
    assert record.access(0, 8) is None  # before the first byte
    assert record.access(64, 1) is None
    assert record.access(8, 8, write=True) is None
    assert Context("args", 96, layout="typed").access(8, 4) is None
    assert Context("memory", 96, layout="memory").access(8, 4, write=True) is not None


@pytest.mark.parametrize(
    ("limit", "value", "problem"),
    [
        (Limit(4, 4), 4, ""),
        (Limit(4, 4), 8, "must be 4, not 8"),
        (Limit(1), 0, "must be at least 1, not 0"),
        (Limit(1, 512), 513, "must be at most 512, not 513"),
        (Limit(8, 1016, multiple=8), 12, "must be a multiple of 8, not 12"),
        (Limit(4096, power_of_two=True), 12288, "must be a power of two, not 12288"),
        (
            Limit(1, page_multiple=True),
            5000,
            "must be a multiple of the page size (4096), not 5000",
        ),
    ],
)
def test_size_rules(limit: Limit, value: int, problem: str) -> None:
    assert limit.problem(value) == problem


def test_return_range_of_an_attach_type() -> None:
    kind = ProgramType(
        "t",
        1,
        returns=[ReturnRange(0, 3, ["egress"]), ReturnRange(0, 1)],
        attach_types=["ingress", "egress"],
    )
    egress, ingress = kind.return_range("egress"), kind.return_range("ingress")
    assert egress is not None
    assert 3 in egress
    assert ingress is not None
    assert 3 not in ingress
    assert ProgramType("free", 2).return_range() is None


def test_unknown_attach_type_gives_the_widest_range() -> None:
    kind = ProgramType(
        "t",
        1,
        returns=[ReturnRange(0, 0, ["a"]), ReturnRange(0, 1, ["b"])],
        attach_types=["a", "b"],
    )
    widest = kind.return_range()
    assert widest is not None
    assert (widest.low, widest.high) == (0, 1)
    kind.attach_types = ("a", "b", "c")  # at "c" anything may be returned
    assert kind.return_range() is None
