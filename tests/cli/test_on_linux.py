"""The commands on loaded objects, on the kernel of this machine where it permits bpf(2).

The same commands as on a runtime, in mounts of their own; nothing is left behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from anybpf.backends import backend
from anybpf.errors import NotSupported
from tests.backends.places import in_own_network, mount
from tests.cli.conftest import Cli
from tests.cli.test_following import SOURCE as TELLER
from tests.cli.test_prog import DNS
from tests.objects.conftest import Build, build

__all__ = ["build"]

Work = Callable[[Callable[[Path], None]], None]


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        backend("linux").close()
    except NotSupported as error:
        pytest.skip(str(error))
    monkeypatch.setenv("ANYBPF_BACKEND", "linux")


@pytest.fixture
def here(tmp_path: Path) -> Work:
    """Does something where ``tmp_path`` is a BPF file system of the test's own."""

    def run(work: Callable[[Path], None]) -> None:
        def inside() -> None:
            mount("bpf", tmp_path)
            work(tmp_path)

        in_own_network(inside)

    return run


def test_life_of_a_program(cli: Cli, here: Work, droppacket: Path) -> None:
    def work(place: Path) -> None:
        pin = place / "dns" / "drop_packet"
        done = cli("prog", "load", droppacket, "--pin", place / "dns")
        assert (done.code, done.err) == (0, "")
        assert re.sub(r"program \d+", "program N", done.out) == (
            f"drop_packet: xdp, program N, pinned at {pin}\nloaded 1 program, 2 maps\n"
        )
        (shown,) = cli("prog", "show", pin, "--json").json["programs"]
        assert (shown["name"], shown["type"], shown["pinned"]) == ("drop_packet", "xdp", [str(pin)])
        ran = cli("prog", "run", pin, "--data", DNS, "--repeat", 3, "--maps", "--json").json
        assert (ran["retval"], ran["retval_name"], ran["data_out"]) == (1, "XDP_DROP", DNS)
        assert ran["maps"]["dropped_packets"] == [{"key": 0, "value": 3}]
        # The kernel keeps 15 letters of a name; all of it is understood.
        filters = shown["map_ids"][0]
        assert cli("map", "set", filters, 0, 7).code == 0
        line = "prog", "run", pin, "--data", DNS, "--ctx"
        assert cli(*line, "ingress_ifindex=1").out.startswith("drop_packet: XDP_PASS (2)\n")
        assert "r6 = r1" in cli("prog", "dump", pin).out.splitlines()[1]
        listed = cli("pin", "list", place, "--json").json["pins"]
        assert listed == [
            {"path": str(pin), "kind": "program", "id": shown["id"], "name": "drop_packet"}
        ]
        assert cli("prog", "unload", shown["id"]).out == (
            f"removed the pin {pin}\nprogram {shown['id']} is gone\n"
        )

    here(work)


def test_a_program_on_a_device(cli: Cli, here: Work, droppacket: Path) -> None:
    def work(place: Path) -> None:
        assert cli("prog", "load", droppacket, "--pin", place).code == 0
        pin = place / "link"
        done = cli("prog", "attach", place / "drop_packet", "va", "--pin", pin)
        assert (done.code, done.err) == (0, "")
        (link,) = cli("link", "show", pin, "--json").json["links"]
        assert (link["type"], link["state"]) == ("xdp", "attached")
        assert link["place"]["ifindex"] > 1
        assert f" {link['prog_id']} drop_packet\n" in cli("link", "show", pin).out
        assert cli("link", "detach", pin).out == f"link {link['id']} is detached\n"
        assert cli("pin", "remove", place, "--below").out == (
            f"removed {place / 'drop_packet'}\nremoved {pin}\n"
        )

    here(work)


def test_life_of_maps(cli: Cli, here: Work) -> None:
    def work(place: Path) -> None:
        hits, jobs = place / "hits", place / "jobs"
        line = "map", "create", "hits", "hash", "--key", 4, "--value", 8, "--entries", 2
        assert cli(*line, "--pin", hits).code == 0
        assert cli("map", "set", hits, 1, "hex:0200000000000000").code == 0
        assert cli("map", "dump", hits).out == "01 00 00 00: 02 00 00 00 00 00 00 00\n"
        assert cli("map", "get", hits, 2).code == 1
        assert cli("map", "set", hits, 1, 3, "--new").code == 1
        assert cli("map", "delete", hits, "--all").out == "took 1 entry out\n"
        queue = "map", "create", "jobs", "queue", "--value", 4, "--entries", 2
        assert cli(*queue, "--pin", jobs).code == 0
        assert cli("map", "push", jobs, 7).code == 0
        assert cli("map", "pop", jobs, "--json").json["value"] == "07000000"
        assert cli("map", "pop", jobs).out == "map jobs is empty\n"

    here(work)


def test_records_and_rates(cli: Cli, here: Work, build: Build) -> None:
    teller = build(TELLER, "teller")

    def work(place: Path) -> None:
        assert cli("prog", "load", teller, "--pin", place).code == 0
        pin = place / "tell"
        for length in (20, 30):
            assert cli("prog", "run", pin, "--data", "00" * length).code == 0
        (shown,) = cli("prog", "show", pin, "--json").json["programs"]
        maps = cli("map", "show", "--json").json["maps"]
        events = next(
            one["id"] for one in maps if one["id"] in shown["map_ids"] and one["name"] == "events"
        )
        out = cli("ring", events, "--type", "event", "--timeout", 0.01).out
        assert out == "{length: 20, interface: 1}\n{length: 30, interface: 1}\n"  # lo
        top = cli("top", "--all", "--interval", 0.01, "--count", 1, "--json").out
        (told,) = [row for row in json.loads(top)["programs"] if row["id"] == shown["id"]]
        assert (told["name"], told["type"]) == ("tell", "xdp")

    here(work)


def test_what_programs_print(cli: Cli, here: Work, build: Build) -> None:
    teller = build(TELLER, "teller")

    def work(place: Path) -> None:
        mount("tracefs", "/sys/kernel/tracing")
        cli("log", "--once")  # what others left
        assert cli("prog", "run", teller, "--data", "00" * 33).code == 0
        lines = [json.loads(line) for line in cli("log", "--once", "--json").out.splitlines()]
        assert "33 bytes" in [line["text"] for line in lines]
        done = cli("log", "--once", "--program", "tell")
        assert "telling programs' output apart" in done.err

    here(work)
