"""A look-up table by name and by number whose values are made when first asked for.

Platform tables are rows of plain tuples; most commands need a handful of them. This keeps the cost
of the rest at zero. It knows nothing of what the rows mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from anybpf.errors import InputError, NotFound

T = TypeVar("T")
Row = tuple[Any, ...]


def near(name: str, names: Iterable[str]) -> str:
    """The end of an error message: what the name may have been meant to be, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


class Table(Generic[T]):
    """Values by name and by number, in the order of their rows.

    Each row begins with the number and the name; ``build`` makes the value of a row. ``what``
    names one value in messages ("helper of linux"). ``aliases`` are other names of some rows; they
    find a value but are not listed.
    """

    __slots__ = ("_aliases", "_build", "_names", "_rows", "_values", "what")

    def __init__(
        self,
        what: str,
        rows: Iterable[Row],
        build: Callable[[Row], T] | None = None,
        aliases: dict[str, str] | None = None,
    ) -> None:
        self.what = what
        self._build = build
        self._aliases: dict[str, str] = {} if aliases is None else aliases
        self._rows: dict[str, Row] = {row[1]: row for row in rows}
        self._values: dict[str, T] = {}
        self._names: dict[int, str] = {row[0]: name for name, row in self._rows.items()}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[T]:
        for name in list(self._rows):
            yield self[name]

    def __contains__(self, key: object) -> bool:
        if isinstance(key, int):
            return key in self._names
        return key in self._rows or key in self._aliases

    def names(self) -> list[str]:
        return list(self._rows)

    def numbers(self) -> list[int]:
        return list(self._names)

    def number(self, name: str) -> int:
        """The number of a name, without making the value."""
        row = self._rows.get(self._aliases.get(name, name))
        if row is None:
            raise self.missing(name)
        number: int = row[0]
        return number

    def name(self, number: int) -> str:
        """The name of a number, without making the value."""
        found = self._names.get(number)
        if found is None:
            raise self.missing(number)
        return found

    def get(self, key: str | int) -> T | None:
        """The value of a name or number, or None."""
        name = self._names.get(key) if isinstance(key, int) else self._aliases.get(key, key)
        if name is None:
            return None
        value = self._values.get(name)
        if value is None:
            row = self._rows.get(name)
            if row is None or self._build is None:
                return None
            value = self._values[name] = self._build(row)
        return value

    def __getitem__(self, key: str | int) -> T:
        value = self.get(key)
        if value is None:
            raise self.missing(key)
        return value

    def missing(self, key: str | int) -> NotFound:
        """The error for a key that is not there, with the names that look like it."""
        if isinstance(key, int):
            return NotFound(f"no {self.what} has the number {key}")
        return NotFound(f"no {self.what} is named {key!r}{near(key, self._rows)}")

    def conflict(self, number: int, name: str) -> str:
        """Why a value of this number and name cannot be added; empty if it can."""
        if name in self._aliases:
            return f"{name!r} is another name of the {self.what} {self._aliases[name]!r}"
        if name in self._rows:
            return f"there is already a {self.what} named {name!r} (number {self._rows[name][0]})"
        if number in self._names:
            return f"the number {number} belongs to the {self.what} {self._names[number]!r}"
        return ""

    def add(self, number: int, name: str, value: T) -> None:
        """Put in a value; :class:`InputError` if its name or number is taken."""
        problem = self.conflict(number, name)
        if problem:
            raise InputError(f"cannot add {name!r}: {problem}")
        self._rows[name] = (number, name)
        self._names[number] = name
        self._values[name] = value

    def remove(self, name: str) -> None:
        row = self._rows.pop(name, None)
        if row is None:
            raise self.missing(name)
        del self._names[row[0]]
        self._values.pop(name, None)
