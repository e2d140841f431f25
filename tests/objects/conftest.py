"""Fixtures of this room: objects compiled from text, once each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.toolchain import Compiler

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def build(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compile C text to an object: `build(text)`, `build(text, big_endian=True)`."""
    folder = tmp_path_factory.mktemp("objects")

    def make(text: str, name: str = "example", big_endian: bool = False, cpu: str = "v3") -> Path:
        mark = hashlib.sha256(f"{text}{big_endian}{cpu}".encode()).hexdigest()[:12]
        output = folder / mark / f"{name}.o"
        if not output.exists():
            output.parent.mkdir(exist_ok=True)
            source = output.with_suffix(".c")
            source.write_text(text)
            toolchain.compile(source, output, big_endian=big_endian, cpu=cpu, compiler=compiler)
        return output

    return make
