"""Figures of a service as Prometheus reads them, on loopback and only if a port was given.

Whoever can open a connection to this machine's loopback can read them: names and counts, never
contents of maps. The format is that of prometheus.io's text exposition 0.0.4.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anybpf.service.server import Server

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Of the status: its key, the metric, what kind it is, what it says.
_FIGURES: Final = (
    ("uptime", "uptime_seconds", "gauge", "Seconds since the service started"),
    ("programs", "programs", "gauge", "Programs that are loaded"),
    ("maps", "maps", "gauge", "Maps that exist"),
    ("links", "links", "gauge", "Links that exist"),
    ("pins", "pins", "gauge", "Pins"),
    ("memory", "map_memory_bytes", "gauge", "Memory of all maps"),
    ("clients", "clients", "gauge", "Connections that are open"),
    ("connections", "connections_total", "counter", "Connections that were let in"),
    ("requests", "requests_total", "counter", "Requests that were done"),
    ("errors", "request_errors_total", "counter", "Requests that ended with an error"),
    ("refused", "refused_total", "counter", "Clients and messages that were refused"),
    ("evicted", "evicted_total", "counter", "Idle connections closed to make room"),
    ("loads", "loads_total", "counter", "Objects that were to be verified"),
    ("prover_crashes", "prover_crashes_total", "counter", "Verifications that ended badly"),
)


def text(server: Server) -> str:
    """All figures, as they are now."""
    return "\n".join(_lines(server)) + "\n"


def _lines(server: Server) -> Iterator[str]:
    status = server.status()
    for key, name, kind, says in _FIGURES:
        yield from _head(name, kind, says)
        yield f"anybpf_{name} {status[key]}"
    programs = list(server.runtime.infos("program"))
    for name, says, field, factor in (
        ("program_runs_total", "Runs of a program while statistics are on", "run_cnt", 1),
        ("program_run_seconds_total", "Time in a program while statistics are on", "run_time_ns",
         1e-9),
    ):  # fmt: skip
        yield from _head(name, "counter", says)
        for one in programs:
            labels = _labels(id=one.id, name=one.name, type=one.type_name)
            yield f"anybpf_{name}{labels} {getattr(one, field) * factor}"
    maps = list(server.runtime.infos("map"))
    for name, says, field in (
        ("map_bytes", "Memory of a map", "memlock"),
        ("map_max_entries", "Entries that a map was made for", "max_entries"),
    ):
        yield from _head(name, "gauge", says)
        for one in maps:
            labels = _labels(id=one.id, name=one.name, type=one.type_name)
            yield f"anybpf_{name}{labels} {getattr(one, field)}"


def _head(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP anybpf_{name} {says}."
    yield f"# TYPE anybpf_{name} {kind}"


def _labels(**labels: object) -> str:
    told = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items())
    return f"{{{told}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def serve(server: Server, port: int) -> ThreadingHTTPServer:
    """Answer ``GET /metrics`` on loopback, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = text(server).encode()
            self.send_response(200)
            self.send_header("Content-Type", TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Readers come every few seconds: they are not worth a line each."""

    made = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, name="metrics", daemon=True).start()
    return made
