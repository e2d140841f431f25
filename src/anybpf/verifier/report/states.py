"""The states of one instruction as texts, as many of them as anybody reads."""

from __future__ import annotations

from typing import Final

from anybpf.verifier.printing import state_text
from anybpf.verifier.verification import Verification

# An instruction that is reached on very many ways has states by the thousand.
MOST: Final = 16


def state_texts(verification: Verification, index: int) -> tuple[list[str], int]:
    """Different states before an instruction, the first ones, and how many there are besides."""
    states = verification.states.get(index, [])
    names = [spec.name for spec in verification.maps]
    out: list[str] = []
    for state in states[:MOST]:
        text = state_text(state, names)
        if text not in out:
            out.append(text)
    return out, max(len(states) - MOST, 0)
