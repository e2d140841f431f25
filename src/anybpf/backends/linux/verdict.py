"""Loading one program into the kernel, and what its verifier says.

The first attempt asks for no log, which is fastest; only a program that is refused is loaded again
for the reason, with a log that grows until all of it fits.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from struct import pack
from typing import Final

from anybpf.backends.linux import syscall
from anybpf.errors import AnyBPFError, VerifierError

SLEEPABLE: Final = 1 << 4
HAS_FRAGS: Final = 1 << 5

LOG_STEPS: Final = 1
_LOG_FIRST: Final = 1 << 16
# The most that the kernel takes: kernel/bpf/log.c, bpf_verifier_log_attr_valid.
_LOG_MOST: Final = 0xFFFFFFFF >> 2
_TRIES: Final = 5
_STATISTICS: Final = re.compile(r"^(verification time|stack depth|processed) ")
_TIME: Final = re.compile(r"^verification time (\d+) usec", re.MULTILINE)
_PROCESSED_AT: Final = re.compile(r"(?<=.)processed \d+ insns")
_PROCESSED: Final = re.compile(r"processed (\d+) insns")


@dataclass(frozen=True, slots=True)
class KernelVerdict:
    """What the kernel's verifier said of a program: its whole log, and the error number (0: none).

    An empty log beside an error number means that the program never came before the verifier.
    """

    program: str
    errno: int
    log: str

    @property
    def ok(self) -> bool:
        return self.errno == 0

    @property
    def reason(self) -> str:
        """The last line of the log that is about the program; the error number's word without."""
        if self.ok:
            return ""
        lines = [line for line in self.log.splitlines() if line and not _STATISTICS.match(line)]
        # Some of the kernel's messages lack the end of their line.
        return (
            _PROCESSED_AT.split(lines[-1])[0].strip()
            if lines
            else f"before verification: {syscall.text(self.errno)}"
        )

    @property
    def verification_ns(self) -> int:
        """How long the verifier took by its own clock, 0 if it does not say."""
        found = _TIME.search(self.log)
        return int(found[1]) * 1000 if found else 0

    @property
    def processed(self) -> int:
        """How many instructions it went through on all paths, 0 if it does not say."""
        found = _PROCESSED.search(self.log)
        return int(found[1]) if found else 0

    def __str__(self) -> str:
        word = "accepted" if self.ok else "refused"
        return f"{word} by the kernel{': ' if self.reason else ''}{self.reason}"


@dataclass(slots=True)
class ProgramLoad:
    """One program as the kernel takes it."""

    name: str
    code: bytes
    type: int
    attach_type: int = 0
    license: str = ""
    flags: int = 0
    types_fd: int = 0
    functions: bytes = b""
    lines: bytes = b""
    attach_btf_id: int = 0

    def attempt(self, level: int, size: int) -> tuple[int, str, bool]:
        """The descriptor or minus the error number, the log, and whether that was cut off."""
        code = create_string_buffer(self.code, len(self.code))
        license_text = create_string_buffer(self.license.encode())
        functions = create_string_buffer(self.functions, len(self.functions) + 1)
        lines = create_string_buffer(self.lines, len(self.lines) + 1)
        log = create_string_buffer(size) if level else None
        typed = self.types_fd if self.functions else 0
        attributes = pack(
            "=IIQQIIQII16sIIIIQIIQIIII",
            self.type,
            len(self.code) // 8,
            addressof(code),
            addressof(license_text),
            level,
            size if level else 0,
            0 if log is None else addressof(log),
            0,  # the kernel's version: asked for by old kernels only
            self.flags,
            syscall.kernel_name(self.name),
            0,  # no device
            self.attach_type,
            typed,
            8 if typed else 0,
            addressof(functions) if typed else 0,
            len(self.functions) // 8 if typed else 0,
            16 if typed and self.lines else 0,
            addressof(lines) if typed and self.lines else 0,
            len(self.lines) // 16 if typed else 0,
            self.attach_btf_id,
            0,
            0,
        )
        for _ in range(_TRIES):
            result = syscall.call(syscall.PROG_LOAD, attributes)
            if result != -errno.EAGAIN:  # a signal came in between
                break
        text = "" if log is None else log.value.decode(errors="replace")
        return result, text, bool(level) and len(text) + 1 >= size

    def with_log(self, level: int) -> tuple[int, str]:
        """The same with all of the log, however long it is."""
        size = _LOG_FIRST
        while True:
            result, text, cut = self.attempt(level, size)
            if not cut or size >= _LOG_MOST:
                return result, text
            if result >= 0:
                os.close(result)
            size = min(size * 8, _LOG_MOST)


def load_program(
    wanted: ProgramLoad, log_level: int = 0, explain: Callable[[KernelVerdict], str] | None = None
) -> tuple[int, str]:
    """A descriptor, and the log if one was asked for; :class:`VerifierError` if it is refused."""
    if log_level:
        result, log = wanted.with_log(log_level)
    else:
        result, log, _ = wanted.attempt(0, 0)
        if result < 0:
            result, log = wanted.with_log(LOG_STEPS)
    if result >= 0:
        return result, log if log_level else ""
    raise _refused(wanted, -result, log, explain)


def _refused(
    wanted: ProgramLoad,
    number: int,
    log: str,
    explain: Callable[[KernelVerdict], str] | None,
) -> AnyBPFError:
    verdict = KernelVerdict(wanted.name, number, log)
    if number == errno.EPERM and not log.strip():
        return syscall.not_permitted(f"loading program {wanted.name}")
    more = "" if explain is None else explain(verdict)
    message = f"program {wanted.name} was refused by the kernel: {verdict.reason}{more}"
    if log.strip():
        message += f" [{syscall.word(number)}; the whole log: error.verification.log]"
    return VerifierError(message, verification=verdict)
