"""Running a service in the foreground, and starting, stopping and asking one in the background.

A lock on a file makes sure that there is one service per directory and platform, whoever starts it
and however many do so at once.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

from anybpf.errors import InputError, NotFound
from anybpf.service import wire
from anybpf.service.paths import Places, check_owner


class Options:
    """How a service is run."""

    __slots__ = ("connections", "cpus", "directory", "group", "idle", "metrics", "platform")

    def __init__(self, directory: str = "", platform: str = "linux") -> None:
        self.directory: str = directory
        self.platform: str = platform
        self.cpus: int | None = None
        self.group: str = ""
        self.metrics: int = 0  # port of the metrics on loopback; 0: none
        self.connections: int = 512
        self.idle: float = 0.0

    def words(self) -> list[str]:
        """The same as arguments of a command line."""
        told = ["--platform", self.platform]
        for name, value in (
            ("--directory", self.directory),
            ("--cpus", self.cpus),
            ("--group", self.group),
            ("--metrics", self.metrics),
            ("--idle", self.idle),
        ):
            if value:
                told += [name, str(value)]
        return [*told, "--connections", str(self.connections)]


def run(options: Options) -> int:
    """Serve in this process until SIGTERM, SIGINT or a stop; 1 if a service is there already."""
    from anybpf.service.log import Journal
    from anybpf.service.server import Limits, Server

    places = Places(options.directory, options.platform)
    group = _group(options.group)
    places.prepare(group)
    lock = take_lock(places)
    if lock is None:
        return 1
    os.umask(0o077)
    _take_descriptors()
    server = Server(
        places,
        cpus=options.cpus,
        group=group,
        limits=Limits(options.connections, idle=options.idle),
        journal=Journal(places.log),
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: server.stop())
    if options.metrics:
        from anybpf.service.metrics import serve

        serve(server, options.metrics)
    server.open()
    server.run()
    sys.stdout.flush()
    os._exit(0)  # what is in memory stays in its files: nothing is to be let go of on the way out


def _take_descriptors() -> None:
    """As many as may be had: every map has one, and every client."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def take_lock(places: Places) -> int | None:
    """The lock's descriptor, kept as long as the service lives; None if another has it."""
    fd = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    os.ftruncate(fd, 0)
    os.write(fd, b"%d\n" % os.getpid())
    return fd


def _group(name: str) -> int:
    if not name:
        return -1
    import grp

    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise NotFound(f"no group is named {name!r}") from None


# From outside.


def connect(places: Places, timeout: float = 30.0) -> socket.socket | None:
    """A connection to the service, if it is there and it is ours."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    # The kernel's own time limits: Python's would cost a further system call each time.
    limit = struct.pack("@ll", int(timeout), int(timeout % 1 * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    try:
        sock.connect(places.socket)
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError:
        sock.close()
        raise
    return sock


def ask(sock: socket.socket, name: str, /, **arguments: Any) -> Any:
    """One request, without files."""
    sock.sendall(wire.encode([name, arguments]))
    got = bytearray()
    while not (size := wire.frame_size(got)) or len(got) < size:
        block = sock.recv(1 << 16)
        if not block:
            raise ConnectionResetError("the service closed the connection")
        got += block
    answer = wire.decode(got)
    if answer[0] != "ok":
        raise wire.error_from_wire(answer[1])
    return answer[1]


def start(options: Options, wait: float = 20.0) -> bool:
    """See that a service runs; whether it was started here. It outlives this process."""
    places = Places(options.directory, options.platform)
    sock = connect(places)
    if sock is not None:
        sock.close()
        return False
    places.prepare(_group(options.group))
    _launch(options)
    end = time.monotonic() + wait
    pause = 0.002
    while time.monotonic() < end:
        sock = connect(places)
        if sock is not None:
            sock.close()
            return True
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    raise InputError(
        f"the service did not start within {wait:.0f} seconds: run `anybpf service run` to see "
        f"why; its log is {places.log}"
    )


def _launch(options: Options) -> None:
    """Two forks, so that the service is nobody's child, in a session of its own. In a new program:
    what threads of this process hold is not the service's."""
    import subprocess

    code = (
        "import os, sys\n"
        "if os.fork(): os._exit(0)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'anybpf.service', *sys.argv[1:]])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, *options.words()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        check=True,
    )


def stop(places: Places, wait: float = 20.0) -> bool:
    """Stop the service, if one runs; whether one did."""
    sock = connect(places, wait)
    if sock is None:
        return False
    with sock:
        ask(sock, "stop")
        try:
            sock.recv(1)
        except ConnectionResetError:
            return True
    return True


def status(places: Places) -> dict[str, Any] | None:
    """What the service says of itself; None if none runs."""
    if os.path.isdir(places.directory):
        check_owner(places.directory)
    sock = connect(places)
    if sock is None:
        return None
    with sock:
        found: dict[str, Any] = ask(sock, "status")
        return found


def parse(words: Sequence[str]) -> Options:
    """The options of a command line as :meth:`Options.words` makes it."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m anybpf.service", allow_abbrev=False)
    add_options(parser)
    return options_of(parser.parse_args(words))


def add_options(parser: Any) -> None:
    parser.add_argument("--directory", default="", help="where socket and state are")
    parser.add_argument("--platform", default="linux", help="whose rules hold (default: linux)")
    parser.add_argument("--cpus", type=int, default=None, help="processors that programs see")
    parser.add_argument("--group", default="", help="a group whose members may use it as well")
    parser.add_argument("--metrics", type=int, default=0, help="port on loopback for Prometheus")
    parser.add_argument("--connections", type=int, default=512, help="clients at once")
    parser.add_argument(
        "--idle", type=float, default=0.0, help="end after so many seconds without use and pins"
    )


def options_of(args: Any) -> Options:
    options = Options(args.directory, args.platform)
    options.cpus = args.cpus
    options.group = args.group
    options.metrics = args.metrics
    options.connections = args.connections
    options.idle = args.idle
    return options


def main() -> int:
    return run(parse(sys.argv[1:]))
