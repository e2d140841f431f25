"""What calls do to what the program holds: locks, read sections, preemption, interrupts.

A row's flags become effects; each may refuse the call and is applied once the arguments are good.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.verifier import faults, memory, numbers
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.rules import Call, Effect, FunctionRule
from anybpf.verifier.state import Held, State
from anybpf.verifier.values import (
    NON_OWNING,
    NUMBER,
    RCU,
    TRUSTED,
    UNTRUSTED,
    Bytes,
    Cell,
    CellChoice,
    Choice,
    Part,
    Region,
    Value,
    unknown_number,
)


class Lock(Effect):
    """Takes the lock that the arguments named."""

    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        region = call.region
        for held, place in st.held.locks:
            if held is region and place == call.place:
                return Fault(faults.LOCK, f"{rule.name} takes a lock that is held already")
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        region = call.region
        assert region is not None
        held = st.held
        locks = held.locks.copy()
        locks.append((region, call.place))
        st.held = Held(held.references, locks, held.rcu, held.preempt, held.irqs)


class Unlock(Effect):
    """Gives back the lock taken last."""

    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        locks = st.held.locks
        if len(locks) == 0:
            return Fault(faults.LOCK, f"{rule.name} unlocks, but no lock is held", 1)
        region, place = locks[len(locks) - 1]
        if region is not call.region or place != call.place:
            return Fault(
                faults.LOCK,
                f"{rule.name} unlocks another lock than the one that was taken last; values that "
                "were looked up separately have different locks",
                1,
                "the lock that is held",
            )
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        locks = held.locks[: len(held.locks) - 1]
        st.held = Held(held.references, locks, held.rcu, held.preempt, held.irqs)
        if len(locks) == 0:
            forget_flagged(st, NON_OWNING)


class RcuLock(Effect):
    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        if st.held.rcu > 0:
            return Fault(faults.LOCK, f"{rule.name} opens a read section inside of another")
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        st.held = Held(held.references, held.locks, held.rcu + 1, held.preempt, held.irqs)


class RcuUnlock(Effect):
    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        if st.held.rcu == 0:
            return Fault(faults.LOCK, f"{rule.name} ends a read section, but none is open")
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        st.held = Held(held.references, held.locks, held.rcu - 1, held.preempt, held.irqs)
        if held.rcu == 1:
            distrust(st)


class RcuProtected(Effect):
    """Only inside a read section; programs that may not sleep are always in one."""

    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        if in_read_section(st, env):
            return None
        return Fault(
            faults.LOCK,
            f"{rule.name} must be called inside a read section (bpf_rcu_read_lock)",
            -1,
            "a read section",
        )


class PreemptDisable(Effect):
    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        st.held = Held(held.references, held.locks, held.rcu, held.preempt + 1, held.irqs)


class PreemptEnable(Effect):
    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        if sections_without_preemption(st) == 0:
            return Fault(faults.LOCK, f"{rule.name} turns preemption on, which is not off")
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        st.held = Held(held.references, held.locks, held.rcu, held.preempt - 1, held.irqs)


class IrqSave(Effect):
    """Interrupts go off; the stack argument keeps how they were."""

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        st.held = Held(held.references, held.locks, held.rcu, held.preempt, held.irqs + 1)


class IrqRestore(Effect):
    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        found = call.dynptr
        if found is None or st.held.irqs == 0:
            return Fault(faults.LOCK, f"{rule.name} restores interrupts, which were not saved")
        if found.detail != f"{st.held.irqs}":
            return Fault(
                faults.LOCK,
                f"{rule.name} restores interrupts in another order than they were saved",
            )
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        held = st.held
        st.held = Held(held.references, held.locks, held.rcu, held.preempt, held.irqs - 1)
        if call.dynptr is not None:
            memory.remove_object(st, call.dynptr)


class Graph(Effect):
    """Lists and trees: the lock that lies beside them must be held."""

    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        region = call.region
        for held, _ in st.held.locks:
            if held is region:
                return None
        return Fault(
            faults.LOCK,
            f"{rule.name} works on a list or tree whose lock is not held",
            1,
            "the lock in the same value or object",
        )


def effects_of(flags: frozenset[str]) -> list[Effect]:
    """The effects that a row's flags name."""
    found: list[Effect] = []
    if "graph" in flags:
        found.append(Graph())
    if "rcu_protected" in flags:
        found.append(RcuProtected())
    if "rcu_lock" in flags:
        found.append(RcuLock())
    if "rcu_unlock" in flags:
        found.append(RcuUnlock())
    if "preempt_disable" in flags:
        found.append(PreemptDisable())
    if "preempt_enable" in flags:
        found.append(PreemptEnable())
    if "lock" in flags:
        found.append(Lock())
    if "unlock" in flags:
        found.append(Unlock())
    if "irq_save" in flags:
        found.append(IrqSave())
    if "irq_restore" in flags:
        found.append(IrqRestore())
    return found


