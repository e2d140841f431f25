"""Sizes, alignments and names of places, compared with what C compilers do."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.btf import BTF, Array, BTFBuilder, Int, Member, Pointer, Struct, Typedef, Var
from anybpf.btf import types as t
from anybpf.btf.layout import align_of, field_path, find_member, resolve, size_of
from anybpf.btf.names import type_name
from anybpf.errors import BTFError
from tests.btf.samples import compiled, kernel, small

SOURCE = """
typedef struct { char c; long l; } pair_t;
struct __attribute__((packed)) tight { char c; int i; };
struct outer {
    short s;
    struct { int a; union { int b; char raw[4]; }; };
    pair_t pairs[3];
    struct tight tight;
    unsigned x : 3, y : 7;
    int (*call)(struct outer *, const char *, ...);
    const volatile int *const *deep;
    char tail[];
};
struct outer *unused;
struct outer object;
enum small { ONE = 1 } __attribute__((packed)) e;
const int matrix[2][3];
"""


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> BTF:
    return BTF.parse(compiled(tmp_path_factory.mktemp("layout"), SOURCE)[".BTF"])


def test_sizes_and_alignments_are_those_of_the_compiler(outer: BTF) -> None:
    ids = {found.name: found.id for found in outer.types()}
    assert (size_of(outer, ids["outer"]), align_of(outer, ids["outer"])) == (88, 8)
    assert (size_of(outer, ids["tight"]), align_of(outer, ids["tight"])) == (5, 1)
    assert (size_of(outer, ids["pair_t"]), align_of(outer, ids["pair_t"])) == (16, 8)
    assert size_of(outer, ids["matrix"]) == 24
    assert align_of(outer, ids["matrix"]) == 4
    assert size_of(outer, ids["e"]) == 1


@pytest.mark.parametrize(
    ("offset", "size", "path"),
    [
        (0, 2, "s"), (4, 4, "a"), (8, 4, "b"), (8, 1, "raw[0]"), (10, 1, "raw[2]"),
        (16, 1, "pairs[0].c"), (40, 8, "pairs[1].l"), (64, 1, "tight.c"), (65, 4, "tight.i"),
        (32, 16, "pairs[1]"), (69, 1, "x"), (71, 1, None), (72, 8, "call"),
        (80, 8, "deep"), (200, 1, "tail[112]"), (80, 4, "deep"), (500_000, 4, None),
    ],
)  # fmt: skip
def test_a_place_has_the_name_that_c_gives_it(
    outer: BTF, offset: int, size: int, path: str | None
) -> None:
    assert field_path(outer, outer.get("outer").id, offset, size) == path


def test_fields_are_found_through_anonymous_members(outer: BTF) -> None:
    place = find_member(outer, outer.get("outer").id, "raw")
    assert place is not None
    assert place.bit_offset == 64
    assert find_member(outer, outer.get("outer").id, "nothing") is None
    assert find_member(outer, outer.get("e").id, "raw") is None


def test_types_are_named_as_c_writes_them(outer: BTF) -> None:
    found = outer.get("outer")
    assert isinstance(found, Struct)
    names = {m.name: type_name(outer, m.type_id, m.name) for m in found.members if m.name}
    assert names["s"] == "short s"
    assert names["pairs"] == "pair_t pairs[3]"
    assert names["tight"] == "struct tight tight"
    assert names["call"] == "int (*call)(struct outer *, const char *, ...)"
    assert names["deep"] == "const volatile int *const *deep"
    matrix = outer.get("matrix")
    assert isinstance(matrix, Var)
    assert type_name(outer, matrix.type_id, "matrix") == "const int matrix[2][3]"


def test_compiled_for_another_byte_order(tmp_path: Path) -> None:
    big = BTF.parse(compiled(tmp_path, SOURCE, target="bpfeb")[".BTF"])
    assert big.big_endian
    assert size_of(big, big.get("outer").id) == 88


def test_the_kernels_own_structs() -> None:
    btf = kernel()
    skb = btf.get("sk_buff", t.KIND_STRUCT)
    assert isinstance(skb, Struct)
    place = find_member(btf, skb.id, "len")
    assert place is not None
    assert field_path(btf, skb.id, place.bit_offset // 8, 4) == "len"
    assert type_name(btf, skb.id) == "struct sk_buff"
    for found in btf.types():
        if isinstance(found, t.Composite):
            align = align_of(btf, found.id)
            assert found.size % align == 0


def test_pointers_are_as_wide_as_long() -> None:
    builder = BTFBuilder()
    pointer = builder.add(Pointer(0))
    assert size_of(builder.build(), pointer) == 8
    builder.add(Int("long unsigned int", 4))
    assert size_of(builder.build(), pointer) == 4


def circles() -> dict[str, tuple[BTF, int]]:
    """Types that cannot exist, each with the id to ask for."""
    made: dict[str, tuple[BTF, int]] = {}
    builder = BTFBuilder()
    builder.add(Typedef("a", 2))
    builder.add(Typedef("b", 1))
    made["typedefs"] = (builder.build(), 1)
    builder = BTFBuilder()
    builder.add(Array(1, 1, 1))
    made["array of itself"] = (builder.build(), 1)
    builder = BTFBuilder()
    builder.add(Struct("s", 8, [Member("again", 1, 0)]))
    made["struct in itself"] = (builder.build(), 1)
    builder = BTFBuilder()
    builder.add(Int("int", 4))
    for inner in range(1, 5):
        builder.add(Array(inner, 1, 0xFFFFFFFF))
    made["huge array"] = (builder.build(), 5)
    return made


@pytest.mark.parametrize("name", list(circles()))
def test_what_cannot_exist_is_an_error(name: str) -> None:
    btf, type_id = circles()[name]
    if name == "struct in itself":
        assert size_of(btf, type_id) == 8
        with pytest.raises(BTFError, match="contain themselves"):
            align_of(btf, type_id)
    else:
        with pytest.raises(BTFError, match=f"type {type_id}: "):
            size_of(btf, type_id)


def test_a_pointer_to_itself_has_a_size_but_no_name() -> None:
    builder = BTFBuilder()
    builder.add(Pointer(1))
    btf = builder.build()
    assert size_of(btf, 1) == 8
    with pytest.raises(BTFError, match="too deep to be written"):
        type_name(btf, 1)


def test_void_has_no_size() -> None:
    btf = small()
    assert resolve(btf, 0).kind == t.KIND_VOID
    with pytest.raises(BTFError, match=r"type 0: void \(anon\) has no size"):
        size_of(btf, 0)
