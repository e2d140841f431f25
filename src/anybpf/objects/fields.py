"""Fields with a meaning inside map values and allocated objects: locks, timers, kernel pointers.

Found once in the type of the value; programs may touch them only through the functions made for
them. What these functions ask for is the business of the checks of calls.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.btf import BTF, layout
from anybpf.btf import types as t
from anybpf.errors import BTFError
from anybpf.objects.specs import VariableSpec

# What a field is.
SPIN_LOCK: Final = 1
RES_SPIN_LOCK: Final = 2
TIMER: Final = 3
WORK_QUEUE: Final = 4
TASK_WORK: Final = 5
KPTR: Final = 6  # a pointer that holds a reference
KPTR_UNTRUSTED: Final = 7
KPTR_PERCPU: Final = 8
USER_POINTER: Final = 9
LIST_HEAD: Final = 10
LIST_NODE: Final = 11
RB_ROOT: Final = 12
RB_NODE: Final = 13
REFCOUNT: Final = 14

# Flags of regions, beside those of ``values``: a map value that has special fields, and one that
# programs may only write.
SPECIAL_VALUE: Final = 1 << 20
WRITE_ONLY: Final = 1 << 21

# Structures by name: Linux UAPI header linux/bpf.h (6.18).
STRUCTURES: Final[dict[str, int]] = {
    "bpf_spin_lock": SPIN_LOCK,
    "bpf_res_spin_lock": RES_SPIN_LOCK,
    "bpf_timer": TIMER,
    "bpf_wq": WORK_QUEUE,
    "bpf_task_work": TASK_WORK,
    "bpf_list_head": LIST_HEAD,
    "bpf_list_node": LIST_NODE,
    "bpf_rb_root": RB_ROOT,
    "bpf_rb_node": RB_NODE,
    "bpf_refcount": REFCOUNT,
}

# Type tags of pointers: kernel documentation, Documentation/bpf/kfuncs.rst and graph_ds_impl.rst.
TAGS: Final[dict[str, int]] = {
    "kptr": KPTR,
    "kptr_untrusted": KPTR_UNTRUSTED,
    "percpu_kptr": KPTR_PERCPU,
    "uptr": USER_POINTER,
}

NAMES: Final[dict[int, str]] = {
    SPIN_LOCK: "spin lock",
    RES_SPIN_LOCK: "resilient spin lock",
    TIMER: "timer",
    WORK_QUEUE: "work queue",
    TASK_WORK: "task work",
    KPTR: "kernel pointer",
    KPTR_UNTRUSTED: "kernel pointer",
    KPTR_PERCPU: "per-CPU pointer",
    USER_POINTER: "user pointer",
    LIST_HEAD: "list head",
    LIST_NODE: "list node",
    RB_ROOT: "tree root",
    RB_NODE: "tree node",
    REFCOUNT: "reference count",
}

# Elements of an array, and fields of one value, that are looked at; the kernel stops at 11 fields
# (BTF_FIELDS_MAX in linux/bpf.h).
MOST_ELEMENTS: Final = 64
DEEPEST: Final = 8


class SpecialField:
    """A field at ``offset``. ``type`` is the structure that a pointer points to.

    For a list head or tree root, ``type`` is what it contains, and ``node_offset`` where in that
    the node lies. ``type_local`` says that the type is the program's own.
    """

    __slots__ = ("kind", "node_offset", "offset", "size", "type", "type_id")

    def __init__(self, kind: int, offset: int, size: int) -> None:
        self.kind: i64 = kind
        self.offset: i64 = offset
        self.size: i64 = size
        self.type: str = ""
        self.type_id: i64 = 0
        self.node_offset: i64 = 0


class FieldMap:
    """The special fields of one type, by place."""

    __slots__ = ("fields",)

    def __init__(self, fields: list[SpecialField]) -> None:
        self.fields: list[SpecialField] = fields

    def touched(self, low: i64, high: i64) -> SpecialField | None:
        """A field that the bytes [low, high) touch."""
        for field in self.fields:
            if field.offset < high and low < field.offset + field.size:
                return field
        return None

    def at(self, offset: i64, kind: i64) -> SpecialField | None:
        """The field of this kind that begins here."""
        for field in self.fields:
            if field.offset == offset and field.kind == kind:
                return field
        return None

    def of_kind(self, kind: i64) -> SpecialField | None:
        """The first field of this kind."""
        for field in self.fields:
            if field.kind == kind:
                return field
        return None


NO_FIELDS: Final = FieldMap([])


def fields_of(btf: BTF | None, type_id: int) -> FieldMap:
    """The special fields of a type; none where nothing is known of it."""
    if btf is None or type_id == 0:
        return NO_FIELDS
    found: list[SpecialField] = []
    try:
        _walk(btf, type_id, 0, 0, found)
    except BTFError:
        return NO_FIELDS
    return FieldMap(found) if found else NO_FIELDS


def fields_of_variables(btf: BTF | None, variables: list[VariableSpec]) -> FieldMap:
    """The special fields of a data section, whose type does not say where its variables lie."""
    if btf is None:
        return NO_FIELDS
    found: list[SpecialField] = []
    try:
        for variable in variables:
            if variable.type_id == 0:
                continue
            before = len(found)
            _walk(btf, variable.type_id, variable.offset, 0, found)
            if len(found) == before + 1 and found[before].kind in (LIST_HEAD, RB_ROOT):
                declared = btf.find(variable.name, t.KIND_VAR)
                if declared is not None:
                    _contents(btf, declared.id, -1, found[before])
    except BTFError:
        return NO_FIELDS
    return FieldMap(found) if found else NO_FIELDS


def _walk(btf: BTF, type_id: int, base: int, depth: int, found: list[SpecialField]) -> None:
    resolved = layout.resolve(btf, type_id)
    if depth > DEEPEST or len(found) > MOST_ELEMENTS:
        return
    if isinstance(resolved, t.Pointer):
        tag = _tag_of(btf, resolved)
        if tag:
            field = SpecialField(tag, base, 8)
            target = layout.resolve(btf, resolved.type_id)
            field.type = target.name
            field.type_id = target.id
            found.append(field)
        return
    if isinstance(resolved, t.Array):
        if not _interesting(btf, resolved.element_id, 0):
            return
        size = layout.size_of(btf, resolved.element_id)
        for index in range(min(resolved.count, MOST_ELEMENTS)):
            _walk(btf, resolved.element_id, base + index * size, depth + 1, found)
        return
    if not isinstance(resolved, t.Composite):
        return
    kind = STRUCTURES.get(resolved.name)
    if kind is not None:
        found.append(SpecialField(kind, base, resolved.size))
        return
    for index, member in enumerate(resolved.members):
        before = len(found)
        _walk(btf, member.type_id, base + member.bit_offset // 8, depth + 1, found)
        if len(found) == before + 1 and found[before].kind in (LIST_HEAD, RB_ROOT):
            _contents(btf, resolved.id, index, found[before])


def _interesting(btf: BTF, type_id: int, depth: int) -> bool:
    """Whether elements of this type can have special fields at all."""
    resolved = layout.resolve(btf, type_id)
    if isinstance(resolved, t.Array):
        return depth < DEEPEST and _interesting(btf, resolved.element_id, depth + 1)
    return isinstance(resolved, (t.Composite, t.Pointer))


def _tag_of(btf: BTF, pointer: t.Pointer) -> int:
    found = btf.type(pointer.type_id)
    for _ in range(layout.MAX_DEPTH):
        if isinstance(found, t.TypeTag):
            kind = TAGS.get(found.name)
            if kind is not None:
                return kind
        if found.kind not in (t.KIND_TYPE_TAG, t.KIND_CONST, t.KIND_VOLATILE, t.KIND_RESTRICT):
            return 0
        assert isinstance(found, t.Reference)
        found = btf.type(found.type_id)
    return 0


def _contents(btf: BTF, struct_id: int, component: int, field: SpecialField) -> None:
    """What a list or tree contains, as its declaration's tag says: "contains:type:node"."""
    for each in btf.types():
        if (
            isinstance(each, t.DeclTag)
            and each.type_id == struct_id
            and each.component_index == component
            and each.name.startswith("contains:")
        ):
            _, name, node = ([*each.name.split(":"), "", ""])[:3]
            struct = btf.find(name, t.KIND_STRUCT)
            if isinstance(struct, t.Struct):
                field.type = name
                field.type_id = struct.id
                for member in struct.members:
                    if member.name == node:
                        field.node_offset = member.bit_offset // 8
            return
