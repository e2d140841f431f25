"""Compiling programs for this very process: a plan, LLVM, the linker, and the cache before LLVM.

A program goes on being interpreted until its code is there; then runs that begin are compiled ones.
When that is done, and for which programs, is the business of ``tiers``.
"""

from __future__ import annotations

import sys
from typing import Final

from anybpf import __version__, _core
from anybpf.engines import cache as caches
from anybpf.engines.linking import Linked, link
from anybpf.engines.llvm import RECIPE, compile_ir
from anybpf.engines.lowering import UNPROVED, Source, make_plan
from anybpf.engines.lowering.llvm import print_module
from anybpf.errors import LinkError

ENTRY: Final = "anybpf_entry"
FUNCTION: Final = "anybpf_function_"

_OPTIMIZE: Final = 2
_machine: str = ""


def machine() -> str:
    """What distinguishes this processor from others for which code may have been compiled.

    LLVM knows better, but asking it means importing it.
    """
    global _machine
    if not _machine:
        import platform

        words = [sys.platform, platform.machine(), platform.processor()]
        try:
            with open("/proc/cpuinfo", "rb") as stream:
                words.append(stream.read(1 << 14).partition(b"\n\n")[0].decode(errors="replace"))
        except OSError:
            pass  # no Linux: what platform says has to do
        _machine = "\n".join(
            line
            for line in "\n".join(words).splitlines()
            if line.startswith(("vendor", "cpu family", "model", "stepping", "flags", "Features"))
            or ":" not in line
        )
    return _machine


def object_text(source: Source, checks: str = UNPROVED) -> str:
    """The program as LLVM's assembly, for code in this process."""
    return print_module(make_plan(source, checks), _core.LAYOUT).text


def compile_object(
    source: Source, *, checks: str = UNPROVED, cache: caches.Cache | None = None
) -> bytes:
    """The program's object: from the cache, or compiled and put there.

    :class:`NotSupported` where llvmlite is missing or the code is such as no compiler writes.
    """
    text = object_text(source, checks)
    name = caches.key(__version__, _core.NATIVE_ABI, machine(), RECIPE, _OPTIMIZE, text)
    data = cache.get(name) if cache is not None else None
    if data is None:
        data = compile_ir(text, optimize=_OPTIMIZE, name=source.name)
        if cache is not None:
            cache.put(name, data)
    return data


def attach(program: _core.Program, data: bytes) -> Linked:
    """From now on runs of the program that begin are runs of this object's code."""
    linked = link(data, program.symbol)
    functions = [
        (int(name[len(FUNCTION) :]), place)
        for name, place in linked.symbols.items()
        if name.startswith(FUNCTION)
    ]
    if ENTRY not in linked.symbols:
        raise LinkError(f"a compiled object without {ENTRY}, where programs begin")
    program.attach_code(linked.code, linked.symbols[ENTRY], functions)
    return linked
