"""Policies: modes, signatures, quotas. A refusal names the policy, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.errors import InputError, PolicyError
from anybpf.runtime import Policy, Quota, Runtime, attach
from tests.runtime.making import PASS, collection, map_spec
from tests.runtime.test_link import Wire
from tests.runtime.test_references import USES_COUNTS


def test_modes() -> None:
    words = "mode interpret: policy 'compiled only' says modes: native"
    with Runtime("linux", cpus=1, policies=[Policy("compiled only", modes=["native"])]) as runtime:
        with pytest.raises(PolicyError, match=words):
            runtime.load(collection(PASS))
        assert runtime.ids("program") == []
    misspelt = pytest.raises(InputError, match="no engine is named 'interpet'")
    with Runtime("linux", cpus=1) as runtime, misspelt:
        runtime.load(collection(PASS), engine="interpet")


def test_auto_is_what_the_policies_leave_of_it() -> None:
    with Runtime("linux", cpus=1, policies=[Policy("no compiler", modes=["interpret"])]) as runtime:
        with pytest.raises(PolicyError, match="mode jit: policy 'no compiler'"):
            runtime.load(collection(PASS), engine="jit")
        with runtime.load(collection(PASS)) as loaded:
            (program,) = loaded.programs.values()
            assert program.info().mode == "interpret"
            assert program.program_record().job is None, "nobody waits for it to become hot"
    pytest.importorskip("llvmlite", reason="nothing is compiled without llvmlite")
    with Runtime("linux", cpus=1, policies=[Policy("compiled", modes=["jit"])]) as runtime:
        with pytest.raises(PolicyError, match="mode interpret: policy 'compiled'"):
            runtime.load(collection(PASS), engine="interpret")
        with runtime.load(collection(PASS)) as loaded:
            assert next(iter(loaded.programs.values())).info().mode == "jit"


def test_quotas_count_objects_of_an_owner() -> None:
    policy = Policy("two maps", quota=Quota(maps=2), quotas={"root": Quota()})
    with Runtime("linux", cpus=1, policies=[policy]) as runtime:
        mine = [runtime.create_map(map_spec(), owner="ann") for _ in range(2)]
        with pytest.raises(
            PolicyError, match=r"owner ann, who has 2 maps.* at most 2 maps"
        ) as caught:
            runtime.create_map(map_spec(), owner="ann")
        assert caught.value.policy == "two maps"
        others = [runtime.create_map(map_spec(), owner="bob")]
        others += [runtime.create_map(map_spec(), owner="root") for _ in range(5)]
        mine.pop().close()
        mine.append(runtime.create_map(map_spec(), owner="ann"))
        for one in mine + others:
            one.close()
        assert runtime.usage("ann").counts["map"] == 0


def test_quotas_of_memory() -> None:
    policy = Policy("a megabyte", quota=Quota(memory=1 << 20))
    with Runtime("linux", cpus=1, policies=[policy]) as runtime:
        with runtime.create_map(map_spec(entries=1000)):
            assert runtime.usage().memory > 8000
            with pytest.raises(PolicyError, match="policy 'a megabyte' says at most 1048576 bytes"):
                runtime.create_map(map_spec(entries=1_000_000))
        assert runtime.usage().memory == 0
        assert runtime.ids("map") == []


def test_quotas_go_down_as_objects_are_released_and_not_before() -> None:
    """A closed handle gives nothing back while a pin, a program or a link still has the object."""
    with Runtime("linux", cpus=1, policies=[Policy("some", quota=Quota(maps=9))]) as runtime:

        def used() -> tuple[int, int, int, bool]:
            usage = runtime.usage("ann")
            counts = usage.counts
            return counts["map"], counts["program"], counts["link"], usage.memory > 0

        runtime.hooks["xdp"] = Wire()
        loaded = runtime.load(collection(USES_COUNTS, maps=[map_spec()]), owner="ann")
        whole = runtime.usage("ann").memory
        program = runtime.program(loaded.program().id)
        loaded.close()
        assert used() == (1, 1, 0, True)  # the program has the map
        assert runtime.usage("ann").memory == whole
        path = program.pin("/sys/fs/bpf/main")
        link = attach(program, owner="ann")
        program.close()
        runtime.remove_pin(path)
        assert used() == (1, 1, 1, True)  # the link has the program
        link.close()
        assert used() == (0, 0, 0, False)


def test_what_could_not_be_made_counts_for_nothing() -> None:
    policy = Policy("small", quota=Quota(maps=1, memory=1 << 16))
    with Runtime("linux", cpus=1, policies=[policy]) as runtime:
        for _ in range(3):
            with pytest.raises(PolicyError, match="65536 bytes"):
                runtime.create_map(map_spec(entries=1 << 20))
        assert runtime.usage().counts["map"] == runtime.usage().memory == 0
        runtime.create_map(map_spec()).close()


def test_a_load_that_is_refused_leaves_nothing() -> None:
    policy = Policy("one program", quota=Quota(programs=1))
    with Runtime("linux", cpus=1, policies=[policy]) as runtime:
        with pytest.raises(PolicyError, match="one program"):
            runtime.load(collection(PASS, PASS, maps=[map_spec()]))
        assert runtime.ids("program") == runtime.ids("map") == []
        runtime.load(collection(PASS)).close()


def test_all_policies_must_agree() -> None:
    policies = [Policy("lax", quota=Quota(maps=10)), Policy("strict", quota=Quota(maps=0))]
    with Runtime("linux", cpus=1, policies=policies) as runtime:
        with pytest.raises(PolicyError) as caught:
            runtime.create_map(map_spec())
        assert caught.value.policy == "strict"


def test_signatures(droppacket: Path) -> None:
    def good(data: bytes, signature: bytes) -> bool:
        return signature == data[:4]

    with Runtime("linux", cpus=1, policies=[Policy("signed", signature=good)]) as runtime:
        with pytest.raises(PolicyError, match="comes without a signature"):
            runtime.load(droppacket)
        with pytest.raises(PolicyError, match="is not good"):
            runtime.load(droppacket, signature=b"bad")
        with pytest.raises(PolicyError, match="cannot be loaded from specs"):
            runtime.load(collection(PASS), signature=b"\x7fELF")
        assert runtime.ids("map") == []
        runtime.load(droppacket, signature=b"\x7fELF").close()


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="no execution mode is named interpreted"):
        Policy("wrong", modes=["interpreted"])
    with pytest.raises(InputError, match="a quota of maps is a count"):
        Quota(maps=-1)
