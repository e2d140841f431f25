"""`anybpf pin`: the paths under which programs, maps and links are kept."""

from __future__ import annotations

import argparse

from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.backend import add_backend_option, opened
from anybpf.cli.output import document, print_json, print_table

LIST_EXAMPLES = """\
anybpf pin list --backend linux
anybpf pin list /sys/fs/bpf/dns --kind map --backend linux --json
"""
REMOVE_EXAMPLES = """\
anybpf pin remove /sys/fs/bpf/drop_packet --backend linux
anybpf pin remove /dns --below --backend service
"""
KINDS = ("program", "map", "link")


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "pin", summary)
    show = add_command(group, "list", "say what is pinned where", run_list, examples=LIST_EXAMPLES)
    show.add_argument("below", metavar="PATH", nargs="?", default="", help="only in this directory")
    show.add_argument("--kind", choices=KINDS, default="", help="only these")
    remove = add_command(
        group, "remove", "take pins away", run_remove, examples=REMOVE_EXAMPLES,
        description="Take pins away. What nothing else holds is gone.",
    )  # fmt: skip
    remove.add_argument("paths", metavar="PATH", nargs="+")
    remove.add_argument("--below", action="store_true", help="all pins in these directories")
    for parser in (show, remove):
        add_backend_option(parser)


def run_list(args: argparse.Namespace) -> int:
    from anybpf.cli.commands.prog import nothing

    with opened(args) as backend:
        pins = backend.pins(args.below, args.kind)
        names = {
            (kind, one.id): getattr(one, "name", "")
            for kind in {kind for _, kind, _ in pins}
            for one in backend.infos(kind)
        }
        rows = [(path, kind, number, names.get((kind, number), "")) for path, kind, number in pins]
        if args.json:
            print_json(
                document(
                    pins=[
                        {"path": path, "kind": kind, "id": number, "name": name}
                        for path, kind, number, name in rows
                    ]
                )
            )
        elif rows:
            print_table(("path", "kind", "id", "name"), rows, right="id")
        else:
            nothing(args, "pins")
    return DONE


def run_remove(args: argparse.Namespace) -> int:
    from anybpf.errors import NotFound

    with opened(args) as backend:
        paths: list[str] = []
        for word in args.paths:
            found = [path for path, _, _ in backend.pins(word)] if args.below else [word]
            if not found:
                raise NotFound(f"nothing is pinned below {word}")
            paths += found
        for path in paths:
            backend.remove_pin(path)
        if args.json:
            print_json(document(removed=paths))
        else:
            for path in paths:
                print(f"removed {path}")
    return DONE
