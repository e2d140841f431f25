"""Kernel structures known by their BTF, typed arguments, and kernel pointers in map values.

Objects of the kernel are read through BTF: any place inside the structure, with members that are
pointers giving pointers. Which functions take such pointers is the business of ``arguments``.
"""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.verifier import faults
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.fields import NO_FIELDS, FieldMap, SpecialField
from anybpf.verifier.memory import loaded
from anybpf.verifier.state import State
from anybpf.verifier.values import ACQUIRED, OBJECT, TRUSTED, Region, Value

Loaded = Value | Fault


def load_argument(st: State, env: Environment, index: i64, size: i64) -> Loaded:
    """The argument at ``index`` of a typed context."""
    return loaded(size, False)


def load_member(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, signed: bool
) -> Loaded:
    """What a load from a kernel structure finds."""
    region = pointer.region
    assert region is not None
    if region.nullable and not st.is_nonnull(region):
        return faults.may_be_null(env, pointer)
    return loaded(size, signed)


def store_member(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> Fault | None:
    return Fault(faults.READ_ONLY, f"writes to {faults.describe(env, pointer)}, which is read-only")


def load_kptr(st: State, env: Environment, pointer: Value, offset: i64, size: i64) -> Value | None:
    return None


def may_store_kptr(
    st: State, env: Environment, pointer: Value, offset: i64, size: i64, value: Value
) -> bool:
    return False


def begins_with(env: Environment, type_name: str, structure: str) -> bool:
    """Whether the kernel structure is, or begins with, the other one."""
    return holds_at(env, type_name, 0, structure)


def holds_at(env: Environment, type_name: str, offset: i64, structure: str) -> bool:
    """Whether a ``structure`` lies at this offset of the kernel structure."""
    return type_name == f"struct {structure}" and offset == 0


def check_range(
    st: State, env: Environment, pointer: Value, size: i64, write: bool
) -> Fault | None:
    """Whether that many bytes of the object may be handed to a function."""
    return Fault(
        faults.ARGUMENT,
        f"{faults.describe(env, pointer)} is not memory that functions may be given",
    )


def held_kptr(env: Environment, field: SpecialField) -> Region:
    """The region of a kernel pointer taken out of a map value."""
    region = Region(OBJECT, 0, True, -1)
    region.type = f"struct {field.type}"
    region.flags = ACQUIRED | TRUSTED
    return region


def own_fields(env: Environment, type_name: str) -> FieldMap:
    """The special fields of one of the program's own structures."""
    return NO_FIELDS


def structure_cells(env: Environment, name: str) -> i64:
    """How many cells of stack a structure of the kernel takes, -1 if that is not known."""
    return -1
