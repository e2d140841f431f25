"""Loaded objects as a command line names them: by number, by the path of a pin, or by name.

What is found is a handle, for the caller to close.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from anybpf.errors import InputError, NotFound

if TYPE_CHECKING:
    from anybpf.backends.model import Backend

# What Linux keeps of a name: BPF_OBJ_NAME_LEN in linux/bpf.h, without the NUL.
KEPT = 15
HOW = "its number, the path of a pin, or its name"


def find(backend: Backend, kind: str, word: str) -> Any:
    """The one object of that kind that ``word`` names."""
    if word.isascii() and word.isdigit():
        return _by_number(backend, kind, int(word))
    if is_path(word):
        handle = backend.open(word)
        there = kind_of(handle)
        if there != kind:
            handle.close()
            raise InputError(f"{word} is the pin of a {there}, not of a {kind}")
        return handle
    found = named(backend, kind, word)
    if len(found) == 1:
        return _by_number(backend, kind, found[0].id)
    if found:
        numbers = ", ".join(str(one.id) for one in found)
        raise InputError(f"{len(found)} {kind}s are named {word}: say which by number: {numbers}")
    from anybpf.platforms.table import near

    names = sorted({str(getattr(one, "name", "")) for one in backend.infos(kind)} - {""})
    hint = near(word, names) or (f"; there are: {', '.join(names)}" if names else "; there is none")
    raise NotFound(f"no {kind} is named {word!r}{hint}")


def named(backend: Backend, kind: str, word: str) -> list[Any]:
    """What is known of all objects of that name."""
    wanted = {word, word[:KEPT]} - {""}
    return [one for one in backend.infos(kind) if getattr(one, "name", None) in wanted]


def _by_number(backend: Backend, kind: str, number: int) -> Any:
    if kind == "program":
        return backend.program(number)
    return backend.map(number) if kind == "map" else backend.link(number)


def is_path(word: str) -> bool:
    """Whether a word is the path of a pin; names have no separators."""
    return "/" in word or "\\" in word


def is_file(word: str) -> bool:
    """Whether a word names an object file. A pin of the kernel is a file that cannot be read."""
    from pathlib import Path

    if word == "-":
        return True
    try:
        with Path(word).open("rb") as file:
            file.read(1)
    except OSError:
        return word.endswith((".o", ".so", ".dll", ".dylib"))
    return True


def kind_of(handle: Any) -> str:
    """What an open handle is of: "program", "map", "link" or "btf"."""
    from anybpf.runtime.infos import LinkInfo, MapInfo, ProgramInfo

    info = handle.info()
    for kind, shape in (("program", ProgramInfo), ("map", MapInfo), ("link", LinkInfo)):
        if isinstance(info, shape):
            return kind
    return "btf"


def pins_of(backend: Backend, kind: str) -> dict[int, list[str]]:
    """The paths of the pins of all objects of a kind, by number."""
    found: dict[int, list[str]] = defaultdict(list)
    for path, _, number in backend.pins(kind=kind):
        found[number].append(path)
    return found
