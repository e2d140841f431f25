"""Global functions: verified once on their own, called by their prototype."""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.objects.specs import Function
from anybpf.verifier import exits
from anybpf.verifier.entry import blank_state
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.operations import Operation
from anybpf.verifier.state import State


def is_global(env: Environment, function: Function) -> bool:
    """Whether the function is verified by itself, and calls know its prototype only."""
    return False


def compile_global_call(env: Environment, pc: i64, function: Function) -> Operation | Fault:
    """The operation for a call of a global function."""
    return Fault("unsupported", f"calls global function {function.name}")


def global_entry_state(env: Environment, function: Function) -> State | Fault:
    """The state in which a global function begins, by its prototype."""
    return blank_state(env)


def check_global_exit(st: State, env: Environment, function: Function) -> Fault | None:
    """The end of a global function."""
    return exits.nothing_held(st)
