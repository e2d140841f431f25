"""Fixtures of this room: the running kernel where it lets us, and objects compiled from text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anybpf.backends.linux import LinuxBackend, unavailable
from tests.objects.conftest import build

__all__ = ["build"]


@pytest.fixture
def kernel() -> Iterator[LinuxBackend]:
    """The running kernel; the test is skipped with the probe's reason where bpf(2) is refused."""
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    with LinuxBackend() as made:
        yield made
