"""The same done on every back end comes to the same: values, and the kinds of errors.

The kernel's answers are the reference; where it refuses us, that half is skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anybpf.backends.linux import LinuxBackend, unavailable
from anybpf.backends.model import Backend
from anybpf.errors import AnyBPFError
from anybpf.runtime import Runtime
from tests.backends.test_linux_load import OBJECT, RING
from tests.runtime.making import DNS, PASS, collection, map_spec

NOEXIST, EXIST = 1, 2

Step = Callable[[Any], object]


@pytest.fixture
def both() -> Iterator[tuple[Backend, Backend]]:
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    with LinuxBackend() as kernel, Runtime("linux", cpus=2) as runtime:
        yield kernel, runtime


def outcome(step: Step, subject: object) -> object:
    """What a step comes to: its value, or the name of its error."""
    try:
        found = step(subject)
    except AnyBPFError as error:
        return type(error).__name__
    return list(found) if isinstance(found, Iterator) else found


def value(face: Any, number: int) -> object:
    """A number, as the map has it: for each processor, if it has values for each."""
    return [number] * face.cpus if face.per_cpu else number


ONE = (1).to_bytes(4, "little")
STEPS: dict[str, Step] = {
    "get of nothing": lambda m: m.get(1),
    "item of nothing": lambda m: m[1],
    "delete of nothing": lambda m: m.delete(1),
    "set": lambda m: m.update(1, value(m, 10)),
    "set once more": lambda m: m.update(1, value(m, 11)),
    "set what is there": lambda m: m.update(1, value(m, 12), NOEXIST),
    "replace": lambda m: m.update(1, value(m, 13), EXIST),
    "replace nothing": lambda m: m.update(2, value(m, 13), EXIST),
    "both flags": lambda m: m.update(1, value(m, 13), NOEXIST | EXIST),
    "a flag that is none": lambda m: m.update(1, value(m, 13), 64),
    "item": lambda m: m[1],
    "in": lambda m: (1 in m, 2 in m),
    "items": lambda m: sorted(m.items()),
    "keys": lambda m: sorted(m.keys()),
    "values": lambda m: sorted(m.values()),
    "length": len,
    "many": lambda m: m.update_batch({2: value(m, 20), 3: value(m, 30)}),
    "too many": lambda m: m.update_batch({n: value(m, n) for n in range(2, 9)}),
    "look up many": lambda m: m.lookup_batch([1, 2, 77]),
    "delete many": lambda m: m.delete_batch([2, 2, 77]),
    "take": lambda m: m.lookup_and_delete(1),
    "take again": lambda m: m.pop(1, "none"),
    "clear": lambda m: m.clear(),
    "end": lambda m: sorted(m.items()),
    "a wrong key": lambda m: m.get("one"),
    "a wrong value": lambda m: m.update(1, "ten"),
    "bytes": lambda m: (m.update(1, value(m, 5)), m.lookup(ONE))[1],
    "too short": lambda m: m.lookup(b"1"),
    "freeze": lambda m: m.freeze(),
    "set when frozen": lambda m: m.update(1, value(m, 1)),
    "delete when frozen": lambda m: m.delete(1),
    "item when frozen": lambda m: m[1],
    "closed": lambda m: [m.close(), m.close()],
    "item when closed": lambda m: m[1],
}


@pytest.mark.parametrize("kind", ["hash", "lru_hash", "array", "percpu_hash", "percpu_array"])
def test_maps(both: tuple[Backend, Backend], kind: str) -> None:
    kernel, runtime = both
    with (
        kernel.create_map(map_spec("one", kind)) as one,
        runtime.create_map(map_spec("one", kind)) as other,
    ):
        if one.per_cpu and one.cpus != other.cpus:
            pytest.skip(f"this machine has {one.cpus} processors: lists would differ")
        pair = [m.typed("u4", "u8") for m in (one, other)]
        # Which one a full LRU hash drops is nobody's promise; and where entries cannot be deleted,
        # the kernel's map refuses to be cleared, the runtime's has nothing to clear.
        apart = {"lru_hash": "too many", "array": "clear", "percpu_array": "clear"}.get(kind)
        told = []
        for name, step in STEPS.items():
            if name == apart:
                continue
            first, second = (outcome(step, m) for m in pair)
            if first != second:
                told.append(f"{name}: kernel {first!r}, embedded {second!r}")
        assert told == []


PROGRAMS = {
    "passes": PASS,
    # Not the device: without a context, the kernel's runs come from the loopback, number 1.
    "reads a field": "r0 = *(u32 *)(r1 + 16)\nexit",
    "reads the packet": """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        r0 = 1
        if r4 > r3 goto +1
        r0 = *(u8 *)(r2 + 12)
        exit
    """,
    "writes the packet": """
        r2 = *(u32 *)(r1 + 0)
        r3 = *(u32 *)(r1 + 4)
        r4 = r2
        r4 += 14
        r0 = 1
        if r4 > r3 goto +2
        *(u8 *)(r2 + 1) = 99
        r0 = 2
        exit
    """,
    "grows the packet": "r2 = -14\ncall bpf_xdp_adjust_head\nr0 = 2\nexit",
    "cuts its tail": "r2 = -20\ncall bpf_xdp_adjust_tail\nr0 = 2\nexit",
    "reads too far": "r0 = *(u64 *)(r1 + 400)\nexit",
    "never ends": "goto -1\nexit",
    "no result": "exit",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(both: tuple[Backend, Backend], name: str) -> None:
    packet = DNS.ljust(64, b"\0")

    def run(made: Backend) -> object:
        with made.load(collection(PROGRAMS[name])) as loaded:
            done = loaded.program().test_run(packet)
            info = loaded.program().info()
            with_ctx = loaded.program().test_run(packet, {"ingress_ifindex": 1})
            return (
                (done.retval, done.retval_name, done.data_out, done.data_size_out, done.repeat),
                (with_ctx.retval, with_ctx.data_out, with_ctx.ctx_size_out),
                (info.name, info.type, info.type_name, info.tag, info.gpl_compatible),
            )

    kernel, runtime = both
    assert outcome(run, kernel) == outcome(run, runtime)


def test_objects(both: tuple[Backend, Backend], build: Callable[..., Path]) -> None:
    def work(made: Backend) -> object:
        with made.load(build(OBJECT), variables={"verdict": 1, "runs": 40}) as loaded:
            filter_, flows = loaded.program("filter"), loaded.map("flows")
            key = {"port": 53, "mark": 1}
            flows[key] = {"packets": 10, "cpu": 0, "what": "dns"}
            runs = [filter_.test_run(bytes(64)).retval_name for _ in range(3)]
            loaded.variable("spare").value = 1
            try:
                loaded.variable("verdict").value = 2
            except AnyBPFError as error:
                refused = type(error).__name__
            found = flows[key]
            info, told = flows.info(), filter_.info()
            return (
                runs,
                (found.packets, found.what, [key.port for key in flows]),
                {name: one.value for name, one in loaded.variables.items() if name != "_license"},
                refused,
                (sorted(loaded.programs), sorted(loaded.maps), repr(loaded)),
                (info.name, info.type, info.key_size, info.value_size, info.max_entries),
                (info.btf_key_type_id, info.btf_value_type_id, info.map_flags, info.frozen),
                (told.name, told.type, told.nr_map_ids, told.nr_func_info, told.gpl_compatible),
                [loaded.maps[name].frozen for name in sorted(loaded.maps)],
            )

    kernel, runtime = both
    assert work(kernel) == work(runtime)


def test_queues_holders_and_rings(both: tuple[Backend, Backend]) -> None:
    def work(made: Backend) -> object:
        told: list[object] = []
        with made.create_map(map_spec("jobs", "stack", 0, 4, 2)) as raw:
            jobs: Any = raw.typed(value="u4")
            for step in (
                lambda q: q.push(1),
                lambda q: q.push(2),
                lambda q: q.push(3),
                lambda q: q.push(3, EXIST),
                lambda q: q.peek(),
                lambda q: q.pop(),
                lambda q: q.pop(),
                lambda q: q.pop(),
                lambda q: q.pop(None, 5),
                lambda q: q.peek(),
            ):
                told.append(outcome(step, jobs))
        with (
            made.load(collection(PASS)) as loaded,
            made.create_map(map_spec("calls", "prog_array", 4, 4)) as raw,
        ):
            calls: Any = raw
            calls[1] = loaded.program()
            calls[2] = loaded.program().id
            told.append(
                [(key, number == loaded.program().id) for key, number in calls.ids().items()]
            )
            for wrong in (lambda m: m.delete(3), lambda m: m[3], lambda m: m.update(9, 1)):
                told.append(outcome(wrong, calls))
        ring = map_spec("events", "ringbuf", 0, 0, 4096)
        with made.load(collection(RING, maps=[ring])) as loaded:
            events: Any = loaded.map("events")
            with events.reader(timeout=0) as reader:
                loaded.program().test_run(bytes(64), repeat=1000)
                told += [len(list(reader)), reader.unread, reader.size]
        return told

    kernel, runtime = both
    assert work(kernel) == work(runtime)
