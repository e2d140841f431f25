"""CO-RE: what a relocation record of a program means on another kernel's types.

A record names a local type, a path into it and a question (one of thirteen kinds); the answer is
a number. Matching follows the rules that libbpf and the kernel share (Linux,
tools/lib/bpf/relo_core.c); putting the number into an instruction is left to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF
from anybpf.btf.corematch import fields_compatible, types_compatible, types_match
from anybpf.btf.flavours import essential_name
from anybpf.btf.layout import MAX_DEPTH, resolve, size_of
from anybpf.btf.names import type_name
from anybpf.errors import BTFError

# Kinds of relocation: enum bpf_core_relo_kind in include/uapi/linux/bpf.h.
FIELD_BYTE_OFFSET: Final = 0
FIELD_BYTE_SIZE: Final = 1
FIELD_EXISTS: Final = 2
FIELD_SIGNED: Final = 3
FIELD_LSHIFT_U64: Final = 4
FIELD_RSHIFT_U64: Final = 5
TYPE_ID_LOCAL: Final = 6
TYPE_ID_TARGET: Final = 7
TYPE_EXISTS: Final = 8
TYPE_SIZE: Final = 9
ENUMVAL_EXISTS: Final = 10
ENUMVAL_VALUE: Final = 11
TYPE_MATCHES: Final = 12

# The words that LLVM and libbpf use for them.
KIND_NAMES: Final = (
    "byte_off", "byte_sz", "field_exists", "signed", "lshift_u64", "rshift_u64",
    "local_type_id", "target_type_id", "type_exists", "type_size", "enumval_exists",
    "enumval_value", "type_matches",
)  # fmt: skip

_FIELD_KINDS: Final = frozenset(range(FIELD_BYTE_OFFSET, FIELD_RSHIFT_U64 + 1))
_ENUM_KINDS: Final = frozenset((ENUMVAL_EXISTS, ENUMVAL_VALUE))
# Types of one name looked at; kernels have some dozens of the commonest.
_MAX_CANDIDATES: Final = 1000
# Length of a path at most (BPF_CORE_SPEC_MAX_LEN in relo_core.h).
_MAX_PATH: Final = 64


class CoreResult:
    """What a relocation comes to.

    If `ok`, the instruction gets `value`; the number it had from the compiler must be `original`
    unless that is None. If not `ok`, the instruction is to be poisoned and `reason` says which
    field of which type is missing. For `byte_off` on a load or store, `original_size` and `size`
    are the bytes of the field here and there: where they differ, the access takes the new size
    if `resizable` and must be poisoned otherwise; `signed` tells of the field on the target.
    Values of enumerators may be negative; all other values are not.
    `target` is the BTF that `value` refers to, for `target_type_id`.
    """

    __slots__ = (
        "kind", "ok", "original", "original_size", "reason", "resizable", "signed", "size",
        "target", "text", "value",
    )  # fmt: skip

    def __init__(self, kind: int, text: str) -> None:
        self.kind: int = kind
        self.text: str = text
        self.ok: bool = True
        self.reason: str = ""
        self.value: int = 0
        self.original: int | None = None
        self.original_size: int = 0
        self.size: int = 0
        self.signed: bool = False
        self.resizable: bool = True
        self.target: BTF | None = None

    @property
    def poison(self) -> bool:
        return not self.ok

    def __repr__(self) -> str:
        if not self.ok:
            return f"<CoreResult {self.text}: {self.reason}>"
        return f"<CoreResult {self.text} = {self.value}>"


class Step:
    """One step of a path: a named member of `parent`, or an element if `name` is None."""

    __slots__ = ("index", "member", "name", "parent_id")

    def __init__(
        self, parent_id: int, index: int, name: str | None, member: t.Member | None
    ) -> None:
        # For a member, the struct it is in; for an element, the type of the element.
        self.parent_id: int = parent_id
        self.index: int = index
        self.name: str | None = name
        self.member: t.Member | None = member


class Spec:
    """A path that was followed in one BTF: its steps, and where it ends."""

    __slots__ = ("bit_offset", "btf", "root_id", "steps")

    def __init__(self, btf: BTF, root_id: int) -> None:
        self.btf: BTF = btf
        self.root_id: int = root_id
        self.steps: list[Step] = []
        self.bit_offset: int = 0


def relocate(
    local: BTF, type_id: int, access: str, kind: int, targets: BTF | Sequence[BTF]
) -> CoreResult:
    """Resolve one relocation record against the types of a kernel and, if need be, its modules.

    `targets` is the kernel's BTF, or a list that begins with it and goes on with those of
    modules (split BTF). Several types of the wanted name must agree on the answer; if they do
    not, or if the record makes no sense, `BTFError` is raised. What is simply not there is no
    error but a result that is not `ok`.
    """
    if not 0 <= kind < len(KIND_NAMES):
        raise BTFError(f"CO-RE relocation of unknown kind {kind}", file=local.file)
    path = _parse_access(access, local.file)
    if kind == TYPE_ID_LOCAL:
        result = CoreResult(kind, f"{KIND_NAMES[kind]} of {type_name(local, type_id)}")
        # Linking may have renumbered types after the compiler wrote the id: nothing to check.
        result.value = type_id
        result.target = local
        return result
    spec = _local_spec(local, type_id, path, kind)
    text = f"{KIND_NAMES[kind]} of {describe(spec, kind)}"
    root = local.type(type_id)
    if not root.name:
        raise BTFError(f"{text}: a CO-RE relocation needs a type with a name", file=local.file)
    found = candidates(root, [targets] if isinstance(targets, BTF) else targets)
    result = _answer(spec, found, kind, text)
    if not result.ok:
        where = describe(spec, kind)
        what = f"{root.kind_name} '{essential_name(root.name)}'"
        if not found:
            result.reason = f"{KIND_NAMES[kind]} of {where}: the target has no {what}"
        else:
            result.reason = f"{KIND_NAMES[kind]} of {where}: the {what} of the target lacks it"
    return result


def candidates(root: t.Type, targets: Sequence[BTF]) -> list[tuple[BTF, int]]:
    """Types of the targets with the name and kind of `root`, flavours aside.

    Modules are asked only for what the kernel itself, the first of the targets, does not have.
    """
    wanted = essential_name(root.name)
    found: list[tuple[BTF, int]] = []
    for position, target in enumerate(targets):
        names = [wanted, *target.flavours(wanted)]
        for name in names:
            if essential_name(name) != wanted:
                continue
            for type_id in target.find_ids(name):
                # A module's BTF shows the kernel's types too; those were looked at before.
                if position and type_id < target.first_id:
                    continue
                if same_kind(target.type(type_id), root):
                    found.append((target, type_id))
        if len(found) > _MAX_CANDIDATES:
            raise BTFError(
                f"{len(found)} types are called {root.kind_name} '{wanted}'", file=target.file
            )
        if position == 0 and found:
            break
    return found


def same_kind(one: t.Type, other: t.Type) -> bool:
    """Same kind, an enum of either width being the same."""
    if isinstance(one, t.Enum):
        return isinstance(other, t.Enum)
    return one.kind == other.kind


def _parse_access(access: str, file: str) -> list[int]:
    parts = access.split(":")
    numbers = [
        int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 11
    ]
    if len(numbers) != len(parts) or len(parts) > _MAX_PATH:
        raise BTFError(f"CO-RE path '{access[:80]}' is not made of numbers like 0:1:2", file=file)
    return numbers


def _local_spec(local: BTF, type_id: int, path: list[int], kind: int) -> Spec:
    """Follow a path of indices through the program's own types."""
    spec = Spec(local, type_id)
    if kind not in _FIELD_KINDS and kind not in _ENUM_KINDS:
        if path != [0]:
            raise _bad_path(local, type_id, path, "a relocation of a whole type has the path 0")
        return spec
    found = resolve(local, type_id)
    if kind in _ENUM_KINDS:
        if not isinstance(found, t.Enum) or len(path) != 1 or path[0] >= len(found.values):
            raise _bad_path(local, type_id, path, "it names no value of an enum")
        spec.steps.append(Step(found.id, path[0], found.values[path[0]].name, None))
        return spec
    spec.steps.append(Step(found.id, path[0], None, None))
    spec.bit_offset = path[0] * size_of(local, found.id) * 8
    for index in path[1:]:
        if isinstance(found, t.Composite):
            if index >= len(found.members):
                raise _bad_path(local, type_id, path, f"{found.name} has no field {index}")
            member = found.members[index]
            spec.bit_offset += member.bit_offset
            if member.name:
                spec.steps.append(Step(found.id, index, member.name, member))
            found = resolve(local, member.type_id)
        elif isinstance(found, t.Array):
            if index >= found.count and not _is_flexible(spec, found):
                raise _bad_path(local, type_id, path, f"element {index} of {found.count}")
            element = resolve(local, found.element_id)
            spec.steps.append(Step(element.id, index, None, None))
            spec.bit_offset += index * size_of(local, element.id) * 8
            found = element
        else:
            raise _bad_path(local, type_id, path, "it goes into something that has no parts")
    return spec


