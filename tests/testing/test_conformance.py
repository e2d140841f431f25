"""The public conformance suite, in this process and through its own protocol."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from anybpf.isa import encode
from anybpf.isa.assembler import assemble
from anybpf.testing import conformance
from tests.isa.conformance import Case, cases

EXPECTED = 313
SEVEN = "b700000007000000 9500000000000000"


def code_of(case: Case) -> bytes:
    return case.raw or encode(assemble(case.asm, "mnemonic"))


@pytest.mark.skipif(sys.byteorder == "big", reason="the suite's code is little-endian")
def test_every_case_of_the_suite(shared: Path) -> None:
    wrong, count = [], 0
    for case in cases(shared):
        count += 1
        assert case.runnable, case
        result = conformance.run(code_of(case), case.memory or b"")
        if result != case.result:
            wrong.append(f"{case.name}: {result:#x}, not {case.result}")
    assert not wrong, "\n".join(wrong)
    assert count == EXPECTED


def plugin(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "anybpf.testing.conformance", *arguments],
        input=code + "\n", capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["add", "callx", "mem-len", "lock_cmpxchg", "call_unwind_fail"])
@pytest.mark.skipif(sys.byteorder == "big", reason="the suite's code is little-endian")
def test_the_plugin_as_the_suite_calls_it(shared: Path, name: str) -> None:
    case = next(case for case in cases(shared) if case.name == name)
    memory = [case.memory.hex(" ")] if case.memory else []
    done = plugin(code_of(case).hex(" "), *memory)
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
        (SEVEN, ["--mode", "jit"], "mode jit is not supported"),
        (SEVEN, ["--mode=native"], "mode native is not supported"),
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


def test_the_result_is_hex(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer(monkeypatch, capsys, SEVEN) == (0, "7", "")
    unwound = "b701000000000000 8500000005000000 b700000009000000 9500000000000000"
    assert answer(monkeypatch, capsys, unwound) == (0, "0", "")
