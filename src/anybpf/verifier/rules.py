"""What a call has to observe, compiled from the platform's row of the function called.

A row becomes a :class:`FunctionRule` with one object an argument; the objects' classes stand in
``arguments``, what comes back in ``results``. Adding a row adds no code here.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.objects.fields import SpecialField
from anybpf.platforms.model import Arg, Return
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.liveness import CallUse
from anybpf.verifier.numbers import MAX, MIN, Range
from anybpf.verifier.state import State
from anybpf.verifier.values import NOTHING, ObjectCell, Region, Value

NO_STACK: Final = -2


class Write:
    """Stack that a call overwrites once all its arguments are found good."""

    __slots__ = ("frame", "high", "low", "surely")

    def __init__(self, frame: i64, low: i64, high: i64, surely: bool) -> None:
        self.frame: i64 = frame
        self.low: i64 = low
        self.high: i64 = high
        self.surely: bool = surely


class NewObject:
    """An object that a call makes on the stack: its cells are of ``type``."""

    __slots__ = ("acquires", "cells", "detail", "frame", "low", "read_only", "type")

    def __init__(self, frame: i64, low: i64, cells: i64, type_name: str, detail: str) -> None:
        self.frame: i64 = frame
        self.low: i64 = low
        self.cells: i64 = cells
        self.type: str = type_name
        self.detail: str = detail
        self.acquires: bool = False
        self.read_only: bool = False


class Call:
    """What the arguments of one call turned out to be; used again for each run."""

    __slots__ = (
        "constant",
        "dynptr",
        "field",
        "function",
        "gone",
        "key",
        "length",
        "lent",
        "map",
        "new_objects",
        "object",
        "place",
        "region",
        "released",
        "writes",
    )

    def __init__(self) -> None:
        self.map: i64 = -1
        self.released: Region | None = None
        self.clear()

    def clear(self) -> None:
        self.map = -1
        self.key: i64 = -1  # a constant key
        self.length: i64 = MAX  # the largest size argument
        self.constant: i64 = 0  # the constant that says how much memory comes back, or which type
        self.function: i64 = -1
        self.object: Value = NOTHING  # the first object among the arguments
        self.region: Region | None = None  # what holds ``field``
        self.field: SpecialField | None = None
        self.place: i64 = 0  # of the field, from the region's origin
        self.released = None
        self.lent: Region | None = None  # an object whose ownership goes to a list or tree
        self.dynptr: ObjectCell | None = None
        self.gone: ObjectCell | None = None  # a stack object that ends
        self.new_objects: list[NewObject] | None = None
        self.writes: list[Write] | None = None

    def make(self, made: NewObject) -> None:
        objects = self.new_objects
        if objects is None:
            objects = []
            self.new_objects = objects
        objects.append(made)

    def write(self, frame: i64, low: i64, high: i64, surely: bool) -> None:
        writes = self.writes
        if writes is None:
            writes = []
            self.writes = writes
        writes.append(Write(frame, low, high, surely))


class ArgumentRule:
    """What the argument in ``register`` must be. ``name`` is the parameter's name."""

    __slots__ = ("name", "nullable", "register", "releases", "type")

    def __init__(
        self, register: i64, name: str, nullable: bool, releases: bool, type_name: str
    ) -> None:
        self.register: i64 = register
        self.name: str = name
        self.nullable: bool = nullable
        self.releases: bool = releases
        self.type: str = type_name

    def check(
        self, st: State, env: Environment, rule: FunctionRule, call: Call, value: Value
    ) -> Fault | None:
        raise NotImplementedError

    def stack_read(self) -> i64:
        """How many bytes of stack behind the argument matter: NO_STACK for none, -1 for all."""
        return NO_STACK


class Effect:
    """What a call asks of and does to what is held, beside its arguments."""

    def check(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Fault | None:
        return None

    def apply(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> None:
        return None


class ResultRule:
    """What comes back in r0."""

    __slots__ = ("nullable",)

    def __init__(self, nullable: bool) -> None:
        self.nullable: bool = nullable

    def make(self, st: State, env: Environment, rule: FunctionRule, call: Call) -> Value | Fault:
        raise NotImplementedError


class FunctionRule:
    """A function that programs call: its arguments, its result, and what else it does."""

    __slots__ = (
        "accepted",
        "args",
        "arguments",
        "calls_back",
        "deletes",
        "effects",
        "flags",
        "in_lock",
        "invalidates",
        "leaves",
        "length_bound",
        "map_types",
        "name",
        "number",
        "packet",
        "range",
        "result",
        "returns",
        "sleeps",
        "use",
        "writes_map",
    )

    def __init__(self, name: str, number: i64, returns: Return, flags: frozenset[str]) -> None:
        self.name: str = name
        self.number: i64 = number
        self.arguments: list[ArgumentRule] = []
        self.effects: list[Effect] = []
        self.returns: Return = returns
        self.result: ResultRule = ResultRule(False)
        self.flags: frozenset[str] = flags
        self.map_types: tuple[str, ...] = ()
        self.packet: bool = "packet" in flags
        self.invalidates: bool = "invalidates_packet" in flags
        self.sleeps: bool = "sleeps" in flags
        self.in_lock: bool = "in_lock" in flags
        self.length_bound: bool = "returns_length" in flags
        self.writes_map: bool = False
        self.deletes: bool = False
        # The row's own arguments, and whether it calls back or may not come back.
        self.args: tuple[Arg, ...] = ()
        self.calls_back: bool = False
        self.leaves: bool = False
        # What a call reads, once asked for.
        self.use: CallUse | None = None
        # Types of maps that were found to suit.
        self.accepted: dict[str, bool] = {}
        self.range: Range | None = None
        if returns.low != MIN or returns.high != MAX:
            self.range = number_range(returns.low, returns.high)


def number_range(low: int, high: int) -> Range | None:
    from anybpf.verifier import numbers

    return numbers.between(low, high) if low <= high else None
