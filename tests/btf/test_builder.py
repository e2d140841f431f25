"""Making BTF, and what it cannot hold."""

from __future__ import annotations

import pytest

from anybpf.btf import BTFBuilder, Enum, Enumerator, Int, Member, Pointer, Struct, Typedef
from anybpf.btf import types as t
from anybpf.errors import BTFError
from tests.btf.samples import small


def test_merging_shifts_references() -> None:
    builder = BTFBuilder()
    first = builder.merge(small())
    second = builder.merge(small())
    btf = builder.build()
    assert second[1] == first[-1] + 1
    node = btf.type(second[small().get("node").id])
    assert isinstance(node, Struct)
    link = btf.type(node.members[0].type_id)
    assert isinstance(link, Pointer)
    assert link.type_id == node.id


def test_a_type_can_be_replaced_after_others_refer_to_it() -> None:
    builder = BTFBuilder()
    later = builder.add(t.Forward("later"))
    builder.add(Pointer(later))
    builder.replace(later, Struct("later", 4, []))
    assert builder.build().type(later).kind == t.KIND_STRUCT
    with pytest.raises(BTFError, match="type id 9 was not added here"):
        builder.replace(9, t.Forward("x"))


def test_equal_strings_are_stored_once() -> None:
    builder = BTFBuilder()
    assert builder.add_string("eth") == builder.add_string("eth")
    assert builder.add_string("") == 0
    assert builder.encode().count(b"eth\0") == 1


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (Struct("s", 1 << 32, []), "struct 's' has a number that BTF cannot store"),
        (Struct("s", 4, [Member("m", 1, 1 << 24, 3)]), "field 'm' of 's' lies too far out"),
        (Struct("s", 4, [Member("m", 1, 0, 3)], False), "'m' of 's' is a bit-field, but"),
        (Enum("e", 4, False, [Enumerator("A", -1)]), "A = -1 of enum 'e' does not fit into 32"),
        (Typedef("a\0b", 1), "contains a NUL"),
        (t.Void(), "kind void cannot be added"),
        (t.FunctionProto(0, [t.Param("p", 1)] * 65536), "has 65536 parts"),
        (Int("i", -1), "cannot store"),
    ],
)
def test_what_btf_cannot_hold_is_refused(made: t.Type, complaint: str) -> None:
    with pytest.raises(BTFError, match=complaint):
        BTFBuilder().add(made)


def test_merging_a_reference_to_nowhere_is_an_error() -> None:
    broken = BTFBuilder()
    broken.add(Pointer(77))
    with pytest.raises(BTFError, match="type id 77 does not exist"):
        BTFBuilder().merge(broken.build())
