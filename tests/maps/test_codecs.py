"""C types as Python values: fields by name, views into arrays, bit-fields, unions, keys."""

from __future__ import annotations

import sys

import pytest

from anybpf.btf import BTF
from anybpf.errors import InputError
from anybpf.maps.codecs import codec_of, struct_class
from tests.btf.samples import compiled

SOURCE = """
typedef unsigned int u32;
typedef unsigned long long u64;
enum verdict { DROP, PASS = 7 };
struct inner { short port; char name[8]; };
struct flow {
    u32 source;
    _Bool seen;
    struct inner ends[2];
    union { u64 whole; unsigned char bytes[8]; };
    unsigned low : 3, middle : 7;
    int offset : 5;
    enum verdict verdict;
    double rate;
    void *next;
    u32 none[0];
    int class;
};
struct flow everything;
"""


@pytest.fixture(scope="module")
def btf(tmp_path_factory: pytest.TempPathFactory) -> BTF:
    return BTF.parse(compiled(tmp_path_factory.mktemp("types"), SOURCE)[".BTF"])


def test_fields_are_attributes(btf: BTF) -> None:
    flow = struct_class(btf, "flow")
    value = flow(
        source=1, ends=[{"port": -2, "name": "eth0"}], whole=0x0102, verdict="PASS", rate=0.5
    )
    assert value.source == 1
    assert value.seen is False
    assert value.ends[0].port == -2
    assert value.ends[0].name == "eth0"
    assert value.ends[1].name == ""
    assert value.verdict == 7
    assert value.rate == 0.5
    assert bytes(value)[:4] == (1).to_bytes(4, sys.byteorder)


def test_changes_reach_the_bytes(btf: BTF) -> None:
    flow = struct_class(btf, "flow")
    value = flow()
    value.ends[1].port = 443
    value.ends[1].name = "lo"
    value.seen = True
    again = flow.from_bytes(bytes(value))
    assert again == value
    assert again.ends[1].port == 443
    assert again.as_dict()["ends"][1] == {"port": 443, "name": "lo"}


def test_members_of_a_union_share_their_bytes(btf: BTF) -> None:
    value = struct_class(btf, "flow")()
    value.bytes[0] = 0xAB
    assert value.whole == int.from_bytes(bytes([0xAB, *bytes(7)]), sys.byteorder)
    value.whole = 0
    assert list(value.bytes) == [0] * 8


def test_bit_fields(btf: BTF) -> None:
    value = struct_class(btf, "flow")(low=5, middle=100, offset=-3)
    assert (value.low, value.middle, value.offset) == (5, 100, -3)
    value.middle = 0
    assert (value.low, value.middle, value.offset) == (5, 0, -3)
    with pytest.raises(InputError, match="from 0 to 7"):
        value.low = 8
    with pytest.raises(InputError, match="from -16 to 15"):
        value.offset = 16


def test_names_that_python_keeps_for_itself(btf: BTF) -> None:
    value = struct_class(btf, "flow")()
    value["class"] = 3
    assert value["class"] == 3
    assert value.as_dict()["class"] == 3


def test_wrong_values_name_the_field(btf: BTF) -> None:
    flow = struct_class(btf, "flow")
    with pytest.raises(InputError, match=r"ends\[1\]\.port: 'x' is no short"):
        flow(ends=[{}, {"port": "x"}])
    with pytest.raises(InputError, match="no field 'sauce'; its fields are source, seen"):
        flow(sauce=1)
    with pytest.raises(AttributeError, match="no field 'sauce'"):
        flow().sauce = 1
    with pytest.raises(AttributeError, match="no field 'sauce'; its fields are"):
        assert flow().sauce
    with pytest.raises(InputError, match="from 0 to 4294967295"):
        flow(source=-1)
    with pytest.raises(InputError, match="8 bytes at most"):
        flow(ends=[{"name": "much too long"}])
    with pytest.raises(InputError, match="its names are DROP, PASS"):
        flow(verdict="MAYBE")
    with pytest.raises(InputError, match="it has 2 elements, here are 3"):
        flow(ends=[{}, {}, {}])
    with pytest.raises(IndexError, match="there is no 2"):
        flow().ends[2]
    with pytest.raises(InputError, match="bytes, here are 3"):
        flow.from_bytes(b"abc")


def test_keys_can_be_keys(btf: BTF) -> None:
    codec = codec_of(btf, btf.get("inner").id)
    raw = codec.encode({"port": 1, "name": "a"})
    key = codec.decode_key(raw)
    assert {key: 1}[codec.decode_key(raw)] == 1
    with pytest.raises(TypeError, match="cannot be changed"):
        key.port = 2
    changed = key.replace(port=2)
    assert (key.port, changed.port) == (1, 2)
    with pytest.raises(TypeError, match="use bytes"):
        hash(changed)


def test_what_was_read_can_be_written_back(btf: BTF) -> None:
    codec = codec_of(btf, btf.get("inner").id)
    raw = b"\x01\x00\xff\xfe\x80ab\x00\x00\x00"
    value = codec.decode(raw)
    assert codec.encode(value.as_dict()) == raw


def test_text_shows_all_fields(btf: BTF) -> None:
    value = struct_class(btf, "inner")(port=80, name="web")
    assert repr(value) == "inner(port=80, name='web')"


def test_a_scalar_is_no_structure(btf: BTF) -> None:
    with pytest.raises(InputError, match="is no structure"):
        struct_class(btf, "u32")


def test_pointers_and_arrays_of_nothing(btf: BTF) -> None:
    value = struct_class(btf, "flow")(next=0xFFFF_FFFF_FFFF_FFFF)
    assert value.next == 0xFFFF_FFFF_FFFF_FFFF
    assert value.none == b""
