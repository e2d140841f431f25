"""What an error code means on a platform: numbers and names of both worlds, put into words.

The tables are the platforms' own (``errnos``, ``result_codes``) and Win32's. Which code an
operation gives is not decided here.

>>> from anybpf.platforms.explain import explain
>>> [str(one) for one in explain(119, "windows") if one.kind == "errno"]
['errno 119, ENOBUFS: no buffer space']
"""

from __future__ import annotations

from anybpf.errors import NotFound
from anybpf.platforms import Platform, get, names
from anybpf.platforms.table import near
from anybpf.platforms.win32_errors import WIN32_ERRORS

ERRNO = "errno"
RESULT = "ebpf_result"
WIN32 = "win32"
# Negative numbers that are errors: MAX_ERRNO in Linux, include/linux/err.h.
MOST_ERRNOS = 4095

# What bpf(2) and libbpf mean by an error, where it is more than its name says: bpf(2) in the
# Linux man-pages, Documentation/bpf in the kernel.
BPF_MEANINGS: dict[str, str] = {
    "EPERM": "no right to do it: CAP_BPF (with CAP_PERFMON or CAP_NET_ADMIN) is needed, or "
    "lockdown forbids it; with maps, that they are frozen or read-only",
    "ENOENT": "no such key, id, pin or type",
    "E2BIG": "a map is full, a program is too long or too complex, a key is too big, or the "
    "kernel is older than the attributes that it was given",
    "EBADF": "what was given is no open descriptor of that kind",
    "EAGAIN": "the verifier or the map was interrupted: try again",
    "ENOMEM": "not enough memory, or in old kernels (before 5.11) RLIMIT_MEMLOCK is too low",
    "EACCES": "the verifier refused the program (its log says why), or the map's flags forbid it",
    "EFAULT": "a pointer to memory that is not there",
    "EBUSY": "something is attached there already, or the map is in use",
    "EEXIST": "the key is there and was not to be replaced, or the pin's path is taken",
    "ENODEV": "no such network device, or it cannot do it",
    "EINVAL": "wrong arguments: a type, size, flag or attach type that does not fit, or that the "
    "kernel is too old for",
    "ENOSPC": "the log is larger than the buffer, the batch larger than what it was given for, or "
    "a stack or ring has no room",
    "ERANGE": "too many programs are attached there, or a position is not there",
    "ESRCH": "no such process, tracepoint or symbol",
    "ESTALE": "the list of attached programs has changed meanwhile: look at it again",
    "EOPNOTSUPP": "neither this map nor this place supports it",
    "ENOTSUPP": "the kernel has no support for it; it is the kernel's own number, unknown to libc",
    "ENOLINK": "the link's place is gone, and the link with it",
}

# What results of eBPF for Windows mean, by their names without EBPF_.
RESULT_MEANINGS: dict[str, str] = {
    "SUCCESS": "it went well",
    "VERIFICATION_FAILED": "the program was not proved safe: the verifier's report says why",
    "JIT_COMPILATION_FAILED": "the program could not be compiled",
    "PROGRAM_LOAD_FAILED": "the program could not be loaded",
    "INVALID_FD": "no open object has this descriptor",
    "INVALID_OBJECT": "the object is of another kind, or damaged",
    "INVALID_ARGUMENT": "a wrong argument",
    "OBJECT_NOT_FOUND": "no such program, map, link or pin",
    "OBJECT_ALREADY_EXISTS": "something is there already",
    "FILE_NOT_FOUND": "no such file",
    "ALREADY_PINNED": "it is pinned there already",
    "NOT_PINNED": "nothing is pinned there",
    "NO_MEMORY": "not enough memory",
    "PROGRAM_TOO_LARGE": "the program has too many instructions",
    "RPC_EXCEPTION": "the service could not be reached, or failed: is eBPFSvc running?",
    "ALREADY_INITIALIZED": "it was set up already",
    "ELF_PARSING_FAILED": "the object file cannot be read",
    "FAILED": "a failure without a closer name",
    "OPERATION_NOT_SUPPORTED": "this map, program type or installation cannot do it",
    "KEY_NOT_FOUND": "the map has no such key",
    "ACCESS_DENIED": "no right to do it: most calls need an administrator",
    "BLOCKED_BY_POLICY": "a policy forbids it, such as compiling where code integrity is enforced",
    "ARITHMETIC_OVERFLOW": "a size does not fit its type",
    "EXTENSION_FAILED_TO_LOAD": "no extension offers this program or attach type",
    "INSUFFICIENT_BUFFER": "a buffer is too small for what was to be put there",
    "NO_MORE_KEYS": "the iteration is at its end",
    "KEY_ALREADY_EXISTS": "the key is there already",
    "NO_MORE_TAIL_CALLS": "the chain of tail calls is too long",
    "PENDING": "it is not done yet",
    "OUT_OF_SPACE": "the map or ring is full",
    "CANCELED": "it was canceled",
    "INVALID_POINTER": "a pointer to memory that is not there",
    "TIMEOUT": "it took too long",
    "STALE_ID": "the object with this id is gone",
    "INVALID_STATE": "the object is in no state for that",
}


