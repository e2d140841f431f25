"""What the running kernel can do, by asking it: yes, no with the version that has it, or unknown.

A probe never attaches anything to a place where events come from: it names targets that do not
exist and looks at which error comes. Definite answers are remembered by ``Features``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from struct import pack
from typing import TYPE_CHECKING, Any, Final

from anybpf.backends.linux import probing, syscall
from anybpf.btf import types as t
from anybpf.errors import InputError
from anybpf.platforms.model import MapType, ProgramType
from anybpf.runtime.features import (
    ATTACH_TYPE,
    HELPER,
    MAP_TYPE,
    MISC,
    PROGRAM_TYPE,
    Feature,
    Features,
)

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.platforms.table import Table

# With which attach type a program of a type is loaded where the kernel wants to know it.
_ATTACH_AS: Final = {
    "cgroup_sock_addr": "cgroup_inet4_connect",
    "cgroup_sockopt": "cgroup_getsockopt",
    "sk_lookup": "sk_lookup",
    "netfilter": "netfilter",
    "tracing": "trace_raw_tp",
    "lsm": "lsm_mac",
    "flow_dissector": "flow_dissector",
    "lirc_mode2": "lirc_mode2",
}
# What programs of these types are loaded for, by the name of its type in the kernel.
_TARGETS: Final = {
    "trace_raw_tp": "btf_trace_sched_switch",
    "trace_fentry": "bpf_fentry_test1",
    "trace_fexit": "bpf_fentry_test1",
    "modify_return": "bpf_modify_return_test",
    "trace_iter": "bpf_iter_task",
    "lsm_mac": "bpf_lsm_file_open",
    "lsm_cgroup": "bpf_lsm_file_open",
}
_SLEEPABLE: Final = 1 << 4  # BPF_F_SLEEPABLE, which programs of type syscall must have
_NO_PREALLOC: Final = 1 << 0
_MMAPABLE: Final = 1 << 10
_READ_ONLY_PROGRAM: Final = 1 << 7
# A descriptor and a network device that are not there.
_NOWHERE: Final = -1
_NO_DEVICE: Final = 0x7FFFFFFF
_LOOPBACK: Final = 1
_XDP_HARDWARE: Final = 1 << 3
# With these a kernel says that it looked for the target: it knows the place.
_LOOKED: Final = (
    errno.EBADF, errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EAFNOSUPPORT, errno.ENXIO,
)  # fmt: skip
# Programs of these types may call what those of the replaced function may.
_REPLACING: Final = ("ext", "struct_ops")
_UNKNOWN_HELPER: Final = ("invalid func ", "unknown func ", "cannot use helper")
_REFUSED: Final = (errno.EPERM, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)


class LinuxFeatures(Features):
    """The features of the running kernel. Helpers can be asked for by program type, too."""

    def __init__(self, backend: LinuxBackend) -> None:
        super().__init__(syscall.release(), self._names_of, self._ask)
        self._backend = backend
        self._platform = backend.platform
        self._kinds: dict[str, Callable[[str], Feature]] = {
            PROGRAM_TYPE: self._program_type,
            MAP_TYPE: self._map_type,
            ATTACH_TYPE: self._attach_type,
            HELPER: self._helper,
            MISC: self._misc,
        }

    def _names_of(self, kind: str) -> list[str]:
        tables: dict[str, Table[Any]] = {
            PROGRAM_TYPE: self._platform.program_types,
            MAP_TYPE: self._platform.map_types,
            ATTACH_TYPE: self._platform.attach_types,
            HELPER: self._platform.helpers,
        }
        if kind == MISC:
            return list(_MISC)
        return [name for name in tables[kind].names() if name != "unspec"]

    def _ask(self, kind: str, name: str) -> Feature:
        return self._kinds[kind](name)

    def helper(self, name: str, program_type: str) -> Feature:
        """Whether programs of that type may call that helper."""
        key = (HELPER, f"{program_type}/{name}")
        found = self._known.get(key)
        if found is None:
            if name not in self.names(HELPER):
                raise InputError(f"no helper is named {name!r}")
            if program_type not in self.names(PROGRAM_TYPE):
                raise InputError(f"no program type is named {program_type!r}")
            found = self._helper_of(name, program_type)
            if found.has is not None:
                self._known[key] = found
        return found

    # Answers.

    def _answer(self, kind: str, name: str, result: int, since: str) -> Feature:
        """By what the kernel gave: 0, or minus an error number."""
        if result >= 0:
            return Feature(kind, name, True, since)
        if -result in _REFUSED:
            return Feature(kind, name, None, since, f"the kernel says {syscall.text(-result)}")
        return self._no(kind, name, since, syscall.word(-result))

    def _no(self, kind: str, name: str, since: str, said: str) -> Feature:
        why = f"the kernel says {said}"
        if since and _not_older(since):
            why += f"; it is new enough ({since}), so it was built without it, or forbids it"
        return Feature(kind, name, False, since, why)

    # Program types.

    def _load(self, kind: ProgramType, code: bytes = b"", attach_type: str = "") -> tuple[int, str]:
        """A descriptor or minus an error number, and the log."""
        name = attach_type or _ATTACH_AS.get(kind.name, "")
        attach = self._platform.attach_types
        number = attach[name].number if name in attach else 0
        flags = _SLEEPABLE if kind.name == "syscall" else 0
        target = self._target(_TARGETS[name]) if name in _TARGETS else 0
        result, log = -errno.EINVAL, ""
        # Some places take no 0 from their programs.
        for ending in (probing.RETURN_0, probing.RETURN_1):
            result, log = probing.load(
                kind.number, code + ending, attach_type=number, flags=flags, btf_id=target
            )
            if result != -errno.EINVAL:
                break
        return result, log

    def _target(self, name: str) -> int:
        """The number of a type of the kernel, or one that leads nowhere."""
        types = self._backend.kernel_types()
        kind = t.KIND_TYPEDEF if name.startswith("btf_trace_") else t.KIND_FUNC
        found = None if types is None else types.find(name, kind)
        return 1 if found is None else int(found.id)

    def _program_type(self, name: str) -> Feature:
        kind = self._platform.program_type(name)
        if name in _REPLACING:
            return self._without_target(kind)
        result, _ = self._load(kind)
        return self._answer(PROGRAM_TYPE, name, probing.closed(result), kind.since)

    def _without_target(self, kind: ProgramType) -> Feature:
        """Types that replace something, which is not there: the kernel's complaint tells."""
        result, log = probing.load(kind.number, btf_id=1)
        known = {
            "ext": "Cannot replace kernel functions" in log or "Tracing programs" in log,
            "struct_ops": result in (-syscall.ENOTSUPP, -errno.ENOENT) or "struct" in log,
        }[kind.name]
        result = 0 if known else probing.closed(result)
        return self._answer(PROGRAM_TYPE, kind.name, result, kind.since)

    # Map types.

    def _map_type(self, name: str) -> Feature:
        kind = self._platform.map_types[name]
        result = self._try_map(kind)
        if name == "struct_ops" and result == -syscall.ENOTSUPP:
            result = 0  # it looked for the structure, which is none
        return self._answer(MAP_TYPE, name, result, kind.since)

    def _try_map(self, kind: MapType) -> int:
        key, value = max(kind.key_size.low, 0), max(kind.value_size.low, 0)
        entries = max(kind.entries.low, 1 if kind.entries.high else 0)
        if kind.entries.page_multiple:
            entries = os.sysconf("SC_PAGE_SIZE")
        name = kind.name
        if name.endswith("_of_maps"):
            inner = probing.create_map(2, 4, 4, 1)
            if inner < 0:
                return inner
            try:
                return probing.closed(probing.create_map(kind.number, 4, 4, 1, inner=inner))
            finally:
                os.close(inner)
        if name == "struct_ops":
            return probing.closed(probing.create_map(kind.number, 4, 0, 1, kernel_type=1))
        if name.endswith("_storage") and kind.needs_btf:
            return self._try_storage(kind)
        sizes = {
            "lpm_trie": (8, 8, 1),
            "stack_trace": (4, 8, 1),
            "cgroup_storage": (8, 8, 0),
            "percpu_cgroup_storage": (8, 8, 0),
            "queue": (0, 4, 1),
            "stack": (0, 4, 1),
            "bloom_filter": (0, 4, 1),
        }
        flags = {"lpm_trie": _NO_PREALLOC, "arena": _MMAPABLE}.get(name, 0)
        key, value, entries = sizes.get(name, (key, value, entries))
        if name in ("hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash"):
            key, value = 4, 4
        return probing.closed(probing.create_map(kind.number, key, value, entries, flags=flags))

    def _try_storage(self, kind: MapType) -> int:
        types = probing.load_btf(probing.btf([probing.INT]))
        if types < 0:
            return types
        try:
            return probing.closed(
                probing.create_map(
                    kind.number, 4, 4, 0, flags=_NO_PREALLOC, btf=types, key_type=1, value_type=1
                )
            )
        finally:
            os.close(types)

    # Attach types.

    def _attach_type(self, name: str) -> Feature:
        kind = self._platform.attach_types[name]
        if name == "struct_ops":
            return self._looked(name, probing.create_link(_NOWHERE, 0, kind.number), kind.since)
        if not kind.program_types:
            return Feature(ATTACH_TYPE, name, None, kind.since, "no program type is known for it")
        program = self._platform.program_type(kind.program_types[0])
        result, _ = self._load(program, attach_type=name)
        if result < 0:
            return self._answer(ATTACH_TYPE, name, result, kind.since)
        try:
            if kind.link_type in ("tracing", "iter"):
                return Feature(ATTACH_TYPE, name, True, kind.since)  # it was loaded for it
            said = self._attach_nowhere(result, name, kind.number, kind.link_type)
        finally:
            os.close(result)
        if said in (0, -errno.EINVAL) and not kind.link_type:
            return self._by_load(name, program, kind.number, kind.since)
        return self._looked(name, said, kind.since)

    def _attach_nowhere(self, program: int, name: str, number: int, link_type: str) -> int:
        rest = b""
        target = _NO_DEVICE if link_type in ("tcx", "netkit") else _NOWHERE
        held: list[object] = []
        if link_type in ("kprobe_multi", "uprobe_multi"):
            rest, held = _multi(link_type)
        if link_type == "netfilter":
            rest, target = pack("=IIiI", 0, 0, 0, 0), 0  # of no family
        if link_type == "xdp":
            # No card would be no answer. The loopback device runs no programs in its hardware.
            said = probing.create_link(program, _LOOPBACK, number, flags=_XDP_HARDWARE)
            return 0 if said == -errno.EOPNOTSUPP else said
        said = probing.create_link(program, target, number, rest)
        del held
        if said >= 0:
            os.close(said)
        elif said == -errno.EINVAL and link_type in ("cgroup", "sockmap", "netns", ""):
            # Places that are older than links.
            said = probing.attach(program, _NOWHERE, number)
        return said

    def _looked(self, name: str, said: int, since: str) -> Feature:
        known = said >= 0 or -said in _LOOKED
        return self._answer(ATTACH_TYPE, name, 0 if known else said, since)

    def _by_load(self, name: str, program: ProgramType, number: int, since: str) -> Feature:
        """Places that only loading knows of: they are known if it refuses one that is not."""
        nonsense = probing.loads(program.number, attach_type=0xFFFF)
        if nonsense == -errno.EINVAL:
            return self._answer(
                ATTACH_TYPE, name, probing.loads(program.number, attach_type=number), since
            )
        return Feature(
            ATTACH_TYPE, name, None, since, "the kernel takes any name for it at loading"
        )

    # Helpers.

    def _helper(self, name: str) -> Feature:
        """Whether any type of program may call it; of those that the tables name."""
        helper = self._platform.helpers[name]
        unknown = ""
        callers = [
            kind.name
            for kind in self._platform.program_types
            if helper.number in kind.helpers and kind.name not in _REPLACING
        ]
        for program_type in callers:
            found = self.helper(name, program_type)
            if found.has:
                return Feature(HELPER, name, True, helper.since, f"in {program_type} programs")
            if found.has is None:
                unknown = found.why
        if unknown or not callers:
            why = unknown or "only programs that replace something may call it"
            return Feature(HELPER, name, None, helper.since, why)
        return self._no(HELPER, name, helper.since, "that no program may call it")

    def _helper_of(self, name: str, program_type: str) -> Feature:
        helper = self._platform.helpers[name]
        label = f"{program_type}/{name}"
        if program_type in _REPLACING:
            return Feature(HELPER, label, None, helper.since, "it depends on what is replaced")
        kind = self._platform.program_type(program_type)
        places = kind.helper_attach_types.get(helper.number, ("",))
        result, log = self._load(kind, probing.call(helper.number), places[0])
        probing.closed(result)
        for line in log.splitlines():
            if any(words in line for words in _UNKNOWN_HELPER):
                why = f"the kernel says {line!r}"
                return Feature(HELPER, label, False, helper.since, why)
        if result >= 0 or log:  # it came as far as to look at the arguments
            return Feature(HELPER, label, True, helper.since)
        type_answer = self.feature(PROGRAM_TYPE, program_type)
        if type_answer.has is False:
            return Feature(HELPER, label, False, type_answer.since, "there are no such programs")
        why = f"the kernel says {syscall.text(-result)}"
        return Feature(HELPER, label, None, helper.since, why)

    # The rest.

    def _misc(self, name: str) -> Feature:
        since, probe = _MISC[name]
        return self._answer(MISC, name, probe(), since)