def _bad_path(local: BTF, type_id: int, path: list[int], why: str) -> BTFError:
    text = ":".join([str(index) for index in path])
    return BTFError(
        f"CO-RE path {text} does not fit {type_name(local, type_id)}: {why}",
        file=local.file,
        offset=local.offset_of(type_id),
    )


def _is_flexible(spec: Spec, found: t.Array) -> bool:
    """Whether an array, the last step of `spec`, has no length and ends its struct."""
    last = spec.steps[-1]
    if found.count or last.member is None:
        return False
    parent = spec.btf.type(last.parent_id)
    return isinstance(parent, t.Composite) and last.index == len(parent.members) - 1


def describe(spec: Spec, kind: int) -> str:
    """The field, value or type that is meant, in C's words: `struct sk_buff.len`."""
    root = type_name(spec.btf, spec.root_id)
    if kind in _ENUM_KINDS:
        return f"{root}::{spec.steps[0].name}"
    parts = [root]
    for position, step in enumerate(spec.steps):
        if step.name is not None:
            parts.append(f".{step.name}")
        elif position or step.index:
            parts.append(f"[{step.index}]")
    return "".join(parts)


def describe_record(local: BTF, type_id: int, access: str, kind: int) -> str:
    """What a record asks for, in words: `struct sk_buff.len`, `size of struct sk_buff.len`."""
    if not 0 <= kind < len(KIND_NAMES):
        raise BTFError(f"CO-RE relocation of unknown kind {kind}", file=local.file)
    if kind == TYPE_ID_LOCAL:
        return f"{KIND_NAMES[kind]} of {type_name(local, type_id)}"
    spec = _local_spec(local, type_id, _parse_access(access, local.file), kind)
    where = describe(spec, kind)
    return where if kind == FIELD_BYTE_OFFSET else f"{KIND_NAMES[kind]} of {where}"


