"""What keeps programs from loading, told before any verifier has seen them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from anybpf.objects import load_spec
from anybpf.objects.check import Obstacle, portability
from anybpf.platforms import get
from tests.objects import sources
from tests.objects.conftest import Build


def obstacles(path: Path, platform: str = "linux") -> list[Obstacle]:
    return portability(load_spec(path, platform), get(platform))


def kinds(found: list[Obstacle]) -> set[tuple[str, str]]:
    return {(each.kind, each.subject) for each in found}


def test_a_good_program_has_nothing_in_its_way(build: Build) -> None:
    found = [each for each in obstacles(build(sources.FUNCTIONS)) if each.program != "strange"]
    assert found == []


def test_an_unknown_section_is_told(build: Build) -> None:
    (found,) = obstacles(build(sources.FUNCTIONS))
    assert (found.kind, found.subject) == ("section", "my_own/thing")
    assert str(found).startswith("section: section my_own/thing is not known on linux")


BROKEN = """
struct __sk_buff { __u32 len, pkt_type, mark, fill[16], data, data_end; };
static void (*redirect)(__u32 port, __u64 flags) = (void *)23;
static long (*probe_read)(void *to, __u32 size, const void *from) = (void *)113;
static long (*nothing)(void) = (void *)9999;
struct { __uint(type, 2); __type(key, __u64); __type(value, __u32); __uint(max_entries, 1); }
    wide SEC(".maps");
SEC("socket") int entry(struct __sk_buff *skb)
{
    __u64 key = 0;
    skb->len = 5;
    redirect(1, 0);
    nothing();
    lookup(&wide, &key);
    return skb->data;
}
"""


def test_each_obstacle_names_its_place(build: Build) -> None:
    found = obstacles(build(sources.PRELUDE + BROKEN))
    assert kinds(found) == {
        ("context field", "ctx->len"),
        ("context field", "ctx->data"),
        ("helper", "bpf_redirect"),
        ("helper", "9999"),
        ("map", "wide"),
    }
    helper = next(each for each in found if each.subject == "bpf_redirect")
    assert helper.function == "entry"
    assert helper.line is not None
    assert helper.line.text.strip() == "redirect(1, 0);"
    assert helper.as_json()["source"] == "redirect(1, 0);"
    assert "bpf_redirect may not be called by socket_filter programs" in str(helper)


def test_a_map_that_nobody_uses_is_in_everybodys_way(build: Build) -> None:
    text = f"""{sources.PRELUDE}
    struct {{ __uint(type, 2); __uint(key_size, 8); __uint(value_size, 4); }} odd SEC(".maps");
    SEC("xdp") int entry(void *ctx) {{ return 0; }}
    """
    found = obstacles(build(text))
    assert [each.program for each in found] == ["", ""]
    assert [str(each) for each in found] == [
        "map: map odd: array map: key size must be 4, not 8",
        "map: map odd: array map: max entries must be at least 1, not 0",
    ]


def test_the_licence_decides_on_linux_only(build: Build) -> None:
    text = (
        sources.PRELUDE.replace('"GPL"', '"Proprietary"')
        + """
    static __attribute__((unused)) long (*printk)(const char *f, __u32 n) = (void *)6;
    SEC("xdp") int entry(void *ctx) { char f[] = "x"; return printk(f, 2); }
    """
    )
    found = obstacles(build(text))
    assert kinds(found) == {("license", "bpf_trace_printk")}
    assert "the licence is 'Proprietary'" in str(found[0])


def test_kernel_types_are_for_linux(build: Build) -> None:
    assert ("CO-RE", "type 2") not in kinds(obstacles(build(sources.CORE)))
    found = {each.kind for each in obstacles(build(sources.CORE), "windows")}
    assert {"section", "CO-RE"} <= found
    found = {each.kind for each in obstacles(build(sources.DATA), "windows")}
    assert {"symbol", "function"} <= found


def test_what_linux_refuses_for_our_reasons(shared: Path) -> None:
    """No program that Linux accepted has an obstacle but its section's name."""
    corpus = shared / "corpus"
    with open(corpus / "verdicts.csv", newline="") as stream:
        passed = {
            (row["object"], row["section"], row["function"])
            for row in csv.DictReader(stream)
            if row["linux_6_18"] == "pass"
        }
    wrong = []
    compared = 0
    for name in sorted({row[0] for row in passed}):
        spec = load_spec(corpus / name)
        for each in portability(spec, get("linux")):
            program = spec.programs[each.program or next(iter(spec.programs))]
            place = (name, program.section, program.function.symbol)
            if place in passed and each.kind != "section":
                wrong.append(f"{name} {each.program}: {each}")
        compared += len(spec.programs)
    assert compared > 200
    assert wrong == []


@pytest.mark.parametrize("platform", ["linux", "windows"])
def test_every_object_can_be_checked(shared: Path, platform: str) -> None:
    paths = [p for p in (shared / "corpus").glob("*/*.o") if p.parent.name != "invalid"]
    for path in paths:
        for each in obstacles(path, platform):
            assert str(each)