def linux_features(backend: LinuxBackend) -> LinuxFeatures:
    """What the kernel behind the back end can do; nothing is asked yet."""
    return LinuxFeatures(backend)


def _not_older(since: str) -> bool:
    """Whether the running kernel is of that version or newer."""
    parts = since.split(".")
    if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
        return False
    return probing.kernel_version() >= (int(parts[0]) << 16) + (int(parts[1]) << 8)


def _multi(link_type: str) -> tuple[bytes, list[object]]:
    """Fields for probes of a function, and of a file, that are not there; and what to hold."""
    if link_type == "kprobe_multi":
        text = create_string_buffer(b"no_function_is_called_so")
        names = create_string_buffer(pack("=Q", addressof(text)), 8)
        return pack("=IIQQQ", 0, 1, addressof(names), 0, 0), [text, names]
    path = create_string_buffer(b"/")  # which is no file
    offsets = create_string_buffer(8)
    rest = pack("=QQQQIII4x", addressof(path), addressof(offsets), 0, 0, 1, 0, 0)
    return rest, [path, offsets]


_SOCKET_FILTER: Final = 1


def _jump(code: int, offset: int, immediate: int = 0, register: int = 0) -> bytes:
    return pack("=BBhi", code, register, offset, immediate)


def _large() -> int:
    """More than the 4096 instructions that programs once had at most."""
    return probing.loads(_SOCKET_FILTER, probing.move(0) * 4097 + probing.EXIT)


