"""Reading memory wherever a pointer leads, and eBPF for Windows' memory and strings with sizes."""

from __future__ import annotations

import pytest

from tests.core.helpers.running import Case, Result
from tests.core.helpers.texts import fetch, pointer, store

EFAULT, EINVAL = -14, -22
TRUNCATED, INVALID = 0x80000005 - (1 << 32), 0xC000000D - (1 << 32)


def call(name: str, packet: bytes, words: str, platform: str = "linux") -> Result:
    """A call over 64 bytes of stack, which come with the packet and go back with it."""
    text = fetch(64) + words + f"call bpf_{name}\nr7 = r0\n" + store(64)
    result = Case().run(text, packet.ljust(64, b"\0"), platform=platform)
    assert not result.end
    return result


@pytest.mark.parametrize(
    "name", ["probe_read", "probe_read_kernel", "probe_read_user", "copy_from_user"]
)
def test_memory_is_copied(name: str) -> None:
    words = pointer("r1", -64) + "r2 = 8\n" + pointer("r3", -32)
    result = call(name, bytes(32) + b"12345678", words)
    assert (result.value, (result.packet or b"")[:9]) == (0, b"12345678\0")


@pytest.mark.parametrize("address", ["0", "64", "-1", "0x7fffffffffff"])
def test_what_cannot_be_read_leaves_zeroes(address: str) -> None:
    words = pointer("r1", -64) + f"r2 = 8\nr3 = {address} ll\n"
    result = call("probe_read_kernel", b"\xff" * 64, words)
    assert (result.value, result.packet) == (EFAULT, bytes(8) + b"\xff" * 56)


def test_nothing_is_read_past_the_end_of_the_stack() -> None:
    words = pointer("r1", -64) + "r2 = 16\n" + pointer("r3", -8)
    assert call("probe_read_kernel", b"\xff" * 64, words).value == EFAULT


def test_ranges_that_overlap_are_moved() -> None:
    words = pointer("r1", -60) + "r2 = 16\n" + pointer("r3", -64)
    result = call("probe_read_kernel", bytes(range(64)), words)
    assert (result.packet or b"")[:20] == bytes([0, 1, 2, 3, *range(16)])


@pytest.mark.parametrize(
    ("size", "value", "text"),
    [(16, 6, b"short\0\xff"), (6, 6, b"short\0\xff"), (5, 5, b"shor\0\xff"), (1, 1, b"\0\xff"),
     (0, 0, b"\xff")],
)  # fmt: skip
def test_strings_end_with_a_zero(size: int, value: int, text: bytes) -> None:
    words = pointer("r1", -64) + f"r2 = {size}\n" + pointer("r3", -32)
    result = call("probe_read_kernel_str", b"\xff" * 32 + b"short\0", words)
    assert (result.value, (result.packet or b"")[: len(text)]) == (value, text)


def windows(name: str, packet: bytes, to: int, from_: int) -> tuple[int, bytes]:
    """Destination at the start, source at 32."""
    words = pointer("r1", -64) + f"r2 = {to}\n" + pointer("r3", -32) + f"r4 = {from_}\n"
    result = call(name, packet, words, "windows")
    return result.value, result.packet or b""


@pytest.mark.parametrize("name", ["memcpy_s", "memmove_s"])
def test_a_copy_fits_or_is_refused(name: str) -> None:
    packet = bytes(32) + b"12345678"
    assert windows(name, packet, 8, 8)[1].startswith(b"12345678")
    value, after = windows(name, packet, 4, 8)
    assert (value, after[:8]) == (EINVAL, bytes(8))
    assert windows(name, packet, 8, 64)[0] == EINVAL
    assert windows(name, packet, 200, 1)[0] == EINVAL


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [(b"abc", b"abc", 0), (b"abc", b"abd", -1), (b"b", b"abc", 1), (b"ab", b"abc", -1),
     (b"abc", b"ab", 1), (b"\xff", b"\x01", 1)],
)  # fmt: skip
def test_comparisons_mind_the_lengths(first: bytes, second: bytes, order: int) -> None:
    packet = first.ljust(32, b"\0") + second
    assert windows("memcmp_s", packet, len(first), len(second))[0] == order


def test_memory_is_set() -> None:
    words = pointer("r1", -64) + "r2 = 5\nr3 = 0x1ab\n"
    result = call("memset", b"", words, "windows")
    assert (result.packet or b"")[:6] == b"\xab" * 5 + b"\0"


@pytest.mark.parametrize(
    ("room", "text", "count", "value", "after"),
    [
        (8, b"text", 5, 0, b"text\0\0\0\0\xff"),
        (4, b"text", 5, TRUNCATED, b"tex\0\xff"),
        (8, b"text", 2, 0, b"te\0\0\0\0\0\0\xff"),
        (0, b"text", 2, INVALID, b"\xff"),
    ],
)
def test_strings_are_copied(room: int, text: bytes, count: int, value: int, after: bytes) -> None:
    packet = b"\xff" * 32 + text
    found = windows("strncpy_s", packet, room, count)
    assert (found[0], found[1][: len(after)]) == (value, after)


def test_strings_are_joined() -> None:
    packet = b"one \0".ljust(32, b"\xff") + b"two"
    assert windows("strncat_s", packet, 16, 4)[1].startswith(b"one two\0")
    assert windows("strncat_s", packet, 6, 4)[0] == TRUNCATED
    assert windows("strncat_s", b"\xff" * 40, 6, 4)[0] == INVALID


def test_strings_are_measured() -> None:
    words = pointer("r1", -64) + "r2 = {}\n"
    for size, length in ((10, 4), (3, 3)):
        assert call("strnlen_s", b"text", words.format(size), "windows").value == length
