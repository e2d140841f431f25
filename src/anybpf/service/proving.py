"""Verification in processes without rights: each verifies one object, and one waits in advance.

Whatever an object does to such a process (a crash, a hang, all its memory), the service goes on and
the client who sent it gets an error. What the processes do is the business of ``prover``.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from anybpf.errors import InputError
from anybpf.service import prover, wire

# How much longer than its processor time a prover may take, in all.
PATIENCE = 15.0


class Provers:
    """Verifies objects, each in a fresh process."""

    def __init__(
        self, *, memory: int = prover.MEMORY, seconds: int = prover.SECONDS, spare: bool = True
    ) -> None:
        self.memory: int = memory
        self.seconds: int = seconds
        # What the system does not let provers give up, once one has said it.
        self.missing: list[str] | None = None
        self.crashes: int = 0
        self._spare: subprocess.Popen[bytes] | None = None
        self._keeps_spare: bool = spare
        self._lock = threading.Lock()
        self._closed: bool = False
        if spare:
            self._spare = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "anybpf.service.prover", str(self.memory), str(self.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment(),
            close_fds=True,
            start_new_session=True,
        )

    def prove(self, data: bytes, options: dict[str, Any], platform: str, cpus: int) -> bytes:
        """The proof of an object, unsigned; errors as those of a load."""
        with self._lock:
            if self._closed:
                raise InputError("the service is stopping")
            process, self._spare = self._spare, None
        if process is None:
            process = self._start()
        try:
            answer = self._ask(
                process, {"data": data, "options": options, "platform": platform, "cpus": cpus}
            )
        finally:
            end(process)
            self._refill()
        if answer[0] == "ok" and isinstance(answer[1], str | bytes):
            return b"" if isinstance(answer[1], str) else answer[1]
        raise wire.error_from_wire(answer[1])

    def _refill(self) -> None:
        with self._lock:
            if self._keeps_spare and self._spare is None and not self._closed:
                self._spare = self._start()

    def _ask(self, process: subprocess.Popen[bytes], told: dict[str, Any]) -> list[Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        deadline = time.monotonic() + self.seconds + PATIENCE
        try:
            ready = _read(process.stdout.fileno(), deadline)
            self.missing = [str(one) for one in ready[1]]
            _write(process.stdin.fileno(), wire.encode(told), deadline)
            answer = _read(process.stdout.fileno(), deadline)
            if not isinstance(answer, list) or len(answer) != 2 or answer[0] not in ("ok", "error"):
                raise InputError("what verified the object gave no answer that can be read")
        except TimeoutError:
            self.crashes += 1
            raise InputError(
                f"the object was not verified within {self.seconds + PATIENCE:.0f} seconds: make "
                "it smaller, or verify it by itself with `anybpf verify`"
            ) from None
        except (EOFError, OSError, wire.WireError):
            self.crashes += 1
            raise InputError(
                f"verifying the object ended the process that did it ({_how(process)}); the "
                "service goes on"
            ) from None
        return answer

    def close(self) -> None:
        with self._lock:
            self._closed = True
            process, self._spare = self._spare, None
        if process is not None:
            end(process)


def environment() -> dict[str, str]:
    """What a prover needs to find its modules, and nothing else of ours."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "ANYBPF_PURE")
        if name in os.environ
    }
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    return kept


def end(process: subprocess.Popen[bytes]) -> None:
    """End a prover, at once and whatever it is doing, and everything it has."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue  # a pipe whose other end is gone: nothing is left to be said


def _how(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(1.0)
    except subprocess.TimeoutExpired:
        return "it stopped answering"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _wait(fd: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(fd, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError


def _read(fd: int, deadline: float) -> Any:
    got = bytearray()
    while not (size := wire.frame_size(got)) or len(got) < size:
        _wait(fd, select.POLLIN, deadline)
        block = os.read(fd, 1 << 16)
        if not block:
            raise EOFError
        got += block
    return wire.decode(got)


def _write(fd: int, data: bytes, deadline: float) -> None:
    os.set_blocking(fd, False)
    view = memoryview(data)
    while view:
        _wait(fd, select.POLLOUT, deadline)
        view = view[os.write(fd, view) :]