def _loops() -> int:
    code = probing.move(10) + _jump(0x07, 0, -1) + _jump(0x55, -2) + probing.EXIT
    return probing.loads(_SOCKET_FILTER, code)


def _isa_v2() -> int:
    """JLT, in both directions of 64 bits."""
    return probing.loads(_SOCKET_FILTER, probing.move(0) + _jump(0xA5, 0, 1) + probing.EXIT)


def _isa_v3() -> int:
    """Comparison of 32 bits."""
    return probing.loads(_SOCKET_FILTER, probing.move(0) + _jump(0xA6, 0, 1) + probing.EXIT)


def _isa_v4() -> int:
    """The long jump."""
    return probing.loads(_SOCKET_FILTER, probing.move(0) + _jump(0x06, 0, 0) + probing.EXIT)


def _names() -> int:
    result, _ = probing.load(_SOCKET_FILTER, name=b"probe", log=False)
    if result < 0:
        return result
    name = probing.program_name(result)
    os.close(result)
    return 0 if name == b"probe" else -errno.EINVAL


def _global_data() -> int:
    """A program that reads a map's value at its address."""
    fd = probing.create_map(2, 4, 4, 1)
    if fd < 0:
        return fd
    load = pack("=BBhi", 0x18, 2 << 4 | 1, 0, fd) + pack("=BBhi", 0, 0, 0, 0)
    result = probing.loads(_SOCKET_FILTER, load + probing.RETURN_0)
    os.close(fd)
    return result


