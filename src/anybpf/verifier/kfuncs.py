"""Calls of the kernel's own functions, and addresses of its variables."""

from __future__ import annotations

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction
from anybpf.verifier import faults
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.operations import Operation, Refused


def compile_kfunc(env: Environment, pc: i64, insn: Instruction) -> Operation | Fault:
    """The operation for a call by BTF, or why this program may not make it."""
    return Fault(faults.KFUNC, f"calls {insn.reference or 'a kernel function'}, not supported")


def symbol_address(env: Environment, pc: i64, insn: Instruction) -> Operation:
    """The operation for a load of a kernel symbol's address."""
    return Refused(
        pc, Fault(faults.UNSUPPORTED, f"loads the address of {insn.reference or 'a symbol'}")
    )
