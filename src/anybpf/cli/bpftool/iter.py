"""`bpftool iter`: iterator programs as files that can be read."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.session import (
    EEXIST,
    Failure,
    Session,
    UsageWanted,
    Words,
    choose,
    errno_of,
    usage,
)
from anybpf.errors import AnyBPFError, NotSupported

USAGE: Final = """\
Usage: anybpf bpftool iter pin OBJ PATH
"""


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def pin(session: Session, words: Words) -> int:
    if len(words) < 2:
        raise UsageWanted(message=f"'pin' needs at least 2 arguments, {len(words)} found")
    file, path = words.take(), words.take()
    with ExitStack() as held:
        if len(words):
            if not words.take_if("map"):
                raise Failure(f"expected no more arguments, 'map', got: '{words.peek()}'?")
            words.need(2)
            references.one_map(session, words, held)
            raise NotSupported("iterators over the elements of one map", where="this command")
        try:
            loaded = held.enter_context(session.backend.load(file))
        except NotSupported:
            raise
        except (AnyBPFError, OSError) as error:
            session.note(f"anybpf: {error}")
            raise Failure(f"can't load {file}", errno_of(error)) from None
        program = next(iter(loaded.programs.values()), None)
        if program is None:
            raise Failure(f"can't find bpf program in object file {file}")
        try:
            link = held.enter_context(program.attach())
        except (AnyBPFError, OSError) as error:
            session.note(f"anybpf: {error}")
            raise Failure(
                f"attach_iter failed for program {program.name}", errno_of(error)
            ) from None
        try:
            link.pin(path)
        except (AnyBPFError, OSError) as error:
            taken = any(one == path for one, _, _ in session.backend.pins())
            raise Failure(
                f"pin_iter failed for program {program.name} to path {path}",
                EEXIST if taken else errno_of(error),
            ) from None
    return 0


_TABLE: Final = (("pin", pin), ("help", usage))
