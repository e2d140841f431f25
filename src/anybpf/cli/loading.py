"""From the words of a command line to a loaded collection: files, variables, maps to be used.

Shared by all commands that load. What loading is, is the business of the back end.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from anybpf.cli.files import Input
from anybpf.cli.selection import find
from anybpf.cli.words import encode
from anybpf.errors import InputError, NotFound
from anybpf.platforms.table import near

if TYPE_CHECKING:
    from anybpf.backends.model import Backend, CollectionHandle
    from anybpf.objects import CollectionSpec


@contextmanager
def loaded(
    backend: Backend, args: argparse.Namespace, file: str, names: list[str] | None = None
) -> Iterator[CollectionHandle]:
    """The collection that a file becomes, open inside the block."""
    options: dict[str, Any] = {}
    if names:
        options["programs"] = names
    if args.pin_maps:
        options["pin_root"] = args.pin_maps
    if args.engine:
        options["engine"] = args.engine
    with ExitStack() as held:
        given = {}
        for word in args.use:
            name, map_word = _divided(word, "--map NAME=MAP")
            given[name] = held.enter_context(find(backend, "map", map_word))
        if given:
            options["maps"] = given
        yield held.enter_context(backend.load(_source(backend, args, file, names), **options))


def _source(backend: Backend, args: argparse.Namespace, file: str, names: list[str] | None) -> Any:
    from anybpf.engines.image.reading import is_library
    from anybpf.objects import load_spec

    data = Input(file)
    if is_library(data.getvalue()):
        if args.set:
            raise InputError(f"{data.name}: what variables are is settled in a native image")
        return file
    spec = load_spec(data, platform=backend.platform.name)
    for name in names or ():
        _check(spec, name)
    for word in args.set:
        name, value = _divided(word, "--set VARIABLE=VALUE")
        _known("variable", name, spec.variables)
        spec.set(name, _variable_bytes(spec, name, value))
    return spec


def _check(spec: CollectionSpec, name: str) -> None:
    if name not in spec.programs:
        _known("program", name, spec.programs)


def _known(what: str, name: str, there: Any) -> str:
    if name not in there:
        names = list(there)
        hint = near(name, names) or f"; there are: {', '.join(names) or 'none'}"
        raise NotFound(f"no {what} is named {name!r}{hint}")
    return name


def _variable_bytes(spec: CollectionSpec, name: str, word: str) -> bytes:
    from anybpf.btf import Var
    from anybpf.maps.typed import codec_for

    variable = spec.variables[name]
    type_id = variable.type_id
    if spec.btf is not None and type_id:
        entry = spec.btf.type(type_id)
        type_id = int(entry.type_id) if isinstance(entry, Var) else type_id
    codec = codec_for(spec.btf, type_id, variable.size)
    return encode(word, codec, f"variable {name}")


def _divided(word: str, form: str) -> tuple[str, str]:
    name, sign, value = word.partition("=")
    if not sign or not name:
        raise InputError(f"{word!r} is not of the form {form}")
    return name, value


def only_program(collection: CollectionHandle, name: str, file: str) -> Any:
    """The program that is meant: the one named, or the only one."""
    if name or len(collection.programs) == 1:
        return collection.program(name)
    names = ", ".join(collection.programs)
    if not names:
        raise NotFound(f"{file}: no programs")
    raise InputError(f"{file}: {len(collection.programs)} programs: say which: {names}")


def packet_bytes(word: str) -> bytes:
    """What ``--data`` says: the contents of a file, or bytes in hexadecimal."""
    from pathlib import Path

    from anybpf.cli.words import hex_bytes

    if word.startswith("hex:"):
        return hex_bytes(word[4:], "--data")
    if word == "-" or Path(word).is_file():
        return Input(word).getvalue()
    try:
        return hex_bytes(word, "--data")
    except InputError:
        raise InputError(f"--data {word}: no file has that name, and it is no hex:DIGITS") from None


def context_values(words: list[str]) -> Any:
    """What ``--ctx`` says: values by name, or all of it as bytes; None without any."""
    from json import loads

    from anybpf.cli.words import hex_bytes, integer, split

    if not words:
        return None
    if len(words) == 1 and words[0].startswith("hex:"):
        return hex_bytes(words[0][4:], "--ctx")
    found: dict[str, Any] = {}
    for part in [part for word in words for part in split(word)]:
        name, value = _divided(part, "--ctx FIELD=VALUE")
        number = integer(value)
        if number is not None:
            found[name] = number
        elif value.startswith("hex:"):
            found[name] = hex_bytes(value[4:], f"--ctx {name}")
        elif value.startswith("["):
            try:
                found[name] = loads(value)
            except ValueError:
                raise InputError(f"--ctx {part}: {value} is no list of numbers") from None
        else:
            raise InputError(f"--ctx {part}: give an integer, hex:DIGITS, or a list [1,2]")
    return found