# The count of sections without preemption begins here in a callback that may not sleep although
# its program may, and there in one that may although its program may not.
NEVER_SLEEPS: Final = 1 << 20
MAY_SLEEP: Final = -(1 << 20)
HALF: Final = 1 << 19


def sections_without_preemption(st: State) -> i64:
    """How many sections without preemption are open."""
    count = st.held.preempt
    if count > HALF:
        return count - NEVER_SLEEPS
    if count < -HALF:
        return count - MAY_SLEEP
    return count


def may_sleep(st: State, env: Environment) -> bool:
    """Whether sleeping is allowed here."""
    held = st.held
    if held.rcu > 0 or held.irqs > 0 or len(held.locks) > 0:
        return False
    if sections_without_preemption(st) > 0 or held.preempt > HALF:
        return False
    return held.preempt < -HALF or program_sleeps(env)


def program_sleeps(env: Environment) -> bool:
    rules = env.rulebook
    return rules is not None and rules.sleepable


def in_read_section(st: State, env: Environment) -> bool:
    """Whether what RCU protects lives on here."""
    held = st.held
    if held.rcu > 0 or len(held.locks) > 0 or held.preempt > HALF:
        return True
    return held.preempt > -HALF and not program_sleeps(env)


# Changing all values that point into some regions.


def forget_flagged(st: State, flag: i64) -> None:
    """Pointers into regions with this flag become numbers."""
    _Replacement(flag, 0, None, None).run(st)


def distrust(st: State) -> None:
    """The read section ended: what it protected may still be read, with care."""
    _Replacement(RCU, UNTRUSTED, None, None).run(st)


def replace_region(st: State, old: Region, new: Region) -> None:
    """Pointers into one region now point into another."""
    _Replacement(0, 0, old, new).run(st)


class _Replacement:
    """One pass over registers and stack."""

    __slots__ = ("flag", "instead", "made", "new", "old")

    def __init__(self, flag: i64, instead: i64, old: Region | None, new: Region | None) -> None:
        self.flag: i64 = flag
        self.instead: i64 = instead
        self.old: Region | None = old
        self.new: Region | None = new
        self.made: dict[Region, Region] = {}

    def run(self, st: State) -> None:
        i: i64 = 0
        while i < len(st.regs):
            st.regs[i] = self.value(st.regs[i])
            i = i + 1
        i = 0
        while i < len(st.stack):
            cell = st.stack[i]
            better = self.cell(cell)
            if better is not cell:
                st.set_cell(i, better)
            i = i + 1

    def value(self, value: Value) -> Value:
        region = value.region
        if region is not None:
            if self.old is not None:
                if region is self.old:
                    return Value(value.kind, value.offset, value.unknown, self.new)
                return value
            if (region.flags & self.flag) == 0:
                return value
            if self.instead == 0:
                return unknown_number(numbers.TOP)
            return Value(value.kind, value.offset, value.unknown, self.changed(region))
        if isinstance(value, Choice):
            left = self.value(value.left)
            right = self.value(value.right)
            if left is not value.left or right is not value.right:
                return Choice(value.merge, left, right)
        return value

    def changed(self, region: Region) -> Region:
        found = self.made.get(region)
        if found is None:
            found = Region(region.kind, region.size, region.nullable, region.index)
            found.low = region.low
            found.least = region.least
            found.most = region.most
            found.type = region.type
            found.parent = region.parent
            found.flags = (region.flags & ~(self.flag | TRUSTED)) | self.instead
            self.made[region] = found
        return found

    def cell(self, cell: Cell) -> Cell:
        if isinstance(cell, Value):
            return self.value(cell)
        if isinstance(cell, CellChoice):
            left = self.cell(cell.left)
            right = self.cell(cell.right)
            if left is not cell.left or right is not cell.right:
                return CellChoice(cell.merge, left, right, cell.written)
            return cell
        if isinstance(cell, Bytes):
            for part in cell.parts:
                if self.value(part.value) is not part.value:
                    kept: list[Part] = [one for one in cell.parts if one.value.kind == NUMBER]
                    return Bytes(cell.written, kept)
        return cell
