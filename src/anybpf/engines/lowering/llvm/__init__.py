"""A plan as LLVM's assembly: one module a program.

``text`` writes lines, ``values``, ``memory`` and ``calls`` instructions, ``module`` functions.
"""

from __future__ import annotations

from anybpf.engines.lowering.llvm.module import Module, print_module
from anybpf.engines.lowering.llvm.text import SYMBOLS, TABLE

__all__ = ["SYMBOLS", "TABLE", "Module", "print_module"]
