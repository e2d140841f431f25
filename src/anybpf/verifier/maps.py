"""Whether a program may use a map at all, whatever it does with it."""

from __future__ import annotations

from anybpf.objects.fields import NAMES, NO_FIELDS, STRUCTURES
from anybpf.verifier import faults
from anybpf.verifier.environment import Environment, Fault, MapInfo
from anybpf.verifier.rulebook import map_fields, rulebook, value_flags


def problem(env: Environment, info: MapInfo) -> Fault | None:
    """Why programs of this kind may not use the map; None if they may."""
    kind = info.type
    if kind is not None and not kind.sleepable and rulebook(env).sleepable:
        return Fault(
            faults.MAP_TYPE,
            f"map {info.name} is of type {kind.name}, which sleepable programs may not use",
        )
    info.value_region.flags = value_flags(env, info)
    found = map_fields(env, info)
    if found is NO_FIELDS:
        return None
    flags = env.program_type.flags
    for name, special in env.platform.special_fields.items():
        number = STRUCTURES.get(name, 0)
        field = found.of_kind(number) if number else None
        if field is None:
            continue
        if special.barred and special.barred in flags:
            return Fault(
                faults.MAP_TYPE,
                f"values of map {info.name} hold a {NAMES[number]}, so that programs of type "
                f"{env.program_type.name} may not use it",
            )
    return None
