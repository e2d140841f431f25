"""Lines in, commands out: contexts, prompts, help, scripts, and how a session ends.

Which commands there are stands in ``table``; how a line is read in ``grammar``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from anybpf.cli.netsh.grammar import SyntaxProblem, bind, choose, split
from anybpf.cli.netsh.table import EBPF
from anybpf.errors import AnyBPFError

if TYPE_CHECKING:
    from anybpf.cli.netsh.session import Session

DONE: Final = 0
FAILED: Final = 1
BAD: Final = 2

TOP: Final = ""
CONTEXTS: Final = ("ebpf",)
HELP: Final = ("?", "help", "-?", "/?", "-h", "--help")
LEAVE: Final = ("exit", "bye", "quit")
UP: Final = ".."
# Under this number netsh knows the DLL of its ebpf context: docs of eBPF for Windows.
HELPER: Final = "634d21b8-13f9-46a3-945f-885cbd661c13"

_GROUPS: Final = {
    "add": "Adds programs.",
    "delete": "Deletes programs.",
    "pin": "Gives maps and programs a place to be found at.",
    "set": "Changes programs.",
    "show": "Shows what is loaded, and what files say.",
    "unpin": "Takes pins away.",
}
_OWN: Final = {
    "..": "Goes up one context.",
    "?": "Shows the commands.",
    "bye": "Ends the session.",
    "exit": "Ends the session.",
    "help": "Shows the commands.",
    "quit": "Ends the session.",
}


class Shell:
    """A session with the context that it is in."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.context: str = TOP
        self.over: bool = False

    @property
    def prompt(self) -> str:
        return f"netsh {self.context}>" if self.context else "netsh>"

    def line(self, line: str) -> int:
        """Carry out a line; what is wrong with it is told, not raised."""
        text = line.strip()
        if not text or text.startswith(("#", "rem ", "REM ")):
            return DONE
        try:
            return self.words(split(text))
        except SyntaxProblem as error:
            self.session.fail(str(error))
            return BAD

    def words(self, words: Sequence[str]) -> int:
        """The same with the words as they are."""
        try:
            return self._words(list(words), self.context)
        except SyntaxProblem as error:
            self.session.fail(str(error))
            return BAD
        except AnyBPFError as error:
            self.session.fail(f"error: {str(error).rstrip()}")
            return error.exit_code
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            self.session.fail(f"error: {what}")
            return BAD

    def _words(self, words: list[str], context: str) -> int:
        if not words:
            self.context = context
            return DONE
        first = words[0].lower()
        if first in HELP:
            self._help(context)
            return DONE
        if first == UP:
            return self._words(words[1:], TOP)
        if len(words) == 1 and self._leaves(first, context):
            self.over = True
            return DONE
        if context == TOP:
            return self._top(words)
        return self._in_context(words, context)

    def _leaves(self, word: str, context: str) -> bool:
        """Whether the word ends the session; it may be cut where it means nothing else."""
        if word in LEAVE:
            return True
        found = choose(word, [*LEAVE, *_first_words(context), *CONTEXTS])
        return len(found) == 1 and found[0] in LEAVE

    def _top(self, words: list[str]) -> int:
        found = choose(words[0], [*CONTEXTS, *_TOP_WORDS])
        if len(found) == 1 and found[0] in CONTEXTS:
            return self._words(words[1:], found[0])
        if len(found) == 1:
            return self._helper(found[0], words[1:])
        raise _unknown(words, TOP, found)

    def _helper(self, verb: str, words: list[str]) -> int:
        """``add helper``, ``show helper``: the context is built in, so there is little to do."""
        if not words or words[0].lower() in HELP:
            self.session.print("", f"{verb} helper: {_TOP_WORDS[verb]}", "")
            return DONE
        if choose(words[0], ["helper"]) != ["helper"]:
            raise _unknown([verb, *words], TOP, [])
        if verb == "show":
            self.session.print(
                "",
                f"{'Helper GUID':<38}  Command",
                f"{'-' * 38}  -------",
                *(f"{{{HELPER}}}  {name}" for name in CONTEXTS),
            )
        elif len(words) != 2:
            raise SyntaxProblem(f"{verb} helper: name one file")
        return DONE

    def _in_context(self, words: list[str], context: str) -> int:
        verbs = choose(words[0], _first_words(context))
        if not verbs:
            there = choose(words[0], CONTEXTS)
            if len(there) == 1:  # a context may be named from inside another, and from itself
                return self._words(words[1:], there[0])
            raise _unknown(words, context, [])
        if len(verbs) > 1:
            raise _unknown(words, context, verbs)
        verb = verbs[0]
        rest = words[1:]
        if not rest or rest[0].lower() in HELP:
            self._group(context, verb)
            return DONE
        nouns = {command.words[1]: command for command in EBPF if command.words[0] == verb}
        found = choose(rest[0], nouns)
        if len(found) != 1:
            raise _unknown(words[:2], context, [f"{verb} {one}" for one in found])
        command = nouns[found[0]]
        arguments = rest[1:]
        if any(word.lower() in HELP for word in arguments):
            self.session.print(*command.usage(context))
            return DONE
        return command.handler(self.session, bind(command, arguments))

    # Help.

    def _help(self, context: str) -> None:
        rows = {name: text for name, text in _OWN.items() if name != UP or context}
        if context == TOP:
            rows |= _TOP_WORDS
            rows |= {name: f"Changes to the '{name}' context." for name in CONTEXTS}
        else:
            rows |= {verb: _GROUPS[verb] for verb in _first_words(context)}
        title = f"Commands in the {context} context:" if context else "Commands:"
        self.session.print("", title, *_columns(rows), "")

    def _group(self, context: str, verb: str) -> None:
        rows = {one.name: one.text for one in EBPF if one.words[0] == verb}
        self.session.print("", f"Commands in {context} {verb}:", *_columns(rows), "")


