"""Kernel structures known by their BTF, typed arguments, and kernel pointers in map values.

Objects of the kernel are read through BTF: any place inside the structure, with members that are
pointers giving pointers. Which functions take such pointers is the business of ``arguments``.
"""

from __future__ import annotations

from typing import Union

from mypy_extensions import i64

from anybpf.verifier import faults
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.memory import loaded
from anybpf.verifier.state import State
from anybpf.verifier.values import Value

Loaded = Union[Value, Fault]


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
