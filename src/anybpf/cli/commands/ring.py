"""`anybpf ring`: records of ring buffers and perf event arrays, as programs put them out.

A record is shown as the C structure that it is, where somebody says which; else as bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.backend import add_backend_option, opened
from anybpf.cli.options import count_of, seconds_of
from anybpf.cli.output import document, paint, print_json_line
from anybpf.errors import AnyBPFError, InputError, NotFound, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import Backend, MapHandle
    from anybpf.maps.codecs import Codec

EXAMPLES = """\
anybpf ring events --backend linux
anybpf ring events --type event --backend service
anybpf ring /sys/fs/bpf/events --type event --btf trace.o --count 10 --json --backend linux
"""
KINDS = ("ringbuf", "perf_event_array")


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "ring",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Follow the records of a ring buffer or a perf event array; what is read is taken. "
            "With --type, each is shown as that structure. With --json, one object for each "
            "record, on a line of its own. A map has one reader at a time."
        ),
    )
    parser.add_argument("map", metavar="MAP", help="the map: its number, a pin, or its name")
    parser.add_argument("--type", metavar="NAME", default="", help="the C type of records")
    parser.add_argument(
        "--btf", metavar="FILE", default="", help="where that type is found (default: the map's)"
    )
    parser.add_argument("--count", metavar="N", type=count_of, help="end after so many records")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds_of, help="end when none came for so long"
    )
    add_backend_option(parser)


def run(args: argparse.Namespace) -> int:
    from anybpf.cli.selection import find

    with opened(args) as backend, find(backend, "map", args.map) as one:
        name = one.spec.name
        if one.spec.type not in KINDS:
            raise InputError(
                f"map {name} is of type {one.spec.type}: records are in those of type "
                f"{', '.join(KINDS)}"
            )
        codec = _codec(backend, one, args) if args.type else None
        open_reader = getattr(one, "reader", None)
        if open_reader is None:
            raise NotSupported("reading rings", where=f"the {backend.name} back end")
        number = 0
        with open_reader(timeout=args.timeout) as reader:
            for record in _records(reader, args.count):
                cpu, data, lost = record if isinstance(record, tuple) else (None, record, 0)
                _tell(args, number, bytes(data), cpu, lost, codec)
                number += 1
    return DONE


def _records(reader: Any, count: int | None) -> Iterator[Any]:
    if count is None:
        yield from reader
        return
    for _ in range(count):
        try:
            yield next(reader)
        except StopIteration:
            return


def _codec(backend: Backend, one: MapHandle, args: argparse.Namespace) -> Codec:
    """How a record of the named type is read."""
    from anybpf.maps.codecs import codec_of

    for where, btf in _types(backend, one, args):
        found = btf.find(args.type.removeprefix("struct ").removeprefix("union "))
        if found is not None:
            return codec_of(btf, found.id)
        if args.btf:
            raise NotFound(f"{where} has no type {args.type!r}")
    raise NotFound(
        f"neither map {one.spec.name} nor a program that uses it knows a type {args.type!r}: name "
        "an object that does with --btf"
    )


def _types(backend: Backend, one: MapHandle, args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Where types are to be looked for: in the file that was named, the map's, its programs'."""
    if args.btf:
        from anybpf.objects import load_spec

        btf = load_spec(args.btf, platform=backend.platform.name).btf
        if btf is None:
            raise InputError(f"{args.btf} has no type information")
        yield args.btf, btf
        return
    if one.btf is not None:
        yield one.spec.name, one.btf
    for info in backend.infos("program"):
        if one.id in info.map_ids and info.btf_id:
            try:
                types = backend.types(info.btf_id)
            except AnyBPFError:
                continue  # gone meanwhile, or not for this user
            with types:
                yield info.name, types.btf


def _tell(
    args: argparse.Namespace,
    number: int,
    data: bytes,
    cpu: int | None,
    lost: int,
    codec: Codec | None,
) -> None:
    """One record. What is longer than its type may be padding; what is shorter is no such thing."""
    from anybpf.cli.words import as_json, shown

    known = codec is not None and len(data) >= codec.size
    value = codec.decode(data[: codec.size]) if codec is not None and known else None
    if args.json:
        print_json_line(
            document(
                number=number,
                cpu=cpu,
                lost=lost,
                data=data.hex(),
                record=as_json(value) if known else None,
            )
        )
        return
    where = "" if cpu is None else paint(f"[{cpu:03}] ", "dim")
    gone = paint(f"({lost} lost before) ", "red") if lost else ""
    print(f"{where}{gone}{shown(value if known else data)}", flush=True)
