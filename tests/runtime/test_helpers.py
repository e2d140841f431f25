"""Helpers written in Python, what programs print, and timers that go off."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from anybpf.errors import InputError, NotSupported
from anybpf.platforms import Arg, Extension, Helper, Return, get
from anybpf.runtime import Runtime, helper
from tests.objects.conftest import Build
from tests.objects.sources import PRELUDE
from tests.runtime.making import DNS, collection


@helper("bpf_add_seven")
def add_seven(number: int) -> int:
    return number + 7


@pytest.fixture
def with_helper() -> Iterator[None]:
    """A platform that knows of the helper, so that the verifier lets programs call it."""
    linux = get("linux")
    row = Helper(50_000, "bpf_add_seven", [Arg("number", "anything")], Return("integer"))
    linux.register(Extension("seven", helpers=[row]))
    yield
    linux.unregister("seven")


def test_a_helper_in_python(with_helper: None) -> None:
    with Runtime("linux", cpus=1, helpers=[add_seven]) as runtime:
        runtime.add_helper(add_seven)  # twice is fine
        with runtime.load(collection("r1 = 35\ncall bpf_add_seven\nexit")) as loaded:
            assert loaded.program().test_run(bytes(64)).value == 42
            assert list(loaded.program().run_batch(bytes(128), stride=64)) == [42, 42]


def test_a_helper_that_nobody_wrote(with_helper: None) -> None:
    with Runtime("linux", cpus=1) as runtime:
        with pytest.raises(NotSupported, match="program main: the helper bpf_add_seven is not sup"):
            runtime.load(collection("r1 = 35\ncall bpf_add_seven\nexit"))
        assert runtime.ids("program") == []


def test_what_a_helper_raises_ends_the_run(with_helper: None) -> None:
    @helper("bpf_add_seven")
    def broken(number: int) -> int:
        raise LookupError("no seven today")

    with Runtime("linux", cpus=1) as runtime:
        runtime.add_helper(broken)
        assert runtime.helpers == {"add_seven": broken}
        with runtime.load(collection("r1 = 35\ncall bpf_add_seven\nexit")) as loaded:
            program = loaded.program()
            with pytest.raises(LookupError, match="no seven today"):
                program.test_run(bytes(64))


def test_what_is_no_helper() -> None:
    with Runtime("linux", cpus=1) as runtime, pytest.raises(InputError, match="put @helper in"):
        runtime.add_helper(len)
    with pytest.raises(InputError, match="'a b' is no name of a helper"):
        helper("a b")(lambda: 0)


PRINTS = (
    PRELUDE
    + """
HELPER long (*print)(const char *format, __u32 size, ...) = (void *)6;
SEC("xdp") int says(void *ctx) {
    static const char text[] = "hello %d";
    print(text, sizeof(text), 7);
    return 2;
}
"""
)


def test_prints_are_read_line_by_line(runtime: Runtime, build: Build) -> None:
    assert runtime.log.read() is None
    with runtime.load(build(PRINTS)) as loaded:
        loaded.program().test_run(bytes(64), repeat=2)
        line = runtime.log.read()
        assert line is not None
        assert (line.text, line.program_name) == ("hello 7", "says")
        assert line.program == loaded.program().id
        assert "hello 7" in str(line)
        assert len(list(runtime.log.lines())) == 1
        assert runtime.log.read(timeout=0.01) is None
        assert runtime.log.lost == 0


TIMER = (
    PRELUDE
    + """
struct bpf_timer { __u64 opaque[2]; } __attribute__((aligned(8)));
struct element { __u64 fired; struct bpf_timer timer; };
struct {
    __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, struct element);
} things SEC(".maps");
HELPER long (*timer_init)(struct bpf_timer *timer, void *map, __u64 flags) = (void *)169;
HELPER long (*timer_set)(struct bpf_timer *timer, void *callback) = (void *)170;
HELPER long (*timer_start)(struct bpf_timer *timer, __u64 nsecs, __u64 flags) = (void *)171;
static int fire(void *map, int *key, struct element *value) { value->fired++; return 0; }
SEC("tc") int sets(void *ctx) {
    __u32 zero = 0;
    struct element *one = lookup(&things, &zero);
    if (!one) return 1;
    if (timer_init(&one->timer, &things, 1)) return 2;
    if (timer_set(&one->timer, fire)) return 3;
    return timer_start(&one->timer, 1000000, 0) ? 4 : 0;
}
"""
)


def test_timers_go_off_by_themselves(runtime: Runtime, build: Build) -> None:
    with runtime.load(build(TIMER)) as loaded:
        assert loaded.program().test_run(DNS).retval == 0
        deadline = time.monotonic() + 10
        while loaded.map("things")[0].fired == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert loaded.map("things")[0].fired == 1
        assert runtime.timers is not None
        assert not runtime.timers.stops


def test_timers_go_with_the_last_user_of_their_map(runtime: Runtime, build: Build) -> None:
    """As on Linux: a program that still has the map does not keep them."""
    loaded = runtime.load(build(TIMER.replace("1000000, 0", "100000000, 0")))
    program, number = runtime.program(loaded.program().id), loaded.map("things").id
    with program:
        assert program.test_run(DNS).retval == 0
        loaded.close()
        with runtime.map(number) as things:
            time.sleep(0.15)
            assert things[0].fired == 0
            assert program.test_run(DNS).retval == 0  # who has the map again has timers again
            deadline = time.monotonic() + 10
            while things[0].fired == 0 and time.monotonic() < deadline:
                time.sleep(0.005)
            assert things[0].fired == 1
        assert program.test_run(DNS).retval == 2  # none is set up in a map without users
