"""Engines: what runs a program that was proved safe.

:func:`prepare` makes of a program and its verification what every engine starts from; the
contexts that programs find behind r1 are made in ``contexts``. Nothing here opens a map or holds a
handle: that is the runtime's business.
"""

from __future__ import annotations

from anybpf.engines.contexts import ContextLayout
from anybpf.engines.prepare import prepare
from anybpf.engines.prepared import Prepared

__all__ = ["ContextLayout", "Prepared", "prepare"]
