"""What a system offers to programs, as data: Linux, Windows, and whatever an extension adds.

``get("linux")`` is the front door; a platform's tables are imported when it is first asked for.
Nothing here talks to a system.

>>> from anybpf.platforms import get
>>> get("linux").section("xdp").program_type
'xdp'
"""

from __future__ import annotations

from anybpf.errors import InputError, NotFound
from anybpf.platforms.extensions import Extension
from anybpf.platforms.model import (
    Arg,
    AttachType,
    Callback,
    Context,
    Field,
    Helper,
    Kfunc,
    Limit,
    MapType,
    ProgramType,
    Return,
    ReturnRange,
    SectionMatch,
    SectionRule,
    SpecialField,
)
from anybpf.platforms.platform import Platform

__all__ = [
    "Arg",
    "AttachType",
    "Callback",
    "Context",
    "Extension",
    "Field",
    "Helper",
    "Kfunc",
    "Limit",
    "MapType",
    "Platform",
    "ProgramType",
    "Return",
    "ReturnRange",
    "SectionMatch",
    "SectionRule",
    "SpecialField",
    "get",
    "names",
    "register",
    "unregister",
]

# The module that holds each platform's tables; it has a function make() -> Platform.
_HOMES = {"linux": "anybpf.platforms.linux", "windows": "anybpf.platforms.windows"}
_made: dict[str, Platform] = {}


def names() -> list[str]:
    """The names of all platforms, whether or not they were used yet."""
    return [*_HOMES, *[name for name in _made if name not in _HOMES]]


def get(name: str | Platform) -> Platform:
    """The platform of that name; the same object each time.

    >>> get("windows").program_type("bind").number
    2
    """
    if isinstance(name, Platform):
        return name
    found = _made.get(name)
    if found is not None:
        return found
    home = _HOMES.get(name)
    if home is None:
        raise NotFound(f"no platform is named {name!r}; there are: {', '.join(names())}")
    from importlib import import_module

    made: Platform = import_module(home).make()
    return _made.setdefault(name, made)


def register(platform: Platform) -> None:
    """Add a platform of one's own. To add rows to an existing one, use its own ``register``."""
    if platform.name in names():
        raise InputError(f"cannot register platform {platform.name!r}: the name is taken")
    _made[platform.name] = platform


def unregister(name: str) -> None:
    """Take away a platform that :func:`register` added."""
    if name in _HOMES or name not in _made:
        raise NotFound(f"no platform {name!r} was registered at run time")
    del _made[name]
