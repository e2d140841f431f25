"""What was proved can be joined over states, stored and read back."""

from __future__ import annotations

import json

import pytest

from anybpf.errors import InputError
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import MapSpec
from anybpf.verifier import verify_instructions
from anybpf.verifier.facts import TAKEN, Access, CallFact, Facts


def some_facts() -> Facts:
    facts = Facts(12)
    facts.maps = ["counts"]
    facts.add_access(2, "stack", -1, 504, 512, True, False)
    facts.add_access(7, "map_value", 0, 0, 8, False, True)
    facts.add_call(5, "bpf_map_lookup_elem", 0, 3)
    facts.branches[6] = TAKEN
    facts.reached.update(range(10))
    facts.reached.add(11)
    facts.loops[4] = 16
    facts.types[0] = "-c--------s"
    return facts


def test_what_is_stored_is_read_back() -> None:
    facts = some_facts()
    text = facts.to_json()
    again = Facts.from_json(text)
    assert again.to_json() == text
    assert again.accesses[7] == Access("map_value", 0, 0, 8, False, True)
    assert again.calls == {5: CallFact("bpf_map_lookup_elem", 0, 3)}
    assert again.branches == {6: "taken"}
    assert again.reached == facts.reached
    assert again.loops == {4: 16}
    assert again.types == {0: "-c--------s"}
    assert again.maps == ["counts"]


def test_what_is_said_holds_in_every_state() -> None:
    facts = some_facts()
    facts.add_access(7, "map_value", 1, 4, 16, False, False)
    assert facts.accesses[7] == Access("map_value", -1, 0, 16, False, False)
    facts.add_access(7, "stack", -1, 0, 8, False, True)
    assert facts.accesses[7].kind == "mixed"
    facts.add_call(5, "bpf_map_lookup_elem", 0, 4)
    assert facts.calls[5] == CallFact("bpf_map_lookup_elem", 0, None)
    facts.add_call(5, "bpf_map_lookup_elem", 1, 4)
    assert facts.calls[5].map == -1


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": None},
        {"instructions": -1},
        {"instructions": True},
        {"maps": [1]},
        {"reached": [[0, 12]]},
        {"reached": [[3, 2]]},
        {"reached": None},
        {"accesses": [[12, "stack", -1, 0, 8, True, False]]},
        {"accesses": [[1, "stack", -1, 0, 8, 1, False]]},
        {"accesses": [[1, "stack"]]},
        {"branches": [[1, "sideways"]]},
        {"calls": [[1, "f", 0, "key"]]},
        {"loops": [[-1, 3]]},
        {"types": {"0": "c"}},
    ],
    ids=str,
)
def test_damaged_facts_are_refused(change: dict[str, object]) -> None:
    value = json.loads(some_facts().to_json())
    value.update(change)
    with pytest.raises(InputError, match="stored facts"):
        Facts.from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "{}"])
def test_text_that_is_no_facts(text: str) -> None:
    with pytest.raises(InputError, match="stored facts"):
        Facts.from_json(text)


def test_the_facts_of_a_program() -> None:
    """What a verification proved: accesses, the dead side of a branch, what is reached, types."""
    counts = MapSpec("counts", "hash")
    counts.key_size, counts.value_size, counts.max_entries = 4, 8, 16
    code = assemble(
        """
        *(u32 *)(r10 - 4) = 3
        r2 = r10
        r2 += -4
        r1 = map[counts]
        call 1
        if r0 == 0 goto out
        r1 = 1
        if r1 == 1 goto out
        r0 = *(u64 *)(r0 + 0)
        out: r0 = 2
        exit
        """
    )
    verification = verify_instructions(code, "xdp", [counts], record=True)
    assert verification.ok
    facts = Facts.from_json(verification.facts.to_json())
    assert facts.accesses == {0: Access("stack", -1, -4, 0, True, False)}
    assert facts.calls == {4: CallFact("bpf_map_lookup_elem", 0, 3)}
    assert facts.branches == {7: TAKEN}
    assert facts.reached == {0, 1, 2, 3, 4, 5, 6, 7, 9, 10}
    assert facts.types[4][1:3] == "ms"


def test_an_access_to_one_of_two_values_is_told_for_both() -> None:
    code = assemble(
        """
        r6 = map[one]
        *(u32 *)(r10 - 8) = 0
        r2 = r10
        r2 += -8
        r1 = r6
        call 1
        if r0 == 0 goto out
        r7 = r0
        r7 += 8
        call 5
        if r0 s< 191 goto store
        r2 = r10
        r2 += -8
        r1 = map[two]
        call 1
        if r0 == 0 goto out
        r7 = r0
        store:
        *(u64 *)(r7 + 8) = 127
        out:
        r0 = 0
        exit
        """
    )
    maps = [array("one", 32), array("two", 32)]
    result = verify_instructions(code, "kprobe", maps)
    assert result.ok, result.findings
    store = max(index for index, access in result.facts.accesses.items() if access.write)
    access = result.facts.accesses[store]
    assert (access.kind, access.map, access.low, access.high) == ("map_value", -1, 8, 24)


def array(name: str, size: int) -> MapSpec:
    spec = MapSpec(name, "array")
    spec.key_size, spec.value_size, spec.max_entries = 4, size, 1
    return spec
