"""Engines: what runs a program that was proved safe.

:func:`prepare` makes of a program and its verification what every engine starts from; the
contexts that programs find behind r1 are made in ``contexts``. Nothing here opens a map or holds a
handle: that is the runtime's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anybpf.engines.contexts import ContextLayout as ContextLayout
    from anybpf.engines.prepared import Prepared as Prepared
    from anybpf.engines.preparing import prepare as prepare

# Read when first used: who loads compiled code needs none of them.
_HOMES = {"ContextLayout": "contexts", "Prepared": "prepared", "prepare": "preparing"}
__all__ = ["ContextLayout", "Prepared", "prepare"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'anybpf.engines' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"anybpf.engines.{home}"), name)
    globals()[name] = value
    return value
