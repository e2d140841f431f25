"""Libraries that a C compiler made of emitted C: opened, and attached to the programs they are of.

Such a library holds machine code and nothing that proves it: what it was made of is compared with
the program that was verified here, what the compiler made of it is believed. So it is never signed,
and whoever runs only what is signed must not come here. Images that stand for themselves are the
business of ``image``.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from anybpf import _core
from anybpf.engines.lowering import UNPROVED, Source
from anybpf.engines.lowering.c import identity
from anybpf.errors import ImageError

_MAGIC: Final = b"ANYBPFC1"
# More than any file has.
_MOST: Final = 1 << 16
_word = ctypes.c_uint32
_text = ctypes.c_char_p


# include/anybpf/native.h has the same.
class _Import(ctypes.Structure):
    _fields_ = (("program", _text), ("symbol", _text))


class _Function(ctypes.Structure):
    _fields_ = (("slot", _word), ("function", ctypes.c_void_p))


class _Program(ctypes.Structure):
    _fields_ = (
        ("name", _text),
        ("identity", _text),
        ("entry", ctypes.c_void_p),
        ("functions", ctypes.POINTER(_Function)),
        ("function_count", _word),
    )


class _Image(ctypes.Structure):
    _fields_ = (
        ("magic", ctypes.c_uint8 * 8),
        ("abi", _word),
        ("program_count", _word),
        ("import_count", _word),
        ("programs", ctypes.POINTER(_Program)),
        ("imports", ctypes.POINTER(_Import)),
        ("cells", ctypes.POINTER(ctypes.c_void_p)),
    )


class CProgram:
    """A program of a library: addresses, and what it was made of."""

    __slots__ = ("entry", "functions", "identity", "name")

    def __init__(self, name: str, made_of: str, entry: int) -> None:
        self.name: str = name
        self.identity: str = made_of
        self.entry: int = entry
        self.functions: list[tuple[int, int]] = []


class CLibrary:
    """An open library. It is closed when neither this object nor a program that runs it is left.

    Every one opened is the system's own copy: the addresses that it holds are those of one
    collection's maps.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        self._library: ctypes.CDLL | None = None
        self._library = _open_copy(self.path)
        self.programs: dict[str, CProgram] = {}
        self._attached: set[str] = set()
        self._image: _Image = self._find()
        self._read()

    def __del__(self) -> None:
        library, self._library = self._library, None
        if library is not None:
            _close(library)

    def _problem(self, text: str) -> ImageError:
        return ImageError(text, file=self.path)

    def _find(self) -> _Image:
        assert self._library is not None
        try:
            image = _Image.in_dll(self._library, "anybpf_image")
        except ValueError:
            raise self._problem("this library holds no programs: it has no anybpf_image") from None
        if bytes(image.magic) != _MAGIC:
            raise self._problem("its anybpf_image is not of a form that this version knows")
        if image.abi != _core.NATIVE_ABI:
            raise self._problem(
                f"its code is for version {image.abi} of the runtime's interface, this is version "
                f"{_core.NATIVE_ABI}: emit the C again"
            )
        if image.program_count > _MOST or image.import_count > _MOST:
            raise self._problem("its table of programs cannot be as long as it says")
        return image

    def _read(self) -> None:
        for row in self._image.programs[: self._image.program_count]:
            name = (row.name or b"").decode(errors="replace")
            one = CProgram(name, (row.identity or b"").decode(errors="replace"), row.entry or 0)
            for function in row.functions[: row.function_count]:
                one.functions.append((function.slot, function.function))
            self.programs[name] = one

    def attach(self, program: _core.Program, source: Source, checks: str = UNPROVED) -> None:
        """From now on runs of the program that begin are runs of this library's code.

        ``source`` is what it would be compiled from here; :class:`ImageError` if the library's
        program was made of anything else.
        """
        one = self.programs.get(source.name)
        if one is None:
            there = ", ".join(self.programs) or "none"
            raise self._problem(f"it has no program {source.name}; there are: {there}")
        if one.identity != identity(source, checks):
            raise self._problem(
                f"its program {source.name} was made of other code, other facts or other maps: "
                "emit the C again"
            )
        if source.name in self._attached:
            raise self._problem(f"its program {source.name} is in use: open the library again")
        self._attached.add(source.name)
        self._fill(source.name, program.symbol)
        starts = [one.entry, *[place for _, place in one.functions]]
        first = min(starts)
        code = _core.Code.adopt(first, max(starts) - first + 1, self)
        functions = [(slot, place - first) for slot, place in one.functions]
        program.attach_code(code, one.entry - first, functions)

    def _fill(self, program: str, resolve: Callable[[str], int]) -> None:
        cells = self._image.cells
        for number, row in enumerate(self._image.imports[: self._image.import_count]):
            owner = (row.program or b"").decode(errors="replace")
            if owner not in ("", program):
                continue
            name = (row.symbol or b"").decode(errors="replace")
            try:
                cells[number] = resolve(name)
            except LookupError:
                raise self._problem(
                    f"its program {program} refers to {name}, which is not there"
                ) from None


def _open_copy(path: str) -> ctypes.CDLL:
    """The library, under a name that nobody else has opened, so that its data is our own."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}", file=path) from error
    folder = tempfile.mkdtemp(prefix="anybpf-")
    copy = os.path.join(folder, "program" + (os.path.splitext(path)[1] or ".so"))
    try:
        with open(copy, "wb") as stream:
            stream.write(data)
        return ctypes.CDLL(copy)
    except OSError as error:
        raise ImageError(f"the system cannot load it: {error}", file=path) from error
    finally:
        # Where a library that is loaded cannot be removed, it stays until the system clears up.
        for remove, place in ((os.unlink, copy), (os.rmdir, folder)):
            try:
                remove(place)
            except OSError:
                break


def _close(library: ctypes.CDLL) -> None:
    close = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary", None)
    if close is not None:
        close(library._handle)
