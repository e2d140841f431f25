"""`anybpf check`: what keeps each program from loading on each platform, before verification."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from anybpf.cli.app import DONE, NO, Parser, add_command
from anybpf.cli.files import Input
from anybpf.cli.output import plural, print_json, print_lines

if TYPE_CHECKING:
    from anybpf.objects.check import Obstacle

EXAMPLES = """\
anybpf check droppacket.o
anybpf check droppacket.o --platform windows
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "check",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Say, per program, what keeps it from loading on each platform before any "
            "verification: program types, helpers, map types, context fields. Exit code 1 if some "
            "program can load on none of the platforms asked for."
        ),
    )
    parser.add_argument("file", metavar="FILE.o", help="the object; '-' is standard input")
    parser.add_argument(
        "--platform",
        action="append",
        metavar="PLATFORM",
        help="linux or windows; may be given more than once (default: both)",
    )


def run(args: argparse.Namespace) -> int:
    from anybpf import platforms
    from anybpf.objects import load_spec
    from anybpf.objects.check import portability

    names = args.platform or platforms.names()
    source = Input(args.file)
    found: dict[str, dict[str, list[Obstacle]]] = {}
    sections: dict[str, str] = {}
    for name in names:
        platform = platforms.get(name)
        source.seek(0)
        spec = load_spec(source, platform=name)
        obstacles = portability(spec, platform)
        for program in spec.programs.values():
            sections[program.name] = program.section
            found.setdefault(program.name, {})[name] = [
                obstacle for obstacle in obstacles if obstacle.program in ("", program.name)
            ]
    if not found and not args.json:
        print(f"{args.file}: no programs")
    if args.json:
        print_json(
            {
                "file": args.file,
                "programs": [
                    {
                        "name": program,
                        "section": sections[program],
                        "platforms": {
                            name: {
                                "clear": not obstacles,
                                "obstacles": [obstacle.as_json() for obstacle in obstacles],
                            }
                            for name, obstacles in by_platform.items()
                        },
                    }
                    for program, by_platform in found.items()
                ],
            }
        )
    else:
        for name, by_platform in found.items():
            print_lines(_lines(name, sections[name], by_platform))
    clear = [any(not obstacles for obstacles in per.values()) for per in found.values()]
    return DONE if all(clear) else NO


def _lines(program: str, section: str, found: dict[str, list[Obstacle]]) -> list[str]:
    lines = [f"{program} (section {section})"]
    for name, obstacles in found.items():
        if not obstacles:
            lines.append(f"  {name}: nothing in the way")
            continue
        lines.append(f"  {name}: {plural(len(obstacles), 'obstacle')}")
        lines += [f"    {obstacle}" for obstacle in obstacles]
    return lines
