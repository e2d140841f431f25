"""Maps of the running kernel: every kind as the kind of mapping that it is, and what it refuses."""

from __future__ import annotations

import gc
import os
import threading
import warnings

import pytest

from anybpf.backends.linux import LinuxBackend
from anybpf.backends.linux.maps import EXIST, NOEXIST, Filter, Holder, Queue
from anybpf.errors import (
    ClosedError,
    InputError,
    KeyExists,
    MapError,
    MapFull,
    NoSuchKey,
    NotFound,
)
from tests.runtime.making import PASS, collection, map_spec

MMAPABLE = 1 << 10


def test_a_hash_is_a_mapping(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("ports", "hash", entries=2)) as raw:
        ports = raw.typed("u4", "u8")
        ports[53] = 1
        assert (ports[53], ports.get(80), ports.get(80, 7), 53 in ports, 80 in ports) == (
            1, None, 7, True, False,
        )  # fmt: skip
        ports.update(53, 2, EXIST)
        assert ports.lookup_and_delete(53) == 2
        assert ports.pop(53, None) is None
        assert len(ports) == 0
        assert bool(ports)


def test_refusals_name_the_map_the_key_and_what_helps(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("ports", "hash", entries=2)) as raw:
        ports = raw.typed("u4", "u8")
        with pytest.raises(NoSuchKey, match=r"map ports: cannot look up: there is no entry 53"):
            ports[53]
        with pytest.raises(NoSuchKey):
            del ports[53]
        with pytest.raises(KeyError):
            ports.pop(53)
        ports[1] = ports[2] = 0
        with pytest.raises(MapFull, match="give it more max_entries") as full:
            ports[3] = 0
        assert (full.value.status, full.value.number, full.value.key) == ("E2BIG", -7, 3)
        with pytest.raises(KeyExists, match="leave out NOEXIST"):
            ports.update(1, 5, NOEXIST)
        with pytest.raises(MapError, match="4 bytes"):
            ports.lookup(b"too long for it")
        with pytest.raises(MapError, match="'http' is no key of it: that is uint32_t, 4 bytes"):
            ports["http"] = 1


def test_arrays_are_all_there(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("counts", entries=4)) as raw:
        counts = raw.typed(value="u8")
        assert dict(counts.items()) == {0: 0, 1: 0, 2: 0, 3: 0}
        assert len(counts) == 4
        with pytest.raises(MapError, match="past its end: it has 4 entries"):
            counts[4] = 1
        with pytest.raises(MapError, match="set 1 to zero"):
            del counts[1]


@pytest.mark.parametrize("kind", ["hash", "lru_hash", "percpu_hash"])
def test_batches_come_to_the_same_as_one_by_one(kernel: LinuxBackend, kind: str) -> None:
    with kernel.create_map(map_spec("many", kind, entries=5000)) as raw:
        many = raw.typed("u4", "u8")

        def value(number: int) -> object:
            return [number] * many.cpus if many.per_cpu else number

        wanted = {number: value(number * 3) for number in range(3000)}
        many.update_batch(wanted)
        assert dict(many.items()) == wanted
        assert sorted(many) == list(range(3000))
        assert many.lookup_batch([1, 4000]) == [value(3), None]
        assert many.delete_batch([7, 7, 8, 4000, 9]) == 3
        assert len(many) == 2997
        many.clear()
        assert len(many) == 0


def test_a_batch_that_fails_says_where(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("few", "hash", entries=2)) as raw:
        few = raw.typed("u4", "u8")
        with pytest.raises(MapFull, match=r"entry 2 of 4"):
            few.update_batch({1: 1, 2: 2, 3: 3, 4: 4})
        assert sorted(few) == [1, 2]


def test_per_cpu_values_are_lists(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("hits", "percpu_array", value=4, entries=2)) as raw:
        hits = raw.typed(value="u4")
        hits[1] = list(range(hits.cpus))
        assert hits[1] == list(range(hits.cpus))
        assert hits.cpu(hits.cpus - 1)[1] == hits.cpus - 1
        with pytest.raises(MapError, match="a value for each processor"):
            hits[1] = 5
        with pytest.raises(InputError, match="not for"):
            hits.cpu(hits.cpus)


def test_arrays_are_seen_in_memory(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("seen", entries=3, flags=MMAPABLE)) as raw:
        seen = raw.typed(value="u8")
        view = seen.values_view()
        numbers = view.cast("Q")
        numbers[2] = 9
        assert seen[2] == 9
        seen[0] = 4
        assert numbers[0] == 4
    assert numbers[2] == 9  # the memory stays as long as somebody looks at it
    with kernel.create_map(map_spec("unseen")) as raw, pytest.raises(InputError, match="mmapable"):
        raw.values_view()


def test_frozen_maps_refuse_users(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("constants")) as constants:
        before = constants.frozen
        constants.freeze()
        assert (before, constants.frozen) == (False, True)
        with pytest.raises(MapError, match="frozen"):
            constants[0] = bytes(8)
        assert constants[0] == bytes(8)


@pytest.mark.parametrize(("kind", "order"), [("queue", [1, 2]), ("stack", [2, 1])])
def test_queues_and_stacks(kernel: LinuxBackend, kind: str, order: list[int]) -> None:
    with kernel.create_map(map_spec("jobs", kind, key=0, value=4, entries=2)) as raw:
        jobs = raw.typed(value="u4")
        assert isinstance(jobs, Queue)
        jobs.push(1)
        jobs.push(2)
        with pytest.raises(MapFull):
            jobs.push(3)
        assert jobs.peek() == order[0]
        assert [jobs.pop(), jobs.pop(), jobs.pop(None, 0)] == [*order, 0]
        with pytest.raises(NoSuchKey, match="it is empty"):
            jobs.pop()


