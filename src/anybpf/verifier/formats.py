"""Format strings of the printing helpers: whether they are legal, and how many values they take.

What is allowed is told by bpf-helpers(7), ``bpf_trace_printk`` and ``bpf_snprintf``.
"""

from __future__ import annotations

from typing import Final

INTEGERS: Final = "diuxX"
FLAGS: Final = "0+- "
# What may follow %p, besides what ends the specifier.
POINTER_KINDS: Final = ("ks", "us", "i4", "I4", "i6", "I6", "x", "s", "S", "K", "B")


def values_of(text: str) -> int:
    """How many values the format takes, -1 if it is not legal."""
    count = 0
    at = 0
    while at < len(text):
        char = text[at]
        if not (char.isascii() and (char.isprintable() or char.isspace())):
            return -1
        at += 1
        if char != "%":
            continue
        if text[at : at + 1] == "%":
            at += 1
            continue
        at = _specifier(text, at)
        if at < 0:
            return -1
        count += 1
    return count


def _specifier(text: str, at: int) -> int:
    """Where the specifier that begins behind a percent sign ends, -1 if it is none."""
    while text[at : at + 1] in tuple(FLAGS):
        at += 1
    while text[at : at + 1].isdigit():
        at += 1
    char = text[at : at + 1]
    if char == "p":
        return _pointer(text, at + 1)
    if char in ("s", "c"):
        return at + 1
    if text.startswith("ll", at):
        at += 2
    elif char == "l":
        at += 1
    char = text[at : at + 1]
    return at + 1 if char and char in INTEGERS else -1


def _pointer(text: str, at: int) -> int:
    for kind in POINTER_KINDS:
        if text.startswith(kind, at):
            return at + len(kind)
    following = text[at : at + 1]
    return at if not following or not following.isalnum() else -1
