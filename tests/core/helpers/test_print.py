"""What programs print and format: as printk does."""

from __future__ import annotations

import os
import random
from struct import pack

import pytest

from anybpf import _core
from fuzz import linux_syscall
from tests.core.helpers.running import Case, Result, kernel
from tests.core.helpers.texts import fetch, pointer, store

EINVAL = -22
RDONLY_PROG = 1 << 7
PLACE = 64  # of the text, at the end of the stack and of the packet
READS_ONLY = _core.MAP_FLAGS["PROGRAM_READS_ONLY"]


def formatting(arguments: int, size: int = PLACE) -> str:
    """Arguments come with the packet, the text goes back with it; the format is map 0's value."""
    return (
        fetch(160)
        + pointer("r1", -PLACE)
        + f"r2 = {size}\nr3 = value 0 ll\n"
        + pointer("r4", -160)
        + f"r5 = {8 * arguments}\ncall bpf_snprintf\nr7 = r0\n"
        + store(160)
    )


def here(form: bytes, words: list[int], size: int = PLACE) -> tuple[Result, bytes]:
    case = Case(shape())
    case.maps[0].update(bytes(4), form.ljust(128, b"\0"))
    result = case.run(formatting(len(words), size), packet(words))
    assert not result.end
    assert result.packet is not None
    return result, result.packet[96:]


def shape() -> dict[str, object]:
    return {
        "kind": "array", "key_size": 4, "value_size": 128, "max_entries": 1, "flags": READS_ONLY
    }  # fmt: skip


def packet(words: list[int]) -> bytes:
    return b"".join(pack("=Q", word & 0xFFFFFFFFFFFFFFFF) for word in words).ljust(96, b"\0") + (
        b"\xaa" * PLACE
    )


def there(form: bytes, words: list[int], size: int = PLACE) -> tuple[int, bytes]:
    problem = linux_syscall.unavailable()
    if problem:
        pytest.skip(problem)
    descriptor = linux_syscall.create_map(2, 4, 128, 1, flags=RDONLY_PROG)
    try:
        linux_syscall.update_map(descriptor, bytes(4), form.ljust(128, b"\0"))
        linux_syscall.freeze_map(descriptor)
        value, changed = kernel(formatting(len(words), size), packet(words), maps=[descriptor])
    finally:
        os.close(descriptor)
    return value, changed[96:]


FORMATS: list[tuple[bytes, list[int]]] = [
    (b"plain", []),
    (b"100%%", []),
    (b"%d %i %u", [-1, 1 << 31, -1]),
    (b"%x %X", [0xBEEF, 0xBEEF]),
    (b"%ld %lu %lx", [-1, -1, -1]),
    (b"%lld %llu %llx", [-(1 << 63), 1 << 63, 1 << 63]),
    (b"[%5d] [%-5d] [%05d]", [42, 42, 42]),
    (b"[%+d] [% d] [%+5d]", [42, 42, -42]),
    (b"[%-05d] [%+05d] [% 05d]", [7, 7, 7]),
    (b"[%20x] [%020x] [%-20x]", [255, 255, 255]),
    (b"[%c%c]", [ord("o"), ord("k")]),
    (b"%px", [0x1234]),
    (b"%px", [0xFFFF888000000000]),
    (b"%d%d%d%d%d%d", [1, 2, 3, 4, 5, 6]),
    (b"more than what there is room for, and a number: %llx", [(1 << 64) - 1]),
    (b"%s", [0]),
]


@pytest.mark.parametrize(("form", "words"), FORMATS, ids=str)
@pytest.mark.parametrize("size", [PLACE, 10, 1])
def test_text_is_formatted_as_in_the_kernel(form: bytes, words: list[int], size: int) -> None:
    value, text = there(form, words, size)
    result, ours = here(form, words, size)
    end = min(value, size)
    assert (result.value, ours[:end]) == (value, text[:end])
    assert ours[end:] == b"\xaa" * (PLACE - end)


def test_random_formats_are_formatted_as_in_the_kernel() -> None:
    random_ = random.Random(5)
    for _ in range(60):
        form, words = "", []
        for _ in range(random_.randint(1, 3)):
            flags = "".join(random_.choices("0+- ", k=random_.randint(0, 2)))
            width = random_.choice(["", "3", "12"])
            length = random_.choice(["", "l", "ll"])
            form += f"<%{flags}{width}{length}{random_.choice('diuxX')}>"
            words.append(random_.choice([0, 1, -1, 77, random_.getrandbits(64)]))
        value, text = there(form.encode(), words)
        result, ours = here(form.encode(), words)
        assert (form, result.value, ours[:value]) == (form, value, text[:value])


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (b"%", [1]),
        (b"%z", [1]),
        (b"%d", []),
        (b"%.3d", [1]),
        (b"%#x", [1]),
        (b"%hd", [1]),
        (b"%llld", [1]),
        (b"%pI5", [1]),
        (b"%pz", [1]),
        (b"caf\xc3\xa9", []),
        (b"\x01", []),
    ],
    ids=str,
)
def test_other_formats_are_refused(form: bytes, words: list[int]) -> None:
    assert here(form, words)[0].value == EINVAL


