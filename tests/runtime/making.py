"""Collections from assembly, for tests that need no compiler: one program each, maps by name."""

from __future__ import annotations

from anybpf.isa.assembler import assemble
from anybpf.objects.specs import CollectionSpec, Function, MapSpec, ProgramSpec
from anybpf.platforms import get

PASS = "r0 = 2\nexit"
# A UDP packet to port 53 whose length says that it is empty: what examples/droppacket drops.
DNS = (
    bytes(12) + b"\x08\x00"
    + b"\x45" + bytes(8) + b"\x11" + bytes(10)
    + b"\x00\x01\x00\x35\x00\x08\x00\x00"
)  # fmt: skip


def map_spec(
    name: str = "counts",
    kind: str = "array",
    key: int = 4,
    value: int = 8,
    entries: int = 4,
    flags: int = 0,
    inner: MapSpec | None = None,
) -> MapSpec:
    spec = MapSpec(name, kind)
    spec.key_size, spec.value_size, spec.max_entries, spec.flags = key, value, entries, flags
    spec.inner = inner
    return spec


def collection(
    *programs: str,
    maps: list[MapSpec] | None = None,
    kind: str = "xdp",
    platform: str = "linux",
    attach_type: str = "",
    license: str = "GPL",  # noqa: A002
) -> CollectionSpec:
    """Programs "main", "main1", ... from their texts."""
    spec = CollectionSpec("case", "", platform)
    for one in maps or []:
        spec.maps[one.name] = one
    numbers = {helper.name: helper.number for helper in get(platform).helpers}
    for index, text in enumerate(programs):
        name = f"main{index}" if index else "main"
        code = assemble(text, helpers=numbers, open_names=False)
        function = Function(name, kind, 0, code)
        spec.functions[name] = function
        program = ProgramSpec(function, kind, spec.functions)
        program.type = kind
        program.attach_type = attach_type
        program.license = license
        program.platform = platform
        spec.programs[name] = program
    return spec
