"""Links: a program at a place, its states, and what goes with the last reference."""

from __future__ import annotations

import pytest

from anybpf.errors import InputError, NotFound, NotSupported
from anybpf.runtime import Link, Runtime, attach
from anybpf.runtime.link import LinkRecord
from tests.runtime.making import PASS, collection


class Wire:
    """A hook that only remembers."""

    def __init__(self, refuses: bool = False) -> None:
        self.links: list[LinkRecord] = []
        self.states: list[str] = []
        self.refuses = refuses

    def attach(self, link: LinkRecord) -> None:
        self.states.append(link.state)
        if self.refuses:
            raise InputError("the wire is cut")
        self.links.append(link)

    def detach(self, link: LinkRecord) -> None:
        self.states.append(link.state)
        self.links.remove(link)


def test_a_link_has_states_and_a_number(runtime: Runtime) -> None:
    wire = runtime.hooks["xdp"] = Wire()
    with runtime.load(collection(PASS, attach_type="xdp")) as loaded:
        with loaded.program().attach(data=b"\x03\0\0\0") as link:
            assert link.state == "attached"
            info = link.info()
            assert (info.prog_id, info.attach_type_name) == (loaded.program().id, "xdp")
            assert info.attach_data == b"\x03\0\0\0"
            assert runtime.ids("link") == [link.id]
            assert loaded.program().info().link_count == 1
            link.detach()
            assert (link.state, wire.links) == ("detached", [])
            link.detach()
            assert link.info().prog_id == 0
        assert wire.states == ["attaching", "detaching"]
        assert runtime.ids("link") == []


def test_a_link_keeps_its_program(runtime: Runtime) -> None:
    wire = runtime.hooks["xdp"] = Wire()
    loaded = runtime.load(collection(PASS))
    link = attach(loaded.program())
    loaded.close()
    assert runtime.ids("program") == [1]
    link.close()
    assert runtime.ids("program") == []
    assert wire.links == []


def test_a_pinned_link_stays_attached(runtime: Runtime) -> None:
    wire = runtime.hooks["xdp"] = Wire()
    with runtime.load(collection(PASS)) as loaded, loaded.program().attach() as link:
        link.pin("wire")
    assert len(wire.links) == 1
    with runtime.open("wire") as again:
        assert isinstance(again, Link)
        assert again.state == "attached"
    runtime.remove_pin("wire")
    assert wire.links == []


def test_who_refuses_leaves_nothing(runtime: Runtime) -> None:
    runtime.hooks["xdp"] = Wire(refuses=True)
    with runtime.load(collection(PASS)) as loaded:
        with pytest.raises(InputError, match="the wire is cut"):
            loaded.program().attach()
        assert runtime.ids("link") == []


def test_wrong_places(runtime: Runtime) -> None:
    with runtime.load(collection(PASS)) as loaded:
        with pytest.raises(NotSupported, match="attaching programs to xdp"):
            loaded.program().attach()
        with pytest.raises(NotFound, match="no attach type of linux is named 'xpd'"):
            loaded.program().attach("xpd")
        with pytest.raises(InputError, match="is of type xdp; attach type cgroup_inet_ingress"):
            loaded.program().attach("cgroup_inet_ingress")
