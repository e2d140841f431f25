"""What goes over the wire of objects: infos, map specs, results of runs.

Infos go as lists of their fields in order; both ends are of one version, which they tell each other
when they meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anybpf.objects.specs import MapSpec

_SPEC = (
    "kind",
    "key_size",
    "value_size",
    "max_entries",
    "flags",
    "pinning",
    "pin_path",
    "numa_node",
    "extra",
    "id",
    "key_type_id",
    "value_type_id",
    "data_size",
    "section",
    "section_offset",
)


def info_to_wire(info: Any) -> list[Any]:
    """The fields of an info, in order."""
    return [getattr(info, name) for name in type(info).__dataclass_fields__]


def info_from_wire(kind: str, fields: list[Any]) -> Any:
    """An info of a program, a map, a link or types."""
    from anybpf.runtime import infos

    made = {
        "program": infos.ProgramInfo,
        "map": infos.MapInfo,
        "link": infos.LinkInfo,
        "btf": infos.TypesInfo,
    }[kind]
    return made(*[tuple(one) if isinstance(one, list) else one for one in fields])


def spec_to_wire(spec: MapSpec) -> dict[str, Any]:
    """A map's definition without its contents."""
    told: dict[str, Any] = {name: getattr(spec, name) for name in _SPEC}
    told["name"] = spec.name
    told["type"] = spec.type
    told["inner"] = None if spec.inner is None else spec_to_wire(spec.inner)
    return told


def spec_from_wire(told: dict[str, Any]) -> MapSpec:
    from anybpf.errors import InputError
    from anybpf.objects.specs import MapSpec

    made = MapSpec(_typed(told, "name", str), _typed(told, "type", str))
    for name in _SPEC:
        if name in told:
            setattr(made, name, _typed(told, name, type(getattr(made, name))))
    inner = told.get("inner")
    if inner is not None:
        if not isinstance(inner, dict):
            raise InputError("the template of a map is no definition of one")
        made.inner = spec_from_wire(inner)
    return made


def _typed(told: dict[str, Any], name: str, kind: type) -> Any:
    from anybpf.errors import InputError

    found = told.get(name)
    if type(found) is not kind:
        raise InputError(f"{name} of a map is to be of type {kind.__name__}, not {found!r}")
    return found
