"""How keys and values are written on a command line."""

from __future__ import annotations

import sys

import pytest

from anybpf.btf import BTFBuilder
from anybpf.btf.types import Array as ArrayType
from anybpf.btf.types import Enum, Enumerator, Int, Member, Struct
from anybpf.cli.words import as_json, encode, hex_bytes, shown, split
from anybpf.errors import InputError
from anybpf.maps.codecs import Bytes, Codec, Number, Text, codec_of

U32 = Number("__u32", 4)


@pytest.mark.parametrize(
    ("word", "codec", "expected"),
    [
        ("80", U32, (80).to_bytes(4, sys.byteorder)),
        ("0x50", U32, (80).to_bytes(4, sys.byteorder)),
        ("-1", Number("int", 4, signed=True), b"\xff" * 4),
        ("1.5", Number("double", 8, real=True), bytes.fromhex("000000000000f83f")),
        ("10.0.0.1", U32, bytes([10, 0, 0, 1])),
        ("10.0.0.1", Bytes(4), bytes([10, 0, 0, 1])),
        ("fe80::1", Bytes(16), bytes.fromhex("fe80" + "00" * 13 + "01")),
        ("00:11:22:33:44:55", Bytes(6), bytes.fromhex("001122334455")),
        ("0a 00 00 01", Bytes(4), bytes([10, 0, 0, 1])),
        ("hex:0a000001", U32, bytes([10, 0, 0, 1])),
        ("0a0000ff", Bytes(4), bytes([10, 0, 0, 255])),
        ("7", Bytes(3), (7).to_bytes(3, sys.byteorder)),
        ("text:eth0", Bytes(6), b"eth0\0\0"),
        ("eth0", Text("char [6]", 6), b"eth0\0\0"),
        ('"80"', Text("char [6]", 6), b"80\0\0\0\0"),
        ("80", Text("char [6]", 6), b"80\0\0\0\0"),
        ("[1, 2, 3]", Bytes(3), b"\1\2\3"),
    ],
)
def test_a_word_becomes_the_bytes_of_its_type(word: str, codec: Codec, expected: bytes) -> None:
    assert encode(word, codec, "key") == expected


@pytest.mark.parametrize(
    ("word", "codec", "message"),
    [
        ("eth0", U32, "key: 'eth0' is no __u32: give an integer from 0 to 4294967295"),
        ("4294967296", U32, "give an integer from 0 to 4294967295"),
        ("300", Bytes(1), "key: 300 does not fit in 1 bytes"),
        ("hex:0a", U32, "key: 1 bytes were given, __u32 has 4"),
        ("hex:0", U32, "key: '0' is not a number of bytes in hexadecimal"),
        ("text:long", Bytes(2), "the text has 4 bytes, bytes of size 2 2"),
        ("what", Bytes(2), "give an integer, hex:DIGITS or text:WORDS"),
        ("{1", U32, "no JSON"),
    ],
)
def test_what_makes_no_sense_is_refused(word: str, codec: Codec, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        encode(word, codec, "key")


@pytest.fixture(scope="module")
def flow() -> Codec:
    """{ u32 source; u16 ports[2]; enum verdict verdict; struct { u8 a; u8 b; } tail; }"""
    builder = BTFBuilder()
    u32 = builder.add(Int("u32", 4))
    u16 = builder.add(Int("u16", 2))
    u8 = builder.add(Int("u8", 1))
    ports = builder.add(ArrayType(u16, u32, 2))
    verdict = builder.add(Enum("verdict", 4, False, [Enumerator("DROP", 1), Enumerator("PASS", 2)]))
    tail = builder.add(Struct("tail", 2, [Member("a", u8, 0), Member("b", u8, 8)]))
    members = [
        Member("source", u32, 0),
        Member("ports", ports, 32),
        Member("verdict", verdict, 64),
        Member("tail", tail, 96),
    ]
    whole = builder.add(Struct("flow", 16, members))
    return codec_of(builder.build(), whole)


def test_fields_of_a_structure_by_name(flow: Codec) -> None:
    raw = encode("source=10.0.0.1,ports[1]=53,verdict=PASS,tail.b=7", flow, "key")
    assert shown(flow.decode(raw)) == (
        f"{{source: {int.from_bytes(bytes([10, 0, 0, 1]), sys.byteorder)}, ports: [0, 53], "
        "verdict: 2, tail: {a: 0, b: 7}}"
    )
    assert encode('["0a000001"]'.strip("[]"), Bytes(4), "key") == bytes([10, 0, 0, 1])
    assert encode("ports=[0,53],verdict=2", flow, "key") == encode(
        '{"ports": [0, 53], "verdict": "PASS"}', flow, "key"
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("port=1", "key: struct flow has no field 'port': its fields are source, ports, "),
        ("ports[2]=1", "key: u16\\[2\\] has 2 elements, there is no \\[2\\]"),
        ("ports[=1", "key: 'ports\\[' is no field"),
        ("source=x", "key source: 'x' is no u32: give an integer from 0 to 4294967295"),
        ("verdict=MAYBE", "'MAYBE' is no enum verdict: its names are DROP, PASS"),
        ("source=1,2", "key: '2' is no field=value of struct flow"),
        ("7", "key: '7' is no struct flow: give field=value,"),
        ('{"tail": {"c": 1}}', "key tail: struct tail has no field 'c': its fields are a, b"),
        ('{"ports": [1, 2, 3]}', "key ports: u16\\[2\\] has 2 elements, not 3"),
    ],
)
def test_fields_that_are_not_there_are_refused(flow: Codec, word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode(word, flow, "key")


def test_commas_in_brackets_and_quotes_divide_nothing() -> None:
    assert split('a=1,b=[2,3],c="x,y",d={"e":1,"f":2}') == [
        "a=1", "b=[2,3]", 'c="x,y"', 'd={"e":1,"f":2}',
    ]  # fmt: skip


def test_digits_may_have_spaces_and_colons_between_them() -> None:
    assert hex_bytes("0a:00 0x01ff", "data") == bytes.fromhex("0a0001ff")


def test_values_are_shown_to_people_and_to_programs() -> None:
    value = {"name": "a\udcff", "raw": b"\1\2", "flags": [True, False], "none": None}
    assert shown(value) == '{name: "a\\\\xff", raw: 01 02, flags: [true, false], none: -}'
    assert as_json(value) == {
        "name": "a\\xff", "raw": "0102", "flags": [True, False], "none": None,
    }  # fmt: skip
