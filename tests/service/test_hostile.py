"""Clients that mean harm, or are broken: each is refused or bounded, and the others are served."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from anybpf.backends.service import ServiceBackend
from anybpf.errors import AnyBPFError, ClosedError, InputError, PolicyError
from anybpf.service import wire
from tests.runtime.making import map_spec
from tests.service.conftest import Serve, connected


def dial(home: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(f"{home}/service-linux.sock")  # waits where the queue is full
    sock.settimeout(20)
    return sock


def is_shown_out(sock: socket.socket) -> bool:
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize(
    "message",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes(64),
        wire.HEADER.pack(wire.MAGIC, 0xFFFFFFFF, 0, 0),
        wire.HEADER.pack(wire.MAGIC, 4, 0xFFFF, 0),
        wire.HEADER.pack(wire.MAGIC, 3, 0, 0) + b"[1,",
        wire.HEADER.pack(wire.MAGIC, 4, 1, 9) + b"null" + b"\x08\0\0\0" + bytes(9),
        wire.encode({"no": "list"}),
        wire.encode([1, {}]),
        wire.encode(["ids", []]),
    ],
)
def test_what_is_no_message_ends_the_connection(
    service: ServiceBackend, home: str, message: bytes
) -> None:
    with dial(home) as sock:
        sock.sendall(message)
        assert is_shown_out(sock)
    assert service.ids("map") == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("nothing", {}),
        ("ids", {"kind": 3}),
        ("ids", {"kind": "what"}),
        ("open", {"kind": "program", "id": "1"}),
        ("open", {"kind": "program", "id": 1 << 200}),
        ("info", {"handle": []}),
        ("close", {"handle": 12345}),
        ("map_memory", {}),
        ("create_map", {}),
        ("create_map", {"spec": {"name": "x", "type": "hash", "key_size": "4"}}),
        ("create_map", {"spec": {"name": "x", "type": "hash", "key_size": -4}}),
        ("create_map", {"spec": {"name": "x", "type": "array", "inner": 5}}),
        ("load", {}),
        ("load", {"data": b"\x7fELF", "options": {"programs": 3}}),
        ("load", {"data": b"", "options": {"edits": [1]}}),
        ("load", {"data": b"", "options": {"maps": 7}}),
        ("test_run", {"handle": 0}),
        ("store", {"handle": 9}),
        ("pin", {"handle": 1, "path": None}),
        ("remove_pin", {"path": "/x" * 5000}),
        ("feature", {"kind": "map_type", "name": {}}),
    ],
)  # fmt: skip
def test_bad_requests_get_errors(service: ServiceBackend, name: str, arguments: object) -> None:
    assert isinstance(arguments, dict)
    before = service.status()["pid"]
    with suppress(AnyBPFError):  # for a close of nothing there is none
        service.channel.ask_for_files(name, arguments)
    assert service.status()["pid"] == before


def test_half_messages_wait_for_a_while_only(serve: Serve, home: str) -> None:
    service = serve(limits={"stalled": 0.3})
    frame = wire.encode(["ids", {"kind": "map"}])
    with dial(home) as half, dial(home) as slow:
        half.sendall(frame[:20])
        for at in range(len(frame)):  # one byte at a time is no crime
            slow.sendall(frame[at : at + 1])
        assert wire.decode(slow.recv(4096)) == ["ok", []]
        assert is_shown_out(half)
        assert service.ids("map") == []
        slow.sendall(frame + frame)  # nor are two at once
        answers = b""
        while len(answers) < 2 * len(wire.encode(["ok", []])):
            answers += slow.recv(4096)


def test_a_client_that_never_reads_is_shown_out(serve: Serve, home: str) -> None:
    service = serve(limits={"stalled": 0.5})
    with dial(home) as deaf:
        deaf.settimeout(0.2)
        frame = wire.encode(["infos", {"kind": "map"}]) * 1000
        made = [service.create_map(map_spec(f"m{i}")) for i in range(20)]
        sent = 0
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                sent += deaf.send(frame)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
            assert service.status()["buffered"] < 4 << 20
        assert time.monotonic() < end
        assert sent < 64 << 20
    for one in made:
        one.close()
    assert service.ids("map") == []


def test_unfinished_messages_are_bounded_together(serve: Serve, home: str) -> None:
    service = serve(limits={"buffered": 4 << 20})
    crowd = [dial(home) for _ in range(4)]
    half = wire.HEADER.pack(wire.MAGIC, 0, 1, 60 << 20) + bytes(3 << 19)
    for sock in crowd:
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(half)
    end = time.monotonic() + 20
    while service.status()["refused"] < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert service.status()["refused"] == 2
    assert service.status()["buffered"] <= 4 << 20
    for sock in crowd:
        sock.close()


@pytest.fixture
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this process may not have 2,048 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_idle_connections(serve: Serve, home: str, descriptors: None) -> None:
    service = serve(limits={"connections": 100})
    made = service.create_map(map_spec("mine"))  # who holds something is not shown out
    crowd = []
    for _ in range(1000):
        sock = dial(home)
        crowd.append(sock)
    with connected(home) as late:
        assert late.ids("map") == [made.id]
        told = late.status()
    assert told["clients"] <= 100
    assert told["evicted"] >= 900
    assert made.info().name == "mine"
    made.close()
    for sock in crowd:
        sock.close()


def test_clients_that_all_hold_something_fill_the_house(serve: Serve, home: str) -> None:
    service = serve(limits={"connections": 3})
    others = [connected(home) for _ in range(2)]
    held = [one.create_map(map_spec("kept")) for one in [service, *others]]
    with pytest.raises((PolicyError, ClosedError, InputError)):
        ServiceBackend(directory=home, start=False)
    for one, client in zip(held, [service, *others], strict=True):
        one.close()
        client.ids("map")
    for client in others:
        client.close()


def test_handles_are_bounded(service: ServiceBackend) -> None:
    made = service.create_map(map_spec("one"))
    for _ in range(4095):
        service.channel.ask("open", kind="map", id=made.id)
    with pytest.raises(PolicyError, match="4096 handles"):
        service.channel.ask("open", kind="map", id=made.id)
    made.close()


def test_files_that_clients_send_are_not_kept(service: ServiceBackend, home: str) -> None:
    pid = service.status()["pid"]
    with connected(home) as other, open(os.devnull) as file:
        other.ids("map")
        before = len(os.listdir(f"/proc/{pid}/fd"))
        sock = other.channel._sock
        assert sock is not None
        frame = wire.encode(["ids", {"kind": "map"}])
        for _ in range(20):
            socket.send_fds(sock, [frame], [file.fileno()] * 5)
            sock.recv(4096)
        assert len(os.listdir(f"/proc/{pid}/fd")) == before
