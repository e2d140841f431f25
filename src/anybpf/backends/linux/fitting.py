"""An object made fit for the running kernel, the way loaders do it.

CO-RE records are applied, names that the kernel supplies filled in, and the object's types written
as a kernel accepts them: compilers leave to the loader what they cannot know (where variables lie)
and write what kernels do not take (functions and variables that are defined elsewhere).
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Mapping
from struct import pack
from typing import TYPE_CHECKING, Final

from anybpf.btf import BTF, BTFBuilder
from anybpf.btf import types as t
from anybpf.btf.layout import resolve
from anybpf.objects.specs import CollectionSpec, MapSpec, ProgramSpec

if TYPE_CHECKING:
    from anybpf.objects.core import CoreReport

KCONFIG: Final = ".kconfig"
_STATIC: Final = 0
_GLOBAL: Final = 1
_EXTERN: Final = 2
# struct bpf_line_info: the column takes the lower bits of its last word.
_COLUMN_BITS: Final = 10


def fit(
    spec: CollectionSpec,
    kernel: BTF | None,
    kconfig: str = "",
    kconfig_values: Mapping[str, int] | None = None,
) -> tuple[CollectionSpec, CoreReport | None]:
    """A copy of the spec for this kernel, and what became of its CO-RE records."""
    made = spec.copy()
    report = None
    if kernel is not None and made.btf is not None:
        from anybpf.objects.core import apply_core

        report = apply_core(made, kernel)
    if not made.externs:
        return made, report
    from anybpf.objects.externs import resolve_externs

    text = kconfig or (configuration() if KCONFIG in made.maps else "")
    symbols: Mapping[str, int] = {}
    if any(not one.type_id and not one.is_function for one in made.externs.values()):
        symbols = kernel_symbols()
    numbers = {**kernel_numbers(), **(kconfig_values or {})}
    return resolve_externs(made, text, numbers, symbols, kernel), report


def kernel_numbers() -> dict[str, int]:
    """What loaders know of a kernel beside its configuration."""
    release = re.match(r"(\d+)\.(\d+)\.?(\d*)", os.uname().release)
    version = 0
    if release:
        version = int(release[1]) << 16 | int(release[2]) << 8 | min(int(release[3] or 0), 255)
    return {
        "LINUX_KERNEL_VERSION": version,
        "LINUX_HAS_BPF_COOKIE": 1,
        "LINUX_HAS_SYSCALL_WRAPPER": 1,
    }


def configuration() -> str:
    """The running kernel's configuration, as far as the machine keeps it."""
    for path in ("/proc/config.gz", f"/boot/config-{os.uname().release}"):
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                data = stream.read()
            return (gzip.decompress(data) if path.endswith(".gz") else data).decode()
    return ""


def kernel_symbols() -> Mapping[str, int]:
    """Addresses by name, the first one of equal names."""
    found: dict[str, int] = {}
    if os.path.isfile("/proc/kallsyms"):
        with open("/proc/kallsyms") as lines:
            for line in lines:
                words = line.split()
                found.setdefault(words[2], int(words[0], 16))
    return found


class KernelTypes:
    """An object's types under the same ids, as a kernel accepts them; and what refers to them.

    ``functions`` and ``lines`` are what a program tells of itself with those types. Ask for all
    lines first: their texts become strings of the types.
    """

    def __init__(self, spec: CollectionSpec, btf: BTF) -> None:
        self._builder: BTFBuilder = BTFBuilder(btf.big_endian)
        static = {
            function.type_id
            for function in spec.functions.values()
            if not function.is_global or function.is_hidden
        }
        homes = {each.value_type_id: each for each in spec.maps.values() if each.value_type_id}
        unnamed = _prototypes_without_names(btf)
        spare = len(btf)
        for found in btf.types(own=True):
            if found.id:
                self._builder.add(_fitted(spec, btf, found, static, homes, unnamed, spare))
        self._builder.add(t.Int("unused", 4))

    def encode(self) -> bytes:
        return self._builder.encode()

    def functions(self, program: ProgramSpec) -> bytes:
        """Slot and type of each function; nothing if one of them has no type."""
        rows = []
        slot = 0
        for function in program.functions:
            if not function.type_id:
                return b""
            rows.append(pack("=II", slot, function.type_id))
            slot += function.slots
        return b"".join(rows)

    def lines(self, program: ProgramSpec) -> bytes:
        """Where each instruction comes from; nothing if a function does not begin with a line,
        which the kernel insists on."""
        rows = []
        slot = 0
        for function in program.functions:
            first = True
            for insn in function.instructions:
                line = insn.line
                if line is not None:
                    column = min(line.column, (1 << _COLUMN_BITS) - 1)
                    rows.append(
                        pack(
                            "=IIII",
                            slot,
                            self._builder.add_string(line.file),
                            self._builder.add_string(line.text),
                            line.line << _COLUMN_BITS | column,
                        )
                    )
                elif first:
                    return b""
                first = False
                slot += insn.slots
        return b"".join(rows)


