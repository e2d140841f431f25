"""The back end that a command works on: chosen by option or environment, closed at its end.

All commands that touch loaded objects come here, whatever their grammar. What a back end is, is the
business of ``anybpf.backends``; how its objects are named on a command line, that of ``selection``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.backends.model import Backend

NAMES = ("embedded", "service", "linux")
EMBEDDED = "embedded"
VARIABLE = "ANYBPF_BACKEND"

# What lasts only as long as the command, for those who expect more of it.
SHORT_LIVED = (
    "with the embedded back end, objects live as long as the command that loads them; "
    "'--backend service' keeps them in the service, '--backend linux' in the kernel"
)

_lent: list[Backend] = []


def add_backend_option(parser: argparse.ArgumentParser, *, platform: bool = True) -> None:
    """``--backend``, and ``--platform`` where the command can work on more than one."""
    parser.add_argument(
        "--backend",
        choices=NAMES,
        default="",
        help=f"where the objects are (default: ${VARIABLE}, else embedded)",
    )
    if platform:
        parser.add_argument(
            "--platform",
            default="",
            help="whose rules hold, where the back end leaves a choice (default: linux)",
        )


@contextmanager
def lend(backend: Backend) -> Iterator[Backend]:
    """Commands inside the block work on this back end, and leave it open: for tests and for
    programs that run commands on a runtime of their own."""
    _lent.append(backend)
    try:
        yield backend
    finally:
        _lent.pop()


def chosen(args: argparse.Namespace) -> str:
    """The name of the back end that was asked for."""
    name = getattr(args, "backend", "") or os.environ.get(VARIABLE, "") or EMBEDDED
    if name not in NAMES:
        raise InputError(f"{VARIABLE} is {name!r}; back ends are {', '.join(NAMES)}")
    return name


@contextmanager
def opened(args: argparse.Namespace, **options: Any) -> Iterator[Backend]:
    """The back end that was asked for, open inside the block."""
    if _lent:
        yield _lent[-1]
        return
    from anybpf.backends import backend

    platform = getattr(args, "platform", "")
    if platform:
        options["platform"] = platform
    made = backend(chosen(args), **options)
    try:
        yield made
    finally:
        made.close()


def is_lasting(args: argparse.Namespace) -> bool:
    """Whether objects outlive the command."""
    return bool(_lent) or chosen(args) != EMBEDDED
