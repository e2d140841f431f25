"""Kills a service at random moments while clients use it, and looks for what was lost.

A client writes to a pinned map (through its own memory and by runs of a pinned program), pins and
unpins maps, loads and lets go. What was acknowledged before a kill must be there after it.
``python -m tests.service.killing 1000`` does so by itself.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from anybpf.backends.service import ServiceBackend
from anybpf.errors import AnyBPFError, ClosedError, InputError
from tests.runtime.making import map_spec
from tests.service.launching import Launcher


class Kills:
    """One campaign."""

    def __init__(self, launcher: Launcher, home: str, object_file: Path, seed: int = 1) -> None:
        self.launcher = launcher
        self.home: str = home
        self.object_file = object_file
        self.random = random.Random(seed)
        self.kills: int = 0
        self.checks: int = 0
        self.requests: int = 0
        self.lost: list[str] = []
        # What was acknowledged: runs of the program, pins that must and that may be there.
        self.runs: int = 0
        self.tried_runs: int = 0
        self.must: dict[str, int] = {}
        self.may: set[str] = set()
        self._pid: int = 0
        self._next: int = 0

    def prepare(self) -> None:
        with self._client() as client, client.load(self.object_file) as loaded:
            loaded.program("count").pin("/keep/count")
            loaded.map("next")[2] = loaded.program("other")
            loaded.map("next").pin("/keep/next")
            with loaded.program("count").attach("xdp") as link:
                link.pin("/keep/link")
            with client.create_map(map_spec("written", "hash", entries=4096)) as written:
                written.pin("/keep/written")

    def _client(self) -> ServiceBackend:
        """A client of a service that runs now; one is started if none does."""
        if not self._pid:
            self._pid = self.launcher.start(self.home)
        end = time.monotonic() + 20
        while True:
            try:
                return ServiceBackend(directory=self.home, start=False, timeout=20)
            except (InputError, ClosedError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.001)

    def _kill(self) -> None:
        self.launcher.end(self._pid)
        self._pid = 0
        self.kills += 1

    def turn(self) -> None:
        """One life of the service: looked at, used, killed while it is used."""
        if not self._pid and self.random.random() < 0.15:  # some do not live until they listen
            self._pid = self.launcher.start(self.home)
            time.sleep(self.random.random() * 0.02)
            self._kill()
            return
        with self._client() as client:
            self._look(client)
            killer = threading.Timer(self.random.random() ** 2 * 0.06, self._kill)
            killer.start()
            try:
                while True:
                    self._use(client)
            except (ClosedError, OSError):
                killer.join()
            except AnyBPFError as error:
                killer.join()
                if "no service answers" in str(error):
                    return
                self.lost.append(f"an error that is none of a kill: {error!r}")

    def _use(self, client: ServiceBackend) -> None:
        self.requests += 1
        what = self.random.random()
        if what < 0.35:
            with client.open("/keep/count") as program:
                self.tried_runs += 1
                program.test_run(bytes(64))
                self.runs += 1
        elif what < 0.6:
            with client.open("/keep/written") as written:
                table = written.typed("u4", "u8")
                for key in range(20):
                    table[key] = self.requests
        elif what < 0.85 or not self.must:
            self._pin(client)
        else:
            path = self.random.choice(sorted(self.must))
            del self.must[path]
            self.may.add(path)  # until it is acknowledged that it went
            client.remove_pin(path)
            self.may.discard(path)

    def _pin(self, client: ServiceBackend) -> None:
        self._next += 1
        path = f"/pins/{self._next}"
        with client.create_map(map_spec("pinned", "hash", entries=64)) as made:
            made.typed("u4", "u8")[1] = self._next
            self.may.add(path)
            made.pin(path)
            self.may.discard(path)
            self.must[path] = self._next
        if len(self.must) > 12:
            oldest = next(iter(self.must))
            del self.must[oldest]
            self.may.add(oldest)
            client.remove_pin(oldest)
            self.may.discard(oldest)

    def _look(self, client: ServiceBackend) -> None:
        """What must be there, is; what is there, may be."""
        self.checks += 1
        there = {path: number for path, _, number in client.pins()}
        kept = {"/keep/count", "/keep/next", "/keep/link", "/keep/written"}
        for path in [*kept, *self.must]:
            if path not in there:
                self.lost.append(f"kill {self.kills}: pin {path} is gone")
        for path in set(there) - kept - set(self.must) - self.may:
            self.lost.append(f"kill {self.kills}: pin {path} came back")
        for path in self.may & set(there):  # settled now: it is one of those that stayed
            client.remove_pin(path)
        self.may.clear()
        for path, value in self.must.items():
            if path in there:
                with client.open(path) as one:
                    if one.typed("u4", "u8").get(1) != value:
                        self.lost.append(f"kill {self.kills}: contents of {path} are others")
        if not kept <= set(there):
            return
        with client.open("/keep/written") as written:
            values = list(written.typed("u4", "u8").values())
            if values and max(values) > self.requests:
                self.lost.append(f"kill {self.kills}: values that nobody wrote: {values}")
        with client.open("/keep/next") as table, client.open("/keep/link") as link:
            if list(table.ids()) != [2] or link.state != "attached":
                self.lost.append(f"kill {self.kills}: the table or the link are others")
        with client.open("/keep/count") as program:
            maps = program.info().map_ids
            counts = next(one for one in client.infos("map") if one.name == "runs")
            if counts.id not in maps:
                self.lost.append(f"kill {self.kills}: the program has other maps")
            with client.map(counts.id) as runs:
                found: Any = runs[0]
            if not self.runs <= found <= self.tried_runs:
                self.lost.append(
                    f"kill {self.kills}: {found} runs are counted, of {self.runs} at least and "
                    f"{self.tried_runs} at most"
                )
            self.runs = self.tried_runs = found


def main() -> int:
    from anybpf import toolchain
    from tests.service.conftest import COUNTER

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory(prefix="ab-", dir="/tmp") as home:
        source = Path(home, "counter.c")
        source.write_text(COUNTER)
        built = toolchain.compile(source, Path(home, "counter.o")).output
        launcher = Launcher()
        campaign = Kills(launcher, home, built, seed)
        try:
            campaign.prepare()
            while campaign.kills < count and not campaign.lost:
                campaign.turn()
        except KeyboardInterrupt:
            print("interrupted")
        finally:
            launcher.close()
    print(
        f"{campaign.kills} kills, {campaign.checks} looks, {campaign.requests} requests, "
        f"{len(campaign.lost)} losses (seed {seed})"
    )
    for line in campaign.lost[:20]:
        print(line)
    return 1 if campaign.lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
