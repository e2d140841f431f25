"""`anybpf map`: maps of any back end, made, looked into and changed.

How keys and values are written is the business of `anybpf.cli.words`, which entries a map has that
of `anybpf.cli.entries`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE, NO, Parser, add_command, add_group
from anybpf.cli.backend import SHORT_LIVED, add_backend_option, is_lasting, opened
from anybpf.cli.options import NOTATION, add_watch_options
from anybpf.cli.output import document, note, plural, print_json, print_lines, print_table
from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.backends.model import Backend, MapHandle

MAP_HELP = "the map: its number, the path of a pin, or its name"
KEY_HELP = "an integer, text, an address, hex:DIGITS, field=value,… or JSON"

CREATE_EXAMPLES = """\
anybpf map create hits hash --key 4 --value 8 --entries 1024 --pin /sys/fs/bpf/hits --backend linux
anybpf map create jobs queue --value 4 --entries 100 --pin /jobs --backend service
"""
SHOW_EXAMPLES = """\
anybpf map show --backend linux
anybpf map show dropped_packets --backend service --json
"""
DUMP_EXAMPLES = """\
anybpf map dump dropped_packets --backend linux
anybpf map dump /flows --json --backend service
"""
GET_EXAMPLES = """\
anybpf map get dropped_packets 0 --backend linux
anybpf map get flows source=10.0.0.1,port=53 --backend service
"""
SET_EXAMPLES = """\
anybpf map set limits 0 100 --backend linux
anybpf map set flows source=10.0.0.1,port=53 packets=0 --new --backend service
anybpf map set jump_table 2 drop_packet --backend linux
"""
DELETE_EXAMPLES = """\
anybpf map delete flows source=10.0.0.1,port=53 --backend service
anybpf map delete flows --all --backend service
"""
POP_EXAMPLES = """\
anybpf map pop jobs --backend service
"""
PUSH_EXAMPLES = """\
anybpf map push jobs 17 --backend service
"""
PIN_EXAMPLES = """\
anybpf map pin 17 /sys/fs/bpf/hits --backend linux
"""
WATCH_EXAMPLES = """\
anybpf map watch dropped_packets --backend linux
anybpf map watch flows --interval 0.2 --count 10 --json --backend service
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    group = add_group(subparsers, "map", summary)
    create = add_command(group, "create", "make a map", run_create, examples=CREATE_EXAMPLES)
    create.add_argument("name", metavar="NAME")
    create.add_argument("type", metavar="TYPE", help="such as hash; see 'anybpf platform show'")
    create.add_argument("--key", metavar="BYTES", type=int, default=0, help="the size of keys")
    create.add_argument("--value", metavar="BYTES", type=int, default=0, help="the size of values")
    create.add_argument("--entries", metavar="N", type=int, default=0, help="how many at most")
    create.add_argument("--flags", metavar="N", type=lambda word: int(word, 0), default=0)
    create.add_argument("--pin", metavar="PATH", default="", help="where it is to be found")
    show = add_command(
        group, "show", "list maps, or say all about one", run_show, examples=SHOW_EXAMPLES
    )
    show.add_argument("map", metavar="MAP", nargs="?", help=MAP_HELP)
    dump = add_command(group, "dump", "print all entries", run_dump, examples=DUMP_EXAMPLES)
    get = add_command(
        group, "get", "print the value of a key", run_get, examples=GET_EXAMPLES,
        description=f"Print the value of a key; exit code 1 if there is none.\n\n{NOTATION}",
    )  # fmt: skip
    change = add_command(
        group, "set", "put an entry in", run_set, examples=SET_EXAMPLES,
        description=(
            f"Put an entry in.\n\n{NOTATION}\nOf a map with values per processor, one value is "
            "for all of them, a JSON list has one for each. In maps that hold programs or maps, "
            "the value is the number, pin or name of one."
        ),
    )  # fmt: skip
    delete = add_command(
        group, "delete", "take an entry out", run_delete, examples=DELETE_EXAMPLES,
        description=f"Take an entry out; exit code 1 if there is none.\n\n{NOTATION}",
    )  # fmt: skip
    pop = add_command(
        group, "pop", "take the next value of a queue or stack out", run_pop,
        examples=POP_EXAMPLES,
        description="Take the next value of a queue or stack out; exit code 1 if it is empty.",
    )  # fmt: skip
    push = add_command(
        group, "push", "put a value into a queue, stack or bloom filter", run_push,
        examples=PUSH_EXAMPLES,
    )  # fmt: skip
    pin = add_command(group, "pin", "give a map a path", run_pin, examples=PIN_EXAMPLES)
    watch = add_command(
        group, "watch", "print entries as they come, change and go", run_watch,
        examples=WATCH_EXAMPLES,
    )  # fmt: skip
    for parser in (dump, get, change, delete, pop, push, pin, watch):
        parser.add_argument("map", metavar="MAP", help=MAP_HELP)
    for parser in (get, change):
        parser.add_argument("key", metavar="KEY", help=KEY_HELP)
    delete.add_argument("key", metavar="KEY", nargs="?", help=KEY_HELP)
    delete.add_argument("--all", action="store_true", help="take all entries out")
    for parser in (change, push):
        parser.add_argument("value", metavar="VALUE", help=KEY_HELP)
    only = change.add_mutually_exclusive_group()
    only.add_argument("--new", action="store_true", help="only if the key is not there")
    only.add_argument("--existing", action="store_true", help="only if the key is there")
    push.add_argument("--force", action="store_true", help="a full queue loses its oldest value")
    pin.add_argument("path", metavar="PATH")
    add_watch_options(watch)
    for parser in (create, show, dump, get, change, delete, pop, push, pin, watch):
        add_backend_option(parser)