def _answer(local: Spec, found: list[tuple[BTF, int]], kind: int, text: str) -> CoreResult:
    """One result from all candidates, which must agree."""
    agreed: CoreResult | None = None
    agreed_spec: Spec | None = None
    for target, type_id in found:
        spec = _match(local, target, type_id, kind)
        if spec is None:
            continue
        result = _calculate(local, spec, kind, text)
        if agreed is None or agreed_spec is None:
            agreed = result
            agreed_spec = spec
            continue
        same_place = kind not in _FIELD_KINDS or spec.bit_offset == agreed_spec.bit_offset
        if not same_place or result.value != agreed.value or result.ok != agreed.ok:
            raise BTFError(
                f"{text}: the target has several types of that name that disagree: "
                f"type {agreed_spec.root_id} gives {agreed.value}, "
                f"type {type_id} gives {result.value}",
                file=target.file,
                offset=target.offset_of(type_id),
            )
    return _calculate(local, None, kind, text) if agreed is None else agreed


def _match(local: Spec, target: BTF, type_id: int, kind: int) -> Spec | None:
    """The same path on a type of the target, or None where there is none."""
    spec = Spec(target, type_id)
    if kind == TYPE_MATCHES:
        return spec if types_match(local.btf, local.root_id, target, type_id) else None
    if kind not in _FIELD_KINDS and kind not in _ENUM_KINDS:
        return spec if types_compatible(local.btf, local.root_id, target, type_id) else None
    found = resolve(target, type_id)
    if kind in _ENUM_KINDS:
        return _match_enumerator(local, spec, found)
    for position, step in enumerate(local.steps):
        if step.name is not None:
            assert step.member is not None
            inner = _match_member(local.btf, step, spec, found, 0)
            if inner is None:
                return None
            found = inner
        else:
            if position:
                if not isinstance(found, t.Array):
                    return None
                if step.index >= found.count and not _is_flexible(spec, found):
                    return None
                found = resolve(target, found.element_id)
            spec.steps.append(Step(found.id, step.index, None, None))
            spec.bit_offset += step.index * size_of(target, found.id) * 8
    return spec


