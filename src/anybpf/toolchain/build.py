"""Compiling one C source to one BPF object.

The flags are those that BPF programs are usually built with, and the caller's come after them.
The object appears when the compiler has finished it, whole or not at all.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from anybpf.errors import CompilerError
from anybpf.toolchain import headers
from anybpf.toolchain.find import Compiler, find_compiler
from anybpf.toolchain.process import run

# Instruction set v3 (32-bit jumps and arithmetic) runs on Linux since 5.1 and on eBPF for
# Windows; compilers of different age have different defaults, so it is always said.
DEFAULT_CPU = "v3"
DEFAULT_TIMEOUT = 300.0

# -O2: BPF has no other useful level, since at -O0 nothing is inlined. -g: without it clang writes
# no BTF. -Wall: what a verifier refuses is often what a compiler would have warned of.
# -fno-stack-protector: some systems turn it on by default, and BPF has no canary.
DEFAULT_FLAGS = ("-O2", "-g", "-Wall", "-fno-stack-protector")


class CompileResult:
    """What a compilation made: the object's path, by which command, and what the compiler said."""

    __slots__ = ("command", "compiler", "messages", "output")

    def __init__(self, compiler: Compiler, command: list[str], output: Path, messages: str) -> None:
        self.compiler = compiler
        self.command = command
        self.output = output
        self.messages = messages

    def __repr__(self) -> str:
        return f"<CompileResult {self.output} by {self.compiler!r}>"


def compile(  # noqa: A001 - the room's word for it; callers write toolchain.compile
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    flags: Sequence[str] = (),
    *,
    big_endian: bool = False,
    cpu: str = DEFAULT_CPU,
    compiler: Compiler | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> CompileResult:
    """Compile C to a BPF object with debug information, and our headers on the include path.

    ``flags`` go to clang after ours, so that they win: `-O1`, `-mcpu=v4`, `-I…`, `-D…`.
    A refusal raises :class:`CompilerError` with the compiler's own words.
    """
    origin, target = Path(source), Path(output)
    _check_paths(origin, target, flags)
    chosen = compiler or find_compiler()
    # Beside the target, so that putting it in place is one step; the numbers keep compilations of
    # the same file apart.
    beside = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    command = [
        *chosen.command,
        *default_flags(big_endian, cpu, flags),
        *flags,
        *_dependency_flags(target, flags),
        *["-isystem", str(headers.INCLUDE)],
        *chosen.header_flags(),
        *["-c", _as_argument(origin), "-o", _as_argument(beside)],
    ]
    try:
        done = run(command, timeout)
        if done.status:
            raise CompilerError(_refusal(origin, chosen, done.status, done.text))
        if not beside.is_file():
            raise CompilerError(
                f"{origin}: {chosen.command[0]} ended well but made no object; "
                f"its flags were: {' '.join(flags)}"
            )
        try:
            os.replace(beside, target)
        except OSError as error:
            raise CompilerError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)
    # As a person would give it: the name beside the target was only for the time of writing.
    command[-1] = _as_argument(target)
    return CompileResult(chosen, command, target, done.text)


def default_flags(
    big_endian: bool = False, cpu: str = DEFAULT_CPU, flags: Sequence[str] = ()
) -> list[str]:
    """The flags that come before the caller's."""
    chosen = [*DEFAULT_FLAGS, "-target", "bpfeb" if big_endian else "bpfel", f"-mcpu={cpu}"]
    arch = headers.target_arch()
    # Programs that read registers must know whose; the caller's word counts.
    if arch and not any("__TARGET_ARCH_" in flag for flag in flags):
        chosen.append(f"-D__TARGET_ARCH_{arch}")
    return chosen


def _check_paths(source: Path, output: Path, flags: Sequence[str]) -> None:
    if not source.is_file():
        what = "is a folder" if source.is_dir() else "does not exist"
        raise CompilerError(f"{source} {what}: give a C source")
    if output.is_dir():
        raise CompilerError(f"{output} is a folder: give the name of the object to write")
    if not output.parent.is_dir():
        raise CompilerError(f"{output} cannot be written: there is no folder {output.parent}")
    if output.exists() and output.samefile(source):
        raise CompilerError(f"{source} would be overwritten by its own object: choose another name")
    for flag in flags:
        if flag.startswith("-o"):
            raise CompilerError(f"flag {flag}: the object's name is given apart, as {output}")


def _dependency_flags(target: Path, flags: Sequence[str]) -> list[str]:
    """Name a dependency file and its target after the object, not after the name beside it."""
    if not {"-MD", "-MMD"} & set(flags):
        return []
    chosen = []
    if not any(flag.startswith("-MF") for flag in flags):
        chosen += ["-MF", str(target.with_suffix(".d"))]
    if not any(flag.startswith(("-MT", "-MQ")) for flag in flags):
        chosen += ["-MQ", str(target)]
    return chosen


def _as_argument(path: Path) -> str:
    """A path that cannot be taken for a flag."""
    text = str(path)
    return os.path.join(".", text) if text.startswith("-") else text


def _refusal(source: Path, compiler: Compiler, status: int, said: str) -> str:
    how = f"was stopped by signal {-status}" if status < 0 else "refused it"
    text = f"{source}: {' '.join(compiler.command)} {how}"
    if said:
        text += f":\n{said.rstrip()}"
    if "'linux/bpf.h' file not found" in said:
        text += (
            "\nThere are no kernel headers here; install `pip install 'anybpf[compile]'`, which "
            "brings some, or your system's package of them."
        )
    return text
