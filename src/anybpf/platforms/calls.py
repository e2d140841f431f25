"""What programs call: helpers by number, kernel functions by name, and what these call back.

Part of the shape that ``model`` shows as one; the words for kinds are in ``kinds``.
"""

from __future__ import annotations

from collections.abc import Iterable

from anybpf.platforms.kinds import (
    CONSTANT_SIZE,
    HIGHEST,
    INTEGER,
    LOWEST,
    SIZE,
    SIZE_OR_ZERO,
    TRUSTED,
)


class Arg:
    """One argument of a helper, a kernel function or a callback.

    ``size_arg`` of a memory argument is the position (from 0) of the argument that carries its
    length; ``memory_arg`` of a size argument points back. Both are -1 where there is none. A
    memory argument without ``size_arg`` has a fixed ``size``. ``access`` is "r" (initialised, the
    helper reads), "w" (the helper fills it, it need not be initialised) or "rw". ``type`` narrows
    the kind down: the BTF type of a pointer, the flavour of a dynptr, the shape of a callback, the
    only region that memory may lie in. ``constant``: the value must be a known number. ``trust``
    is what a pointer to a kernel structure must at least be: "", "rcu" or "trusted".
    """

    __slots__ = (
        "access",
        "align",
        "constant",
        "kind",
        "memory_arg",
        "name",
        "nullable",
        "releases",
        "size",
        "size_arg",
        "trust",
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
        constant: bool = False,
        trust: str = "",
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
        self.constant = constant
        self.trust = trust

    @property
    def is_size(self) -> bool:
        return self.kind in (SIZE, SIZE_OR_ZERO, CONSTANT_SIZE)

    def __repr__(self) -> str:
        return f"<Arg {self.name}: {self.kind}{'?' if self.nullable else ''}>"


class Return:
    """What a call gives back. ``acquires``: a reference that the program must give back.

    A number lies in ``low`` .. ``high`` (signed, 64 bits wide). Memory is ``size`` bytes long, or
    as long as the argument at position ``size_arg`` says, and may be touched as ``access`` says.
    ``trust`` says how far a pointer to a kernel structure may be relied on.
    """

    __slots__ = (
        "access",
        "acquires",
        "high",
        "kind",
        "low",
        "nullable",
        "size",
        "size_arg",
        "trust",
        "type",
    )

    def __init__(
        self,
        kind: str = INTEGER,
        *,
        nullable: bool = False,
        type_name: str = "",
        acquires: bool = False,
        trust: str = "",
        low: int = LOWEST,
        high: int = HIGHEST,
        size: int = 0,
        size_arg: int = -1,
        access: str = "rw",
    ) -> None:
        self.kind = kind
        self.nullable = nullable
        self.type = type_name
        self.acquires = acquires
        self.trust = trust
        self.low = low
        self.high = high
        self.size = size
        self.size_arg = size_arg
        self.access = access

    @property
    def trusted(self) -> bool:
        return self.trust == TRUSTED

    def __repr__(self) -> str:
        return f"<Return {self.kind}{'?' if self.nullable else ''}>"


class Function:
    """What calls have in common, whether by number or by name.

    ``flags`` are words out of: "gpl" (only for programs under a compatible licence), "sleeps",
    "calls_back", "later" (the callback runs after the call), "no_return" (does not come back when
    it succeeds), "fastcall" (compilers may count on r1 to r5 where they save
    and restore them around the call; a proof may not), "invalidates_packet" (packet
    pointers are void afterwards), "casts" (the result is the argument's object under another type,
    and dies with its reference), "slices" (the result points into the dynptr argument), "lock" and
    "unlock", "in_lock" (may be called while a lock is held; nothing else may).
    """

    __slots__ = ("args", "flags", "name", "returns", "since")

    def __init__(
        self,
        name: str,
        args: Iterable[Arg] = (),
        returns: Return | None = None,
        *,
        flags: Iterable[str] = (),
        since: str = "",
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.returns = returns if returns is not None else Return()
        self.flags = frozenset(flags)
        self.since = since

    @property
    def gpl_only(self) -> bool:
        return "gpl" in self.flags

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


class Helper(Function):
    """A function that programs call by number.

    ``flags`` may also be "packet" (memory arguments may be packet data), "variadic" (further
    arguments of any kind may follow), "returns_length" (the result is an error or at most the size
    argument), "tail_call" (goes on in another program), "perfmon" (needs CAP_PERFMON), "virtual"
    (only an extension supplies it).
    ``map_types`` names the map types that its map argument may have; empty: any that offers it.
    ``program_type`` is set where the number is private to one program type.
    """

    __slots__ = ("map_types", "number", "program_type")

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
        super().__init__(name, args, returns, flags=flags, since=since)
        self.number = number
        self.map_types = tuple(map_types)
        self.program_type = program_type

    @property
    def packet_access(self) -> bool:
        return "packet" in self.flags

    def __repr__(self) -> str:
        return f"<Helper {self.number} {self.signature}>"


class Kfunc(Function):
    """A function of the kernel that programs call by name, with the kernel's BTF.

    ``program_types`` names who may call it, empty: all; ``attach_types`` limits that further.
    ``flags`` may also be "trusted_args" and "rcu" (what its pointers must be; each argument says
    it as ``trust``), "rcu_protected" (only inside a read section), "iter_new", "iter_next",
    "iter_destroy", "graph" (a list or tree: the lock beside it must be held), "rcu_lock",
    "rcu_unlock", "preempt_disable", "preempt_enable", "irq_save", "irq_restore", "destructive",
    "device_bound" (only in programs bound to a device), "sleeps_or_hook" (only in programs that
    may sleep, security hooks and iterators), "trap" (stands where code must not be reached).
    """

    __slots__ = ("attach_types", "program_types")

    def __init__(
        self,
        name: str,
        args: Iterable[Arg] = (),
        returns: Return | None = None,
        *,
        flags: Iterable[str] = (),
        since: str = "",
        program_types: Iterable[str] = (),
        attach_types: Iterable[str] = (),
    ) -> None:
        super().__init__(name, args, returns, flags=flags, since=since)
        self.program_types = frozenset(program_types)
        self.attach_types = frozenset(attach_types)

    def __repr__(self) -> str:
        return f"<Kfunc {self.signature}>"


class Callback:
    """A subprogram as the function that calls it back sees it.

    ``args`` are its own parameters, ``low`` .. ``high`` what it may return. ``runs`` is "loop"
    (any number of times during the call), "once" (at most once during it) or "later". ``sleeps``:
    it runs where sleeping is allowed; ``in_lock``: while the caller's lock is held.
    """

    __slots__ = ("args", "high", "in_lock", "low", "name", "runs", "sleeps")

    def __init__(
        self,
        name: str,
        args: Iterable[Arg],
        low: int,
        high: int,
        runs: str,
        *,
        sleeps: bool = False,
        in_lock: bool = False,
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.low = low
        self.high = high
        self.runs = runs
        self.sleeps = sleeps
        self.in_lock = in_lock

    def __repr__(self) -> str:
        return f"<Callback {self.name}({', '.join([arg.name for arg in self.args])})>"
