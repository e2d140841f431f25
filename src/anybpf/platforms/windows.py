"""eBPF for Windows as a platform: the ``windows_tables`` put into the common shape.

Helper numbers from 65536 up belong to one program type each; a program type may also replace a
general helper. Facts belong into the tables, not here.
"""

from __future__ import annotations

from anybpf.platforms.build import context_of, helper_numbers
from anybpf.platforms.model import (
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
)
from anybpf.platforms.platform import Platform
from anybpf.platforms.prototype import limit, parse
from anybpf.platforms.statuses import WINDOWS as STATUSES
from anybpf.platforms.table import Row, Table
from anybpf.platforms.windows_tables import (
    ATTACH_TYPE_ALIASES,
    ATTACH_TYPES,
    ERRNOS,
    HELPERS,
    LAYOUTS,
    LIMITS,
    LINK_TYPES,
    MAP_HELPERS,
    MAP_TYPES,
    OVERRIDES,
    OWN_HELPERS,
    PROGRAM_TYPE_ALIASES,
    PROGRAM_TYPES,
    RESULT_CODES,
    RETURN_NAMES,
    RULES,
    SECTIONS,
)


def make() -> Platform:
    """The platform; objects are made of its rows when they are asked for."""
    return Platform(
        "windows",
        "eBPF for Windows 1.6",
        program_types=Table(
            "program type of windows", PROGRAM_TYPES, _program_type, PROGRAM_TYPE_ALIASES
        ),
        attach_types=Table(
            "attach type of windows", ATTACH_TYPES, _attach_type, ATTACH_TYPE_ALIASES
        ),
        link_types=Table("link type of windows", LINK_TYPES, _link_type),
        map_types=Table("map type of windows", MAP_TYPES, _map_type),
        map_flags=_no_map_flags(),
        helpers=Table("helper of windows", HELPERS, _helper),
        errnos=Table("error number of windows", ERRNOS, _errno),
        result_codes=Table("result code of windows", _result_rows(), _result_code),
        statuses=_statuses(),
        sections=SECTIONS,
        limits=LIMITS,
        rules=RULES,
        # microsoft/ebpf-for-windows include/ebpf_structs.h: ebpf_map_definition_in_file_t.
        legacy_map_fields=("inner_index", "pinning", "id", "inner_id"),
        structure_names=list(LAYOUTS),
        make_structure=_structure,
    )


def _no_map_flags() -> Table[Flag]:
    return Table("map flag of windows", ())


def _helper(row: Row) -> Helper:
    number, name, prototype, flags = row
    args, returns = parse(prototype)
    return Helper(number, name, args, returns, flags=flags.split(), map_types=_map_types_of(name))


def _map_types_of(helper: str) -> list[str]:
    return [kind for kind, names in MAP_HELPERS.items() if helper in names.split()]


def _own_helper(row: Row) -> Helper:
    program_type, number, name, prototype, flags = row
    args, returns = parse(prototype)
    return Helper(
        number,
        name,
        args,
        returns,
        flags=flags.split(),
        map_types=_map_types_of(name),
        program_type=program_type,
    )


def _program_type(row: Row) -> ProgramType:
    number, name, title, context, returns, since, guid = row
    replaced = set(OVERRIDES.get(name, "").split())
    general = [
        helper[0] for helper in HELPERS if "virtual" not in helper[3] or helper[1] in replaced
    ]
    return ProgramType(
        name,
        number,
        title=title,
        context=_context(context),
        returns=[ReturnRange(*pair) for pair in returns],
        return_names=RETURN_NAMES.get(name, ()),
        attach_types=[kind[1] for kind in ATTACH_TYPES if kind[2] == name],
        helpers=general if number else (),
        own_helpers=[_own_helper(own) for own in OWN_HELPERS if own[0] == name],
        flags=[f"replaces:{helper}" for helper in sorted(replaced)],
        since=since,
        guid=guid,
    )


def _context(name: str) -> Context | None:
    """The verifier there lets programs read and write whatever is no pointer."""
    if not name:
        return None
    return context_of(name, LAYOUTS[name], "*", _scalars(name), {}, layout_word="open")


def _scalars(name: str) -> str:
    return " ".join([row[0] for row in LAYOUTS[name][1] if row[5] == "scalar"])


def _structure(name: str) -> Context:
    return context_of(name, LAYOUTS[name], "*", "", {})


def _attach_type(row: Row) -> AttachType:
    number, name, program_type, link_type, parameter, guid = row
    return AttachType(
        name,
        number,
        program_types=[program_type],
        link_type=link_type,
        parameter=parameter,
        guid=guid,
    )


def _link_type(row: Row) -> LinkType:
    return LinkType(row[1], row[0])


def _map_type(row: Row) -> MapType:
    number, name, key, value, entries, operations, holds, marks = row
    numbers = {helper[1]: helper[0] for helper in HELPERS}
    words = marks.split()
    return MapType(
        name,
        number,
        key_size=limit(key),
        value_size=limit(value),
        entries=limit(entries),
        operations=operations.split(),
        helpers=helper_numbers(numbers, MAP_HELPERS.get(name, "")),
        holds=holds,
        per_cpu="per_cpu" in words,
        bounded="unbounded" not in words,
        custom="custom" in words,
    )


def _errno(row: Row) -> ErrorNumber:
    return ErrorNumber(row[1], row[0], row[2])


def _statuses() -> dict[str, int]:
    numbers = {row[1]: row[0] for row in RESULT_CODES}
    return {status: -numbers[result] for status, result in STATUSES.items()}


def _result_rows() -> list[Row]:
    return [(row[0], f"EBPF_{row[1]}", *row[2:]) for row in RESULT_CODES]


def _result_code(row: Row) -> ResultCode:
    number, name, ntstatus, win32, errno = row
    return ResultCode(name, number, f"STATUS_{ntstatus}", _win32(win32), errno)


def _win32(name: str) -> str:
    return name if name.startswith("RPC_") else f"ERROR_{name}"
