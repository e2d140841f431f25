"""`anybpf cache`: the compiled programs that are kept on disk."""

from __future__ import annotations

import argparse

from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.output import plural, print_json, print_lines, table

SHOW_EXAMPLES = """\
anybpf cache show
anybpf cache show --json
"""
CLEAR_EXAMPLES = """\
anybpf cache clear
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "cache", summary)
    add_command(
        group, "show", "say where it is, and what is in it", run_show, examples=SHOW_EXAMPLES
    )
    add_command(group, "clear", "remove everything in it", run_clear, examples=CLEAR_EXAMPLES)


def run_show(args: argparse.Namespace) -> int:
    from anybpf.engines.cache import Cache

    cache = Cache()
    entries = cache.entries(check=True)
    size = sum(entry.size for entry in entries)
    damaged = sum(1 for entry in entries if entry.problem)
    if args.json:
        print_json(
            {
                "directory": cache.directory,
                "problem": cache.problem,
                "limit": cache.limit,
                "bytes": size,
                "damaged": damaged,
                "objects": [
                    {
                        "key": entry.key,
                        "bytes": entry.size,
                        "used": int(entry.used),
                        "problem": entry.problem,
                    }
                    for entry in entries
                ],
            }
        )
        return DONE
    if cache.problem:
        print(f"{cache.directory or 'no directory'}: not used, because {cache.problem}")
        return DONE
    bad = f", {damaged} damaged" if damaged else ""
    print(
        f"{cache.directory}: {plural(len(entries), 'object')}, "
        f"{_size(size)} of {_size(cache.limit)}{bad}"
    )
    if entries:
        from time import localtime, strftime

        rows = [
            (
                entry.key[:16],
                entry.size,
                strftime("%Y-%m-%d %H:%M:%S", localtime(entry.used)),
                entry.problem,
            )
            for entry in entries
        ]
        print_lines(["", *table(("key", "bytes", "last used", ""), rows, right="bytes")])
    return DONE


def run_clear(args: argparse.Namespace) -> int:
    from anybpf.engines.cache import Cache

    cache = Cache()
    files, size = cache.clear()
    if args.json:
        print_json(
            {
                "directory": cache.directory,
                "problem": cache.problem,
                "objects": files,
                "bytes": size,
            }
        )
    elif cache.problem:
        print(f"{cache.directory or 'no directory'}: not used, because {cache.problem}")
    else:
        print(f"{cache.directory}: removed {plural(files, 'object')}, {_size(size)}")
    return DONE


def _size(size: int) -> str:
    """
    >>> _size(1000), _size(1 << 20), _size(30 * 1024 + 512)
    ('1000 bytes', '1 MiB', '30.5 KiB')
    """
    for unit, one in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= one:
            return f"{size / one:.1f}".removesuffix(".0") + f" {unit}"
    return plural(size, "byte")
