"""Where a program may throw, and what may handle it: rules that code and types alone answer.

The handler is named by a declaration tag of the entry function. What a throw does to a state is
the business of ``kfuncs``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.layout import resolve
from anybpf.objects.specs import EXCEPTION_CALLBACK
from anybpf.verifier import faults
from anybpf.verifier.engine import Found
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.program import Code, FunctionCode

THROW: Final = "bpf_throw"


def problem(env: Environment, code: Code) -> Found | None:
    """What is wrong with the program's exceptions, or None."""
    handler = -1
    tags = [tag for tag in code.functions[0].function.tags if tag.startswith(EXCEPTION_CALLBACK)]
    if len(tags) > 1:
        return _found(0, "the program names several handlers of exceptions; it may have one")
    if tags:
        name = tags[0].removeprefix(EXCEPTION_CALLBACK)
        handler = int(code.by_name.get(name, -1))
        if handler < 0:
            return _found(0, f"{name}, which is to handle exceptions, is not there")
        wrong = _handler_problem(env.btf, code.functions[handler])
        if wrong:
            return _found(
                code.functions[handler].base, f"{name}, which handles exceptions, {wrong}"
            )
    # Only a handler and callbacks can be in the wrong place.
    return _misplaced(code, handler) if tags or code.takes_addresses else None


def _found(pc: i64, message: str) -> Found:
    return Found(pc, Fault(faults.CALLBACK, message), None, [])


def _handler_problem(btf: BTF | None, code: FunctionCode) -> str:
    """Why the function cannot handle exceptions; empty if it can."""
    if btf is None or code.function.type_id == 0:
        return "has no type"
    declared = btf.type(code.function.type_id)
    proto = resolve(btf, declared.type_id) if isinstance(declared, t.Function) else None
    if not isinstance(proto, t.FunctionProto):
        return "has no prototype"
    if len(proto.params) != 1 or not _is_number(btf, proto.params[0].type_id):
        return "must take one number and nothing else"
    if not _is_number(btf, proto.return_id):
        return "must return a number"
    if not code.is_global:  # nobody calls it: it would be verified nowhere
        return "must be a global function: neither static nor hidden"
    return ""


def _is_number(btf: BTF, type_id: int) -> bool:
    return type_id != 0 and isinstance(resolve(btf, type_id), (t.Int, t.Enum))


def _misplaced(code: Code, handler: int) -> Found | None:
    """A call of the handler, or a throw in what a callback runs."""
    todo: list[int] = [] if handler < 0 else [handler]
    leads: list[list[int]] = []
    throws: list[int] = []
    for function in code.functions:
        targets: list[int] = []
        thrown = -1
        at: i64 = function.base
        for insn in function.instructions:
            if insn.is_local_call or insn.is_function_load:
                target = int(code.by_name.get(insn.reference, -1))
                if target == handler and target >= 0 and insn.is_local_call:
                    return _found(
                        at, f"{insn.reference} handles exceptions and is not to be called"
                    )
                if target >= 0:
                    targets.append(target)
                    if insn.is_function_load:
                        todo.append(target)
            elif insn.is_btf_call and insn.reference == THROW:
                thrown = int(at)
            at = at + 1
        leads.append(targets)
        throws.append(thrown)
    seen: set[int] = set()
    while todo:
        index = todo.pop()
        if index in seen:
            continue
        seen.add(index)
        if throws[index] >= 0:
            return _found(throws[index], "throws where a callback runs, which nothing can unwind")
        todo.extend(leads[index])
    return None
