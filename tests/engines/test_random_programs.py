"""Random programs that verify come to the same in all engines; and the search finds what does not.

The long runs are `python fuzz/engines.py`; here are enough programs to see that it works.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from anybpf.testing import engines
from fuzz.engine_campaign import Campaign

PROGRAMS = 60
SEED = 11


@pytest.mark.parametrize("engine", ["trace", "jit", "checked", "native"])
def test_engines_agree(engine: str) -> None:
    why = engines.problem(engine)
    if why:
        pytest.skip(why)
    with closing(Campaign(SEED, 3, [engines.REFERENCE, engine], 5.0)) as campaign:
        counts, reports = campaign.batch(range(PROGRAMS if engine != "native" else PROGRAMS // 3))
    assert not reports, reports[0][1]
    assert counts["run"] > 3
    assert counts["runs"] >= counts["run"]


class Wrong:
    """A program that is wrong about one result."""

    def __init__(self, program: Any) -> None:
        self.program = program

    def run(self, **options: Any) -> Any:
        value, *others = self.program.run(**options)
        return (3 if value == 2 else value, *others)

    def close(self) -> None:
        self.program.close()


def test_a_difference_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    make = engines.make

    def wrong(engine: str, *arguments: Any) -> Any:
        made = make(engines.REFERENCE, *arguments)
        return Wrong(made) if engine == "trace" else made

    monkeypatch.setattr(engines, "make", wrong)
    with closing(Campaign(SEED, 2, [engines.REFERENCE, "trace"], 3.0)) as campaign:
        _, reports = campaign.batch(range(40))
    assert reports
    name, words = reports[0]
    assert name.startswith(f"{SEED}-")
    assert "trace: result: 0x3 instead of 0x2" in words
    assert f"--seed {SEED} --runs 2 --one" in words
    assert words.count("\n") < 20  # little of the program is left


def test_the_same_seed_gives_the_same_programs() -> None:
    found = []
    for _ in range(2):
        with closing(Campaign(SEED, 2, [engines.REFERENCE, "trace"], 1.0)) as campaign:
            found.append(campaign.batch(range(15)))
    assert found[0] == found[1]
