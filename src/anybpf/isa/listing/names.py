"""What a listing asks its caller for: names of helpers and of their arguments.

The rooms above know platforms and programs; listings know only these shapes. The helpers of
`anybpf.platforms` fit as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol


class ArgumentName(Protocol):
    """One argument: ``kind`` is a word such as "map", "map_key", "memory", "size", "anything".

    ``size_arg`` is the position of the argument with this one's length, -1 if there is none.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def access(self) -> str: ...
    @property
    def size_arg(self) -> int: ...


class HelperName(Protocol):
    """A helper's name and what it takes."""

    @property
    def name(self) -> str: ...
    @property
    def args(self) -> Sequence[ArgumentName]: ...


class Names(Protocol):
    """Helpers by number, for one program; None for a number that the platform does not know."""

    def helper(self, number: int) -> HelperName | None: ...


# Kinds whose name says more than their kind does.
_SCALAR_KINDS: Final = ("anything", "size", "size_or_zero", "alloc_size")


def signature(helper: HelperName) -> str:
    """The typed arguments in their registers, such as ``(map r1, map_key r2, flags r3)``.

    Memory whose length another argument carries is written ``memory r1[r2]``.
    """
    args = list(helper.args)
    lengths = [arg.size_arg for arg in args]
    words: list[str] = []
    for position, arg in enumerate(args[:5]):
        if position in lengths:
            continue
        word = arg.name if arg.kind in _SCALAR_KINDS and arg.name else arg.kind
        text = f"{word}{'?' if arg.nullable else ''} r{position + 1}"
        if arg.size_arg >= 0:
            text += f"[r{arg.size_arg + 1}]"
        words.append(text)
    return f"({', '.join(words)})"
