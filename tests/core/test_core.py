"""The C core's gate and the Python codec say the same of every instruction."""

from __future__ import annotations

import random
import struct

import pytest

from anybpf import _core
from anybpf.errors import DecodeError
from anybpf.isa import decode

EXIT = bytes.fromhex("9500000000000000")


def codec_says(code: bytes, big_endian: bool = False) -> int | None:
    """The slot that the Python codec refuses, or None."""
    try:
        decode(code, big_endian=big_endian)
    except DecodeError as error:
        return error.slot
    return None


def core_says(code: bytes, big_endian: bool = False) -> int | None:
    verdict = _core.check_instructions(code, big_endian)
    return None if verdict is None else verdict[1]


@pytest.mark.parametrize("opcode", range(256))
def test_agree_on_every_opcode_and_field(opcode: int) -> None:
    half = bytes(8) if opcode == 0x18 else b""
    for regs in (0x00, 0x01, 0x10, 0x21, 0x30, 0x60, 0x70, 0x0B, 0xB0):
        for offset in (0, 1, 2, 8, 16, 32, -1):
            for imm in (0, 1, 16, 32, 64, 0x50, 0xE0, 0xE1, 0xF1, 0x100, 0x110, 0x10000, -1):
                code = struct.pack("<BBhi", opcode, regs, offset, imm) + half
                assert core_says(code) == codec_says(code), code.hex(" ")


def test_agree_on_random_code() -> None:
    rng = random.Random(20260)
    refused = 0
    for _ in range(4000):
        code = b"".join(
            struct.pack(
                "<BBhi",
                rng.choice((0x07, 0x0F, 0x18, 0x85, 0x95, 0xB7, rng.randrange(256))),
                rng.choice((0, rng.randrange(256))),
                rng.choice((0, 0, rng.randrange(-4, 5))),
                rng.choice((0, 1, 16, rng.randrange(-(2**31), 2**31))),
            )
            for _ in range(rng.randrange(1, 6))
        )
        for big_endian in (False, True):
            assert core_says(code, big_endian) == codec_says(code, big_endian), code.hex(" ")
        refused += core_says(code) is not None
    assert 400 < refused < 3900, "the generator draws too one-sidedly to compare anything"


def test_a_whole_program_must_stay_inside_itself() -> None:
    assert _core.check_program(EXIT) is None
    jump_out = bytes.fromhex("0500020000000000")
    assert _core.check_instructions(jump_out + EXIT) is None
    fault, slot = _core.check_program(jump_out + EXIT) or (0, -1)
    assert (fault, slot) == (11, 0)
    assert _core.check_program(b"") is not None


def test_what_is_no_bytes_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        _core.check_program("text")  # type: ignore[arg-type]
