"""`anybpf completion`: completion scripts for bash, zsh and fish, made from the parsers."""

from __future__ import annotations

import argparse

from anybpf.cli.app import DONE, Parser, add_command, build_parser
from anybpf.cli.output import print_json

EXAMPLES = """\
anybpf completion bash > /etc/bash_completion.d/anybpf
anybpf completion zsh > "${fpath[1]}/_anybpf"
anybpf completion fish > ~/.config/fish/completions/anybpf.fish
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(subparsers, "completion", summary, run, examples=EXAMPLES)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


class Node:
    """One command: the words that may follow it, and its options."""

    def __init__(self, path: tuple[str, ...], parser: argparse.ArgumentParser) -> None:
        self.path = path
        self.words: list[str] = []
        self.options: list[str] = []
        self.takes_files = False
        for action in parser._actions:
            self.options += action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                self.words += list(action.choices)
            elif action.choices and not action.option_strings:
                self.words += [str(choice) for choice in action.choices]
            elif not action.option_strings:
                self.takes_files = True


def nodes(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> list[Node]:
    """Every command below ``parser``, outermost first."""
    found = [Node(path, parser)]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                found += nodes(child, (*path, name))
    return found


def bash(tree: list[Node]) -> str:
    cases = "\n".join(
        f'        "{" ".join(node.path)}") words="{" ".join(node.words + node.options)}" ;;'
        for node in tree
    )
    return f"""\
# bash completion for anybpf
_anybpf() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" path="" words="" word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path $word" in
{_bash_paths(tree)}
        esac
    done
    case "$path" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $current != -* ]]; then
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}}
complete -o filenames -F _anybpf anybpf
"""


def _bash_paths(tree: list[Node]) -> str:
    lines = []
    for node in tree:
        if node.path:
            parent = " ".join(node.path[:-1])
            lines.append(f'            "{parent} {node.path[-1]}") path="{" ".join(node.path)}" ;;')
    return "\n".join(lines)


def zsh(tree: list[Node]) -> str:
    return "#compdef anybpf\nautoload -U +X bashcompinit && bashcompinit\n" + bash(tree)


def fish(tree: list[Node]) -> str:
    lines = ["# fish completion for anybpf"]
    for node in tree:
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in node.path)
        if node.words:
            none = "not __fish_seen_subcommand_from " + " ".join(node.words)
            when = f"{seen}; and {none}" if seen else none
            lines.append(f"complete -c anybpf -f -n '{when}' -a '{' '.join(node.words)}'")
        for option in node.options:
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            lines.append(f"complete -c anybpf {f'-n {seen!r} ' if seen else ''}{flag}")
    return "\n".join(lines) + "\n"


def run(args: argparse.Namespace) -> int:
    tree = nodes(build_parser())
    script = {"bash": bash, "zsh": zsh, "fish": fish}[args.shell](tree)
    if args.json:
        print_json({"shell": args.shell, "script": script})
    else:
        print(script, end="")
    return DONE
