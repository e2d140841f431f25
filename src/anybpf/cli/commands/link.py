"""`anybpf link`: programs held where events come from; and making one object of several.

Both are called linking. `anybpf link FILE.o …` is short for `anybpf link objects FILE.o …`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from anybpf.cli.app import DONE, Parser, add_command, add_group
from anybpf.cli.backend import add_backend_option, opened
from anybpf.cli.files import write_whole
from anybpf.cli.output import document, print_json, print_lines, print_table

LINK_HELP = "the link: its number, or the path of a pin"

SHOW_EXAMPLES = """\
anybpf link show --backend linux
anybpf link show 4 --backend service --json
"""
DETACH_EXAMPLES = """\
anybpf link detach 4 --backend linux
"""
PIN_EXAMPLES = """\
anybpf link pin 4 /sys/fs/bpf/drop_packet_link --backend linux
"""
OBJECTS_EXAMPLES = """\
anybpf link parser.o policy.o -o firewall.o
anybpf link objects parser.o policy.o -o firewall.o
"""
# What is not one of these behind `anybpf link` is an object to be linked.
SUBCOMMANDS = ("show", "detach", "pin", "objects")
DEFAULT_SUBCOMMAND = "objects"


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "link", summary)
    show = add_command(
        group, "show", "list links, or say all about one", run_show, examples=SHOW_EXAMPLES
    )
    show.add_argument("link", metavar="LINK", nargs="?", help=LINK_HELP)
    detach = add_command(
        group, "detach", "take a program away from where it is attached", run_detach,
        examples=DETACH_EXAMPLES,
    )  # fmt: skip
    detach.add_argument("link", metavar="LINK", help=LINK_HELP)
    pin = add_command(group, "pin", "give a link a path", run_pin, examples=PIN_EXAMPLES)
    pin.add_argument("link", metavar="LINK", help=LINK_HELP)
    pin.add_argument("path", metavar="PATH")
    for parser in (show, detach, pin):
        add_backend_option(parser)
    objects = add_command(
        group,
        "objects",
        "make one object of several",
        run_objects,
        examples=OBJECTS_EXAMPLES,
        description=(
            "Make one BPF object of several: symbols resolved across files, maps and sections "
            "merged, type and line information rebased and deduplicated. The word 'objects' may "
            "be left away."
        ),
    )
    objects.prog = "anybpf link"
    objects.add_argument("files", metavar="FILE.o", nargs="+", help="the objects, in this order")
    objects.add_argument("-o", dest="output", metavar="FILE.o", required=True, help="the result")


def run_show(args: argparse.Namespace) -> int:
    from anybpf.cli import live
    from anybpf.cli.commands.prog import nothing
    from anybpf.cli.selection import find, pins_of

    with opened(args) as backend:
        pins = pins_of(backend, "link")
        if args.link:
            with find(backend, "link", args.link) as link:
                infos = [link.info()]
        else:
            infos = list(backend.infos("link"))
        if args.json:
            links = [live.link_as_json(one, pins.get(one.id, ())) for one in infos]
            print_json(document(links=links))
        elif args.link:
            names = {one.id: one.name for one in backend.infos("program")}
            program = names.get(infos[0].prog_id, "")
            print_lines(live.link_lines(infos[0], pins.get(infos[0].id, ()), program))
        elif infos:
            rows = [live.link_row(one, pins.get(one.id, ())) for one in infos]
            print_table(live.LINK_HEADINGS, rows, right="id program")
        else:
            nothing(args, "links")
    return DONE


def run_detach(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find

    with opened(args) as backend, find(backend, "link", args.link) as link:
        link.detach()
        if args.json:
            print_json(document(id=link.id, state=link.state))
        else:
            print(f"link {link.id} is detached")
    return DONE


def run_pin(args: argparse.Namespace) -> int:
    from anybpf.cli.commands.prog import pin_object

    return pin_object(args, "link", args.link)


def run_objects(args: argparse.Namespace) -> int:
    from anybpf.objects.linker import link

    image = link(args.files)
    write_whole(Path(args.output), image)
    if args.json:
        print_json({"objects": args.files, "object": args.output, "bytes": len(image)})
    return DONE
