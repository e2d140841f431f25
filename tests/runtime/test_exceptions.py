"""Programs that throw: what is thrown, or what their handler makes of it, is what they return."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.errors import VerifierError
from anybpf.runtime import Collection, Runtime
from anybpf.toolchain import Compiler
from tests.runtime.arenas import engine

__all__ = ["engine"]

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

extern void bpf_throw(__u64 cookie) __ksym;

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} others SEC(".maps");

int seen;

LINK __noinline int handler(__u64 cookie)
{
    char room[400];

    __builtin_memset(room, cookie, sizeof(room));
    barrier_var(cookie);
    seen = room[cookie & 255];
    return cookie + 100;
}

static __noinline int inner(int mark)
{
    char room[100];

    __builtin_memset(room, 0, sizeof(room));
    barrier_var(mark);
    if (mark > 3)
        bpf_throw(mark);
    return mark + room[mark & 63];
}

SEC("tc")
__exception_cb(handler)
int handled(struct __sk_buff *skb)
{
    return inner(skb->mark) + 1;
}

SEC("tc")
int plain(struct __sk_buff *skb)
{
    return inner(skb->mark) + 1;
}

SEC("tc")
__exception_cb(handler)
int passes_on(struct __sk_buff *skb)
{
    bpf_tail_call(skb, &others, 0);
    return 7;
}

char _license[] SEC("license") = "GPL";
"""


def built(compiler: Compiler, place: Path, link: str = "") -> Path:
    source = place / "throws.c"
    source.write_text(SOURCE)
    flags = [f"-DLINK={link}"]
    return toolchain.compile(source, place / "throws.o", flags, compiler=compiler).output


@pytest.fixture
def throws(
    compiler: Compiler, tmp_path: Path, runtime: Runtime, engine: str
) -> Iterator[Collection]:
    with runtime.load(built(compiler, tmp_path), engine=engine) as loaded:
        yield loaded


def result(loaded: Collection, name: str, mark: int) -> int:
    return loaded.program(name).test_run(bytes(64), ctx={"mark": mark}).retval


def test_without_a_handler_what_is_thrown_is_returned(throws: Collection) -> None:
    assert result(throws, "plain", 2) == 3
    assert result(throws, "plain", 9) == 9


def test_a_handler_gives_the_result(throws: Collection) -> None:
    assert result(throws, "handled", 2) == 3
    assert throws.variable("seen").value == 0
    assert result(throws, "handled", 9) == 109
    assert throws.variable("seen").value == 9


def test_the_handler_is_that_of_the_program_that_throws(throws: Collection) -> None:
    """A tail call leaves the caller, and its handler, for good."""
    assert result(throws, "passes_on", 9) == 7
    throws.map("others")[0] = throws.program("plain")
    assert result(throws, "passes_on", 9) == 9
    throws.map("others")[0] = throws.program("handled")
    assert result(throws, "passes_on", 9) == 109


def test_a_handler_must_be_one_that_is_verified(
    compiler: Compiler, tmp_path: Path, runtime: Runtime
) -> None:
    path = built(compiler, tmp_path, "static __attribute__((used))")
    with pytest.raises(VerifierError, match="must be a global function"):
        runtime.load(path)
