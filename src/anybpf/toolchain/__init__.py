"""Making BPF objects from C: find a compiler, and run it with the headers that programs need.

The compiler is the machine's clang, or the one inside the `ziglang` wheel. What comes out is a
file; reading it is the business of `anybpf.objects`.
"""

from __future__ import annotations

from anybpf.toolchain.build import CompileResult, compile  # noqa: A004
from anybpf.toolchain.find import Compiler, find_compiler
from anybpf.toolchain.headers import INCLUDE

__all__ = ["INCLUDE", "CompileResult", "Compiler", "compile", "find_compiler"]
