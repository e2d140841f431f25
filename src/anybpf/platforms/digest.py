"""What a platform's tables say to one program, as a digest: what was proved, was proved of that.

Code that was compiled ahead, and proofs that were made ahead, hold as long as this stays what it
was. Names for people (titles, versions, texts) are left out, and so are the rows of all that the
program does not use: a helper that is added takes nothing back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from anybpf.platforms.kinds import FUNCTION

if TYPE_CHECKING:
    from anybpf.platforms.calls import Function
    from anybpf.platforms.platform import Platform

# The version of what is hashed, and how; part of every digest.
VERSION: Final = 1
# What is only said to people, and rows of everything there is: what is used of these is asked for
# one by one.
_LEFT_OUT: Final = frozenset(
    {"title", "since", "guid", "return_names", "helpers", "own_helpers", "helper_attach_types"}
)


def digest(
    platform: Platform,
    program_type: str,
    attach_type: str,
    calls: Iterable[str],
    map_types: Iterable[str],
) -> str:
    """64 hexadecimal digits. ``calls`` are names of helpers and kernel functions, without ``bpf_``.

    >>> from anybpf.platforms import get
    >>> one = digest(get("linux"), "xdp", "", ["map_lookup_elem"], ["array"])
    >>> one == digest(get("linux"), "xdp", "", ["map_lookup_elem"], ["array"])
    True
    >>> one == digest(get("linux"), "sched_cls", "", ["map_lookup_elem"], ["array"])
    False
    """
    kind = platform.program_type(program_type)
    kinds = sorted(set(map_types))
    parts: dict[str, object] = {
        "version": VERSION,
        "platform": platform.name,
        "type": kind,
        "attach_type": attach_type,
        "limits": platform.limits,
        "rules": platform.rules,
        "uses_license": platform.uses_license,
        "statuses": platform.statuses,
        "special_fields": platform.special_fields,
        "map_flags": {flag.name: flag.bit for flag in platform.map_flags},
        "map_types": [platform.map_types.get(name) for name in kinds],
        "calls": [
            _call(platform, name, kind.name, attach_type, kinds) for name in sorted(set(calls))
        ],
    }
    pointers = {field.kind for field in kind.context.fields} if kind.context is not None else set()
    parts["structures"] = {name: platform.pointee(name) for name in pointers}
    return hashlib.sha256(_text(parts).encode()).hexdigest()


def _call(
    platform: Platform, name: str, program_type: str, attach_type: str, map_types: list[str]
) -> object:
    """What is said of a function, whether it may be called on what, and what it calls back."""
    full = f"bpf_{name}"
    helper = platform.find_helper(full, program_type) or platform.find_helper(name, program_type)
    if helper is not None:
        allowed = platform.helper_allowed(helper, program_type, attach_type)
        maps = [
            kind
            for kind in map_types
            if kind in platform.map_types
            and (helper.number in platform.map_types[kind].helpers or kind in helper.map_types)
        ]
        return [name, helper, allowed, maps, _about(platform, helper)]
    kfunc = platform.kfunc(full) or platform.kfunc(name)
    if kfunc is None:
        return [name, None]
    return [
        name,
        kfunc,
        platform.kfunc_allowed(kfunc, program_type, attach_type),
        _about(platform, kfunc),
    ]


def _about(platform: Platform, function: Function) -> list[object]:
    """What it calls back, and the structure behind the pointer that it returns."""
    shapes: list[object] = [
        platform.calls.callbacks.get(arg.type) for arg in function.args if arg.kind == FUNCTION
    ]
    return [*shapes, platform.pointee(function.returns.kind)]


def _text(value: Any) -> str:
    """The same text for the same values, in whichever order sets and tables have them."""
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join([_text(one) for one in value])}]"
    if isinstance(value, (set, frozenset)):
        return f"{{{','.join(sorted([_text(one) for one in value]))}}}"
    if isinstance(value, dict):
        pairs = sorted([f"{_text(key)}:{_text(one)}" for key, one in value.items()])
        return f"{{{','.join(pairs)}}}"
    names = sorted(
        {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    )
    rows = [f"{name}={_text(getattr(value, name))}" for name in names if name not in _LEFT_OUT]
    return f"{type(value).__name__}({','.join(rows)})"
