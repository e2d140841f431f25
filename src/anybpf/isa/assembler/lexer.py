"""Text of the clang dialect to statements of tokens.

Takes off what listings put around code: comments, addresses, byte columns, headlines. What a
statement means is the parser's business.

A comment is ``//`` or ``#`` to the end of the line, ``/* */``, or ``;`` at the beginning of a
line or doubled; elsewhere ``;`` separates statements, as for clang.
"""

from __future__ import annotations

import re
from typing import Final

END: Final = 0
NUMBER: Final = 1
LOCAL: Final = 2  # 1b, 1f
OPERATOR: Final = 3
NAME: Final = 4
STRING: Final = 5
JUNK: Final = 6
_MOST_DIGITS: Final = 40

# No groups, so that findall gives the tokens themselves; what kind each is, its first and last
# characters say.
_TOKEN: Final = re.compile(
    r"0[xX][0-9a-fA-F]+|0[bB][01]+(?!\w)|[0-9]+(?![0-9a-zA-Z_])"
    r"|[0-9]+[bf](?!\w)"
    r"|s(?:>>=|/=|%=|>=|<=|>|<)|<<=|>>=|[-+*/%&|^=!<>]=|<<|>>|[-+*/%&|^=<>~()\[\]{},:;#!]"
    r"|[A-Za-z_.$@][\w.$@]*"
    r'|"(?:[^"\\]|\\.)*(?:"|\\?$)'
    r"|\S"
)


def _first_characters() -> dict[str, int]:
    kinds = dict.fromkeys("-+*/%&|^=<>~()[]{},:;#!", OPERATOR)
    kinds |= dict.fromkeys("0123456789", NUMBER)
    kinds |= dict.fromkeys("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.$@", NAME)
    kinds['"'] = STRING
    return kinds


_KINDS: Final = _first_characters()

# Where a comment may begin, or a string in which none does.
_COMMENT: Final = re.compile(r'//|/\*|#|;;|"(?:[^"\\]|\\.)*(?:"|\\?$)')

# "0000000000000008 <name>:" in llvm-objdump's listings.
_SYMBOL_LINE: Final = re.compile(r"\s*[0-9a-f]{8,16} <(.+)>:\s*$")
_HEADLINE: Final = re.compile(r"Disassembly of section .*:\s*$|.*:\s+file format \S+\s*$")
# After "12:" come the bytes of one or two slots, or the opcode in parentheses.
_COLUMNS: Final = re.compile(
    r"\s*[0-9]+:\s+(?:((?:[0-9a-f]{2}[ \t]+){8}(?:(?:[0-9a-f]{2}[ \t]+){8})?)|(\([0-9a-f]{2}\) ))"
)
# What llvm-objdump says of a jump's target: "<name+0x10>".
_TARGET: Final = re.compile(r"(?<=[0-9a-f])[ \t]+<[^<>]*>[ \t]*$")


class Tokens:
    """The tokens of one line and their kinds; the last one is an END."""

    __slots__ = ("_index", "_place", "kinds", "line", "source", "texts")

    def __init__(self, line: int, source: str) -> None:
        self.line: int = line
        self.source: str = source
        self.texts: list[str] = []
        self.kinds: list[int] = []
        # Where the search for a column got to: a token, and the place where the one before ends.
        self._index: int = 0
        self._place: int = 0

    def column(self, index: int) -> int:
        """Where a token stands, counted from one. Between tokens there is only white space."""
        if index < self._index:
            self._index = self._place = 0
        place = self._place
        for text in self.texts[self._index : index]:
            place = self.source.index(text, place) + len(text)
        self._index = index
        self._place = place
        text = self.texts[index]
        return (self.source.index(text, place) if text else len(self.source.rstrip())) + 1


