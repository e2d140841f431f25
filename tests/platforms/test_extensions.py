"""An extension adds rows at run time, all or none, and takes them away again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anybpf.errors import InputError, NotFound
from anybpf.platforms import (
    Arg,
    AttachType,
    Context,
    Extension,
    Field,
    Helper,
    Limit,
    MapType,
    Platform,
    ProgramType,
    SectionRule,
)
from anybpf.platforms.linux import make

PACKET_IN = ProgramType(
    "door",
    5000,
    title="watches a door",
    context=Context("door_md", 8, [Field("state", 0, 4, "u32")]),
    attach_types=["door_open"],
)


def door(**changes: object) -> Extension:
    rows: dict[str, object] = {
        "program_types": [PACKET_IN],
        "attach_types": [AttachType("door_open", 5000, program_types=["door"])],
        "sections": [SectionRule("door", "door", "door_open", form="extra")],
        "helpers": [
            Helper(0x10000, "bpf_door_lock", [Arg("ctx", "context")], program_type="door"),
            Helper(1000, "bpf_knock"),
        ],
        "map_types": [
            MapType("keyring", 900, key_size=Limit(4, 4), value_size=Limit(1), entries=Limit(1))
        ],
    }
    rows.update(changes)
    return Extension("door", **rows)  # type: ignore[arg-type]


@pytest.fixture
def linux() -> Iterator[Platform]:
    PACKET_IN.own_helpers = ()
    yield make()  # a platform of our own: others keep theirs
    PACKET_IN.own_helpers = ()


def test_rows_are_there_until_they_are_taken_away(linux: Platform) -> None:
    linux.register(door())
    assert linux.extensions == ["door"]
    assert linux.section("door/front").program_type == "door"
    assert linux.section("door/front").attach_to == "front"
    assert linux.program_type(5000).name == "door"
    assert linux.helper(0x10000, "door").name == "bpf_door_lock"
    assert linux.helper_allowed("bpf_door_lock", "door")
    assert not linux.helper_allowed("bpf_door_lock", "xdp")
    assert linux.helper_allowed("bpf_knock", "xdp")
    assert linux.map_type("keyring").number == 900
    assert linux.context_field("door", 0, 4) is not None

    linux.unregister("door")
    assert linux.extensions == []
    assert linux.section("door/front").program_type == "unspec"
    assert linux.find_helper("bpf_knock") is None
    for look_up in (linux.program_type, linux.attach_type):
        with pytest.raises(NotFound):
            look_up(5000)
    linux.register(door())  # and may come again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program_types": [ProgramType("xdp", 5000)]}, "already a program type of linux named"),
        ({"program_types": [ProgramType("door", 6)]}, "the number 6 belongs to the program type"),
        ({"attach_types": [AttachType("x", 37)]}, "belongs to the attach type of linux 'xdp'"),
        ({"helpers": [Helper(1, "bpf_knock")]}, "belongs to the helper of linux"),
        ({"helpers": [Helper(999, "a"), Helper(999, "b")]}, "the number 999 twice"),
        ({"helpers": [Helper(1, "a", program_type="dor")]}, "'dor', which is not there"),
        (
            {"helpers": [Helper(1, n, program_type="door") for n in "ab"]},
            "collides with 'a'",
        ),
        ({"sections": [SectionRule("xdp", "door")]}, "already a section rule for 'xdp'"),
        ({"sections": [SectionRule("d", "xdpp")]}, "did you mean xdp"),
        (
            {
                "map_types": [
                    MapType("hash", 99, key_size=Limit(4), value_size=Limit(4), entries=Limit(1))
                ]
            },
            "already a map type of linux named 'hash'",
        ),
    ],
)
def test_a_conflict_adds_nothing(linux: Platform, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match="cannot register extension 'door'") as caught:
        linux.register(door(**changes))
    assert message in str(caught.value)
    assert linux.extensions == []
    assert "door_open" not in linux.attach_types
    assert "keyring" not in linux.map_types
    assert linux.section("door").program_type == "unspec"


def test_twice_and_never(linux: Platform) -> None:
    linux.register(door())
    with pytest.raises(InputError, match="already registered"):
        linux.register(door())
    with pytest.raises(NotFound, match="did you mean door"):
        linux.unregister("doors")
