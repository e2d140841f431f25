"""`anybpf service`: the daemon that keeps programs, maps, links and pins between commands."""

from __future__ import annotations

import argparse

from anybpf.cli.app import BAD, DONE, NO, Parser, add_command, add_group
from anybpf.cli.output import plural, print_error, print_json
from anybpf.service.paths import Places

START_EXAMPLES = """\
anybpf service start
anybpf service start --platform windows
"""
RUN_EXAMPLES = """\
anybpf service run
anybpf service run --directory /run/anybpf --group anybpf --metrics 9435
"""
STOP_EXAMPLES = """\
anybpf service stop
"""
STATUS_EXAMPLES = """\
anybpf service status
anybpf service status --json
"""
# Keeps the shape that scripts read apart from later ones.
SHAPE = 1


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    from anybpf.service.running import add_options

    group = add_group(subparsers, "service", summary)
    for name, says, run, examples in (
        ("start", "see that it runs, in the background", run_start, START_EXAMPLES),
        ("run", "be the service, until it is stopped", run_run, RUN_EXAMPLES),
    ):
        add_options(add_command(group, name, says, run, examples=examples))
    for name, says, run, examples in (
        ("stop", "end it; what is pinned comes back with the next one", run_stop, STOP_EXAMPLES),
        ("status", "say whether it runs, and what it has", run_status, STATUS_EXAMPLES),
    ):
        parser = add_command(group, name, says, run, examples=examples)
        parser.add_argument("--directory", default="", help="where socket and state are")
        parser.add_argument("--platform", default="linux", help="which one (default: linux)")


def run_start(args: argparse.Namespace) -> int:
    from anybpf.service import running

    options = running.options_of(args)
    fresh = running.start(options)
    found = running.status(Places(options.directory, options.platform)) or {}
    if args.json:
        print_json({"version": SHAPE, "started": fresh, "service": found})
        return DONE
    word = "started" if fresh else "runs already"
    print(f"service {word}: process {found.get('pid')}, {found.get('socket')}")
    return DONE


def run_run(args: argparse.Namespace) -> int:
    from anybpf.service import running

    options = running.options_of(args)
    code = running.run(options)
    if code:
        places = Places(options.directory, options.platform)
        print_error(f"anybpf service run: a service runs already at {places.socket}")
        return BAD
    return DONE


def run_stop(args: argparse.Namespace) -> int:
    from anybpf.service import running

    was = running.stop(Places(args.directory, args.platform))
    if args.json:
        print_json({"version": SHAPE, "stopped": was})
    else:
        print("service stopped" if was else "no service runs")
    return DONE


def run_status(args: argparse.Namespace) -> int:
    from anybpf.service import running

    places = Places(args.directory, args.platform)
    found = running.status(places)
    if args.json:
        print_json({"version": SHAPE, "running": found is not None, "service": found})
        return NO if found is None else DONE
    if found is None:
        print(f"no service runs at {places.socket}")
        return NO
    print(f"service of {found['platform']}: process {found['pid']}, up {_time(found['uptime'])}")
    print(f"  socket   {found['socket']}")
    print(f"  state    {found['state']}")
    print(
        f"  objects  {plural(found['programs'], 'program')}, {plural(found['maps'], 'map')} "
        f"({found['memory']} bytes), {plural(found['links'], 'link')}, "
        f"{plural(found['pins'], 'pin')}"
    )
    print(f"  clients  {found['clients']} now, {found['connections']} in all")
    print(
        f"  requests {found['requests']}, {plural(found['errors'], 'error')}, "
        f"{found['refused']} refused"
    )
    if found["prover_keeps"]:
        print(f"  verifies with rights that this system did not take: {_words(found)}")
    return DONE


def _words(found: dict[str, list[str]]) -> str:
    return ", ".join(found["prover_keeps"])


def _time(seconds: float) -> str:
    """How long, in the two largest units."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
