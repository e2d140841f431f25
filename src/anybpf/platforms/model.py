"""The one shape in which every platform says what it offers: plain values, no behaviour.

A platform's own module (``linux``, ``windows``) fills these classes from its tables; an extension
fills them at run time. What is here is data and look-ups only: nothing here loads, runs or proves
a program.
"""

from __future__ import annotations

from collections.abc import Iterable

from anybpf.platforms.calls import Arg, Callback, Helper, Kfunc, Return
from anybpf.platforms.contexts import Context, Field
from anybpf.platforms.kinds import MAP_VALUE

__all__ = [
    "Arg",
    "AttachType",
    "Callback",
    "Context",
    "ErrorNumber",
    "Field",
    "Flag",
    "Helper",
    "Kfunc",
    "Limit",
    "LinkType",
    "MapType",
    "ProgramType",
    "ResultCode",
    "Return",
    "ReturnRange",
    "SectionMatch",
    "SectionRule",
    "SpecialField",
]


class ReturnRange:
    """The values that a program may return: ``low`` to ``high``, both included, signed.

    ``attach_types`` limits the rule to these; the rule without any is for the rest.
    """

    __slots__ = ("attach_types", "high", "low")

    def __init__(self, low: int, high: int, attach_types: Iterable[str] = ()) -> None:
        self.low = low
        self.high = high
        self.attach_types = tuple(attach_types)

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high

    def __repr__(self) -> str:
        return f"<ReturnRange {self.low}..{self.high}>"


