"""Arguments that are more than memory: locks, timers, kernel pointers, dynptrs, list nodes."""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.platforms.model import Arg
from anybpf.verifier import faults
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.rules import ArgumentRule, Call, FunctionRule
from anybpf.verifier.state import State
from anybpf.verifier.values import Value


class Unsupported(ArgumentRule):
    """A kind of argument that nothing is known about."""

    def stack_read(self) -> i64:
        return -1

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        return Fault(
            faults.UNSUPPORTED,
            f"argument {self.name} of {rule.name} is of a kind that is not supported",
            self.register,
        )


def special_argument(register: i64, arg: Arg) -> ArgumentRule:
    return Unsupported(register, arg.name, arg.nullable, arg.releases, arg.type)
