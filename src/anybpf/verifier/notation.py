"""Abstract states as text: printed, read, and compared with what a text claims.

One notation for `anybpf verify --invariants`, for test cases and for explanations; its grammar
stands in ``clauses``. Maps go by name here, by number in states, so whoever asks brings the names
in the order of the maps' numbers.
"""

from __future__ import annotations

from anybpf.verifier.clauses import parse_clauses
from anybpf.verifier.covering import covers
from anybpf.verifier.printing import range_text, state_clauses, state_text, value_text
from anybpf.verifier.reading import parse_state

__all__ = [
    "covers",
    "parse_clauses",
    "parse_state",
    "range_text",
    "state_clauses",
    "state_text",
    "value_text",
]
