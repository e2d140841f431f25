"""What a caller changed of an object's spec before loading it, as a table that can be sent.

The service reads the object itself, from the same bytes, and makes the same changes; programs'
instructions come from the object alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anybpf.errors import InputError, NotSupported
from anybpf.objects.specs import MAP_FIELDS, CollectionSpec, MapSpec
from anybpf.service.values import spec_from_wire, spec_to_wire

if TYPE_CHECKING:
    from anybpf.isa import Instruction

_PROGRAM: Final = ("type", "attach_type", "attach_to", "autoload", "flags", "license")
_TYPES: Final[dict[str, type]] = {"autoload": bool, "flags": tuple}


def read(data: bytes, platform: Any, options: dict[str, Any]) -> CollectionSpec:
    """The spec of an object with a caller's changes."""
    from anybpf.objects import load_spec

    name = options.get("name")
    spec = load_spec(data, platform, name if isinstance(name, str) and name else None)
    edits = options.get("edits")
    if edits:
        apply(spec, edits)
    return spec


def difference(before: CollectionSpec, after: CollectionSpec) -> dict[str, Any]:
    """What makes ``before`` into ``after``; empty if they are the same."""
    for name, function in after.functions.items():
        there = before.functions.get(name)
        if there is None or _code(there.instructions) != _code(function.instructions):
            raise NotSupported(
                f"function {name} with other instructions than in its object",
                where="the service, which takes programs from object files only",
            )
    programs: dict[str, Any] = {}
    for name, program in after.programs.items():
        if name not in before.programs:
            raise NotSupported(f"program {name}, which is not in the object", where="the service")
        changed = {
            field: getattr(program, field)
            for field in _PROGRAM
            if getattr(program, field) != getattr(before.programs[name], field)
        }
        if changed:
            programs[name] = changed
    maps: dict[str, Any] = {}
    for name, one in after.maps.items():
        if name not in before.maps:
            raise NotSupported(f"map {name}, which is not in the object", where="the service")
        told, was = spec_to_wire(one), spec_to_wire(before.maps[name])
        if told != was or one.contents != before.maps[name].contents:
            told["contents"] = [[key.hex(), _sent(value)] for key, value in one.contents]
            maps[name] = told
    edits: dict[str, Any] = {"programs": programs, "maps": maps}
    edits["without_programs"] = [name for name in before.programs if name not in after.programs]
    edits["without_maps"] = [name for name in before.maps if name not in after.maps]
    return edits if any(edits.values()) else {}


def _code(instructions: list[Instruction]) -> list[tuple[object, ...]]:
    return [
        (one.opcode, one.dst, one.src, one.offset, one.imm, one.reference, one.map_name)
        for one in instructions
    ]


def _sent(value: bytes | str) -> str:
    return f"x:{value.hex()}" if isinstance(value, bytes) else f"n:{value}"


def apply(spec: CollectionSpec, edits: Any) -> None:
    """Make a caller's changes; :class:`InputError` if they are none that could be made."""
    try:
        _apply(spec, edits)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the changes to an object cannot be read: {error!r}") from None


def _apply(spec: CollectionSpec, edits: dict[str, Any]) -> None:
    for name in edits.get("without_programs", ()):
        del spec.programs[name]
    for name in edits.get("without_maps", ()):
        gone = spec.maps.pop(name)
        spec.variables = {key: one for key, one in spec.variables.items() if one.map is not gone}
    for name, fields in edits.get("programs", {}).items():
        program = spec.programs[name]
        for field, value in fields.items():
            kind = _TYPES.get(field, str)
            if field not in _PROGRAM:
                raise ValueError(field)
            if kind is tuple:
                value = tuple(str(one) for one in value)
            elif type(value) is not kind:
                raise TypeError(field)
            setattr(program, field, value)
    for name, told in edits.get("maps", {}).items():
        _change(spec.maps[name], spec_from_wire(told), told["contents"])


def _change(one: MapSpec, other: MapSpec, contents: list[list[str]]) -> None:
    """In place: variables refer to the very spec."""
    tags, members = one.tags, one.members
    for field in MAP_FIELDS:
        setattr(one, field, getattr(other, field))
    one.tags, one.members = tags, members
    one.contents = [
        (bytes.fromhex(key), bytes.fromhex(value[2:]) if value[:2] == "x:" else value[2:])
        for key, value in contents
    ]
