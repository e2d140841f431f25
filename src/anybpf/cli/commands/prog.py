"""`anybpf prog`: loaded programs, on any back end.

What is printed of them is put into words in `anybpf.cli.live`; runs are the business of
`anybpf.cli.running`, listings of `anybpf.cli.dumping`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.backend import SHORT_LIVED, add_backend_option, chosen, is_lasting, opened
from anybpf.cli.options import (
    add_dump_options,
    add_load_options,
    add_profile_options,
    add_run_options,
)
from anybpf.cli.output import document, note, plural, print_json, print_lines, print_table
from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.backends.model import Backend

PROGRAM_HELP = "the program: its number, the path of a pin, or its name"

SHOW_EXAMPLES = """\
anybpf prog show --backend linux
anybpf prog show drop_packet --backend service
anybpf prog show /sys/fs/bpf/drop_packet --backend linux --json
"""
LOAD_EXAMPLES = """\
anybpf prog load droppacket.o --pin /sys/fs/bpf/dns --backend linux
anybpf prog load droppacket.o drop_packet
anybpf prog load firewall.o --set limit=100 --map dropped_packets=17 --backend service
"""
RUN_EXAMPLES = """\
anybpf prog run droppacket.o --data packet.bin --ctx ingress_ifindex=3
anybpf prog run droppacket.o --data hex:ffffffffffff0000000000010800 --repeat 1000 --maps
anybpf prog run 12 --data packet.bin --backend linux --json
"""
PROFILE_EXAMPLES = """\
anybpf prog profile droppacket.o --data packet.bin
anybpf prog profile drop_packet --seconds 5 --backend linux
"""
DUMP_EXAMPLES = """\
anybpf prog dump droppacket.o
anybpf prog dump droppacket.o --form native
anybpf prog dump 12 --form xlated --style bpftool --backend linux
"""
ATTACH_EXAMPLES = """\
anybpf prog attach drop_packet eth0 --pin /sys/fs/bpf/drop_packet_link --backend linux
anybpf prog attach count_calls --hold --backend linux
anybpf prog attach 12 /sys/fs/cgroup/web --type cgroup_inet4_connect --pin /links/web \
--backend linux
"""
PIN_EXAMPLES = """\
anybpf prog pin 12 /sys/fs/bpf/drop_packet --backend linux
"""
UNLOAD_EXAMPLES = """\
anybpf prog unload drop_packet --backend service
anybpf prog unload 12 --links --backend linux
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "prog", summary)
    show = add_command(
        group, "show", "list loaded programs, or say all about one", run_show,
        examples=SHOW_EXAMPLES,
    )  # fmt: skip
    show.add_argument("program", metavar="PROGRAM", nargs="?", help=PROGRAM_HELP)
    load = add_command(
        group, "load", "verify and load programs", run_load, examples=LOAD_EXAMPLES,
        description=(
            "Verify and load the programs of an object or a native image: all of them, or nothing. "
            "What is not pinned goes with the command."
        ),
    )  # fmt: skip
    load.add_argument("file", metavar="FILE", help="an object, or an image of 'anybpf compile'")
    load.add_argument("programs", metavar="PROGRAM", nargs="*", help="only these")
    load.add_argument("--pin", metavar="DIR", default="", help="pin each program as DIR/NAME")
    add_load_options(load)
    run = add_command(
        group, "run", "run a program once, on data of your own", run_run,
        examples=RUN_EXAMPLES,
        description=(
            "A test run: of a loaded program, or of one of a file, which is loaded for it. The "
            "result is told by its name."
        ),
    )  # fmt: skip
    add_run_options(run)
    add_load_options(run)
    profile = add_command(
        group, "profile", "measure what a program costs", run_profile,
        examples=PROFILE_EXAMPLES,
        description=(
            "Measures one program: of a file by test runs with each engine, a loaded one by the "
            "runs that it has while the command waits."
        ),
    )  # fmt: skip
    add_profile_options(profile)
    dump = add_command(
        group, "dump", "print a program's code", run_dump, examples=DUMP_EXAMPLES,
        description=(
            "Prints code. Form bytecode is what the file says; xlated what the back end made of "
            "it; native its machine code beside bytecode and source lines."
        ),
    )  # fmt: skip
    add_dump_options(dump)
    attach = add_command(
        group, "attach", "let events come to a program", run_attach, examples=ATTACH_EXAMPLES,
        description=(
            "Attach a program where its type and section say. PLACE is what they leave open: a "
            "network device, the directory of a cgroup, a tracepoint CATEGORY/NAME, a probe "
            "FILE:FUNCTION, or hex:DIGITS. What holds it there is a link: pinned, or held by this "
            "command until it is interrupted."
        ),
    )  # fmt: skip
    attach.add_argument("program", metavar="PROGRAM", help=PROGRAM_HELP)
    attach.add_argument("place", metavar="PLACE", nargs="?", default="")
    attach.add_argument("--type", metavar="TYPE", default="", help="the attach type")
    kept = attach.add_mutually_exclusive_group(required=True)
    kept.add_argument("--pin", metavar="PATH", default="", help="where the link is kept")
    kept.add_argument("--hold", action="store_true", help="until the command is interrupted")
    pin = add_command(group, "pin", "give a program a path", run_pin, examples=PIN_EXAMPLES)
    pin.add_argument("program", metavar="PROGRAM", help=PROGRAM_HELP)
    pin.add_argument("path", metavar="PATH")
    unload = add_command(
        group, "unload", "remove a program's pins, so that it goes", run_unload,
        examples=UNLOAD_EXAMPLES,
        description=(
            "Removes all pins of a program. It goes when nothing else holds it: links, program "
            "arrays, or another process."
        ),
    )  # fmt: skip
    unload.add_argument("program", metavar="PROGRAM", help=PROGRAM_HELP)
    unload.add_argument("--links", action="store_true", help="detach its links, too")
    for parser in (show, load, run, profile, dump, attach, pin, unload):
        add_backend_option(parser)


