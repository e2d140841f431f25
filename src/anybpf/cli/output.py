"""What commands print with: JSON in one shape, and tables whose columns line up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    from json import dump

    dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


# The shape of what commands on loaded objects print as JSON. It grows when fields change or go;
# fields that are added leave it as it is.
JSON_VERSION = 1


def document(**contents: object) -> dict[str, object]:
    """What such a command prints: its contents, and which shape that is."""
    return {"version": JSON_VERSION, **contents}


def print_json_line(value: object) -> None:
    """One JSON value on a line of its own, there as soon as it is known."""
    from json import dumps

    sys.stdout.write(dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_error(message: str) -> None:
    """What went wrong with one of several things, on standard error; others may still go well."""
    sys.stdout.flush()
    print(message, file=sys.stderr)


def in_colour() -> bool:
    """Whether standard output is a terminal that shows colours, and nobody asked it not to.

    Any value of NO_COLOR but the empty one asks so, as no-color.org has it.
    """
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM", "") != "dumb"
    )


# Select Graphic Rendition, ECMA-48 8.3.117.
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def paint(text: str, style: str) -> str:
    """The text in a style, if standard output shows such."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if in_colour() else text


class Progress:
    """A line on standard error that says how far long work is: on a terminal only, and gone when
    there is something to print."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._done = 0
        self._shown = whole > 1 and sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"

    def step(self, what: str) -> None:
        """The next piece begins."""
        self._done += 1
        if self._shown:
            # Back to the line's beginning, and clear it: ECMA-48 8.3.41.
            sys.stderr.write(f"\r\033[K[{self._done}/{self._whole}] {what}"[:100])
            sys.stderr.flush()

    def clear(self) -> None:
        """Something else is printed now, or it is the end."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> None:
    """A table; its headings are bold on a terminal."""
    first, *rest = table(headings, rows, right)
    print_lines([paint(first, "bold"), *rest])


def note(message: str) -> None:
    """Something good to know that is not the answer, on standard error."""
    sys.stdout.flush()
    print(f"note: {message}", file=sys.stderr)


def print_lines(lines: Iterable[str]) -> None:
    """Lines on standard output, written in blocks."""
    write = sys.stdout.write
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == 1000:
            write("\n".join(block) + "\n")
            block.clear()
    if block:
        write("\n".join(block) + "\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> list[str]:
    """Lines of a table. ``right`` names the columns, by heading, that are set to the right.

    >>> table(("name", "size"), [("a", 8), ("counter", 16)], right="size")
    ['name     size', 'a           8', 'counter    16']
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [
        max([len(heading), *[len(row[i]) for row in cells]]) for i, heading in enumerate(headings)
    ]
    to_right = [heading in right.split() for heading in headings]
    lines = []
    for row in [list(headings), *cells]:
        parts = [
            cell.rjust(width) if flag else cell.ljust(width)
            for cell, width, flag in zip(row, widths, to_right, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return lines


def section(title: str, lines: Iterable[str]) -> list[str]:
    """A titled, indented block with an empty line before it; nothing if there are no lines."""
    body = [f"  {line}" for line in lines]
    return ["", f"{title}:", *body] if body else []


def plural(count: int, noun: str, many: str = "") -> str:
    """A count with its noun: '1 program', '2 programs', '2 entries'."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