POINTERS = """
r1 = {word} ll
*(u64 *)(r10 - 16) = r1
r1 = {second} ll
*(u64 *)(r10 - 8) = r1
r1 = r10
r1 += -16
*(u64 *)(r10 - 24) = r1
r1 = r10
r1 += -88
r2 = 64
r3 = value 0 ll
r4 = r10
r4 += -24
r5 = 8
call bpf_snprintf
r7 = r0
{read}
r0 = r7
exit
"""


@pytest.mark.parametrize(
    ("form", "data", "text"),
    [
        (b"%s", b"text\0", b"text"),
        (b"[%6s] [", b"text\0", None),
        (b"%pks", b"text\0", b"text"),
        (b"%pus", b"text\0", b"text"),
        (b"%pI4", bytes([192, 168, 0, 1]), b"192.168.0.1"),
        (b"%pi4", bytes([192, 168, 0, 1]), b"192.168.000.001"),
        (b"%pI6", bytes(range(16)), b"0001:0203:0405:0607:0809:0a0b:0c0d:0e0f"),
        (b"%pi6", bytes(range(16)), b"000102030405060708090a0b0c0d0e0f"),
    ],
)
def test_what_pointers_lead_to_is_shown(form: bytes, data: bytes, text: bytes | None) -> None:
    words = [int.from_bytes(data.ljust(16, b"\0")[at : at + 8], "little") for at in (0, 8)]
    case = Case(shape(), {"kind": "array", "key_size": 4, "value_size": 64, "max_entries": 1})
    case.maps[0].update(bytes(4), form.ljust(128, b"\0"))
    copy = "r1 = value 1 ll\nr2 = 64\nr3 = r10\nr3 += -88\ncall bpf_probe_read_kernel"
    result = case.run(POINTERS.format(word=words[0], second=words[1], read=copy))
    if text is None:
        assert result.value == EINVAL or result.value > 0
        return
    found = case.maps[1].lookup(bytes(4))
    assert found is not None
    assert (result.value, found[: len(text) + 1]) == (len(text) + 1, text + b"\0")


PRINT = """
r1 = value 0 ll
r2 = {size}
r3 = 7
r4 = -7
r5 = 0x1f
call bpf_{name}
exit
"""


def printed(form: bytes, name: str = "trace_printk", platform: str = "linux") -> tuple[int, str]:
    case = Case(shape())
    case.maps[0].update(bytes(4), form.ljust(128, b"\0"))
    log = _core.Log(case.domain)
    value = case.run(PRINT.format(size=len(form) + 1, name=name), platform=platform, cpu=1).value
    line = log.read()
    assert log.read() is None
    if line is None:
        return value, ""
    assert line[2] == 1
    assert line[3] == os.getpid()
    return value, line[4]


def test_lines_come_with_time_program_and_processor() -> None:
    assert printed(b"%d %d %x\n") == (8, "7 -7 1f\n")
    assert printed(b"%z") == (EINVAL, "")


def test_windows_counts_its_arguments() -> None:
    """And takes the line's end away."""
    assert printed(b"%d %lld %x\n", "trace_printk5", "windows") == (7, "7 -7 1f")
    assert printed(b"%d %d", "trace_printk4", "windows") == (4, "7 -7")
    assert printed(b"%d", "trace_printk4", "windows") == (-1, "")
    assert printed(b"%5d", "trace_printk3", "windows") == (-1, "")
    assert printed(b"100%%", "trace_printk2", "windows") == (4, "100%")


def test_the_oldest_lines_go_and_are_counted() -> None:
    case = Case(shape())
    case.maps[0].update(bytes(4), b"%d".ljust(128, b"\0"))
    log = _core.Log(case.domain, 0)
    program = case.program(PRINT.format(size=3, name="trace_printk"))
    for _ in range(100):
        program.run()
    lines = 0
    while log.read() is not None:
        lines += 1
    assert 0 < lines < 100
    assert log.lost == 100 - lines


def test_without_a_log_prints_are_gone() -> None:
    case = Case(shape())
    case.maps[0].update(bytes(4), b"%d".ljust(128, b"\0"))
    assert case.run(PRINT.format(size=3, name="trace_printk")).value == 1


def test_a_domain_has_one_log_at_a_time() -> None:
    case = Case()
    first = _core.Log(case.domain)
    with pytest.raises(ValueError, match="has a log"):
        _core.Log(case.domain)
    first.close()
    _core.Log(case.domain)


def test_waiting_for_a_line_ends_with_the_time() -> None:
    log = _core.Log(Case().domain)
    assert not log.wait(log.ticket, 0.01)
