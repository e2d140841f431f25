"""Public objects of ten years of compilers: all load, and programs are as long as others say."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from anybpf.errors import ObjectError
from anybpf.objects import CollectionSpec, load_spec

# Programs that the listing beside the corpus counts as such, and we do not: subprograms in .text
# of objects whose programs are elsewhere.
SUBPROGRAMS = {
    ("build/bpf2bpf.o", "add1"),
    ("build/bpf2bpf.o", "add2"),
    ("prototype-kernel/xdp_ddos01_blacklist_kern.o", ".text"),
}


@pytest.fixture(scope="module")
def corpus(shared: Path) -> dict[str, CollectionSpec]:
    """Every object outside `invalid/`, by path."""
    root = shared / "corpus"
    paths = [path for path in sorted(root.glob("*/*.o")) if path.parent.name != "invalid"]
    return {str(path.relative_to(root)): load_spec(path) for path in paths}


def rows(shared: Path) -> list[dict[str, str]]:
    with open(shared / "corpus" / "verdicts.csv", newline="") as stream:
        return [row for row in csv.DictReader(stream) if not row["object"].startswith("invalid/")]


def test_all_objects_load(corpus: dict[str, CollectionSpec]) -> None:
    assert len(corpus) == 129
    assert sum(len(spec.programs) for spec in corpus.values()) == 321
    assert all(spec.programs for spec in corpus.values())


def test_programs_have_the_lengths_that_others_count(
    corpus: dict[str, CollectionSpec], shared: Path
) -> None:
    compared = 0
    for row in rows(shared):
        if (row["object"], row["function"]) in SUBPROGRAMS:
            continue
        spec = corpus[row["object"]]
        in_section = [p for p in spec if p.section == row["section"]]
        # Where symbols have no types, the listing has the section's name for the function's.
        named = [p for p in in_section if p.function.symbol == row["function"]] or in_section
        assert len(named) == 1, row
        assert named[0].slots == int(row["slots"]), row
        assert sum(insn.slots for insn in named[0].instructions) == int(row["slots"])
        compared += 1
    assert compared > 300


def test_subprograms_are_functions_and_not_programs(corpus: dict[str, CollectionSpec]) -> None:
    spec = corpus["build/bpf2bpf.o"]
    assert spec.functions["add1"].slots == 13
    # The listing links what add2 calls behind it: 8 slots of its own and the 13 of add1.
    assert spec.functions["add2"].slots + spec.functions["add1"].slots == 21
    assert spec.functions["add2"].calls == ("add1",)
    blacklist = corpus["prototype-kernel/xdp_ddos01_blacklist_kern.o"]
    assert blacklist.functions["parse_port"].slots == 50
    assert list(blacklist.programs) == ["xdp_program"]


def test_cilium_fills_its_tail_call_map(corpus: dict[str, CollectionSpec]) -> None:
    spec = corpus["cilium/bpf_xdp_dsr_linux.o"]
    calls = spec.maps["cilium_calls_xdp"]
    assert (calls.id, calls.pinning) == (2, "by_name")
    slots = {int.from_bytes(key, "little"): name for key, name in calls.contents}
    assert {slot: spec.programs[str(name)].section for slot, name in slots.items()} == {
        slot: f"2/{slot}" for slot in (1, 7, 10, 15, 16, 17, 18, 19, 20, 21, 24)
    }
    maglev = spec.maps["cilium_lb4_maglev"]
    assert maglev.inner is not None
    assert maglev.inner.name == "cilium_lb4_maglev_inner"


def test_an_object_without_machine_number_and_types(corpus: dict[str, CollectionSpec]) -> None:
    spec = corpus["ovs/datapath.o"]
    assert spec.programs["ovs_parser"].section == "tail-32"
    assert spec.programs["xdp_ingress"].type == "xdp"
    assert spec.maps["flow_table"].value_size == 4352


def test_old_maps_of_maps(corpus: dict[str, CollectionSpec]) -> None:
    maps = corpus["linux/test_map_in_map_kern.o"].maps
    inner = {name: spec.inner.name for name, spec in maps.items() if spec.inner is not None}
    assert inner == {"a_of_port_a": "port_a", "h_of_port_a": "port_a", "h_of_port_h": "port_h"}
    across = corpus["build/map_in_map_legacy.o"].maps["array_of_maps"].inner
    assert across is not None
    assert across.name == "inner_map"


# What becomes of each damaged file: the section and byte that are named, or "" if it loads.
INVALID = {
    "58087ea4ff41695f3186d628a3250b26dc8d237a": (".symtab", 0x28F0, "string table"),
    "662b334a22904023c13f11008e072076a4f4d215": (".symtab", 0x2A10, "string table"),
    "806cc077e56f0ec32236c99055714f63649e7a38": ("", 0x3C, "section table"),
    "ab3408afd06d68dd7e73bf21bde38350d9751a78": (".symtab", 0x32E6, "symbol 110"),
    "af99e766f6ba44fd7f2135c3e325c817224b99a3": ("", 0x2AE0, "string table"),
    "badsymsize.o": (".symtab", 0x688, "entries of 8"),
    "c049438cf649269921736e7306231385350dea58": ("", 0x5D0, "string table"),
    "dac31099c3bb5b6395908c82cc8540e77a6a1849": ("bind", 0x330, "line record"),
    "invalid-lddw.o": (".text", 0x48, "second half"),
}
# Odd, but nothing in them is wrong.
HARMLESS = (
    "ef2e42c0bfcf4dab6b9c3926759365b6dfa73634",
    "timeout-29db93548c671165313b314d4f83a3eefa24df37",
)


def test_the_damaged_files_are_all_known(shared: Path) -> None:
    names = {path.name for path in (shared / "corpus" / "invalid").iterdir()}
    assert names == {*INVALID, *HARMLESS}


@pytest.mark.parametrize("name", sorted(INVALID))
def test_damaged_files_are_refused_by_section_and_byte(shared: Path, name: str) -> None:
    path = shared / "corpus" / "invalid" / name
    section, offset, words = INVALID[name]
    with pytest.raises(ObjectError, match=words) as caught:
        load_spec(path)
    found = caught.value
    assert (found.file, found.section, found.offset) == (str(path), section, offset)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_files_load(shared: Path, name: str) -> None:
    assert load_spec(shared / "corpus" / "invalid" / name).programs
