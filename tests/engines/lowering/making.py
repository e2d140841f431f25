"""Plans for the tests of lowering: of programs that were proved, and of such that were not."""

from __future__ import annotations

from collections.abc import Sequence

from anybpf.engines import prepare
from anybpf.engines.lowering import Plan, Source, make_plan, source_of
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import MapSpec
from anybpf.verifier import verify
from tests.engines.equivalence import Case, specs


def proved(text: str, maps: Sequence[MapSpec] = (), kind: str = "xdp") -> Source:
    """What lowering starts from, for a program that is safe."""
    spec = specs(Case("case", (text,), maps=tuple(maps), kind=kind))
    program = spec.programs["main"]
    verification = verify(program, spec)
    assert verification.ok, verification.findings
    return source_of(prepare(program, verification))


def unproved(text: str) -> Source:
    return Source("case", encode(assemble(text)))


def plan(source: Source, checks: str = "unproved") -> Plan:
    return make_plan(source, checks)
