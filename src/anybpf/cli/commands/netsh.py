"""`anybpf netsh`: the grammar and layouts of ``netsh ebpf``.

Chooses how lines come (one command, a script, a person) and where objects are; all else is in
`anybpf.cli.netsh`.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from anybpf.cli.app import Parser, add_command
from anybpf.cli.backend import (
    SHORT_LIVED,
    VARIABLE,
    add_backend_option,
    is_lasting,
    opened,
)
from anybpf.cli.files import read_text
from anybpf.cli.output import document, print_error, print_json
from anybpf.errors import InputError, NotSupported

if TYPE_CHECKING:
    from anybpf.backends.model import Backend
    from anybpf.cli.netsh.session import Opener

EXAMPLES = """\
anybpf netsh ebpf show sections droppacket.o
anybpf netsh ebpf show verification droppacket.o xdp level=informational
anybpf netsh --backend service ebpf add program droppacket.o xdp
anybpf netsh -f demo.netsh
anybpf netsh
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "netsh",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Commands of 'netsh ebpf' as eBPF for Windows has them, on the Windows platform: words "
            "and argument names may be cut as long as they are unambiguous, and upper case is as "
            "good as lower case. Without words, a session with a prompt; '?' lists what there is. "
            "Objects that a command loads live as long as its session, or its back end."
        ),
    )
    parser.add_argument(
        "-f", dest="script", metavar="FILE", help="carry out the lines of a file; '-' is stdin"
    )
    parser.add_argument(
        "--explain", action="store_true", help="say more about errors than netsh does"
    )
    add_backend_option(parser, platform=False)
    parser.add_argument(
        "words", metavar="WORD", nargs=argparse.REMAINDER, help="a command, such as: ebpf show maps"
    )


def run(args: argparse.Namespace) -> int:
    from anybpf.cli.netsh.session import Session
    from anybpf.cli.netsh.shell import Shell, interact, run_script

    lines = read_text(args.script).splitlines() if args.script else []
    out, err = (io.StringIO(), io.StringIO()) if args.json else (None, None)
    with ExitStack() as stack:
        session = stack.enter_context(
            Session(_opener(args, stack), out=out, err=err, explain=args.explain, typed=args.json)
        )
        shell = Shell(session)
        if args.script:
            code = run_script(shell, lines)
        elif args.words:
            code = shell.words(args.words)
        else:
            code = interact(shell)
        if args.words and args.script:
            code = max(code, shell.words(args.words))
        if args.words and session.forgets and not is_lasting(args):
            print_error(f"{args.parser.prog}: {SHORT_LIVED}")
    if out is not None and err is not None:
        print_json(
            document(code=code, output=out.getvalue(), errors=err.getvalue(), **session.told)
        )
    sys.stdout.flush()
    return code


def _opener(args: argparse.Namespace, stack: ExitStack) -> Opener:
    """How the session gets its back end when it first needs one; it is closed after the session."""
    from anybpf.cli.netsh.session import PLATFORM

    # The session is left before what it opened, although that is opened later.
    backends = stack.enter_context(ExitStack())

    def opener() -> Backend:
        from anybpf.backends.model import EMBEDDED
        from anybpf.runtime.places import add_places
        from anybpf.runtime.runtime import Runtime

        service = _running_service(args)
        if service is not None:
            return backends.enter_context(service)
        backend = backends.enter_context(opened(args, platform=PLATFORM))
        if backend.name == EMBEDDED and isinstance(backend, Runtime):
            add_places(backend)
        return backend

    return opener


def _running_service(args: argparse.Namespace) -> Backend | None:
    """For a single command, and if no back end is named: the service, if it runs.

    What a command loads would not outlive it otherwise.
    """
    if (
        args.script
        or not args.words
        or is_lasting(args)
        or args.backend
        or os.environ.get(VARIABLE)
    ):
        return None
    from anybpf.backends import backend
    from anybpf.cli.netsh.session import PLATFORM

    try:
        return backend("service", platform=PLATFORM, start=False)
    except (InputError, NotSupported):
        return None
