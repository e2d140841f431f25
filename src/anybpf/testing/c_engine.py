"""Emitted C as an engine, for tests and measurements: compiled by what this machine has.

Users compile emitted C themselves; nothing in anybpf runs their compiler for them. What the C is
and what becomes of it is the business of ``engines.lowering.c`` and ``engines.c_library``.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from anybpf import _core
from anybpf.engines import Prepared
from anybpf.engines.c_library import CLibrary
from anybpf.engines.lowering import UNPROVED, source_of
from anybpf.engines.lowering.c import emit_c
from anybpf.errors import CompilerError, NotSupported
from anybpf.toolchain import INCLUDE
from anybpf.toolchain.process import run

FLAGS: Final = ("-O2", "-Wall", "-shared", "-fPIC")
_SECONDS: Final = 300.0


@lru_cache
def compilers() -> dict[str, list[str]]:
    """The C compilers of this machine by name, and the one inside of the ``ziglang`` wheel."""
    found: dict[str, list[str]] = {}
    for name in ("clang", "clang-19", "gcc", "cc"):
        path = shutil.which(name)
        if path and not (name == "cc" and found):
            found.setdefault(name.partition("-")[0], [path])
    if importlib.util.find_spec("ziglang") is not None:
        found["zig"] = [sys.executable, "-m", "ziglang", "cc"]
    return found


def build(text: str, compiler: Sequence[str] = (), flags: Sequence[str] = FLAGS) -> CLibrary:
    """The library that a compiler makes of C; :class:`CompilerError` also for warnings."""
    with tempfile.TemporaryDirectory(prefix="anybpf-") as folder:
        source, output = Path(folder, "programs.c"), Path(folder, "programs.so")
        source.write_text(text)
        make(source, output, compiler, flags)
        return CLibrary(output)


def make(
    source: Path, output: Path, compiler: Sequence[str] = (), flags: Sequence[str] = FLAGS
) -> None:
    command = list(compiler) or next(iter(compilers().values()), [])
    if not command:
        raise NotSupported("compiling C", where="this machine: it has no C compiler")
    done = run([*command, *flags, f"-I{INCLUDE}", str(source), "-o", str(output)], _SECONDS)
    if done.status != 0 or done.text.strip():
        raise CompilerError(f"{' '.join(command)} does not take emitted C:\n{done.text[:2000]}")


def attach(
    programs: Sequence[tuple[_core.Program, Prepared]],
    checks: str = UNPROVED,
    flags: Sequence[str] = FLAGS,
) -> None:
    """From now on these programs run as what a C compiler makes of them."""
    library = build(emit_c([prepared for _, prepared in programs], checks), flags=flags)
    for program, prepared in programs:
        library.attach(program, source_of(prepared, ahead=True), checks)
