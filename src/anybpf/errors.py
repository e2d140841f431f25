"""Every error that anybpf raises on purpose, in one tree.

    AnyBPFError
    ├── InputError               what was given cannot be used as it is
    │   ├── ObjectError          an object file: file, section, byte offset
    │   ├── BTFError             type information: byte offset or type id
    │   ├── DecodeError          bytes that are no instruction: slot number
    │   ├── EncodeError          an instruction that has no encoding
    │   ├── AssemblerError       assembly text: line and column
    │   ├── LinkError            objects that cannot be made one, calls that lead nowhere
    │   ├── CompilerError        C source that the compiler refused, or no compiler
    │   ├── CompileError         a program that could not be turned into machine code
    │   ├── ImageError           a native image or a proof that is not believed: why
    │   └── VerifierError        a program that was not proved safe: its verification
    ├── MapError                 an operation that a map refuses: which map, key and why
    │   ├── NoSuchKey            nothing is there; a KeyError too
    │   ├── KeyExists            something is there already
    │   └── MapFull              no room for another entry
    ├── NotFound                 a name that nothing here bears
    ├── NotSupported             a back end or platform that cannot do it
    ├── PolicyError              a policy of the runtime forbids it: which one
    ├── ClosedError              an object that was closed, and is used
    ├── RingTimeout              no record to read, or no room for one, in the time given
    └── RunError                 a program that was stopped: why and at which instruction

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


class CompileError(InputError):
    """A program could not be turned into machine code; ``program`` is its name, if known."""

    def __init__(self, message: str, *, program: str = "") -> None:
        self.message = message
        self.program = program
        super().__init__(message, program)

    def __str__(self) -> str:
        return f"program {self.program}: {self.message}" if self.program else self.message


class ImageError(InputError):
    """A native image or a proof is damaged, not signed by whom it should be, or out of date."""

    def __init__(self, message: str, *, file: str = "") -> None:
        self.message = message
        self.file = file
        super().__init__(message, file)

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message


class VerifierError(InputError):
    """A program was not proved safe, so it is not loaded.

    ``verification`` is the :class:`anybpf.verifier.Verification` that says why.
    """

    exit_code = 1

    def __init__(self, message: str, *, verification: object = None) -> None:
        self.message = message
        self.verification = verification
        super().__init__(message)


class PolicyError(AnyBPFError):
    """A policy of the runtime forbids it; ``policy`` names the one and ``rule`` what it says."""

    exit_code = 1

    def __init__(self, message: str, *, policy: str, rule: str) -> None:
        self.message = message
        self.policy = policy
        self.rule = rule
        super().__init__(message, policy, rule)

    def __str__(self) -> str:
        return f"{self.message}: policy {self.policy!r} says {self.rule}"


# What eBPF for Windows calls it.
BlockedByPolicy = PolicyError


class ClosedError(AnyBPFError, ValueError):
    """An object is used after it was closed."""


class RunError(AnyBPFError):
    """A program was stopped before its end.

    ``reason`` is one word ("out-of-bounds", "out-of-budget", ...), ``program`` the name of the
    program that ran at that moment and ``slot`` the instruction in it, in units of eight bytes.
    """

    def __init__(
        self, message: str, *, reason: str = "", program: str = "", slot: int = -1
    ) -> None:
        self.message = message
        self.reason = reason
        self.program = program
        self.slot = slot
        super().__init__(message, reason, program, slot)

    def __str__(self) -> str:
        return self.message


class MapError(AnyBPFError):
    """A map refuses an operation.

    ``map_name`` is its name, ``status`` the core's word for why, ``number`` what a program sees
    for it on the map's platform (0 if nothing), ``key`` what it was about.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        map_name: str = "",
        status: str = "",
        number: int = 0,
        key: object = None,
    ) -> None:
        self.message = message
        self.map_name = map_name
        self.status = status
        self.number = number
        self.key = key
        super().__init__(message, map_name, status, number, key)

    def __str__(self) -> str:
        return self.message


class NoSuchKey(MapError, KeyError):
    """A map has no entry of that key."""


class KeyExists(MapError):
    """A map has an entry of that key already, and was told not to replace it."""


class MapFull(MapError):
    """A map has no room for another entry."""


class RingTimeout(AnyBPFError, TimeoutError):
    """A ring had no record to read, or no room for one, in the time that was given."""

    exit_code = 1


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
