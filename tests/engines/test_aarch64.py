"""Compiled programs on arm64: the whole conformance suite, lowered and compiled here, linked for
the core that runs under qemu there, and compared with that core's interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from anybpf import _core
from anybpf.engines import jit, llvm
from anybpf.engines.linking import Layout
from anybpf.engines.lowering import source_of
from anybpf.engines.prepared import Prepared
from anybpf.engines.relocations import AARCH64
from anybpf.platforms import get
from tests.conftest import ROOT
from tests.isa.conformance import cases
from tests.testing.test_conformance import EXPECTED, code_of

CORE = ROOT / "src" / "core"
HELPERS = 6
TRIPLE = "aarch64-unknown-linux-gnu"


class Machine:
    """The core under qemu."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: object) -> list[int]:
        """Send a command; the numbers that it is answered with."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer, f"the machine died of {words[0]}"
        return [] if answer == ["ok"] else [int(word, 16) for word in answer]

    def attach(self, data: bytes, base: int) -> None:
        layout = Layout(data, AARCH64, 4096)
        out = layout.relocated(base, lambda name: self.ask("symbol", name)[0])
        for name, place in sorted(layout.symbols.items()):
            if name.startswith(jit.FUNCTION):
                self.ask("function", f"{int(name.removeprefix(jit.FUNCTION)):x}", f"{place:x}")
        entry = layout.symbols[jit.ENTRY]
        self.ask("code", f"{layout.text_size:x}", f"{entry:x}", out.hex())


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed")
    if find_spec("ziglang") is None:
        pytest.skip("ziglang, which compiles for arm64, is not installed")
    if not llvm.is_there():
        pytest.skip("llvmlite is not installed")
    place = tmp_path_factory.mktemp("aarch64")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static"]
    flags = ["-std=gnu11", "-O1", "-fno-sanitize=all", f"-I{CORE}"]
    sources = [path for path in CORE.rglob("*.c") if path.parent != CORE / "python"]
    sources.append(Path(__file__).with_name("core_aarch64.c"))

    def build(path: Path) -> str:
        made = place / f"{path.relative_to(ROOT).as_posix().replace('/', '-')}.o"
        subprocess.run([*command, *flags, "-c", str(path), "-o", str(made)], check=True)
        return str(made)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(build, sorted(sources)))
    subprocess.run([*command, *objects, "-o", str(place / "core")], check=True, timeout=300)
    machine = Machine([emulator, str(place / "core")])
    with machine.process:
        yield machine
        machine.process.kill()


def compiled(code: bytes) -> bytes:
    platform = get("linux")
    prepared = Prepared("test", platform, platform.program_type("unspec"))
    prepared.code = code
    prepared.helpers = [f"helper_{number}" for number in range(HELPERS)]
    return llvm.compile_ir(jit.object_text(source_of(prepared)), triple=TRIPLE)


def test_structures_are_laid_out_as_here(machine: Machine) -> None:
    """What is compiled here is for there: offsets are taken from this core."""
    fields = ("run.stack", "run.slice", "program.ops")
    assert machine.ask("layout") == [_core.LAYOUT[field] for field in fields]


def test_what_is_attached_is_what_runs(machine: Machine) -> None:
    seven, eight = (
        bytes.fromhex(f"b7000000{value:02x}000000 9500000000000000") for value in (7, 8)
    )
    (base,) = machine.ask("program", seven.hex())
    assert machine.ask("run", "-") == [7, 0]
    machine.attach(compiled(eight), base)
    assert machine.ask("run", "-") == [8, 0]
    machine.ask("end")


@pytest.mark.skipif(sys.byteorder == "big", reason="the suite's code is little-endian")
def test_every_case_of_the_suite(machine: Machine, shared: Path) -> None:
    wrong, count = [], 0
    for case in cases(shared):
        count += 1
        code = code_of(case)
        memory = case.memory.hex() if case.memory else "-"
        (base,) = machine.ask("program", code.hex())
        interpreted = machine.ask("run", memory)
        machine.attach(compiled(code), base)
        result = machine.ask("run", memory)
        machine.ask("end")
        if result != interpreted or result[0] != case.result:
            wrong.append(f"{case.name}: {result} compiled, {interpreted} interpreted")
    assert not wrong, "\n".join(wrong)
    assert count == EXPECTED
