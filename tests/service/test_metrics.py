"""Figures for Prometheus, on loopback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.service.conftest import Serve

LINE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+')


def test_figures(serve: Serve, home: str, counter: Path) -> None:
    service = serve(metrics=True)
    port = int(Path(home, "port").read_text())
    with service.load(counter) as loaded, service.enable_statistics():
        loaded.program("count").test_run(bytes(64), repeat=7)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            lines = answer.read().decode().splitlines()
    assert all(line.startswith("# ") or LINE.fullmatch(line) for line in lines)
    assert "anybpf_programs 2" in lines
    assert any(
        line.startswith("anybpf_program_runs_total{") and 'name="count"' in line
        and line.endswith(" 7")
        for line in lines
    )  # fmt: skip
    with pytest.raises(HTTPError):
        urlopen(f"http://127.0.0.1:{port}/", timeout=10)


def test_the_log_is_lines_of_json(serve: Serve, home: str) -> None:
    serve()
    lines = Path(home, "service-linux.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started"]
