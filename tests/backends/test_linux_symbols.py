"""Where functions begin in programs and libraries."""

from __future__ import annotations

import ctypes
import random
import sys
from pathlib import Path

import pytest

from anybpf.backends.linux.symbols import symbol_offset
from anybpf.errors import AnyBPFError, NotFound, ObjectError


def test_a_function_is_found_where_the_loader_put_it() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("it looks into its own memory by procfs")
    address = ctypes.cast(ctypes.CDLL(None).getppid, ctypes.c_void_p).value
    assert address is not None
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, place, _, _, *name = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= address < end and name:
            assert symbol_offset(name[0], "getppid") == address - start + int(place, 16)
            return
    pytest.fail("getppid is in no file")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere cannot be read: No such file"):
        symbol_offset(str(tmp_path / "nowhere"), "main")
    (tmp_path / "text").write_text("#!/bin/sh\n")
    with pytest.raises(ObjectError, match="no 64-bit ELF file"):
        symbol_offset(str(tmp_path / "text"), "main")


def test_damaged_files_are_told_so(tmp_path: Path, droppacket: Path) -> None:
    """Whatever is in the headers: an error of ours, in no time."""
    whole = droppacket.read_bytes()
    place = tmp_path / "damaged"
    dice = random.Random(6)
    for _ in range(500):
        data = bytearray(whole[: dice.randrange(64, len(whole))])
        for _ in range(dice.randrange(1, 12)):
            at = dice.randrange(5, len(data)) if dice.random() < 0.5 else dice.randrange(5, 64)
            data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        place.write_bytes(data)
        try:
            assert symbol_offset(str(place), "drop_packet") >= 0
        except AnyBPFError:
            continue
