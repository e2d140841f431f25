"""anybpf: a complete eBPF platform in Python, for any process on any machine.

The front door. Names are fetched from their rooms when first used, so that importing the package
costs next to nothing.

The rooms that mypyc compiled also run from their source: ANYBPF_PURE=1 in the environment asks
for that.
"""

from __future__ import annotations

import os as _os

TYPE_CHECKING = False  # what type checkers take for true; `typing` is not worth its import here

if TYPE_CHECKING:
    from anybpf.errors import AnyBPFError as AnyBPFError
    from anybpf.objects import CollectionSpec as CollectionSpec
    from anybpf.objects import MapSpec as MapSpec
    from anybpf.objects import ProgramSpec as ProgramSpec
    from anybpf.objects import VariableSpec as VariableSpec
    from anybpf.objects import load_spec as load_spec
    from anybpf.runtime import Runtime as Runtime
    from anybpf.verifier import Verification as Verification
    from anybpf.verifier.verify import verify as verify

__version__ = "0.1.0"

_HOME = {
    "AnyBPFError": "errors",
    "CollectionSpec": "objects",
    "MapSpec": "objects",
    "ProgramSpec": "objects",
    "Runtime": "runtime",
    "VariableSpec": "objects",
    "Verification": "verifier",
    "load_spec": "objects",
    "verify": "verifier",
}

__all__ = [
    "AnyBPFError",
    "CollectionSpec",
    "MapSpec",
    "ProgramSpec",
    "Runtime",
    "VariableSpec",
    "Verification",
    "load_spec",
    "verify",
]

if _os.environ.get("ANYBPF_PURE") == "1":
    from anybpf import _pure

    _pure.install()


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'anybpf' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"anybpf.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
