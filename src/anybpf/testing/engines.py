"""The engines side by side, for tests and measurements: which there are, and a program in each.

Users pick an engine when they load a program; here every engine that this machine has is asked for
the same thing, so that the answers can be compared. How an engine works is not known here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from anybpf import _core
from anybpf.engines import Prepared
from anybpf.engines.interpreter import make_program
from anybpf.errors import InputError, NotSupported
from anybpf.objects.specs import CollectionSpec
from anybpf.runtime import Collection, Runtime

if TYPE_CHECKING:
    from anybpf.engines.image.binding import ImageCode
    from anybpf.engines.linking import Linked

REFERENCE: Final = "interpret"
# The interpreter, and its other loop, which counts; compiled code that relies on what was proved,
# and such that checks every access nevertheless; an image; emitted C.
ENGINES: Final = (REFERENCE, "trace", "jit", "checked", "native", "c")
_MODULES: Final = {
    "jit": "anybpf.engines.jit",
    "checked": "anybpf.engines.jit",
    "native": "anybpf.engines.image.binding",
    "c": "anybpf.engines.lowering.c",
}

# Which accesses compiled code checks.
_CHECKS: Final = {"jit": "unproved", "checked": "all"}


def problem(engine: str) -> str:
    """Why an engine cannot be had here; empty if it can."""
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; there are: {', '.join(ENGINES)}")
    module = _MODULES.get(engine)
    if module is None:
        return ""
    try:
        if importlib.util.find_spec(module) is None:
            return f"this version has no engine {engine}"
    except ModuleNotFoundError:
        return f"this version has no engine {engine}"
    if engine == "c":
        from anybpf.testing import c_engine

        return "" if c_engine.compilers() else "there is no C compiler"
    if importlib.util.find_spec("llvmlite") is None:
        return "llvmlite is not installed"
    return ""


def available() -> list[str]:
    """The engines that can be had here."""
    return [engine for engine in ENGINES if not problem(engine)]


def load(runtime: Runtime, spec: CollectionSpec, engine: str = REFERENCE) -> Collection:
    """Load a collection whose programs run in that engine."""
    why = problem(engine)
    if why:
        raise NotSupported(f"the engine {engine}", where=f"this machine ({why})")
    loaded = runtime.load(spec, engine=REFERENCE)
    records = [program.program_record() for program in loaded.programs.values()]
    if engine == "c" and records:
        from anybpf.testing import c_engine

        c_engine.attach([(record.core, record.prepared) for record in records])
    if engine == "native" and records:
        attach_image([(record.core, record.prepared) for record in records])
    for record in records:
        if engine == "trace":
            traced: Any = Traced(record.core, len(record.prepared.code) // 8)
            record.core = traced
        elif engine in _CHECKS:
            compile_in_place(record.core, record.prepared, engine)
    return loaded


def compile_in_place(
    program: _core.Program, prepared: Prepared, engine: str, helpers: Sequence[object] = ()
) -> Linked:
    """Runs of the program that begin from now on are of code compiled for that engine."""
    from anybpf.engines import jit
    from anybpf.engines.lowering import source_of

    source = source_of(prepared)
    for index, helper in enumerate(helpers):
        if callable(helper):  # nothing is known of what Python does
            source.is_in_python(index)
    data = jit.compile_object(source, checks=_CHECKS[engine])
    return jit.attach(program, data)


def attach_image(programs: Sequence[tuple[_core.Program, Prepared]]) -> ImageCode:
    """Compile an image of programs of one collection, load it, and let them run its code."""
    from anybpf.engines.image.binding import ImageCode, load_image
    from anybpf.engines.image.compiling import assemble, lower, triple_of

    triple = triple_of("")
    proof = programs[0][1].proof
    if proof is None or proof.collection is None:
        raise InputError("an image is compiled of programs that were proved here")
    lowered = [lower(prepared, triple) for _, prepared in programs]
    image = load_image(assemble(proof.collection, lowered, triple))
    return ImageCode(image, {prepared.name: program for program, prepared in programs})


class Traced:
    """A program of the core whose runs are counted slot by slot: the interpreter's other loop."""

    def __init__(self, program: _core.Program, slots: int) -> None:
        self._program: _core.Program = program
        self._counts: bytearray = bytearray(8 * slots)

    def run(self, **options: Any) -> _core.Outcome:
        return self._program.run(counts=self._counts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)


def make(
    engine: str,
    prepared: Prepared,
    domain: _core.Domain,
    number: int,
    maps: list[_core.Map],
    helpers: list[Any],
) -> Any:
    """The program in an engine, without a runtime: what it gives has ``run`` and ``close``."""
    made = make_program(prepared, domain, number, maps, helpers)
    if engine == "trace":
        return Traced(made, len(prepared.code) // 8)
    if engine in _CHECKS:
        compile_in_place(made, prepared, engine, helpers)
    if engine == "native":
        attach_image([(made, prepared)])
    if engine == "c":
        from anybpf.testing import c_engine

        c_engine.attach([(made, prepared)])
    return made


# Maps whose entries are found by no key.
_FIFOS: Final = ("queue", "stack")
_RINGS: Final = ("ringbuf",)
# Nobody can say what is in these.
_WITHOUT_KEYS: Final = ("perf_event_array", "user_ringbuf", "bloom_filter")


def contents(storage: _core.Map) -> list[tuple[bytes, bytes]]:
    """Everything in a map, sorted by key; what is in queues and rings is taken out of them."""
    if storage.kind in _FIFOS:
        return [(b"", value) for value in iter(storage.pop, None)]
    if storage.kind in _RINGS:
        consumer = _core.RingConsumer(storage)
        try:
            return [(b"", record) for record in consumer.read()]
        finally:
            consumer.close()
    found: list[tuple[bytes, bytes]] = []
    if storage.kind in _WITHOUT_KEYS:
        return found
    key = storage.next_key(None)
    while key is not None and len(found) <= storage.max_entries:
        value = storage.lookup(key)
        if value is not None:
            found.append((key, value))
        key = storage.next_key(key)
    return sorted(found)
