"""Structures by their BTF: what lies at a place, and what a load from there gives.

The kernel's structures come from the types of the kernel, those of allocated objects from the
program's own. How far a loaded pointer may be relied on is the business of ``typed``.
"""

from __future__ import annotations

import functools
from typing import Final

from mypy_extensions import i64

from anybpf.btf import BTF, layout
from anybpf.btf import types as t
from anybpf.errors import BTFError, InputError
from anybpf.objects.fields import NO_FIELDS, FieldMap, fields_of
from anybpf.verifier.contexts import STRUCT
from anybpf.verifier.environment import Environment

# Where Linux shows the types of the running kernel.
KERNEL_TYPES: Final = "/sys/kernel/btf/vmlinux"
DEEPEST: Final = 16

# What a place holds.
NOT_THERE: Final = 0
PLAIN: Final = 1
POINTER: Final = 2

# What type tags of a pointer say.
USER: Final = 1
PER_CPU: Final = 2
RCU: Final = 4
IN_UNION: Final = 8


class Place:
    """What ``size`` bytes at some offset of a structure are.

    ``owner`` and ``field`` name the innermost structure and its member; ``type`` is what a pointer
    points to.
    """

    __slots__ = ("field", "owner", "problem", "tags", "type", "what")

    def __init__(self, what: i64) -> None:
        self.what: i64 = what
        self.owner: str = ""
        self.field: str = ""
        self.type: str = ""
        self.tags: i64 = 0
        self.problem: str = ""


class Structure:
    """One structure, with what was found at its places. ``own``: the program's."""

    __slots__ = ("btf", "fields", "own", "places", "type")

    def __init__(self, btf: BTF | None, found: t.Composite | None, own: bool) -> None:
        self.btf: BTF | None = btf
        self.type: t.Composite | None = found
        self.own: bool = own
        self.places: dict[i64, Place] = {}
        self.fields: FieldMap = NO_FIELDS
        if own and found is not None:
            self.fields = fields_of(btf, found.id)

    def at(self, offset: i64, size: i64) -> Place:
        key = offset * 16 + size
        found = self.places.get(key)
        if found is None:
            found = self._find(offset, size)
            self.places[key] = found
        return found

    def _find(self, offset: i64, size: i64) -> Place:
        btf = self.btf
        struct = self.type
        if btf is None or struct is None:
            return Place(PLAIN)
        try:
            return find_place(btf, struct, int(offset), int(size))
        except BTFError:
            return Place(PLAIN)


def find_place(btf: BTF, struct: t.Composite, offset: int, size: int) -> Place:
    """Walk down to the member that holds these bytes."""
    tags = 0
    for _ in range(DEEPEST):
        if offset < 0 or offset + size > struct.size:
            if not _ends_openly(btf, struct):
                place = Place(NOT_THERE)
                place.problem = f"{struct.kind_name} {struct.name} has {struct.size} bytes"
                return place
            return Place(PLAIN)
        # A union of one member is but a way to widen a pointer (__bpf_md_ptr).
        if struct.kind == t.KIND_UNION and len(struct.members) != 1:
            tags = tags | IN_UNION
        member = _member_at(btf, struct, offset)
        if member is None:
            return Place(PLAIN)
        inner = offset - member.bit_offset // 8
        found = layout.resolve(btf, member.type_id)
        while isinstance(found, t.Array):
            element = layout.resolve(btf, found.element_id)
            step = layout.size_of(btf, element.id)
            if step == 0:
                return Place(PLAIN)
            inner = inner % step
            found = element
        if isinstance(found, t.Composite):
            struct = found
            offset = inner
            continue
        place = Place(PLAIN)
        place.owner = struct.name
        place.field = member.name
        if not isinstance(found, t.Pointer):
            end = member.bit_offset // 8 + layout.size_of(btf, member.type_id)
            whole = struct.kind == t.KIND_STRUCT and not member.bitfield_size
            if whole and offset + size > end:
                place.what = NOT_THERE
                place.problem = (
                    f"{member.name} of {struct.kind_name} {struct.name} ends at byte {end}"
                )
            return place
        if inner != 0 or size != 8:
            place.what = NOT_THERE
            place.problem = f"{member.name} is a pointer, which is read whole"
            return place
        target = layout.resolve(btf, found.type_id)
        if isinstance(target, (t.Composite, t.Forward)):
            place.what = POINTER
            # One without a name goes by its id.
            place.type = STRUCT + (target.name or f"#{target.id}")
            place.tags = tags | pointer_tags(btf, found)
        return place
    return Place(PLAIN)


