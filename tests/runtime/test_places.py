"""Places for links where no events come from: how many each takes, and what it wants to know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anybpf.errors import InputError
from anybpf.isa import decode
from anybpf.objects.specs import CollectionSpec, Function, ProgramSpec
from anybpf.platforms import get
from anybpf.runtime import Program, Runtime
from anybpf.runtime.places import MOST_LINKS, Refused, add_places

RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000")


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with Runtime("windows", cpus=1) as made:
        add_places(made)
        yield made


def program(runtime: Runtime, attach_type: str) -> Program:
    kind = get("windows").attach_type(attach_type)
    function = Function("nothing", attach_type, 0, decode(RETURN_0))
    spec = ProgramSpec(function, attach_type, {"nothing": function})
    spec.type, spec.attach_type, spec.platform = kind.program_types[0], attach_type, "windows"
    whole = CollectionSpec("nothing", "", "windows")
    whole.functions["nothing"] = function
    whole.programs["nothing"] = spec
    with runtime.load(whole) as loaded:
        return loaded.detach_program("nothing")


def test_every_attach_type_has_a_place(runtime: Runtime) -> None:
    assert set(runtime.hooks) == {one.name for one in get("windows").attach_types if one.number}


def test_a_hook_that_is_there_stays() -> None:
    class Mine:
        def attach(self, link: object) -> None: ...
        def detach(self, link: object) -> None: ...

    with Runtime("windows", cpus=1) as runtime:
        mine = Mine()
        runtime.hooks["xdp"] = mine
        add_places(runtime)
        assert runtime.hooks["xdp"] is mine


def test_links_come_and_go(runtime: Runtime) -> None:
    with program(runtime, "xdp") as one:
        with one.attach(data=(3).to_bytes(4, "little")) as link:
            assert (link.state, link.info().type_name) == ("attached", "xdp")
            link.detach()
            assert link.state == "detached"
        assert runtime.ids("link") == []


def test_bind_takes_one_program(runtime: Runtime) -> None:
    with program(runtime, "bind") as one:
        with one.attach():
            with pytest.raises(Refused, match="bind has a program already") as error:
                one.attach()
            assert error.value.result == "ACCESS_DENIED"
        one.attach().close()


@pytest.mark.parametrize(
    ("there", "new", "fits"), [(1, 2, True), (1, 1, False), (0, 1, False), (1, 0, False)]
)
def test_one_program_for_each_compartment(
    runtime: Runtime, there: int, new: int, fits: bool
) -> None:
    """0 stands for all compartments."""
    first, second = there.to_bytes(4, "little"), new.to_bytes(4, "little")
    with program(runtime, "cgroup/recv_accept4") as one, one.attach(data=first):
        if fits:
            one.attach(data=second).close()
        else:
            with pytest.raises(Refused):
                one.attach(data=second)


def test_the_most_links(runtime: Runtime) -> None:
    with program(runtime, "cgroup/connect4") as one:
        links = [one.attach() for _ in range(MOST_LINKS)]
        with pytest.raises(Refused, match="the most it takes"):
            one.attach()
        for link in links:
            link.close()


@pytest.mark.parametrize(
    ("attach_type", "data", "fits"),
    [
        ("xdp", b"", True),
        ("xdp", b"\1", False),
        ("process", b"\1", False),
        ("netevent_monitor", b"", False),
        ("netevent_monitor", b"\3\0\0\0", True),
        ("netevent_monitor", b"\5\0\0\0", False),
        ("sample_ext", b"any key at all", True),
    ],
)
def test_what_is_named_besides(runtime: Runtime, attach_type: str, data: bytes, fits: bool) -> None:
    with program(runtime, attach_type) as one:
        if fits:
            one.attach(data=data).close()
        else:
            with pytest.raises(InputError):
                one.attach(data=data)
