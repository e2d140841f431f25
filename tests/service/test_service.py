"""Objects in a service, as its clients see them."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from anybpf.backends.service import ServiceBackend
from anybpf.errors import ClosedError, InputError, NoSuchKey, NotFound, NotSupported, VerifierError
from anybpf.objects import load_spec
from anybpf.service import running, wire
from anybpf.service.paths import Places, check_owner
from tests.runtime.making import map_spec
from tests.service.conftest import Serve, connected
from tests.service.launching import Launcher


def test_objects_outlive_the_client_that_pinned_them(
    service: ServiceBackend, home: str, counter: Path
) -> None:
    with service.load(counter) as loaded:
        assert sorted(loaded.programs) == ["count", "other"]
        assert loaded.program("count").test_run(bytes(64)).retval_name == "XDP_PASS"
        assert loaded.map("runs")[0] == 1
        assert loaded.variable("total").value == 6
        loaded.program("count").pin("/progs/count")
    service.close()
    with connected(home) as later:
        assert later.pins() == [("/progs/count", "program", later.ids("program")[0])]
        with later.open("/progs/count") as program:
            assert program.info().name == "count"
            assert program.test_run(bytes(64)).retval == 2
        runs = next(one for one in later.infos("map") if one.name == "runs")
        with later.map(runs.id) as counts:
            assert counts[0] == 2
        later.remove_pin("/progs/count")
        assert later.ids("program") == []
        assert later.ids("map") == []


def test_a_map_is_memory_that_both_sides_have(service: ServiceBackend, home: str) -> None:
    with (
        service.create_map(map_spec("shared", "hash", entries=64)) as made,
        connected(home) as other,
    ):
        there = other.map(made.id)
        mine, theirs = made.typed("u4", "u8"), there.typed("u4", "u8")
        asked = service.status()["requests"]
        for i in range(50):
            mine[i] = i * i
        assert dict(theirs.items()) == {i: i * i for i in range(50)}
        del theirs[7]
        with pytest.raises(NoSuchKey):
            mine[7]
        assert service.status()["requests"] == asked + 1  # the asking itself
        there.close()
        assert made.info().pinned_path_count == 0


def test_what_goes_when_a_client_goes(service: ServiceBackend, home: str, counter: Path) -> None:
    other = connected(home)
    loaded = other.load(counter)
    assert len(service.ids("program")) == 2
    other.close()
    loaded.close()
    while service.ids("program"):
        pass
    assert service.ids("map") == []
    assert [name for name in os.listdir(f"{home}/service-linux.state") if "map-" in name] == []


def test_errors_are_those_of_the_runtime(service: ServiceBackend, droppacket: Path) -> None:
    with pytest.raises(NotFound, match="no program has the id 99"):
        service.program(99)
    with pytest.raises(InputError):
        service.load(b"no object at all")
    with pytest.raises(NotSupported, match="log_level"):
        service.load(droppacket, log_level=1)
    with service.create_map(map_spec("one")) as one:
        one.pin("/a")
        with pytest.raises(InputError, match="is pinned there"):
            one.pin("/a")
        one.unpin()
    with pytest.raises(ClosedError):
        one.keeper.info()


def test_an_unsafe_program_is_not_loaded(
    service: ServiceBackend, compiler: object, tmp_path: Path
) -> None:
    from anybpf import toolchain

    source = Path(__file__).parents[2] / "examples" / "droppacket" / "droppacket_unsafe.c"
    built = toolchain.compile(source, tmp_path / "unsafe.o").output
    with pytest.raises(VerifierError, match="was not proved safe"):
        service.load(built)
    assert service.ids("map") == []


def test_what_was_changed_of_a_spec_goes_along(service: ServiceBackend, counter: Path) -> None:
    spec = load_spec(counter)
    spec.set("step", 10)
    spec.set("total", 100)
    spec.maps["runs"].max_entries = 8
    with service.load(spec, programs=["count"]) as loaded:
        loaded.program().test_run(bytes(64))
        assert loaded.map("runs")[0] == 10
        assert loaded.map("runs").max_entries == 8
        assert loaded.variable("total").value == 110
    with service.load(counter, variables={"step": 3}, programs=["count"]) as loaded:
        loaded.program().test_run(bytes(64))
        assert loaded.map("runs")[0] == 3
    spec.functions["count"].instructions.pop(0)
    with pytest.raises(NotSupported, match="other instructions"):
        service.load(spec)


def test_maps_of_programs_are_changed_by_the_service(
    service: ServiceBackend, counter: Path
) -> None:
    with service.load(counter) as loaded:
        table = loaded.map("next")
        table[1] = loaded.program("other")
        assert loaded.program("count").test_run(bytes(64)).retval_name == "XDP_DROP"
        with table[1] as held:
            assert held.name == "other"
        del table[1]
        assert table.get(1) is None
        assert loaded.program("count").test_run(bytes(64)).retval_name == "XDP_PASS"


def test_runs_in_batches_and_statistics(service: ServiceBackend, counter: Path) -> None:
    with service.load(counter) as loaded, service.enable_statistics():
        program = loaded.program("count")
        packets = bytearray(64 * 10)
        assert list(program.run_batch(packets, stride=64)) == [2] * 10
        assert program.test_run(bytes(64), repeat=5).repeat == 5
        assert program.info().run_cnt == 15
        with pytest.raises(InputError, match="repeated"):
            program.test_run(bytes(64), repeat=1 << 30)


def test_features_and_types(service: ServiceBackend, counter: Path) -> None:
    assert service.features().feature("map_type", "hash").has is True
    with service.load(counter):
        number = service.ids("types")[0]
        with service.types(number) as types:
            assert types.btf.find("step") is not None
            assert types.info().size > 100


def test_links_are_the_services(service: ServiceBackend, counter: Path) -> None:
    with service.load(counter) as loaded:
        link = loaded.program("count").attach("xdp", b"\1\0\0\0")
        assert link.state == "attached"
        assert link.info().attach_data == b"\1\0\0\0"
        link.pin("/links/one")
        link.close()
        with service.open("/links/one") as again:
            again.detach()
            assert again.state == "detached"
        service.remove_pin("/links/one")
    assert service.ids("link") == []


def test_clean_ends_and_kills_lose_nothing(serve: Serve, launcher: Launcher, counter: Path) -> None:
    first = serve()
    loaded = first.load(counter)
    program, table, runs = loaded.program("count"), loaded.map("next"), loaded.map("runs")
    table[1] = loaded.program("other")
    program.pin("/keep/prog")
    table.pin("/keep/next")
    link = program.attach("xdp", b"eth7")
    link.pin("/keep/link")
    before = {kind: sorted(first.ids(kind)) for kind in ("program", "map", "link")}
    program.test_run(bytes(64))
    for turn, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        launcher.end(launcher.pids[-1], how)
        runs[1] = turn  # the client's memory is still the map's
        again = serve()
        assert {kind: sorted(again.ids(kind)) for kind in before} == before
        assert [path for path, _, _ in again.pins()] == ["/keep/link", "/keep/next", "/keep/prog"]
        with again.open("/keep/prog") as there, again.open("/keep/link") as held:
            assert there.test_run(bytes(64)).retval_name == "XDP_DROP"
            assert held.info().attach_data == b"eth7"
            assert held.state == "attached"
        with again.map(runs.id) as counts:
            assert counts[0] == turn + 2
            assert counts[1] == turn
        with pytest.raises(ClosedError, match="open it again"):
            program.info()
        again.close()
    loaded.close()
    link.close()


def test_what_is_not_pinned_goes_with_a_kill(serve: Serve, launcher: Launcher, home: str) -> None:
    first = serve()
    made = first.create_map(map_spec("gone"))
    launcher.end(launcher.pids[-1])
    again = serve()
    assert again.ids("map") == []
    assert [name for name in os.listdir(f"{home}/service-linux.state") if "map-" in name] == []
    made.close()


def test_damaged_state_does_not_keep_a_service_from_starting(
    serve: Serve, launcher: Launcher, home: str
) -> None:
    first = serve()
    for name in ("one", "two"):
        with first.create_map(map_spec(name)) as made:
            made.pin(f"/{name}")
            number = made.id
    launcher.end(launcher.pids[-1])
    Path(f"{home}/service-linux.state/map-{number}").write_bytes(bytes(4096))
    again = serve()
    assert again.pins() == [("/one", "map", again.ids("map")[0])]
    launcher.end(launcher.pids[-1])
    Path(f"{home}/service-linux.state/state.json").write_text('{"format": 1, "pins"')
    assert serve().pins() == []


def test_two_starts_make_one_service(home: str) -> None:
    words = [sys.executable, "-m", "anybpf", "service", "start", "--directory", home]
    starts = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [start.communicate(timeout=60)[0] for start in starts]
    try:
        assert all(start.returncode == 0 for start in starts)
        processes = {line.split("process ")[1].split(",")[0] for line in said}
        assert len(processes) == 1
        found = running.status(Places(home))
        assert found is not None
        assert {str(found["pid"])} == processes
        mode = os.stat(f"{home}/service-linux.sock").st_mode
        assert stat.S_IMODE(mode) == 0o600
    finally:
        assert running.stop(Places(home))
    assert running.status(Places(home)) is None


def test_directories_of_others_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    os.chmod(tmp_path / "open", 0o777)
    with pytest.raises(InputError, match="can be written by others"):
        check_owner(str(tmp_path / "open"))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="is no directory"):
        check_owner(str(tmp_path / "link"))
    with pytest.raises(InputError, match="too long"):
        Places(f"/tmp/{'x' * 100}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_other_users_are_shown_out(service: ServiceBackend, home: str) -> None:
    os.chmod(home, 0o755)
    os.chmod(f"{home}/service-linux.sock", 0o666)  # as if somebody had opened it
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(f"{home}/service-linux.sock")
                answer = wire.decode(sock.recv(4096))
            code = 0 if answer[1]["kind"] == "PolicyError" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert service.status()["refused"] == 1
