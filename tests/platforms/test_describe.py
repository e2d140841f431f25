"""What ``anybpf platform show`` prints."""

from __future__ import annotations

import json

import pytest

from anybpf.errors import NotFound
from anybpf.platforms import get
from anybpf.platforms.describe import describe, lines, prototype


@pytest.mark.parametrize("name", ["linux", "windows"])
def test_everything_is_json(name: str) -> None:
    platform = get(name)
    for program_type in ["", *platform.program_types.names()]:
        value = describe(platform, program_type)
        assert json.loads(json.dumps(value)) == value
        text = lines(platform, program_type)
        assert text
        assert all("\n" not in line and line == line.rstrip() for line in text)


def test_one_program_type() -> None:
    text = "\n".join(lines(get("linux"), "xdp"))
    assert "xdp, program type 6 of Linux 6.18" in text
    assert "bpf_xdp_adjust_head(xdp_md: context, delta: anything) -> integer" in text
    assert "2 XDP_PASS" in text
    assert "egress_ifindex" in text
    assert "bpf_skb_store_bytes" not in text
    assert "bpf_xdp_metadata_rx_timestamp(ctx: context xdp_md," in text
    assert "bpf_sock_destroy" not in text


def test_prototypes() -> None:
    linux = get("linux")
    assert prototype(linux.helper(25)) == (
        "bpf_perf_event_output(ctx: context, map: map, flags: anything, data: memory[size], "
        "size: size_or_zero) -> integer"
    )
    assert prototype(linux.helper(84)).endswith("-> socket? (referenced)")
    assert prototype(linux.helper(6)).endswith("fmt_size: size, ...) -> integer")


def test_unknown_type() -> None:
    with pytest.raises(NotFound, match="did you mean xdp"):
        describe(get("linux"), "xdpp")
