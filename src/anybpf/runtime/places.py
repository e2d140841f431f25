"""Where links wait when nobody has events for them: every attach type takes links, by its rules.

A place holds what is attached and says how many may be; no events come from it. Whoever has events
registers a hook of its own with the runtime, and that one is left alone. The rules are those of
eBPF for Windows; attach types of other platforms take as many programs as come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.runtime.link import LinkRecord
    from anybpf.runtime.runtime import Runtime


class Refused(InputError):
    """A place does not take a link; ``result`` is the platform's name for why."""

    def __init__(self, message: str, result: str) -> None:
        self.result = result
        super().__init__(message)


# How many clients a hook has at most: netebpfext/net_ebpf_ext_hook_provider.c.
MOST_LINKS: Final = 16
# Attach types that take one program in all, and those that take one for each parameter; a
# program for every parameter only where nothing else is. Sources: netebpfext, the hook providers.
SINGLE: Final = frozenset({"bind"})
SINGLE_EACH: Final = frozenset(
    {
        "cgroup/recv_accept4",
        "cgroup/recv_accept6",
        "cgroup/listen4",
        "cgroup/listen6",
        "sockops",
    }
)


def number_or_none(data: bytes) -> None:
    if len(data) not in (0, 4):
        raise InputError(f"the attach parameter is a number of 4 bytes, not of {len(data)}")


def nothing(data: bytes) -> None:
    if data:
        raise InputError(f"nothing is named besides the program here, {len(data)} bytes were given")


def capture_type(data: bytes) -> None:
    """All 1, flow 2, drop 3, none 4: neteventebpfext, the attach parameter."""
    if len(data) != 4:
        raise InputError("the attach parameter is the capture type, a number of 4 bytes")
    if not 1 <= int.from_bytes(data, "little") <= 4:
        raise Refused("the capture type is 1 to 4", "OPERATION_NOT_SUPPORTED")


# What an attach type wants to be told, by how its parameter begins in the platform's table.
_CHECKS: Final[dict[str, Callable[[bytes], None]]] = {
    "": nothing,
    "u32 interface": number_or_none,
    "u32 compartment": number_or_none,
    "u32 capture": capture_type,
}


class Place:
    """One attach type's place: a hook from which no events come."""

    __slots__ = ("_check", "links", "name")

    def __init__(self, name: str, parameter: str) -> None:
        self.name: str = name
        self.links: list[LinkRecord] = []
        self._check = _CHECKS.get(" ".join(parameter.split()[:2]))

    def attach(self, link: LinkRecord) -> None:
        if self._check is not None:
            self._check(link.data)
        if len(self.links) >= MOST_LINKS:
            raise Refused(f"{self.name} has {MOST_LINKS} programs, the most it takes", "FAILED")
        if self.links and (self.name in SINGLE or (self.name in SINGLE_EACH and self._meets(link))):
            raise Refused(
                f"{self.name} has a program already: {self.links[0].program.describe()}; detach "
                "that one first",
                "ACCESS_DENIED",
            )
        self.links.append(link)

    def detach(self, link: LinkRecord) -> None:
        self.links.remove(link)

    def _meets(self, link: LinkRecord) -> bool:
        """Whether an event could be for both the new link and one that is there."""
        mine = _parameter(link.data)
        return any(not mine or _parameter(one.data) in (0, mine) for one in self.links)


def _parameter(data: bytes) -> int:
    return int.from_bytes(data, "little")


def add_places(runtime: Runtime) -> None:
    """A place for every attach type for which the runtime has no hook."""
    hooks: dict[str, Any] = runtime.hooks
    for kind in runtime.platform.attach_types:
        if kind.number and kind.name not in hooks:
            hooks[kind.name] = Place(kind.name, kind.parameter)