_TOP_WORDS: Final = {
    "add": "Registers a context's DLL; 'ebpf' is there without one.",
    "delete": "Forgets a context's DLL; 'ebpf' stays.",
    "show": "Lists the contexts: show helper.",
}


def _first_words(context: str) -> list[str]:
    if context == TOP:
        return list(_TOP_WORDS)
    return sorted({command.words[0] for command in EBPF})


def _columns(rows: dict[str, str]) -> list[str]:
    width = max(len(name) for name in rows)
    return [f"{name:<{width}}  - {text}" for name, text in sorted(rows.items())]


def _unknown(words: Iterable[str], context: str, may_be: Sequence[str]) -> SyntaxProblem:
    line = " ".join([*([context] if context else []), *words])
    if may_be:
        return SyntaxProblem(f"'{line}' may mean {' or '.join(may_be)}: write more of it")
    return SyntaxProblem(f"There is no command '{line}'. Type ? to see which there are.")


def interact(shell: Shell, source: TextIO | None = None) -> int:
    """Lines from a person, or from whatever stands in a person's place, until the end of them."""
    stream = sys.stdin if source is None else source
    asked = source is None and stream.isatty()
    if asked:
        _line_editing()
    while not shell.over:
        try:
            if asked:
                line = input(shell.prompt)
            else:
                shell.session.write(shell.prompt)
                line = stream.readline()
                if not line:
                    raise EOFError
        except EOFError:
            shell.session.print("")
            break
        except KeyboardInterrupt:
            shell.session.print("")
            continue
        shell.line(line)
        shell.session.flush()
    return DONE


def _line_editing() -> None:
    """Arrow keys and earlier lines, where Python has them."""
    try:
        import readline
    except ImportError:
        return
    readline.set_history_length(1000)


def run_script(shell: Shell, lines: Iterable[str]) -> int:
    """Lines of a file, each carried out whatever became of those before; the worst exit code."""
    worst = DONE
    for line in lines:
        worst = max(worst, shell.line(line))
        if shell.over:
            break
    return worst