def _mapped_arrays() -> int:
    return probing.closed(probing.create_map(2, 4, 4, 1, flags=_MMAPABLE))


def _read_only_maps() -> int:
    return probing.closed(probing.create_map(2, 4, 4, 1, flags=_READ_ONLY_PROGRAM))


def _btf(*types: bytes) -> Callable[[], int]:
    def probe() -> int:
        return probing.closed(probing.load_btf(probing.btf([probing.INT, *types])))

    return probe


def _kernel_btf() -> int:
    return 0 if os.path.exists("/sys/kernel/btf/vmlinux") else -errno.ENOENT


def _batches() -> int:
    """Updating nothing at once: a kernel that knows the command says that there is no map."""
    said = syscall.call(
        syscall.MAP_UPDATE_BATCH, pack("=QQQQIIQQ", 0, 0, 0, 0, 0, 0xFFFFFFFF, 0, 0)
    )
    return 0 if said == -errno.EBADF else said


def _links() -> int:
    said = syscall.call(syscall.LINK_UPDATE, pack("=IIII", 0xFFFFFFFF, 0, 0, 0))
    return 0 if said == -errno.EBADF else said


def _iterators() -> int:
    said = syscall.call(syscall.ITER_CREATE, pack("=II", 0xFFFFFFFF, 0))
    return 0 if said == -errno.EBADF else said