def run_create(args: argparse.Namespace) -> int:
    from anybpf.cli import live

    if args.pin and not is_lasting(args):
        raise InputError(f"--pin {args.pin}: {SHORT_LIVED}")
    with opened(args) as backend, backend.create_map(_spec(args, backend)) as made:
        pins = [made.pin(args.pin)] if args.pin else []
        if args.json:
            print_json(document(map=live.map_as_json(made.info(), pins)))
        else:
            pinned = f", pinned at {pins[0]}" if pins else ""
            print(f"map {made.id}, {args.name}{pinned}")
    if not args.pin:
        why = "--pin PATH keeps it" if is_lasting(args) else SHORT_LIVED
        note(f"it goes with this command: {why}")
    return DONE


def _spec(args: argparse.Namespace, backend: Backend) -> Any:
    from anybpf.objects.specs import MapSpec

    backend.platform.map_type(args.type)
    spec = MapSpec(args.name, args.type)
    spec.key_size, spec.value_size = args.key, args.value
    spec.max_entries, spec.flags = args.entries, args.flags
    return spec


def run_show(args: argparse.Namespace) -> int:
    from anybpf.cli import live
    from anybpf.cli.commands.prog import nothing
    from anybpf.cli.selection import find, pins_of

    with opened(args) as backend:
        pins = pins_of(backend, "map")
        if args.map:
            with find(backend, "map", args.map) as one:
                info = one.info()
                paths = pins.get(info.id, [])
                if args.json:
                    print_json(document(maps=[live.map_as_json(info, paths)]))
                else:
                    print_lines(live.map_lines(info, paths, one.key.name, one.value.name))
            return DONE
        infos = list(backend.infos("map"))
        if args.json:
            print_json(
                document(maps=[live.map_as_json(one, pins.get(one.id, ())) for one in infos])
            )
        elif infos:
            rows = [live.map_row(one, pins.get(one.id, ())) for one in infos]
            print_table(live.MAP_HEADINGS, rows, right="id key value entries memory")
        else:
            nothing(args, "maps")
    return DONE


def run_dump(args: argparse.Namespace) -> int:
    from anybpf.cli.entries import check_entries, entries_of
    from anybpf.cli.selection import find
    from anybpf.cli.words import as_json, shown

    with opened(args) as backend, find(backend, "map", args.map) as one:
        check_entries(one)
        if args.json:
            rows = [{"key": as_json(k), "value": as_json(v)} for k, v in entries_of(one)]
            print_json(document(id=one.id, map=one.spec.name, entries=rows))
            return DONE
        count = 0
        for key, value in entries_of(one):
            print(f"{shown(key)}: {shown(value)}")
            count += 1
        if not count:
            print("no entries")
    return DONE


