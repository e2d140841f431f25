"""From an object file to programs and maps in the kernel: all or nothing.

Specs come from ``anybpf.objects``; what fits them to this kernel is ``fitting``; the kernel's own
verifier decides, whose log comes with the error.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from struct import pack
from typing import TYPE_CHECKING, Any, Final

from anybpf.backends.linux import pins
from anybpf.backends.linux.collection import Collection, Variable
from anybpf.backends.linux.creating import create_map, entries_of
from anybpf.backends.linux.fitting import KernelTypes, fit, target_of
from anybpf.backends.linux.info import map_info
from anybpf.backends.linux.maps import Map, of_descriptor
from anybpf.backends.linux.program import Program
from anybpf.backends.linux.types import load_types
from anybpf.backends.linux.verdict import (
    HAS_FRAGS,
    SLEEPABLE,
    KernelVerdict,
    ProgramLoad,
    load_program,
)
from anybpf.errors import InputError, NotFound, NotSupported
from anybpf.objects import load_spec
from anybpf.objects.editing import number_bytes
from anybpf.objects.specs import CollectionSpec, MapSpec, ProgramSpec
from anybpf.platforms.table import near

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend

PIN_ROOT: Final = "/sys/fs/bpf"
_CONSTANT: Final = ("rodata", "kconfig")
# Options of other back ends whose usual values mean nothing here.
_USUAL: Final = {"engine": ("auto", "jit", "native"), "owner": ("",), "platform": ("", "linux")}


def load(
    backend: LinuxBackend,
    source: Any,
    *,
    programs: Iterable[str] | None = None,
    maps: Mapping[str, Map] | None = None,
    variables: Mapping[str, object] | None = None,
    pin_root: str = "",
    kconfig: str = "",
    kconfig_values: Mapping[str, int] | None = None,
    log_level: int = 0,
    **others: Any,
) -> Collection:
    """Load an object file or a :class:`CollectionSpec` into the kernel.

    ``programs`` picks some (without it, all that load by themselves), ``maps`` are existing maps to
    be used by name, ``variables`` initial values by name. ``pin_root`` is where maps with a pin by
    name lie. ``kconfig`` and ``kconfig_values`` go before what the kernel says of its
    configuration. With ``log_level`` (1, 2 or 4) each program keeps the verifier's log as ``log``.
    """
    for name, value in others.items():
        if value is not None and value not in _USUAL.get(name, ()):
            raise NotSupported(
                f"loading with {name}={value!r}", where="the linux back end, whose kernel decides"
            )
    return _Load(
        backend, source, programs, maps, variables, pin_root, kconfig, kconfig_values, log_level
    ).run()


def _read(source: Any) -> CollectionSpec:
    if isinstance(source, CollectionSpec):
        if source.platform != "linux":
            raise InputError(
                f"collection {source.name} was read for {source.platform}; the kernel here is "
                "linux: read it again for linux"
            )
        return source.copy()
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            data = stream.read()
        file = os.fspath(source)
        spec = load_spec(data, "linux", os.path.basename(file).partition(".")[0])
        spec.file = str(file)
        return spec
    if isinstance(source, bytes | bytearray | memoryview):
        return load_spec(bytes(source), "linux")
    if hasattr(source, "read"):
        return load_spec(source.read(), "linux")
    raise InputError(
        "what is loaded is a path, the bytes of an object, a file, or a CollectionSpec, "
        f"not {type(source).__name__}"
    )


class _Load:
    """One load on its way."""

    def __init__(
        self,
        backend: LinuxBackend,
        source: Any,
        programs: Iterable[str] | None,
        maps: Mapping[str, Map] | None,
        variables: Mapping[str, object] | None,
        pin_root: str,
        kconfig: str,
        kconfig_values: Mapping[str, int] | None,
        log_level: int,
    ) -> None:
        self.backend: LinuxBackend = backend
        self.pin_root: str = pin_root or PIN_ROOT
        self.log_level: int = log_level
        spec = _read(source)
        if spec.big_endian != (sys.byteorder == "big"):
            raise InputError(
                f"{spec.file or spec.name} was compiled for machines of the other byte order"
            )
        for name, value in (variables or {}).items():
            _set(spec, name, value)
        self.spec, self.core = fit(spec, backend.kernel_types(), kconfig, kconfig_values)
        self.chosen: dict[str, ProgramSpec] = self._choose(programs)
        self.given: dict[str, Map] = {}
        for name, one in (maps or {}).items():
            self.given[name] = self._given(name, one)
        self.types: KernelTypes | None = None
        self.types_fd: int = 0
        self.told: dict[str, tuple[bytes, bytes]] = {}
        self.made_pins: list[str] = []
        self.loaded: Collection = Collection(backend, self.spec)
        self.loaded.core = self.core

    def _choose(self, names: Iterable[str] | None) -> dict[str, ProgramSpec]:
        everything = self.spec.programs
        if names is None:
            return {name: one for name, one in everything.items() if one.autoload}
        chosen = {}
        for name in [names] if isinstance(names, str) else names:
            if name not in everything:
                raise NotFound(
                    f"{self.spec.file or self.spec.name}: no program is named {name!r}"
                    f"{near(name, everything) or f'; there are: {chr(44).join(everything)}'}"
                )
            chosen[name] = everything[name]
        return chosen

    def _given(self, name: str, one: Map) -> Map:
        spec = self.spec.maps.get(name)
        if spec is None:
            raise NotFound(f"no map is named {name!r}{near(name, self.spec.maps)}")
        if not isinstance(one, Map):
            raise InputError(f"map {name} is to be one of the linux back end, which {one!r} is not")
        _check_same(spec, one, "the map given")
        return one

    # The steps.

    def run(self) -> Collection:
        wanted = self._wanted_maps()
        try:
            self._load_types()
            for name in wanted:
                self._make_map(name)
            for name in wanted:
                self._fill(name)
            for name, program in self.chosen.items():
                self._make_program(name, program)
            for name in wanted:
                self._fill_with_objects(name)
            self._pin()
        except BaseException:
            for path in self.made_pins:
                pins.remove(path)
            self.loaded.close()
            raise
        finally:
            if self.types_fd:
                os.close(self.types_fd)
        for name, variable in self.spec.variables.items():
            home = self._key_of(variable.map)
            if home in self.loaded.maps:
                self.loaded.variables[name] = Variable(
                    variable, self.loaded.maps[home], self.spec.btf
                )
        return self.loaded

    def _wanted_maps(self) -> list[str]:
        """The maps to be made: all, or what a choice of programs needs."""
        maps = self.spec.maps
        if len(self.chosen) == len(self.spec.programs):
            return list(maps)
        needed: set[str] = set()
        for program in self.chosen.values():
            for insn in program.instructions:
                if insn.is_map_load and insn.map_name:
                    needed.add(self._key_by_name(insn.map_name))
        todo = list(needed)
        while todo:
            for _, value in maps[todo.pop()].contents:
                if isinstance(value, str):
                    key = self._key_by_name(value, "")
                    if key and key not in needed:
                        needed.add(key)
                        todo.append(key)
        return [name for name in maps if name in needed]

    def _key_by_name(self, name: str, otherwise: str | None = None) -> str:
        if name in self.spec.maps:
            return name
        for key, spec in self.spec.maps.items():
            if spec.name == name:
                return key
        if otherwise is None:
            raise NotFound(f"a program uses map {name!r}, which is not defined")
        return otherwise

    def _key_of(self, spec: MapSpec) -> str:
        return next((key for key, one in self.spec.maps.items() if one is spec), "")

    def _load_types(self) -> None:
        btf = self.spec.btf
        if btf is None:
            return
        types = KernelTypes(self.spec, btf)
        for name, program in self.chosen.items():
            functions = types.functions(program)
            self.told[name] = functions, types.lines(program) if functions else b""
        self.types_fd = load_types(types.encode(), self.spec.name)

    def _make_map(self, name: str) -> None:
        spec = self.spec.maps[name]
        found = self.given.get(name)
        if found is not None:
            self.loaded.maps[name] = of_descriptor(
                self.backend, os.dup(found.fd), spec, self.spec.btf
            )
            return
        path = self._path(spec) if spec.pinning or spec.pin_path else ""
        if path and os.path.exists(path):
            there = self.backend.open(path)
            if not isinstance(there, Map):
                said = there.describe()
                there.close()
                raise InputError(f"map {name} is to be pinned at {path}, where {said} is")
            self.loaded.maps[name] = there
            _check_same(spec, there, "the one pinned there")
            self.given[name] = there
            return
        fd = create_map(self.backend, spec, self.types_fd, self._inner(spec))
        self.loaded.maps[name] = of_descriptor(self.backend, fd, spec, self.spec.btf)

    def _inner(self, spec: MapSpec) -> int:
        """A map that shows what those inside another are like, where no template says it."""
        if spec.inner is None and self.backend.platform.map_type(spec.type).holds == "maps":
            for _, value in spec.contents:
                key = self._key_by_name(value, "") if isinstance(value, str) else ""
                if key in self.loaded.maps:
                    return self.loaded.maps[key].fd
        return 0

    def _path(self, spec: MapSpec) -> str:
        if spec.pin_path:
            return spec.pin_path
        root = self.pin_root
        if spec.pinning == "by_object":
            root += f"/{self.spec.name}"
        return f"{root}/{spec.name}"

    def _fill(self, name: str) -> None:
        """The contents that are bytes; then what is constant stays as it is."""
        if name in self.given:
            return
        spec, one = self.spec.maps[name], self.loaded.maps[name]
        if spec.data_size:
            _fill_arena(spec, one)
            return
        for key, value in spec.contents:
            if isinstance(value, bytes):
                data = value.ljust(one.user_value_size, b"\0")
                _check_put(one.put(key, data, 0), spec, key)
        if spec.kind in _CONSTANT:
            one.freeze()

    def _fill_with_objects(self, name: str) -> None:
        if name in self.given:
            return
        spec, one = self.spec.maps[name], self.loaded.maps[name]
        for key, value in spec.contents:
            if not isinstance(value, str):
                continue
            inside: Program | Map | None = self.loaded.programs.get(value)
            if inside is None:
                inside = self.loaded.maps.get(self._key_by_name(value, value))
            if inside is None:
                if value in self.spec.programs:
                    continue  # a program that was not chosen
                raise NotFound(f"map {name} is to hold {value!r}, which is neither program nor map")
            _check_put(one.put(key, pack("=I", inside.fd), 0), spec, key)

    def _make_program(self, name: str, spec: ProgramSpec) -> None:
        platform = self.backend.platform
        kind = platform.program_type(spec.type)
        if spec.type == "unspec":
            raise InputError(
                f"program {name}: its section {spec.section!r} does not say of which type it is; "
                "set its spec's type"
            )
        target, member = target_of(spec, self.backend.kernel_types())
        attach = platform.attach_type(spec.attach_type).number if spec.attach_type else 0
        functions, lines = self.told.get(name, (b"", b""))
        wanted = ProgramLoad(
            name=spec.function.symbol,
            code=self._code(spec),
            type=kind.number,
            attach_type=attach if member < 0 else member,
            license=spec.license,
            flags=("sleepable" in spec.flags) * SLEEPABLE | ("frags" in spec.flags) * HAS_FRAGS,
            types_fd=self.types_fd,
            functions=functions,
            lines=lines,
            attach_btf_id=target,
        )
        fd, log = load_program(wanted, self.log_level, self._explain)
        self.loaded.programs[name] = Program(self.backend, fd, spec, log)

    def _code(self, spec: ProgramSpec) -> bytes:
        """The program's instructions, with descriptors of maps in place."""
        from anybpf.isa import encode

        instructions = spec.instructions
        for insn in instructions:
            if insn.is_map_load and insn.map_name:
                key = self._key_by_name(insn.map_name)
                # The upper half is an offset into the value and stays what it is.
                insn.imm = (insn.imm >> 32) * 0x100000000 + self.loaded.maps[key].fd
        return encode(instructions)

    def _explain(self, verdict: KernelVerdict) -> str:
        """What the log cannot know: a field that this kernel's types lack."""
        report = self.core
        if report is None or not report.poisoned or not verdict.log:
            return ""
        if "0xbad2310" not in verdict.log and "195896080" not in verdict.log:
            return ""
        return f" (the object needs what this kernel lacks: {report.poisoned[0].reason})"

    def _pin(self) -> None:
        for name, one in self.loaded.maps.items():
            spec = self.spec.maps[name]
            if name not in self.given and (spec.pinning or spec.pin_path):
                self.made_pins.append(one.pin(self._path(spec)))


