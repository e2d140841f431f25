"""Linux as a platform: the tables of the modules beside this one, put into the common shape.

The rows stay as they are until they are looked up; this module only knows how to turn a row into
an object. Facts belong into the ``linux_*`` tables, not here.
"""

from __future__ import annotations

from anybpf.platforms.build import context_of, helper_numbers
from anybpf.platforms.kinds import MAP, MAP_VALUE, SOCK_COMMON_BTF
from anybpf.platforms.linux_contexts import ACCESS, GROUPS, LAYOUTS, PLAIN, POINTEES
from anybpf.platforms.linux_errnos import ERRNO_ALIASES, ERRNOS
from anybpf.platforms.linux_helpers import HELPERS, VARIANTS
from anybpf.platforms.linux_maps import MAP_FLAGS, MAP_HELPERS, MAP_TYPE_ALIASES, MAP_TYPES
from anybpf.platforms.linux_programs import (
    ATTACH_TYPES,
    HELPER_ATTACH_TYPES,
    HELPERS_OF,
    LINK_TYPES,
    PROGRAM_TYPES,
    RETURN_NAMES,
    RETURNS,
)
from anybpf.platforms.linux_rules import (
    LOOKUPS,
    POINTER_STRUCTURES,
    PRIVATE_STACKS,
    PROJECTIONS,
    READ_ONLY_MAPS,
    RULES,
    SLEEPABLE_MAPS,
    SLEEPS,
    SOCKET_MAP_DELETERS,
    SOCKET_MAP_UPDATERS,
    SOCKET_MAPS,
    SPECIAL_FIELDS,
    TRUSTED_ARGUMENTS,
    WRITABLE,
)
from anybpf.platforms.linux_sections import LEGACY_SECTIONS, SECTIONS
from anybpf.platforms.linux_targets import BOOL_HOOKS, MEMBERS, argument_words
from anybpf.platforms.model import (
    Arg,
    AttachType,
    Context,
    ErrorNumber,
    Flag,
    Helper,
    LinkType,
    MapType,
    ProgramType,
    ResultCode,
    ReturnRange,
    SpecialField,
)
from anybpf.platforms.platform import CallTables, Platform
from anybpf.platforms.prototype import limit, parse, parse_back
from anybpf.platforms.statuses import LINUX as STATUSES
from anybpf.platforms.table import Row, Table

# Limits: Linux kernel headers linux/bpf.h, linux/bpf_verifier.h, linux/filter.h (6.18).
LIMITS: tuple[tuple[str, int, str], ...] = (
    ("stack", 512, "bytes of stack that a function may use"),
    ("frames", 8, "functions that may be active at a time"),
    ("stack_total", 512, "bytes of stack that all active functions may use together"),
    ("stack_granule", 16, "bytes of whose multiples a function's stack counts in that total"),
    ("stack_before_tail_call", 256, "bytes of stack of callers when a function makes a tail call"),
    ("tail_calls", 33, "programs that may follow one another by tail calls"),
    ("instructions", 1_000_000, "instructions that a program may have"),
    ("instructions_unprivileged", 4096, "the same without CAP_BPF"),
    ("instructions_verified", 1_000_000, "instructions that the verifier is willing to walk"),
    ("jumps_pending", 8192, "branches that the verifier keeps for later"),
    ("subprograms", 256, "functions that a program may consist of"),
    ("maps", 64, "maps that a program may name"),
    ("kernel_functions", 256, "kernel functions that a program may call"),
    ("helper_args", 5, "arguments that a function takes"),
    ("target_args", 12, "arguments of a traced function"),
    ("loop_iterations", 8 * 1024 * 1024, "rounds of bpf_loop"),
    ("packet_offset", 0xFFFF, "the highest offset into a packet that the verifier follows"),
    ("variable_offset", 1 << 29, "the highest unknown offset that the verifier follows"),
    ("processors", 8192, "processors that Linux is built for at most"),
    ("name_length", 15, "bytes of a program's or map's name"),
    ("pin_path_length", 4095, "bytes of a pin's path"),
    ("percpu_value_size", 32768, "bytes of a per-CPU value"),
    ("ringbuf_record_size", (1 << 30) - 1, "bytes of a ring buffer record"),
    ("programs_per_hook", 64, "programs attached to one place of a cgroup"),
)

_NUMBERS = {row[1]: row[0] for row in HELPERS}


def make() -> Platform:
    """The platform; objects are made of its rows when they are asked for."""
    return Platform(
        "linux",
        "Linux 6.18",
        program_types=Table("program type of linux", PROGRAM_TYPES, _program_type),
        attach_types=Table("attach type of linux", ATTACH_TYPES, _attach_type),
        link_types=Table("link type of linux", LINK_TYPES, _link_type),
        map_types=Table("map type of linux", MAP_TYPES, _map_type, MAP_TYPE_ALIASES),
        map_flags=Table("map flag of linux", MAP_FLAGS, _flag),
        helpers=Table("helper of linux", _helper_rows(), _helper),
        errnos=Table("error number of linux", ERRNOS, _errno, ERRNO_ALIASES),
        result_codes=_no_result_codes(),
        statuses=_statuses(),
        sections=(*SECTIONS, *LEGACY_SECTIONS),
        limits=LIMITS,
        structure_names=list(LAYOUTS),
        make_structure=_structure,
        pointee_kinds=list(POINTEES),
        make_pointee=_pointee,
        uses_license=True,
        make_calls=_calls,
        rules=RULES,
        special_fields=_special_fields(),
        pointer_structures=POINTER_STRUCTURES,
        projections=PROJECTIONS,
        writable=WRITABLE,
        members=MEMBERS,
        argument_words=argument_words,
        bool_targets=BOOL_HOOKS.split(),
    )


