"""Every error that anybpf raises on purpose, in one tree.

    AnyBPFError
    ├── InputError               what was given cannot be used as it is
    │   ├── ObjectError          an object file: file, section, byte offset
    │   ├── BTFError             type information: byte offset or type id
    │   ├── DecodeError          bytes that are no instruction: slot number
    │   ├── EncodeError          an instruction that has no encoding
    │   ├── AssemblerError       assembly text: line and column
    │   ├── LinkError            objects that cannot be made one, calls that lead nowhere
    │   └── CompilerError        C source that the compiler refused, or no compiler
    ├── NotFound                 a name that nothing here bears
    └── NotSupported             a back end or platform that cannot do it

An error says what was attempted, on what, what was found, and what to do next. This module knows
nothing of files, platforms or commands; whoever raises the error does.
"""

from __future__ import annotations


class AnyBPFError(Exception):
    """The root of the tree: catch this to catch everything that anybpf raises on purpose."""

    exit_code = 2


class InputError(AnyBPFError):
    """Something that was given cannot be used as it is."""


class ObjectError(InputError):
    """An object file is damaged or asks for something that does not exist.

    ``file``, ``section`` and ``offset`` (in bytes from the start of the file) tell where, as far
    as is known.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str = "",
        section: str = "",
        offset: int | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.section = section
        self.offset = offset
        super().__init__(message, file, section, offset)

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.section:
            place.append(f"section {self.section}")
        if self.offset is not None:
            place.append(f"byte {self.offset:#x}")
        return f"{', '.join(place)}: {self.message}" if place else self.message


class BTFError(ObjectError):
    """Type information is damaged, or lacks what was looked for."""


class LinkError(ObjectError):
    """Objects cannot be made one, or a reference leads nowhere."""


class DecodeError(InputError):
    """Bytes are not a legal instruction; ``slot`` counts units of eight bytes from zero."""

    def __init__(self, message: str, *, slot: int) -> None:
        self.message = message
        self.slot = slot
        super().__init__(message, slot)

    def __str__(self) -> str:
        return f"slot {self.slot}: {self.message}"


class EncodeError(InputError):
    """An instruction has a field that its encoding cannot hold."""


class AssemblerError(InputError):
    """Assembly text is wrong at ``line`` and ``column``, both counted from one."""

    def __init__(
        self, message: str, *, line: int, column: int, text: str = "", file: str = ""
    ) -> None:
        self.message = message
        self.line = line
        self.column = column
        self.text = text
        self.file = file
        super().__init__(message, line, column, text, file)

    def __str__(self) -> str:
        where = f"{self.file or 'line'}{':' if self.file else ' '}{self.line}:{self.column}"
        return f"{where}: {self.message}" + (f" in '{self.text.strip()}'" if self.text else "")


class CompilerError(InputError):
    """The C compiler refused a source file, or there is no compiler that makes BPF."""


class NotFound(AnyBPFError):
    """A program, section, map, type or platform of that name is not there."""


class NotSupported(AnyBPFError):
    """A platform or back end lacks a feature; ``since`` names the version that has it, if any."""

    exit_code = 1

    def __init__(self, feature: str, *, where: str, since: str = "") -> None:
        self.feature = feature
        self.where = where
        self.since = since
        super().__init__(feature, where, since)

    def __str__(self) -> str:
        needs = f" (needs {self.since} or newer)" if self.since else ""
        return f"{self.feature} is not supported on {self.where}{needs}"
