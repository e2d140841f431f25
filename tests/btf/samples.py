"""BTF for tests: taken out of object files, compiled from a few lines of C, or built by hand."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from anybpf.btf import BTF, BTFBuilder, Enum, Enumerator, Int, Member, Pointer, Struct, Typedef
from anybpf.btf import types as t

KERNEL = Path("/sys/kernel/btf/vmlinux")


def sections(path: Path) -> dict[str, bytes]:
    """The sections of a 64-bit ELF file of either byte order, by name."""
    data = path.read_bytes()
    order = ">" if data[5] == 2 else "<"
    (start,) = struct.unpack_from(order + "Q", data, 0x28)
    count, names_index = struct.unpack_from(order + "HH", data, 0x3C)
    heads = [struct.unpack_from(order + "IIQQQQIIQQ", data, start + 64 * i) for i in range(count)]
    names = data[heads[names_index][4] :]
    found: dict[str, bytes] = {}
    for head in heads:
        name = names[head[0] : names.index(b"\0", head[0])].decode()
        if head[1] != 8:  # SHT_NOBITS
            found[name] = data[head[4] : head[4] + head[5]]
    return found


@cache
def clang() -> list[str] | None:
    """How to call a clang that knows BPF."""
    for name in ("clang", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17"):
        found = shutil.which(name)
        if found is None:
            continue
        done = subprocess.run([found, "--print-targets"], capture_output=True, text=True)
        if "bpf" in done.stdout:
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "clang"]
    return None


def need_clang() -> list[str]:
    found = clang()
    if found is None:
        pytest.skip("neither a clang that knows BPF nor the ziglang wheel is here")
    return found


def compiled(folder: Path, source: str, *flags: str, target: str = "bpfel") -> dict[str, bytes]:
    """The sections of the object that clang makes of C source."""
    (folder / "source.c").write_text(source)
    command = [*need_clang(), "-target", target, "-g", "-O2", "-Wno-everything", *flags]
    done = subprocess.run(
        [*command, "-c", "source.c", "-o", "object.o"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return sections(folder / "object.o")


@cache
def kernel() -> BTF:
    """The types of the kernel that runs here."""
    if not KERNEL.is_file():
        pytest.skip(f"no {KERNEL} here")
    return BTF.parse(KERNEL.read_bytes(), file=str(KERNEL))


def small() -> BTF:
    """A dozen types by hand: a list node that points to itself, an enum, bit-fields, a union."""
    builder = BTFBuilder()
    number = builder.add(Int("int", 4, t.INT_SIGNED))
    byte = builder.add(Int("unsigned char", 1))
    letter = builder.add(Int("char", 1, t.INT_SIGNED))
    text = builder.add(t.Array(letter, number, 8))
    color = builder.add(Enum("color", 4, False, [Enumerator("RED", 0), Enumerator("BLUE", 7)]))
    node_id = builder.next_id + 1
    link = builder.add(Pointer(node_id))
    builder.add(
        Struct(
            "node",
            40,
            [
                Member("next", link, 0),
                Member("name", text, 64),
                Member("color", color, 128),
                Member("low", byte, 160, 3),
                Member("high", byte, 163, 5),
                Member("", builder.next_id + 1, 192),
                Member("points", builder.next_id + 2, 224),
                Member("on", builder.next_id + 3, 288),
            ],
        )
    )
    builder.add(t.Union("", 4, [Member("whole", number, 0), Member("first", byte, 0)]))
    builder.add(t.Array(number, number, 2))
    builder.add(Int("_Bool", 1, t.INT_BOOL))
    builder.add(Typedef("node_t", node_id))
    builder.add(t.Float("double", 8))
    return builder.build("small")
