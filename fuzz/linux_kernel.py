"""What this machine's kernel says of a program: its verifier asked, nothing attached or run.

`load` asks about a program of an object file, `load_instructions` about instructions made up on
the spot. Maps, types and the program exist only while the question is asked. Needs root; where
there is no bpf(2) to ask, `linux_syscall.unavailable` says why and everything here raises
`NotSupported`. Not a back end: no program can be used afterwards.
"""

from __future__ import annotations

import errno
import gzip
import os
import platform as machine
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from struct import pack

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.errors import AnyBPFError, LinkError, NotSupported
from anybpf.isa import encode
from anybpf.isa.instruction import Instruction
from anybpf.objects.core import apply_core
from anybpf.objects.externs import KCONFIG, resolve_externs
from anybpf.objects.specs import CollectionSpec, ExternSpec, MapSpec, ProgramSpec
from anybpf.platforms import get as get_platform
from fuzz import linux_syscall as system
from fuzz.linux_btf import for_kernel, kernel_btf

LINUX = get_platform("linux")
_HELD_BYTES = ("rodata", "kconfig")
# Map types that take no types of key and value (bpf_map_create of libbpf leaves them out).
_UNTYPED = frozenset(
    [
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
    ]
)
_NUMA_NODE = 1 << 2
_PAGE = 4096
# Where an arena begins for user space if nobody maps it: aligned, and far from everything.
_ARENA_START = 1 << 44
# What stands before a target's name in the kernel's types, by attach type; and its kind.
_TARGETS = {
    "trace_raw_tp": ("btf_trace_", t.KIND_TYPEDEF),
    "trace_iter": ("bpf_iter_", t.KIND_FUNC),
    "lsm_mac": ("bpf_lsm_", t.KIND_FUNC),
    "lsm_cgroup": ("bpf_lsm_", t.KIND_FUNC),
}
_STATISTICS = re.compile(r"^(verification time|stack depth|processed) ")
_TIME = re.compile(r"^verification time (\d+) usec", re.MULTILINE)
_PROCESSED = re.compile(r"^processed (\d+) insns", re.MULTILINE)


class KernelVerdict:
    """What the kernel said. ``obstacle``, if any, is why its verifier never came to judge."""

    __slots__ = ("accepted", "errno", "log", "obstacle")

    def __init__(self, accepted: bool, number: int = 0, log: str = "", obstacle: str = "") -> None:
        self.accepted = accepted
        self.errno = number
        self.log = log
        self.obstacle = obstacle

    @property
    def verification_ns(self) -> int:
        """How long the kernel's verifier took by its own clock, 0 if it does not say."""
        found = _TIME.search(self.log)
        return int(found[1]) * 1000 if found else 0

    @property
    def processed(self) -> int:
        """How many instructions it went through on all paths."""
        found = _PROCESSED.search(self.log)
        return int(found[1]) if found else 0

    @property
    def reason(self) -> str:
        """The obstacle, or the last line of the log that is about the program."""
        if self.obstacle or self.accepted:
            return self.obstacle
        lines = [line for line in self.log.splitlines() if line and not _STATISTICS.match(line)]
        return lines[-1].strip() if lines else os.strerror(self.errno)

    def __repr__(self) -> str:
        word = "not judged" if self.obstacle else "pass" if self.accepted else "reject"
        return f"<KernelVerdict {word}{': ' if self.reason else ''}{self.reason}>"


class _Obstacle(Exception):
    """The program cannot be brought before the verifier here."""


def load(
    spec: CollectionSpec, program: ProgramSpec | str, *, log_level: int = system.LOG_STATS
) -> KernelVerdict:
    """Ask about one program of an object; `KernelObject` is cheaper for several."""
    with KernelObject(spec) as loaded:
        return loaded.load(program, log_level=log_level)


