"""What a program is verified against: its platform's rules, its maps, its types, and the budget.

One environment belongs to one verification; nothing in the room keeps state anywhere else, so that
verifications may run beside each other in threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from anybpf.btf import BTF
from anybpf.objects.specs import MapSpec, ProgramSpec, VariableSpec
from anybpf.platforms import Platform
from anybpf.platforms.model import MapType, ProgramType
from anybpf.verifier.state import FRAME_BYTES
from anybpf.verifier.values import (
    CONTEXT,
    FUNCTION,
    MAP,
    MAP_VALUE,
    STACK,
    Region,
)

if TYPE_CHECKING:
    from anybpf.objects.fields import FieldMap
    from anybpf.verifier.rulebook import Lookups, Rulebook
    from anybpf.verifier.state import State


class Fault:
    """Why an instruction may not be executed in some state. Becomes a finding if it stands.

    ``kind`` is a word such as "out-of-bounds"; ``message`` says on one line what is wrong;
    ``required`` and ``known`` put the two sides against each other where that says more;
    ``register`` (-1 for none) is the register that it is about.
    """

    __slots__ = ("kind", "known", "message", "register", "required")

    def __init__(
        self, kind: str, message: str, register: i64 = -1, required: str = "", known: str = ""
    ) -> None:
        self.kind: str = kind
        self.message: str = message
        self.register: i64 = register
        self.required: str = required
        self.known: str = known


class MapInfo:
    """A map as the checks need it. ``inner`` is the index of the inner map's template, or -1.

    ``contents`` are the bytes of read-only data that cannot change any more.
    """

    __slots__ = (
        "contents",
        "fields",
        "index",
        "inner",
        "key_size",
        "max_entries",
        "name",
        "read_only",
        "region",
        "spec",
        "type",
        "type_name",
        "value_flags",
        "value_region",
        "value_size",
    )

    def __init__(self, index: i64, spec: MapSpec, map_type: MapType | None) -> None:
        self.index: i64 = index
        self.spec: MapSpec = spec
        self.name: str = spec.name
        self.type_name: str = spec.type
        self.type: MapType | None = map_type
        self.key_size: i64 = spec.key_size
        self.value_size: i64 = spec.value_size
        self.max_entries: i64 = spec.max_entries
        self.inner: i64 = -1
        self.read_only: bool = False
        self.contents: bytes | None = None
        # Locks, timers, kernel pointers in the value; found in its type when first asked for.
        self.fields: FieldMap | None = None
        self.region: Region = Region(MAP, 0, False, index)
        # Of regions that are values of the map; -1 as long as nobody asked.
        self.value_flags: i64 = -1
        # For pointers straight into the map's one value (global data, arrays).
        self.value_region: Region = Region(MAP_VALUE, spec.value_size, False, index)


class Budget:
    """Bounds on the work: instructions analysed, states kept, seconds of the clock (0: none)."""

    __slots__ = ("seconds", "states", "steps")

    def __init__(self, steps: i64 = 1_000_000, states: i64 = 200_000, seconds: float = 0.0) -> None:
        self.steps: i64 = steps
        self.states: i64 = states
        self.seconds: float = seconds


class Environment:
    """What one program is verified against."""

    __slots__ = (
        "aligned_stack",
        "attach_type",
        "big_endian",
        "btf",
        "context_region",
        "function_region",
        "kernel_btf",
        "later",
        "leaks_allowed",
        "lookups",
        "maps",
        "mixes_bases",
        "platform",
        "program",
        "program_type",
        "rulebook",
        "stack_regions",
        "strict_pointers",
        "uninitialized_reads",
        "unprivileged",
        "variables",
    )

    def __init__(
        self,
        platform: Platform,
        program_type: ProgramType,
        program: ProgramSpec,
        btf: BTF | None,
        maps: list[MapInfo],
    ) -> None:
        self.platform: Platform = platform
        self.program_type: ProgramType = program_type
        self.program: ProgramSpec = program
        self.attach_type: str = program.attach_type
        self.btf: BTF | None = btf
        self.maps: list[MapInfo] = maps
        self.context_region: Region = Region(CONTEXT, 0, False, -1)
        self.function_region: Region = Region(FUNCTION, 0, False, -1)
        self.stack_regions: list[Region] = []
        depth: i64 = 0
        while depth < MAX_DEPTH:
            self.stack_regions.append(Region(STACK, FRAME_BYTES, False, depth))
            depth = depth + 1
        # Whether pointers may be written to maps and returned; whether stack may be read unwritten.
        self.leaks_allowed: bool = True
        self.uninitialized_reads: bool = True
        self.aligned_stack: bool = True
        self.big_endian: bool = False
        self.unprivileged: bool = False
        # Whether pointers are held to what Linux holds them to, used or not: how they are moved,
        # taken apart and where they are put.
        self.strict_pointers: bool = False
        # Whether some load or store was made through pointers of several kinds.
        self.mixes_bases: bool = False
        # The types of the running kernel, for typed contexts; None where they are not known.
        self.kernel_btf: BTF | None = None
        # Callbacks that run after the call that names them: function index, state at its entry.
        self.later: list[tuple[int, State]] = []
        # What the checks made of the platform's rows for this program.
        self.rulebook: Rulebook | None = None
        # The global variables, for where in their maps they lie.
        self.variables: list[VariableSpec] = []
        # What the checks looked up in the types of this program and its target.
        self.lookups: Lookups | None = None


# Frames of calls, the entry function's included.
MAX_DEPTH: Final = 8
