"""The kernel of this machine as a back end, by bpf(2) alone: no library between.

It needs the right to call bpf(2) (root, or CAP_BPF and what goes with it);
:func:`unavailable` says why not, where it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend as LinuxBackend
    from anybpf.backends.linux.syscall import unavailable as unavailable

_HOME = {"LinuxBackend": "backend", "unavailable": "syscall"}
__all__ = ["LinuxBackend", "unavailable"]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'anybpf.backends.linux' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"anybpf.backends.linux.{home}"), name)
    globals()[name] = value
    return value
