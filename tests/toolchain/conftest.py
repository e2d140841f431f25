"""The compilers that this machine has; each test of C sources runs with every one of them."""

from __future__ import annotations

import os

import pytest

from anybpf.errors import CompilerError
from anybpf.toolchain import Compiler, find, headers


def compilers() -> list[Compiler]:
    path = os.environ.get("PATH", os.defpath)
    found = []
    for program in find._clangs(path):
        if not find._problem([program]):
            found.append(Compiler([program], "test", headers.system_headers(), False))
    folder = headers.wheel()
    if folder is not None:
        found.append(find._zig([str(folder / "zig"), "clang"], folder, "test"))
    return found


ALL = compilers()


NONE: list[Compiler | None] = [None]


@pytest.fixture(params=ALL or NONE, ids=lambda c: c.command[0].rpartition("/")[2] if c else "")
def compiler(request: pytest.FixtureRequest) -> Compiler:
    chosen: Compiler | None = request.param
    if chosen is None:
        with pytest.raises(CompilerError, match="pip install"):
            find.find_compiler()
        pytest.skip("no compiler that makes BPF here: pip install 'anybpf[compile]'")
    return chosen
