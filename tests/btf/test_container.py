"""Reading BTF: ids, names, strings, both byte orders, split BTF."""

from __future__ import annotations

import struct

import pytest

from anybpf.btf import BTF, BTFBuilder, Int, Pointer, Struct, Typedef
from anybpf.btf import types as t
from anybpf.btf.builder import rebuild
from anybpf.btf.dump import dump_dicts
from anybpf.errors import BTFError, NotFound
from tests.btf.samples import kernel, small


def test_types_are_found_by_id_and_by_name() -> None:
    btf = small()
    node = btf.find("node")
    assert isinstance(node, Struct)
    assert btf.type(node.id) is node
    assert [m.name for m in node.members[:3]] == ["next", "name", "color"]
    assert btf.find("node", t.KIND_TYPEDEF) is None
    assert btf.find("missing") is None
    assert btf.type(0).kind == t.KIND_VOID
    assert [found.id for found in btf.types()] == list(range(1, len(btf)))


def test_a_missing_name_says_what_was_looked_for() -> None:
    with pytest.raises(NotFound, match="no type struct 'nodes' in small"):
        small().get("nodes", t.KIND_STRUCT)


def test_all_types_of_one_name_are_found_in_order() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("x", 4))
    builder.add(Typedef("y", number))
    builder.add(Typedef("x", number))
    builder.add(Struct("x", 0, []))
    btf = builder.build()
    assert [found.id for found in btf.find_all("x")] == [1, 3, 4]
    assert btf.get("x", t.KIND_STRUCT).id == 4
    assert btf.find_all("") == []


@pytest.mark.parametrize("type_id", [-1, 99, 1 << 40])
def test_an_id_that_does_not_exist_is_an_error(type_id: int) -> None:
    with pytest.raises(BTFError, match=f"type id {type_id} does not exist"):
        small().type(type_id)


def test_every_kind_survives_being_written_and_read() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4, t.INT_SIGNED))
    proto = builder.add(t.FunctionProto(0, [t.Param("a", number), t.Param("", 0)]))
    function = builder.add(t.Function("f", proto, t.LINKAGE_EXTERN))
    variable = builder.add(t.Var("v", number, t.LINKAGE_STATIC))
    for made in [
        t.Volatile(number), t.Const(number), t.Restrict(number), t.Forward("u", True),
        t.TypeTag("user", number), t.TypeTag("address_space(1)", number, True),
        t.DeclTag("tag", function, 0), t.DeclTag("all", function), t.Float("float", 4),
        t.DataSection(".data", 8, [t.SectionVar(variable, 4, 4)]),
        t.Enum("e", 4, True, [t.Enumerator("MINUS", -1)]),
        t.Enum64("e64", 8, True, [t.Enumerator("LOW", -(1 << 63)), t.Enumerator("HI", 1 << 62)]),
        t.Enum64("u64", 8, False, [t.Enumerator("ALL", (1 << 64) - 1)]),
        t.Array(number, number, 3), Int("odd", 4, 0, 3, 5),
    ]:  # fmt: skip
        builder.add(made)
    btf = builder.build()
    again = rebuild(btf)
    assert again.encode() == btf.encode()
    assert dump_dicts(again) == dump_dicts(btf)
    kinds = {found.kind for found in btf.types()}
    assert kinds | {4, 5, 2, 8} == set(range(1, 20))
    tag = btf.find("tag")
    assert isinstance(tag, t.DeclTag)
    assert (tag.component_index, tag.type_id) == (0, function)
    enum = btf.find("e64")
    assert isinstance(enum, t.Enum64)
    assert [value.value for value in enum.values] == [-(1 << 63), 1 << 62]


def test_both_byte_orders_hold_the_same_types() -> None:
    little = small()
    big = rebuild(little, big_endian=True)
    assert big.big_endian
    assert big.encode()[:2] == b"\xeb\x9f"
    assert dump_dicts(big) == dump_dicts(little)
    assert rebuild(big, big_endian=False).encode() == little.encode()


def test_split_btf_continues_its_base() -> None:
    base = small()
    builder = BTFBuilder(base=base)
    module = builder.add(Struct("module", 8, [t.Member("node", base.get("node").id, 0)]))
    pointer = builder.add(Pointer(module))
    split = builder.build("module")
    assert split.first_id == len(base) == module
    assert split.type(pointer) is not split.type(module)
    assert split.type(1) is base.type(1)
    assert split.get("node") is base.get("node")
    assert [found.id for found in split.types(own=True)] == [module, pointer]
    assert BTF.parse(split.encode(), base).get("module").id == module
    assert base.find("module") is None


def test_a_string_may_end_inside_another() -> None:
    data = bytearray(BTFBuilder().encode())
    builder = BTFBuilder()
    builder.add(Int("unsigned int", 4))
    data = bytearray(builder.encode())
    name_at = 24
    (offset,) = struct.unpack_from("<I", data, name_at)
    struct.pack_into("<I", data, name_at, offset + len("unsigned "))
    btf = BTF.parse(bytes(data))
    assert btf.type(1).name == "int"
    assert btf.get("int").id == 1


def test_bytes_that_are_no_utf8_survive() -> None:
    builder = BTFBuilder()
    builder.add(Int("n\udcff", 4))
    btf = builder.build()
    assert b"n\xff\0" in btf.encode()
    assert rebuild(btf).encode() == btf.encode()


def test_the_kernel_survives_being_written_and_read() -> None:
    btf = kernel()
    again = rebuild(btf)
    assert len(again) == len(btf)
    # Strings move, so a second time must give the very same bytes.
    assert rebuild(again).encode() == again.encode()
    some = list(range(1, len(btf), 97))
    assert dump_dicts(again, some) == dump_dicts(btf, some)
    task = again.get("task_struct", t.KIND_STRUCT)
    assert isinstance(task, Struct)
    assert task.size == btf.get("task_struct", t.KIND_STRUCT).size  # type: ignore[attr-defined]
