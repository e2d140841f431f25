"""Which compiler is taken, and what is said when there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anybpf.errors import CompilerError
from anybpf.toolchain import find, find_compiler, headers

posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def stand_in(folder: Path, name: str, targets: str, status: int = 0) -> Path:
    """A program that answers as a clang with these targets would."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{targets}'\nexit {status}\n")
    program.chmod(0o755)
    return program


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(find.VARIABLE, raising=False)
    find._find.cache_clear()


@posix
def test_clang_comes_before_numbered_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("clang", "clang-21", "clang-9", "clang-format", "clang-cpp-21"):
        stand_in(tmp_path, name, "    bpf - BPF (host endian)")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler().command == [str(tmp_path / "clang")]


@posix
def test_the_newest_that_has_the_target_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "clang", "    x86-64 - 64-bit X86")
    stand_in(tmp_path, "clang-21", "", status=1)
    stand_in(tmp_path, "clang-20", "    bpf - BPF (host endian)")
    stand_in(tmp_path, "clang-9", "    bpf - BPF (host endian)")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler().command == [str(tmp_path / "clang-20")]


def test_the_wheel_is_taken_where_there_is_no_clang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if headers.wheel() is None:
        pytest.skip("ziglang is not installed: pip install 'anybpf[compile]'")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_compiler()
    assert found.origin == "inside the ziglang wheel"
    assert "clang version" in found.describe()


def test_without_any_the_error_says_what_was_tried_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(headers, "wheel", lambda: None)
    with pytest.raises(CompilerError) as raised:
        find_compiler()
    for words in ("ANYBPF_CC", "clang", "ziglang", "pip install 'anybpf[compile]'"):
        assert words in str(raised.value)


@posix
def test_the_error_names_each_clang_and_its_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "clang-14", "    x86-64 - 64-bit X86")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(headers, "wheel", lambda: None)
    with pytest.raises(CompilerError, match=r"clang-14 \(clang was built without the BPF target"):
        find_compiler()


@posix
def test_the_named_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "clang", "    bpf - BPF")
    mine = stand_in(tmp_path, "mycc", "    bpf - BPF")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(find.VARIABLE, f"{mine} --flag")
    assert find_compiler().command == [str(mine), "--flag"]


@posix
def test_a_named_one_is_never_replaced_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "clang", "    bpf - BPF")
    gcc = stand_in(tmp_path, "gcc", "unrecognised option", status=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(find.VARIABLE, str(gcc))
    with pytest.raises(CompilerError, match="is no clang"):
        find_compiler()
    monkeypatch.setenv(find.VARIABLE, "no-such-compiler")
    with pytest.raises(CompilerError, match="is no program"):
        find_compiler()
    monkeypatch.setenv(find.VARIABLE, "'unfinished")
    with pytest.raises(CompilerError, match="is no command"):
        find_compiler()


def test_the_wheel_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = headers.wheel()
    if folder is None:
        pytest.skip("ziglang is not installed: pip install 'anybpf[compile]'")
    for wanted in (f"{sys.executable} -m ziglang", f"{sys.executable} -m ziglang clang"):
        monkeypatch.setenv(find.VARIABLE, wanted)
        found = find_compiler()
        assert found.command[1:] == ["-m", "ziglang", "clang"]
        assert found.replace_headers
    monkeypatch.setenv(find.VARIABLE, str(folder / "zig"))
    assert find_compiler().command == [str(folder / "zig"), "clang"]
