"""The engines behind the protocol of the public suite bpf_conformance: one program, one number.

    python -m anybpf.testing.conformance [MEMORY] [--mode interpret|jit|native] < PROGRAM

MEMORY is the input as hex bytes (r1 its address, r2 its length; without it both are 0), PROGRAM the
code as hex bytes on the first line of standard input. On standard output comes r0 in hex; what went
wrong on standard error, and exit status 1. The suite's programs are not verified: each access is
checked as they run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from anybpf import _core
from anybpf.engines.prepared import Prepared
from anybpf.errors import AnyBPFError, InputError, NotSupported
from anybpf.objects.specs import CollectionSpec, Function, ProgramSpec
from anybpf.platforms import get

MODES = ("interpret", "jit", "native")
NAME = "conformance"
# The suite's programs end or fail; one that does neither is stopped.
BUDGET = 1 << 32


class Unwind(Exception):
    """The suite's helper 5 with 0: the program ends at once, and its result is 0."""


def unwind(value: int) -> int:
    """Helper 5: what it is given, unless that is 0."""
    if value == 0:
        raise Unwind
    return value


# By number. What the suite does not ask for is not there.
HELPERS: tuple[int | Callable[[int], int], ...] = (-1, -1, -1, -1, -1, unwind)


def run(code: bytes, memory: bytes = b"", mode: str = "interpret") -> int:
    """r0 after the run of a program in this machine's byte order.

    >>> run(bytes.fromhex("b700000007000000 9500000000000000"))
    7
    """
    if mode not in MODES:
        raise InputError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    domain = _core.Domain(1)
    codes = [0] * len(_core.STATUSES)
    try:
        program = _core.Program(domain, 1, NAME, code, [], HELPERS, codes)
    except ValueError as error:
        raise InputError(str(error)) from error
    try:
        if mode != "interpret":
            compile_in_mode(program, code, mode)
        if memory:
            outcome = program.run(memory=bytearray(memory), budget=BUDGET)
        else:
            outcome = program.run(budget=BUDGET)
    except Unwind:
        return 0
    finally:
        program.close()
    stop = outcome[1]
    if stop is not None:
        raise InputError(describe(stop))
    return outcome[0]


class Bare(Prepared):
    """A program as it came, without a proof: nothing but this suite has such ones compiled."""

    __slots__ = ()

    def __init__(self, code: bytes) -> None:
        platform = get("linux")
        super().__init__(NAME, platform, platform.program_type("unspec"))
        self.code = code
        self.helpers = [f"helper_{number}" for number in range(len(HELPERS))]

    @property
    def verification(self) -> Any:
        """As much of one as an image tells: whether the program is loaded without being asked."""
        function = Function(NAME, "", 0, [])
        return SimpleNamespace(program=ProgramSpec(function, ""))


def compile_in_mode(program: _core.Program, code: bytes, mode: str) -> None:
    """Let the program run as machine code of which nothing was proved: compiled here and now, or
    from an image, as `anybpf compile` writes it."""
    prepared = Bare(code)
    if mode == "jit":
        from anybpf.engines import jit
        from anybpf.engines.lowering import source_of

        jit.attach(program, jit.compile_object(source_of(prepared)))
        return
    from anybpf.engines.image.binding import ImageCode, load_image
    from anybpf.engines.image.compiling import assemble, lower, triple_of

    triple = triple_of("")
    spec = CollectionSpec(NAME, "", prepared.platform.name)
    image = load_image(assemble(spec, [lower(prepared, triple)], triple))
    ImageCode(image, {NAME: program})


def describe(stop: _core.Stop) -> str:
    """Why a run ended before its end, in a sentence."""
    end, _, slot, address, size, write, _ = stop
    name = _core.ENDS[end]
    if name in ("OUT_OF_BOUNDS", "READ_ONLY", "MISALIGNED"):
        what = "write" if write else "read"
        reason = {
            "OUT_OF_BOUNDS": "outside what the program may touch",
            "READ_ONLY": "which is read only",
            "MISALIGNED": "which is no multiple of its size",
        }[name]
        return f"slot {slot}: a {what} of {size} bytes at {address:#x}, {reason}"
    return f"slot {slot}: the program was stopped: {name.lower().replace('_', ' ')}"


def parse(arguments: Sequence[str]) -> tuple[bytes, str]:
    """The input memory and the mode that the command line asks for."""
    memory, mode = b"", "interpret"
    words = list(arguments)
    if words and not words[0].startswith("--"):
        try:
            memory = bytes.fromhex(words.pop(0))
        except ValueError as error:
            raise InputError(f"the memory is not hex bytes: {error}") from error
    while words:
        option = words.pop(0)
        name, _, value = option.partition("=")
        if name == "--mode":
            if not value and not words:
                raise InputError(f"--mode needs one of: {', '.join(MODES)}")
            mode = value or words.pop(0)
        elif option == "--elf":
            raise NotSupported("programs as ELF files", where="this plugin: pass bare code")
        else:
            raise InputError(f"unknown option {option!r}; there is --mode")
    return memory, mode


def main(arguments: Sequence[str] | None = None) -> int:
    """The plugin: reads standard input, prints the result, returns the exit status."""
    try:
        memory, mode = parse(sys.argv[1:] if arguments is None else arguments)
        line = sys.stdin.readline()
        try:
            code = bytes.fromhex(line)
        except ValueError as error:
            raise InputError(f"the program is not hex bytes: {error}") from error
        print(f"{run(code, memory, mode):x}")
    except AnyBPFError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
