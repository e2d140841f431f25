"""Starts services quickly: a process that has imported everything forks one for each line it reads.

As a program: ``python -m tests.service.launching``. From tests: :class:`Launcher`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any


class Hook:
    """A place for programs that delivers no events."""

    def attach(self, link: Any) -> None:
        pass

    def detach(self, link: Any) -> None:
        pass


def serve(told: dict[str, Any]) -> None:
    """Be the service. Like ``anybpf service run``, but for a hook, and without a spare prover."""
    from anybpf.service import running
    from anybpf.service.log import Journal
    from anybpf.service.paths import Places
    from anybpf.service.proving import Provers
    from anybpf.service.server import Limits, Server

    places = Places(told["directory"])
    places.prepare()
    if running.take_lock(places) is None:
        os._exit(1)
    server = Server(
        places,
        cpus=2,
        limits=Limits(**told.get("limits", {})),
        provers=Provers(spare=False, **told.get("provers", {})),
        journal=Journal(places.log),
    )
    server.runtime.hooks["xdp"] = Hook()
    if told.get("metrics"):
        from anybpf.service.metrics import serve as serve_metrics

        port = serve_metrics(server, 0).server_address[1]
        with open(os.path.join(told["directory"], "port"), "w") as file:
            file.write(str(port))
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.open()
    server.run()
    os._exit(0)


def main() -> None:
    import anybpf.engines.proof
    import anybpf.objects.externs
    import anybpf.runtime.loading
    import anybpf.service.edits
    import anybpf.service.metrics
    import anybpf.service.server  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                serve(json.loads(line))
            finally:
                os._exit(3)
        print(pid, flush=True)


class Launcher:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.launching"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pids: list[int] = []

    def start(self, directory: str, **told: Any) -> int:
        """The process number of a new service, which may not listen yet."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"directory": directory, **told}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        self.pids.append(pid)
        return pid

    def end(self, pid: int, how: int = signal.SIGKILL) -> None:
        """End a service that was started here, and wait until it is gone."""
        self.pids.remove(pid)
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.001)
        raise AssertionError(f"process {pid} does not end")

    def close(self) -> None:
        for pid in list(self.pids):
            self.end(pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


if __name__ == "__main__":
    main()
