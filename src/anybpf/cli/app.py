"""Finds the command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from anybpf import __version__
from anybpf.errors import AnyBPFError

DONE = 0
NO = 1
BAD = 2
INTERRUPTED = 130

# Command, what it does in a few words. Each has a module of its name, or of the first word of it,
# in anybpf.cli.commands.
COMMANDS: tuple[tuple[str, str], ...] = (
    ("cc", "compile C to a BPF object"),
    ("asm", "assemble text to instructions"),
    ("obj", "look into BPF objects: show, disasm, maps"),
    ("btf", "print type information: dump"),
    ("prog", "load, run, look at and measure programs"),
    ("map", "make maps, look into them and change them"),
    ("link", "make one object of several; or look at what is attached"),
    ("pin", "say what is pinned where: list, remove"),
    ("ring", "follow the records of ring buffers and perf event arrays"),
    ("log", "follow what programs print"),
    ("top", "show which programs run, and what that costs"),
    ("check", "say what keeps programs from loading on each platform"),
    ("verify", "prove that programs are safe to run, or say why not"),
    ("compile", "compile programs ahead to native images, or to C"),
    ("platform", "say what a platform offers: show"),
    ("explain-error", "say what an error code means, on Linux or on Windows"),
    ("netsh", "speak the language of netsh ebpf, on the Windows platform"),
    ("service", "keep objects between commands: start, stop, status, run"),
    ("trace", "run another command and tell what the runtime does for it"),
    ("cache", "look at the compiled programs kept on disk: show, clear"),
    ("bpftool", "bpftool's own commands, on any back end"),
    ("completion", "print a completion script for a shell"),
)


def _module(name: str) -> ModuleType:
    """Where a command is, imported when it is wanted."""
    return import_module(f"anybpf.cli.commands.{name.partition('-')[0]}")


_TOP_EXAMPLE = """\
examples:
  anybpf cc droppacket.c -o droppacket.o
  anybpf obj disasm droppacket.o
  anybpf verify droppacket.o --explain
"""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, asked for without importing shutil, which is slow to load."""

    def __init__(self, prog: str) -> None:
        try:
            width = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
        except (OSError, ValueError):  # no terminal: as wide as terminals used to be
            width = 80
        super().__init__(prog, width=min(width, 100) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Wrap paragraphs; leave what is indented, lists and examples, as it is written."""
        from textwrap import fill

        paragraphs = [
            block if "\n " in block else fill(block, width, initial_indent=indent)
            for block in text.rstrip("\n").split("\n\n")
        ]
        return "\n\n".join(paragraphs) + "\n"


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and whose help ends with examples."""

    def __init__(self, *, examples: str = "", **settings: object) -> None:
        text = f"examples:\n{_indent(examples)}" if examples else None
        super().__init__(
            epilog=text,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
            **settings,  # type: ignore[arg-type]
        )

    def error(self, message: str) -> NoReturn:
        self.exit(BAD, f"{self.prog}: {message} (see '{self.prog} --help')\n")


Run = Callable[[argparse.Namespace], int]


def add_command(
    subparsers: argparse._SubParsersAction[Parser],
    name: str,
    summary: str,
    run: Run,
    *,
    examples: str,
    description: str = "",
) -> Parser:
    """A subcommand: its parser, to which the caller adds arguments; all have ``--json``."""
    parser = subparsers.add_parser(
        name, help=summary, description=description or summary, examples=examples
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_group(
    subparsers: argparse._SubParsersAction[Parser], name: str, summary: str
) -> argparse._SubParsersAction[Parser]:
    """A command that only has subcommands."""
    parser = subparsers.add_parser(name, help=summary, description=summary)
    group = parser.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    group.required = True
    return group


def build_parser(only: str = "") -> Parser:
    """The parser of the whole command line, or of the command ``only``."""
    parser = Parser(prog="anybpf", description="eBPF for any process on any machine.")
    parser.add_argument("--version", action="version", version=f"anybpf {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    subparsers.required = True
    for name, summary in COMMANDS:
        if only in ("", name):
            module = _module(name)
            module.configure(subparsers, summary)
    return parser


def front_parser() -> Parser:
    """The parser for a command line without a known command: help, version, or an error.

    It lists the commands but imports none of them: help must be there at once.
    """
    lines = [f"  {name:<12}{summary}" for name, summary in COMMANDS]
    parser = Parser(
        prog="anybpf",
        usage="anybpf [-h] [--version] COMMAND ...",
        description="eBPF for any process on any machine.\n\ncommands:\n" + "\n".join(lines),
    )
    parser.epilog = _TOP_EXAMPLE
    parser.add_argument("--version", action="version", version=f"anybpf {__version__}")
    parser.add_argument("command", metavar="COMMAND", nargs="?", help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    known = {name for name, _ in COMMANDS}
    named = next((word for word in words if not word.startswith("-")), "")
    who = f"anybpf {named}"
    try:
        if named not in known:
            front = front_parser()
            front.parse_args(words[:1])
            front.error(_unknown(named, known))
        words, passed_on = split_off(named, words)
        parsed, rest = build_parser(named).parse_known_args(words)
        if rest and not getattr(parsed, "takes_rest", False):
            parsed.parser.error(f"unknown arguments: {' '.join(rest)}")
        parsed.rest = [*passed_on, *rest]
        who = parsed.parser.prog
        run: Run = parsed.run
        code = run(parsed)
        sys.stdout.flush()
    except SystemExit as leaving:  # how argparse ends --help, --version and its errors
        return leaving.code if isinstance(leaving.code, int) else DONE
    except AnyBPFError as error:
        print(f"{who}: {str(error).rstrip()}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python must not complain of it at its end.
        sys.stdout = None
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"{who}: {what}", file=sys.stderr)
        return BAD
    return code


def _unknown(named: str, known: set[str]) -> str:
    if not named:
        return "which command?"
    from difflib import get_close_matches

    near = get_close_matches(named, known, 1)
    return f"there is no command '{named}'{f', did you mean {near[0]!r}?' if near else ''}"


def split_off(named: str, words: list[str]) -> tuple[list[str], list[str]]:
    """The words in full, and the flags with separate values that a command passes on unread."""
    flags: tuple[str, ...] = getattr(_module(named), "PASSED_ON_WITH_VALUE", ())
    first = words.index(named)
    kept = words[: first + 1]
    passed_on: list[str] = []
    source = iter(_with_subcommand(named, words[first + 1 :]))
    for word in source:
        if word in flags:
            passed_on += [word, *[value for value in [next(source, None)] if value is not None]]
        else:
            kept.append(word)
    return kept, passed_on


def _with_subcommand(named: str, words: list[str]) -> list[str]:
    """Say what is meant where the name of a subcommand may be left away."""
    module = _module(named)
    default: str = getattr(module, "DEFAULT_SUBCOMMAND", "")
    if not default or not words or words[0] in (*module.SUBCOMMANDS, "-h", "--help"):
        return words
    return [default, *words]


def _indent(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.strip().splitlines())