def load_instructions(
    instructions: Iterable[Instruction],
    program_type: str,
    maps: Mapping[str, MapSpec] | None = None,
    attach_type: str = "",
    *,
    flags: int = 0,
    license: str = "GPL",  # noqa: A002  (the field's own word)
    log_level: int = system.LOG_STATS,
) -> KernelVerdict:
    """Ask about instructions; map loads bear the name of one of ``maps`` as ``map_name``."""
    spec = CollectionSpec("generated", "", "linux")
    spec.maps.update(maps or {})
    with KernelObject(spec) as loaded:
        try:
            code = loaded.code([insn.copy() for insn in instructions])
        except _Obstacle as obstacle:
            return KernelVerdict(False, obstacle=str(obstacle))
        number = LINUX.attach_type(attach_type).number if attach_type else 0
        return _ask(
            code,
            LINUX.program_type(program_type).number,
            license=license,
            flags=flags,
            attach_type=number,
            log_level=log_level,
        )


class KernelObject:
    """An object's maps and types in the kernel, as long as the ``with`` lasts.

    The spec is copied and fitted to this kernel: CO-RE records applied, names that the kernel
    supplies filled in. What cannot be is an obstacle for the programs that need it only.
    """

    def __init__(self, spec: CollectionSpec) -> None:
        problem = system.unavailable()
        if problem:
            raise NotSupported("asking the kernel's verifier", where=f"this machine: {problem}")
        self._descriptors: list[int] = []
        self._maps: dict[str, int] = {}
        self._missing: dict[str, str] = {}
        self._spec = self._fitted(spec)
        self.btf_problem = ""
        self._btf = self._load_types()

    def __enter__(self) -> KernelObject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        self._maps.clear()

    def load(
        self,
        program: ProgramSpec | str,
        *,
        program_type: str = "",
        flags: int = 0,
        log_level: int = system.LOG_STATS,
    ) -> KernelVerdict:
        """Ask about one program. ``program_type`` is for those whose section says none."""
        name = program if isinstance(program, str) else program.name
        found = self._spec.programs[name]
        try:
            self._check_externs(found)
            code = self.code(found.instructions)
            target, attach_type = _target(found)
        except _Obstacle as obstacle:
            return KernelVerdict(False, obstacle=str(obstacle))
        except AnyBPFError as error:
            return KernelVerdict(False, obstacle=f"{type(error).__name__}: {error}")
        if "sleepable" in found.flags:
            flags |= system.F_SLEEPABLE
        if "frags" in found.flags:
            flags |= system.F_XDP_HAS_FRAGS
        info = self._function_info(found)
        return _ask(
            code,
            LINUX.program_type(program_type or found.type).number,
            name=found.function.symbol,
            license=found.license,
            flags=flags,
            attach_type=attach_type,
            attach_btf_id=target,
            btf=self._btf if info else 0,
            function_info=info,
            log_level=log_level,
        )

    def code(self, instructions: list[Instruction]) -> bytes:
        """The encoding, with descriptors of maps in place; changes the instructions."""
        for insn in instructions:
            if insn.is_map_load and insn.map_name:
                # The upper half is an offset into the value and stays what it is.
                insn.imm = (insn.imm >> 32) * 0x100000000 + self._map(insn.map_name)
        return encode(instructions)

    def _fitted(self, spec: CollectionSpec) -> CollectionSpec:
        copy = spec.copy()
        kernel = kernel_btf()
        if kernel is not None and copy.btf is not None:
            apply_core(copy, kernel)
        kconfig = _kernel_configuration() if KCONFIG in copy.maps else ""
        symbols: Mapping[str, int] = {}
        if any(not e.type_id and not e.is_function for e in copy.externs.values()):
            symbols = _kernel_symbols()
        for name, extern in list(copy.externs.items()):
            why = _why_missing(copy, extern, kconfig, symbols, kernel)
            if why:
                self._missing[name] = why
                if extern.section != KCONFIG:
                    del copy.externs[name]
                else:
                    extern.is_weak = True
        return resolve_externs(copy, kconfig, _numbers(), symbols, kernel)

    def _load_types(self) -> int:
        data = for_kernel(self._spec)
        if not data:
            return 0
        try:
            return self._keep(system.load_btf(data))
        except system.Refused as refused:
            lines = refused.log.strip().splitlines()
            self.btf_problem = lines[-1] if lines else str(refused)
            return 0

    def _keep(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def _check_externs(self, program: ProgramSpec) -> None:
        for function in program.functions:
            for insn in function.instructions:
                if insn.reference in self._missing and not insn.is_local_call:
                    raise _Obstacle(f"{insn.reference}: {self._missing[insn.reference]}")

    def _function_info(self, program: ProgramSpec) -> bytes:
        """Slot and type of each function; nothing if one of them has no type."""
        rows = []
        slot = 0
        for function in program.functions:
            if not function.type_id:
                return b""
            rows.append(pack("=II", slot, function.type_id))
            slot += function.slots
        return b"".join(rows) if self._btf else b""

    def _map(self, key: str) -> int:
        known = self._maps.get(key)
        if known is None:
            spec = self._spec.maps.get(key)
            if spec is None:
                raise _Obstacle(f"map {key} is not defined")
            known = self._create(spec)
            self._maps[key] = known
        return known

    def _create(self, spec: MapSpec) -> int:
        if spec.kind == "struct_ops":
            raise _Obstacle(f"map {spec.name} is a struct_ops, which only user space refers to")
        inner = 0
        if LINUX.map_type(spec.type).holds == "maps":
            inner = self._inner(spec)
        try:
            descriptor = self._create_typed(spec, inner)
        except system.Refused as refused:
            raise _Obstacle(str(refused.strerror)) from None
        if spec.kind in _HELD_BYTES:
            for entry_key, value in spec.contents:
                if isinstance(value, bytes):
                    system.update_map(descriptor, entry_key, value)
            system.freeze_map(descriptor)
        return descriptor

    def _create_typed(self, spec: MapSpec, inner: int) -> int:
        """A map with types if it can have them; without, if the kernel does not want these."""
        typed = self._btf if spec.type not in _UNTYPED and spec.value_type_id else 0
        attempts = (typed, 0) if typed else (0,)
        for btf in attempts:
            try:
                return self._keep(
                    system.create_map(
                        LINUX.map_type(spec.type).number,
                        spec.key_size,
                        spec.value_size,
                        _entries(spec),
                        name=spec.name,
                        flags=spec.flags,
                        inner=inner,
                        numa_node=spec.numa_node if spec.flags & _NUMA_NODE else 0,
                        btf=btf,
                        key_type=spec.key_type_id if btf else 0,
                        value_type=spec.value_type_id if btf else 0,
                        extra=spec.extra or (_ARENA_START if spec.type == "arena" else 0),
                    )
                )
            except system.Refused:
                if btf == attempts[-1]:
                    raise
        raise AssertionError("an attempt succeeds or raises")

    def _inner(self, spec: MapSpec) -> int:
        if spec.inner is not None:
            return self._create(spec.inner)
        for _, value in spec.contents:
            if isinstance(value, str):
                return self._map(value)
        raise _Obstacle(f"map {spec.name} does not say what the maps inside it are like")


def _ask(
    code: bytes,
    program_type: int,
    *,
    name: str = "",
    license: str = "",  # noqa: A002
    flags: int = 0,
    attach_type: int = 0,
    attach_btf_id: int = 0,
    btf: int = 0,
    function_info: bytes = b"",
    log_level: int = system.LOG_STATS,
) -> KernelVerdict:
    result, log = system.load_program(
        code,
        program_type,
        name=name,
        license=license,
        flags=flags,
        attach_type=attach_type,
        attach_btf_id=attach_btf_id,
        btf=btf,
        function_info=function_info,
        log_level=log_level,
    )
    if result >= 0:
        os.close(result)
        return KernelVerdict(True, log=log)
    obstacle = ""
    if log_level and not log.strip():
        word = errno.errorcode.get(-result, str(-result))
        obstacle = f"refused before verification: {word}"
    return KernelVerdict(False, -result, log, obstacle)


def _entries(spec: MapSpec) -> int:
    count = spec.max_entries
    if spec.type == "perf_event_array" and not count:
        return os.cpu_count() or 1
    if spec.type in ("ringbuf", "user_ringbuf") and count:
        pages = -(-count // _PAGE)
        return _PAGE << (pages - 1).bit_length()
    return count


def _target(program: ProgramSpec) -> tuple[int, int]:
    """The id of the kernel type that a program is for, 0 for none; and its attach type's number."""
    number = LINUX.attach_type(program.attach_type).number if program.attach_type else 0
    if program.type not in ("tracing", "lsm", "struct_ops", "ext"):
        return 0, number
    kernel = kernel_btf()
    if kernel is None:
        raise _Obstacle("the kernel does not tell its types")
    if program.type == "ext":
        raise _Obstacle("an ext program needs the program that it is to replace a function of")
    if program.type == "struct_ops":
        return _struct_ops_member(kernel, program)
    prefix, kind = _TARGETS.get(program.attach_type, ("", t.KIND_FUNC))
    wanted = program.attach_to.partition("+")[0]
    if not wanted:
        raise _Obstacle("the section does not say what to attach to")
    found = kernel.find(prefix + wanted, kind)
    if found is None:
        raise _Obstacle(f"this kernel has no {prefix}{wanted}")
    return found.id, number


def _struct_ops_member(kernel: BTF, program: ProgramSpec) -> tuple[int, int]:
    name, _, member = program.attach_to.partition(".")
    found = kernel.find(name.partition("___")[0], t.KIND_STRUCT)
    if not isinstance(found, t.Struct):
        raise _Obstacle(f"this kernel has no struct {name or '(the object names none)'}")
    for index, each in enumerate(found.members):
        if each.name == member:
            return found.id, index
    raise _Obstacle(f"struct {name} of this kernel has no member {member}")


def _why_missing(
    spec: CollectionSpec,
    extern: ExternSpec,
    kconfig: str,
    symbols: Mapping[str, int],
    kernel: BTF | None,
) -> str:
    """Why this kernel cannot supply a name; empty if it can, or if it need not."""
    alone = CollectionSpec(spec.name, spec.file, spec.platform)
    alone.btf = spec.btf
    alone.externs[extern.name] = extern
    if extern.section == KCONFIG:
        alone.maps[KCONFIG] = spec.maps[KCONFIG]
    try:
        resolve_externs(alone, kconfig, _numbers(), symbols, kernel)
    except LinkError as error:
        return error.message.removeprefix("externs cannot be resolved: ")
    return ""


def _numbers() -> dict[str, int]:
    """What loaders know of a kernel beside its configuration."""
    release = re.match(r"(\d+)\.(\d+)\.?(\d*)", machine.release())
    version = 0
    if release:
        version = int(release[1]) << 16 | int(release[2]) << 8 | min(int(release[3] or 0), 255)
    return {
        "LINUX_KERNEL_VERSION": version,
        "LINUX_HAS_BPF_COOKIE": 1,
        "LINUX_HAS_SYSCALL_WRAPPER": 1,
    }


@cache
def _kernel_configuration() -> str:
    """The running kernel's configuration, as far as the machine keeps it."""
    for path in (Path("/proc/config.gz"), Path(f"/boot/config-{machine.release()}")):
        if path.is_file():
            data = path.read_bytes()
            return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return ""


@cache
def _kernel_symbols() -> Mapping[str, int]:
    """Addresses by name, the first one of equal names."""
    found: dict[str, int] = {}
    path = Path("/proc/kallsyms")
    if path.is_file():
        for line in path.read_text().splitlines():
            words = line.split()
            found.setdefault(words[2], int(words[0], 16))
    return found


__all__ = ["KernelObject", "KernelVerdict", "load", "load_instructions"]
