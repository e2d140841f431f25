"""Reading what commands are given and writing what they make, never by halves."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from anybpf.errors import InputError


def read_text(name: str) -> str:
    """The text of a file, or of standard input where the name is '-'."""
    source = Input(name)
    try:
        return source.getvalue().decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source.name}: byte {error.start:#x} is no UTF-8: this is not a text file"
        ) from None


class Input(io.BytesIO):
    """A file read whole, or standard input, under the name that errors give it."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
        self.name = "<stdin>" if name == "-" else name


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    if path.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
