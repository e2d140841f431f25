"""The public conformance suite, in this process and through its own protocol."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import pytest

from anybpf import _core
from anybpf.errors import InputError
from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from anybpf.testing import conformance
from tests.isa.conformance import Case, cases

EXPECTED = 313
SEVEN = "b700000007000000 9500000000000000"


def code_of(case: Case) -> bytes:
    return case.raw or encode(assemble(case.asm, "mnemonic"))


def needs(mode: str) -> None:
    """Skip what must be compiled where there is nothing to compile with."""
    if mode != "interpret" and importlib.util.find_spec("llvmlite") is None:
        pytest.skip("llvmlite is not installed")


@pytest.mark.parametrize("mode", conformance.MODES)
@pytest.mark.skipif(sys.byteorder == "big", reason="the suite's code is little-endian")
def test_every_case_of_the_suite(shared: Path, mode: str) -> None:
    needs(mode)
    wrong, count = [], 0
    for case in cases(shared):
        count += 1
        assert case.runnable, case
        result = conformance.run(code_of(case), case.memory or b"", mode)
        if result != case.result:
            wrong.append(f"{case.name}: {result:#x}, not {case.result}")
    assert not wrong, "\n".join(wrong)
    assert count == EXPECTED


def plugin(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "anybpf.testing.conformance", *arguments],
        input=code + "\n", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("mode", conformance.MODES)
@pytest.mark.parametrize("name", ["add", "callx", "mem-len", "lock_cmpxchg", "call_unwind_fail"])
@pytest.mark.skipif(sys.byteorder == "big", reason="the suite's code is little-endian")
def test_the_plugin_as_the_suite_calls_it(shared: Path, name: str, mode: str) -> None:
    needs(mode)
    case = next(case for case in cases(shared) if case.name == name)
    memory = [case.memory.hex(" ")] if case.memory else []
    done = plugin(code_of(case).hex(" "), *memory, "--mode", mode)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout, 16) == case.result


def answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str, *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(code))
    status = conformance.main(words)
    out, err = capsys.readouterr()
    return status, out.strip(), err.strip()


@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (SEVEN, ["--mode", "fast"], "no mode 'fast'"),
        (SEVEN, ["--mode"], "--mode needs"),
        (SEVEN, ["--elf"], "ELF"),
        (SEVEN, ["--verbose"], "unknown option"),
        (SEVEN, ["zz"], "memory is not hex"),
        ("zz", [], "program is not hex"),
        ("b700000007000000", [], "slot 0"),
        ("7900000000000000 9500000000000000", [], "slot 0: a read of 8 bytes at 0x0"),
    ],
)
def test_what_goes_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
    words: list[str],
    says: str,
) -> None:
    status, out, err = answer(monkeypatch, capsys, code, *words)
    assert (status, out) == (1, "")
    assert says in err


OUT_OF_BOUNDS = [
    ("r0 = *(u64 *)(r0 + 0); exit", 0, "slot 0: a read of 8 bytes at 0x0"),
    ("r0 = 0; *(u64 *)(r0 + 0) = r1; exit", 0, "slot 1: a write of 8 bytes at 0x0"),
    ("r0 = *(u64 *)(r1 + 1); exit", 8, "slot 0: a read of 8 bytes"),
    ("r0 = *(u8 *)(r1 + 8); exit", 8, "slot 0: a read of 1 bytes"),
    ("*(u8 *)(r1 - 1) = 1; exit", 8, "slot 0: a write of 1 bytes"),
    ("*(u64 *)(r10 - 520) = 1; exit", 0, "slot 0: a write of 8 bytes"),
    ("r1 += r2; again: r1 += -1; r0 = *(u8 *)(r1 + 0); goto again; exit", 8, "slot 2: a read of 1"),
    ("lock *(u64 *)(r1 + 1) += r1; exit", 16, "no multiple of its size"),
    ("call f; exit; f: if r1 == 5 goto out; call f; out: exit", 0, "too deep"),
]
# Refused before anything runs, in every mode.
MALFORMED = [
    "b700000007000000",  # the end is never reached
    "0500050000000000 9500000000000000",  # a jump out of the code
    "ff00000000000000 9500000000000000",
    "1800000000000000 9500000000000000",  # half of a wide load
    "b70b000000000000 9500000000000000",  # there is no r11
]


@pytest.mark.parametrize("mode", conformance.MODES)
@pytest.mark.parametrize(("text", "size", "says"), OUT_OF_BOUNDS)
def test_what_nobody_proved_is_checked(text: str, size: int, says: str, mode: str) -> None:
    needs(mode)
    with pytest.raises(InputError, match=says):
        conformance.run(encode(assemble(text)), bytes(size), mode)


@pytest.mark.parametrize("mode", conformance.MODES)
@pytest.mark.parametrize("code", MALFORMED)
def test_code_that_is_none_is_refused_alike(code: str, mode: str) -> None:
    with pytest.raises(InputError, match="slot"):
        conformance.run(bytes.fromhex(code), b"", mode)


@pytest.mark.parametrize("mode", ["jit", "native"])
def test_what_is_compiled_is_what_runs(mode: str) -> None:
    needs(mode)
    code = bytes.fromhex(SEVEN)
    program = _core.Program(
        _core.Domain(1), 1, "seven", code, [], conformance.HELPERS, [0] * len(_core.STATUSES)
    )
    before = program.compiled
    conformance.compile_in_mode(program, code, mode)
    assert (before, program.compiled) == (False, True)
    assert program() == 7
    program.close()


def test_the_result_is_hex(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(monkeypatch, capsys, SEVEN) == (0, "7", "")
    unwound = "b701000000000000 8500000005000000 b700000009000000 9500000000000000"
    assert answer(monkeypatch, capsys, unwound) == (0, "0", "")
