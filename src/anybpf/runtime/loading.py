"""From an object file to a running collection: prove first, then make, and all or nothing.

Specs come from ``anybpf.objects``, proofs from ``anybpf.verifier``, code from ``anybpf.engines``;
here is the order of the steps, and what is undone if one of them fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from anybpf import _core
from anybpf.engines import Prepared, prepare
from anybpf.engines.image.reading import is_library
from anybpf.errors import InputError, NotFound, NotSupported, VerifierError
from anybpf.maps import Map
from anybpf.maps.failures import STATUS
from anybpf.objects import load_spec
from anybpf.objects.editing import number_bytes
from anybpf.objects.specs import CollectionSpec, MapSpec, ProgramSpec
from anybpf.platforms.built import unbuilt
from anybpf.platforms.table import near
from anybpf.runtime.collection import Collection, Variable
from anybpf.runtime.map import (
    READ_ONLY_KINDS,
    MapKeeper,
    MapRecord,
    create_map,
    differences,
    fill_arena,
    open_map,
    settle,
)
from anybpf.runtime.policy import AUTO, ENGINES, INTERPRET, JIT, NATIVE
from anybpf.runtime.program import Program, create_program
from anybpf.runtime.types import TypesRecord, create_types

if TYPE_CHECKING:
    from anybpf.engines.image.signing import Keys
    from anybpf.engines.image.table import Image
    from anybpf.engines.proof import Proof
    from anybpf.runtime.runtime import Runtime
    from anybpf.verifier import Budget, Verification

# A file: its path, or its bytes.
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | None

# What compiled code does itself where it can: see anybpf.engines.lowering.plan.
_INLINED: Final = ("map_lookup_elem", "map_update_elem", "map_delete_elem")


def load(
    source: Any,
    *,
    runtime: Runtime | None = None,
    platform: str = "",
    programs: Iterable[str] | None = None,
    maps: Mapping[str, Map] | None = None,
    variables: Mapping[str, object] | None = None,
    pin_root: str = "",
    owner: str = "",
    engine: str = AUTO,
    signature: bytes | None = None,
    budget: Budget | None = None,
    kconfig: str = "",
    kconfig_values: Mapping[str, int] | None = None,
    proof: Source | Proof = None,
    key: Keys | None = None,
) -> Collection:
    """Load an object file, a :class:`CollectionSpec`, or a native image into a runtime.

    Every program of an object is verified first; :class:`VerifierError` says what was not proved,
    and then nothing is loaded. ``runtime`` is the process's own for ``platform`` unless one is
    given. ``programs`` picks some (without it, all that load by themselves), ``maps`` are existing
    maps to be used by name, ``variables`` initial values by name. ``pin_root`` is where maps with a
    pin by name lie, ``owner`` whose quota counts. ``kconfig`` and ``kconfig_values`` answer what
    the object asks of the system's configuration.

    ``engine`` is how programs run: "interpret", or "jit", which compiles them before this returns,
    or "auto", which interprets them at once and compiles those that turn out to run a lot.
    Programs of an image run the machine code in it.

    ``key`` names the public keys that are trusted (see :func:`anybpf.engines.image.signing
    .read_keys`): an image must be signed by one of them, and so must be ``proof``, which then takes
    the place of the analysis (``anybpf verify --proof`` makes one).
    """
    if runtime is None:
        runtime = default_runtime(platform or _platform_of(source))
    return _Load(
        runtime, source, platform, programs, maps, variables, pin_root, owner, engine, signature,
        budget, kconfig, kconfig_values, proof, key,
    ).run()  # fmt: skip


def prove(spec: CollectionSpec, data: bytes, runtime: Runtime, **options: Any) -> bytes:
    """Verify what was read from the object ``data``, as :func:`load` does, and load nothing.

    The proof, unsigned, for a process that believes this one: see
    :func:`anybpf.engines.proof.own_proof`.
    """
    from anybpf.engines.proof import make_proof

    told: dict[str, Any] = {
        "platform": "", "programs": None, "maps": None, "variables": None, "pin_root": "",
        "owner": "", "engine": INTERPRET, "signature": None, "budget": None, "kconfig": "",
        "kconfig_values": None, "proof": None, "key": None,
    }  # fmt: skip
    loading = _Load(runtime, spec, **{**told, **options})
    for one in loading.spec.maps.values():
        settle(one, runtime)
    loading._prepare()
    if not loading.prepared:
        return b""
    return make_proof(loading.prepared.values(), data, loading.spec)


_default: dict[str, Runtime] = {}


def default_runtime(platform: str = "linux") -> Runtime:
    """The runtime of this process for that platform, made when it is first asked for."""
    from anybpf.runtime.runtime import Runtime

    found = _default.get(platform)
    if found is None or found.closed:
        found = _default[platform] = Runtime(platform)
    return found


def _platform_of(source: object) -> str:
    return source.platform if isinstance(source, CollectionSpec) else "linux"


class _Load:
    """One load on its way."""

    def __init__(
        self,
        runtime: Runtime,
        source: Any,
        platform: str,
        programs: Iterable[str] | None,
        maps: Mapping[str, Map] | None,
        variables: Mapping[str, object] | None,
        pin_root: str,
        owner: str,
        engine: str,
        signature: bytes | None,
        budget: Budget | None,
        kconfig: str,
        kconfig_values: Mapping[str, int] | None,
        proof: Source | Proof,
        key: Keys | None,
    ) -> None:
        self.runtime: Runtime = runtime
        self.owner: str = owner
        self.budget: Budget | None = budget
        self.pin_root: str = pin_root or runtime.habits.pin_root
        if platform and platform != runtime.platform.name:
            raise InputError(
                f"the runtime is one of {runtime.platform.name}: it loads no objects for {platform}"
            )
        self.data: bytes | None = None
        self.image: Image | None = None
        self.proof: Proof | None = None
        self.keys: frozenset[bytes] | None = _keys(key)
        self.spec: CollectionSpec = self._read(source)
        if proof is not None:
            self._read_proof(proof)
        what = f"collection {self.spec.name}"
        self.engine: str = self._allowed_engine(engine, what)
        for policy in runtime.policies:
            policy.check_signature(self.data, signature, what)
        if self.spec.externs:
            from anybpf.objects.externs import resolve_config

            self.spec = resolve_config(self.spec, kconfig, kconfig_values)
        for name, value in (variables or {}).items():
            self._set(name, value)
        self.chosen: dict[str, ProgramSpec] = self._choose(programs)
        self.given: dict[str, MapRecord] = {}
        for name, one in (maps or {}).items():
            self.given[name] = self._given(name, one)
        self.proofs: dict[str, Verification] = {}
        self.prepared: dict[str, Prepared] = {}
        self.types: TypesRecord | None = None
        self.records: dict[str, MapRecord] = {}
        self.pinned: list[MapRecord] = []
        self.loaded: Collection = Collection(runtime, self.spec)

    def _read(self, source: Any) -> CollectionSpec:
        name = self.runtime.platform.name
        if isinstance(source, CollectionSpec):
            if source.platform != name:
                raise InputError(
                    f"collection {source.name} was read for {source.platform}; "
                    f"the runtime is one of {name}: read it again for {name}"
                )
            # What is proved must be what is loaded, whatever becomes of the caller's spec.
            return source.copy()
        if isinstance(source, (str, os.PathLike)):
            with open(source, "rb") as stream:
                self.data = stream.read()
            base = os.path.basename(os.fspath(source)).partition(".")[0]
            return self._parse(os.fspath(source), base)
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.data = bytes(source)
            return self._parse()
        if not hasattr(source, "read"):
            raise InputError(
                "what is loaded is a path, the bytes of an object, a file, or a CollectionSpec, "
                f"not {type(source).__name__}"
            )
        self.data = source.read()
        return self._parse()

    def _parse(self, file: str = "", name: str = "") -> CollectionSpec:
        """What the file's bytes say: they are read once, and used as they were read."""
        assert self.data is not None
        if is_library(self.data):
            from anybpf.runtime import images

            self.image, spec = images.read(self.data, file, self.runtime, self.keys)
            return spec
        spec = load_spec(self.data, self.runtime.platform, name or None)
        spec.file = file
        return spec

    def _read_proof(self, source: Source | Proof) -> None:
        """What was proved of the object, if that was signed by whom it should be."""
        from anybpf.engines.proof import Proof, read_proof

        if isinstance(source, Proof):  # its reader knows where it is from
            self.proof = source
            return
        what = f"collection {self.spec.name}"
        if self.keys is None:
            raise InputError(
                f"{what}: a proof is worth as much as the key that signed it: say which is trusted"
            )
        if self.data is None or self.image is not None:
            raise InputError(f"{what}: a proof is one of an object file, which this is not")
        data, file = _whole(source)
        self.proof = read_proof(data, self.data, self.keys, file)

    def _allowed_engine(self, engine: str, what: str) -> str:
        """What is asked for, or as much of it as the policies allow."""
        if self.image is not None:
            if engine not in (AUTO, NATIVE):
                raise InputError(f"{what} was compiled ahead: it does not run by engine {engine!r}")
            return NATIVE
        if engine not in ENGINES:
            raise InputError(f"no engine is named {engine!r}{near(engine, ENGINES)}")
        if engine == AUTO:
            policies = self.runtime.policies
            if any(JIT not in policy.modes for policy in policies):
                engine = INTERPRET
            elif any(INTERPRET not in policy.modes for policy in policies):
                engine = JIT
        for policy in self.runtime.policies:
            policy.check_mode(JIT if engine == JIT else INTERPRET, what)
        return engine

    def _set(self, name: str, value: object) -> None:
        spec = self.spec.variable(name)
        if self.image is not None and spec.is_constant:
            raise InputError(
                f"variable {name} is constant: the image was compiled with its value; set it in "
                "the object, before compiling"
            )
        if isinstance(value, int) and not isinstance(value, bool):
            value = number_bytes(spec, value)
        self.spec.set(name, value)

    def _choose(self, names: Iterable[str] | None) -> dict[str, ProgramSpec]:
        everything = self.spec.programs
        if names is None:
            return {name: one for name, one in everything.items() if one.autoload}
        if isinstance(names, str):
            names = [names]
        chosen = {}
        for name in names:
            if name not in everything:
                raise NotFound(
                    f"{self.spec.file or self.spec.name}: no program is named {name!r}"
                    f"{near(name, everything) or f'; there are: {chr(44).join(everything)}'}"
                )
            chosen[name] = everything[name]
        return chosen

    def _given(self, name: str, one: Map) -> MapRecord:
        spec = self.spec.maps.get(name)
        if spec is None:
            raise NotFound(f"no map is named {name!r}{near(name, self.spec.maps)}")
        keeper = one.keeper
        if not isinstance(keeper, MapKeeper) or keeper.record.runtime is not self.runtime:
            raise InputError(f"map {name} is to be one of this runtime, which {one!r} is not")
        record = keeper.record
        assert isinstance(record, MapRecord)
        self._check_same(spec, record, "the map given")
        return record

    def _check_same(self, spec: MapSpec, record: MapRecord, what: str) -> None:
        settle(spec, self.runtime)
        found = differences(spec, record, self.spec.btf)
        if found:
            raise InputError(
                f"map {spec.name} cannot be {what} ({record.describe()}): {'; '.join(found)}"
            )

    # The steps.

    def run(self) -> Collection:
        for spec in self.spec.maps.values():
            settle(spec, self.runtime)
        wanted = self._wanted_maps()
        self._prepare()
        helpers = {name: self._helpers(one) for name, one in self.prepared.items()}
        try:
            self._make_types()
            for name in wanted:
                self._make_map(name)
            for name in wanted:
                self._fill(name)
            for name, one in self.prepared.items():
                self._make_program(name, one, helpers[name])
            self._bind()
            for name in wanted:
                self._fill_with_objects(name)
            self._pin()
        except BaseException:
            self._undo()
            raise
        finally:
            self._let_types_go()
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
        for name, program in self.chosen.items():
            if self.image is not None:
                needed.update(self.image.programs[name].maps)
                continue
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

    def _prepare(self) -> None:
        """Programs that are known to be safe, as engines take them."""
        if self.image is not None:
            from anybpf.runtime import images

            self.prepared = images.prepared(self.image, self.chosen, self.runtime)
            return
        if self.proof is not None:
            for name, program in self.chosen.items():
                self.proofs[name] = self.proof.verification(
                    program, self.spec, self.runtime.platform
                )
        else:
            self._verify()
        for name, program in self.chosen.items():
            made = prepare(program, self.proofs[name])
            if self.proof is not None:
                self.proof.check(made)
            self.prepared[name] = made

    def _bind(self) -> None:
        """An image's programs get its machine code."""
        if self.image is not None:
            from anybpf.runtime import images

            images.bind(
                self.image,
                {name: one.program_record() for name, one in self.loaded.programs.items()},
            )

    def _verify(self) -> None:
        from anybpf.verifier import verify

        failed: list[tuple[str, Verification]] = []
        for name, program in self.chosen.items():
            proof = verify(program, self.spec, platform=self.runtime.platform, budget=self.budget)
            self.proofs[name] = proof
            if not proof.ok:
                failed.append((name, proof))
        if not failed:
            return
        name, proof = failed[0]
        message = f"program {name} was not proved safe"
        if proof.findings:
            first = proof.findings[0]
            place = f" at {first.source.file}:{first.source.line}" if first.source else ""
            message += f": {first.kind}{place}: {first.message}"
        if len(failed) > 1:
            message += f" (nor {', '.join(other for other, _ in failed[1:])})"
        raise VerifierError(message, verification=proof)

    def _helpers(self, prepared: Prepared) -> list[Any]:
        """What stands behind each helper's name; :class:`NotSupported` names the first lacking."""
        found: list[Any] = []
        for name in prepared.helpers:
            one: Any = self.runtime.helpers.get(name)
            if one is None:
                one = _core.helper(name)
                if one == -1 and name not in prepared.dead:
                    why = unbuilt(self.runtime.platform, [f"bpf_{name}"])[f"bpf_{name}"]
                    raise NotSupported(
                        f"program {prepared.name}: the helper bpf_{name}",
                        where=f"the embedded runtime ({why})",
                    )
            elif self.image is not None and name in _INLINED:
                raise NotSupported(
                    f"program {prepared.name}: a helper in Python in place of bpf_{name}",
                    where="programs that were compiled ahead, which do without that helper",
                )
            found.append(one)
        return found

    def _make_types(self) -> None:
        btf = self.spec.btf
        if btf is not None and self.runtime.habits.numbers_types:
            self.types = create_types(self.runtime, self.spec.name, self.owner, btf)
            self.runtime.hold(self.types)

    def _let_types_go(self) -> None:
        if self.types is not None:
            self.runtime.drop_handle(self.types)

    def _make_map(self, name: str) -> None:
        spec = self.spec.maps[name]
        record = self.given.get(name)
        pinned = spec.pinning or spec.pin_path
        if record is None and pinned:
            there = self.runtime.pinned(self._path(spec))
            if there is not None:
                if not isinstance(there, MapRecord):
                    raise InputError(
                        f"map {name} is to be pinned at {self._path(spec)}, where "
                        f"{there.describe()} is"
                    )
                self._check_same(spec, there, "the one pinned there")
                record = there
        if record is None:
            record = create_map(self.runtime, spec.copy(), self.spec.btf, self.types, self.owner)
            if pinned:
                self.pinned.append(record)
        else:
            self.given[name] = record
        self.records[name] = record
        self.loaded.maps[name] = open_map(record)

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
        spec, record = self.spec.maps[name], self.records[name]
        if spec.data_size:
            fill_arena(record)
            return
        for key, value in spec.contents:
            if isinstance(value, bytes):
                data = value
                if len(data) < record.storage.user_value_size:
                    data = data.ljust(record.storage.user_value_size, b"\0")
                self._check_status(record.storage.update(key, data, 0), spec, key)
        if spec.kind in READ_ONLY_KINDS:
            self._check_status(record.storage.freeze(), spec, b"")

    def _fill_with_objects(self, name: str) -> None:
        if name in self.given:
            return
        spec, record = self.spec.maps[name], self.records[name]
        for key, value in spec.contents:
            if not isinstance(value, str):
                continue
            inside: object = self.loaded.programs.get(value)
            if inside is None:
                inside = self.loaded.maps.get(self._key_by_name(value, value))
            if inside is None:
                if value in self.spec.programs:
                    continue  # a program that was not chosen
                raise NotFound(f"map {name} is to hold {value!r}, which is neither program nor map")
            self._check_status(record.store(key, inside), spec, key)

    def _check_status(self, status: int, spec: MapSpec, key: bytes) -> None:
        if status != STATUS["OK"]:
            word = _core.STATUSES[status].lower().replace("_", " ")
            raise InputError(
                f"map {spec.name}: its initial entry with key {key.hex(' ') or '(none)'} cannot be "
                f"put in: {word}"
            )

    def _make_program(self, name: str, prepared: Prepared, helpers: list[Any]) -> None:
        records = [self.records[self._key_of(spec)] for spec in prepared.maps]
        if any(one.startswith("timer_") for one in prepared.helpers):
            self.runtime.need_timers()
        record = create_program(
            self.runtime, prepared, records, helpers, self.types, self.owner, self.engine
        )
        self.loaded.programs[name] = Program(record)

    def _pin(self) -> None:
        done: list[MapRecord] = []
        try:
            for record in self.pinned:
                self.runtime.pin(self._path(record.spec), record)
                done.append(record)
        except BaseException:
            for record in done:
                self.runtime.unpin(record, self._path(record.spec))
            raise

    def _undo(self) -> None:
        """Nothing half-made stays: what was opened is closed, and goes with that."""
        self.loaded.close()
        for record in self.records.values():
            if not record.gone and record.references == 0 and record not in self.given.values():
                self.runtime.discard(record)


def _keys(given: Keys | None) -> frozenset[bytes] | None:
    if given is None:
        return None
    from anybpf.engines.image.signing import read_keys

    return read_keys(given)


def _whole(source: Source) -> tuple[bytes, str]:
    """All bytes of what was given, and its name for messages."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as stream:
            return stream.read(), os.fspath(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), ""
    raise InputError(f"a proof is a path or bytes, not {type(source).__name__}")
