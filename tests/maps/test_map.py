"""The face of a map: items, walks, batches, views, and what it says when it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from anybpf import _core
from anybpf.btf import BTF
from anybpf.errors import ClosedError, InputError, KeyExists, MapError, MapFull, NoSuchKey
from anybpf.maps import EXIST, NOEXIST, CommandRing, EventArray, Filter, Map, Queue, Ring
from tests.btf.samples import compiled
from tests.maps.faces import NoRuntime, a_map

SOURCE = """
typedef unsigned int u32;
struct key { u32 address; unsigned short port; unsigned short zero; };
struct value { unsigned long long packets; u32 seen[2]; char name[8]; };
struct key k; struct value v;
"""


@pytest.fixture(scope="module")
def btf(tmp_path_factory: pytest.TempPathFactory) -> BTF:
    return BTF.parse(compiled(tmp_path_factory.mktemp("types"), SOURCE)[".BTF"])


@pytest.fixture
def flows(btf: BTF) -> Map:
    return a_map(
        "hash", 8, 24, 4, btf=btf, key_type=btf.get("key").id, value_type=btf.get("value").id
    )


def test_integers() -> None:
    table = a_map("hash").typed(key="u4", value="i8")
    table[7] = -1
    assert table[7] == -1
    assert table.get(8) is None
    assert table.get(8, 0) == 0
    assert 7 in table
    assert 8 not in table
    assert len(table) == 1
    del table[7]
    assert list(table) == []
    assert bool(table)  # a map that is empty is still a map


def test_an_array_is_indexed_by_numbers() -> None:
    array = a_map("array", 4, 4, 3).typed(value="u4")
    array[2] = 9
    assert dict(array.items()) == {0: 0, 1: 0, 2: 9}
    assert list(array.values()) == [0, 0, 9]


def test_bytes_where_no_type_is_known() -> None:
    table = a_map("hash", 3, 2)
    table[b"abc"] = b"xy"
    assert dict(table.items()) == {b"abc": b"xy"}
    with pytest.raises(MapError, match="4 bytes is no key of it: that is bytes of size 3, 3 bytes"):
        table[b"abcd"]
    with pytest.raises(MapError, match="5 is no key"):
        table[5]


def test_structures(flows: Map) -> None:
    flows[{"address": 1, "port": 80}] = {"packets": 3, "name": "web"}
    key = next(iter(flows))
    value = flows[key]
    assert (key.address, key.port) == (1, 80)
    assert (value.packets, list(value.seen), value.name) == (3, [0, 0], "web")
    value.packets += 1
    flows[key] = value
    assert {k: v.packets for k, v in flows.items()} == {key: 4}


def test_flags(flows: Map) -> None:
    key = {"address": 1}
    with pytest.raises(NoSuchKey, match="cannot update: there is no entry"):
        flows.update(key, {}, EXIST)
    flows.update(key, {"packets": 1}, NOEXIST)
    with pytest.raises(KeyExists, match="leave out NOEXIST to replace it"):
        flows.update(key, {}, NOEXIST)
    flows.update(key, {"packets": 2}, EXIST)
    assert flows[key].packets == 2
    with pytest.raises(MapError, match="these flags do not exist"):
        flows.update(key, {}, 64)


def test_missing_is_a_key_error(flows: Map) -> None:
    with pytest.raises(KeyError) as caught:
        flows[{"address": 5}]
    assert isinstance(caught.value, NoSuchKey)
    assert str(caught.value) == ("map table: cannot lookup: there is no entry {'address': 5}")
    assert (caught.value.map_name, caught.value.status, caught.value.number) == (
        "table",
        "MISSING",
        -2,
    )
    with pytest.raises(NoSuchKey):
        del flows[{"address": 5}]


def test_full(flows: Map) -> None:
    for i in range(4):
        flows[{"address": i}] = {}
    with pytest.raises(
        MapFull, match="it has its 4 entries; delete some, or give it more"
    ) as caught:
        flows[{"address": 4}] = {}
    assert caught.value.number == -7


def test_take(flows: Map) -> None:
    flows[{"address": 1}] = {"packets": 5}
    assert flows.lookup_and_delete({"address": 1}).packets == 5
    assert flows.pop({"address": 1}, None) is None
    with pytest.raises(NoSuchKey):
        flows.lookup_and_delete({"address": 1})
    with pytest.raises(NoSuchKey):
        flows.pop({"address": 1})


def test_arrays_refuse_what_arrays_cannot() -> None:
    array = a_map("array", 4, 8, 3).typed(value="u8")
    with pytest.raises(NoSuchKey, match="there is no entry 3"):
        array[3]
    with pytest.raises(MapError, match="3 is past its end: it has 3 entries") as caught:
        array[3] = 1
    assert caught.value.number == -7
    with pytest.raises(MapError, match="cannot be deleted"):
        del array[0]
    with pytest.raises(KeyExists, match="there from the start"):
        array.update(0, 1, NOEXIST)
    with pytest.raises(MapError, match="'x' is no value of it"):
        array[0] = "x"
    with pytest.raises(MapError, match="-1 is no value of it: that is uint64_t"):
        array[0] = -1


def test_per_cpu() -> None:
    counters = a_map("percpu_hash", cpus=3).typed(key="u4", value="u8")
    counters[1] = [10, 20, 30]
    assert counters[1] == [10, 20, 30]
    assert counters.cpu(1)[1] == 20
    assert dict(counters.cpu(2).items()) == {1: 30}
    with pytest.raises(MapError, match="no value of it"):
        counters[1] = [1, 2]
    with pytest.raises(InputError, match="for 3 CPUs, not for 3"):
        counters.cpu(3)
    with pytest.raises(InputError, match="has no values per CPU"):
        a_map("hash").cpu(0)


def test_per_cpu_structures(btf: BTF) -> None:
    counters = a_map("percpu_array", 4, 24, 2, btf=btf, value_type=btf.get("value").id)
    counters[1] = [{"packets": 1}, {"packets": 2}]
    assert [value.packets for value in counters[1]] == [1, 2]
    with pytest.raises(InputError, match="give a list of 2"):
        counters[0] = {"packets": 1}


def test_batches() -> None:
    table = a_map("hash", max_entries=1000).typed(key="u4", value="u8")
    table.update_batch({i: i * i for i in range(1000)})
    assert table.lookup_batch([3, 1000, 5]) == [9, None, 25]
    assert table.delete_batch(range(990, 1010)) == 10
    assert len(table) == 990
    assert dict(table.items()) == {i: i * i for i in range(990)}
    with pytest.raises(MapFull, match=r"entry 10 of 20"):
        table.update_batch((i, 0) for i in range(2000, 2020))
    table.clear()
    assert len(table) == 0


def test_walks_are_longer_than_a_chunk() -> None:
    table = a_map("hash", max_entries=5000).typed(key="u4", value="u8")
    table.update_batch((i, i) for i in range(5000))
    assert sorted(table) == list(range(5000))
    assert sum(table.values()) == sum(range(5000))


def test_queues() -> None:
    queue = a_map("queue", 0, 4, 2).typed(value="u4")
    assert isinstance(queue, Queue)
    queue.push(1)
    queue.push(2)
    assert queue.peek() == 1
    with pytest.raises(MapFull, match="push with EXIST to drop the oldest"):
        queue.push(3)
    assert queue.pop() == 1
    assert queue.pop() == 2
    assert queue.peek() is None
    assert queue.pop(None, "none") == "none"
    with pytest.raises(NoSuchKey, match="it is empty"):
        queue.pop()
    stack = a_map("stack", 0, 4, 2).typed(value="u4")
    assert isinstance(stack, Queue)
    stack.push(1)
    stack.push(2)
    assert (stack.pop(), stack.pop()) == (2, 1)


def test_filters() -> None:
    seen = a_map("bloom_filter", 0, 4, 100).typed(value="u4")
    assert isinstance(seen, Filter)
    for i in range(50):
        seen.add(i)
    assert all(i in seen for i in range(50))
    assert sum(i in seen for i in range(1000, 2000)) < 100


def test_rings() -> None:
    ring = a_map("ringbuf", 0, 0, 4096)
    assert isinstance(ring, Ring)
    with ring.reader(timeout=0) as reader:
        assert _core.RingProducer(ring).output_many([b"first", b"second"]) == (0, 2)
        assert list(reader) == [b"first", b"second"]
    events = a_map("perf_event_array", 4, 4, 2, extra=4096)
    assert isinstance(events, EventArray)
    with events.reader(timeout=0) as cpus:
        assert list(cpus) == []
    commands = a_map("user_ringbuf", 0, 0, 4096)
    assert isinstance(commands, CommandRing)
    with commands.writer() as writer:
        writer.write(b"go")


def test_prefixes() -> None:
    routes = a_map("lpm_trie", 8, 4, 10, flags=0).typed(value="u4")

    def prefix(length: int, *bytes_: int) -> bytes:
        return length.to_bytes(4, sys.byteorder) + bytes(bytes_)

    routes[prefix(8, 10, 0, 0, 0)] = 1
    routes[prefix(16, 10, 1, 0, 0)] = 2
    assert routes[prefix(32, 10, 1, 2, 3)] == 2
    assert routes[prefix(32, 10, 2, 2, 3)] == 1
    with pytest.raises(NoSuchKey, match="no prefix in it matches"):
        routes[prefix(32, 11, 0, 0, 0)]


def test_closed(flows: Map) -> None:
    keeper = flows.keeper
    with flows:
        pass
    flows.close()
    assert isinstance(keeper, NoRuntime)
    assert keeper.closed == 1
    assert repr(flows) == "<Map table, closed>"
    uses: list[Callable[[], object]] = [
        lambda: flows[{"address": 1}],
        lambda: list(flows),
        lambda: len(flows),
        lambda: flows.update({"address": 1}, {}, NOEXIST),
    ]
    for use in uses:
        with pytest.raises(ClosedError, match="map table is closed"):
            use()


def test_wishes() -> None:
    table = a_map("hash", 4, 16)
    with pytest.raises(InputError, match="int64_t has 8 bytes, a key of this map has 4"):
        table.typed(key="i8")
    with pytest.raises(InputError, match="there is no codec 'float'"):
        table.typed(key="float")
    names = table.typed(key="u4", value="text")
    names[1] = "eth0"
    assert names[1] == "eth0"
    assert table[(1).to_bytes(4, sys.byteorder)] == b"eth0".ljust(16, b"\0")
    assert repr(names) == "<Map table (hash, uint32_t -> char [16], 16 entries at most)>"


def test_numpy() -> None:
    np = pytest.importorskip("numpy", reason="NumPy is an optional companion")
    array = a_map("array", 4, 4, 5).typed(value="u4")
    view = array.array()
    array[3] = 7
    assert view.tolist() == [0, 0, 0, 7, 0]
    view[1] = 9
    assert array[1] == 9
    table = a_map("hash", max_entries=3000).typed(key="u4", value="u8")
    table.update_batch((i, 2 * i) for i in range(3000))
    keys, values = table.arrays()
    assert np.array_equal(values, 2 * keys.astype("u8"))
    assert sorted(keys.tolist()) == list(range(3000))
    counters = a_map("percpu_array", 4, 8, 2).typed(value="u8")
    counters[1] = [5, 6]
    assert counters.array()[:, 1].tolist() == [5, 6]


def test_numpy_structures(flows: Map) -> None:
    pytest.importorskip("numpy", reason="NumPy is an optional companion")
    flows[{"address": 1, "port": 80}] = {"packets": 3, "seen": [4, 5], "name": "web"}
    keys, values = flows.arrays()
    assert keys["port"].tolist() == [80]
    assert values["seen"].tolist() == [[4, 5]]
    assert values["name"].tolist() == [b"web"]
