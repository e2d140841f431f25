"""One shape for all back ends: what has it, and how one is chosen."""

from __future__ import annotations

import pytest

from anybpf.backends import backend, default
from anybpf.backends.model import (
    Backend,
    CollectionHandle,
    MapHandle,
    ProgramHandle,
    TypesHandle,
)
from anybpf.errors import InputError, NotSupported
from anybpf.runtime import Runtime
from tests.runtime.making import PASS, collection, map_spec

# What Protocol adds itself.
_OWN = {"__init__", "__subclasshook__", "__class_getitem__", "__init_subclass__"}


def lacking(found: object, protocol: type) -> list[str]:
    """The methods of a protocol that an object lacks."""
    names = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name in vars(base)
        if callable(vars(base)[name]) or isinstance(vars(base)[name], property)
    }
    return sorted(name for name in names - _OWN if not hasattr(type(found), name)
                  and not hasattr(found, name))  # fmt: skip


def check_all(made: Backend) -> None:
    assert lacking(made, Backend) == []
    with made.load(collection(PASS)) as loaded, made.create_map(map_spec()) as one:
        assert lacking(loaded, CollectionHandle) == []
        assert lacking(loaded.program(), ProgramHandle) == []
        assert lacking(one, MapHandle) == []
        assert one.info().name == "counts"
        assert one.id in made.ids("map")
        assert made.next_id("map", one.id - 1) == one.id
        with made.program(loaded.program().id) as again:
            assert again.info().tag == loaded.program().info().tag


def test_the_runtime_of_this_process_has_it() -> None:
    with Runtime("linux", cpus=1) as runtime:
        check_all(runtime)


def test_the_kernel_has_it(kernel: Backend) -> None:
    check_all(kernel)
    with kernel.types(1) as types:  # those of the kernel itself
        assert lacking(types, TypesHandle) == []
        assert types.name == "vmlinux"


def test_a_back_end_is_chosen_by_name() -> None:
    with backend("embedded", platform="windows") as made:
        assert (made.name, made.platform.name) == ("embedded", "windows")
    with pytest.raises(InputError, match="did you mean linux"):
        backend("linus")


def test_the_environment_chooses_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANYBPF_BACKEND", raising=False)
    with default() as made:
        assert made.name == "embedded"
    monkeypatch.setenv("ANYBPF_BACKEND", "nowhere")
    with pytest.raises(InputError, match="nowhere"):
        default()


def test_types_is_another_word_for_btf() -> None:
    with Runtime("linux", cpus=1) as runtime:
        assert runtime.ids("types") == runtime.ids("btf") == []
        with pytest.raises(InputError, match="kinds"):
            runtime.ids("table")


def test_the_runtime_says_what_it_can_do() -> None:
    with Runtime("linux", cpus=1) as runtime:
        features = runtime.features()
        assert features is runtime.features()
        assert features.feature("map_type", "hash").word == "yes"
        refused = features.feature("map_type", "sockmap")
        assert (refused.word, bool(refused)) == ("no", False)
        with pytest.raises(NotSupported, match="the map type sockmap"):
            features.require("map_type", "sockmap")
        assert features.feature("helper", "bpf_map_lookup_elem").has
        assert features.feature("helper", "bpf_send_signal").word == "unknown"
        with pytest.raises(InputError):
            features.feature("map_type", "hush")
        with pytest.raises(InputError, match="kinds"):
            features.names("maps")
