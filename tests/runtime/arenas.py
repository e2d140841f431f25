"""C with an arena: variables in it, a list in pages of it. For the tests of several rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.errors import CompilerError
from tests.objects.conftest import Build

PAGE = 4096
UNKNOWN = "this compiler has no address spaces"
PRELUDE = f"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef __BPF_FEATURE_ADDR_SPACE_CAST
#error "{UNKNOWN}"
#endif

#define __arena __attribute__((address_space(1)))
#define ARENA 33 /* BPF_MAP_TYPE_ARENA, which older headers do not know */

void __arena *bpf_arena_alloc_pages(void *map, void __arena *at, __u32 pages, int node,
                                    __u64 flags) __ksym __weak;
void bpf_arena_free_pages(void *map, void __arena *pages, __u32 count) __ksym __weak;

char _license[] SEC("license") = "GPL";
"""
LIST = (
    PRELUDE
    + """
#ifndef START
#define START 0
#endif

struct {
    __uint(type, ARENA);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 100);
    __ulong(map_extra, START);
} arena SEC(".maps");

struct wish {
    __u64 index;
};

struct element {
    struct element __arena *next;
    __u64 value;
};

int __arena counter = 5;
struct element __arena * __arena head;
__u64 __arena table[600];
struct element __arena *last;

SEC("syscall")
int add(struct wish *wish)
{
    struct element __arena *new = bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);

    if (!new)
        return 1;
    new->value = counter++;
    new->next = head;
    head = new;
    last = new;
    __sync_fetch_and_add(&table[new->value], 1);
    return 0;
}

SEC("syscall")
int sum(struct wish *wish)
{
    struct element __arena *each = head;
    __u64 total = 0;

    for (int i = 0; i < 100 && each; i++) {
        total += each->value;
        each = each->next;
    }
    return total;
}

SEC("syscall")
int clear(struct wish *wish)
{
    struct element __arena *each = head;

    head = 0;
    for (int i = 0; i < 100 && each; i++) {
        struct element __arena *next = each->next;

        bpf_arena_free_pages(&arena, each, 1);
        each = next;
    }
    return 0;
}

SEC("syscall")
int look_up(struct wish *wish)
{
    __u64 index = wish->index;

    return table[index];
}
"""
)


@pytest.fixture(params=["interpret", "jit"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """How programs run."""
    name = str(request.param)
    if name == "jit":
        pytest.importorskip("llvmlite", reason="nothing is compiled without llvmlite")
        monkeypatch.setenv("ANYBPF_CACHE", str(tmp_path / "cache"))
    return name


def build_arena(build: Build, text: str = LIST, start: int = 0) -> Path:
    """The object; a test that needs it is skipped where the compiler has no address spaces."""
    try:
        return build(f"#define START {start:#x}\n{text}", cpu="v4")
    except CompilerError as error:
        if UNKNOWN in str(error):
            pytest.skip(f"{UNKNOWN}: clang has them since version 19")
        raise
