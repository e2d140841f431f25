"""Arguments that are more than memory: locks, timers, kernel pointers, dynptrs, iterators.

Fields with a meaning inside map values and allocated objects are found by ``fields``; what the
calls then do to what is held, stands in ``effects``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.objects import fields
from anybpf.objects.fields import SpecialField
from anybpf.platforms import kinds
from anybpf.platforms.model import Arg
from anybpf.verifier import faults, memory, typed
from anybpf.verifier.arguments import holder, is_zero, null_argument, take_object, wrong
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.rulebook import map_fields
from anybpf.verifier.rules import NO_STACK, ArgumentRule, Call, FunctionRule, NewObject
from anybpf.verifier.state import FRAME_BYTES, FRAME_CELLS, State
from anybpf.verifier.values import (
    ARENA,
    MAP_VALUE,
    NON_OWNING,
    NUMBER,
    OBJECT,
    OWNED,
    PER_CPU,
    STACK,
    ObjectCell,
    Value,
)

# Argument kinds that name a field of a map value or object.
FIELD_KINDS: Final[dict[str, int]] = {
    kinds.SPIN_LOCK: fields.SPIN_LOCK,
    kinds.RES_SPIN_LOCK: fields.RES_SPIN_LOCK,
    kinds.TIMER: fields.TIMER,
    kinds.WORK_QUEUE: fields.WORK_QUEUE,
    kinds.TASK_WORK: fields.TASK_WORK,
    kinds.KPTR: fields.KPTR,
    kinds.LIST_HEAD: fields.LIST_HEAD,
    kinds.RB_ROOT: fields.RB_ROOT,
}

DYNPTR_CELLS: Final = 2
# The flavour of dynptrs that hold a reserved record, which must be given back.
RINGBUF_DYNPTR: Final = "ringbuf"
# Sizes of iterators in cells: kernel headers, struct bpf_iter_NAME (6.18); others by their BTF.
ITERATOR_CELLS: Final[dict[str, int]] = {
    "num": 1,
    "bits": 2,
    "task": 3,
    "task_vma": 1,
    "css": 3,
    "css_task": 1,
    "kmem_cache": 1,
    "dmabuf": 1,
    "scx_dsq": 6,
}


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


class FieldArgument(ArgumentRule):
    """The address of a lock, timer, kernel pointer, list or tree in a map value or object."""

    __slots__ = ("field",)

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.field: i64 = FIELD_KINDS[arg.kind]

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        what = fields.NAMES[int(self.field)]
        region = value.region
        if region is None:
            return wrong(env, rule, self, value, f"a {what} in a map value")
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        if value.unknown is not None:
            return wrong(env, rule, self, value, f"a {what} at a constant offset")
        found: SpecialField | None = None
        if value.kind == MAP_VALUE and region.index >= 0:
            info = env.maps[region.index]
            if faults.displaced(region, info.value_size):
                return wrong(env, rule, self, value, f"a {what} that is the same on all ways here")
            found = self.find(map_fields(env, info), value.offset)
            if found is None:
                return Fault(
                    faults.ARGUMENT,
                    f"r{self.register}, argument {self.name} of {rule.name}: values of map "
                    f"{info.name} have no {what} at offset {value.offset}, by their type",
                    self.register,
                    f"the address of a struct with a {what}",
                )
            call.map = region.index
        elif value.kind == OBJECT and (region.flags & OWNED) != 0:
            if faults.displaced(region, typed.own_size(env, region)):
                return wrong(env, rule, self, value, f"a {what} that is the same on all ways here")
            found = self.find(typed.own_fields(env, region.type), value.offset)
            if found is None:
                return wrong(env, rule, self, value, f"a {what}")
        else:
            return wrong(env, rule, self, value, f"a {what} in a map value")
        call.region = region
        call.field = found
        call.place = value.offset
        return None

    def find(self, known: fields.FieldMap, offset: i64) -> SpecialField | None:
        found = known.at(offset, self.field)
        if found is None and self.field == fields.KPTR:
            return known.at(offset, fields.KPTR_PERCPU)
        return found


class StoredPointer(ArgumentRule):
    """What is put into a kernel pointer's field: of its type and held by the program, or null."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if is_zero(value):
            return None
        field = call.field
        region = value.region
        if value.kind != OBJECT or region is None or field is None:
            return wrong(env, rule, self, value, "an object of the field's type, or null")
        if faults.displaced(region, typed.own_size(env, region)):
            return wrong(env, rule, self, value, "one object's beginning")
        if region.type != f"struct {field.type}" or value.offset != 0 or value.unknown is not None:
            return wrong(env, rule, self, value, f"a pointer to struct {field.type}")
        return take_object(st, env, rule, self, call, value)