def _statistics() -> int:
    return probing.closed(syscall.call(syscall.ENABLE_STATS, pack("=I", 0)))


def _tokens() -> int:
    said = syscall.call(syscall.TOKEN_CREATE, pack("=II", 0, 0xFFFFFFFF))
    return 0 if said == -errno.EBADF else said


# Versions: release notes of kernelnewbies.org and "BPF Features by Linux Kernel Version" of bcc.
# Kinds of types: Documentation/bpf/btf.rst.
_MISC: Final[dict[str, tuple[str, Callable[[], int]]]] = {
    "large_insn_limit": ("5.2", _large),
    "bounded_loops": ("5.3", _loops),
    "v2_isa_extension": ("4.14", _isa_v2),
    "v3_isa_extension": ("5.1", _isa_v3),
    "v4_isa_extension": ("6.6", _isa_v4),
    "program_names": ("4.15", _names),
    "global_data": ("5.2", _global_data),
    "mapped_arrays": ("5.5", _mapped_arrays),
    "read_only_maps": ("5.2", _read_only_maps),
    "btf": ("4.18", _btf()),
    "btf_functions": (
        "5.0", _btf(probing.btf_type(13, 0, name=0), probing.btf_type(12, 2)),
    ),
    "btf_global_functions": (
        "5.6", _btf(probing.btf_type(13, 0, name=0), probing.btf_type(12, 2, count=1)),
    ),
    "btf_data_sections": (
        "5.2",
        _btf(
            probing.btf_type(14, 1, pack("=I", 1)),
            probing.btf_type(15, 4, pack("=III", 2, 0, 4), count=1),
        ),
    ),
    "btf_floats": ("5.13", _btf(probing.btf_type(16, 4))),
    "btf_declaration_tags": (
        "5.16",
        _btf(
            probing.btf_type(14, 1, pack("=I", 1)), probing.btf_type(17, 2, pack("=i", -1))
        ),
    ),
    "btf_type_tags": ("5.17", _btf(probing.btf_type(18, 1), probing.btf_type(2, 2, name=0))),
    "btf_64_bit_enumerations": (
        "6.0", _btf(probing.btf_type(19, 8, pack("=III", 1, 0, 0), count=1)),
    ),
    "kernel_btf": ("5.4", _kernel_btf),
    "map_batches": ("5.6", _batches),
    "links": ("5.7", _links),
    "iterators": ("5.8", _iterators),
    "run_time_statistics": ("5.8", _statistics),
    "tokens": ("6.9", _tokens),
}  # fmt: skip