def _fitted(
    spec: CollectionSpec,
    btf: BTF,
    found: t.Type,
    static: set[int],
    homes: dict[int, MapSpec],
    unnamed: set[int],
    spare: int,
) -> t.Type:
    if isinstance(found, t.Var) and found.linkage == _EXTERN:
        # A variable of type void is known by its address only; the kernel wants some type.
        shape = spare if resolve(btf, found.type_id).kind == t.KIND_VOID else found.type_id
        return t.Var(found.name, shape, _GLOBAL)
    if isinstance(found, t.Function):
        linkage = _GLOBAL if found.linkage == _EXTERN else found.linkage
        return t.Function(found.name, found.type_id, _STATIC if found.id in static else linkage)
    if isinstance(found, t.FunctionProto) and found.id in unnamed:
        params = [
            t.Param(param.name or (f"argument{index}" if param.type_id else ""), param.type_id)
            for index, param in enumerate(found.params)
        ]
        return t.FunctionProto(found.return_id, params)
    if isinstance(found, t.DataSection):
        return _section(spec, btf, found, homes.get(found.id))
    return found


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


def target_of(program: ProgramSpec, kernel: BTF | None) -> tuple[int, int]:
    """The id of the kernel type that a program is for, 0 for none; and a member's index for the
    functions of a ``struct_ops``, -1 for all others."""
    from anybpf.errors import InputError, NotFound, NotSupported

    if program.type not in ("tracing", "lsm", "struct_ops", "ext"):
        return 0, -1
    what = f"program {program.name}"
    if program.type == "ext":
        raise NotSupported(
            f"{what}: replacing a function of another program", where="the linux back end"
        )
    if kernel is None:
        raise NotSupported(
            f"{what} of type {program.type}", where="this kernel: it does not tell its types"
        )
    if program.type == "struct_ops":
        return _struct_ops_member(kernel, program)
    prefix, kind = _TARGETS.get(program.attach_type, ("", t.KIND_FUNC))
    wanted = program.attach_to.partition("+")[0]
    if not wanted:
        raise InputError(
            f"{what}: its section {program.section!r} does not say what to attach to: write it "
            "behind a slash"
        )
    found = kernel.find(prefix + wanted, kind)
    if found is None:
        raise NotFound(f"{what}: this kernel has no {prefix}{wanted}")
    return found.id, -1


# What stands before a target's name in the kernel's types, by attach type; and its kind.
_TARGETS: Final = {
    "trace_raw_tp": ("btf_trace_", t.KIND_TYPEDEF),
    "trace_iter": ("bpf_iter_", t.KIND_FUNC),
    "lsm_mac": ("bpf_lsm_", t.KIND_FUNC),
    "lsm_cgroup": ("bpf_lsm_", t.KIND_FUNC),
}


def _struct_ops_member(kernel: BTF, program: ProgramSpec) -> tuple[int, int]:
    from anybpf.errors import NotFound

    name, _, member = program.attach_to.partition(".")
    found = kernel.find(name.partition("___")[0], t.KIND_STRUCT)
    if not isinstance(found, t.Struct):
        raise NotFound(
            f"program {program.name}: this kernel has no struct {name or '(none is named)'}"
        )
    for index, each in enumerate(found.members):
        if each.name == member:
            return found.id, index
    raise NotFound(f"program {program.name}: struct {name} of this kernel has no {member}")
