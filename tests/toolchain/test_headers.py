"""Our headers: every source that real programs are like compiles, with every compiler."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.errors import CompilerError
from anybpf.toolchain import INCLUDE, Compiler, headers
from anybpf.toolchain.helper_header import helper_header
from tests.conftest import ROOT

SOURCES = Path(__file__).parent / "sources"
# For what the emitter of C writes, which defines what it needs; tests of the emitter compile it.
HOST = {INCLUDE / "anybpf" / "native.h"}
EXAMPLES = sorted((ROOT / "examples").glob("*/*.c"))


def make(source: Path, tmp_path: Path, compiler: Compiler, *flags: str) -> bytes:
    result = toolchain.compile(
        source, tmp_path / "out.o", flags=["-Werror", "-Wextra", *flags], compiler=compiler
    )
    assert result.messages == ""
    return result.output.read_bytes()


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda path: path.name)
def test_examples(source: Path, tmp_path: Path, compiler: Compiler) -> None:
    # A program has its context whether it uses it or not.
    flags = ["-Wno-sign-compare", "-Wno-unused-parameter"]
    image = make(source, tmp_path, compiler, *flags)
    assert image[:4] == b"\x7fELF"
    assert image[18:20] == b"\xf7\0"  # EM_BPF
    assert b".BTF.ext" in image


def test_kernel_headers_maps_and_loops(tmp_path: Path, compiler: Compiler) -> None:
    image = make(SOURCES / "helpers.c", tmp_path, compiler)
    for name in (b"bpf_iter_num_new", b"CONFIG_BPF_JIT", b"programs", b"map_extra"):
        assert name in image


@pytest.mark.parametrize("arch", ["x86"])
def test_core_and_tracing(arch: str, tmp_path: Path, compiler: Compiler) -> None:
    image = make(
        SOURCES / "core.c",
        tmp_path,
        compiler,
        f"-D__TARGET_ARCH_{arch}",
        "-Wno-unused-parameter",
        "-Wno-sign-compare",
    )
    assert b"LINUX_HAS_SYSCALL_WRAPPER" in image
    assert b"0:5:0" not in image  # a chain reads field by field, each with its own record


def test_names_of_ebpf_for_windows(tmp_path: Path, compiler: Compiler) -> None:
    make(SOURCES / "windows.c", tmp_path, compiler, "-I", str(INCLUDE / "anybpf" / "windows"))


def test_big_endian(tmp_path: Path, compiler: Compiler) -> None:
    result = toolchain.compile(EXAMPLES[0], tmp_path / "big.o", big_endian=True, compiler=compiler)
    image = result.output.read_bytes()
    assert image[5] == 2  # ELFDATA2MSB
    assert image[18:20] == b"\0\xf7"


@pytest.mark.parametrize(
    "header",
    sorted(set(INCLUDE.glob("*/*.h")) - HOST) + sorted(INCLUDE.glob("anybpf/windows/*.h")),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_every_header_stands_alone(header: Path, tmp_path: Path, compiler: Compiler) -> None:
    source = tmp_path / "alone.c"
    name = header.relative_to(INCLUDE)
    source.write_text(f"#include <{name}>\n#include <{name}>\nint nothing;\n")
    make(source, tmp_path, compiler, "-std=c11")


def test_registers_of_an_unnamed_machine_are_an_error(tmp_path: Path, compiler: Compiler) -> None:
    source = tmp_path / "registers.c"
    source.write_text(
        "#include <bpf/bpf_tracing.h>\nlong f(struct pt_regs *r) { return PT_REGS_PARM1(r); }\n"
    )
    with pytest.raises(CompilerError, match="registers differ by machine"):
        toolchain.compile(
            source, tmp_path / "o.o", flags=["-D__TARGET_ARCH_pdp11"], compiler=compiler
        )


def test_helpers_are_those_of_the_kernel_header() -> None:
    """The file in the package is what the generator makes of a newest kernel header."""
    folder = headers.wheel()
    if folder is None:
        pytest.skip("no kernel header here: pip install 'anybpf[compile]'")
    kernel = folder / "lib/libc/include/any-linux-any/linux"
    if "LINUX_VERSION_CODE 459264\n" not in (kernel / "version.h").read_text():
        pytest.skip("the installed wheel has headers of another kernel than 7.2")
    ours = (INCLUDE / "anybpf" / "bpf_helper_defs.h").read_text()
    assert helper_header((kernel / "bpf.h").read_text()) == ours


def test_helpers_have_each_number_once() -> None:
    ours = (INCLUDE / "anybpf" / "bpf_helper_defs.h").read_text()
    assert [int(n) for n in re.findall(r"\(void \*\)(\d+);", ours)] == list(range(1, 212))
