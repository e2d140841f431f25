"""Helpers written in Python: for prototypes, and for what an extension adds.

What a helper takes and gives is a row of the platform (:class:`anybpf.platforms.Extension`), which
is what the verifier goes by; the function here is what runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from anybpf.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def helper(function: Function) -> Function: ...
@overload
def helper(function: str) -> Callable[[Function], Function]: ...
def helper(function: Any) -> Any:
    """Mark a Python function as what programs call by a helper's name.

    The name is the function's own, or the one given: ``@helper("bpf_get_answer")``. The function
    takes the program's arguments as unsigned numbers, as many as it names; pointers among them are
    read and written through ``memory``, if its first parameter has that name. What it raises stops
    the program.

    >>> @helper
    ... def bpf_get_answer() -> int:
    ...     return 42
    >>> bpf_get_answer.helper_name
    'bpf_get_answer'
    """
    if isinstance(function, str):
        name = function

        def named(inner: Function) -> Function:
            return _mark(inner, name)

        return named
    return _mark(function, getattr(function, "__name__", ""))


def _mark(function: Function, name: str) -> Function:
    if not callable(function):
        raise InputError(f"@helper marks functions, not {type(function).__name__}")
    if not name.isidentifier():
        raise InputError(f"{name!r} is no name of a helper")
    function.helper_name = name  # type: ignore[attr-defined]
    return function
