"""What the checks made of the platform's rows for one program: compiled once, looked up often.

Kept with the platform, for all programs of the same type and licence. Nothing here checks anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from anybpf.objects.fields import (
    NO_FIELDS,
    SPECIAL_VALUE,
    WRITE_ONLY,
    FieldMap,
    fields_of,
    fields_of_variables,
)
from anybpf.objects.specs import Function
from anybpf.platforms.calls import Callback
from anybpf.platforms.model import ReturnRange
from anybpf.verifier.contexts import Layout
from anybpf.verifier.environment import Environment, Fault, MapInfo
from anybpf.verifier.values import READ_ONLY

if TYPE_CHECKING:
    from anybpf.verifier.rules import FunctionRule
    from anybpf.verifier.structures import Structure
    from anybpf.verifier.typed import ArgumentType

# Program types that stand for functions of the kernel, some of which return nothing.
VOID_TARGETS = ("lsm", "struct_ops")

# Flags of map creation: Linux UAPI header linux/bpf.h.
RDONLY_PROG = 1 << 7
WRONLY_PROG = 1 << 8


class Rulebook:
    """The compiled rules of one verification.

    ``context`` is the program's context. ``packet_writes`` says whether packet data may be
    written, ``packet_arguments`` whether helpers may be given packet data at all, ``sleepable``
    whether the program may sleep, ``gpl`` whether its licence is compatible.
    """

    __slots__ = (
        "context",
        "context_arithmetic",
        "gpl",
        "helpers",
        "may_be_void",
        "packet_arguments",
        "packet_free",
        "packet_writes",
        "pointees",
        "returns",
        "sleepable",
    )

    def __init__(self, env: Environment) -> None:
        kind = env.program_type
        flags = kind.flags
        # A type that names one of its attach types after itself is attached there by default.
        attach_type = env.attach_type
        if not attach_type and kind.name in kind.attach_types:
            attach_type = kind.name
        self.context: Layout = Layout(kind.context, attach_type)
        self.context_arithmetic: bool = env.platform.allows("context_arithmetic")
        self.pointees: dict[str, Layout | None] = {}
        self.may_be_void: bool = kind.name in VOID_TARGETS
        # What may be returned, by what the program attaches to.
        self.returns: dict[str, ReturnRange | None] = {}
        # Helpers by number: the rule, or why this program may not call it.
        self.helpers: dict[int, FunctionRule | Fault] = {}
        # A platform that does not restrict packets by program type lets all use them as memory.
        self.packet_free: bool = not env.platform.uses_license or "packet_to_helpers" in flags
        self.packet_writes: bool = not env.platform.uses_license or "packet_write" in flags
        self.packet_arguments: bool = self.packet_writes or "packet_read" in flags
        self.sleepable: bool = (
            "sleepable" in env.program.flags or kind.sleepable_at(env.attach_type) == "must"
        )
        self.gpl: bool = not env.platform.uses_license or is_gpl(env.program.license)

    def pointee(self, env: Environment, kind: str) -> Layout | None:
        """The structure behind pointers of that kind; None where it has no fields of its own."""
        if kind in self.pointees:
            return self.pointees[kind]
        context = env.platform.pointee(kind)
        found = None if context is None else Layout(context, env.attach_type)
        self.pointees[kind] = found
        return found


class Lookups:
    """What was found in the types of one program and of what it is attached to.

    ``arguments`` are those of a typed context, ``arguments_known`` says whether they are all;
    ``operations`` names the kernel interface that the program implements.
    """

    __slots__ = ("arguments", "arguments_known", "functions", "later", "operations", "structures")

    def __init__(self, env: Environment) -> None:
        self.structures: dict[str, Structure] = {}
        self.arguments: list[ArgumentType] | None = None
        self.arguments_known: bool = False
        self.operations: str = ""
        # Functions that run later, by index, and as what.
        self.later: dict[int, Callback] = {}
        self.functions: dict[str, Function] = {
            function.name: function for function in env.program.functions
        }


def lookups(env: Environment) -> Lookups:
    found = env.lookups
    if found is None:
        found = Lookups(env)
        env.lookups = found
    return found


# Licences that the kernel counts as compatible with its own: include/linux/license.h (6.18).
GPL_COMPATIBLE = (
    "GPL",
    "GPL v2",
    "GPL and additional rights",
    "Dual BSD/GPL",
    "Dual MIT/GPL",
    "Dual MPL/GPL",
)


def is_gpl(text: str) -> bool:
    return text in GPL_COMPATIBLE


def rulebook(env: Environment) -> Rulebook:
    found = env.rulebook
    if found is None:
        program = env.program
        key = (
            "rulebook",
            env.program_type.name,
            env.attach_type,
            program.license,
            tuple(program.flags),
        )
        derived = env.platform.derived
        known = derived.get(key)
        if isinstance(known, Rulebook):
            found = known
        else:
            found = Rulebook(env)
            derived[key] = found
        env.rulebook = found
    return found


def map_fields(env: Environment, info: MapInfo) -> FieldMap:
    """The locks, timers and kernel pointers in the map's values."""
    found = info.fields
    if found is None:
        if info.spec.kind == "user":
            found = fields_of(env.btf, int(info.spec.value_type_id))
        else:
            inside = [one for one in env.variables if one.map is info.spec]
            found = fields_of_variables(env.btf, inside)
        info.fields = found
    return found


def map_is_write_only(info: MapInfo) -> bool:
    """Whether programs may not read the map's values."""
    return info.spec.flags & WRONLY_PROG != 0


def value_flags(env: Environment, info: MapInfo) -> i64:
    """The flags of regions that are values of the map."""
    if info.value_flags >= 0:
        return info.value_flags
    flags: i64 = 0
    kind = info.type
    if map_is_read_only(info) or (kind is not None and kind.read_only):
        flags = READ_ONLY
    if map_fields(env, info) is not NO_FIELDS:
        flags = flags | SPECIAL_VALUE
    if int(info.spec.flags) & WRONLY_PROG:
        flags = flags | WRITE_ONLY
    info.value_flags = flags
    return flags


def map_is_read_only(info: MapInfo) -> bool:
    return info.read_only or (int(info.spec.flags) & RDONLY_PROG) != 0


def field_text(env: Environment, index: i64) -> str:
    return env.maps[index].name if 0 <= index < len(env.maps) else "of several maps"