def _set(spec: CollectionSpec, name: str, value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = number_bytes(spec.variable(name), value)
    spec.set(name, value)


def _check_same(spec: MapSpec, there: Map, what: str) -> None:
    info = map_info(there.fd, there.platform)
    found = [
        f"{word} is {have}, not {wanted}"
        for word, wanted, have in (
            ("type", there.platform.map_type(spec.type).name, info.type_name),
            ("key size", spec.key_size, info.key_size),
            ("value size", spec.value_size, info.value_size),
            ("max entries", entries_of(spec), info.max_entries),
            ("flags", spec.flags, info.map_flags),
        )
        if wanted != have
    ]
    if spec.kind in _CONSTANT and not found:
        wanted = spec.contents[0][1] if spec.contents else bytes(spec.value_size)
        # The verifier would believe these bytes.
        if not info.frozen or there.lookup(b"\0\0\0\0") != wanted:
            found.append("its constants are others")
    if found:
        raise InputError(
            f"map {spec.name} cannot be {what} ({there.describe()}): {'; '.join(found)}"
        )


def _check_put(number: int, spec: MapSpec, key: bytes) -> None:
    if number:
        why = {errno.E2BIG: "there is no room for it"}.get(number, errno.errorcode.get(number, ""))
        raise InputError(
            f"map {spec.name}: its initial entry with key {key.hex(' ') or '(none)'} cannot be "
            f"put in: {why or number}"
        )


def _fill_arena(spec: MapSpec, one: Map) -> None:
    """The object's variables, in the arena's last pages: touching them makes them."""
    with one.values_view() as whole:
        for _, value in spec.contents:
            if isinstance(value, bytes):
                whole[spec.data_offset : spec.data_offset + len(value)] = value
