"""Back ends: where programs are loaded. One shape of methods (``model``), three places.

    with anybpf.backends.backend("linux") as kernel:
        with kernel.load("droppacket.o") as loaded:
            print(loaded.program().info())

``embedded`` is this process, ``service`` the daemon that keeps objects between commands, ``linux``
the kernel by bpf(2).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.backends.model import Backend as Backend

# The environment's choice where nobody names a back end.
VARIABLE = "ANYBPF_BACKEND"


def backend(name: str = "embedded", **options: Any) -> Backend:
    """The back end of that name: ``embedded``, ``service`` or ``linux``. Close it after use.

    ``options`` are those of its class: :class:`anybpf.runtime.Runtime` for ``embedded``.

    >>> with backend("embedded", platform="linux") as here:
    ...     here.ids("program")
    []
    """
    if name == "embedded":
        from anybpf.runtime.runtime import Runtime

        return Runtime(**options)
    if name == "linux":
        from anybpf.backends.linux import LinuxBackend

        return LinuxBackend(**options)
    if name == "service":
        from anybpf.backends.service import ServiceBackend

        return ServiceBackend(**options)
    from anybpf.platforms.table import near

    known = ("embedded", "service", "linux")
    hint = near(name, known) or f"; there are: {', '.join(known)}"
    raise InputError(f"no back end is named {name!r}{hint}")


def default(**options: Any) -> Backend:
    """The back end that the environment variable ``ANYBPF_BACKEND`` names, else ``embedded``."""
    return backend(os.environ.get(VARIABLE, "") or "embedded", **options)


__all__ = ["VARIABLE", "backend", "default"]
