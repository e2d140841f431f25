"""Events of a runtime: which there are, who hears them, and that silence is free."""

from __future__ import annotations

import json
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from anybpf.errors import InputError, NoSuchKey, VerifierError
from anybpf.objects.specs import MapSpec
from anybpf.runtime import Runtime
from anybpf.runtime.tracing import AREAS, ERROR, INFO, POINTS, Event, Tracer
from tests.conftest import ROOT
from tests.objects.conftest import Build


def hits() -> MapSpec:
    spec = MapSpec("hits", "hash")
    spec.key_size, spec.value_size, spec.max_entries = 4, 8, 2
    return spec


def told(events: list[Event]) -> list[str]:
    return [f"{event.area} {event.function}: {event.text}" for event in events]


def test_every_point_is_there_and_untouched() -> None:
    for point in POINTS:
        owner: Any = import_module(point.module)
        for part in point.name.split("."):
            owner = getattr(owner, part)
        assert callable(owner)
        assert not hasattr(owner, "__wrapped__"), f"{point.name} is wrapped with nobody listening"


def test_what_was_wrapped_is_itself_again(runtime: Runtime) -> None:
    from anybpf.maps import Map

    before = dict(vars(Map)), dict(vars(Runtime))
    with Tracer(lambda _: None):
        assert vars(Map)["__getitem__"] is not before[0].get("__getitem__")
    assert (dict(vars(Map)), dict(vars(Runtime))) == before


def test_life_of_a_map(runtime: Runtime) -> None:
    events: list[Event] = []
    with Tracer(events.append, ["maps", "pins"]), runtime.create_map(hits()) as made:
        number = made.id
        made[b"aaaa"] = bytes(8)
        made.update(b"bbbb", bytes(8), 1)
        assert made.get(b"aaaa") == bytes(8)
        del made[b"aaaa"]
        with pytest.raises(NoSuchKey):
            del made[b"aaaa"]
        made.pin("/hits")
        runtime.remove_pin("/hits")
    assert told(events) == [
        f"maps create_map: map hits (hash, 4 -> 8 bytes, 2 entries), id {number}",
        f"maps Map.__setitem__: map hits[b'aaaa'] = {bytes(8)!r}",
        f"maps Map.update: map hits[b'bbbb'] = {bytes(8)!r}",
        f"maps Map.get: map hits[b'aaaa']: {bytes(8)!r}",
        "maps Map.__delitem__: map hits[b'aaaa']",
        events[5].area + " Map.__delitem__: " + events[5].text,
        f"pins Runtime.pin: map hits (id {number}) at /hits",
        "pins Runtime.remove_pin: /hits",
    ]
    assert (events[5].level, events[5].text.partition(":")[0]) == (ERROR, "NoSuchKey")


def test_life_of_a_program(runtime: Runtime, droppacket: Path) -> None:
    events: list[Event] = []
    with Tracer(events.append), runtime.load(droppacket) as loaded:
        program = loaded.program()
        program.test_run(bytes(14))
        number = program.id
    lines = told(events)
    assert [line.partition(":")[0] for line in lines] == [
        "verifier _Load._verify",
        "maps create_map",
        "maps create_map",
        "programs create_program",
        "base Runtime.load",
        "core Program.test_run",
    ]
    assert lines[0].startswith("verifier _Load._verify: proved drop_packet (")
    assert lines[3].endswith(f" bytes), id {number}")
    assert lines[4] == (
        "base Runtime.load: droppacket: programs drop_packet; maps interface_filter, "
        "dropped_packets"
    )
    assert lines[5].startswith("core Program.test_run: program drop_packet: XDP_PASS, ")


def test_refusals_are_errors(runtime: Runtime, build: Build) -> None:
    source = (ROOT / "examples" / "rejected" / "packet_bounds.c").read_text()
    events: list[Event] = []
    with Tracer(events.append, level=ERROR), pytest.raises(VerifierError):
        runtime.load(build(source, "packet_bounds"))
    assert [(event.area, event.level) for event in events] == [
        ("verifier", ERROR), ("base", ERROR),
    ]  # fmt: skip
    assert events[0].text.startswith("VerifierError: program drop_udp was not proved safe: ")


def test_areas_and_levels_are_chosen(runtime: Runtime) -> None:
    quiet: list[Event] = []
    begin_and_end: list[Event] = []
    with (
        Tracer(quiet.append, level=INFO),
        Tracer(begin_and_end.append, ["entry-exit"]),
        runtime.create_map(hits()) as made,
    ):
        made[b"aaaa"] = bytes(8)
    assert [event.function for event in quiet] == ["create_map"]
    assert [line.partition(",")[0] for line in told(begin_and_end)] == [
        "entry-exit create_map: begin",
        "entry-exit create_map: end",
        "entry-exit Map.__setitem__: begin",
        "entry-exit Map.__setitem__: end",
    ]
    with pytest.raises(InputError, match="no area of events is named 'map' \\(did you mean maps"):
        Tracer(quiet.append, ["map"])
    with pytest.raises(InputError, match="levels of events are error, info, verbose, not 'loud'"):
        Tracer(quiet.append, level="loud")


def test_threads_are_told_apart(runtime: Runtime) -> None:
    events: list[Event] = []
    with runtime.create_map(hits()) as made:

        def work() -> None:
            for _ in range(50):
                made[b"aaaa"] = bytes(8)

        threads = [threading.Thread(target=work) for _ in range(2)]
        with Tracer(events.append, ["maps"]):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len(events) == 100
    assert len({event.thread for event in events}) in (1, 2)  # numbers are given again
    assert json.loads(json.dumps(events[0].as_dict()))["area"] == "maps"
    assert set(AREAS) >= {event.area for event in events}
