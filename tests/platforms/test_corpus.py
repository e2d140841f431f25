"""What real programs do that Linux loads must stand in the tables as permitted."""

from __future__ import annotations

import csv
from pathlib import Path

from anybpf.objects import CollectionSpec, load_spec
from anybpf.platforms import get

LINUX = get("linux")
CALL = 0x85


def test_helper_calls_of_loadable_programs(shared: Path) -> None:
    """Each helper that a program calls which Linux 6.18 accepted is one that its type may call."""
    specs: dict[str, CollectionSpec] = {}
    seen = 0
    with (shared / "corpus" / "verdicts.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["linux_6_18"] == "pass"]
    for row in rows:
        name = row["object"]
        if name not in specs:
            specs[name] = load_spec(shared / "corpus" / name)
        for program in specs[name].programs.values():
            if program.section != row["section"] or program.name != row["function"]:
                continue
            for insn in program.instructions:
                if insn.opcode == CALL and insn.src == 0:
                    helper = LINUX.helper(insn.imm, row["type"])
                    assert LINUX.helper_allowed(helper, row["type"]), (name, program, helper)
                    seen += 1
    assert seen > 5000


def test_types_of_maps_in_the_corpus(shared: Path) -> None:
    """Every map type of the corpus is known, under a name of the table's."""
    seen = set()
    for path in sorted((shared / "corpus" / "linux").glob("*.o")):
        for spec in load_spec(path).maps.values():
            assert spec.type in LINUX.map_types, (path, spec)
            seen.add(spec.type)
    assert len(seen) >= 10
