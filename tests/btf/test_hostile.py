"""Damaged BTF: always a `BTFError`, never another exception, a hang or a flood of memory."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anybpf.btf import BTF, BTFBuilder, BTFExt, Composite, Member, Struct
from anybpf.btf import types as t
from anybpf.btf.builder import rebuild
from anybpf.btf.cdump import dump_c
from anybpf.btf.core import relocate
from anybpf.btf.dedup import deduplicate
from anybpf.btf.dump import dump_dicts, dump_raw
from anybpf.btf.layout import align_of, field_path, find_member, size_of
from anybpf.btf.names import type_name
from anybpf.btf.values import format_value, from_python, to_python
from anybpf.errors import BTFError
from tests.btf.samples import small

SAMPLE = small().encode()
HEADER = struct.Struct("<HBBIIIII")


def try_everything(btf: BTF) -> None:
    """Ask all that can be asked of some types; what is no BTFError fails the test."""
    attempts: list[Callable[[], object]] = [
        lambda: dump_raw(btf),
        lambda: dump_dicts(btf),
        lambda: dump_c(btf),
        lambda: rebuild(btf),
        lambda: deduplicate(btf),
        lambda: BTFBuilder(btf.big_endian).merge(btf),
        lambda: btf.find_all("node"),
        lambda: btf.flavours("node"),
    ]
    for type_id in [*range(min(len(btf), 20)), len(btf) - 1]:
        attempts += _questions(btf, type_id)
    for attempt in attempts:
        with contextlib.suppress(BTFError):
            attempt()


def _questions(btf: BTF, type_id: int) -> list[Callable[[], object]]:
    return [
        lambda: size_of(btf, type_id),
        lambda: align_of(btf, type_id),
        lambda: type_name(btf, type_id, "x"),
        lambda: field_path(btf, type_id, 5, 2),
        lambda: find_member(btf, type_id, "first"),
        lambda: to_python(btf, type_id, bytes(64)),
        lambda: format_value(btf, type_id, bytes(64), indent=1),
        lambda: from_python(btf, type_id, {"first": 1, "low": 2, "next": 3, "points": [1]}),
        lambda: from_python(btf, type_id, 5),
        lambda: dump_c(btf, [type_id]),
        *[
            lambda kind=kind: relocate(btf, type_id, "0:1" if kind < 6 else "0", kind, btf)
            for kind in range(13)
        ],
    ]


def parse(data: bytes) -> BTF | None:
    try:
        return BTF.parse(data)
    except BTFError:
        return None


quick = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@quick
@given(
    st.lists(
        st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=6
    )
)
def test_bytes_changed_anywhere(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for at, value in changes:
        data[at] = value
    btf = parse(bytes(data))
    if btf is not None:
        try_everything(btf)


@quick
@given(st.integers(24, len(SAMPLE) - 4), st.sampled_from([0, 1, 7, 8, 12, 0xFFFF, 0xFFFFFFFF]))
def test_words_changed_in_the_types(at: int, value: int) -> None:
    data = bytearray(SAMPLE)
    struct.pack_into("<I", data, at // 4 * 4, value)
    btf = parse(bytes(data))
    if btf is not None:
        try_everything(btf)


@quick
@given(st.lists(st.tuples(st.integers(1, 19), st.integers(0, 9), st.integers(0, 12)), max_size=9))
def test_types_put_together_at_random(rows: list[tuple[int, int, int]]) -> None:
    """Records of any kind whose references go anywhere: circles, voids, ids that are not there."""
    words: list[int] = []
    for kind, aim, other in rows:
        parts = 2 if kind in (4, 5, 6, 13, 15, 19) else 0
        words += [1 if other % 2 else 0, kind << 24 | parts, aim]
        if kind in (4, 5, 15, 19):
            words += [0, other, 0, 1, aim, 8]
        elif kind in (6, 13):
            words += [0, other, 1, aim]
        elif kind in (1, 14, 17):
            words.append(other)
        elif kind == 3:
            words += [aim, other, 1 << other * 2]
    types = struct.pack(f"<{len(words)}I", *words)
    text = b"\0node\0first\0"
    head = HEADER.pack(0xEB9F, 1, 0, 24, 0, len(types), len(types), len(text))
    btf = parse(head + types + text)
    assert btf is not None
    assert len(btf) == len(rows) + 1
    try_everything(btf)


@quick
@given(st.binary(max_size=80), st.integers(0, len(SAMPLE)))
def test_bytes_cut_off_and_put_on(tail: bytes, at: int) -> None:
    for data in (SAMPLE[:at] + tail, b"\x9f\xeb" + tail):
        parse(data)
        with contextlib.suppress(BTFError):
            ext = BTFExt.parse(data)
            for section in ext.func_info + ext.line_info + ext.core_relo:
                list(section.rows())


@pytest.mark.parametrize(
    ("at", "value", "complaint"),
    [
        (0, 0, "this is no BTF"),
        (2, 2, "version 2 is unknown"),
        (4, 4, "header length 4 is impossible"),
        (8, 1, "byte 0x8: type section"),
        (12, 0xFFFFFFFC, "byte 0x8: type section of 4294967292 bytes"),
        (20, 0xFFFFFFFF, "byte 0x10: string section of 4294967295 bytes"),
        (28, 0x1F000000, "byte 0x18: type 1 has info 0x1f000000: unknown kind"),
        (28, 0x01010000, "unknown kind or reserved bits"),
        (28, 0x0400FFFF, "type 1 reaches past the type section"),
    ],
)
def test_errors_say_where(at: int, value: int, complaint: str) -> None:
    data = bytearray(SAMPLE)
    data[at : at + 4] = value.to_bytes(4, "little") if at > 2 else bytes([value]) + data[1:4]
    if at == 2:
        data[0:4] = struct.pack("<HBB", 0xEB9F, value, 0)
    with pytest.raises(BTFError, match=complaint):
        BTF.parse(bytes(data), file="x.o")


def test_a_string_out_of_range_names_the_offset() -> None:
    data = bytearray(SAMPLE)
    struct.pack_into("<I", data, 24, 0x7FFFFFFF)
    btf = BTF.parse(bytes(data))
    with pytest.raises(BTFError, match="string offset 0x7fffffff lies outside"):
        btf.type(1)
    with pytest.raises(BTFError, match="string offset 0x7fffffff lies outside"):
        btf.find("int")


def many_nested(kind: int, count: int) -> BTF:
    """Each type has two members of the one before: 2 to the power of `count` leaves."""
    builder = BTFBuilder()
    builder.add(t.Int("int", 4))
    for depth in range(1, count):
        pair = [Member("", depth, 0), Member("", depth, 0 if kind == t.KIND_UNION else 32)]
        builder.add(Struct("", 8, pair) if kind == t.KIND_STRUCT else t.Union("", 4, pair))
    builder.add(t.Typedef("top", count))
    return builder.build()


@pytest.mark.parametrize("kind", [t.KIND_STRUCT, t.KIND_UNION])
def test_nesting_that_doubles_at_each_step_ends(kind: int) -> None:
    begin = time.process_time()
    try_everything(many_nested(kind, 30))
    assert time.process_time() - begin < 30


def test_long_chains_end() -> None:
    builder = BTFBuilder()
    for type_id in range(1, 20_000):
        builder.add(t.Pointer(type_id + 1))
    btf = builder.build()
    begin = time.process_time()
    for make in (dump_raw, rebuild, lambda b: type_name(b, 1), dump_c, deduplicate):
        with contextlib.suppress(BTFError):
            make(btf)
    assert time.process_time() - begin < 20


def test_many_names_for_one_long_chain_end() -> None:
    builder = BTFBuilder()
    for type_id in range(1, 10_000):
        builder.add(t.Const(type_id + 1))
    for _ in range(10_000):
        builder.add(t.Typedef("t", 1))
    begin = time.process_time()
    with pytest.raises(BTFError):
        dump_c(builder.build())
    assert time.process_time() - begin < 20


def test_endless_text_out_of_one_long_string_is_refused() -> None:
    """Each type's name begins one byte further inside the same string."""
    count = 20_000
    words = [word for index in range(count) for word in (index + 1, t.KIND_TYPEDEF << 24, 0)]
    types = struct.pack(f"<{len(words)}I", *words)
    text = b"\0" + b"x" * (count + 1) + b"\0"
    btf = BTF.parse(
        HEADER.pack(0xEB9F, 1, 0, 24, 0, len(types), len(types), len(text)) + types + text
    )
    with pytest.raises(BTFError, match="too many strings begin inside another"):
        btf.find("xxx")


def test_prototypes_that_refer_to_themselves_end() -> None:
    builder = BTFBuilder()
    builder.add(t.FunctionProto(2, [t.Param("a", 2), t.Param("b", 2), t.Param("c", 2)]))
    builder.add(t.Pointer(1))
    builder.add(t.Typedef("f", 2))
    begin = time.process_time()
    try_everything(builder.build())
    assert time.process_time() - begin < 10


def test_a_struct_of_four_gigabytes_needs_no_memory() -> None:
    builder = BTFBuilder()
    number = builder.add(t.Int("int", 4))
    builder.add(Struct("vast", 0xFFFFFFFC, [Member("a", number, 0), Member("b", number, 1 << 31)]))
    btf = builder.build()
    assert isinstance(btf.type(2), Composite)
    assert "unsigned char __pad_4[268435452];" in dump_c(btf)
    with pytest.raises(BTFError, match="takes 4294967292 bytes, here are 4"):
        to_python(btf, 2, bytes(4))
    with pytest.raises(BTFError, match="too large to be made"):
        from_python(btf, 2, {})
