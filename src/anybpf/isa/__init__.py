"""The instruction set: what an instruction is, its bytes, its text, and where it leads.

Knows RFC 9669 and what kernels have added since; knows nothing of object files, platforms or
meaning. Text in and out is in the modules `anybpf.isa.assembler` and `anybpf.isa.listing`, which
are imported when asked for.
"""

from __future__ import annotations

from anybpf.isa.codec import decode, encode, problem
from anybpf.isa.flow import jump_targets, slot_numbers
from anybpf.isa.instruction import BTFFunction, CoreRelocation, Instruction, SourceLine

__all__ = [
    "BTFFunction",
    "CoreRelocation",
    "Instruction",
    "SourceLine",
    "decode",
    "encode",
    "jump_targets",
    "problem",
    "slot_numbers",
]
