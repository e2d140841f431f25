"""Calls of functions that call the program back."""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.platforms.model import Arg
from anybpf.verifier import faults
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.operations import Operation
from anybpf.verifier.rules import FunctionRule


def compile_callback(
    env: Environment, pc: i64, rule: FunctionRule, args: tuple[Arg, ...]
) -> Operation | Fault:
    return Fault(faults.UNSUPPORTED, f"{rule.name} is not supported")
