"""How netsh reads a line: words, prefixes of commands, arguments by position or by tag.

Knows nothing of any command: which there are stands in ``table``, what values mean is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.cli.netsh.session import Session


class SyntaxProblem(InputError):
    """A line that is no command, or arguments that do not fit the command: nothing was done."""


class Tag:
    """An argument: its name, what it is, and the values among which it chooses, if it does."""

    __slots__ = ("choices", "name", "required", "text")

    def __init__(
        self, name: str, text: str, *, required: bool = False, choices: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.text = text
        self.required = required
        self.choices = tuple(choices)

    @property
    def usage(self) -> str:
        word = f"{self.name}={'|'.join(self.choices) or '<' + self.value_word + '>'}"
        return word if self.required else f"[{word}]"

    @property
    def value_word(self) -> str:
        return {"id": "number", "filename": "file"}.get(self.name, "text")


# The values of a command's arguments by tag; what was not given is not there.
Values = Mapping[str, str]
Handler = Callable[["Session", Values], int]


class Command:
    """A command: its words ("show programs"), what it does, its arguments in their order."""

    __slots__ = ("handler", "notes", "tags", "text", "words")

    def __init__(
        self, words: str, text: str, handler: Handler, tags: Sequence[Tag] = (), notes: str = ""
    ) -> None:
        self.words = tuple(words.split())
        self.text = text
        self.handler = handler
        self.tags = tuple(tags)
        self.notes = notes

    @property
    def name(self) -> str:
        return " ".join(self.words)

    def usage(self, context: str = "") -> list[str]:
        """What is printed for ``?`` behind the command."""
        head = f"{context} {self.name}".strip()
        line = " ".join([head, *(tag.usage for tag in self.tags)])
        out = ["", f"Usage: {line}", "", f"  {self.text}"]
        if self.tags:
            width = max(len(tag.name) for tag in self.tags)
            out += ["", "Arguments:", ""]
            out += [f"  {tag.name.ljust(width)}  {tag.text}" for tag in self.tags]
        if self.notes:
            out += ["", f"  {self.notes}"]
        return [*out, ""]


def split(line: str) -> list[str]:
    r"""The words of a line; double quotes keep spaces, and a backslash is nothing but itself.

    >>> split('set program 5 attached="" pinpath=BPF:\\a')
    ['set', 'program', '5', 'attached=', 'pinpath=BPF:\\a']
    >>> split('add program "my file.o" xdp')
    ['add', 'program', 'my file.o', 'xdp']
    """
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    for character in line:
        if character == '"':
            quoted = not quoted
            word = [] if word is None else word
        elif character.isspace() and not quoted:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [character] if word is None else [*word, character]
    if quoted:
        raise SyntaxProblem('a quotation mark (") opens in this line, and none closes it')
    if word is not None:
        words.append("".join(word))
    return words


def choose(word: str, names: Iterable[str]) -> list[str]:
    """The names that a word may mean: the one that it is, or all that begin with it.

    >>> choose("Ma", ["map", "maps", "pins"])
    ['map', 'maps']
    >>> choose("map", ["map", "maps", "pins"])
    ['map']
    """
    small = word.lower()
    there = list(dict.fromkeys(names))
    if small in there:
        return [small]
    return [name for name in there if small and name.startswith(small)]


def one_of(word: str, names: Sequence[str], what: str) -> str:
    """The only name that the word can mean; :class:`SyntaxProblem` says what there is."""
    found = choose(word, names)
    if len(found) == 1:
        return found[0]
    if found:
        raise SyntaxProblem(f"{what} '{word}' may mean {' or '.join(found)}: write more of it")
    raise SyntaxProblem(f"{what} '{word}' is none of {', '.join(names)}")


def bind(command: Command, words: Sequence[str]) -> dict[str, str]:
    """Arguments by tag. ``tag=value`` in any order; other words go to what is free, in order."""
    if any("\0" in word for word in words):
        raise SyntaxProblem(f"{command.name}: there is a zero byte in this line")
    names = [tag.name for tag in command.tags]
    values: dict[str, str] = {}
    positional: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        found = choose(name, names) if equals else []
        if len(found) > 1:
            raise SyntaxProblem(
                f"{command.name}: '{name}' may mean {' or '.join(found)}: write more of it"
            )
        if not found:
            # A file may have an equals sign in its name; a word alone in front of one is a tag.
            if equals and name.isidentifier():
                raise SyntaxProblem(
                    f"{command.name}: there is no argument '{name}'; {_known(names)}"
                )
            positional.append(word)
            continue
        if found[0] in values:
            raise SyntaxProblem(f"{command.name}: '{found[0]}' is given twice")
        values[found[0]] = value
    free = [name for name in names if name not in values]
    if len(positional) > len(free):
        extra = positional[len(free)]
        raise SyntaxProblem(f"{command.name}: '{extra}' is one argument too many; {_known(names)}")
    for name, word in zip(free, positional, strict=False):
        values[name] = word
    for tag in command.tags:
        if tag.required and not values.get(tag.name):
            raise SyntaxProblem(f"{command.name}: '{tag.name}' is needed; see '{command.name} ?'")
        if tag.choices and tag.name in values:
            values[tag.name] = one_of(values[tag.name], tag.choices, f"{command.name}: {tag.name}")
    return values


def _known(names: Sequence[str]) -> str:
    return f"it takes {', '.join(names)}" if names else "it takes none"


def number(values: Values, name: str, command: str) -> int:
    """An argument that is a number of an object."""
    text = values[name]
    if not text.isdecimal() or not text.isascii() or int(text) > 0xFFFFFFFF:
        raise SyntaxProblem(f"{command}: {name} is a number of an object, not '{text}'")
    return int(text)