def run_show(args: argparse.Namespace) -> int:
    from anybpf.cli import live
    from anybpf.cli.selection import find, is_path, named, pins_of

    with opened(args) as backend:
        word = args.program or ""
        if word and (word.isdigit() or is_path(word) or not named(backend, "program", word)):
            with find(backend, "program", word) as program:
                infos = [program.info()]
        elif word:
            infos = named(backend, "program", word)
        else:
            infos = list(backend.infos("program"))
        pins = pins_of(backend, "program")
        if args.json:
            programs = [live.program_as_json(one, pins.get(one.id, ())) for one in infos]
            print_json(document(programs=programs))
        elif len(infos) == 1 and word:
            only = infos[0]
            paths = pins.get(only.id, [])
            print_lines(live.program_lines(only, paths, _maps(backend, only.map_ids)))
        elif infos:
            rows = [live.program_row(one, pins.get(one.id, ())) for one in infos]
            print_table(live.PROGRAM_HEADINGS, rows, right="id bytes runs ns/run")
        else:
            nothing(args, "programs")
    return DONE


def _maps(backend: Backend, ids: tuple[int, ...]) -> list[str]:
    names = {one.id: one.name for one in backend.infos("map")}
    return [f"{number} {names.get(number, '')}".rstrip() for number in ids]


def nothing(args: argparse.Namespace, what: str) -> None:
    """There is nothing to list: say so, and why that may be."""
    print(f"no {what}")
    if not is_lasting(args):
        note(SHORT_LIVED)


def run_load(args: argparse.Namespace) -> int:
    from anybpf.cli import live
    from anybpf.cli.loading import loaded

    if args.pin and not is_lasting(args):
        raise InputError(f"--pin {args.pin}: {SHORT_LIVED}; 'anybpf prog run' loads and runs")
    with opened(args) as backend, loaded(backend, args, args.file, args.programs) as collection:
        paths = _pin_all(backend, args.pin, list(collection)) if args.pin else {}
        infos = [program.info() for program in collection]
        if args.json:
            programs = [live.program_as_json(one, paths.get(one.id, ())) for one in infos]
            maps = [live.map_as_json(one.info(), one.pins) for one in collection.maps.values()]
            print_json(document(programs=programs, maps=maps))
        else:
            for one in infos:
                pins = "".join(f", pinned at {path}" for path in paths.get(one.id, ()))
                print(f"{one.name}: {one.type_name}, program {one.id}{pins}")
            print(f"loaded {_counted(len(infos), len(collection.maps))}")
    if not args.pin:
        note(
            f"they go with this command: {SHORT_LIVED}"
            if not is_lasting(args)
            else "they go with this command: --pin DIR keeps them"
        )
    return DONE


