"""What a program may use while it runs: its platform's rows, turned into tables for the machine.

One scene serves all programs of one type with one set of maps.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.errors import NotFound
from anybpf.objects.specs import MapSpec
from anybpf.platforms.calls import Helper
from anybpf.platforms.model import ProgramType
from anybpf.platforms.platform import Platform
from fuzz.soundness import blocks

# What a field of the context gives when it is read.
FIELD_KINDS: Final[dict[str, int]] = {
    "scalar": 0,
    "packet": blocks.PACKET,
    "packet_end": blocks.PACKET_END,
    "packet_meta": blocks.PACKET_META,
}
UNSUPPORTED: Final = -1

# Arguments of helpers, as the machine tells them apart.
ANYTHING: Final = 0
CONTEXT_ARG: Final = 1
MAP_ARG: Final = 2
KEY_ARG: Final = 3
VALUE_ARG: Final = 4
MEMORY_ARG: Final = 5
SIZE_ARG: Final = 6
ALLOC_ARG: Final = 7
STACK_ARG: Final = 8
FUNCTION_ARG: Final = 9
RECORD_ARG: Final = 10
SOCKET_ARG: Final = 11
OTHER_ARG: Final = 12

ARG_KINDS: Final[dict[str, int]] = {
    "anything": ANYTHING,
    "context": CONTEXT_ARG,
    "map": MAP_ARG,
    "map_key": KEY_ARG,
    "map_value": VALUE_ARG,
    "memory": MEMORY_ARG,
    "size": SIZE_ARG,
    "size_or_zero": SIZE_ARG,
    "alloc_size": ALLOC_ARG,
    "stack": STACK_ARG,
    "function": FUNCTION_ARG,
    "ringbuf_memory": RECORD_ARG,
    "sock_common": SOCKET_ARG,
    "socket": SOCKET_ARG,
    "sock_common_btf": SOCKET_ARG,
}


class Argument:
    """One argument of a helper, as the machine checks it."""

    __slots__ = (
        "kind",
        "nullable",
        "reads",
        "releases",
        "size",
        "size_arg",
        "writes",
        "zero",
    )

    def __init__(self, kind: i64) -> None:
        self.kind: i64 = kind
        self.nullable: bool = False
        self.reads: bool = False
        self.writes: bool = False
        self.releases: bool = False
        self.zero: bool = False
        self.size: int = 0
        self.size_arg: int = -1


class Row:
    """A helper, as the machine acts it out."""

    __slots__ = (
        "acquires",
        "args",
        "high",
        "invalidates",
        "length",
        "low",
        "name",
        "nullable",
        "packet",
        "returns",
        "unsupported",
    )

    def __init__(self, helper: Helper) -> None:
        self.name: str = helper.name
        self.returns: str = helper.returns.kind
        self.nullable: bool = helper.returns.nullable
        self.acquires: bool = helper.returns.acquires
        self.packet: bool = "packet" in helper.flags
        self.invalidates: bool = "invalidates_packet" in helper.flags
        self.length: bool = "returns_length" in helper.flags
        # What a result that is a number lies between, signed.
        self.low: int = helper.returns.low
        self.high: int = helper.returns.high
        self.args: list[Argument] = []
        self.unsupported: bool = False
        for arg in helper.args:
            made = Argument(ARG_KINDS.get(arg.kind, OTHER_ARG))
            made.nullable = arg.nullable
            made.reads = arg.access in ("r", "rw", "")
            made.writes = arg.access in ("w", "rw")
            made.releases = arg.releases
            made.zero = arg.kind == "size_or_zero"
            made.size = arg.size
            made.size_arg = arg.size_arg
            if made.kind == OTHER_ARG:
                self.unsupported = True
            self.args.append(made)
        if helper.returns.kind not in (
            "integer",
            "void",
            "map_value",
            "ringbuf_memory",
            "socket",
            "sock_common",
            "tcp_sock",
        ):
            self.unsupported = True


class Scene:
    """A program type of a platform, with maps."""

    __slots__ = (
        "attach_type",
        "context_reads",
        "context_size",
        "context_start",
        "context_writes",
        "has_packet",
        "inner",
        "layout",
        "legacy_loads",
        "maps",
        "packet_writable",
        "platform",
        "result_high",
        "result_low",
        "rows",
        "type",
        "usable",
    )

    def __init__(
        self, platform: Platform, type_name: str, maps: list[MapSpec], attach_type: str = ""
    ) -> None:
        row: ProgramType = platform.program_type(type_name)
        self.platform: Platform = platform
        self.type: str = type_name
        self.attach_type: str = attach_type
        self.maps: list[MapSpec] = list(maps)
        # The inner map of a map of maps stands behind the maps themselves.
        self.inner: list[int] = []
        for spec in maps:
            if spec.inner is not None:
                self.inner.append(len(self.maps))
                self.maps.append(spec.inner)
            else:
                self.inner.append(-1)
        context = row.context
        self.usable: bool = context is not None
        self.layout: str = "fields"
        self.context_size: int = 0
        self.context_start: int = 0
        self.context_reads: dict[int, int] = {}
        self.context_writes: dict[int, int] = {}
        self.has_packet: bool = False
        if context is not None:
            self.layout = context.layout
            self.context_size = context.size
            self.context_start = context.start
            self.has_packet = context.data >= 0
            for field in context.fields:
                kind = FIELD_KINDS.get(field.kind, UNSUPPORTED)
                for at in range(field.offset, field.end):
                    for size in (1, 2, 4, 8):
                        key = at * 16 + size
                        known = key in self.context_reads
                        if not known and field.allows(at, size, False, attach_type):
                            self.context_reads[key] = kind
                        if field.allows(at, size, True, attach_type):
                            self.context_writes[key] = kind
            if self.layout in ("typed", "memory"):
                self.usable = False
        self.packet_writable: bool = "packet_write" in row.flags
        self.legacy_loads: bool = type_name in (
            "socket_filter",
            "sched_cls",
            "sched_act",
            "cgroup_skb",
        )
        self.result_low: int = -0x8000000000000000
        self.result_high: int = 0x7FFFFFFFFFFFFFFF
        bounds = row.return_range(attach_type)
        if bounds is not None:
            self.result_low = bounds.low
            self.result_high = bounds.high
        self.rows: dict[int, Row] = {}

    def row(self, number: int) -> Row | None:
        """The helper of that number, None if this program type has none."""
        found = self.rows.get(number)
        if found is None:
            try:
                helper = self.platform.helper(number, self.type)
            except NotFound:
                return None
            found = Row(helper)
            self.rows[number] = found
        return found
