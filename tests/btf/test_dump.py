"""The listing and the JSON data, compared with bpftool's word for word."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.dump import dump_dicts, dump_raw
from tests.btf.samples import KERNEL, kernel, sections, small


def bpftool(*words: str) -> str:
    """What bpftool prints; the layout compared with is that of version 7."""
    found = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip("no bpftool here")
    version = subprocess.run([found, "version"], capture_output=True, text=True).stdout
    if "bpftool v7." not in version:
        pytest.skip("the listing is compared with that of bpftool 7")
    done = subprocess.run([found, *words], capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_listing_of_a_few_types() -> None:
    lines = dump_raw(small(), [1, 4, 5, 6, 7, 8]).splitlines()
    assert lines == [
        "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED",
        "[4] ARRAY '(anon)' type_id=3 index_type_id=1 nr_elems=8",
        "[5] ENUM 'color' encoding=UNSIGNED size=4 vlen=2",
        "\t'RED' val=0",
        "\t'BLUE' val=7",
        "[6] PTR '(anon)' type_id=7",
        "[7] STRUCT 'node' size=40 vlen=8",
        "\t'next' type_id=6 bits_offset=0",
        "\t'name' type_id=4 bits_offset=64",
        "\t'color' type_id=5 bits_offset=128",
        "\t'low' type_id=2 bits_offset=160 bitfield_size=3",
        "\t'high' type_id=2 bits_offset=163 bitfield_size=5",
        "\t'(anon)' type_id=8 bits_offset=192",
        "\t'points' type_id=9 bits_offset=224",
        "\t'on' type_id=10 bits_offset=288",
        "[8] UNION '(anon)' size=4 vlen=2",
        "\t'whole' type_id=1 bits_offset=0",
        "\t'first' type_id=2 bits_offset=0",
    ]


def test_the_data_can_be_written_as_json() -> None:
    rows = json.loads(json.dumps(dump_dicts(small())))
    assert [row["id"] for row in rows] == list(range(1, len(small())))
    assert rows[5] == {"id": 6, "kind": "PTR", "name": "(anon)", "type_id": 7}


def test_the_kernel_is_listed_as_bpftool_does() -> None:
    expected = bpftool("btf", "dump", "file", str(KERNEL), "format", "raw")
    assert dump_raw(kernel()) == expected


def test_the_corpus_is_listed_as_bpftool_does(shared: Path) -> None:
    compared = 0
    for path in sorted((shared / "corpus").glob("*/*.o")):
        if path.parent.name == "invalid" or ".BTF" not in sections(path):
            continue
        btf = BTF.parse(sections(path)[".BTF"])
        assert dump_raw(btf) == bpftool("btf", "dump", "file", str(path), "format", "raw"), path
        rows = json.loads(bpftool("-j", "btf", "dump", "file", str(path)))["types"]
        assert dump_dicts(btf) == [_mended(row) for row in rows], path
        compared += 1
    assert compared > 20


def _mended(row: dict[str, object]) -> dict[str, object]:
    """bpftool writes the values of unsigned 32-bit enums as if they had 64 bits."""
    values = row.get("values")
    if row["kind"] == "ENUM" and row["encoding"] == "UNSIGNED" and isinstance(values, list):
        for entry in values:
            entry["val"] &= 0xFFFFFFFF
    return row


def test_each_linkage_has_its_word() -> None:
    assert "linkage=extern" in dump_raw(_externs())
    assert t.LINKAGE_EXTERN == 2


def _externs() -> BTF:
    from anybpf.btf import BTFBuilder, Int, Var

    builder = BTFBuilder()
    builder.add(Var("v", builder.add(Int("int", 4)), t.LINKAGE_EXTERN))
    return builder.build()