class ProgramType:
    """A kind of program: its context, what it may return, and which helpers it may call.

    ``helpers`` holds the numbers of the platform's general helpers, ``own_helpers`` those whose
    numbers mean something for this type only. ``helper_attach_types`` limits single helpers to
    some attach types. ``flags`` are words: "btf_target" (attaches by a BTF id), "as_target" (what
    holds for its target holds for it), "gpl" (needs a compatible licence in any case), "frags",
    "packet_read" (may pass packet data to helpers that take such), "packet_write" (may write it,
    too), "packet_to_helpers" (may pass it to all helpers that take memory), "packet_loads" (may
    use the packet loads of classic BPF), "no_locks", "no_timers", "no_graphs" (may not use maps
    whose values hold spin locks; timers and work queues; lists and trees).
    ``sleeps`` tells at which attach types its programs may sleep ("may", or "must"), under "" for
    all others; ``trusts`` names the attach types whose typed arguments are trusted pointers, "*"
    for all; ``private_stacks`` those where each function has a stack of its own, so that only the
    limit for one function counts.
    """

    __slots__ = (
        "attach_types",
        "context",
        "flags",
        "guid",
        "helper_attach_types",
        "helpers",
        "name",
        "number",
        "own_helpers",
        "private_stacks",
        "return_names",
        "returns",
        "since",
        "sleeps",
        "title",
        "trusts",
    )

    def __init__(
        self,
        name: str,
        number: int,
        *,
        title: str = "",
        context: Context | None = None,
        returns: Iterable[ReturnRange] = (),
        return_names: Iterable[tuple[int, str]] = (),
        attach_types: Iterable[str] = (),
        helpers: Iterable[int] = (),
        own_helpers: Iterable[Helper] = (),
        helper_attach_types: dict[int, tuple[str, ...]] | None = None,
        flags: Iterable[str] = (),
        since: str = "",
        guid: str = "",
        sleeps: dict[str, str] | None = None,
        trusts: Iterable[str] = (),
        private_stacks: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.number = number
        self.title = title
        self.context = context
        self.returns = tuple(returns)
        self.return_names = tuple(return_names)
        self.attach_types = tuple(attach_types)
        self.helpers = frozenset(helpers)
        self.own_helpers = tuple(own_helpers)
        self.helper_attach_types = {} if helper_attach_types is None else helper_attach_types
        self.flags = frozenset(flags)
        self.since = since
        self.guid = guid
        self.sleeps = {} if sleeps is None else sleeps
        self.trusts = frozenset(trusts)
        self.private_stacks = frozenset(private_stacks)

    def sleepable_at(self, attach_type: str = "") -> str:
        """Whether programs attached there run where sleeping is allowed: "no", "may" or "must"."""
        return self.sleeps.get(attach_type) or self.sleeps.get("", "no")

    def trusted_arguments(self, attach_type: str = "") -> bool:
        """Whether pointers among typed arguments may be passed on without further ado."""
        return "*" in self.trusts or attach_type in self.trusts

    def has_private_stacks(self, attach_type: str = "") -> bool:
        """Whether each function of a program attached there has a stack of its own."""
        return "*" in self.private_stacks or attach_type in self.private_stacks

    def return_range(self, attach_type: str = "") -> ReturnRange | None:
        """What may be returned; None: any value. Without attach type, the widest that is known."""
        general: ReturnRange | None = None
        for rule in self.returns:
            if attach_type in rule.attach_types:
                return rule
            if not rule.attach_types:
                general = rule
        if attach_type or general is not None or not self.returns:
            return general
        if set(self.attach_types) - {name for rule in self.returns for name in rule.attach_types}:
            return None
        return ReturnRange(
            min([rule.low for rule in self.returns]), max([rule.high for rule in self.returns])
        )

    def __repr__(self) -> str:
        return f"<ProgramType {self.number} {self.name}>"


class AttachType:
    """A place to attach to. ``parameter`` says in words what an attachment must name besides."""

    __slots__ = ("guid", "link_type", "name", "number", "parameter", "program_types", "since")

    def __init__(
        self,
        name: str,
        number: int,
        *,
        program_types: Iterable[str] = (),
        link_type: str = "",
        since: str = "",
        guid: str = "",
        parameter: str = "",
    ) -> None:
        self.name = name
        self.number = number
        self.program_types = tuple(program_types)
        self.link_type = link_type
        self.since = since
        self.guid = guid
        self.parameter = parameter

    def __repr__(self) -> str:
        return f"<AttachType {self.number} {self.name}>"


class LinkType:
    """A kind of attachment."""

    __slots__ = ("name", "number", "since")

    def __init__(self, name: str, number: int, *, since: str = "") -> None:
        self.name = name
        self.number = number
        self.since = since

    def __repr__(self) -> str:
        return f"<LinkType {self.number} {self.name}>"


class Limit:
    """The sizes that a map may be created with. ``high`` is -1 where there is no such bound.

    ``multiple`` divides the value; ``power_of_two`` and ``page_multiple`` say what they say.
    """

    __slots__ = ("high", "low", "multiple", "page_multiple", "power_of_two")

    def __init__(
        self,
        low: int,
        high: int = -1,
        *,
        multiple: int = 1,
        power_of_two: bool = False,
        page_multiple: bool = False,
    ) -> None:
        self.low = low
        self.high = high
        self.multiple = multiple
        self.power_of_two = power_of_two
        self.page_multiple = page_multiple

    def problem(self, value: int, page: int = 4096) -> str:
        """What is wrong with the value, in a few words; empty if nothing is."""
        if self.low == self.high and value != self.low:
            return f"must be {self.low}, not {value}"
        if value < self.low:
            return f"must be at least {self.low}, not {value}"
        if self.high >= 0 and value > self.high:
            return f"must be at most {self.high}, not {value}"
        if value % self.multiple:
            return f"must be a multiple of {self.multiple}, not {value}"
        if self.power_of_two and value & (value - 1):
            return f"must be a power of two, not {value}"
        if self.page_multiple and value % page:
            return f"must be a multiple of the page size ({page}), not {value}"
        return ""

    def __str__(self) -> str:
        if self.low == self.high:
            return str(self.low)
        words = f"{self.low}.." if self.high < 0 else f"{self.low}..{self.high}"
        if self.multiple > 1:
            words += f" in steps of {self.multiple}"
        if self.power_of_two:
            words += ", a power of two"
        if self.page_multiple:
            words += ", whole pages"
        return words


class MapType:
    """A kind of map: what sizes it takes, which flags, and who may do what with it.

    ``allowed_flags`` and ``required_flags`` are names out of the platform's ``map_flags``.
    ``operations`` are words of what user space may do: lookup, update, delete, next, push, pop,
    peek, lookup_delete, batch, freeze, mmap, poll. ``helpers`` are the numbers of the helpers
    that programs may call on it. ``holds`` is "" (plain values), "maps", "programs", "sockets",
    "perf_events", "cgroups", "devices", "cpus", "stacks" or "records". ``bounded`` is false where
    ``max_entries`` is not enforced; ``custom``: an extension implements it. ``sleepable``: programs
    that sleep may use it. ``lookup`` is what programs get from a look-up, ``value_kind`` the kind
    of argument that an update wants as value. ``updaters`` and ``deleters`` name the program types
    that may update and delete entries; empty: all. ``read_only``: programs may not write through
    what a look-up gives.
    """

    __slots__ = (
        "allowed_flags",
        "bounded",
        "custom",
        "deleters",
        "entries",
        "helpers",
        "holds",
        "key_size",
        "lookup",
        "name",
        "needs_btf",
        "number",
        "operations",
        "per_cpu",
        "read_only",
        "required_flags",
        "since",
        "sleepable",
        "updaters",
        "value_kind",
        "value_size",
    )

    def __init__(
        self,
        name: str,
        number: int,
        *,
        key_size: Limit,
        value_size: Limit,
        entries: Limit,
        allowed_flags: Iterable[str] = (),
        required_flags: Iterable[str] = (),
        operations: Iterable[str] = (),
        helpers: Iterable[int] = (),
        holds: str = "",
        per_cpu: bool = False,
        needs_btf: bool = False,
        bounded: bool = True,
        custom: bool = False,
        sleepable: bool = True,
        lookup: Return | None = None,
        value_kind: str = MAP_VALUE,
        updaters: Iterable[str] = (),
        deleters: Iterable[str] = (),
        read_only: bool = False,
        since: str = "",
    ) -> None:
        self.name = name
        self.number = number
        self.key_size = key_size
        self.value_size = value_size
        self.entries = entries
        self.allowed_flags = tuple(allowed_flags)
        self.required_flags = tuple(required_flags)
        self.operations = frozenset(operations)
        self.helpers = frozenset(helpers)
        self.holds = holds
        self.per_cpu = per_cpu
        self.needs_btf = needs_btf
        self.bounded = bounded
        self.custom = custom
        self.sleepable = sleepable
        self.lookup = Return(MAP_VALUE, nullable=True) if lookup is None else lookup
        self.value_kind = value_kind
        self.updaters = frozenset(updaters)
        self.deleters = frozenset(deleters)
        self.read_only = read_only
        self.since = since

    def problems(self, key_size: int, value_size: int, entries: int, page: int = 4096) -> list[str]:
        """What keeps a map of these sizes from being created, one line each."""
        found = []
        for what, rule, value in (
            ("key size", self.key_size, key_size),
            ("value size", self.value_size, value_size),
            ("max entries", self.entries, entries),
        ):
            text = rule.problem(value, page)
            if text:
                found.append(f"{self.name} map: {what} {text}")
        return found

    def __repr__(self) -> str:
        return f"<MapType {self.number} {self.name}>"


class SpecialField:
    """A structure that means something inside map values and allocated objects.

    ``name`` is the structure's, or the type tag of a pointer ("kptr"). Programs touch its bytes
    only through the calls made for it. ``alone``: at most one in a value. ``map_types`` are those
    whose values may hold it; none: only allocated objects do. ``barred`` is the program type flag
    that forbids maps with it.
    """

    __slots__ = ("align", "alone", "barred", "map_types", "name", "size")

    def __init__(
        self,
        name: str,
        size: int,
        align: int,
        *,
        alone: bool = False,
        map_types: Iterable[str] = (),
        barred: str = "",
    ) -> None:
        self.name = name
        self.size = size
        self.align = align
        self.alone = alone
        self.map_types = frozenset(map_types)
        self.barred = barred

    def __repr__(self) -> str:
        return f"<SpecialField {self.name}, {self.size} bytes>"


class SectionRule:
    """A row of a platform's section table.

    ``form`` says what besides the name itself matches: "exact" nothing, "extra" the name, a slash
    and more, "slash" only the name, a slash and more, "prefix" anything that begins so, "word"
    anything that begins so and does not go on with a letter. ``legacy``: kept for old objects.
    ``flags`` are words: "sleepable", "frags", "btf_target", "attach_optional", "auto_attach",
    "multi", "session", "return".
    """

    __slots__ = ("attach_type", "flags", "form", "legacy", "name", "program_type")

    def __init__(
        self,
        name: str,
        program_type: str,
        attach_type: str = "",
        *,
        form: str = "exact",
        flags: Iterable[str] = (),
        legacy: bool = False,
    ) -> None:
        self.name = name
        self.program_type = program_type
        self.attach_type = attach_type
        self.form = form
        self.flags = frozenset(flags)
        self.legacy = legacy

    @property
    def accepts_extra(self) -> bool:
        return self.form in ("extra", "slash")

    def __repr__(self) -> str:
        return f"<SectionRule {self.name} ({self.form}) {self.program_type}>"


class SectionMatch:
    """What a section's name says of the programs in it. Type "unspec": nothing."""

    __slots__ = ("attach_to", "attach_type", "flags", "legacy", "name", "program_type", "rule")

    def __init__(self, name: str, rule: SectionRule | None = None, attach_to: str = "") -> None:
        self.name = name
        self.rule = rule
        self.attach_to = attach_to
        self.program_type = "unspec" if rule is None else rule.program_type
        self.attach_type = "" if rule is None else rule.attach_type
        self.flags: frozenset[str] = frozenset() if rule is None else rule.flags
        self.legacy = False if rule is None else rule.legacy

    @property
    def known(self) -> bool:
        return self.rule is not None

    @property
    def extra(self) -> str:
        """The same as ``attach_to``: what stands behind the prefix."""
        return self.attach_to

    @property
    def sleepable(self) -> bool:
        return "sleepable" in self.flags

    @property
    def frags(self) -> bool:
        return "frags" in self.flags

    def __repr__(self) -> str:
        return f"<SectionMatch {self.name}: {self.program_type} {self.attach_type or '-'}>"


class ErrorNumber:
    """An ``errno`` of the platform."""

    __slots__ = ("name", "number", "text")

    def __init__(self, name: str, number: int, text: str) -> None:
        self.name = name
        self.number = number
        self.text = text

    def __repr__(self) -> str:
        return f"<ErrorNumber {self.number} {self.name}>"


class ResultCode:
    """A result of the platform's native interface and what the other interfaces make of it."""

    __slots__ = ("errno", "name", "ntstatus", "number", "win32")

    def __init__(self, name: str, number: int, ntstatus: str, win32: str, errno: str) -> None:
        self.name = name
        self.number = number
        self.ntstatus = ntstatus
        self.win32 = win32
        self.errno = errno

    def __repr__(self) -> str:
        return f"<ResultCode {self.number} {self.name}>"


class Flag:
    """A named bit, such as a flag of map creation. ``users`` name the map types that take it."""

    __slots__ = ("bit", "name", "since")

    def __init__(self, name: str, bit: int, since: str = "") -> None:
        self.name = name
        self.bit = bit
        self.since = since

    def __repr__(self) -> str:
        return f"<Flag {self.name} {self.bit:#x}>"
