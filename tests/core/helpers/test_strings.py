"""Numbers from text, comparisons, and the kernel's string functions."""

from __future__ import annotations

import random

import pytest

from tests.core.helpers.running import Case, agree
from tests.core.helpers.texts import fetch, pointer, store

NUMBERS = [
    "0", "7", "-7", "+7", "  42", "\t\n 42x", "0x1f", "0X1F", "-0x1f", "017", "08", "0x", "0xg",
    "x",
    "", " ", "-", "--1", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616", "99999999999999999999",
    "1 2", "12\0" + "34", "ff", "0b1", "00000000000000000000000000005",
]  # fmt: skip


def conversion(name: str, size: int, flags: int) -> str:
    """Reads a number from the packet; the number goes back into the packet, behind the text."""
    return (
        fetch(48)
        + pointer("r1", -48)
        + f"r2 = {size}\nr3 = {flags}\n"
        + pointer("r4", -8)
        + f"call bpf_{name}\nr7 = r0\n"
        + store(48)
    )


@pytest.mark.parametrize("base", [0, 8, 10, 16, 2, 32])
@pytest.mark.parametrize("name", ["strtol", "strtoul"])
@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_read_as_the_kernel_does(text: str, name: str, base: int) -> None:
    packet = text.encode().ljust(40, b"\0") + bytes(8)
    agree(conversion(name, 40, base), packet)
    if text:
        agree(conversion(name, len(text), base), packet)


def test_random_text_is_read_as_the_kernel_does() -> None:
    random_ = random.Random(3)
    for _ in range(60):
        text = "".join(random_.choices("0123456789abcdefx- +\t", k=random_.randint(1, 24)))
        name = random_.choice(["strtol", "strtoul"])
        packet = text.encode().ljust(48, b"\0")
        agree(conversion(name, len(text), random_.choice([0, 8, 10, 16])), packet)


STRINGS = """
r6 = r1
r2 = 0
r3 = r10
r3 += -64
r4 = 64
call bpf_xdp_load_bytes
r1 = r10
r1 += -64
r2 = {second}
r3 = {third}
{more}
call bpf_{name}
exit
"""
EFAULT, ENOENT = -14, -2


def strings(name: str, first: bytes, second: bytes | int, third: int = 0) -> int:
    """The two strings lie in the stack, 32 bytes each."""
    packet = first.ljust(32, b"\0") + (second if isinstance(second, bytes) else b"").ljust(
        32, b"\0"
    )
    number = isinstance(second, int)
    more = "" if number else pointer("r2", -32)
    text = STRINGS.format(name=name, second=second if number else 0, third=third, more=more)
    result = Case().run(text, packet)
    assert not result.end
    return result.value


@pytest.mark.parametrize(
    ("name", "first", "second", "third", "result"),
    [
        ("strcmp", b"abc", b"abc", 0, 0),
        ("strcmp", b"abc", b"abd", 0, -1),
        ("strcmp", b"abd", b"abc", 0, 1),
        ("strcmp", b"ab", b"abc", 0, -1),
        ("strcasecmp", b"AbC", b"aBc", 0, 0),
        ("strchr", b"abcabc", ord("c"), 0, 2),
        ("strchr", b"abc", ord("x"), 0, ENOENT),
        ("strchr", b"abc", 0, 0, 3),
        ("strchrnul", b"abc", ord("x"), 0, 3),
        ("strrchr", b"abcabc", ord("c"), 0, 5),
        ("strrchr", b"abc", 0, 0, 3),
        ("strnchr", b"abcabc", 2, ord("c"), ENOENT),
        ("strnchr", b"abcabc", 3, ord("c"), 2),
        ("strlen", b"abcd", 0, 0, 4),
        ("strnlen", b"abcd", 2, 0, 2),
        ("strnlen", b"abcd", 9, 0, 4),
        ("strspn", b"aabbc", b"ab", 0, 4),
        ("strcspn", b"aabbc", b"bc", 0, 2),
        ("strstr", b"hay needle", b"needle", 0, 4),
        ("strstr", b"hay", b"", 0, 0),
        ("strstr", b"hay", b"needle", 0, ENOENT),
        ("strnstr", b"hay needle", b"needle", 9, ENOENT),
        ("strnstr", b"hay needle", b"needle", 10, 4),
    ],
)
def test_string_functions(
    name: str, first: bytes, second: bytes | int, third: int, result: int
) -> None:
    assert strings(name, first, second, third) == result


@pytest.mark.parametrize("name", ["strcmp", "strlen", "strchr", "strrchr", "strstr", "strspn"])
def test_what_cannot_be_read_is_a_fault(name: str) -> None:
    text = f"r1 = 64\nr2 = 64\ncall bpf_{name}\nexit"
    assert Case().run(text).value == EFAULT


def test_a_string_ends_where_memory_does() -> None:
    """Without a zero up to the stack's end there is no string."""
    text = "r1 = -1\n*(u64 *)(r10 - 8) = r1\nr1 = r10\nr1 += -8\ncall bpf_strlen\nexit"
    assert Case().run(text).value == EFAULT


def test_compared_bytes_are_counted() -> None:
    text = fetch(64) + pointer("r1", -64) + "r2 = {}\n" + pointer("r3", -32)
    text += "call bpf_strncmp\nexit"
    packet = b"same, and different".ljust(32, b"\0") + b"same; and different".ljust(32, b"\0")
    assert Case().run(text.replace("{}", "4"), packet).value == 0
    assert Case().run(text.replace("{}", "5"), packet).value == -1


def test_a_search_is_paid_for() -> None:
    """Long strings that nearly match everywhere: the budget ends it."""
    case = Case({"kind": "array", "key_size": 4, "value_size": 40000, "max_entries": 2})
    case.maps[0].update(bytes(4), b"a" * 39999 + b"\0")
    case.maps[0].update(b"\1\0\0\0", b"a" * 20000 + b"b" + bytes(19999))
    text = "r1 = value 0 ll\nr2 = value 0 ll\nr2 += 40000\ncall bpf_strstr\nexit"
    assert case.run(text, budget=1_000_000).end == "OUT_OF_BUDGET"