def _statuses() -> dict[str, int]:
    numbers = {row[1]: row[0] for row in ERRNOS}
    return {status: -numbers[errno] for status, errno in STATUSES.items()}


def _no_result_codes() -> Table[ResultCode]:
    return Table("result code of linux", ())


def _helper_rows() -> list[Row]:
    return [(row[0], f"bpf_{row[1]}", *row[2:]) for row in HELPERS]


def _helper(row: Row) -> Helper:
    number, name, prototype, flags, since = row
    args, returns = parse(prototype)
    return Helper(
        number,
        name,
        args,
        returns,
        flags=flags.split(),
        since=since,
        map_types=_map_types_of(name[4:], args),
    )


def _map_types_of(helper: str, args: list[Arg]) -> list[str]:
    """The map types that its map argument may have; none for a helper without one."""
    if not any(arg.kind == MAP for arg in args):
        return []
    return [kind for kind, names in MAP_HELPERS.items() if helper in names.split()]


def _variant(row: tuple[str, int, str, str], program_type: str) -> Helper:
    """The helper of that number as one program type sees it."""
    _, number, prototype, flags = row
    common = HELPERS[number - 1]
    args, returns = parse(prototype)
    return Helper(
        number,
        f"bpf_{common[1]}",
        args,
        returns,
        flags=(common[3] if flags == "*" else flags).split(),
        since=common[4],
        map_types=_map_types_of(common[1], args),
        program_type=program_type,
    )


def _calls() -> CallTables:
    from anybpf.platforms.linux_calls import make

    return make()


def _special_fields() -> list[SpecialField]:
    return [
        SpecialField(name, size, align, alone=alone, map_types=maps.split(), barred=barred)
        for name, size, align, alone, maps, barred in SPECIAL_FIELDS
    ]


def _sleeps(program_type: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for owner, attach_types, word in SLEEPS:
        if owner == program_type:
            for attach_type in attach_types.split() or [""]:
                found[attach_type] = word
    return found


def _program_type(row: Row) -> ProgramType:
    number, name, title, flags, since = row
    callable_names = HELPERS_OF.get(name, "")
    allowed = (
        list(_NUMBERS.values())
        if callable_names == "*"
        else helper_numbers(_NUMBERS, callable_names)
    )
    limited: dict[int, tuple[str, ...]] = {}
    for names, attach_types in HELPER_ATTACH_TYPES.get(name, ()):
        for number_of in helper_numbers(_NUMBERS, names):
            limited[number_of] = tuple(attach_types.split())
    return ProgramType(
        name,
        number,
        title=title,
        context=_context(name),
        returns=[ReturnRange(low, high, at.split()) for low, high, at in RETURNS.get(name, ())],
        return_names=RETURN_NAMES.get(name, ()),
        attach_types=[kind[1] for kind in ATTACH_TYPES if name in kind[2].split()],
        helpers=allowed,
        own_helpers=[_variant(other, name) for other in VARIANTS if name in other[0].split()],
        helper_attach_types=limited,
        flags=flags.split(),
        since=since,
        sleeps=_sleeps(name),
        trusts=TRUSTED_ARGUMENTS.get(name, "").split(),
        private_stacks=PRIVATE_STACKS.get(name, "").split(),
    )


def _context(program_type: str) -> Context | None:
    plain = PLAIN.get(program_type)
    if plain is not None:
        layout, name, start, size = plain
        return Context(name, size, layout=layout, start=start)
    rights = ACCESS.get(program_type)
    if rights is None:
        return None
    name, readable, writable = rights
    return context_of(name, LAYOUTS[name], readable, writable, GROUPS)


def _structure(name: str) -> Context:
    """A structure by itself, all of it readable."""
    return context_of(name, LAYOUTS[name], "*", "", GROUPS)


def _pointee(kind: str) -> Context:
    name, readable, writable, layout_word = POINTEES[kind]
    return context_of(name, LAYOUTS[name], readable, writable, GROUPS, layout_word)


def _map_type(row: Row) -> MapType:
    number, name, key, value, entries, flags, required, operations, holds, since = row
    marks = holds.split()
    sockets = name in SOCKET_MAPS.split()
    return MapType(
        name,
        number,
        key_size=limit(key),
        value_size=limit(value),
        entries=limit(entries),
        allowed_flags=flags.split(),
        required_flags=required.split(),
        operations=operations.split(),
        helpers=helper_numbers(_NUMBERS, MAP_HELPERS.get(name, "")),
        holds="".join([mark for mark in marks if mark not in ("per_cpu", "btf")]),
        per_cpu="per_cpu" in marks,
        needs_btf="btf" in marks,
        sleepable=name in SLEEPABLE_MAPS.split(),
        lookup=parse_back(LOOKUPS[name]) if name in LOOKUPS else None,
        value_kind=SOCK_COMMON_BTF if sockets else MAP_VALUE,
        updaters=SOCKET_MAP_UPDATERS.split() if sockets else (),
        deleters=SOCKET_MAP_DELETERS.split() if sockets else (),
        read_only=name in READ_ONLY_MAPS.split(),
        since=since,
    )


def _attach_type(row: Row) -> AttachType:
    number, name, program_types, link_type, since = row
    return AttachType(
        name, number, program_types=program_types.split(), link_type=link_type, since=since
    )


def _link_type(row: Row) -> LinkType:
    return LinkType(row[1], row[0], since=row[2])


def _flag(row: Row) -> Flag:
    return Flag(row[1], row[0], row[2])


def _errno(row: Row) -> ErrorNumber:
    return ErrorNumber(row[1], row[0], row[2])
