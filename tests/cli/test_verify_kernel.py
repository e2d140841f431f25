"""`anybpf verify --backend linux`: the kernel's verdict beside ours, where bpf(2) is permitted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from anybpf.backends import backend
from anybpf.errors import NotSupported
from tests.cli.conftest import Cli
from tests.conftest import ROOT
from tests.objects.conftest import Build, build

__all__ = ["build"]


@pytest.fixture(autouse=True)
def kernel() -> str:
    """The kernel's release; tests are skipped where it refuses bpf(2)."""
    try:
        backend("linux").close()
    except NotSupported as error:
        pytest.skip(str(error))
    return os.uname().release


def test_both_accept(cli: Cli, kernel: str, droppacket: Path) -> None:
    done = cli("verify", droppacket, "--backend", "linux")
    ours, theirs = done.out.splitlines()
    assert done.code == 0
    assert ours == f"{droppacket}: drop_packet (section xdp, type xdp): pass"
    assert theirs.startswith(f"  kernel {kernel}: pass, ")
    assert theirs.endswith(" instructions processed")


def test_a_refusal_comes_with_the_kernels_log(cli: Cli, kernel: str, build: Build) -> None:
    source = (ROOT / "examples" / "rejected" / "packet_bounds.c").read_text()
    rejected = build(source, "packet_bounds")
    done = cli("verify", rejected, "--backend", "linux")
    assert done.code == 1
    head, *log = done.out.partition("  kernel ")[2].splitlines()
    assert head.startswith(f"{kernel}: fail: ")
    assert "outside of the packet" in head
    assert any("invalid access to packet" in line for line in log)
    assert all(line.startswith("    ") for line in log)
    told = json.loads(cli("verify", rejected, "--backend", "linux", "--json").out)
    assert (told["verdict"], told["kernel"]["verdict"]) == ("reject", "fail")
    assert "invalid access to packet" in told["kernel"]["log"]
    assert told["kernel"]["processed"] > 0


def test_the_kernel_judges_for_linux_only(cli: Cli, droppacket: Path) -> None:
    line = "verify", droppacket, "--backend", "linux"
    for more in (["--type", "sched_cls"], ["--platform", "windows"]):
        done = cli(*line, *more)
        assert (done.code, done.out) == (2, "")
        assert "leave --type and --platform away" in done.err
