"""What the kernel tells of a loaded program's code beside its info: functions, lines, symbols.

For `prog dump` on the Linux back end only. Layouts: ``struct bpf_prog_info``, ``bpf_func_info`` and
``bpf_line_info`` in include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import ctypes
from struct import pack, pack_into, unpack_from
from typing import TYPE_CHECKING, Any, Final

from anybpf.errors import NotFound
from anybpf.isa import SourceLine

if TYPE_CHECKING:
    from anybpf.btf import BTF

_SIZE: Final = 232
_OBJ_GET_INFO_BY_FD: Final = 15
_FUNCTION_SIZE: Final = 8
_LINE_SIZE: Final = 16
# Places in struct bpf_prog_info: length or count, pointer, size of an entry (0: none is told).
_JITED: Final = (16, 24, 0, 1)
_KSYMS: Final = (104, 112, 0, 8)
_FUNCTIONS: Final = (144, 136, 132, _FUNCTION_SIZE)
_LINES: Final = (148, 152, 172, _LINE_SIZE)


def _ask(fd: int, info: ctypes.Array[ctypes.c_char]) -> None:
    from anybpf.backends.linux import syscall

    attributes = pack("=IIQ", fd, len(info), ctypes.addressof(info))
    if syscall.call(_OBJ_GET_INFO_BY_FD, attributes) < 0:
        raise NotFound("the kernel says nothing of the program's code")


def _part(fd: int, place: tuple[int, int, int, int]) -> bytes:
    """One of the lists of a program: asked for its length first, then for itself."""
    count_at, pointer_at, size_at, size = place
    info = ctypes.create_string_buffer(_SIZE)
    _ask(fd, info)
    count = unpack_from("=I", info, count_at)[0]
    if not count:
        return b""
    out = ctypes.create_string_buffer(count * size)
    info = ctypes.create_string_buffer(_SIZE)
    pack_into("=I", info, count_at, count)
    pack_into("=Q", info, pointer_at, ctypes.addressof(out))
    if size_at:
        pack_into("=I", info, size_at, size)
    _ask(fd, info)
    return out.raw


def machine_code(fd: int) -> bytes:
    return _part(fd, _JITED)


def functions_and_lines(fd: int, btf: BTF) -> tuple[dict[int, int], dict[int, SourceLine]]:
    """By slot: the types of functions that begin there, and the lines that code is of."""
    functions = _part(fd, _FUNCTIONS)
    lines = _part(fd, _LINES)
    starts = {
        unpack_from("=I", functions, at)[0]: unpack_from("=I", functions, at + 4)[0]
        for at in range(0, len(functions), _FUNCTION_SIZE)
    }
    found = {}
    for at in range(0, len(lines), _LINE_SIZE):
        slot, file, text, place = unpack_from("=IIII", lines, at)
        found[slot] = SourceLine(btf.string(file), place >> 10, place & 0x3FF, btf.string(text))
    return starts, found


class _Called:
    """A name in the shape of a helper."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.args: tuple[Any, ...] = ()


class CalledFunctions:
    """Names of kernel functions, by what calls have instead: distances and numbers of functions."""

    def __init__(self, fd: int) -> None:
        raw = _part(fd, _KSYMS)
        self._subprograms = [unpack_from("=Q", raw, at)[0] for at in range(0, len(raw), 8)]
        self._symbols: dict[int, str] | None = None
        self._starts: list[int] = []
        self._base = 0

    def _names(self) -> dict[int, str]:
        if self._symbols is None:
            self._symbols = {}
            try:
                with open("/proc/kallsyms") as lines:
                    for line in lines:
                        address, _, name = line.split(maxsplit=2)
                        number = int(address, 16)
                        name = name.split("\t")[0].strip()
                        if name == "__bpf_call_base":
                            self._base = number
                        self._symbols.setdefault(number, name)
            except (OSError, ValueError):
                self._symbols = {}
        return self._symbols

    def called(self, number: int) -> _Called | None:
        """What a call leads to whose immediate is the distance from the kernel's call base."""
        names = self._names()
        if not self._base:
            return None
        name = names.get(self._base + ((number & 0x7FFFFFFF) - (number & 0x80000000)))
        return _Called(name) if name else None

    def subprogram(self, index: int) -> str:
        """The symbol of a program's own function by its number."""
        if not 0 <= index < len(self._subprograms):
            return ""
        return self._names().get(self._subprograms[index], "")