def _match_enumerator(local: Spec, spec: Spec, found: t.Type) -> Spec | None:
    if not isinstance(found, t.Enum):
        return None
    wanted = essential_name(local.steps[0].name or "")
    for index, entry in enumerate(found.values):
        if essential_name(entry.name) == wanted:
            spec.steps.append(Step(found.id, index, entry.name, None))
            return spec
    return None


def _match_member(
    local: BTF, step: Step, spec: Spec, found: t.Type, depth: int, seen: set[int] | None = None
) -> t.Type | None:
    """Go to the member of that name, also inside anonymous ones; its type, or None."""
    if not isinstance(found, t.Composite):
        return None
    if seen is None:
        seen = set()
    if depth > MAX_DEPTH or found.id in seen:
        return None
    seen.add(found.id)
    assert step.member is not None
    for index, member in enumerate(found.members):
        if not member.name:
            spec.bit_offset += member.bit_offset
            anonymous = resolve(spec.btf, member.type_id)
            inner = _match_member(local, step, spec, anonymous, depth + 1, seen)
            if inner is not None:
                return inner
            spec.bit_offset -= member.bit_offset
        elif member.name == step.name:
            if not fields_compatible(local, step.member.type_id, spec.btf, member.type_id):
                return None
            spec.steps.append(Step(found.id, index, member.name, member))
            spec.bit_offset += member.bit_offset
            return resolve(spec.btf, member.type_id)
    return None


def _calculate(local: Spec, spec: Spec | None, kind: int, text: str) -> CoreResult:
    """The result for one candidate; without one, for a target that has nothing of the kind."""
    result = CoreResult(kind, text)
    if spec is not None:
        result.target = spec.btf
    if kind in (FIELD_EXISTS, ENUMVAL_EXISTS):
        result.original = 1
        result.value = 1 if spec is not None else 0
    elif kind in _FIELD_KINDS:
        here = _field(local, kind, text)
        result.original = here.value if here.sure else None
        if spec is None:
            result.ok = False
        else:
            there = _field(spec, kind, text)
            result.value = there.value
            result.signed = there.signed
            result.original_size = here.size
            result.size = there.size
            result.resizable = here.size == there.size or _resizable(here.type, there.type)
    elif kind == ENUMVAL_VALUE:
        signed = _enum(local).signed
        result.original = _enum_value(local, signed)
        if spec is None:
            result.ok = False
        else:
            result.value = _enum_value(spec, signed)
            result.signed = _enum(spec).signed
    else:
        _type_answer(local, spec, kind, result)
    return result