def tokenize(line: str, number: int) -> Tokens:
    """The tokens of a line that has no comments."""
    tokens = Tokens(number, line)
    texts: list[str] = _TOKEN.findall(line)
    kinds = tokens.kinds
    for text in texts:
        kind = _KINDS.get(text[0], JUNK)
        last = text[-1]
        if kind == NAME:
            if last in "<>=":  # signed operators begin with a letter
                kind = OPERATOR
        elif kind == NUMBER:
            if last in "bf" and text[1] not in "xX":
                kind = LOCAL
        elif kind == STRING and (last != '"' or len(text) == 1):
            kind = JUNK  # it is not closed
        kinds.append(kind)
    texts.append("")
    kinds.append(END)
    tokens.texts = texts
    return tokens


class Stripper:
    """Takes comments and listing columns off lines; remembers an open ``/*``."""

    __slots__ = ("in_comment",)

    def __init__(self) -> None:
        self.in_comment: bool = False

    def strip(self, line: str) -> str:
        """``line`` with spaces in place of what is no code, so that columns stay."""
        if not self.in_comment:
            bare = line.lstrip()
            if not bare or bare[0] == ";":
                return ""
            if (
                "/" not in line and "#" not in line and ";;" not in line
            ):  # nearly every line of a program
                return line
        start = 0
        if self.in_comment:
            end = line.find("*/")
            if end < 0:
                return ""
            self.in_comment = False
            start = end + 2
            line = " " * start + line[start:]
        parts: list[str] = []
        copied = 0
        while True:
            match = _COMMENT.search(line, start)
            if match is None:
                break
            what = match.group()
            begin = match.start()
            start = match.end()
            if what == "#" and begin > 0 and start < len(line):
                # "name#12" and "pc+3#name" are one thing in the kernel's listings.
                if _joins(line[begin - 1], line[start]):
                    continue
            elif what[0] == '"':
                continue
            parts.append(line[copied:begin])
            if what != "/*":
                return "".join(parts)
            end = line.find("*/", start)
            if end < 0:
                self.in_comment = True
                return "".join(parts)
            start = end + 2
            parts.append(" " * (start - begin))
            copied = start
        parts.append(line[copied:])
        return "".join(parts)


def _joins(before: str, after: str) -> bool:
    return (before.isalnum() or before == "_") and (after.isalnum() or after == "_")


def headline_label(line: str) -> str:
    """The name in a headline over code, or ''."""
    if not line.rstrip().endswith(":"):
        return ""
    match = _SYMBOL_LINE.match(line)
    return match.group(1) if match is not None else _prototype_name(line)


def _prototype_name(line: str) -> str:
    """The function's name in "int f(struct x * y):", as bpftool has it, or ''."""
    head, bracket, rest = line.partition("(")
    words = head.replace("*", " ").split()
    if not bracket or not rest.rstrip().endswith("):") or len(words) < 2:
        return ""
    return words[-1] if all(word.isidentifier() for word in words) else ""


def is_headline(line: str) -> bool:
    """Whether this is a line over a section or file in a listing."""
    if "Disassembly of" not in line and "file format" not in line:
        return False
    return _HEADLINE.match(line) is not None


def without_columns(line: str) -> str:
    """``line`` with spaces in place of bytes, opcode and the name of a jump's target."""
    match = _COLUMNS.match(line) if line.lstrip()[:1].isdigit() else None
    if match is not None:
        group = 1 if match.group(1) is not None else 2
        begin, end = match.span(group)
        line = line[:begin] + " " * (end - begin) + line[end:]
    if ">" in line and line.rstrip().endswith(">"):
        line = _TARGET.sub("", line)
    return line


def integer(text: str) -> int:
    """The value of a NUMBER token."""
    if text[:2] in ("0x", "0X"):
        return int(text[2:], 16)
    if text[:2] in ("0b", "0B"):
        return int(text[2:], 2)
    # More digits than any field holds; Python refuses to read thousands of them.
    return int(text) if len(text) < _MOST_DIGITS else 10**_MOST_DIGITS
