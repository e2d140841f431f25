"""The one shape in which every platform says what it offers: plain values, no behaviour.

A platform's own module (``linux``, ``windows``) fills these classes from its tables; an extension
fills them at run time. What is here is data and look-ups only: nothing here loads, runs or proves
a program.
"""

from __future__ import annotations

from collections.abc import Iterable

# Argument kinds. An argument that points to memory says in ``access`` what the helper does with it.
ANYTHING = "anything"  # any initialised value; pointers where the caller may leak them
CONTEXT = "context"
MAP = "map"
MAP_KEY = "map_key"
MAP_VALUE = "map_value"
MEMORY = "memory"  # as many bytes as another argument says, or ``size`` bytes
SIZE = "size"  # the length of a memory argument, at least 1
SIZE_OR_ZERO = "size_or_zero"
ALLOC_SIZE = "alloc_size"  # a constant, maybe 0: the length of the memory that comes back
STRING = "string"  # constant and zero-terminated, in read-only memory
STACK = "stack"
FUNCTION = "function"  # a subprogram that the helper calls back
SOCK_COMMON = "sock_common"
SOCKET = "socket"
SOCK_COMMON_BTF = "sock_common_btf"  # a socket pointer of either world
BTF_POINTER = "btf_pointer"  # to a kernel structure, named by ``type``
PERCPU_BTF_POINTER = "percpu_btf_pointer"
SPIN_LOCK = "spin_lock"
TIMER = "timer"
KPTR = "kptr"  # a map value's field that holds a kernel pointer
RINGBUF_MEMORY = "ringbuf_memory"
DYNPTR = "dynptr"
ARG_KINDS = (
    ANYTHING,
    CONTEXT,
    MAP,
    MAP_KEY,
    MAP_VALUE,
    MEMORY,
    SIZE,
    SIZE_OR_ZERO,
    ALLOC_SIZE,
    STRING,
    STACK,
    FUNCTION,
    SOCK_COMMON,
    SOCKET,
    SOCK_COMMON_BTF,
    BTF_POINTER,
    PERCPU_BTF_POINTER,
    SPIN_LOCK,
    TIMER,
    KPTR,
    RINGBUF_MEMORY,
    DYNPTR,
)

# Return kinds.
INTEGER = "integer"
VOID = "void"
TCP_SOCK = "tcp_sock"
MEMORY_OR_BTF = "memory_or_btf"  # what a per-CPU symbol's type makes of it
RETURN_KINDS = (
    INTEGER,
    VOID,
    MAP_VALUE,
    SOCKET,
    SOCK_COMMON,
    TCP_SOCK,
    BTF_POINTER,
    MEMORY,
    RINGBUF_MEMORY,
    MEMORY_OR_BTF,
    KPTR,
)

# Kinds of context fields.
SCALAR = "scalar"
PACKET = "packet"
PACKET_END = "packet_end"
PACKET_META = "packet_meta"
FLOW_KEYS = "flow_keys"
BUFFER = "buffer"  # memory as long as the attach point makes it
FIELD_KINDS = (
    SCALAR,
    PACKET,
    PACKET_END,
    PACKET_META,
    FLOW_KEYS,
    SOCKET,
    SOCK_COMMON,
    BTF_POINTER,
    BUFFER,
)


class Arg:
    """One argument of a helper.

    ``size_arg`` of a memory argument is the position (from 0) of the argument that carries its
    length; ``memory_arg`` of a size argument points back. Both are -1 where there is none. A
    memory argument without ``size_arg`` has a fixed ``size``. ``access`` is "r" (initialised, the
    helper reads), "w" (the helper fills it, it need not be initialised) or "rw". ``type`` narrows
    the kind down: the BTF type of a pointer, the flavour of a dynptr, the shape of a callback, the
    only region that memory may lie in.
    """

    __slots__ = (
        "access",
        "align",
        "kind",
        "memory_arg",
        "name",
        "nullable",
        "releases",
        "size",
        "size_arg",
        "type",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        nullable: bool = False,
        type_name: str = "",
        access: str = "",
        size: int = 0,
        align: int = 0,
        releases: bool = False,
        size_arg: int = -1,
        memory_arg: int = -1,
    ) -> None:
        self.name = name
        self.kind = kind
        self.nullable = nullable
        self.type = type_name
        self.access = access
        self.size = size
        self.align = align
        self.releases = releases
        self.size_arg = size_arg
        self.memory_arg = memory_arg

    @property
    def is_size(self) -> bool:
        return self.kind in (SIZE, SIZE_OR_ZERO)

    def __repr__(self) -> str:
        return f"<Arg {self.name}: {self.kind}{'?' if self.nullable else ''}>"


