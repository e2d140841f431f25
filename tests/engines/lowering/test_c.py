"""Emitted C: compiled by what is here, it does what the interpreter does, and compilers like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf import _core, toolchain
from anybpf.engines.c_library import CLibrary
from anybpf.engines.lowering import Source, source_of
from anybpf.engines.lowering.c import Unit, emit_c, print_c
from anybpf.errors import ImageError
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from anybpf.objects import load_spec
from anybpf.runtime import Runtime
from anybpf.testing import c_engine, conformance
from anybpf.toolchain import Compiler
from tests.conftest import ROOT
from tests.isa.conformance import cases
from tests.testing.test_conformance import code_of

pytestmark = pytest.mark.skipif(
    not c_engine.compilers() or not _core.MACHINE, reason="there is no C compiler here"
)
COMPILERS = list(c_engine.compilers())


def text_of(*sources: Source) -> str:
    return print_c([Unit(source) for source in sources], _core.LAYOUT, _core.NATIVE_ABI)


def code(text: str) -> bytes:
    return encode(assemble(text))


def program_of(source: Source, helpers: object = ()) -> _core.Program:
    codes = [0] * len(_core.STATUSES)
    return _core.Program(_core.Domain(1), 1, source.name, source.code, [], helpers, codes)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two programs as a library."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "two.c").write_text(
        text_of(Source("one", code("r0 = 1\nexit")), Source("two", code("r0 = 2\nexit")))
    )
    c_engine.make(folder / "two.c", folder / "two.so")
    return folder / "two.so"


def test_the_conformance_suite(shared: Path) -> None:
    """All programs in one file: each gives what the suite says, or stops."""
    todo = [case for case in cases(shared) if case.runnable]
    found, programs = [], []
    for case in todo:
        source = Source(case.name, code_of(case))
        try:
            made = program_of(source, conformance.HELPERS)
        except ValueError:
            assert case.error is not None  # refused by whoever runs it
            continue
        source.helpers = [""] * len(conformance.HELPERS)
        found.append((case, source))
        programs.append(made)
    library = c_engine.build(text_of(*[source for _, source in found]))
    for (case, source), made in zip(found, programs, strict=True):
        library.attach(made, source)
        assert made.compiled
        memory = bytearray(case.memory or b"")
        try:
            outcome = made.run(memory=memory) if memory else made.run()
        except conformance.Unwind:
            assert case.result == 0
            continue
        if case.error is None:
            assert outcome[1] is None, case.name
            assert outcome[0] == case.result, case.name
        else:
            assert outcome[1] is not None, case.name
        made.close()
    assert len(found) > 300
