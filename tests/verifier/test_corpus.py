"""The compiled programs of the shared corpus: what Linux or PREVAIL passes must pass here as well.

Exceptions are argued one by one in docs/verifier-verdicts.md; this test knows no others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from anybpf.errors import AnyBPFError, NotFound
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec, ProgramSpec
from anybpf.verifier import verify
from tests.conftest import ROOT, find_shared

PAGE = ROOT / "docs" / "verifier-verdicts.md"

# Object and program: our verdict where it is neither that of Linux nor that of PREVAIL, or where
# one of the two passes it and we do not. None: it is no program by itself.
EXCEPTIONS: dict[tuple[str, str], str | None] = {
    ("build/bpf2bpf.o", "add1"): None,
    ("build/bpf2bpf.o", "add2"): None,
    ("build/bpf2bpf.o", "func"): "reject",
    ("build/byteswap.o", "func"): "reject",
    ("build/tail_call.o", "caller"): "reject",
    ("build/exposeptr2.o", "func"): "pass",
    ("cilium-examples/fentry_bpf_bpfel.o", "tcp_connect"): "pass",
    ("cilium-examples/tcprtt_bpf_bpfel.o", "tcp_close"): "pass",
}


def rows(corpus: Path) -> Iterator[dict[str, str]]:
    with (corpus / "verdicts.csv").open(newline="") as file:
        yield from csv.DictReader(file)


def objects() -> list[str]:
    place = find_shared()
    if place is None:
        return []
    return sorted({row["object"] for row in rows(place / "corpus")})


@cache
def collection(path: Path) -> CollectionSpec | None:
    try:
        return load_spec(path)
    except AnyBPFError:
        return None


def find(spec: CollectionSpec, row: dict[str, str]) -> ProgramSpec | None:
    """The program of a row; rows of some objects name functions by their sections."""
    for words in (
        {"name": row["function"], "section": row["section"]},
        {"section": row["section"]},
    ):
        try:
            return spec.program(**words)
        except NotFound:
            continue
    return None


@pytest.mark.parametrize("name", objects())
def test_programs_of_the_corpus_have_the_right_verdict(shared: Path, name: str) -> None:
    wrong = []
    for row in rows(shared / "corpus"):
        if row["object"] != name:
            continue
        others = (row["prevail"], row["linux_6_18"])
        wanted: str | None = "pass" if "pass" in others else "reject"
        wanted = EXCEPTIONS.get((name, row["function"]), wanted)
        spec = collection(shared / "corpus" / name)
        program = None if spec is None else find(spec, row)
        if program is None:
            # What cannot even be read is refused all the same.
            if wanted == "pass":
                wrong.append(f"{row['function']}: there is no such program")
            continue
        assert spec is not None
        untyped = program.type in ("", "unspec")
        result = verify(program, spec, type=row["type"] if untyped else "")
        if ("pass" if result.ok else "reject") != wanted:
            wrong.append(
                f"{row['function']} of {row['section']}: {result!r}, {result.findings[:1]}"
            )
    assert not wrong


def test_every_exception_is_argued() -> None:
    page = PAGE.read_text()
    for name, function in EXCEPTIONS:
        assert f"`{name}`" in page, name
        assert f"`{function}`" in page, function
