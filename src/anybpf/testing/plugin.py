"""The pytest plugin: `--anybpf-trace` tells, for each test, what runtimes did for it.

The events of a test stand in its report, which pytest shows for those that fail (`-rA` for all),
and in a file if one is named. What events there are is the business of `anybpf.runtime.tracing`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

TITLE = "anybpf trace"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("anybpf", "eBPF programs and runtimes")
    group.addoption(
        "--anybpf-trace",
        metavar="AREA[,AREA]",
        nargs="?",
        const="",
        default=None,
        help="tell what runtimes do in each test: all of it, or some areas (base, verifier, core, "
        "programs, maps, links, pins, entry-exit); write it last, or with '='",
    )
    group.addoption(
        "--anybpf-trace-level",
        choices=("error", "info", "verbose"),
        default="verbose",
        help="how much (default: verbose)",
    )
    group.addoption(
        "--anybpf-trace-file", metavar="FILE", default=None, help="write all of it to a file, too"
    )


def pytest_configure(config: pytest.Config) -> None:
    areas: str | None = config.getoption("--anybpf-trace")
    file: str | None = config.getoption("--anybpf-trace-file")
    if areas is None and file is None:
        return
    level: str = config.getoption("--anybpf-trace-level")
    config.pluginmanager.register(Tracing(areas or "", level, file), "anybpf-tracing")


class Tracing:
    """Listens while tests run. Only there if somebody asked for it."""

    def __init__(self, areas: str, level: str, file: str | None) -> None:
        from anybpf.errors import AnyBPFError
        from anybpf.runtime.tracing import Event, Tracer

        self._lines: list[str] = []
        self._path = None if file is None else Path(file)

        def sink(event: Event) -> None:
            self._lines.append(str(event))

        try:
            self._tracer = Tracer(sink, [area for area in areas.split(",") if area], level)
        except AnyBPFError as error:
            raise pytest.UsageError(f"--anybpf-trace: {error}") from None
        if self._path is not None:
            self._path.write_text("", encoding="utf-8")

    def _listen(self, item: pytest.Item, when: str) -> Generator[None, object, object]:
        self._lines.clear()
        with self._tracer:
            try:
                return (yield)
            finally:
                if self._lines:
                    text = "\n".join(self._lines)
                    item.add_report_section(when, TITLE, text)
                    self._keep(f"# {item.nodeid} {when}\n{text}\n")

    def _keep(self, text: str) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._listen(item, "setup"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._listen(item, "call"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._listen(item, "teardown"))
