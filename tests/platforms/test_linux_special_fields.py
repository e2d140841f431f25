"""Structures that map values may hold, against what map creation of a running kernel accepts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from anybpf.btf import BTFBuilder
from anybpf.btf import types as t
from anybpf.platforms import SpecialField, get
from tests.platforms import kernel

pytestmark = pytest.mark.skipif(bool(kernel.why_not()), reason=kernel.why_not())

LINUX = get("linux")
NODES = {"bpf_list_head": "bpf_list_node", "bpf_rb_root": "bpf_rb_node"}
# Its keys are structures of their own; there are no others that hold plain values.
LEFT_OUT = {"cgroup_storage", "percpu_cgroup_storage", "struct_ops"}
MAPS = [
    kind
    for kind in LINUX.map_types
    if kind.number and not kind.holds and kind.name not in LEFT_OUT | {"arena"}
]
# The kernel takes lists' and trees' nodes in map values for plain bytes; a pointer that user space
# lends needs a program that is loaded with it.
FIELDS = [
    field for field in LINUX.special_fields.values() if field.map_types and field.name != "uptr"
]


class Types:
    """BTF with an int, a long and a value that holds the field, and what else it needs."""

    def __init__(self, field: SpecialField) -> None:
        self.builder = BTFBuilder()
        self.int_id = self.builder.add(t.Int("int", 4, t.INT_SIGNED))
        self.long_id = self.builder.add(t.Int("long", 8, t.INT_SIGNED))
        members = [t.Member("field", self.field(field), 0)]
        size = max(field.size, 8)
        if field.name in NODES:
            node = LINUX.special_fields[NODES[field.name]]
            element = [t.Member("node", self.opaque(node), 0)]
            self.builder.add(t.Struct("element", node.size, element))
            lock = self.opaque(LINUX.special_fields["bpf_spin_lock"])
            members.append(t.Member("lock", lock, size * 8))
            size += 8
        self.size = size
        self.value_id = self.builder.add(t.Struct("value", size, members))
        if field.name in NODES:
            self.builder.add(t.DeclTag("contains:element:node", self.value_id, 0))

    def field(self, field: SpecialField) -> int:
        if field.name.startswith("bpf_"):
            return self.opaque(field)
        pointee = self.builder.add(t.Struct("task_struct", 0, []))
        tagged = self.builder.add(t.TypeTag(field.name, pointee))
        return self.builder.add(t.Pointer(tagged))

    def opaque(self, field: SpecialField) -> int:
        words = self.long_id if field.align == 8 else self.int_id
        inner = self.builder.add(t.Array(words, self.int_id, field.size // field.align))
        return self.builder.add(t.Struct(field.name, field.size, [t.Member("opaque", inner, 0)]))


@pytest.fixture(params=FIELDS, ids=lambda field: field.name)
def special(request: pytest.FixtureRequest) -> Iterator[tuple[SpecialField, Types, int]]:
    types = Types(request.param)
    descriptor, problem = kernel.load_types(types.builder.encode())
    assert descriptor >= 0, problem
    yield request.param, types, descriptor
    os.close(descriptor)


def test_map_types(special: tuple[SpecialField, Types, int]) -> None:
    field, types, descriptor = special
    bits = {flag.name: flag.bit for flag in LINUX.map_flags}
    wrong = []
    for kind in MAPS:
        key_size = 0 if kind.key_size.high == 0 else max(4, kind.key_size.low)
        handle, _ = kernel.create_map(
            kind.number,
            key_size,
            types.size,
            0 if kind.entries.high == 0 else 1,
            sum(bits[name] for name in kind.required_flags),
            types=(descriptor, types.int_id if key_size else 0, types.value_id),
        )
        if handle >= 0:
            os.close(handle)
        if (handle >= 0) != (kind.name in field.map_types):
            wrong.append(kind.name)
    assert wrong == []
