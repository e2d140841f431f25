"""What a back end can do, asked once: yes, no with the version that has it, or unknown.

The answers of this process's own runtime are made here; how a kernel is asked is its back end's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from anybpf.errors import InputError, NotSupported

if TYPE_CHECKING:
    from anybpf.runtime.runtime import Runtime

PROGRAM_TYPE: Final = "program_type"
MAP_TYPE: Final = "map_type"
ATTACH_TYPE: Final = "attach_type"
HELPER: Final = "helper"
MISC: Final = "misc"
FEATURE_KINDS: Final = (PROGRAM_TYPE, MAP_TYPE, ATTACH_TYPE, HELPER, MISC)


@dataclass(frozen=True, slots=True)
class Feature:
    """One answer. ``has`` is None if nobody knows; ``why`` says how it is known, or why not."""

    kind: str
    name: str
    has: bool | None
    since: str = ""
    why: str = ""

    @property
    def word(self) -> str:
        return "unknown" if self.has is None else "yes" if self.has else "no"

    def __bool__(self) -> bool:
        return bool(self.has)


class Features:
    """The features of one back end. Definite answers are remembered, unknown ones asked again.

    ``names`` gives the names of a kind, ``probe`` asks for one. Safe for many threads: the worst
    that happens is that two ask the same.
    """

    def __init__(
        self,
        where: str,
        names: Callable[[str], list[str]],
        probe: Callable[[str, str], Feature],
    ) -> None:
        self.where: str = where
        self._names = names
        self._probe = probe
        self._known: dict[tuple[str, str], Feature] = {}

    def names(self, kind: str) -> list[str]:
        if kind not in FEATURE_KINDS:
            raise InputError(f"features are of the kinds {', '.join(FEATURE_KINDS)}, not {kind!r}")
        return self._names(kind)

    def feature(self, kind: str, name: str) -> Feature:
        """The answer for one name."""
        found = self._known.get((kind, name))
        if found is None:
            if name not in self.names(kind):
                raise InputError(f"no {kind.replace('_', ' ')} is named {name!r}")
            found = self._probe(kind, name)
            if found.has is not None:
                self._known[kind, name] = found
        return found

    def require(self, kind: str, name: str) -> None:
        """:class:`NotSupported` if the answer is no."""
        found = self.feature(kind, name)
        if found.has is False:
            raise NotSupported(
                f"the {kind.replace('_', ' ')} {name}", where=self.where, since=found.since
            )

    def all(self, kind: str = "") -> Iterator[Feature]:
        """The answers for every name of a kind, or of all kinds."""
        for one in (kind,) if kind else FEATURE_KINDS:
            for name in self.names(one):
                yield self.feature(one, name)

    def __repr__(self) -> str:
        return f"<Features of {self.where}, {len(self._known)} known>"


def embedded_features(runtime: Runtime) -> Features:
    """What this process's runtime can do, by its platform's tables and what is built into it."""
    from anybpf import _core
    from anybpf.platforms.built import unbuilt
    from anybpf.runtime.habits import CORE_KINDS

    platform = runtime.platform
    where = f"the embedded runtime of {platform.name}"

    def names(kind: str) -> list[str]:
        if kind == PROGRAM_TYPE:
            return platform.program_types.names()
        if kind == MAP_TYPE:
            return platform.map_types.names()
        if kind == ATTACH_TYPE:
            return platform.attach_types.names()
        return platform.helpers.names() if kind == HELPER else []

    def probe(kind: str, name: str) -> Feature:
        if kind == MAP_TYPE:
            built = (CORE_KINDS.get(name) or name) in _core.KINDS
            return Feature(kind, name, built, why="" if built else "it is not built")
        if kind == ATTACH_TYPE:
            types = platform.attach_types[name].program_types
            hooked = name in runtime.hooks or any(one in runtime.hooks for one in types)
            # A hook may still be registered: that is no answer to be remembered.
            return Feature(kind, name, True if hooked else None, why="" if hooked else "no hook")
        if kind == HELPER and name.removeprefix("bpf_") not in runtime.helpers:
            why = unbuilt(platform, [name]).get(name, "")
            return Feature(kind, name, None if why else True, why=why)
        return Feature(kind, name, True)

    return Features(where, names, probe)
