"""Lowering: from a prepared program and what was proved of it to the text of compilers.

:func:`make_plan` decides what is done at each instruction; ``llvm`` and ``c`` write a plan down.
"""

from __future__ import annotations

from anybpf.engines.lowering.plan import Plan, make_plan
from anybpf.engines.lowering.source import ALL, CHECKS, UNPROVED, MapShape, Source, source_of

__all__ = ["ALL", "CHECKS", "UNPROVED", "MapShape", "Plan", "Source", "make_plan", "source_of"]
