"""Programs for the tests of the interpreter: from text or from single instructions."""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Sequence

from anybpf import _core
from anybpf.isa import encode
from anybpf.isa.assembler import assemble

CODES = [-number for number in range(len(_core.STATUSES))]
EXIT = (0x95, 0, 0, 0, 0)
_numbers = itertools.count(1)
BIG = sys.byteorder == "big"


def slot(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    """One unit of eight bytes in the machine's order."""
    registers = dst << 4 | src if BIG else src << 4 | dst
    return struct.pack("=BBhi", opcode, registers, offset, imm)


def code(*slots: tuple[int, ...]) -> bytes:
    return b"".join(slot(*fields) for fields in slots)


def program(
    source: str | bytes,
    *,
    domain: _core.Domain | None = None,
    number: int = 0,
    maps: Sequence[_core.Map] = (),
    helpers: Sequence[object] = (),
    codes: Sequence[int] = CODES,
    context_size: int = 0,
    packet_fields: tuple[int, int, int] = (-1, -1, -1),
    length_field: int = -1,
    handler: int = 0,
    compatible: int = 0,
) -> _core.Program:
    """A program from assembly text (LLVM's dialect) or code."""
    made = source if isinstance(source, bytes) else encode(assemble(source), big_endian=BIG)
    return _core.Program(
        domain or _core.Domain(2),
        number or next(_numbers),
        "test",
        made,
        maps,
        helpers,
        codes,
        context_size=context_size,
        packet_fields=packet_fields,
        length_field=length_field,
        handler=handler,
        compatible=compatible,
    )


def ends(stop: object) -> str:
    """The name of a stop's reason; the run must have stopped."""
    assert isinstance(stop, tuple), f"the program ended by itself with {stop!r}"
    return _core.ENDS[stop[0]]