class AllocatedArgument(ArgumentRule):
    """An object that the program allocated."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        if value.kind != OBJECT or region is None or (region.flags & OWNED) == 0:
            return wrong(env, rule, self, value, "an object that was allocated by the program")
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        moved = value.offset != 0 or value.unknown is not None
        if moved or faults.displaced(region, typed.own_size(env, region)):
            return wrong(env, rule, self, value, "the object's beginning")
        per_cpu = (region.flags & PER_CPU) != 0
        if per_cpu != (self.type == "percpu"):
            return wrong(env, rule, self, value, "an object allocated the other way")
        return take_object(st, env, rule, self, call, value)


class RefcountedArgument(ArgumentRule):
    """An allocated object with a reference count, owned or borrowed."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        if value.kind != OBJECT or region is None or (region.flags & OWNED) == 0:
            return wrong(env, rule, self, value, "an object that was allocated by the program")
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        if typed.own_fields(env, region.type).of_kind(fields.REFCOUNT) is None:
            return wrong(env, rule, self, value, "an object with a struct bpf_refcount")
        call.object = value
        return None


class NodeArgument(ArgumentRule):
    """The node inside an allocated object that the list or tree can hold."""

    __slots__ = ("node",)

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.node: i64 = fields.LIST_NODE if arg.kind == kinds.LIST_NODE else fields.RB_NODE

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        field = call.field
        if value.kind != OBJECT or region is None or (region.flags & OWNED) == 0:
            return wrong(env, rule, self, value, "a node in an allocated object")
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        if field is not None and (
            region.type != f"struct {field.type}"
            or faults.displaced(region, typed.own_size(env, region))
            or value.unknown is not None
            or value.offset != field.node_offset
        ):
            return wrong(
                env, rule, self, value, f"the node of a struct {field.type} that the head names"
            )
        if self.releases:
            held = holder(st, region)
            if held is None:
                return Fault(
                    faults.NOT_ACQUIRED,
                    f"r{self.register}, argument {self.name} of {rule.name}, must be an object "
                    "that the program owns",
                    self.register,
                )
            call.lent = held
            return None
        if (region.flags & NON_OWNING) == 0:
            return wrong(env, rule, self, value, "a node that lies in the tree")
        call.object = value
        return None


# Objects on the stack.


def stack_place(
    st: State, env: Environment, rule: FunctionRule, arg: ArgumentRule, value: Value, cells: i64
) -> i64:
    """The byte of its frame where an object of so many cells lies, -1 if that cannot be."""
    if value.kind != STACK or value.unknown is not None:
        return -1
    low = value.offset + FRAME_BYTES
    if low < 0 or (low & 7) != 0 or low + cells * 8 > FRAME_BYTES:
        return -1
    return low


def object_here(st: State, value: Value, low: i64, cells: i64, name: str) -> ObjectCell | None:
    """The whole object of that name that begins here."""
    region = value.region
    assert region is not None
    base = region.index * FRAME_CELLS + (low >> 3)
    first = st.stack[base]
    if not isinstance(first, ObjectCell) or first.type != name or first.index != 0:
        return None
    i: i64 = 1
    while i < cells:
        cell = st.stack[base + i]
        if not isinstance(cell, ObjectCell) or cell.identity is not first.identity:
            return None
        i = i + 1
    return first


class StackObject(ArgumentRule):
    """An object on the stack: ``new``, one is made there, otherwise one lies there."""

    __slots__ = ("acquires", "cells", "detail", "fault", "new", "read_only", "what")

    def __init__(
        self, register: i64, arg: Arg, what: str, cells: i64, detail: str, fault: str
    ) -> None:
        super().__init__(register, arg.name, arg.nullable, arg.releases, arg.type)
        self.what: str = what
        self.cells: i64 = cells
        self.detail: str = detail
        self.fault: str = fault
        self.new: bool = arg.access == "w"
        self.acquires: bool = False
        self.read_only: bool = False

    def stack_read(self) -> i64:
        return NO_STACK if self.new else self.cells * 8

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        cells = self.cells
        if cells < 0:
            cells = typed.structure_cells(env, self.what)
            if cells < 0:
                return Fault(faults.UNSUPPORTED, f"the size of {self.what} is not known")
            self.cells = cells
        low = stack_place(st, env, rule, self, value, cells)
        if low < 0:
            fault = wrong(env, rule, self, value, f"{cells * 8} aligned bytes of stack")
            fault.kind = self.fault if value.kind == STACK else faults.ARGUMENT
            return fault
        region = value.region
        assert region is not None
        if self.new:
            return self.place(st, env, rule, call, region.index, low)
        found = object_here(st, value, low, cells, self.what)
        if found is None:
            return Fault(
                self.fault,
                f"r{self.register}, argument {self.name} of {rule.name}: no {self.what} lies at "
                f"offset {value.offset} of the stack",
                self.register,
                f"an initialised {self.what}",
            )
        return self.use(st, env, rule, call, found)

    def place(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, frame: i64, low: i64
    ) -> Fault | None:
        """A new object is to be made here."""
        there = memory.object_at(st, frame, low, low + self.cells * 8)
        if there is not None and (there.holds or there.type != self.what):
            return Fault(
                self.fault,
                f"{rule.name} would overwrite the {there.type} on the stack, which must first be "
                "given back",
                self.register,
            )
        made = NewObject(frame, low, self.cells, self.what, self.detail)
        made.acquires = self.acquires
        made.read_only = self.read_only
        call.make(made)
        return None

    def use(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, found: ObjectCell
    ) -> Fault | None:
        call.dynptr = found
        return None


