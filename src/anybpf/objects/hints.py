"""Remarks for listings: what an access touches and which map a call is given, by slot.

The names come from the platform's context fields and from the types of map values and variables;
which pointer is which, from `flow`. Where nothing is known, nothing is said.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.core import describe_record
from anybpf.btf.layout import field_path, resolve
from anybpf.errors import BTFError
from anybpf.objects import flow as f
from anybpf.objects.flow import Access, Flow, Place
from anybpf.objects.specs import CollectionSpec, Function, ProgramSpec, VariableSpec
from anybpf.platforms import Context, Field, Platform

MAX_TEXT: Final = 120


def access_hints(
    owner: ProgramSpec | Function, spec: CollectionSpec, platform: Platform
) -> dict[int, str]:
    """Short texts by slot, such as ``ctx->data_end``, ``value->packets`` or ``map stats``.

    For a program, slots count through all its functions, as in its `instructions`; for a
    function, from its start.
    """
    if isinstance(owner, ProgramSpec):
        functions = owner.functions
        program_type = owner.type
        with_context = True
    else:
        functions = [owner]
        program_type = ""
        for program in spec.programs.values():
            if program.function is owner:
                program_type = program.type
        with_context = program_type != ""
    starts: dict[str, int] = {}
    slot = 0
    for function in functions:
        starts[function.name] = slot
        slot += function.slots
    walk = Flow(spec, platform, program_type, functions, with_context)
    names = Names(spec, platform, program_type)
    found: dict[int, str] = {}
    for access in walk.accesses:
        text = names.of_access(access)
        if text:
            found[starts[access.function.name] + access.slot] = text[:MAX_TEXT]
    if spec.btf is not None:
        for function in functions:
            _name_records(function, spec.btf, starts[function.name], found)
    for call in walk.calls:
        if call.map is not None:
            found[starts[call.function.name] + call.slot] = f"map {call.map.name}"[:MAX_TEXT]
    return dict(sorted(found.items()))


def _name_records(function: Function, btf: BTF, start: int, found: dict[int, str]) -> None:
    """Add what each CO-RE record asks for, where nothing better is known."""
    slot = start
    for insn in function.instructions:
        record = insn.core
        if record is not None and slot not in found:
            try:
                text = describe_record(btf, record.type_id, record.access, record.kind)
            except BTFError:
                text = ""  # a record that makes no sense is told by whoever applies it
            if text:
                found[slot] = text[:MAX_TEXT]
        slot += insn.slots


class Names:
    """Puts places into words; variables of each map are sorted once, when first needed."""

    __slots__ = ("_platform", "_program_type", "_spec", "_variables")

    def __init__(self, spec: CollectionSpec, platform: Platform, program_type: str) -> None:
        self._spec: CollectionSpec = spec
        self._platform: Platform = platform
        self._program_type: str = program_type
        self._variables: dict[str, list[VariableSpec]] = {}

    def of_access(self, access: Access) -> str:
        place = access.place
        if place.kind == f.CONTEXT:
            kind = self._platform.program_types.get(self._program_type)
            context = None if kind is None else kind.context
            return "" if context is None else field_text("ctx", context, place.offset, access.size)
        if place.structure is not None:
            return field_text(place.name, place.structure, place.offset, access.size)
        if place.kind == f.VALUE:
            return self._value(place, access.size)
        if place.kind == f.DATA:
            return self._variable(place, access.size)
        return ""

    def _value(self, place: Place, size: int) -> str:
        spec = place.map
        btf = self._spec.btf
        if spec is None or btf is None or not spec.value_type_id:
            return ""
        path = self.path(spec.value_type_id, place.offset, size)
        if path is None:
            return ""
        if not path:
            return "*value"
        return f"value{path}" if path.startswith("[") else f"value->{path}"

    def path(self, type_id: int, offset: int, size: int) -> str | None:
        """The path to a field; empty for the whole of a scalar, None where there is none."""
        btf = self._spec.btf
        if btf is None:
            return None
        try:
            found = resolve(btf, type_id)
            if isinstance(found, (t.Composite, t.Array)):
                return field_path(btf, type_id, offset, size)
        except BTFError:
            return None  # a damaged type has no names to give
        return "" if offset == 0 else None

    def _variable(self, place: Place, size: int) -> str:
        variable = self._variable_at(place)
        if variable is not None:
            path = self.path(variable.type_id, place.offset - variable.offset, size)
            if not variable.type_id or path is None:
                inside = place.offset - variable.offset
                return variable.name if inside == 0 else f"{variable.name}+{inside:#x}"
            if path and not path.startswith("["):
                path = f".{path}"
            return variable.name + path
        for extern in self._spec.externs.values():
            within = 0 <= place.offset - extern.offset < extern.size
            if extern.section == place.name and within:
                return extern.name
        return ""

    def _variable_at(self, place: Place) -> VariableSpec | None:
        known = self._variables.get(place.name)
        if known is None:
            known = [each for each in self._spec.variables.values() if each.map is place.map]
            known.sort(key=_offset_of)
            self._variables[place.name] = known
        low = 0
        high = len(known)
        while low < high:
            middle = (low + high) // 2
            if known[middle].offset <= place.offset:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        found = known[low - 1]
        return found if place.offset < found.offset + found.size else None


def _offset_of(variable: VariableSpec) -> int:
    return variable.offset


def field_text(base: str, context: Context, offset: int, size: int) -> str:
    """``ctx->mark``, ``ctx->cb[2]``, ``ctx->mark+1``, ``ctx->args[0]``; empty if unknown."""
    field: Field | None = context.field(offset, size)
    if field is None:
        if context.layout == "typed" and offset % 8 == 0 and 0 <= offset < context.size:
            return f"{base}->args[{offset // 8}]"
        return ""
    return f"{base}->{field.name}{_inside(field, offset)}"


def _inside(field: Field, offset: int) -> str:
    """What follows a field's name where only a part of it is meant."""
    distance = offset - field.offset
    element = max([*field.read_sizes, *field.write_sizes], default=field.size)
    if 0 < element < field.size:  # an array: no access takes more than an element
        position, rest = divmod(distance, element)
        return f"[{position}]" if rest == 0 else f"[{position}]+{rest}"
    return "" if distance == 0 else f"+{distance}"
