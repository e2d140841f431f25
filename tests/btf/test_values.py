"""Typed values: bytes to Python, Python to bytes, and text."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from anybpf.btf import (
    BTF,
    BTFBuilder,
    Composite,
    DataSection,
    Float,
    Int,
    Member,
    SectionVar,
    Struct,
    Var,
)
from anybpf.btf import types as t
from anybpf.btf.builder import rebuild
from anybpf.btf.values import format_value, from_python, to_python
from anybpf.errors import BTFError
from tests.btf.samples import compiled, kernel, small

NODE = {
    "next": 0xFFFF888000001000,
    "name": "eth0",
    "color": 7,
    "low": 5,
    "high": 17,
    "whole": 0x01020304,
    "first": 4,
    "points": [-1, 2],
    "on": True,
}


def node_bytes(order: str) -> bytes:
    packed = 5 | 17 << 3 if order == "<" else 5 << 5 | 17
    return struct.pack(
        f"{order}Q8sIB3xIii?3x", NODE["next"], b"eth0", 7, packed, 0x01020304, -1, 2, True
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_struct_is_a_dict(order: str) -> None:
    btf = rebuild(small(), order == ">")
    node = btf.get("node_t").id
    expected = dict(NODE, first=4 if order == "<" else 1)
    assert to_python(btf, node, node_bytes(order)) == expected
    assert from_python(btf, node, expected) == node_bytes(order)


def test_enums_may_be_named() -> None:
    btf = small()
    value = to_python(btf, btf.get("node").id, node_bytes("<"), enum_names=True)
    assert isinstance(value, dict)
    assert value["color"] == "BLUE"
    assert from_python(btf, btf.get("node").id, value) == node_bytes("<")
    assert to_python(btf, btf.get("color").id, b"\x05\0\0\0", enum_names=True) == 5


def test_text_is_a_c_initialiser() -> None:
    btf = small()
    assert format_value(btf, btf.get("node").id, node_bytes("<")) == (
        '{.next = 0xffff888000001000, .name = "eth0", .color = BLUE, .low = 5, .high = 17, '
        ".whole = 16909060, .first = 4, .points = {-1, 2}, .on = true}"
    )
    lines = format_value(btf, btf.get("node").id, node_bytes("<"), indent=2).splitlines()
    assert lines[0] == "{"
    assert lines[2] == '  .name = "eth0",'
    assert lines[-1] == "}"


def test_what_is_left_out_is_zero() -> None:
    btf = small()
    node = btf.get("node").id
    assert from_python(btf, node, {}) == bytes(40)
    assert from_python(btf, node, {"points": [7]})[28:36] == struct.pack("<ii", 7, 0)
    assert from_python(btf, node, {"first": 255})[24:28] == b"\xff\0\0\0"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"color": "GREEN"}, "color: enum color has no 'GREEN'; it has RED, BLUE"),
        ({"low": 8}, r"low: 8 does not fit into unsigned char \(0 to 7\)"),
        ({"points": [1, 2, 3]}, "points: 3 elements are too many for 2"),
        ({"points": [1, 1 << 31]}, r"points\[1\]: 2147483648 does not fit into int"),
        ({"points": 5}, "points: an array needs a list, not 5"),
        ({"points": "ab"}, "points: only an array of char can be given as text"),
        ({"name": "too long a name"}, "name: text of 15 bytes is too long for 8"),
        ({"nmae": "x"}, "struct node has no field 'nmae'"),
        ({"next": "x"}, "next: struct node \\* needs a number, not 'x'"),
        ({"whole": 1, "first": 2}, "'whole' and 'first' of union .* different ones"),
        ({"on": 2.5}, "on: _Bool needs a number"),
        (b"abc", "the value: 3 bytes were given, 40 are needed"),
        (5, "the value: struct node needs a dict, not 5"),
    ],
)
def test_errors_name_the_field(value: object, complaint: str) -> None:
    btf = small()
    with pytest.raises(BTFError, match=complaint):
        from_python(btf, btf.get("node").id, value)


def test_too_few_bytes_are_an_error() -> None:
    btf = small()
    with pytest.raises(BTFError, match="struct node takes 40 bytes, here are 39"):
        to_python(btf, btf.get("node").id, bytes(39))
    assert to_python(btf, btf.get("color").id, bytes(40)) == 0


def test_floats_and_wide_integers() -> None:
    builder = BTFBuilder()
    single = builder.add(Float("float", 4))
    double = builder.add(Float("double", 8))
    odd = builder.add(Float("long double", 16))
    wide = builder.add(Int("__int128", 16, t.INT_SIGNED))
    btf = builder.build()
    assert from_python(btf, single, 1.5) == struct.pack("<f", 1.5)
    assert to_python(btf, double, struct.pack("<d", -0.25)) == -0.25
    assert to_python(btf, odd, bytes(16)) == bytes(16)
    assert from_python(btf, wide, -2) == (-2).to_bytes(16, "little", signed=True)
    assert to_python(btf, wide, b"\xff" * 16) == -1
    with pytest.raises(BTFError, match="does not fit into float"):
        from_python(btf, single, 1e300)


def test_bit_fields_of_the_old_style() -> None:
    builder = BTFBuilder()
    low = builder.add(Int("", 4, 0, 3, 0))
    high = builder.add(Int("", 4, t.INT_SIGNED, 5, 3))
    builder.add(Struct("s", 4, [Member("low", low, 0), Member("high", high, 0)], False))
    btf = builder.build()
    value = {"low": 5, "high": -1}
    raw = from_python(btf, btf.get("s").id, value)
    assert raw == bytes([5 | 31 << 3, 0, 0, 0])
    assert to_python(btf, btf.get("s").id, raw) == value


def test_a_data_section_is_a_dict_of_variables() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    first, second = builder.add(Var("first", number)), builder.add(Var("second", number))
    section = builder.add(
        DataSection(".data", 12, [SectionVar(first, 0, 4), SectionVar(second, 8, 4)])
    )
    btf = builder.build()
    raw = struct.pack("<III", 1, 0, 2)
    assert to_python(btf, section, raw) == {"first": 1, "second": 2}
    assert from_python(btf, section, {"second": 2, "first": 1}) == raw


SOURCE = """
struct __attribute__((packed)) all {
    signed char c; unsigned long long q; short bits : 5; int more : 20; unsigned top : 7;
    struct { union { int i; float f; struct { char a; char b[3]; }; }; } un[2];
    enum { NEG = -3, ONE = 1 } e; _Bool flags[3]; char grid[2][4];
} x = { -5, 0x1122334455667788ull, -7, -300000, 99, {{{.i = 77}}, {{.f = 1.5}}}, NEG,
        {1, 0, 1}, {"abc", "de"} };