class DynptrArgument(StackObject):
    """A dynptr: on the stack, or the record that a callback was given."""

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg, "dynptr", DYNPTR_CELLS, arg.type, faults.DYNPTR)
        self.acquires = arg.type == RINGBUF_DYNPTR

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        if is_zero(value) and self.nullable:
            return None
        region = value.region
        if value.kind == OBJECT and region is not None and region.type == "dynptr":
            if self.new or self.releases:
                return wrong(env, rule, self, value, "a dynptr on the stack")
            if value.offset != 0 or value.unknown is not None:
                return wrong(env, rule, self, value, "the dynptr itself, not a place beside it")
            if call.dynptr is None:
                call.dynptr = ObjectCell("dynptr", 0, region, "local", False, False)
            return None
        return super().check(st, env, rule, call, value)

    def use(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, found: ObjectCell
    ) -> Fault | None:
        if self.type and found.detail != self.type:
            return Fault(
                faults.DYNPTR,
                f"r{self.register}, argument {self.name} of {rule.name}, must be a dynptr of "
                f"{self.type} memory, not of {found.detail} memory",
                self.register,
            )
        if self.releases:
            if not st.holds(found.identity):
                return Fault(
                    faults.NOT_ACQUIRED,
                    f"r{self.register}, argument {self.name} of {rule.name}, is given back, but "
                    "is not held",
                    self.register,
                )
            call.released = found.identity
            call.gone = found
        # The first dynptr decides; others are only read.
        if call.dynptr is None:
            call.dynptr = found
        return None


class IteratorArgument(StackObject):
    """An open-coded iterator."""

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(
            register,
            arg,
            f"bpf_iter_{arg.type}",
            ITERATOR_CELLS.get(arg.type, -1),
            "active",
            faults.ITERATOR,
        )
        self.acquires = True

    def use(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, found: ObjectCell
    ) -> Fault | None:
        call.dynptr = found
        if "iter_destroy" in rule.flags:
            call.released = found.identity
            call.gone = found
        return None


class IrqFlagArgument(StackObject):
    """Eight bytes of stack that keep whether interrupts were on."""

    def __init__(self, register: i64, arg: Arg) -> None:
        super().__init__(register, arg, "irq flags", 1, "", faults.LOCK)

    def place(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, frame: i64, low: i64
    ) -> Fault | None:
        fault = super().place(st, env, rule, call, frame, low)
        if fault is None and call.new_objects is not None:
            # Sections end in the reverse order of their beginning.
            call.new_objects[len(call.new_objects) - 1].detail = f"{st.held.irqs + 1}"
        return fault


class PerCpuArgument(ArgumentRule):
    """A per-CPU variable of the kernel, or object of the program."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        if region is None or (region.flags & PER_CPU) == 0:
            return wrong(env, rule, self, value, "a per-CPU variable")
        if region.nullable and not st.is_nonnull(region):
            return null_argument(env, rule, self, value)
        call.object = value
        return None


class ArenaArgument(ArgumentRule):
    """A pointer into the arena, or any number."""

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        region = value.region
        if value.kind == NUMBER or (region is not None and (region.flags & ARENA) != 0):
            return None
        return wrong(env, rule, self, value, "a pointer into the arena")


def special_argument(register: i64, arg: Arg) -> ArgumentRule:
    """The rule for an argument of one of the kinds of this module."""
    kind = arg.kind
    if kind in FIELD_KINDS:
        return FieldArgument(register, arg)
    if kind == kinds.DYNPTR:
        return DynptrArgument(register, arg)
    if kind == kinds.ITERATOR:
        return IteratorArgument(register, arg)
    if kind == kinds.IRQ_FLAG:
        return IrqFlagArgument(register, arg)
    if kind in (kinds.LIST_NODE, kinds.RB_NODE):
        return NodeArgument(register, arg)
    if kind == kinds.ALLOCATED:
        return AllocatedArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.REFCOUNTED:
        return RefcountedArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.PERCPU_BTF_POINTER:
        return PerCpuArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    if kind == kinds.ARENA:
        return ArenaArgument(register, arg.name, arg.nullable, arg.releases, arg.type)
    return Unsupported(register, arg.name, arg.nullable, arg.releases, arg.type)
