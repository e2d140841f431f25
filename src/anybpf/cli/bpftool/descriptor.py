"""What the kernel says of an object beside its info: the lines of its descriptor's fdinfo.

Only the Linux back end has descriptors; of all others there is nothing to say.
"""

from __future__ import annotations

from typing import Any


def facts(handle: Any) -> dict[str, str]:
    """Names and values in ``/proc/self/fdinfo``; none where the object has no descriptor."""
    fileno = getattr(handle, "fileno", None)
    number = fileno() if callable(fileno) else getattr(handle, "fd", None)
    if not isinstance(number, int):
        return {}
    try:
        with open(f"/proc/self/fdinfo/{number}") as lines:
            pairs = [line.split(":", 1) for line in lines if ":" in line]
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, value in pairs}
