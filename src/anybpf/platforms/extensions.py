"""Extensions: rows that are added to a platform at run time, and what keeps them out.

Adding and removing them is the platform's own business.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from anybpf.platforms.model import AttachType, Helper, MapType, ProgramType, SectionRule
from anybpf.platforms.table import Table, near

if TYPE_CHECKING:
    from anybpf.platforms.platform import Platform


class Extension:
    """Rows that are added to a platform at run time, all or none.

    A helper whose ``program_type`` is set belongs to that type alone (which may come with the same
    extension); any other may be called by every program type.
    """

    __slots__ = ("attach_types", "helpers", "map_types", "name", "program_types", "sections")

    def __init__(
        self,
        name: str,
        *,
        program_types: Iterable[ProgramType] = (),
        attach_types: Iterable[AttachType] = (),
        sections: Iterable[SectionRule] = (),
        helpers: Iterable[Helper] = (),
        map_types: Iterable[MapType] = (),
    ) -> None:
        self.name = name
        self.program_types = tuple(program_types)
        self.attach_types = tuple(attach_types)
        self.sections = tuple(sections)
        self.helpers = tuple(helpers)
        self.map_types = tuple(map_types)

    def __repr__(self) -> str:
        return f"<Extension {self.name}>"


def why_not(platform: Platform, extension: Extension) -> str:
    """Why the extension cannot be registered, in words; empty if it can."""
    if extension.name in platform.extensions:
        return "an extension of that name is already registered"
    types = {kind.name for kind in extension.program_types}
    problem = (
        _clash(
            platform.program_types, [(kind.number, kind.name) for kind in extension.program_types]
        )
        or _clash(
            platform.attach_types, [(kind.number, kind.name) for kind in extension.attach_types]
        )
        or _clash(platform.map_types, [(kind.number, kind.name) for kind in extension.map_types])
        or _clash(
            platform.helpers,
            [
                (helper.number, helper.name)
                for helper in extension.helpers
                if not helper.program_type
            ],
        )
    )
    if problem:
        return problem
    seen: set[str] = set()
    for rule in extension.sections:
        if rule.name in platform.section_rows or rule.name in seen:
            return f"there is already a section rule for {rule.name!r}"
        seen.add(rule.name)
        if rule.program_type not in types and rule.program_type not in platform.program_types:
            return (
                f"section rule {rule.name!r} names the program type {rule.program_type!r}, "
                f"which is not there{near(rule.program_type, platform.program_types.names())}"
            )
    return _own_helper_problem(platform, extension)


def _own_helper_problem(platform: Platform, extension: Extension) -> str:
    fresh = {kind.name: kind for kind in extension.program_types}
    taken: dict[str, list[Helper]] = {}
    for helper in extension.helpers:
        owner = helper.program_type
        if not owner:
            continue
        kind = fresh.get(owner) or platform.program_types.get(owner)
        if kind is None:
            return f"helper {helper.name!r} belongs to program type {owner!r}, which is not there"
        others = taken.setdefault(owner, list(kind.own_helpers))
        for other in others:
            if helper.number == other.number or helper.name == other.name:
                return (
                    f"helper {helper.name!r} ({helper.number}) collides with {other.name!r} "
                    f"({other.number}) of program type {owner}"
                )
        others.append(helper)
    return ""


def _clash(
    table: Table[object] | Table[ProgramType] | Table[AttachType] | Table[MapType] | Table[Helper],
    new: list[tuple[int, str]],
) -> str:
    """The first of the new numbers and names that the table, or the list itself, already has."""
    names: set[str] = set()
    numbers: set[int] = set()
    for number, name in new:
        problem = table.conflict(number, name)
        if problem:
            return problem
        if name in names:
            return f"it brings two rows named {name!r} ({table.what})"
        if number in numbers:
            return f"it gives the number {number} twice ({table.what})"
        names.add(name)
        numbers.add(number)
    return ""
