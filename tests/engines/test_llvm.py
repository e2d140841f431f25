"""The compiler: objects of ELF for this machine and others, errors in words, threads, memory."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from anybpf import _core
from anybpf.engines import llvm
from anybpf.engines.linking import Layout
from anybpf.engines.relocations import MACHINES
from anybpf.errors import CompileError, NotSupported
from tests.core.pages import reads_maps, resident
from tests.engines.objects import PROGRAM, SWITCHES, long_program

needs_llvm = pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")
pytestmark = needs_llvm
IR = PROGRAM.replace("CALL", "0") + SWITCHES.replace("CASE", "2").replace("anybpf_", "other_")


def test_the_host_is_known() -> None:
    host = llvm.host()
    assert host is llvm.host()
    assert host.triple.startswith((_core.MACHINE, "arm64", "aarch64"))
    assert host.cpu
    assert host.version.split(".")[0].isdecimal()
    if _core.MACHINE == "x86_64":
        assert "-idivq-to-divl" in host.features.split(",")


@pytest.mark.parametrize(
    ("system", "own"),
    [
        ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
        ("x86_64-pc-windows-msvc", "x86_64-pc-windows-msvc-elf"),
        ("x86_64-w64-windows-gnu", "x86_64-pc-windows-msvc-elf"),
        ("aarch64-pc-windows-msvc", "aarch64-pc-windows-msvc-elf"),
        ("arm64-apple-darwin24.0.0", "aarch64-unknown-linux-gnu"),
        ("x86_64-apple-macosx14.0.0", "x86_64-unknown-linux-gnu"),
    ],
)
def test_objects_are_elf_whatever_the_system(system: str, own: str) -> None:
    """They can be laid out by our linker, and use nothing that it does not know."""
    assert llvm.own_triple(system) == own
    data = llvm.compile_ir(IR, triple=own)
    assert data.startswith(b"\x7fELF")
    machine = MACHINES[own.split("-")[0]]
    layout = Layout(data, machine, 4096)
    assert {"anybpf_entry", "anybpf_function_1"} <= set(layout.symbols)


@pytest.mark.parametrize("pic", [False, True])
@pytest.mark.parametrize("optimize", [0, 1, 2])
@pytest.mark.parametrize("triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"])
def test_every_level_gives_what_the_linker_knows(triple: str, optimize: int, pic: bool) -> None:
    for text in (IR, long_program(200)):
        data = llvm.compile_ir(text, triple=triple, optimize=optimize, pic=pic)
        Layout(data, MACHINES[triple.split("-")[0]], 4096).relocated(
            0x7000_0000, lambda name: 0x7100_0000
        )


def test_loops_are_vectorised() -> None:
    text = """
define i64 @anybpf_entry(ptr noalias %context, ptr noalias %run) nounwind {
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %next, %loop ]
  %sum = phi i64 [ 0, %0 ], [ %more, %loop ]
  %place = getelementptr i8, ptr %context, i64 %i
  %byte = load i8, ptr %place
  %wide = zext i8 %byte to i64
  %more = add i64 %sum, %wide
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, 1024
  br i1 %done, label %end, label %loop
end:
  ret i64 %more
}
"""
    listing = llvm.assembly(text)
    assert any(word in listing for word in ("xmm", "ymm", "zmm", ".16b", ".2d", ".4s"))
    assert "anybpf_entry" in listing


@pytest.mark.parametrize(
    "text",
    [
        "define i64 anybpf_entry",
        "define i64 @f() { ret i32 0 }",
        "define i64 @f() { br label %nowhere }",
        # Understood, but no program: what is used does not come before its use.
        "define i64 @f(i1 %c) {\n br i1 %c, label %a, label %b\na:\n %x = add i64 1, 1\n"
        " br label %b\nb:\n ret i64 %x\n}",
    ],
)
def test_text_that_is_none_is_an_error_that_names_program_and_version(text: str) -> None:
    with pytest.raises(CompileError) as caught:
        llvm.compile_ir(text, name="filter")
    assert caught.value.program == "filter"
    assert str(caught.value).startswith(f"program filter: LLVM {llvm.host().version} ")
    assert "mistake of anybpf's" in str(caught.value)


def test_a_machine_that_nobody_knows() -> None:
    with pytest.raises(NotSupported, match="compiling for abacus-unknown-none"):
        llvm.compile_ir(IR, triple="abacus-unknown-none")


def test_many_threads_compile() -> None:
    wanted = llvm.compile_ir(IR)
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(llvm.compile_ir(IR))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [wanted] * 4


@reads_maps
def test_only_objects_stay_in_memory() -> None:
    text = long_program(100)
    kept = [llvm.compile_ir(text) for _ in range(60)]
    before = resident()
    kept += [llvm.compile_ir(text) for _ in range(200)]
    assert resident() - before < sum(map(len, kept)) + (4 << 20)


def test_without_llvmlite_there_is_advice() -> None:
    """In a fresh interpreter that finds none."""
    code = (
        "import sys; sys.modules['llvmlite'] = None; sys.modules['llvmlite.binding'] = None\n"
        "from anybpf.engines import llvm\n"
        "try: llvm.compile_ir('')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("NotSupported compiling programs")
    assert "pip install anybpf[jit]" in done.stdout


def test_linking_and_caching_do_not_import_it() -> None:
    code = (
        "import sys\nfrom anybpf.engines import linking, cache, llvm\n"
        "assert llvm.is_there() and cache.key('a')\n"
        "print('llvmlite' in sys.modules, 'ctypes' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "False"]
