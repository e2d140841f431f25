"""Maps are created by the platform's rules; what breaks one, names it."""

from __future__ import annotations

import pytest

from anybpf import _core
from anybpf.errors import InputError, NotFound, NotSupported
from anybpf.objects.specs import MapSpec
from anybpf.platforms import get
from anybpf.runtime import Runtime, habits
from tests.runtime.making import map_spec


def test_flags_have_the_cores_numbers() -> None:
    for name, bit in _core.MAP_FLAGS.items():
        assert getattr(habits, name) == bit, name


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (map_spec(key=8), "array map: key size must be 4, not 8"),
        (map_spec(value=0), "value size must be at least 1, not 0"),
        (map_spec(entries=0), "max entries must be at least 1, not 0"),
        (map_spec("r", "ringbuf", 0, 0, 5000), "must be a power of two, not 5000"),
        (map_spec("r", "ringbuf", 0, 0, 1024), "must be at least 4096, not 1024"),
        (map_spec("t", "lpm_trie", 8), "the flag no_prealloc must be set"),
        (map_spec("q", "queue", 4), "key size must be 0, not 4"),
        (map_spec("h", "hash", flags=1 << 10), "the flag mmapable is not for this type"),
        (map_spec("h", "hash", flags=1 << 30), "flags 0x40000000 are not known"),
        (map_spec("h", "hash", flags=8 | 16), "rdonly and wronly exclude each other"),
        (map_spec("o", "array_of_maps", value=4), "no template"),
        (map_spec("a", inner=map_spec("b")), "holds no maps"),
        (map_spec("o", "hash_of_maps", value=4, inner=map_spec("x", key=9)), "must be 4, not 9"),
    ],
)
def test_rules_of_linux(runtime: Runtime, spec: MapSpec, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        runtime.create_map(spec)
    assert (
        f"map {spec.name}" in str(caught.value) or "template" in words or "x" in str(caught.value)
    )


def test_unknown_types_get_a_hint(runtime: Runtime) -> None:
    with pytest.raises(NotFound, match=r"no map type of linux is named 'hsah'"):
        runtime.create_map(map_spec(kind="hsah"))
    with pytest.raises(NotSupported, match="map counts: the map type stack_trace"):
        runtime.create_map(map_spec(kind="stack_trace"))


def test_windows_knows_no_flags(windows: Runtime) -> None:
    with pytest.raises(InputError, match="flags 0x1 are not known"):
        windows.create_map(map_spec(kind="hash", flags=1))


def test_what_linux_refuses_grows_on_windows(runtime: Runtime, windows: Runtime) -> None:
    with runtime.create_map(map_spec(kind="hash", entries=2)) as one:
        for number in range(2):
            one[number.to_bytes(4, "little")] = bytes(8)
        with pytest.raises(Exception, match="counts"):
            one[b"full"] = bytes(8)
    with windows.create_map(map_spec(kind="hash", entries=2)) as one:
        for number in range(100):
            one[number.to_bytes(4, "little")] = bytes(8)
        assert len(one) == 100


CREATABLE = [
    kind.name
    for kind in get("linux").map_types
    if habits.CORE_KINDS.get(kind.name, kind.name) in _core.KINDS
]


@pytest.mark.parametrize("kind", CREATABLE)
def test_every_type_that_is_built_can_be_made(runtime: Runtime, kind: str) -> None:
    """With the least sizes that the platform allows."""
    row = get("linux").map_type(kind)
    entries = max(row.entries.low, 1) if row.entries.high != 0 else 0
    flags = sum(flag.bit for flag in get("linux").map_flags if flag.name in row.required_flags)
    spec = map_spec(
        "least", kind, max(row.key_size.low, 0), max(row.value_size.low, 0), entries, flags
    )
    if row.needs_btf and kind not in ("struct_ops",):
        spec.key_type_id = spec.value_type_id = 0
    if row.holds == "maps":
        spec.inner = map_spec("template")
    with runtime.create_map(spec) as one:
        assert one.info().type_name == kind
        assert one.info().memlock > 0


def test_an_inner_map_must_be_like_the_template(runtime: Runtime) -> None:
    outer = map_spec("outer", "array_of_maps", value=4, inner=map_spec("template", value=8))
    with (
        runtime.create_map(outer) as one,
        runtime.create_map(map_spec("same", value=8)) as same,
        runtime.create_map(map_spec("other", value=16)) as other,
    ):
        assert one.keeper.store(bytes(4), same) == 0
        assert _core.STATUSES[one.keeper.store(bytes(4), other)] == "BAD_OBJECT"
        with one.keeper.held(bytes(4)) as inside:
            assert inside.id == same.id


def test_huge_maps_are_refused_in_words(runtime: Runtime) -> None:
    with pytest.raises(InputError, match=r"map counts .* cannot be created"):
        runtime.create_map(map_spec(kind="hash", value=1 << 30, entries=1 << 31))


def test_names_are_cut_as_the_platform_does(runtime: Runtime) -> None:
    with runtime.create_map(map_spec("a_name_that_is_much_too_long")) as one:
        assert _core.Map.name.__get__(one) == "a_name_that_is_"


@pytest.mark.parametrize(
    ("field", "number"),
    [("max_entries", 1 << 32), ("value_size", -1), ("flags", 1 << 40), ("extra", 1 << 64)],
)
def test_numbers_that_no_system_keeps(runtime: Runtime, field: str, number: int) -> None:
    spec = map_spec()
    setattr(spec, field, number)
    with pytest.raises(InputError, match=f"{field} is {number}, which is no number of"):
        runtime.create_map(spec)
