"""The bpftool command line as a whole: options, nouns, batches, and how it ends."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from anybpf import __version__
from anybpf.cli.backend import opened
from anybpf.cli.bpftool.session import (
    FAILED,
    Failure,
    Session,
    UsageWanted,
    Words,
    strerror,
)
from anybpf.errors import AnyBPFError, InputError

# In the order in which beginnings of their names are tried.
NOUNS: Final = (
    "help", "batch", "prog", "map", "link", "cgroup", "perf", "net", "feature", "btf", "gen",
    "struct_ops", "iter", "version",
)  # fmt: skip

USAGE: Final = """\
Usage: anybpf bpftool [OPTIONS] OBJECT { COMMAND | help }
       anybpf bpftool batch file FILE
       anybpf bpftool version

       OBJECT  := { prog | map | link | cgroup | perf | net | feature | btf | gen | struct_ops |
                    iter }
       OPTIONS := { -j|--json, -p|--pretty, -f|--bpffs, -m|--mapcompat, -n|--nomount, -d|--debug,
                    -l|--legacy, -L|--use-loader, -B|--base-btf FILE, -V|--version,
                    --backend embedded|service|linux, --platform NAME }
"""

# Options by their letter: the long word, and the session's attribute ("" for what changes nothing).
_FLAGS: Final = {
    "j": ("json", "json"),
    "p": ("pretty", "pretty"),
    "f": ("bpffs", "show_pins"),
    "m": ("mapcompat", ""),
    "n": ("nomount", ""),
    "d": ("debug", ""),
    "l": ("legacy", ""),
    "L": ("use-loader", "use_loader"),
    "V": ("version", ""),
    "h": ("help", ""),
}
_WITH_VALUE: Final = {"B": "base-btf", "": "backend", " ": "platform"}


class Options:
    """What the options say; they may stand anywhere on the line."""

    def __init__(self) -> None:
        self.letters: set[str] = set()
        self.values: dict[str, str] = {}
        self.words: list[str] = []
        self.unknown = ""

    def read(self, words: Sequence[str]) -> None:
        source = iter(words)
        for word in source:
            if word == "--":
                self.words += list(source)
            elif word.startswith("--"):
                self._long(word, source)
            elif word.startswith("-") and len(word) > 1:
                self._short(word, source)
            else:
                self.words.append(word)

    def _long(self, word: str, source: object) -> None:
        name, has, value = word[2:].partition("=")
        flags = [letter for letter, (long, _) in _FLAGS.items() if long.startswith(name)]
        valued = [long for long in _WITH_VALUE.values() if long.startswith(name)]
        exact = [letter for letter in flags if _FLAGS[letter][0] == name] or flags
        if name and len(exact) == 1 and not valued and not has:
            self.letters.add(exact[0])
        elif name and len(valued) == 1 and (name in valued or not flags):
            self.values[valued[0]] = value if has else next(source, "")  # type: ignore[call-overload]
        else:
            self.unknown = self.unknown or word

    def _short(self, word: str, source: object) -> None:
        for at, letter in enumerate(word[1:], 1):
            if letter == "B":
                self.values["base-btf"] = word[at + 1 :] or next(source, "")  # type: ignore[call-overload]
                return
            if letter not in _FLAGS:
                self.unknown = self.unknown or word
            else:
                self.letters.add(letter)


def run(words: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    options = Options()
    options.read(words)
    args = argparse.Namespace(
        backend=options.values.get("backend", ""), platform=options.values.get("platform", "")
    )
    with opened(args) as backend:
        session = Session(backend)
        for letter in options.letters:
            if _FLAGS[letter][1]:
                setattr(session, _FLAGS[letter][1], True)
        session.base_btf = options.values.get("base-btf", "")
        session.json = session.json or session.pretty
        code = _run(session, options)
        session.flush()
    sys.stdout.flush()
    return code


def _run(session: Session, options: Options) -> int:
    if options.unknown:
        session.complain(Failure(f"unrecognized option '{options.unknown}'"))
        if not session.json:
            sys.stderr.write(USAGE)
        return FAILED
    if "V" in options.letters:
        return _version(session)
    if "h" in options.letters:
        return _usage(session, USAGE, 0)
    if not options.words:
        return _usage(session, USAGE, 0)
    return execute(session, options.words)


def execute(session: Session, line: Sequence[str]) -> int:
    """Run a noun's command; every complaint becomes text or JSON and an exit code."""
    words = Words(line)
    noun = next((name for name in NOUNS if words.is_next(name)), "")
    text = USAGE
    try:
        if not noun:
            raise UsageWanted
        words.take()
        if noun == "help":
            raise UsageWanted(0)
        if noun == "version":
            return _version(session)
        if noun == "batch":
            return _batch(session, words)
        module = import_module(f"anybpf.cli.bpftool.{noun}")
        text = module.USAGE
        code: int = module.run(session, words)
        return code
    except UsageWanted as wanted:
        if wanted.message:
            session.complain(Failure(wanted.message))
        return _usage(session, text, wanted.code, bool(wanted.message))
    except Failure as failure:
        if failure.message:
            session.complain(failure)
        return failure.code
    except AnyBPFError as error:
        session.complain(Failure(str(error).rstrip()))
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        session.complain(Failure(f"{where}{strerror(error.errno or 0)}"))
        return FAILED


def _usage(session: Session, text: str, code: int, complained: bool = False) -> int:
    if session.json:
        if not complained:
            session.emit(None)
    else:
        sys.stdout.flush()
        sys.stderr.write(text)
    return code


def _version(session: Session) -> int:
    features = {"libbfd": False, "libbpf_strict": True, "skeletons": True}
    if session.json:
        session.emit({"version": __version__, "anybpf_backend": session.backend.name,
                      "features": features})  # fmt: skip
    else:
        session.print(f"anybpf bpftool v{__version__}\nback end {session.backend.name}\n")
    return 0


def _batch(session: Session, words: Words) -> int:
    if len(words) < 2:
        raise Failure("too few parameters for batch")
    if not words.is_next("file"):
        raise Failure(f"expected 'file', got: {words.peek()}")
    words.take()
    name = words.take()
    if len(words):
        raise Failure("too many parameters for batch")
    try:
        if name == "-":
            lines = sys.stdin.read().splitlines()
        else:
            with open(name) as source:
                lines = source.read().splitlines()
    except OSError as error:
        raise Failure(f"Can't open file ({name}): {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{name}: this is not a text file") from None
    outer, session.values = session.values, []
    answers = []
    done = code = 0
    for line in _joined(lines):
        try:
            command = shlex.split(line, comments=True)
        except ValueError as error:
            raise Failure(f"line {done + 1} of the batch: {error}") from None
        if not command:
            continue
        if "batch".startswith(command[0]) and not "btf".startswith(command[0]):
            raise Failure("batches do not nest")
        session.values = []
        code = execute(session, command)
        if session.json:
            output = session.values[0] if session.values else None
            answers.append({"command": command, "output": output})
        if code:
            break
        done += 1
    session.values = outer
    if session.json:
        session.emit(answers)
    elif not code:
        session.note(f"processed {done} commands")
    return code


def _joined(lines: list[str]) -> list[str]:
    """Lines that end in a backslash go on in the next."""
    out: list[str] = []
    open_line = ""
    for line in lines:
        open_line += line
        if open_line.endswith("\\"):
            open_line = open_line[:-1] + " "
        else:
            out.append(open_line)
            open_line = ""
    return [*out, open_line] if open_line else out
