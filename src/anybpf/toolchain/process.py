"""Running a compiler: it ends, and what it prints is bounded.

A compiler that hangs or prints without end must not take the caller with it. What it says is
passed on as it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import IO

from anybpf.errors import CompilerError

# A compiler that says more than this has lost its way: clang stops by itself after 20 errors.
MAX_OUTPUT = 1 << 20
_CHUNK = 1 << 16
_CUT = "\n[… output cut here]\n"


class Finished:
    """How a command ended: its exit status and all that it said."""

    __slots__ = ("status", "text")

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text


def run(command: Sequence[str], timeout: float) -> Finished:
    """Run ``command`` without input for at most ``timeout`` seconds."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CompilerError(f"{command[0]} cannot be run: {reason}") from None
    said = bytearray()
    assert process.stdout is not None
    reader = threading.Thread(target=_drain, args=(process.stdout, said), daemon=True)
    reader.start()
    try:
        status = process.wait(timeout)
        reader.join(timeout)
    except subprocess.TimeoutExpired:
        raise CompilerError(
            f"{command[0]} was stopped after {timeout:g} seconds: it had not finished"
        ) from None
    finally:
        _end(process)
        reader.join(5)
        if not reader.is_alive():
            process.stdout.close()
    text = bytes(said[:MAX_OUTPUT]).decode(errors="replace")
    return Finished(status, text + _CUT if len(said) > MAX_OUTPUT else text)


def _drain(pipe: IO[bytes], into: bytearray) -> None:
    """Read all there is, so that the writer never blocks, and keep the first part."""
    while chunk := os.read(pipe.fileno(), _CHUNK):
        if len(into) <= MAX_OUTPUT:
            into += chunk


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and its children, if any are left."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
