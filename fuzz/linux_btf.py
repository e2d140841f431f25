"""An object's BTF made fit for a kernel, the way loaders do, and the kernel's own BTF.

Compilers leave to the loader what they cannot know (where variables lie) and write what kernels do
not take (functions and variables that are defined elsewhere). Nothing here talks to a kernel.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from anybpf.btf import BTF, BTFBuilder
from anybpf.btf import types as t
from anybpf.btf.layout import resolve
from anybpf.objects.specs import CollectionSpec, MapSpec

KERNEL_TYPES = Path("/sys/kernel/btf/vmlinux")
_STATIC = 0
_GLOBAL = 1
_EXTERN = 2


@cache
def kernel_btf() -> BTF | None:
    """The types of the running kernel, None if it does not tell them."""
    if not KERNEL_TYPES.is_file():
        return None
    return BTF.parse(KERNEL_TYPES.read_bytes(), file=str(KERNEL_TYPES))


def for_kernel(spec: CollectionSpec) -> bytes:
    """The object's types under the same ids, as a kernel accepts them."""
    btf = spec.btf
    if btf is None:
        return b""
    static = set()
    for function in spec.functions.values():
        if not function.is_global or function.is_hidden:
            static.add(function.type_id)
    homes = {each.value_type_id: each for each in spec.maps.values() if each.value_type_id}
    unnamed = _prototypes_without_names(btf)
    builder = BTFBuilder(btf.big_endian)
    spare = len(btf)
    for found in btf.types(own=True):
        if not found.id:
            continue
        made: t.Type = found
        if isinstance(found, t.Var) and found.linkage == _EXTERN:
            # A variable of type void is known by its address only; the kernel wants some type.
            shape = spare if resolve(btf, found.type_id).kind == t.KIND_VOID else found.type_id
            made = t.Var(found.name, shape, _GLOBAL)
        elif isinstance(found, t.Function):
            linkage = _GLOBAL if found.linkage == _EXTERN else found.linkage
            made = t.Function(found.name, found.type_id, _STATIC if found.id in static else linkage)
        elif isinstance(found, t.FunctionProto) and found.id in unnamed:
            params = [
                t.Param(param.name or (f"argument{index}" if param.type_id else ""), param.type_id)
                for index, param in enumerate(found.params)
            ]
            made = t.FunctionProto(found.return_id, params)
        elif isinstance(found, t.DataSection):
            made = _section(spec, btf, found, homes.get(found.id))
        builder.add(made)
    builder.add(t.Int("unused", 4))
    return builder.encode()


def _prototypes_without_names(btf: BTF) -> set[int]:
    """Prototypes of functions: the kernel wants their parameters named, externs have no names."""
    return {
        found.type_id
        for found in btf.types(own=True)
        if isinstance(found, t.Function) and found.linkage == _EXTERN
    }


def _section(spec: CollectionSpec, btf: BTF, found: t.DataSection, home: MapSpec | None) -> t.Type:
    """A data section with its size and places; one that no map holds becomes a mere name."""
    if home is None or home.type == "arena" or not home.value_size:
        return t.Int("unused", 4)
    places: dict[str, list[tuple[int, int]]] = {}
    for variable in spec.variables.values():
        if variable.section == found.name:
            name = variable.name.partition("@")[0]
            places.setdefault(name, []).append((variable.offset, variable.type_id))
    rows = []
    for place in found.vars:
        var = btf.type(place.type_id)
        offset = place.offset
        if isinstance(var, t.Var):
            for known in places.get(var.name, []):
                if known[1] in (0, var.type_id):
                    offset = known[0]
                    places[var.name].remove(known)
                    break
        rows.append(t.SectionVar(place.type_id, offset, place.size))
    rows.sort(key=_offset)
    return t.DataSection(found.name, home.value_size, rows)


def _offset(place: t.SectionVar) -> int:
    return place.offset
