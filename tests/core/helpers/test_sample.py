"""The helpers of eBPF for Windows' sample extension."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest

from tests.core.helpers.running import Case
from tests.core.helpers.texts import fetch, pointer, store


@pytest.mark.parametrize(
    ("text", "wanted", "place"), [(b"haystack", b"st", 3), (b"haystack", b"needle", -1)]
)
def test_a_pattern_is_found(text: bytes, wanted: bytes, place: int) -> None:
    code = fetch(32) + pointer("r1", -32) + "r2 = 16\n" + pointer("r3", -16) + "r4 = 16\n"
    code += "call bpf_sample_ebpf_extension_find\nexit"
    packet = text.ljust(16, b"\0") + wanted.ljust(16, b"\0")
    assert Case().run(code, packet, platform="windows").value == place


def test_text_is_replaced_up_to_its_end() -> None:
    code = fetch(32) + pointer("r1", -32) + "r2 = 16\nr3 = {}\n" + pointer("r4", -16)
    code += "r5 = 16\ncall bpf_sample_ebpf_extension_replace\nr7 = r0\n" + store(32)
    packet = b"haystack".ljust(16, b"\0") + b"needle".ljust(16, b"\0")
    result = Case().run(code.format(5), packet, platform="windows")
    assert (result.value, (result.packet or b"")[:9]) == (0, b"haystnee\0")
    assert Case().run(code.format(8), packet, platform="windows").value == -1


def test_the_context_comes_by_itself() -> None:
    context = pack("=QQIHxxII", 0, 0, 0, 0, 40, 2)
    one = "call bpf_sample_ebpf_extension_helper_implicit_1\nexit"
    two = "r1 = 3\ncall bpf_sample_ebpf_extension_helper_implicit_2\nexit"
    options: dict[str, Any] = {"kind": 999, "platform": "windows", "context_size": 32}
    assert Case().run(one, context=context, **options).value == 40
    assert Case().run(two, context=context, **options).value == 5
