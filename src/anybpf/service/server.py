"""The service's socket: who may come in, how much each may ask, and in what order it is done.

One thread waits for all connections. A connection has one request at a time: while it is worked on,
or while its answer has not been taken, no more is read from it, so that a client can make the
service keep at most one message and one answer. What requests mean is the business of ``requests``.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from array import array
from collections import deque
from contextlib import suppress
from typing import Any, Final

from anybpf.errors import AnyBPFError, PolicyError
from anybpf.service import wire
from anybpf.service.keeping import KeptRuntime
from anybpf.service.log import Journal
from anybpf.service.paths import Places
from anybpf.service.proving import Provers
from anybpf.service.requests import REQUESTS, Files, Session

_READ: Final = 1 << 16
_PEER: Final = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


class Limits:
    """How much strangers can make the service keep."""

    __slots__ = ("buffered", "connections", "idle", "stalled", "workers")

    def __init__(
        self,
        connections: int = 512,
        buffered: int = 256 << 20,
        stalled: float = 20.0,
        idle: float = 0.0,
        workers: int = 4,
    ) -> None:
        self.connections: int = connections  # at once
        self.buffered: int = buffered  # bytes of unfinished messages, of all together
        self.stalled: float = stalled  # seconds to finish a message, or to take an answer
        self.idle: float = (
            idle  # seconds without a client and a pin until the service ends; 0: never
        )
        self.workers: int = workers  # slow requests at once


class Connection:
    __slots__ = ("busy", "fds", "got", "out", "session", "since", "sock", "uid", "watched")

    def __init__(self, sock: socket.socket, session: Session, uid: int) -> None:
        self.sock = sock
        self.session = session
        self.uid: int = uid
        self.got = bytearray()
        self.out: memoryview | None = None
        self.fds: list[int] = []
        self.busy: bool = False
        self.watched: int = select.EPOLLIN
        # When it last did something; with a half message or answer, when that began.
        self.since: float = time.monotonic()


class Server:
    """A service at work. ``run`` returns when it is stopped."""

    def __init__(
        self,
        places: Places,
        *,
        cpus: int | None = None,
        group: int = -1,
        limits: Limits | None = None,
        provers: Provers | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.places = places
        self.group: int = group
        self.limits: Limits = limits or Limits()
        self.journal: Journal = journal or Journal("")
        self.started: float = time.time()
        self.counts: dict[str, int] = {
            "requests": 0, "errors": 0, "refused": 0, "connections": 0, "evicted": 0, "loads": 0,
        }  # fmt: skip
        self.runtime: KeptRuntime = KeptRuntime(
            places.state, places.platform, cpus=cpus, tell=self.journal.tell
        )
        self.provers: Provers = provers or Provers()
        self.restored: dict[str, int] = {}
        self._listener: socket.socket | None = None
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._buffered: int = 0
        self._done: deque[tuple[Connection, bytes, list[int]]] = deque()
        self._todo: deque[tuple[Connection, Any, dict[str, Any], str]] = deque()
        self._work = threading.Semaphore(0)
        self._workers: int = 0
        self._free: int = 0
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._stopping: bool = False
        self._save_lock = threading.Lock()

    # Life.

    def open(self) -> None:
        """Bring back what was pinned, and listen."""
        self.restored = self.runtime.restore(self.prove)
        path = self.places.socket
        with suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        if self.group >= 0:
            os.chown(path, -1, self.group)
            os.chmod(path, 0o660)
        listener.listen(128)
        listener.setblocking(False)
        self._listener = listener
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._epoll.register(self._bell.fileno(), select.EPOLLIN)
        self.journal.tell("started", pid=os.getpid(), restored=self.restored)

    def run(self) -> None:
        """Serve until stopped."""
        assert self._listener is not None
        door, bell = self._listener.fileno(), self._bell.fileno()
        swept = time.monotonic()
        while not self._stopping:
            for fd, event in self._epoll.poll(1.0):
                if fd == door:
                    self._accept()
                elif fd == bell:
                    self._answer_done()
                else:
                    connection = self._connections.get(fd)
                    if connection is not None:
                        self._serve(connection, event)
            now = time.monotonic()
            if now - swept >= 1.0:
                swept = now
                self._sweep(now)
        self._end()

    def stop(self) -> None:
        """To be called from any thread, or from a handler of signals."""
        self._stopping = True
        self._ring()

    def _ring(self) -> None:
        try:
            self._ringer.send(b"!", socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # it is ringing already

    def _end(self) -> None:
        self.runtime.leave()
        for connection in list(self._connections.values()):
            self._flush(connection)
            connection.sock.close()
        self._connections.clear()
        if self._listener is not None:
            self._listener.close()
            with suppress(FileNotFoundError):
                os.unlink(self.places.socket)
        self.provers.close()
        self.journal.tell("stopped", pid=os.getpid())

    # Coming and going.

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # as many files as this process may have
                self.journal.tell("not-accepted", why=str(error))
                self._evict()
                return
            sock.setblocking(False)
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            pid, uid, gid = _PEER.unpack(peer)
            if not self._may_enter(uid, gid, pid):
                self.counts["refused"] += 1
                self.journal.tell("refused", uid=uid, pid=pid)
                _say(sock, PolicyError("this service serves other users", policy="service",
                                       rule=f"user {os.geteuid()} and its group only"))  # fmt: skip
                sock.close()
                continue
            if len(self._connections) >= self.limits.connections and not self._evict():
                self.counts["refused"] += 1
                _say(sock, PolicyError("the service has too many clients", policy="service",
                                       rule=f"{self.limits.connections} at once"))  # fmt: skip
                sock.close()
                continue
            self.counts["connections"] += 1
            connection = Connection(sock, Session(self, uid), uid)
            self._connections[sock.fileno()] = connection
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _may_enter(self, uid: int, gid: int, pid: int) -> bool:
        if uid in (os.geteuid(), 0):
            return True
        if self.group < 0:
            return False
        if gid == self.group:
            return True
        try:  # the groups that it has besides: proc(5)
            with open(f"/proc/{pid}/status") as lines:
                words = next(line for line in lines if line.startswith("Groups:")).split()[1:]
        except (OSError, StopIteration):
            return False
        return str(self.group) in words

    def _evict(self) -> bool:
        """Show out who has been idle longest, if he holds nothing: he can come back unharmed."""
        idle = [
            one
            for one in self._connections.values()
            if not one.busy and one.out is None and not one.session.handles
        ]
        if not idle:
            return False
        self.counts["evicted"] += 1
        self._drop(min(idle, key=lambda one: one.since))
        return True

    def _drop(self, connection: Connection) -> None:
        fd = connection.sock.fileno()
        if fd < 0 or self._connections.pop(fd, None) is None:
            return
        self._epoll.unregister(fd)
        connection.sock.close()
        self._buffered -= len(connection.got)
        connection.got.clear()
        connection.out = None
        for left in connection.fds:
            os.close(left)
        connection.fds = []
        if not connection.busy:  # else when what it asked for is done
            connection.session.close()
            self._save()

    def _sweep(self, now: float) -> None:
        late = now - self.limits.stalled
        for one in list(self._connections.values()):
            if not one.busy and (one.got or one.out is not None) and one.since < late:
                self.journal.tell("stalled", uid=one.uid)
                self._drop(one)
        idle = self.limits.idle
        if (
            idle
            and not self._connections
            and not self.runtime.pins()
            and time.time() - self.started > idle
        ):
            self.stop()

    # Requests.

    def _serve(self, connection: Connection, event: int) -> None:
        if event & select.EPOLLOUT:
            self._flush(connection)
            self._take(connection)  # what it asked before it took the answer
            return
        if connection.busy or connection.out is not None:
            if event & (select.EPOLLHUP | select.EPOLLERR):
                self._drop(connection)
            return
        try:
            block = connection.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        if not block:
            self._drop(connection)
            return
        if not connection.got:
            connection.since = time.monotonic()
        connection.got += block
        self._buffered += len(block)
        self._take(connection)

    def _take(self, connection: Connection) -> None:
        """Do what its messages ask, until one is not whole or not done at once."""
        while connection.got and not connection.busy and connection.out is None:
            if not self._take_one(connection):
                return

    def _take_one(self, connection: Connection) -> bool:
        got = connection.got
        try:
            size = wire.frame_size(got)
            if not size or len(got) < size:
                if self._buffered > self.limits.buffered:
                    raise wire.WireError("the service has too many unfinished messages")
                return False
            name, arguments = _request(wire.decode(got))
            del got[:size]
            self._buffered -= size
        except wire.WireError as error:
            self.counts["refused"] += 1
            self.journal.tell("bad-message", uid=connection.uid, why=str(error))
            _say(connection.sock, error)
            self._drop(connection)
            return False
        self.counts["requests"] += 1
        request = REQUESTS.get(name)
        if request is None:
            answer, fds = self._failed(
                name, AnyBPFError(f"the service knows no request {name!r:.80}")
            )
        elif request[1]:
            self._give_work(connection, request[0], arguments, name)
            return False
        else:
            answer, fds = self._do(connection.session, request[0], arguments, name)
            if self.runtime.dirty:
                self._save()
        self._send(connection, answer, fds)
        return True

    def _do(
        self, session: Session, function: Any, arguments: dict[str, Any], name: str
    ) -> tuple[bytes, list[int]]:
        try:
            value = function(session, arguments)
            if isinstance(value, Files):
                return wire.encode(["ok", value.value]), [os.dup(fd) for fd in value.fds]
            return wire.encode(["ok", value]), []
        except Exception as error:  # one client's request must not end the service
            return self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> tuple[bytes, list[int]]:
        self.counts["errors"] += 1
        if not isinstance(error, AnyBPFError | OSError):
            import traceback

            self.journal.tell("fault", request=name, trace=traceback.format_exc()[-4000:])
        return wire.encode(["error", wire.error_to_wire(error)]), []

    def _save(self) -> None:
        if not self.runtime.dirty:
            return
        with self._save_lock:
            try:
                self.runtime.save()
            except OSError as error:
                self.runtime.dirty = True
                self.journal.tell("not-saved", why=str(error))

    def _send(self, connection: Connection, answer: bytes, fds: list[int]) -> None:
        connection.out = memoryview(answer)
        connection.fds = fds
        self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        out = connection.out
        if out is None or connection.sock.fileno() < 0:
            return
        try:
            if connection.fds:
                files = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", connection.fds))]
                sent = connection.sock.sendmsg([out], files, socket.MSG_NOSIGNAL)
                for fd in connection.fds:
                    os.close(fd)
                connection.fds = []
            else:
                sent = connection.sock.send(out, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(connection)
            return
        if sent == len(out):
            connection.out = None
            self._watch(connection, select.EPOLLIN)
            return
        connection.out = out[sent:]
        connection.since = time.monotonic()
        self._watch(connection, select.EPOLLOUT)

    def _watch(self, connection: Connection, event: int) -> None:
        if connection.watched != event:
            connection.watched = event
            self._epoll.modify(connection.sock.fileno(), event)

    # Slow requests.

    def _give_work(
        self, connection: Connection, function: Any, arguments: dict[str, Any], name: str
    ) -> None:
        connection.busy = True
        self._watch(connection, 0)
        self._todo.append((connection, function, arguments, name))
        if self._workers < self.limits.workers:
            self._workers += 1
            threading.Thread(target=self._worker, name="requests", daemon=True).start()
        self._work.release()

    def _worker(self) -> None:
        while True:
            self._work.acquire()
            connection, function, arguments, name = self._todo.popleft()
            answer, fds = self._do(connection.session, function, arguments, name)
            self._save()
            self._done.append((connection, answer, fds))
            self._ring()

    def _answer_done(self) -> None:
        try:
            self._bell.recv(4096)
        except BlockingIOError:
            return
        while self._done:
            connection, answer, fds = self._done.popleft()
            connection.busy = False
            if connection.sock.fileno() < 0:  # it left meanwhile
                for fd in fds:
                    os.close(fd)
                connection.session.close()
                self._save()
                continue
            self._send(connection, answer, fds)
            self._take(connection)

    def prove(self, data: bytes, options: dict[str, Any]) -> bytes:
        """For requests: the proof of an object, made in a process without rights."""
        self.counts["loads"] += 1
        runtime = self.runtime
        return self.provers.prove(data, options, runtime.platform.name, runtime.cpus)

    def status(self) -> dict[str, Any]:
        """What there is to know of the service."""
        runtime = self.runtime
        return {
            "pid": os.getpid(),
            "platform": runtime.platform.name,
            "cpus": runtime.cpus,
            "socket": self.places.socket,
            "state": self.places.state,
            "started": int(self.started),
            "uptime": time.time() - self.started,
            "programs": len(runtime.ids("program")),
            "maps": len(runtime.ids("map")),
            "links": len(runtime.ids("link")),
            "pins": len(runtime.pins()),
            "memory": sum(one.memory for one in runtime.records("map")),
            "clients": len(self._connections),
            "buffered": self._buffered,
            "restored": self.restored,
            "prover_crashes": self.provers.crashes,
            "prover_keeps": self.provers.missing,
            **self.counts,
        }


def _request(told: Any) -> tuple[str, dict[str, Any]]:
    if (
        isinstance(told, list)
        and len(told) == 2
        and isinstance(told[0], str)
        and isinstance(told[1], dict)
    ):
        return told[0], told[1]
    raise wire.WireError("a message is a list of a request's name and a table")


def _say(sock: socket.socket, error: Exception) -> None:
    """A last word to somebody who is shown out; he need not listen."""
    try:
        sock.send(wire.encode(["error", wire.error_to_wire(error)]), socket.MSG_NOSIGNAL)
    except OSError:
        return
