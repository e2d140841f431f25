"""Calls of the kernel's own functions, and addresses of its variables.

A function that the platform's table knows is checked as the table says. Of others the program's
BTF tells the prototype; what that cannot tell (what is acquired or released) makes them refused
unless they only take and give numbers and memory.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.btf import BTF, layout
from anybpf.btf import types as t
from anybpf.errors import BTFError
from anybpf.isa.instruction import Instruction
from anybpf.platforms import kinds
from anybpf.platforms.calls import Arg, Kfunc, Return
from anybpf.verifier import calls, faults, numbers
from anybpf.verifier.calls import FunctionCall
from anybpf.verifier.contexts import STRUCT
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.exits import nothing_held
from anybpf.verifier.operations import Constant, Operation, Refused
from anybpf.verifier.rulebook import rulebook
from anybpf.verifier.rules import FunctionRule
from anybpf.verifier.state import State
from anybpf.verifier.values import (
    MEMORY,
    NUMBER,
    OBJECT,
    PER_CPU,
    PLAIN,
    READ_ONLY,
    TRUSTED,
    ObjectCell,
    Region,
    Unknown,
    Value,
)

# Gives a pointer to write through, which the kernel counts as a write to the packet.
WRITABLE_SLICE: Final = "bpf_dynptr_slice_rdwr"
# Words in the names of functions that take or give references, by the kernel's custom; without
# a row in the table such a function cannot be checked.
OWNERSHIP: Final = (
    "acquire",
    "release",
    "_get",
    "_put",
    "lock",
    "new",
    "destroy",
    "alloc",
    "free",
    "drop",
    "create",
    "kptr",
)


class KfuncCall(FunctionCall):
    """A call by name."""

    __slots__ = ()


class Throw(KfuncCall):
    """Ends the program at once: what is held would be lost."""

    __slots__ = ()

    def finish(self, st: State, env: Environment) -> Fault | None:
        fault = nothing_held(st)
        if fault is not None:
            return fault
        return super().finish(st, env)


class Next(KfuncCall):
    """Asks an iterator for its next element, and notes on the iterator what that is."""

    __slots__ = ()

    def finish(self, st: State, env: Environment) -> Fault | None:
        iterator = self.call.dynptr
        fault = super().finish(st, env)
        if fault is not None or iterator is None:
            return fault
        given = st.regs[0].region
        i: i64 = 0
        while i < len(st.stack):
            cell = st.stack[i]
            if isinstance(cell, ObjectCell) and cell.identity is iterator.identity:
                st.set_cell(i, cell.giving(given))
            i = i + 1
        return None


def compile_kfunc(env: Environment, pc: i64, insn: Instruction) -> Operation | Fault:
    """The operation for a call by BTF, or why this program may not make it."""
    name = insn.reference
    if not env.platform.allows("kernel_functions"):
        return Fault(faults.KFUNC, f"{env.platform.name} has no kernel functions to call")
    if not name:
        return Fault(
            faults.KFUNC, f"calls the kernel function with BTF id {insn.imm}, unknown here"
        )
    row = env.platform.kfunc(name)
    if row is None:
        row = row_from_types(env, name)
    if row is None:
        helper = env.platform.find_helper(name, env.program_type.name)
        if helper is not None:
            return calls.compile_helper(env, pc, helper.number)
        return Fault(
            faults.KFUNC, f"calls {name}, which is no kernel function that is known here", -1
        )
    fault = unavailable(env, row)
    if fault is not None:
        return fault
    if "trap" in row.flags:
        return Refused(
            pc,
            Fault(
                faults.UNREACHABLE,
                "the compiler put a trap here: the code before it has no defined meaning",
            ),
        )
    rule = FunctionRule(row.name, -1, row.returns, row.flags)
    calls.fill(env, rule, row.args)
    if "calls_back" in row.flags:
        from anybpf.verifier.callbacks import compile_callback

        return compile_callback(env, pc, rule, row.args)
    if "iter_next" in row.flags:
        return Next(pc, rule)
    return Throw(pc, rule) if "no_return" in row.flags else KfuncCall(pc, rule)


def unavailable(env: Environment, row: Kfunc) -> Fault | None:
    """Why programs of this type may not call the function."""
    kind = env.program_type
    rules = rulebook(env)
    if not env.platform.kfunc_allowed(row, kind.name, env.attach_type):
        where = f" at attach type {env.attach_type}" if env.attach_type else ""
        return Fault(
            faults.KFUNC, f"{row.name} is not available to programs of type {kind.name}{where}"
        )
    if not rules.gpl:
        return Fault(
            faults.KFUNC,
            f"{row.name}: only programs under a licence compatible with the GPL may call the "
            "kernel's functions",
        )
    if row.name == WRITABLE_SLICE and not rules.packet_writes:
        return Fault(
            faults.READ_ONLY,
            f"{row.name} is for programs that may write packets, which type {kind.name} may not",
        )
    if "lock" in row.flags and row.returns.kind == kinds.INTEGER:
        # Whether the lock is held depends on the result; states do not say such a thing.
        return Fault(
            faults.UNSUPPORTED, f"{row.name} may fail to take its lock, which is not followed here"
        )
    return None


# Prototypes from BTF.


def row_from_types(env: Environment, name: str) -> Kfunc | None:
    """A row for a function that the table does not have, made from the program's own types."""
    btf = env.btf
    if btf is None:
        return None
    found = btf.find(name, t.KIND_FUNC)
    if not isinstance(found, t.Function):
        return None
    for word in OWNERSHIP:
        if word in name:
            return None
    try:
        proto = btf.type(found.type_id)
        if not isinstance(proto, t.FunctionProto):
            return None
        returns = _return_of(btf, proto.return_id)
        if returns is None:
            return None
        args = _args_of(env, btf, proto)
    except BTFError:
        return None
    return None if args is None else Kfunc(name, args, returns)