def test_bloom_filters(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("known", "bloom_filter", key=0, value=4)) as raw:
        known = raw.typed(value="u4")
        assert isinstance(known, Filter)
        known.add(53)
        assert 53 in known


def test_program_arrays_hold_programs(kernel: LinuxBackend) -> None:
    spec = map_spec("calls", "prog_array", value=4)
    with kernel.load(collection(PASS)) as loaded, kernel.create_map(spec) as calls:
        assert isinstance(calls, Holder)
        program = loaded.program()
        calls[2] = program
        calls[3] = program.id
        assert calls.ids() == {2: program.id, 3: program.id}
        with calls[2] as held:
            assert held.id == program.id
        del calls[2]
        assert calls.get(2) is None
        with pytest.raises(NoSuchKey):
            calls[2]
        with pytest.raises(MapError, match="holds programs"):
            calls[1] = "main"
        with pytest.raises(MapError, match="no program has the id"):
            calls[1] = 0xFFFFFFF0


def test_maps_hold_maps(kernel: LinuxBackend) -> None:
    outer = map_spec("outer", "hash_of_maps", value=4, inner=map_spec("like"))
    with kernel.create_map(outer) as raw, kernel.create_map(map_spec("inside")) as inside:
        holder = raw.typed("u4")
        assert isinstance(holder, Holder)
        holder[7] = inside
        assert holder.ids() == {7: inside.id}
        inside[0] = b"12345678"
        with holder[7] as held:
            assert held[0] == b"12345678"
    with pytest.raises(InputError, match="needs a template"):
        kernel.create_map(map_spec("outer", "array_of_maps", value=4))


def test_longest_prefixes(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("routes", "lpm_trie", key=8, flags=1)) as routes:
        routes[b"\x08\0\0\0\x0a\0\0\0"] = b"8 bits  "
        assert routes[b"\x20\0\0\0\x0a\x01\x02\x03"] == b"8 bits  "
        assert len(routes) == 1


def test_what_cannot_be_created_says_why(kernel: LinuxBackend) -> None:
    with pytest.raises(InputError, match=r"map counts \(array.*key size must be 4, not 8"):
        kernel.create_map(map_spec(key=8))


def test_the_kernel_tells_about_a_map(kernel: LinuxBackend) -> None:
    with kernel.create_map(map_spec("told", "hash", entries=9)) as told:
        info = told.info()
        assert (info.name, info.type_name, info.key_size, info.value_size, info.max_entries) == (
            "told", "hash", 4, 8, 9,
        )  # fmt: skip
        assert info in list(kernel.infos("map"))
        with kernel.map(told.id) as again:
            again[b"abcd"] = bytes(8)
            assert b"abcd" in told
        assert told.next_key(None) == b"abcd"
        assert told.next_key(b"abcd") is None
    with pytest.raises(NotFound, match="no map has the id"):
        kernel.map(0xFFFFFFF0)


def test_closing(kernel: LinuxBackend) -> None:
    one = kernel.create_map(map_spec("short"))
    number = one.id
    one.close()
    one.close()
    for use in (lambda: one[0], lambda: list(one.items()), one.info, one.freeze, lambda: one.fd):
        with pytest.raises(ClosedError, match=r"map short .* was closed"):
            use()
    assert number not in kernel.ids("map")


def test_a_map_that_was_forgotten_is_told_with_its_place(kernel: LinuxBackend) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        forgotten = kernel.create_map(map_spec("lost"))
        number = forgotten.id
        del forgotten
        gc.collect()
    assert [str(one.message) for one in told if "map lost" in str(one.message)]
    assert "test_linux_maps.py" in str(told[-1].message)
    assert number not in kernel.ids("map")


def test_closing_waits_for_nobody_and_breaks_nobody(kernel: LinuxBackend) -> None:
    """A descriptor that is in use while another thread closes it is never another's."""
    for _ in range(20):
        one = kernel.create_map(map_spec("busy"))
        wrong: list[BaseException] = []

        def work(one: object = one, wrong: list[BaseException] = wrong) -> None:
            try:
                while True:
                    one[0]  # type: ignore[index]
            except ClosedError:
                pass
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        one.close()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_no_descriptor_is_left(kernel: LinuxBackend) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with kernel.create_map(map_spec("gone", "hash_of_maps", value=4, inner=map_spec())) as one:
            list(one.keys())
        with kernel.load(collection(PASS)) as loaded:
            loaded.program().test_run(bytes(64))
        list(kernel.infos("map"))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_error_that_is_kept_keeps_nothing_open(kernel: LinuxBackend) -> None:
    kept: list[Exception] = []
    one = kernel.create_map(map_spec("short", "hash"))
    steps = (
        lambda: one[b"abcd"],
        lambda: one.update(b"abcd", bytes(8), 77),
        lambda: one.next_key(b"long enough"),
        lambda: one.delete(b"abcd"),
        one.values_view,
    )
    for step in steps:
        try:
            step()
        except Exception as error:
            kept.append(error)
    number = one.id
    one.close()
    assert len(kept) == len(steps)
    assert number not in kernel.ids("map")
