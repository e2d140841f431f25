"""`anybpf prog run` and `anybpf prog profile`: what a program does with data, and what it costs.

The runs are the back end's; here are their arguments, and their results in words.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE
from anybpf.cli.backend import opened
from anybpf.cli.files import write_whole
from anybpf.cli.live import pairs
from anybpf.cli.loading import (
    context_values,
    loaded,
    only_program,
    packet_bytes,
)
from anybpf.cli.output import document, paint, plural, print_json, print_lines, print_table
from anybpf.cli.selection import find, is_file
from anybpf.cli.words import as_json, shown
from anybpf.errors import CompileError, InputError, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import Backend, ProgramHandle

_LINE = 16  # bytes in a line of a hex dump


@contextmanager
def meant(args: argparse.Namespace, backend: Backend) -> Iterator[tuple[ProgramHandle, Any]]:
    """The program that is meant, and the collection that was loaded for it, if one was."""
    if is_file(args.program):
        names = [args.name] if args.name else None
        with loaded(backend, args, args.program, names) as collection:
            yield only_program(collection, args.name, args.program), collection
        return
    if args.name:
        raise InputError(f"{args.name} is too much: {args.program} is no file with programs in it")
    with find(backend, "program", args.program) as program:
        yield program, None


def run(args: argparse.Namespace) -> int:
    data = packet_bytes(args.data) if args.data else b""
    ctx = context_values(args.ctx)
    with opened(args) as backend, meant(args, backend) as (program, collection):
        result = program.test_run(data, ctx, repeat=args.repeat, cpu=args.cpu)
        if args.data_out:
            write_whole(Path(args.data_out), result.data_out)
        printed = _printed(backend, program.id)
        entries = _entries(backend, program, collection) if args.maps else []
        if args.json:
            print_json(_as_json(args, program, result, printed, entries))
        else:
            print_lines(_lines(args, program, result, data, printed))
            for name, rows in entries:
                print_lines(["", f"map {name}: {plural(len(rows), 'entry', 'entries')}"])
                print_lines([f"  {shown(key)}: {shown(value)}" for key, value in rows])
    return DONE


def _printed(backend: Backend, number: int) -> list[str]:
    """What the program printed, where the back end keeps it."""
    log = getattr(backend, "log", None)
    if backend.name != "embedded" or log is None:
        return []
    return [line.text for line in log.lines() if line.program == number]


def _entries(backend: Backend, program: ProgramHandle, collection: Any) -> list[tuple[str, Any]]:
    from anybpf.cli.entries import entries_of

    found: list[tuple[str, Any]] = []
    for number in program.info().map_ids:
        with backend.map(number) as one:
            found.append((one.spec.name, list(entries_of(one))))
    return found


def _named(result: Any) -> str:
    number = result.retval
    return f"{result.retval_name} ({number})" if result.retval_name else str(number)


def _lines(
    args: argparse.Namespace, program: ProgramHandle, result: Any, data: bytes, printed: list[str]
) -> list[str]:
    title = f"{program.name}: {paint(_named(result), 'bold')}"
    average = f" on average of {result.repeat} runs" if result.repeat > 1 else ""
    redirect = getattr(result, "redirect", None)
    instructions = getattr(result, "instructions", 0)
    changed = "unchanged" if result.data_out == data else "changed"
    rows = [
        ("duration", f"{result.duration} ns{average}"),
        ("instructions", str(instructions // result.repeat) if instructions else ""),
        ("data", f"{len(result.data_out)} bytes, {changed}" if result.data_out or data else ""),
        ("redirect", f"map {redirect[1]}, key {redirect[2]}" if redirect else ""),
    ]
    out = [title, *pairs(rows)]
    if changed == "changed":
        out += hex_dump(result.data_out, data)
    if args.context:
        fields = getattr(result, "context", None)
        if isinstance(fields, dict):
            out += ["context:", *pairs((name, shown(value)) for name, value in fields.items())]
        else:
            out += ["context:", *hex_dump(result.ctx_out, result.ctx_out)]
    out += [f"printed: {line}" for line in printed]
    return out


def hex_dump(data: bytes, before: bytes) -> list[str]:
    """Bytes, those that are new or others in yellow on a terminal."""
    out = []
    for at in range(0, len(data), _LINE):
        cells = [
            f"{byte:02x}" if before[i : i + 1] == bytes([byte]) else paint(f"{byte:02x}", "yellow")
            for i, byte in enumerate(data[at : at + _LINE], at)
        ]
        out.append(f"    {at:04x}  {' '.join(cells)}")
    return out


def _as_json(
    args: argparse.Namespace,
    program: ProgramHandle,
    result: Any,
    printed: list[str],
    entries: list[tuple[str, Any]],
) -> object:
    fields = getattr(result, "context", None)
    contents: dict[str, object] = {
        "program": program.name,
        "id": program.id,
        "retval": result.retval,
        "retval_name": result.retval_name,
        "duration": result.duration,
        "repeat": result.repeat,
        "data_out": result.data_out.hex(),
        "ctx_out": result.ctx_out.hex(),
        "context": as_json(fields) if isinstance(fields, dict) else None,
        "printed": printed,
    }
    if args.maps:
        contents["maps"] = {
            name: [{"key": as_json(key), "value": as_json(value)} for key, value in rows]
            for name, rows in entries
        }
    return document(**contents)


# What it costs.


def profile(args: argparse.Namespace) -> int:
    if is_file(args.program):
        return _profile_file(args)
    with opened(args) as backend, meant(args, backend) as (program, _):
        with backend.enable_statistics():
            before = program.info()
            start = time.monotonic()
            time.sleep(args.seconds)
            spent = time.monotonic() - start
            after = program.info()
        runs = after.run_cnt - before.run_cnt
        busy = after.run_time_ns - before.run_time_ns
        each = busy // runs if runs else 0
        if args.json:
            print_json(
                document(
                    id=program.id,
                    program=program.name,
                    seconds=round(spent, 3),
                    run_cnt=runs,
                    run_time_ns=busy,
                    average_ns=each,
                )
            )
        else:
            rate = f"{runs / spent:.1f} a second" if runs else ""
            print_lines(
                [
                    f"{program.name}: {plural(runs, 'run')} in {spent:.1f} s",
                    *pairs(
                        [
                            ("rate", rate),
                            ("each", f"{each} ns" if runs else ""),
                            ("load", f"{busy / spent / 1e7:.2f} % of a processor" if runs else ""),
                        ]
                    ),
                ]
            )
    return DONE


def _profile_file(args: argparse.Namespace) -> int:
    """The same test run with each engine that this back end has."""
    data = packet_bytes(args.data) if args.data else b""
    ctx = context_values(args.ctx)
    rows: list[dict[str, Any]] = []
    name = args.name
    with opened(args) as backend:
        wished = [args.engine] if args.engine else ["interpret", "jit"]
        for engine in wished if backend.name != "linux" else [""]:
            args.engine = engine
            try:
                with meant(args, backend) as (program, _):
                    name = program.name
                    result = program.test_run(data, ctx, repeat=args.repeat, cpu=args.cpu)
                    rows.append(
                        {
                            "engine": engine or program.info().mode,
                            "repeat": result.repeat,
                            "average_ns": result.duration,
                            "retval": result.retval,
                            "retval_name": result.retval_name,
                            "problem": "",
                        }
                    )
            except (NotSupported, CompileError) as error:
                if len(wished) == 1:
                    raise
                rows.append({"engine": engine, "repeat": 0, "problem": str(error)})
    if args.json:
        print_json(document(program=name, runs=rows))
        return DONE
    print(f"{name}: {args.repeat} runs with each engine")
    cells = [
        (
            row["engine"],
            row.get("average_ns", "-"),
            row["problem"] or row["retval_name"] or row["retval"],
        )
        for row in rows
    ]
    print_table(("engine", "ns/run", "result"), cells, right="ns/run")
    return DONE