"""


@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
def test_values_are_those_that_the_compiler_wrote(tmp_path: Path, target: str) -> None:
    object_file = compiled(tmp_path, SOURCE, target=target)
    btf = BTF.parse(object_file[".BTF"])
    data = object_file[".data"]
    section = btf.get(".data")
    variable = btf.get("x", t.KIND_VAR)
    value = to_python(btf, variable.id, data)
    assert isinstance(value, dict)
    assert (value["c"], value["q"], value["bits"]) == (-5, 0x1122334455667788, -7)
    assert (value["more"], value["top"], value["e"]) == (-300000, 99, -3)
    assert value["un"][0]["i"] == 77
    assert value["un"][1]["f"] == 1.5
    assert value["flags"] == [True, False, True]
    assert value["grid"] == ["abc", "de"]
    size = len(from_python(btf, variable.id, value))
    assert from_python(btf, variable.id, value) == data[:size]
    assert section.kind == t.KIND_DATASEC


def test_any_bytes_of_the_kernels_structs_survive() -> None:
    """Bytes to Python and back and to Python again: the same values."""
    btf = kernel()
    chance = random.Random(1)
    structs = [found for found in btf.types() if isinstance(found, Composite)]
    for found in structs[::40]:
        if found.size > 2000:
            continue
        value = to_python(btf, found.id, chance.randbytes(found.size))
        again = to_python(btf, found.id, from_python(btf, found.id, value))
        assert repr(again) == repr(value), found


def test_unions_of_unions_end_in_an_error_not_in_a_hang() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    for _ in range(25):
        pair = [Member("a", builder.next_id - 1, 0), Member("b", builder.next_id - 1, 0)]
        builder.add(t.Union("u", 4, pair))
    btf = builder.build()
    with pytest.raises(BTFError, match="too many"):
        to_python(btf, len(btf) - 1, bytes(4))
    assert number == 1
