"""Compiling: flags, diagnostics, and files that are there whole or not at all."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.errors import CompilerError
from anybpf.toolchain import Compiler, process

PROGRAM = 'int f(void) { return VALUE; }\nchar l[] __attribute__((section("license"))) = "MIT";\n'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "program.c"
    path.write_text(PROGRAM)
    return path


def test_flags_pass_through_and_win(source: Path, compiler: Compiler) -> None:
    output = source.with_suffix(".o")
    result = toolchain.compile(
        source, output, flags=["-DVALUE=7", "-mcpu=v4", "-O1"], compiler=compiler
    )
    assert result.output == output
    assert result.messages == ""
    flags = result.command
    assert flags.index("-mcpu=v3") < flags.index("-mcpu=v4")
    assert flags.index("-O2") < flags.index("-O1")
    # w0 = 7; exit
    assert bytes.fromhex("b400000007000000 9500000000000000") in output.read_bytes()


def test_debug_information_is_kept(source: Path, compiler: Compiler) -> None:
    toolchain.compile(source, source.with_suffix(".o"), flags=["-DVALUE=1"], compiler=compiler)
    image = source.with_suffix(".o").read_bytes()
    for section in (b".BTF", b".BTF.ext", b".debug_info"):
        assert section in image


def test_a_refusal_has_the_compilers_words_and_leaves_nothing(
    source: Path, compiler: Compiler
) -> None:
    output = source.with_suffix(".o")
    output.write_bytes(b"an older object")
    with pytest.raises(CompilerError) as raised:
        toolchain.compile(source, output, compiler=compiler)
    assert "undeclared identifier 'VALUE'" in str(raised.value)
    assert "program.c:1:22" in str(raised.value)
    assert output.read_bytes() == b"an older object"
    assert sorted(path.name for path in source.parent.iterdir()) == ["program.c", "program.o"]


def test_warnings_are_passed_on(source: Path, compiler: Compiler) -> None:
    source.write_text("int f(void) { int unused; return 1; }\n")
    result = toolchain.compile(source, source.with_suffix(".o"), compiler=compiler)
    assert "unused variable 'unused'" in result.messages


def test_a_name_like_a_flag(
    source: Path, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    source.rename("-v.c")
    toolchain.compile("-v.c", "-v.o", flags=["-DVALUE=1"], compiler=compiler)
    assert (source.parent / "-v.o").is_file()


def test_dependencies_are_named_after_the_object(source: Path, compiler: Compiler) -> None:
    output = source.with_suffix(".o")
    toolchain.compile(source, output, flags=["-DVALUE=1", "-MMD"], compiler=compiler)
    rule = source.with_suffix(".d").read_text()
    assert rule.startswith(str(output))
    assert "program.c" in rule


def test_no_object_is_an_error(source: Path, compiler: Compiler) -> None:
    flags = ["-DVALUE=1", "-fsyntax-only"]
    with pytest.raises(CompilerError, match="made no object"):
        toolchain.compile(source, source.with_suffix(".o"), flags=flags, compiler=compiler)


@pytest.mark.parametrize(
    ("given", "output", "flags", "words"),
    [
        ("missing.c", "a.o", [], "does not exist"),
        (".", "a.o", [], "is a folder"),
        ("program.c", ".", [], "is a folder"),
        ("program.c", "nowhere/a.o", [], "there is no folder"),
        ("program.c", "program.c", [], "overwritten by its own object"),
        ("program.c", "a.o", ["-ob.o"], "given apart"),
    ],
)
def test_bad_paths(source: Path, given: str, output: str, flags: list[str], words: str) -> None:
    with pytest.raises(CompilerError, match=words):
        toolchain.compile(source.parent / given, source.parent / output, flags=flags)


def test_a_compiler_that_never_ends_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(CompilerError, match=r"stopped after 0\.5 seconds"):
        process.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)
    assert time.monotonic() - began < 20


def test_output_without_end_is_cut() -> None:
    code = "import sys; sys.stdout.write('x' * (8 << 20))"
    done = process.run([sys.executable, "-c", code], timeout=60)
    assert done.status == 0
    assert len(done.text) <= process.MAX_OUTPUT + 100
    assert done.text.endswith("[… output cut here]\n")
