"""What tests of the compiler and the linker share: LLVM's text, objects made byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence

# Calls a helper, and a function of its own through the run's `call`, as helpers call back; looks a
# number up in a table of constants.
PROGRAM = """
declare i64 @anybpf_helper_0(i64, i64, i64, i64, i64, ptr)
@anybpf_ops = external global i8
@anybpf_values_0 = external global i8

@numbers = private constant [8 x i64]
    [i64 10, i64 7, i64 3, i64 9, i64 100, i64 1, i64 2, i64 77]

define i64 @anybpf_entry(ptr %context, ptr %run) nounwind {
  %from_helper = call i64 @anybpf_helper_0(i64 1, i64 2, i64 3, i64 4, i64 5, ptr %run)
  %place = getelementptr i8, ptr %run, i64 CALL
  %call = load ptr, ptr %place
  %value = getelementptr i8, ptr @anybpf_ops, i64 16
  %function = ptrtoint ptr %value to i64
  %sum = call i64 %call(ptr %run, i64 %function, i64 %from_helper, i64 2, i64 0, i64 0, i64 0)
  store i64 %sum, ptr @anybpf_values_0
  ret i64 %sum
}

define i64 @anybpf_function_1(i64 %r1, i64 %r2, i64 %r3, i64 %r4, i64 %r5, ptr %run) nounwind {
  %place = getelementptr [8 x i64], ptr @numbers, i64 0, i64 %r2
  %number = load i64, ptr %place
  %sum = add i64 %number, %r1
  ret i64 %sum
}
"""

# A table of addresses (a switch that the optimiser turns to jumps), calls of what LLVM calls by
# itself, calls inside the object.
SWITCHES = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @anybpf_helper_0(i64, i64, i64, i64, i64, ptr)

define i64 @anybpf_entry(ptr %context, ptr %run) nounwind {
  %first = call i64 @anybpf_function_1(i64 0, i64 CASE, i64 1, i64 1, i64 1, ptr %run)
  ret i64 %first
}

define i64 @anybpf_function_1(i64 %r1, i64 %r2, i64 %r3, i64 %r4, i64 %r5, ptr %run)
    nounwind noinline optnone {
  %room = alloca [64 x i8]
  switch i64 %r2, label %other [
    i64 0, label %zero  i64 1, label %one  i64 2, label %two
    i64 3, label %three  i64 4, label %four  i64 5, label %five
  ]
zero:
  call void @llvm.memset.p0.i64(ptr %room, i8 1, i64 %r3, i1 false)
  %filled = load i8, ptr %room
  %wide = zext i8 %filled to i64
  ret i64 %wide
one:
  %shifted = shl i64 %r3, 4
  ret i64 %shifted
two:
  %called = tail call i64 @anybpf_helper_0(i64 5, i64 2, i64 3, i64 4, i64 5, ptr %run)
  ret i64 %called
three:
  %again = call i64 @anybpf_function_1(i64 0, i64 1, i64 2, i64 1, i64 1, ptr %run)
  ret i64 %again
four:
  ret i64 44
five:
  ret i64 55
other:
  ret i64 99
}
"""


def long_program(lines: int) -> str:
    """A program of about so many lines that does not become short."""
    body = ["define i64 @anybpf_entry(ptr %context, ptr %run) nounwind {"]
    value = "1"
    for turn in range(lines // 5):
        body += [
            f"  %place{turn} = getelementptr i8, ptr %run, i64 {8 * (turn % 900)}",
            f"  %old{turn} = load volatile i64, ptr %place{turn}",
            f"  %mixed{turn} = xor i64 %old{turn}, {value}",
            f"  %shifted{turn} = mul i64 %mixed{turn}, {turn * 7919 + 3}",
            f"  %v{turn} = add i64 %shifted{turn}, {turn}",
        ]
        value = f"%v{turn}"
    return "\n".join([*body, f"  ret i64 {value}", "}"]) + "\n"


class Section:
    """One section of an object to be made."""

    def __init__(
        self,
        name: str,
        data: bytes,
        kind: int = 1,
        flags: int = 6,
        align: int = 16,
        relocations: Sequence[tuple[int, int, int, int]] = (),
        size: int | None = None,
        info: int = 0,
    ) -> None:
        self.name = name
        self.data = data
        self.kind = kind
        self.flags = flags
        self.align = align
        self.relocations = relocations  # offset, symbol, type, addend
        self.size = len(data) if size is None else size
        self.info = info


def elf(
    sections: Sequence[Section],
    symbols: Sequence[tuple[str, int, int]] = (),
    machine: int = 62,
) -> bytes:
    """A relocatable object. Sections have numbers from 1, symbols (name, section, value) too."""
    names = bytearray(b"\0")
    strings = bytearray(b"\0")
    table = bytearray(24)
    for name, home, value in symbols:
        table += struct.pack("<IBBHQQ", len(strings), 0x10, 0, home, value, 0)
        strings += name.encode() + b"\0"
    everything = list(sections)
    count = len(sections)
    symbol_index = count + 1
    everything.append(Section(".symtab", bytes(table), 2, 0, 8))
    everything.append(Section(".strtab", bytes(strings), 3, 0, 1))
    links = {symbol_index: (symbol_index + 1, 1)}
    for index, section in enumerate(sections, 1):
        if section.relocations:
            rows = b"".join(
                struct.pack("<QIIq", offset, kind, symbol, addend)
                for offset, symbol, kind, addend in section.relocations
            )
            everything.append(Section(".rela" + section.name, rows, 4, 0, 8))
            links[len(everything)] = (symbol_index, index)
    everything.append(Section(".shstrtab", b"", 3, 0, 1))
    for section in everything:
        names += section.name.encode() + b"\0"
    everything[-1].data = bytes(names)
    everything[-1].size = len(names)
    body = bytearray(64)
    headers = bytearray(64)
    at = 1
    for index, section in enumerate(everything, 1):
        body += bytes(-len(body) % 16)
        link, info = links.get(index, (0, section.info))
        headers += struct.pack(
            "<IIQQQQIIQQ", at, section.kind, section.flags, 0, len(body), section.size,
            link, info, section.align, 0,
        )  # fmt: skip
        at += len(section.name) + 1
        body += section.data
    body += bytes(-len(body) % 8)
    body[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 1, machine, 1, 0, 0, len(body),
        0, 64, 0, 0, 64, len(everything) + 1, len(everything),
    )  # fmt: skip
    return bytes(body + headers)
