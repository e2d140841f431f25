"""What programs print (``bpf_printk``), line by line, as the runtime keeps it.

The store is bounded: the oldest lines go when nobody reads them, and are counted.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from anybpf import _core

if TYPE_CHECKING:
    from anybpf.runtime.runtime import Runtime


class LogLine(NamedTuple):
    """One line: when (monotonic ns), which program by number and name, where, and what."""

    time: int
    program: int
    program_name: str
    cpu: int
    pid: int
    text: str

    def __str__(self) -> str:
        name = self.program_name or "?"
        return f"{name}-{self.program} [{self.cpu:03}] {self.time / 1e9:.6f}: {self.text}"


class Log:
    """The lines of a runtime's programs. Reading takes them."""

    def __init__(self, domain: _core.Domain, runtime: Runtime) -> None:
        self._core: _core.Log = _core.Log(domain)
        self._runtime: weakref.ref[Runtime] = weakref.ref(runtime)
        self._closed: bool = False

    def read(self, timeout: float | None = 0.0) -> LogLine | None:
        """The oldest line, or None if none came in that time; a timeout of None waits for ever."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._closed:
            ticket = self._core.ticket
            found = self._core.read()
            if found is not None:
                return self._line(*found)
            left = 3600.0 if end is None else end - time.monotonic()
            if left <= 0:
                return None
            self._core.wait(ticket, min(left, 1.0))
        return None

    def lines(self) -> Iterator[LogLine]:
        """All lines that are there now."""
        while (line := self.read()) is not None:
            yield line

    def __iter__(self) -> Iterator[LogLine]:
        """Lines as they come, until the runtime is closed."""
        while (line := self.read(None)) is not None:
            yield line

    @property
    def lost(self) -> int:
        """Lines that went because nobody read them."""
        return 0 if self._closed else self._core.lost

    def close(self) -> None:
        """As the runtime closes: what is printed from now on is gone."""
        if not self._closed:
            self._closed = True
            self._core.close()

    def _line(self, when: int, program: int, cpu: int, pid: int, text: str) -> LogLine:
        runtime = self._runtime()
        name = "" if runtime is None else runtime.name_of(program)
        return LogLine(when, program, name, cpu, pid, text)