def _return_of(btf: BTF, type_id: int) -> Return | None:
    found = layout.resolve(btf, type_id)
    if isinstance(found, t.Void):
        return Return(kinds.VOID)
    if isinstance(found, t.Int):
        if found.boolean:
            return Return(kinds.INTEGER, low=0, high=1)
        if found.size == 4:
            if found.signed:
                return Return(kinds.INTEGER, low=-(1 << 31), high=(1 << 31) - 1)
            return Return(kinds.INTEGER, low=0, high=(1 << 32) - 1)
        return Return(kinds.INTEGER)
    if isinstance(found, t.Enum):
        return Return(kinds.INTEGER)
    if isinstance(found, t.Pointer):
        target = layout.resolve(btf, found.type_id)
        if isinstance(target, t.Composite) and target.name:
            return Return(
                kinds.BTF_POINTER, nullable=True, type_name=target.name, trust="untrusted"
            )
    return None


def _args_of(env: Environment, btf: BTF, proto: t.FunctionProto) -> list[Arg] | None:
    args: list[Arg] = []
    for index, param in enumerate(proto.params):
        made = _arg_of(env, btf, proto, index, param)
        if made is None:
            return None
        args.append(made)
    for index, arg in enumerate(args):
        if arg.size_arg >= 0:
            args[arg.size_arg].memory_arg = index
    return args


def _arg_of(
    env: Environment, btf: BTF, proto: t.FunctionProto, index: int, param: t.Param
) -> Arg | None:
    name = param.name
    found = layout.resolve(btf, param.type_id)
    if name.endswith(("__ign", "__prog")):
        return Arg(name, kinds.IGNORED)
    if isinstance(found, (t.Int, t.Enum)):
        if name.endswith("__szk"):
            return Arg(name, kinds.CONSTANT_SIZE)
        if name.endswith("__sz"):
            return Arg(name, kinds.SIZE_OR_ZERO)
        return Arg(name, kinds.INTEGER, constant=name.endswith("__k"))
    if not isinstance(found, t.Pointer):
        return None
    nullable = name.endswith(("__nullable", "__opt"))
    if name.endswith("__str"):
        return Arg(name, kinds.STRING)
    if name.endswith("__map"):
        return Arg(name, kinds.MAP)
    if index + 1 < len(proto.params) and proto.params[index + 1].name.endswith(("__sz", "__szk")):
        return Arg(name, kinds.MEMORY, access="rw", size_arg=index + 1, nullable=nullable)
    target = layout.resolve(btf, found.type_id)
    if isinstance(target, t.Composite):
        if target.name == "bpf_dynptr":
            access = "w" if name.endswith("__uninit") else "r"
            return Arg(name, kinds.DYNPTR, access=access, nullable=nullable)
        context = env.program_type.context
        if context is not None and target.name == context.name:
            return Arg(name, kinds.CONTEXT)
        if target.name.startswith("bpf_"):
            return None
        return Arg(name, kinds.BTF_POINTER, type_name=target.name, nullable=nullable)
    if isinstance(target, (t.Int, t.Enum)):
        return Arg(name, kinds.MEMORY, access="rw", size=target.size, nullable=nullable)
    return None


# Variables of the kernel.


def symbol_address(env: Environment, pc: i64, insn: Instruction) -> Operation:
    """The operation for a load of a kernel symbol's address."""
    name = insn.reference
    value = symbol_value(env, name) if name else None
    if value is None:
        what = name or "a symbol"
        return Refused(
            pc, Fault(faults.UNSUPPORTED, f"loads the address of {what}, which is not known here")
        )
    return Constant(pc, int(insn.dst), value)


def symbol_value(env: Environment, name: str) -> Value | None:
    """What the address of a kernel variable is to a program."""
    for btf in (env.kernel_btf, env.btf):
        if btf is None:
            continue
        found = btf.find(name, t.KIND_VAR)
        if not isinstance(found, t.Var):
            continue
        try:
            target = layout.resolve(btf, found.type_id)
            flags = TRUSTED
            if btf is env.btf or is_per_cpu(btf, found.id):
                flags = TRUSTED | PER_CPU
            if isinstance(target, t.Void):
                return Value(NUMBER, 0, Unknown(numbers.TOP, PLAIN, 0, None), None)
            if isinstance(target, t.Composite):
                region = Region(OBJECT, 0, False, -1)
                region.type = STRUCT + target.name
                region.flags = flags
                return Value(OBJECT, 0, None, region)
            size = layout.size_of(btf, target.id)
            if flags & PER_CPU and btf is env.kernel_btf:
                region = Region(OBJECT, size, False, -1)
                region.flags = flags
                return Value(OBJECT, 0, None, region)
            region = Region(MEMORY, size, False, -1)
            region.flags = READ_ONLY | flags
            return Value(MEMORY, 0, None, region)
        except BTFError:
            return None
    return None


def is_per_cpu(btf: BTF, var_id: int) -> bool:
    """Whether the variable lies in the kernel's per-CPU section."""
    section = btf.find(".data..percpu", t.KIND_DATASEC)
    if not isinstance(section, t.DataSection):
        return False
    return any(each.type_id == var_id for each in section.vars)
