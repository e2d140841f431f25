"""Which error number stands for what went wrong: from errors to results, errno and Win32 codes.

The numbers themselves are in the platform's tables. What is printed with them is said by the
commands; this is about the choice of the result alone.
"""

from __future__ import annotations

from typing import Final

from anybpf.errors import (
    ClosedError,
    CompileError,
    ImageError,
    InputError,
    MapFull,
    NotFound,
    NotSupported,
    ObjectError,
    PolicyError,
    VerifierError,
)
from anybpf.platforms import Platform

PREFIX: Final = "EBPF_"


# The first that fits counts: what is more special stands in front. Results: include/ebpf_result.h.
_RESULTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (VerifierError, "VERIFICATION_FAILED"),
    (CompileError, "JIT_COMPILATION_FAILED"),
    (ImageError, "INVALID_OBJECT"),
    (ObjectError, "ELF_PARSING_FAILED"),
    (PolicyError, "BLOCKED_BY_POLICY"),
    (NotSupported, "OPERATION_NOT_SUPPORTED"),
    (NotFound, "OBJECT_NOT_FOUND"),
    (MapFull, "OUT_OF_SPACE"),
    (ClosedError, "INVALID_FD"),
    (InputError, "INVALID_ARGUMENT"),
    (FileNotFoundError, "FILE_NOT_FOUND"),
    (PermissionError, "ACCESS_DENIED"),
    (IsADirectoryError, "INVALID_ARGUMENT"),
    (MemoryError, "NO_MEMORY"),
)


def result_name(error: BaseException) -> str:
    """The result that stands for an error, or that it names itself, without its prefix."""
    named = getattr(error, "result", "")
    if named:
        return str(named)
    for kind, name in _RESULTS:
        if isinstance(error, kind):
            return name
    return "FAILED"


def result_number(error: BaseException, platform: Platform) -> int:
    """The ``ebpf_result_t`` of an error.

    >>> from anybpf.platforms import get
    >>> result_number(NotFound("no such pin"), get("windows"))
    7
    """
    return platform.result_code(PREFIX + result_name(error)).number


def errno_of(error: BaseException, platform: Platform) -> int:
    """The platform's errno for an error, by way of its result.

    >>> from anybpf.platforms import get
    >>> errno_of(VerifierError("not proved"), get("windows"))
    13
    """
    return platform.errno(platform.result_code(PREFIX + result_name(error)).errno).number


def win32_of(name: str, platform: Platform) -> int:
    """The Win32 code of a result, by the result's name.

    >>> from anybpf.platforms import get
    >>> win32_of("KEY_NOT_FOUND", get("windows"))
    1168
    """
    from anybpf.platforms.win32_errors import WIN32_ERRORS

    wanted = platform.result_code(PREFIX + name).win32
    return next(row[0] for row in WIN32_ERRORS if row[1] == wanted)