class Return:
    """What a helper gives back. ``acquires``: a reference that the program must give back."""

    __slots__ = ("acquires", "kind", "nullable", "trusted", "type")

    def __init__(
        self,
        kind: str = INTEGER,
        *,
        nullable: bool = False,
        type_name: str = "",
        acquires: bool = False,
        trusted: bool = False,
    ) -> None:
        self.kind = kind
        self.nullable = nullable
        self.type = type_name
        self.acquires = acquires
        self.trusted = trusted

    def __repr__(self) -> str:
        return f"<Return {self.kind}{'?' if self.nullable else ''}>"


class Helper:
    """A function that programs call by number.

    ``flags`` are words out of: "gpl" (only for programs under a compatible licence), "packet"
    (memory arguments may be packet data), "invalidates_packet" (packet pointers are void
    afterwards), "sleeps", "no_return" (does not come back when it succeeds), "calls_back",
    "variadic" (further arguments of any kind may follow), "fastcall" (changes no register but
    the result), "returns_length" (the result is an error or at most the size argument), "perfmon"
    (needs CAP_PERFMON), "virtual" (only an extension supplies it).
    ``map_types`` names the map types that its map argument may have; empty: any that offers it.
    ``program_type`` is set where the number is private to one program type.
    """

    __slots__ = (
        "args",
        "flags",
        "map_types",
        "name",
        "number",
        "program_type",
        "returns",
        "since",
    )

    def __init__(
        self,
        number: int,
        name: str,
        args: Iterable[Arg] = (),
        returns: Return | None = None,
        *,
        flags: Iterable[str] = (),
        since: str = "",
        map_types: Iterable[str] = (),
        program_type: str = "",
    ) -> None:
        self.number = number
        self.name = name
        self.args = tuple(args)
        self.returns = returns if returns is not None else Return()
        self.flags = frozenset(flags)
        self.since = since
        self.map_types = tuple(map_types)
        self.program_type = program_type

    @property
    def gpl_only(self) -> bool:
        return "gpl" in self.flags

    @property
    def packet_access(self) -> bool:
        return "packet" in self.flags

    @property
    def invalidates_packet(self) -> bool:
        return "invalidates_packet" in self.flags

    @property
    def sleeps(self) -> bool:
        return "sleeps" in self.flags

    @property
    def acquires(self) -> bool:
        return self.returns.acquires

    @property
    def released_arg(self) -> int:
        """The position of the argument whose reference it takes, or -1."""
        for index, arg in enumerate(self.args):
            if arg.releases:
                return index
        return -1

    @property
    def signature(self) -> str:
        """The prototype on one line: ``bpf_map_lookup_elem(map, key) -> map_value or null``."""
        words = ", ".join([arg.name for arg in self.args])
        back = f"{self.returns.kind}{' or null' if self.returns.nullable else ''}"
        return f"{self.name}({words}) -> {back}"

    def __repr__(self) -> str:
        return f"<Helper {self.number} {self.signature}>"


class Field:
    """A field of a context, as one program type may use it.

    ``read_sizes`` and ``write_sizes`` are the widths in bytes that an aligned access inside the
    field may have; empty means that it may not be read (written) at all. ``attach_types`` limits
    the field to programs of these attach types, ``write_attach_types`` its writing. ``exact``:
    an access starts where the field starts. ``nullable``: the pointer in it may be null.
    """

    __slots__ = (
        "attach_types",
        "exact",
        "kind",
        "name",
        "nullable",
        "offset",
        "read_sizes",
        "size",
        "type",
        "write_attach_types",
        "write_sizes",
    )

    def __init__(
        self,
        name: str,
        offset: int,
        size: int,
        type_name: str,
        *,
        kind: str = SCALAR,
        nullable: bool = False,
        read_sizes: tuple[int, ...] | None = None,
        write_sizes: tuple[int, ...] = (),
        attach_types: tuple[str, ...] = (),
        write_attach_types: tuple[str, ...] = (),
        exact: bool = False,
    ) -> None:
        self.name = name
        self.offset = offset
        self.size = size
        self.type = type_name
        self.kind = kind
        self.nullable = nullable
        self.read_sizes = (size,) if read_sizes is None else read_sizes
        self.write_sizes = write_sizes
        self.attach_types = attach_types
        self.write_attach_types = write_attach_types
        self.exact = exact

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def read(self) -> bool:
        return bool(self.read_sizes)

    @property
    def write(self) -> bool:
        return bool(self.write_sizes)

    @property
    def narrow(self) -> bool:
        """Whether a read may take less than the whole field (an element, if it is an array)."""
        return len(self.read_sizes) > 1

    def allows(self, offset: int, size: int, write: bool = False, attach_type: str = "") -> bool:
        """Whether an access of ``size`` bytes at the context's ``offset`` is permitted.

        Without an attach type, what some attach type permits is permitted.
        """
        sizes = self.write_sizes if write else self.read_sizes
        if size not in sizes or offset < self.offset or offset + size > self.end:
            return False
        if offset % size:
            return False
        if self.exact and offset != self.offset:
            return False
        if attach_type:
            if self.attach_types and attach_type not in self.attach_types:
                return False
            if write and self.write_attach_types and attach_type not in self.write_attach_types:
                return False
        return True

    def __repr__(self) -> str:
        rights = f"{'r' if self.read else '-'}{'w' if self.write else '-'}"
        return f"<Field {self.name} {self.type} {self.offset}+{self.size} {rights} {self.kind}>"