def run_get(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find
    from anybpf.cli.words import as_json, shown

    with opened(args) as backend, find(backend, "map", args.map) as one:
        if one.spec.type == "bloom_filter":
            return _ask_filter(args, one)
        key = _key(one, args.key)
        value = _value(one, key)
        if args.json:
            print_json(
                document(
                    id=one.id,
                    map=one.spec.name,
                    key=as_json(key),
                    found=value is not None,
                    value=as_json(value),
                )
            )
        elif value is None:
            print(f"map {one.spec.name} has no entry {shown(key)}")
        else:
            print(shown(value))
    return DONE if value is not None else NO


def _ask_filter(args: argparse.Namespace, one: MapHandle) -> int:
    from anybpf.cli.words import as_json

    value = _new(one, args.key)
    there = value in one
    if args.json:
        print_json(document(id=one.id, map=one.spec.name, value=as_json(value), found=there))
    else:
        print("probably in it" if there else "not in it")
    return DONE if there else NO


def _key(one: MapHandle, word: str) -> Any:
    from anybpf.cli.entries import check_entries
    from anybpf.cli.words import encode

    check_entries(one)
    return one.key.decode_key(encode(word, one.key, "key"))


def _new(one: MapHandle, word: str, what: str = "value") -> Any:
    from anybpf.cli.words import encode

    return one.value.decode(encode(word, one.value, what))


def _value(one: MapHandle, key: Any) -> Any:
    """The value of a key, or None; of a map that holds objects, the number of the one there."""
    from anybpf.cli.entries import holds

    if not holds(one):
        return one.get(key)
    found = one.get(key)
    if found is None or isinstance(found, int):
        return found
    with found:
        return int(found.id)


def run_set(args: argparse.Namespace) -> int:
    from anybpf.cli.entries import holds
    from anybpf.cli.selection import find
    from anybpf.cli.words import as_json
    from anybpf.maps import ANY, EXIST, NOEXIST

    flags = NOEXIST if args.new else EXIST if args.existing else ANY
    with opened(args) as backend, find(backend, "map", args.map) as one:
        key = _key(one, args.key)
        kind = holds(one)
        if kind:
            with find(backend, kind.removesuffix("s"), args.value) as held:
                one.update(key, held, flags)
            if kind == "programs" and not one.pins:
                note(
                    f"map {one.spec.name} has no pin: it is emptied when its last holder outside "
                    "lets go of it"
                )
        elif one.per_cpu:
            one.update(key, _for_processors(one, args.value), flags)
        else:
            one.update(key, _new(one, args.value), flags)
        if args.json:
            print_json(
                document(
                    id=one.id,
                    map=one.spec.name,
                    key=as_json(key),
                    value=as_json(_value(one, key)),
                )
            )
    return DONE


def _for_processors(one: MapHandle, word: str) -> list[Any]:
    """A value for each processor: one word for all, or a JSON list with a word for each."""
    from json import dumps, loads

    from anybpf.maps.codecs import Array

    if word.startswith("[") and not isinstance(one.value, Array):
        try:
            given = loads(word)
        except ValueError as error:
            raise InputError(f"value {word}: no JSON: {error}") from None
        if len(given) != one.cpus:
            raise InputError(
                f"map {one.spec.name} has values for {one.cpus} processors, "
                f"the list has {len(given)}"
            )
        return [
            _new(one, each if isinstance(each, str) else dumps(each), f"value {number}")
            for number, each in enumerate(given)
        ]
    return [_new(one, word) for _ in range(one.cpus)]


def run_delete(args: argparse.Namespace) -> int:
    from anybpf.cli.entries import check_entries, entries_of
    from anybpf.cli.selection import find
    from anybpf.cli.words import shown

    if args.all == (args.key is not None):
        raise InputError("say which entry is to go: a KEY, or --all")
    with opened(args) as backend, find(backend, "map", args.map) as one:
        check_entries(one)
        if args.all:
            entries = [entry for entry, _ in entries_of(one)]
            for entry in entries:
                one.delete(entry)
            count = len(entries)
        else:
            key = _key(one, args.key)
            count = _delete(one, key)
        if args.json:
            print_json(document(id=one.id, map=one.spec.name, deleted=count))
        elif args.all:
            print(f"took {plural(count, 'entry', 'entries')} out")
        elif not count:
            print(f"map {one.spec.name} has no entry {shown(key)}")
    return DONE if count or args.all else NO


def _delete(one: MapHandle, key: Any) -> int:
    from anybpf.errors import NoSuchKey

    try:
        one.delete(key)
    except NoSuchKey:
        return 0
    return 1


def _line_up(one: MapHandle, verb: str, kinds: tuple[str, ...]) -> None:
    if one.spec.type not in kinds:
        raise InputError(
            f"map {one.spec.name} is of type {one.spec.type}: only those of type "
            f"{', '.join(kinds)} can be {verb}"
        )


def run_pop(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find
    from anybpf.cli.words import as_json, shown

    with opened(args) as backend, find(backend, "map", args.map) as one:
        _line_up(one, "popped", ("queue", "stack"))
        value = one.pop(None, None)
        if args.json:
            print_json(
                document(
                    id=one.id, map=one.spec.name, found=value is not None, value=as_json(value)
                )
            )
        else:
            print(f"map {one.spec.name} is empty" if value is None else shown(value))
    return NO if value is None else DONE


def run_push(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find
    from anybpf.cli.words import as_json
    from anybpf.maps import ANY, EXIST

    with opened(args) as backend, find(backend, "map", args.map) as one:
        _line_up(one, "pushed to", ("queue", "stack", "bloom_filter"))
        value = _new(one, args.value)
        if one.spec.type == "bloom_filter":
            one.add(value)
        else:
            one.push(value, EXIST if args.force else ANY)
        if args.json:
            print_json(document(id=one.id, map=one.spec.name, value=as_json(value)))
    return DONE


def run_pin(args: argparse.Namespace) -> int:
    from anybpf.cli.commands.prog import pin_object

    return pin_object(args, "map", args.map)


def run_watch(args: argparse.Namespace) -> int:
    from anybpf.cli import watching

    return watching.run_watch(args)
