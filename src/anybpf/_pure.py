"""Makes Python import the source of anybpf's rooms where compiled modules lie beside it.

Used when ANYBPF_PURE=1: to debug, to measure coverage, and to run the tests both ways.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class _SourceFinder:
    """Finds modules inside this package, and only as source."""

    def __init__(self) -> None:
        self._finders: dict[str, FileFinder] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not name.startswith("anybpf."):
            return None
        for entry in path:
            finder = self._finders.get(entry)
            if finder is None:
                finder = FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES))
                self._finders[entry] = finder
            found = finder.find_spec(name)
            # A folder without __init__.py yields a spec without loader: not ours to take.
            if found is not None and found.loader is not None:
                return found
        return None


def install() -> None:
    """Put the finder before Python's own, once."""
    if not any(isinstance(finder, _SourceFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _SourceFinder())
