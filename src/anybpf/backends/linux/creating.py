"""Creating maps in the kernel from their specs.

What a map may be like, the platform's tables say beforehand, so that a refusal comes with words;
what else the kernel refuses, it says by an error number.
"""

from __future__ import annotations

import errno
import os
from struct import pack
from typing import TYPE_CHECKING, Final

from anybpf.backends.linux import syscall
from anybpf.errors import AnyBPFError, InputError, NotSupported
from anybpf.runtime.map import check_numbers

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.objects.specs import MapSpec

# Map types that take no types of key and value.
UNTYPED: Final = frozenset(
    {
        "perf_event_array",
        "cgroup_array",
        "stack_trace",
        "array_of_maps",
        "hash_of_maps",
        "devmap",
        "devmap_hash",
        "cpumap",
        "xskmap",
        "sockmap",
        "sockhash",
    }
)
_NUMA_NODE: Final = 1 << 2
_PAGE: Final = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096
# Where an arena begins for user space if nobody maps it: aligned, and far from everything.
_ARENA_START: Final = 1 << 44


def entries_of(spec: MapSpec) -> int:
    """How many entries are asked for: where 0 stands for "as needed", that; rings in full pages."""
    count = spec.max_entries
    if spec.type == "perf_event_array" and not count:
        from anybpf.backends.linux.elements import possible_cpus

        return possible_cpus()
    if spec.type in ("ringbuf", "user_ringbuf") and count:
        pages = -(-count // _PAGE)
        return _PAGE << (pages - 1).bit_length()
    return count


def create_map(backend: LinuxBackend, spec: MapSpec, types_fd: int = 0, inner_fd: int = 0) -> int:
    """A descriptor of a new map without contents.

    ``types_fd`` are loaded types that the spec's numbers of types belong to; a map that may not
    have types, or not those, is made without.
    """
    check_numbers(spec)
    if spec.kind == "struct_ops":
        raise NotSupported(f"map {spec.name}: struct_ops", where="the linux back end")
    kind = backend.platform.map_type(spec.type)
    made = 0
    if kind.holds == "maps" and not inner_fd:
        if spec.inner is None:
            raise InputError(
                f"map {spec.name} ({spec.type}) needs a template for the maps that it is to hold: "
                "set its spec's inner"
            )
        inner_fd = made = create_map(backend, spec.inner, types_fd)
    try:
        typed = types_fd if spec.type not in UNTYPED and spec.value_type_id else 0
        result = _create(kind.number, spec, typed, inner_fd)
        if result < 0 and typed and -result not in (errno.EPERM, errno.ENOMEM):
            result = _create(kind.number, spec, 0, inner_fd)
    finally:
        if made:
            os.close(made)
    if result < 0:
        raise _refused(backend, spec, -result)
    return result


def _create(number: int, spec: MapSpec, types_fd: int, inner_fd: int) -> int:
    attributes = pack(
        "=7I16s5IQii",
        number,
        spec.key_size,
        spec.value_size,
        entries_of(spec),
        spec.flags,
        inner_fd,
        spec.numa_node if spec.flags & _NUMA_NODE else 0,
        syscall.kernel_name(spec.name),
        0,  # no device
        types_fd,
        spec.key_type_id if types_fd else 0,
        spec.value_type_id if types_fd else 0,
        0,  # no type of the kernel's own
        spec.extra or (_ARENA_START if spec.type == "arena" else 0),
        0,
        0,
    )
    return syscall.call(syscall.MAP_CREATE, attributes)


def _refused(backend: LinuxBackend, spec: MapSpec, number: int) -> AnyBPFError:
    what = (
        f"map {spec.name} ({spec.type}: keys of {spec.key_size} bytes, values of "
        f"{spec.value_size} bytes, {spec.max_entries} entries, flags {spec.flags:#x})"
    )
    if number == errno.EPERM:
        return syscall.not_permitted(f"creating {what}")
    kind = backend.platform.map_type(spec.type)
    problems = kind.problems(spec.key_size, spec.value_size, entries_of(spec))
    if problems:
        why = "; ".join(problems)
    elif number == errno.EINVAL:
        why = (
            "its sizes or flags do not go with its type, or it needs types (BTF), or this kernel "
            "is too old for it"
        )
    else:
        why = {
            errno.ENOMEM: "there is not enough memory for it; give it fewer entries",
            errno.E2BIG: "it would be larger than a map may be",
        }.get(number, "the kernel refuses it")
    return InputError(f"{what} cannot be created: {why}: {syscall.text(number)}")
