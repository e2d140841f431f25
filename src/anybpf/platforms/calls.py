"""Helpers: functions that programs call by number, their arguments and results.

Part of the shape that ``model`` shows as one; the words for kinds are in ``kinds``.
"""

from __future__ import annotations

from collections.abc import Iterable

from anybpf.platforms.kinds import INTEGER, SIZE, SIZE_OR_ZERO


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