def _type_answer(local: Spec, spec: Spec | None, kind: int, result: CoreResult) -> None:
    """Questions about a whole type; a missing one counts as zero."""
    if kind == TYPE_SIZE:
        result.original = size_of(local.btf, local.root_id)
        if spec is not None:
            result.value = size_of(spec.btf, spec.root_id)
    elif kind == TYPE_ID_TARGET:
        # Linking may have renumbered types after the compiler wrote the id: nothing to check.
        if spec is not None:
            result.value = spec.root_id
    else:
        result.original = 1
        result.value = 1 if spec is not None else 0


def _enum(spec: Spec) -> t.Enum:
    found = spec.btf.type(spec.steps[0].parent_id)
    assert isinstance(found, t.Enum)
    return found


def _enum_value(spec: Spec, signed: bool) -> int:
    """The value of an enumerator, in the sign that the program's own enum has.

    BTF of kernels before 6.0 calls every enum unsigned, also one with negative values.
    """
    found = _enum(spec)
    value = found.values[spec.steps[0].index].value
    if signed and not found.signed and found.kind == t.KIND_ENUM and value >= 1 << 31:
        return value - (1 << 32)
    return value


class _Field:
    """One answer about a field; `sure` if compilers have no choice in it."""

    __slots__ = ("signed", "size", "sure", "type", "value")

    def __init__(self, found: t.Type) -> None:
        self.type: t.Type = found
        self.value: int = 0
        self.size: int = 0
        self.sure: bool = True
        self.signed: bool = isinstance(found, (t.Int, t.Enum)) and found.signed


def _field(spec: Spec, kind: int, text: str) -> _Field:
    last = spec.steps[-1]
    if last.member is None:
        return _element(spec, last, kind, text)
    found = resolve(spec.btf, last.member.type_id)
    field = _Field(found)
    width = last.member.bitfield_size
    start = spec.bit_offset
    size = size_of(spec.btf, found.id)
    offset = start // 8
    bits = size * 8
    if width:
        # The narrowest naturally aligned load that covers the bit-field.
        bits = width
        size = max(size, 1)
        offset = start // 8 // size * size
        while start + bits > (offset + size) * 8:
            if size >= 8:
                raise BTFError(f"{text}: no load of 8 bytes covers the bit-field")
            size *= 2
            offset = start // 8 // size * size
        field.sure = False
    if kind == FIELD_BYTE_OFFSET:
        field.value = offset
        if not width:
            field.size = size
    elif kind == FIELD_BYTE_SIZE:
        field.value = size
    elif kind == FIELD_SIGNED:
        field.value = 1 if field.signed else 0
        field.sure = True
    elif kind == FIELD_LSHIFT_U64:
        if spec.btf.big_endian:
            field.value = (8 - size) * 8 + start - offset * 8
        else:
            field.value = 64 - (start + bits - offset * 8)
    else:
        field.value = 64 - bits
        field.sure = True
    return field


def _element(spec: Spec, last: Step, kind: int, text: str) -> _Field:
    """An element of an array, or the whole object; it has a place and a size, no more."""
    field = _Field(resolve(spec.btf, last.parent_id))
    size = size_of(spec.btf, last.parent_id)
    if kind == FIELD_BYTE_OFFSET:
        field.value = spec.bit_offset // 8
        field.size = size
    elif kind == FIELD_BYTE_SIZE:
        field.value = size
    else:
        raise BTFError(f"{text}: this can be asked of a field, not of an array element")
    return field


def _resizable(one: t.Type, other: t.Type) -> bool:
    """Whether a load of another size still gives the right number: by zero extension only."""
    if isinstance(one, t.Pointer) and isinstance(other, t.Pointer):
        return True
    return (
        isinstance(one, t.Int) and isinstance(other, t.Int) and not one.signed and not other.signed
    )
