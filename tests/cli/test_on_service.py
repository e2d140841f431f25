"""The commands on loaded objects, on a service: what one command makes, the next one finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.service.conftest import Serve, home, launcher, serve

__all__ = ["home", "launcher", "serve"]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the service runs on Linux only"
)


@pytest.fixture(autouse=True)
def service(serve: Serve, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    serve()
    monkeypatch.setenv("ANYBPF_BACKEND", "service")
    monkeypatch.setenv("ANYBPF_SERVICE_DIR", home)


def test_life_of_a_program(cli: Cli, droppacket: Path) -> None:
    assert cli("prog", "show").out == "no programs\n"
    done = cli("prog", "load", droppacket, "--pin", "/dns")
    assert (done.code, done.err) == (0, "")
    (shown,) = cli("prog", "show", "drop_packet", "--json").json["programs"]
    assert (shown["type"], shown["pinned"]) == ("xdp", ["/dns/drop_packet"])
    assert cli("map", "set", "interface_filter", 0, 7).code == 0
    line = "prog", "run", "drop_packet", "--data", "00" * 14, "--ctx"
    assert cli(*line, "ingress_ifindex=1").out.startswith("drop_packet: XDP_PASS (2)\n")
    assert cli("map", "dump", "interface_filter").out == "0: 7\n"
    assert cli("prog", "dump", "drop_packet").out.startswith("// drop_packet: xdp\n   0: r6 = r1\n")
    assert cli("pin", "list", "--json").json["pins"] == [
        {
            "path": "/dns/drop_packet",
            "kind": "program",
            "id": shown["id"],
            "name": "drop_packet",
        }
    ]
    assert cli("prog", "unload", "drop_packet").out == (
        f"removed the pin /dns/drop_packet\nprogram {shown['id']} is gone\n"
    )
    assert cli("map", "show").out == "no maps\n"


def test_life_of_maps(cli: Cli) -> None:
    line = "map", "create", "hits", "hash", "--key", 4, "--value", 8, "--entries", 2
    assert cli(*line, "--pin", "/hits").code == 0
    assert cli("map", "set", "hits", 1, 2).code == 0
    assert cli("map", "dump", "hits", "--json").json["entries"] == [
        {"key": "01000000", "value": "0200000000000000"}
    ]
    assert cli("map", "get", "hits", 3).code == 1
    assert cli("map", "delete", "hits", 1).code == 0
    queue = "map", "create", "jobs", "queue", "--value", 4, "--entries", 2, "--pin", "/jobs"
    assert cli(*queue).code == 0
    assert cli("map", "push", "jobs", 7).code == 0
    assert cli("map", "pop", "jobs").out == "07 00 00 00\n"
    assert cli("pin", "remove", "/hits", "/jobs").out == "removed /hits\nremoved /jobs\n"
    assert cli("map", "show").out == "no maps\n"


def test_rates(cli: Cli, droppacket: Path) -> None:
    assert cli("prog", "load", droppacket, "--pin", "/dns").code == 0
    out = cli("top", "--all", "--interval", 0.01, "--count", 1).out.splitlines()
    assert out[0] == "1 program, 1 shown"
    assert out[2].split()[1:4] == ["xdp", "drop_packet", "0.0"]