class Context:
    """What a program finds behind its first argument.

    ``layout`` says how to read it: "fields" (the fields listed, nothing else), "open" (the fields,
    and any access inside ``size`` that touches no pointer among them), "bytes" (any aligned read
    from ``start`` up to ``size``), "typed" (8-byte arguments whose types the attach
    target's BTF gives), "memory" (read and write, ``size`` at most). ``data``, ``data_end`` and
    ``data_meta`` are the offsets of those pointers, -1 if absent.
    """

    __slots__ = ("data", "data_end", "data_meta", "fields", "layout", "name", "size", "start")

    def __init__(
        self,
        name: str,
        size: int,
        fields: Iterable[Field] = (),
        *,
        layout: str = "fields",
        start: int = 0,
    ) -> None:
        self.name = name
        self.start = start
        self.size = size
        self.fields = tuple(fields)
        self.layout = layout
        self.data = self._offset_of(PACKET)
        self.data_end = self._offset_of(PACKET_END)
        self.data_meta = self._offset_of(PACKET_META)

    def _offset_of(self, kind: str) -> int:
        for field in self.fields:
            if field.kind == kind and field.read:
                return field.offset
        return -1

    def field(self, offset: int, size: int = 1) -> Field | None:
        """The field that holds these bytes, readable or not; the first where several overlap."""
        for field in self.fields:
            if field.offset <= offset and offset + size <= field.end:
                return field
        return None

    def named(self, name: str) -> Field | None:
        for field in self.fields:
            if field.name == name:
                return field
        return None

    def access(
        self, offset: int, size: int, write: bool = False, attach_type: str = ""
    ) -> Field | None:
        """The field through which this access is permitted, or None.

        In a context that is not made of fields, a field without a name stands for the place.
        """
        for field in self.fields:
            if field.allows(offset, size, write, attach_type):
                return field
        if size not in (1, 2, 4, 8) or offset < self.start or offset + size > self.size:
            return None
        if self.layout == "open":
            forbidden = self._touches_pointer(offset, size)
        else:
            forbidden = (
                self.layout == "fields" or offset % size != 0 or (write and self.layout != "memory")
            )
        if forbidden:
            return None
        if self.layout == "typed" and size != 8:
            return None
        return Field("", offset, size, f"u{size * 8}", write_sizes=(size,) if write else ())

    def _touches_pointer(self, offset: int, size: int) -> bool:
        for field in self.fields:
            if field.kind != SCALAR and field.offset < offset + size and offset < field.end:
                return True
        return False

    def __repr__(self) -> str:
        return f"<Context {self.name}, {self.size} bytes, {len(self.fields)} fields>"


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
    some attach types. ``flags`` are words: "sleepable", "btf_target" (attaches by a BTF id),
    "frags", "packet_write" (may write packet data).
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
        "return_names",
        "returns",
        "since",
        "title",
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
    ``max_entries`` is not enforced; ``custom``: an extension implements it.
    """

    __slots__ = (
        "allowed_flags",
        "bounded",
        "custom",
        "entries",
        "helpers",
        "holds",
        "key_size",
        "lookup_programs",
        "name",
        "needs_btf",
        "number",
        "operations",
        "per_cpu",
        "required_flags",
        "since",
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


class SectionRule:
    """A row of a platform's section table.

    ``form`` says what besides the name itself matches: "exact" nothing, "extra" the name, a slash
    and more, "slash" only the name, a slash and more, "prefix" anything that begins so, "word"
    anything that begins so and does not go on with a letter. ``legacy``: kept for old objects.
    ``flags`` are words: "sleepable", "frags", "btf_target", "attach_optional", "auto_attach",
    "multi", "session".
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
