"""C headers: a compiler must take them and lay out every struct as the BTF says."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from anybpf.btf import BTF, BTFBuilder, Composite, Enum, Float, Int, Member, Pointer, Struct
from anybpf.btf import types as t
from anybpf.btf.cdump import dump_c
from anybpf.btf.layout import is_bitfield
from anybpf.errors import BTFError
from tests.btf.samples import compiled, kernel, need_clang, small


def check(folder: Path, header: str, more: str = "") -> None:
    """Let clang read a header and what comes after it."""
    (folder / "types.h").write_text(header)
    (folder / "use.c").write_text('#include "types.h"\n#include "types.h"\n' + more)
    done = subprocess.run(
        [*need_clang(), "-target", "bpf", "-fsyntax-only", "-Wall", "-Werror", "use.c"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[:2000]


def layout_assertions(btf: BTF) -> str:
    """C that fails to compile unless each struct and field lies where the BTF says."""
    tags: Counter[str] = Counter()
    for found in btf.types():
        if isinstance(found, (Composite, Enum)):
            tags[found.name] += 1
    lines = []
    for found in btf.types():
        if isinstance(found, Composite) and found.name and tags[found.name] == 1:
            c_name = f"{found.kind_name} {found.name}"
            lines.append(f'_Static_assert(sizeof({c_name}) == {found.size}, "{found.name}");')
            for m in found.members:
                if m.name and not is_bitfield(btf, m):
                    place = f"__builtin_offsetof({c_name}, {m.name})"
                    text = f"{found.name}.{m.name}"
                    lines.append(f'_Static_assert({place} == {m.bit_offset // 8}, "{text}");')
    return "\n".join(lines) + "\n"


def test_what_a_header_looks_like() -> None:
    text = dump_c(small(), [small().get("node_t").id], guard="", preserve_access_index=False)
    assert text == (
        "struct node;\n\n"
        "typedef struct node node_t;\n\n"
        "enum color {\n\tRED = 0,\n\tBLUE = 7,\n};\n\n"
        "struct node {\n"
        "\tstruct node *next;\n"
        "\tchar name[8];\n"
        "\tenum color color;\n"
        "\tunsigned char low: 3;\n"
        "\tunsigned char high: 5;\n"
        "\tunion {\n"
        "\t\tint whole;\n"
        "\t\tunsigned char first;\n"
        "\t};\n"
        "\tint points[2];\n"
        "\t_Bool on;\n"
        "};\n"
    )


def test_a_small_header_compiles(tmp_path: Path) -> None:
    check(tmp_path, dump_c(small()), layout_assertions(small()))
    header = dump_c(small(), guard="A-B")
    assert header.startswith("#ifndef A_B\n#define A_B\n")
    assert "preserve_access_index" in header


SOURCE = """
struct later;
typedef int (*callback_t)(struct later *, void (*)(const char *, ...), int[4]);
struct __attribute__((aligned(64))) wide { char c; callback_t cb; };
struct __attribute__((packed)) tight { char c; long l; short s : 5; int i : 30; };
struct bits { unsigned a : 1, : 6, b : 9; unsigned long long c : 40; char : 0; char d : 2; };
typedef struct { struct { int x; union { int y; struct { char z, w; }; }; } in; } anon_t;
struct later { struct wide wide[2]; struct tight tight; struct bits bits; anon_t a, *b;
  struct later *me; const char *const names[3]; volatile int v; enum { P, Q = -5 } pq;
  enum big { HUGE = 0x1234567890ULL } big; _Bool flag; __int128 i128; double d;
  struct undefined *u; int grid[2][3]; char gap __attribute__((aligned(32))); int tail[]; };
union __attribute__((aligned(16))) mix { char c; int i; };
struct odd { int a; char pad[1000]; long b __attribute__((aligned(4096))); };
enum tiny { T0, T1 } __attribute__((packed));
struct uses_tiny { enum tiny t; char c; };
struct keyword_free { int class, new, this; };
struct later l; union mix m; struct odd o; struct uses_tiny t; struct keyword_free k;
"""


@pytest.mark.parametrize("target", ["bpfel", "bpfeb"])
def test_a_compiler_gets_back_the_same_layout(tmp_path: Path, target: str) -> None:
    first = BTF.parse(compiled(tmp_path, SOURCE, target=target)[".BTF"])
    header = dump_c(first, preserve_access_index=False)
    names = sorted(f.name for f in first.types() if isinstance(f, Struct) and f.name)
    uses = "".join(f"struct {name} use_{name};\n" for name in names)
    second = BTF.parse(compiled(tmp_path, header + uses, target=target)[".BTF"])
    compared = 0
    for name in names:
        one, other = first.get(name, t.KIND_STRUCT), second.get(name, t.KIND_STRUCT)
        assert isinstance(one, Struct)
        assert isinstance(other, Struct)
        assert other.size == one.size, name
        real = [m for m in other.members if not m.name.startswith("__pad")]
        assert [(m.name, m.bit_offset, m.bitfield_size) for m in real] == [
            (m.name, m.bit_offset, m.bitfield_size) for m in one.members
        ], name
        compared += 1
    assert compared >= 7
    check(tmp_path, dump_c(first), layout_assertions(first))


def test_the_kernels_header_compiles_and_lays_out_the_same(tmp_path: Path) -> None:
    need_clang()
    btf = kernel()
    check(tmp_path, dump_c(btf), layout_assertions(btf))


def test_names_that_are_no_c_do_no_harm(tmp_path: Path) -> None:
    builder = BTFBuilder()
    number = builder.add(Int("u32\n;evil", 4))
    builder.add(Struct("a b", 4, [Member("int", number, 0)]))
    builder.add(Struct("while", 4, [Member("1st", number, 0)]))
    builder.add(t.Typedef("x; int y", number))
    builder.add(Float("_Float128x", 16))
    builder.add(Int("three", 3))
    builder.add(t.Enum("e", 4, False, [t.Enumerator("A B", 1)]))
    builder.add(t.Typedef("tagged", builder.add(t.TypeTag('"), evil("', number))))
    header = dump_c(builder.build())
    check(tmp_path, header)
    assert "struct a_b {" in header
    assert "struct while_ {" in header


def test_types_of_one_name_get_numbers(tmp_path: Path) -> None:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    for size in (4, 8):
        builder.add(Struct("twin", size, [Member("x", number, 0)]))
    for name in ("one", "two"):
        builder.add(t.Enum(name, 4, False, [t.Enumerator("SAME", 1)]))
    header = dump_c(builder.build())
    assert "struct twin___2 {" in header
    assert "SAME___2 = 1" in header
    check(tmp_path, header)


def test_a_struct_inside_itself_cannot_be_printed() -> None:
    builder = BTFBuilder()
    builder.add(Struct("s", 8, [Member("again", 1, 0)]))
    with pytest.raises(BTFError, match="type 1: it contains itself"):
        dump_c(builder.build())


def test_overlapping_fields_cannot_be_printed() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    builder.add(Struct("s", 8, [Member("a", number, 0), Member("b", number, 16)]))
    with pytest.raises(BTFError, match="fields overlap"):
        dump_c(builder.build())


def test_a_pointer_to_itself_cannot_be_printed() -> None:
    builder = BTFBuilder()
    builder.add(Pointer(1))
    builder.add(t.Typedef("p", 1))
    with pytest.raises(BTFError, match="nested too deep"):
        dump_c(builder.build())
