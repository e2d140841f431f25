"""Changing a collection before it is loaded: variables by name and type, and a part of the whole.

These are the long ones of the methods of `CollectionSpec`. Nothing is loaded or proved here, and
what a change means for a program's safety is found out when it is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from anybpf.btf import types as t
from anybpf.btf.values import from_python, to_python
from anybpf.errors import BTFError, InputError
from anybpf.objects.specs import CollectionSpec, ProgramSpec, VariableSpec

_KCONFIG = ".kconfig"


def variable_type(spec: CollectionSpec, variable: VariableSpec) -> int:
    """The id of the variable's type; 0 where the object does not describe it."""
    if spec.btf is None or not variable.type_id:
        return 0
    found = spec.btf.type(variable.type_id)
    return int(found.type_id) if isinstance(found, t.Var) else variable.type_id


def get_value(spec: CollectionSpec, variable: VariableSpec) -> object:
    """The initial value: typed where the object describes it, else bytes."""
    type_id = variable_type(spec, variable)
    if spec.btf is None or not type_id:
        return variable.value
    return to_python(spec.btf, type_id, variable.value)


def set_value(spec: CollectionSpec, variable: VariableSpec, value: object) -> None:
    """Give the variable another initial value: bytes, or what its type takes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
    else:
        data = _bytes_of(spec, variable, value)
    if len(data) != variable.size:
        raise InputError(f"variable {variable.name} has {variable.size} bytes, not {len(data)}")
    variable.value = data


def _bytes_of(spec: CollectionSpec, variable: VariableSpec, value: object) -> bytes:
    type_id = variable_type(spec, variable)
    if spec.btf is not None and type_id:
        try:
            return from_python(spec.btf, type_id, value)
        except BTFError as error:
            raise InputError(f"variable {variable.name} cannot be {value!r}: {error}") from None
    if not isinstance(value, int):
        raise InputError(
            f"variable {variable.name} has no type in the object: give {variable.size} bytes or "
            f"a number, not {value!r}"
        )
    return number_bytes(variable, value, "big" if spec.big_endian else "little")


def number_bytes(variable: VariableSpec, value: int, order: str = sys.byteorder) -> bytes:
    """A number in as many bytes as the variable has, signed or not."""
    bits = 8 * variable.size
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        raise InputError(
            f"variable {variable.name} has {variable.size} bytes, {value} does not fit"
        )
    raw = value & ((1 << bits) - 1)
    return raw.to_bytes(variable.size, "big" if order == "big" else "little")


def subset(
    spec: CollectionSpec, programs: Iterable[str], maps: Iterable[str] = ()
) -> CollectionSpec:
    """A copy with these programs and maps and with all that they need, and nothing else."""
    new = spec.copy()
    kept: dict[str, ProgramSpec] = {}
    for name in _names(programs):
        new.program_by_key(name)
        kept[name] = new.programs[name]
    wanted: list[str] = []
    for name in _names(maps):
        new.map(name)
        wanted.append(name)
    for name in wanted:  # what implements a kernel structure goes with it
        for member in new.maps[name].members.values():
            if member in new.programs:
                kept[member] = new.programs[member]
    functions: set[str] = set()
    references: set[str] = set()
    for program in kept.values():
        for function in program.functions:
            functions.add(function.name)
            for insn in function.instructions:
                if insn.is_map_load and insn.map_name:
                    wanted.append(map_key(new, insn.map_name))
                elif insn.reference:
                    references.add(insn.reference)
    needed = _with_contents(new, wanted)
    new.programs = {name: one for name, one in new.programs.items() if name in kept}
    new.maps = {name: one for name, one in new.maps.items() if name in needed}
    _forget_programs(new, spec)
    homes = [id(one) for one in new.maps.values()]
    new.variables = {name: one for name, one in new.variables.items() if id(one.map) in homes}
    new.externs = {
        name: one
        for name, one in new.externs.items()
        if (_KCONFIG in new.maps if one.section == _KCONFIG else name in references)
    }
    # In place: programs look their functions up in the very dictionary that the collection has.
    for name in [name for name in new.functions if name not in functions]:
        del new.functions[name]
    return new


def map_key(spec: CollectionSpec, name: str) -> str:
    """Under which name the collection has the map that a program calls by this one; "": none."""
    if name in spec.maps:
        return name
    for key, one in spec.maps.items():
        if one.name == name:
            return key
    return ""


def _names(given: Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _with_contents(spec: CollectionSpec, names: list[str]) -> set[str]:
    """Those maps, and the maps that are put into them."""
    needed: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if not name or name in needed:
            continue
        needed.add(name)
        for _, value in spec.maps[name].contents:
            if isinstance(value, str):
                todo.append(map_key(spec, value))
    return needed


def _forget_programs(new: CollectionSpec, spec: CollectionSpec) -> None:
    """Tables of programs keep the entries of those that are still there."""
    for one in new.maps.values():
        one.contents = [
            (key, value)
            for key, value in one.contents
            if not (isinstance(value, str) and value in spec.programs and value not in new.programs)
        ]
