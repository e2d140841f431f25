"""From object files to running collections: all or nothing, and nothing that was not proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf import load_spec
from anybpf.errors import InputError, NotFound, NotSupported, ObjectError, VerifierError
from anybpf.objects import CollectionSpec
from anybpf.runtime import Runtime, load
from anybpf.runtime.loading import default_runtime
from tests.objects.conftest import Build
from tests.objects.sources import PRELUDE
from tests.runtime.making import DNS, PASS, collection, map_spec

GLOBALS = (
    PRELUDE
    + """
struct xdp_md { __u32 data; __u32 data_end; };
struct pair { __u16 a; __u16 b; };
const volatile __u32 limit = 42;
volatile __u64 seen = 7;
volatile struct pair both = { 1, 2 };
volatile __u8 nothing[4];
SEC("xdp") int counts(struct xdp_md *ctx) { seen += limit; nothing[1] = 9; both.b++; return 2; }
"""
)


def empty(runtime: Runtime) -> bool:
    return not any(runtime.ids(kind) for kind in ("map", "program", "btf"))


def test_droppacket_drops(runtime: Runtime, droppacket: Path) -> None:
    with runtime.load(droppacket) as loaded:
        program = loaded.program("drop_packet")
        result = program.test_run(DNS)
        assert (result.retval, result.retval_name) == (1, "XDP_DROP")
        assert program.test_run(DNS[:-4] + b"\x00\x09\x00\x00").retval_name == "XDP_PASS"
        assert loaded.map("dropped_packets")[0] == 1
        # Only interface 3 from now on.
        loaded.map("interface_filter")[0] = 3
        assert program.test_run(DNS, ctx={"ingress_ifindex": 4}).retval_name == "XDP_PASS"
        assert program.test_run(DNS, ctx={"ingress_ifindex": 3}).retval_name == "XDP_DROP"
        assert loaded.map("dropped_packets")[0] == 2


def test_bindmonitor_limits_ports(windows: Runtime, bindmonitor: Path) -> None:
    with windows.load(bindmonitor) as loaded:
        program = loaded.program()
        loaded.map("limits")[0] = 2
        names = [
            program.test_run(b"app.exe", ctx={"process_id": 7, "operation": 0}).retval_name
            for _ in range(3)
        ]
        assert names == ["BIND_PERMIT_SOFT", "BIND_PERMIT_SOFT", "BIND_DENY"]
        assert loaded.map("ports")[7] == 2
        assert program.info().type_uuid.startswith("608c517c")


def test_paths_bytes_files_and_specs(runtime: Runtime, droppacket: Path) -> None:
    with open(droppacket, "rb") as stream:
        sources = [
            droppacket,
            str(droppacket),
            droppacket.read_bytes(),
            load_spec(droppacket),
            stream,
        ]
        for source in sources:
            with runtime.load(source) as loaded:
                assert list(loaded.programs) == ["drop_packet"]


def test_the_process_has_a_runtime_of_its_own() -> None:
    with load(collection(PASS)) as loaded:
        assert loaded.runtime is default_runtime("linux")
    with load(collection("r0 = 0\nexit", kind="bind", platform="windows")) as loaded:
        assert loaded.runtime is default_runtime("windows")


def test_what_is_not_proved_is_not_loaded(runtime: Runtime) -> None:
    with pytest.raises(VerifierError, match=r"program main was not proved safe: .*r3") as caught:
        runtime.load(collection("r0 = r3\nexit", PASS, "r0 = r4\nexit", maps=[map_spec()]))
    assert "(nor main2)" in str(caught.value)
    assert caught.value.verification is not None
    assert empty(runtime)


def test_a_caller_may_change_its_spec_afterwards(runtime: Runtime) -> None:
    spec = collection(PASS)
    with runtime.load(spec) as loaded:
        spec.programs["main"].function.instructions[0].imm = 1
        assert loaded.program().test_run(bytes(64)).retval_name == "XDP_PASS"


def test_a_spec_for_the_other_platform_is_refused(runtime: Runtime) -> None:
    spec = collection("r0 = 0\nexit", kind="bind", platform="windows")
    with pytest.raises(InputError, match="read for windows; the runtime is one of linux"):
        runtime.load(spec)
    with pytest.raises(InputError, match="loads no objects for windows"):
        runtime.load(b"", platform="windows")


def test_some_programs_can_be_picked(runtime: Runtime) -> None:
    spec = collection(PASS, "r0 = r3\nexit", maps=[map_spec()])
    with runtime.load(spec, programs=["main"]) as loaded:
        assert list(loaded.programs) == ["main"]
        assert not loaded.maps  # which it does not use
    with pytest.raises(NotFound, match=r"no program is named 'mian' \(did you mean main"):
        runtime.load(spec, programs=["mian"])


def test_global_variables(runtime: Runtime, build: Build) -> None:
    with runtime.load(build(GLOBALS), variables={"limit": 5}) as loaded:
        loaded.program().test_run(bytes(64), repeat=2)
        assert loaded.variable("seen").value == 7 + 2 * 5
        assert loaded.variable("nothing").data == b"\0\x09\0\0"
        loaded.variable("seen").value = 100
        loaded.program().test_run(bytes(64))
        assert loaded.variable("seen").value == 105
        limit = loaded.variable("limit")
        assert limit.read_only
        with pytest.raises(InputError, match="is constant"):
            limit.value = 6
        with pytest.raises(InputError, match="8 bytes, the new value has 3"):
            loaded.variable("seen").data = b"abc"
        with pytest.raises(NotFound, match="no variable is named 'sene'"):
            loaded.variable("sene")


def test_constants_cannot_be_changed_from_outside(runtime: Runtime, build: Build) -> None:
    """The proof may rest on them."""
    with runtime.load(build(GLOBALS)) as loaded:
        constants = loaded.map(".rodata")
        assert constants.info().frozen
        with pytest.raises(Exception, match=r"rodata"):
            constants[0] = constants[0]


def test_initial_variables_are_checked(runtime: Runtime, build: Build) -> None:
    path = build(GLOBALS)
    with pytest.raises(NotFound, match="no variable is named 'limits'"):
        runtime.load(path, variables={"limits": 5})
    with pytest.raises(InputError, match="4 bytes, 4294967296 does not fit"):
        runtime.load(path, variables={"limit": 1 << 32})
    assert empty(runtime)


def test_maps_can_be_given(runtime: Runtime) -> None:
    text = """
        *(u32 *)(r10 - 4) = 0
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call bpf_map_lookup_elem
        if r0 == 0 goto +2
        r1 = 1
        *(u64 *)(r0 + 0) = r1
        r0 = 2
        exit
    """
    with runtime.create_map(map_spec("mine")) as mine:
        with runtime.load(collection(text, maps=[map_spec()]), maps={"counts": mine}) as loaded:
            loaded.program().test_run(bytes(64))
            assert loaded.map("counts").id == mine.id
        assert mine[0] == (1).to_bytes(8, "little")
        with pytest.raises(InputError, match="value size is 8, not 16"):
            runtime.load(collection(text, maps=[map_spec(value=16)]), maps={"counts": mine})
        with pytest.raises(NotFound, match="no map is named 'county'"):
            runtime.load(collection(text, maps=[map_spec()]), maps={"county": mine})


def test_what_is_not_built_is_named(runtime: Runtime) -> None:
    with pytest.raises(
        NotSupported, match="map weird: the map type sockmap is not supported on the"
    ):
        runtime.load(collection(PASS, maps=[map_spec("weird", "sockmap", value=4)]))
    text = "call bpf_get_smp_processor_id\nr1 = 0\nr2 = 0\nr3 = 0\ncall bpf_get_stack\nr0 = 2\nexit"
    spec = collection(text, kind="kprobe")
    with pytest.raises((NotSupported, VerifierError)) as caught:
        runtime.load(spec)
    assert "main" in str(caught.value)
    assert empty(runtime)


def test_a_late_failure_undoes_all(runtime: Runtime) -> None:
    """The second program's map cannot be pinned, because something else is there."""
    with runtime.create_map(map_spec("other")) as other:
        other.pin("/sys/fs/bpf/counts/below")
        spec = map_spec("counts")
        spec.pinning = "by_name"
        before = (runtime.ids("map"), runtime.pins())
        with pytest.raises(InputError, match="is the directory of"):
            runtime.load(collection(PASS, maps=[map_spec("first"), spec]))
        assert (runtime.ids("map"), runtime.pins()) == before
        assert runtime.ids("program") == []
        other.unpin()