def _counted(programs: int, maps: int) -> str:
    return f"{plural(programs, 'program')}, {plural(maps, 'map')}"


def _pin_all(backend: Backend, directory: str, programs: list[object]) -> dict[int, list[str]]:
    """Pin each program under its name, or none of them; the paths by number."""
    separator = "\\" if "\\" in directory and "/" not in directory else "/"
    done: dict[int, list[str]] = {}
    try:
        for program in programs:
            path = directory.rstrip("/\\") + separator + program.name  # type: ignore[attr-defined]
            done[program.id] = [program.pin(path)]  # type: ignore[attr-defined]
    except BaseException:
        for paths in done.values():
            for path in paths:
                backend.remove_pin(path)
        raise
    return done


def run_run(args: argparse.Namespace) -> int:
    from anybpf.cli import running

    return running.run(args)


def run_profile(args: argparse.Namespace) -> int:
    from anybpf.cli import running

    return running.profile(args)


def run_dump(args: argparse.Namespace) -> int:
    from anybpf.cli import dumping

    return dumping.run(args)


def run_attach(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find

    if not is_lasting(args):
        raise InputError(f"nothing is there to be attached: {SHORT_LIVED}")
    with (
        opened(args) as backend,
        find(backend, "program", args.program) as program,
        program.attach(args.type, _place(args.place)) as link,
    ):
        path = link.pin(args.pin) if args.pin else ""
        if args.json:
            print_json(document(id=link.id, prog_id=program.id, path=path))
        else:
            kept = f", pinned at {path}" if path else "; until this command is interrupted"
            print(f"program {program.id} is attached by link {link.id}{kept}", flush=True)
        if args.hold:
            _wait()
    return DONE


def _place(word: str) -> bytes:
    import os

    if word.startswith("hex:"):
        from anybpf.cli.words import hex_bytes

        return hex_bytes(word[4:], "PLACE")
    return os.fsencode(word)


def _wait() -> None:
    """Until somebody interrupts."""
    import time

    while True:
        time.sleep(3600)


def run_pin(args: argparse.Namespace) -> int:
    return pin_object(args, "program", args.program)


def pin_object(args: argparse.Namespace, kind: str, word: str) -> int:
    """Pin what is named; for the commands of all nouns."""
    from anybpf.cli.selection import find

    with opened(args) as backend, find(backend, kind, word) as found:
        path = found.pin(args.path)
        if args.json:
            print_json(document(kind=kind, id=found.id, path=path))
        else:
            print(f"{kind} {found.id} is pinned at {path}")
    return DONE


def run_unload(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find, pins_of

    with opened(args) as backend:
        with find(backend, "program", args.program) as program:
            number = program.id
            paths = pins_of(backend, "program").get(number, [])
            links = [one.id for one in backend.infos("link") if one.prog_id == number]
            for path in paths:
                backend.remove_pin(path)
            if args.links:
                _detach(backend, links)
        gone = number not in backend.ids("program")
        if args.json:
            print_json(
                document(id=number, unpinned=paths, links=links, detached=args.links, gone=gone)
            )
            return DONE
        for path in paths:
            print(f"removed the pin {path}")
        if gone:
            print(f"program {number} is gone")
        elif links and not args.links:
            held = ", ".join(str(one) for one in links)
            print(f"program {number} stays, held by link {held}: --links detaches it")
        else:
            print(f"program {number} stays: {chosen(args)} objects or processes hold it")
    return DONE


def _detach(backend: Backend, links: list[int]) -> None:
    pins: dict[int, list[str]] = {}
    for path, _, number in backend.pins(kind="link"):
        pins.setdefault(number, []).append(path)
    for number in links:
        with backend.link(number) as link:
            link.detach()
        for path in pins.get(number, []):
            backend.remove_pin(path)