def _member_at(btf: BTF, struct: t.Composite, offset: int) -> t.Member | None:
    """The first member that holds this byte."""
    for member in struct.members:
        start = member.bit_offset // 8
        if start > offset:
            if struct.kind == t.KIND_STRUCT:
                break
            continue
        if member.bitfield_size:
            if offset * 8 < member.bit_offset + member.bitfield_size:
                return member
            continue
        found = layout.resolve(btf, member.type_id)
        if isinstance(found, (t.Forward, t.FunctionProto, t.Void)):
            continue
        if offset < start + layout.size_of(btf, member.type_id):
            return member
    return None


def _ends_openly(btf: BTF, struct: t.Composite) -> bool:
    """Whether the last member is an array without a length."""
    if not struct.members:
        return False
    found = layout.resolve(btf, struct.members[-1].type_id)
    return isinstance(found, t.Array) and found.count == 0


def pointer_tags(btf: BTF, pointer: t.Pointer) -> int:
    tags = 0
    found = btf.type(pointer.type_id)
    for _ in range(layout.MAX_DEPTH):
        if isinstance(found, t.TypeTag):
            tags = tags | {"user": USER, "percpu": PER_CPU, "rcu": RCU}.get(found.name, 0)
        elif found.kind not in (t.KIND_CONST, t.KIND_VOLATILE, t.KIND_RESTRICT, t.KIND_TYPEDEF):
            break
        assert isinstance(found, t.Reference)
        found = btf.type(found.type_id)
    return tags


@functools.cache
def running_kernel() -> BTF | None:
    """The types of the kernel that runs here, None where there is none that shows them."""
    try:
        with open(KERNEL_TYPES, "rb") as file:
            return BTF.parse(file.read())
    except (OSError, InputError):
        return None


def kernel_types(env: Environment) -> BTF | None:
    """The kernel's types: those that the environment gives, else those of this machine."""
    found = env.kernel_btf
    if found is None and env.platform.allows("kernel_functions"):
        found = running_kernel()
        env.kernel_btf = found
    return found


def find_structure(btf: BTF | None, name: str) -> t.Composite | None:
    """The structure or union of that name; a suffix after three underscores is not part of it."""
    if btf is None:
        return None
    plain = name.removeprefix(STRUCT)
    if plain.startswith("#"):
        nameless = btf.type(int(plain[1:]))
        return nameless if isinstance(nameless, t.Composite) else None
    for one in (plain, plain.partition("___")[0]):
        for kind in (t.KIND_STRUCT, t.KIND_UNION):
            found = btf.find(one, kind)
            if isinstance(found, t.Composite):
                return found
    return None


def contains(btf: BTF, struct: t.Composite, offset: int, name: str) -> bool:
    """Whether a structure of that name lies at this offset, or the structure itself is it."""
    for _ in range(DEEPEST):
        if offset == 0 and struct.name == name:
            return True
        member = _member_at(btf, struct, offset)
        if member is None:
            return False
        inner = offset - member.bit_offset // 8
        found = layout.resolve(btf, member.type_id)
        while isinstance(found, t.Array):
            element = layout.resolve(btf, found.element_id)
            step = layout.size_of(btf, element.id)
            if step == 0:
                return False
            inner = inner % step
            found = element
        if not isinstance(found, t.Composite):
            return False
        struct = found
        offset = inner
    return False


def is_plain(btf: BTF, struct: t.Composite, depth: int) -> bool:
    """Whether there are numbers only in the structure, arrays of them, and structures of them."""
    if struct.kind != t.KIND_STRUCT or not struct.members or depth > DEEPEST // 4:
        return False
    try:
        for member in struct.members:
            found = layout.resolve(btf, member.type_id)
            while isinstance(found, t.Array):
                found = layout.resolve(btf, found.element_id)
            if isinstance(found, t.Composite):
                if not is_plain(btf, found, depth + 1):
                    return False
            elif not isinstance(found, (t.Int, t.Enum)):
                return False
    except BTFError:
        return False
    return True
