"""One bpftool command under way: its words, its options, what it has printed so far.

Knows how bpftool takes words (any beginning of a keyword will do), how it complains and with which
exit codes. What the words mean is the business of the nouns' modules.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool.json_text import compact, pretty
from anybpf.errors import (
    AnyBPFError,
    InputError,
    KeyExists,
    MapError,
    MapFull,
    NoSuchKey,
    NotFound,
    NotSupported,
    PolicyError,
)

if TYPE_CHECKING:
    from anybpf.backends.model import Backend

FAILED: Final = 255  # what exit(-1) leaves

# Linux errno numbers: include/uapi/asm-generic/errno-base.h, errno.h; ENOTSUPP of linux/errno.h.
EPERM: Final = 1
ENOENT: Final = 2
E2BIG: Final = 7
EEXIST: Final = 17
EINVAL: Final = 22
EOPNOTSUPP: Final = 95
ENOTSUPP: Final = 524


class Failure(Exception):
    """The command ends with a complaint. ``number`` is the errno that makes the exit code."""

    def __init__(self, message: str, number: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = -number & 0xFF


class UsageWanted(Exception):
    """The command ends with the noun's usage; in JSON, with null."""

    def __init__(self, code: int = FAILED, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Words:
    """What is left of a command line."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._at = 0

    def __len__(self) -> int:
        return len(self._words) - self._at

    def peek(self) -> str:
        """The next word; '' if there is none."""
        return self._words[self._at] if len(self) else ""

    def take(self) -> str:
        word = self.peek()
        self._at += 1 if len(self) else 0
        return word

    def all(self) -> list[str]:
        return self._words[self._at :]

    def is_next(self, *keywords: str) -> bool:
        """Whether the next word is, or begins, one of the keywords."""
        return bool(len(self)) and any(one.startswith(self.peek()) for one in keywords)

    def take_if(self, *keywords: str) -> bool:
        found = self.is_next(*keywords)
        if found:
            self.take()
        return found

    def need(self, count: int, number: int = 1) -> None:
        """Complain if fewer words are left; the word before them is named in the complaint."""
        if len(self) < count:
            before = self._words[self._at - 1] if self._at else ""
            raise Failure(f"'{before}' needs at least {count} arguments, {len(self)} found", number)

    def end(self) -> None:
        """Complain of what should not be there."""
        if len(self):
            raise Failure(f"what is '{self.peek()}'?")


class Session:
    """What all nouns work with."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.json = False
        self.pretty = False
        self.show_pins = False
        self.use_loader = False
        self.base_btf = ""
        self.values: list[Any] = []
        self._pins: dict[tuple[str, int], list[str]] | None = None

    def emit(self, value: object) -> None:
        """A JSON value of the answer; printed as the command ends."""
        self.values.append(value)

    def print(self, text: str) -> None:
        """Text of the answer, as it is."""
        sys.stdout.write(text)

    def nothing(self) -> None:
        """The answer of what has none: null in JSON."""
        if self.json:
            self.emit(None)

    def note(self, text: str) -> None:
        """Beside the answer; not in JSON."""
        if not self.json:
            sys.stdout.flush()
            sys.stderr.write(f"{text}\n")

    def render(self, value: object) -> str:
        return pretty(value) if self.pretty else compact(value)

    def flush(self) -> None:
        """Print the JSON answer."""
        if self.json:
            sys.stdout.write("".join(self.render(one) for one in self.values) + "\n")
            self.values = []

    def complain(self, failure: Failure) -> None:
        if self.json:
            self.emit({"error": failure.message})
        else:
            sys.stdout.flush()
            sys.stderr.write(f"Error: {failure.message}\n")

    def pins_of(self, kind: str, number: int) -> list[str]:
        """Paths of the object's pins, if pins are to be shown."""
        if not self.show_pins:
            return []
        if self._pins is None:
            self._pins = {}
            for path, what, whose in self.backend.pins():
                self._pins.setdefault((what, whose), []).append(path)
        return self._pins.get((kind, number), [])


Command = Callable[[Session, Words], int]
Table = Sequence[tuple[str, Command]]


def choose(table: Table, session: Session, words: Words) -> int:
    """Run the command that the next word begins; the first of the table if there is no word."""
    if not len(words):
        return table[0][1](session, words)
    for name, command in table:
        if words.is_next(name):
            words.take()
            return command(session, words)
    raise UsageWanted


def usage(session: Session, words: Words) -> int:
    """The `help` of every noun."""
    raise UsageWanted(0)


def number_of(text: str, what: str, number: int = 1) -> int:
    """A number of 32 bits in any of C's bases."""
    found = c_number(text)
    if found is None or found > 0xFFFFFFFF:
        raise Failure(f"can't parse {text} as {what}", number)
    return found


def c_number(text: str, base: int = 0) -> int | None:
    """What C's strtoul makes of a whole word; None if it does not take all of it.

    >>> c_number("0x10"), c_number("010"), c_number("1x"), c_number("ff", 16)
    (16, 8, None, 255)
    """
    digits = text.lower()
    if base in (0, 16) and digits.startswith("0x"):
        base, digits = 16, digits[2:]
    elif base == 0:
        base = 8 if digits.startswith("0") and len(digits) > 1 else 10
    try:
        return int(digits, base) if digits.isalnum() else None
    except ValueError:
        return None


# Of the core's statuses, those whose class does not say the number already.
_BY_STATUS: Final = {
    "DENIED": EPERM,
    "BAD_INDEX": E2BIG,
    "CANNOT_DELETE": EINVAL,
    "NOT_SUPPORTED": EOPNOTSUPP,
}
_BY_CLASS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (NoSuchKey, ENOENT),
    (KeyExists, EEXIST),
    (MapFull, E2BIG),
    (NotFound, ENOENT),
    (NotSupported, EOPNOTSUPP),
    (PolicyError, EPERM),
    (InputError, EINVAL),
    (MapError, EINVAL),
)


def errno_of(error: BaseException) -> int:
    """The errno that Linux would have given for it."""
    for one in (error, error.__cause__, error.__context__):
        number = getattr(one, "errno", None)
        if isinstance(number, int) and number:
            return number
    if isinstance(error, MapError):
        if error.status in _BY_STATUS:
            return _BY_STATUS[error.status]
        if isinstance(error.number, int) and error.number:
            return abs(error.number)
    named = _errno_in(str(error))
    if named:
        return named
    return next((number for kind, number in _BY_CLASS if isinstance(error, kind)), EINVAL)


def _errno_in(text: str) -> int:
    """The number behind an errno's name in a message, as the Linux back end puts it at the end."""
    import errno
    import re

    found = re.findall(r"\b(E[A-Z0-9]{3,})\b", text)
    return getattr(errno, found[-1], 0) if found else 0


def strerror(number: int) -> str:
    return f"Unknown error {number}" if number == ENOTSUPP else os.strerror(number)


def failed(what: str, error: AnyBPFError | OSError, number: int = 0) -> Failure:
    """A complaint in bpftool's form of what a back end refused.

    ``number`` makes the exit code; without it, the error's own does.
    """
    if isinstance(error, NotSupported):
        return Failure(f"{what}: {error}", number or EOPNOTSUPP)
    found = errno_of(error)
    return Failure(f"{what}: {strerror(found)}", number or found)