def test_maps_and_programs_inside_maps(runtime: Runtime) -> None:
    jumps = map_spec("jumps", "prog_array", value=4)
    jumps.contents = [((2).to_bytes(4, "little"), "main1")]
    template = map_spec("template")
    outer = map_spec("outer", "array_of_maps", value=4, inner=template)
    inside = map_spec("inside")
    outer.contents = [(bytes(4), "inside")]
    text = "r2 = map[jumps]\nr3 = 2\ncall bpf_tail_call\nr0 = 0\nexit"
    with runtime.load(collection(text, PASS, maps=[jumps, outer, inside])) as loaded:
        assert loaded.programs["main"].test_run(bytes(64)).retval_name == "XDP_PASS"
        with loaded.map("outer").keeper.held(bytes(4)) as found:
            assert found.id == loaded.map("inside").id


def test_a_spec_is_not_touched(runtime: Runtime) -> None:
    perf = map_spec("events", "perf_event_array", key=0, value=0, entries=0)
    spec = collection(PASS, maps=[perf])
    with runtime.load(spec) as loaded:
        assert loaded.map("events").info().max_entries == runtime.cpus
    assert (perf.key_size, perf.max_entries) == (0, 0)


@pytest.mark.parametrize("source", [b"", b"\x7fELF", b"\0" * 4096, b"not an object"])
def test_damaged_objects_are_refused(runtime: Runtime, source: bytes) -> None:
    with pytest.raises(ObjectError):
        runtime.load(source)
    assert empty(runtime)


def test_a_source_of_another_type_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InputError, match="a path, the bytes of an object"):
        runtime.load(42)


def test_things_are_taken_out(runtime: Runtime) -> None:
    loaded = runtime.load(collection(PASS, maps=[map_spec()]))
    program, one = loaded.detach_program("main"), loaded.detach_map("counts")
    loaded.close()
    assert program.test_run(bytes(64)).retval_name == "XDP_PASS"
    assert one[0] == bytes(8)
    program.close()
    one.close()


def test_programs_that_do_not_load_by_themselves(runtime: Runtime) -> None:
    spec: CollectionSpec = collection(PASS, PASS)
    spec.programs["main1"].autoload = False
    with runtime.load(spec) as loaded:
        assert list(loaded.programs) == ["main"]
    with runtime.load(spec, programs=["main1"]) as loaded:
        assert list(loaded.programs) == ["main1"]


def test_functions_are_not_hidden_by_modules() -> None:
    """Whatever was imported before: a module of the same name would take the function's place."""
    import anybpf.runtime as room

    for name in room.__all__:
        assert callable(getattr(room, name)), name
    folder = Path(room.__file__ or "").parent
    assert not {path.stem for path in folder.glob("*.py")} & set(room.__all__)
