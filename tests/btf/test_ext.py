"""The records of `.BTF.ext`, read and written."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from anybpf.btf import BTF, BTFExt
from anybpf.errors import BTFError
from tests.btf.samples import compiled, sections

SOURCE = """
struct iphdr { int len; int ttl; } __attribute__((preserve_access_index));
__attribute__((section("xdp"))) int prog(struct iphdr *ip)
{
    return ip->ttl;
}
"""


def test_what_a_compiler_wrote(tmp_path: Path) -> None:
    object_file = compiled(tmp_path, SOURCE)
    btf = BTF.parse(object_file[".BTF"])
    ext = BTFExt.parse(object_file[".BTF.ext"])
    (functions,) = ext.func_info
    assert btf.string(functions.name_offset) == "xdp"
    ((start, function),) = functions.rows()
    assert (start, btf.type(function).name) == (0, "prog")
    lines = list(ext.line_info[0].rows())
    assert btf.string(lines[0][1]).endswith("source.c")
    assert any(btf.string(row[2]).strip() == "return ip->ttl;" for row in lines)
    assert any(row[3] >> 10 == 5 for row in lines)
    ((_start, type_id, access, kind),) = ext.core_relo[0].rows()
    assert (btf.type(type_id).name, btf.string(access), kind) == ("iphdr", "0:1", 0)
    assert BTFExt.parse(ext.encode()).encode() == ext.encode()


@pytest.mark.parametrize("big_endian", [False, True])
def test_what_is_written_is_read_again(big_endian: bool) -> None:
    made = BTFExt(big_endian)
    made.add_func_info(1, [(0, 3), (64, 5)])
    made.add_func_info(9, [(0, 4)])
    made.add_line_info(1, [(0, 20, 30, 7 << 10 | 3)])
    made.add_core_relo(1, [(8, 2, 40, 12)])
    read = BTFExt.parse(made.encode(), big_endian)
    assert read.big_endian == big_endian
    assert [s.name_offset for s in read.func_info] == [1, 9]
    assert [list(s.rows()) for s in read.func_info] == [[(0, 3), (64, 5)], [(0, 4)]]
    assert list(read.line_info[0].rows()) == [(0, 20, 30, 7 << 10 | 3)]
    assert list(read.core_relo[0].rows()) == [(8, 2, 40, 12)]


def test_records_may_be_longer_than_known() -> None:
    table = struct.pack("<III", 12, 1, 2) + struct.pack("<6I", 0, 5, 99, 8, 6, 98)
    data = struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, len(table), len(table), 0) + table
    ext = BTFExt.parse(data)
    assert list(ext.func_info[0].rows()) == [(0, 5), (8, 6)]
    assert ext.core_relo == []
    assert list(BTFExt.parse(ext.encode()).func_info[0].rows()) == [(0, 5), (8, 6)]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "this is no .BTF.ext"),
        (b"\x9f\xeb\x01\0", "header of 24 bytes, here are 4"),
        (struct.pack("<HBBI16x", 0xEB9F, 2, 0, 24), "version 2 is unknown"),
        (struct.pack("<HBBI16x", 0xEB9F, 1, 0, 99), "header length 99 is impossible"),
        (struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 8, 0, 0), "byte 0x8: func_info of 8 bytes"),
        (
            struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 12, 0, 0) + struct.pack("<III", 4, 0, 0),
            "func_info records have at least 8 bytes, here 4",
        ),
        (
            struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 12, 0, 0)
            + struct.pack("<III", 8, 0, 0xFFFFFFFF),
            "announces 4294967295 records",
        ),
        (
            struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, 8, 0, 0) + struct.pack("<II", 8, 0),
            "ends inside a section head",
        ),
    ],
)
def test_damaged_records_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(BTFError, match=complaint):
        BTFExt.parse(data)


def test_the_byte_order_must_be_that_of_the_object() -> None:
    with pytest.raises(BTFError, match="another byte order"):
        BTFExt.parse(BTFExt(True).encode(), big_endian=False)


def test_the_corpus_is_read_and_written(shared: Path) -> None:
    rows = 0
    for path in sorted((shared / "corpus" / "cilium").glob("*.o")):
        found = sections(path)
        if ".BTF.ext" not in found:
            continue
        ext = BTFExt.parse(found[".BTF.ext"])
        again = BTFExt.parse(ext.encode())
        for one, other in zip(ext.line_info, again.line_info, strict=True):
            assert list(one.rows()) == list(other.rows())
            rows += one.count
    assert rows > 15_000
