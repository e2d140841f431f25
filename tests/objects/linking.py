"""What the tests of the linker share: compiling small sources, and objects in comparable form."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.btf import BTF, BTFExt, DataSection
from anybpf.objects import elf
from anybpf.objects.elf import ElfFile
from anybpf.objects.linker import link

HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
"""

STATICS = """
static int hidden_{n} = {v};
static volatile int same = {v};
static __noinline int twice(int x) {{ return 2 * x + same + {v}; }}
static long each(void *map, void *key, void *value, void *ctx) {{ return same + {v}; }}
struct {{
	__uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
	__type(key, int); __type(value, long);
}} map_{n} SEC(".maps");
SEC("tc") int prog_{n}(struct __sk_buff *skb)
{{
	bpf_for_each_map_elem(&map_{n}, each, (void *)0, 0);
	bpf_printk("{n} %d", same);
	return twice(skb->len) + same + hidden_{n};
}}
SEC("xdp") int other_{n}(struct xdp_md *ctx) {{ return twice(ctx->data) + {v}; }}
char LICENSE[] SEC("license") = "GPL";
"""


class Bench:
    """Compiles small sources in a folder of its own."""

    def __init__(self, folder: Path, compiler: toolchain.Compiler) -> None:
        self.folder = folder
        self.compiler = compiler

    def c(self, name: str, text: str) -> Path:
        source = self.folder / f"{name}.c"
        source.write_text(HEAD + text)
        return self.file(source)

    def file(self, source: Path, big_endian: bool = False) -> Path:
        output = self.folder / f"{source.stem}.o"
        toolchain.compile(source, output, compiler=self.compiler, big_endian=big_endian)
        return output


def btf_of(image: ElfFile) -> BTF:
    section = image.section(".BTF")
    assert section is not None
    return BTF.parse(section.data)


def symbols(image: ElfFile) -> dict[str, elf.Symbol]:
    return {symbol.name: symbol for symbol in image.symbols if symbol.kind != elf.STT_SECTION}


class View:
    """What matters of an object, in a form that can be compared."""

    def __init__(self, data: bytes) -> None:
        image = ElfFile(data)
        self.sections = {
            s.name: (s.type, s.flags, s.size, bytes(s.data))
            for s in image.sections
            if s.name and not s.name.startswith((".rel", ".symtab", ".strtab", ".BTF"))
        }
        self.symbols = Counter(
            (s.name, s.value, s.size, s.binding, s.kind, s.visibility, where(image, s))
            for s in image.symbols
            if s.kind != elf.STT_SECTION
        )
        self.relocations = sorted(
            (section.name, r.offset, r.type, named(image, image.symbols[r.symbol_index]))
            for section in image.sections
            for r in image.relocations(section.index)
        )
        types = image.section(".BTF")
        self.types = 0
        self.places: dict[str, list[tuple[str, int, int]]] = {}
        self.records: list[object] = []
        if types is not None:
            btf = BTF.parse(types.data)
            self.types = len(btf)
            for found in btf.types():
                if isinstance(found, DataSection):
                    self.places[found.name] = sorted(
                        (btf.type(v.type_id).name, v.offset, v.size) for v in found.vars
                    )
            ext = image.section(".BTF.ext")
            if ext is not None:
                self.records = records(btf, BTFExt.parse(ext.data))


def where(image: ElfFile, symbol: elf.Symbol) -> str | int:
    index = symbol.section_index
    return image.sections[index].name if index < elf.SHN_LORESERVE else index


def named(image: ElfFile, symbol: elf.Symbol) -> str | int:
    return where(image, symbol) if symbol.kind == elf.STT_SECTION else symbol.name


def records(btf: BTF, ext: BTFExt) -> list[object]:
    """Every record with names in place of ids and string offsets."""
    out: list[object] = []
    for info in ext.func_info:
        name = btf.string(info.name_offset)
        out += [("func", name, row[0], btf.type(row[1]).name) for row in info.rows()]
    for info in ext.line_info:
        name = btf.string(info.name_offset)
        out += [
            ("line", name, row[0], btf.string(row[1]), btf.string(row[2]), row[3])
            for row in info.rows()
        ]
    for info in ext.core_relo:
        name = btf.string(info.name_offset)
        out += [
            ("core", name, row[0], btf.type(row[1]).name, btf.string(row[2]), row[3])
            for row in info.rows()
        ]
    return sorted(out, key=str)


def by_libbpf(*objects: Path) -> View:
    """The same link by `bpftool gen object`."""
    bpftool = shutil.which("bpftool")
    if bpftool is None:
        pytest.skip("bpftool is not on this machine")
    output = objects[0].parent / "by_libbpf.o"
    command = [bpftool, "gen", "object", str(output), *map(str, objects)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return View(output.read_bytes())


def assert_like_libbpf(*objects: Path) -> None:
    mine, theirs = View(link(objects)), by_libbpf(*objects)
    assert mine.sections == theirs.sections
    assert mine.symbols == theirs.symbols
    assert mine.relocations == theirs.relocations
    assert mine.places == theirs.places
    assert mine.records == theirs.records


def corpus_objects(shared: Path) -> list[Path]:
    return sorted((shared / "corpus").rglob("*.o"))
