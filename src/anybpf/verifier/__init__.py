"""The verifier: whether a program is safe to run, and if not why.

:func:`verify` takes a program as ``load_spec`` yields it and gives a :class:`Verification`:
findings, facts, and what work it was. It judges by the tables of a platform and touches no system.

>>> from anybpf.isa.assembler import assemble
>>> from anybpf.verifier import verify_instructions
>>> verify_instructions(assemble("r0 = 2\\nexit"), type="xdp").ok
True
>>> verify_instructions(assemble("r0 = r5\\nexit"), type="xdp").findings
[<Finding uninitialized-register at 0: reads r5, which is not set on every way here>]
"""

from __future__ import annotations

from anybpf.verifier.environment import Budget
from anybpf.verifier.facts import Facts
from anybpf.verifier.findings import Finding
from anybpf.verifier.verification import Stats, Verification
from anybpf.verifier.verify import verify, verify_collection, verify_instructions

__all__ = [
    "Budget",
    "Facts",
    "Finding",
    "Stats",
    "Verification",
    "verify",
    "verify_collection",
    "verify_instructions",
]
