"""A service of the test's own: in a short directory, started by a fork and killed at the end."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anybpf.backends.service import ServiceBackend
from anybpf.errors import InputError
from tests.service.launching import Launcher


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here: str = sys.platform
    if here.startswith("linux"):
        return
    for item in items:
        if "tests/service" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason="the service runs on Linux only"))


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    made.close()


@pytest.fixture
def home() -> Iterator[str]:
    """A directory for a service: short, because sockets' paths are."""
    made = tempfile.mkdtemp(prefix="ab-", dir="/tmp")
    yield made
    shutil.rmtree(made)


def connected(home: str, timeout: float = 20.0) -> ServiceBackend:
    """A client of the service there, as soon as it listens."""
    end = time.monotonic() + timeout
    while True:
        try:
            return ServiceBackend(directory=home, start=False)
        except InputError:
            if time.monotonic() > end:
                raise
            time.sleep(0.002)


Serve = Callable[..., ServiceBackend]


@pytest.fixture
def serve(launcher: Launcher, home: str) -> Iterator[Serve]:
    """Starts a service (anew, after ``launcher.end``) and connects to it."""
    before = list(launcher.pids)
    clients: list[ServiceBackend] = []

    def start(**told: Any) -> ServiceBackend:
        launcher.start(home, **told)
        clients.append(connected(home))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for pid in list(launcher.pids):
        if pid not in before:
            launcher.end(pid)


@pytest.fixture
def service(serve: Serve) -> ServiceBackend:
    return serve()


@pytest.fixture(scope="session")
def counter(compiler: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An object whose program counts its runs in a map, and in a global variable."""
    from anybpf import toolchain

    place = tmp_path_factory.mktemp("objects")
    (place / "counter.c").write_text(COUNTER)
    return toolchain.compile(place / "counter.c", place / "counter.o", compiler=compiler).output


COUNTER = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} runs SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 4);
    __uint(key_size, 4);
    __uint(value_size, 4);
} next SEC(".maps");

const volatile __u64 step = 1;
__u64 total = 5;

SEC("xdp") int count(struct xdp_md *ctx)
{
    __u32 key = 0;
    __u64 *value = bpf_map_lookup_elem(&runs, &key);

    if (value)
        *value += step;
    total += step;
    bpf_tail_call(ctx, &next, 1);
    return XDP_PASS;
}

SEC("xdp") int other(struct xdp_md *ctx)
{
    return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
"""