class Meaning:
    """One thing that a code stands for.

    ``kind`` says whose number it is: "errno", "ebpf_result" or "win32". ``notes`` are further
    lines: where it comes from, what it is elsewhere.
    """

    __slots__ = ("kind", "name", "notes", "number", "platform", "text")

    def __init__(
        self, platform: str, kind: str, number: int, name: str, text: str, notes: list[str]
    ) -> None:
        self.platform = platform
        self.kind = kind
        self.number = number
        self.name = name
        self.text = text
        self.notes = notes

    def __str__(self) -> str:
        return f"{self.kind} {self.number}, {self.name}: {self.text}"

    def __repr__(self) -> str:
        return f"<Meaning {self.platform} {self}>"


def explain(code: int | str, platform: str | Platform = "linux") -> list[Meaning]:
    """All that a code may stand for on the platform, errno first.

    ``code`` is a number, negative or not, or a name: 119, "-22", "0x16", "ENOBUFS",
    "EBPF_KEY_NOT_FOUND", "ERROR_MORE_DATA". :class:`NotFound` says that it stands for nothing.

    >>> explain("EBPF_INSUFFICIENT_BUFFER", "windows")[0].notes[0]
    'libbpf functions return -119 for it (ENOBUFS)'
    """
    of = get(platform)
    number = _number(code)
    found = _meanings(of, code, number)
    if found:
        return found
    elsewhere = [
        other for other in names() if other != of.name and _meanings(get(other), code, number)
    ]
    hint = f"; it means something on {', '.join(elsewhere)}" if elsewhere else _near(of, code)
    raise NotFound(f"no error of {of.name} is {'named ' if number is None else ''}{code}{hint}")


def _meanings(of: Platform, code: int | str, number: int | None) -> list[Meaning]:
    if number is not None and number < 0:  # only errnos are given back with a sign
        return _errnos(of, code, -number)
    return [*_errnos(of, code, number), *_results(of, code, number), *_win32(of, code, number)]


def _number(code: int | str) -> int | None:
    """A code's number, with the sign that it lost on its way; None for a name."""
    if isinstance(code, str):
        try:
            code = int(code, 0)
        except ValueError:
            return None
    for bits in (32, 64):
        if (1 << bits) - MOST_ERRNOS <= code < 1 << bits:
            return code - (1 << bits)
    return code


def _near(of: Platform, code: int | str) -> str:
    known = [one.name for one in of.errnos] + [one.name for one in of.result_codes]
    return near(str(code).upper(), known)


def _is(name: str, number: int, code: int | str, wanted: int | None) -> bool:
    return number == wanted if wanted is not None else name == str(code).upper()


def _errnos(of: Platform, code: int | str, number: int | None) -> list[Meaning]:
    key: int | str = str(code).upper() if number is None else number
    if key not in of.errnos:
        return []
    one = of.errnos[key]
    notes = []
    meaning = BPF_MEANINGS.get(one.name, "")
    if meaning and of.name == "linux":
        notes.append(f"from bpf(2): {meaning}")
    sources = [result.name for result in of.result_codes if result.errno == one.name]
    if sources:
        notes.append(f"stands for {', '.join(sources)}")
    for other in names():
        if other != of.name:
            notes += _elsewhere(get(other), one.name, one.number)
    return [Meaning(of.name, ERRNO, one.number, one.name, one.text, notes)]


def _elsewhere(other: Platform, name: str, number: int) -> list[str]:
    """What there is to be warned of: the same number or name is something else there."""
    same = other.errnos[number].name if number in other.errnos else ""
    if same == name:
        return []
    notes = [f"on {other.name}, {number} is {same}"] if same else []
    if name in other.errnos:
        notes.append(f"on {other.name}, {name} is {other.errnos[name].number}")
    return notes


def _results(of: Platform, code: int | str, number: int | None) -> list[Meaning]:
    found = []
    win32 = {name: code for code, name, _ in WIN32_ERRORS}
    for one in of.result_codes:
        if not _is(one.name, one.number, code, number):
            continue
        notes = []
        if one.errno:
            errno = of.errnos[one.errno].number
            notes.append(f"libbpf functions return -{errno} for it ({one.errno})")
        notes.append(f"Win32: {one.win32} ({win32[one.win32]}); drivers: {one.ntstatus}")
        text = RESULT_MEANINGS[one.name.removeprefix("EBPF_")]
        found.append(Meaning(of.name, RESULT, one.number, one.name, text, notes))
    return found


def _win32(of: Platform, code: int | str, number: int | None) -> list[Meaning]:
    """Win32's, on a platform whose results have such codes."""
    if not len(of.result_codes):
        return []
    found = []
    for value, name, text in WIN32_ERRORS:
        if _is(name, value, code, number):
            sources = [one.name for one in of.result_codes if one.win32 == name]
            notes = [f"stands for {', '.join(sources)}"] if sources else []
            found.append(Meaning(of.name, WIN32, value, name, text, notes))
    return found
