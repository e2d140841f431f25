"""The shared library as the world's tools see it, and the bytes that are made of the same input."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from anybpf import _core
from anybpf.engines import llvm
from anybpf.engines.image.compiling import compile_image
from anybpf.engines.image.reading import find_table, read_image
from anybpf.errors import CompileError, InputError, NotFound, NotSupported, VerifierError
from tests.runtime.making import PASS, collection, map_spec

pytestmark = pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")

TARGETS = ["x86_64-linux-gnu", "aarch64-linux-gnu", "x86_64-pc-windows-msvc"]
TIME = "call bpf_ktime_get_ns\nr0 = 2\nexit"
# Each case of a jump table, and constants: what has to be found from the code.
LOOP = """
r6 = 0
r0 = 0
l:
r0 += r6
r6 += 1
if r6 < 64 goto l
r0 &= 1
exit
"""


def tool(*words: str | Path) -> str:
    """What a tool prints; its test is skipped where it is not installed."""
    if shutil.which(str(words[0])) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run([*words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "two.so"
    file.write_bytes(compile_image(collection(TIME, LOOP)))
    return file


def test_its_symbols_are_listed(library: Path) -> None:
    names = {line.split()[-1]: line.split()[-2] for line in tool("nm", "-D", library).splitlines()}
    assert names == {"main": "T", "main1": "T", "anybpf_imports": "D", "anybpf_image": "R"}


def test_its_parts_are_read(library: Path) -> None:
    out = tool("readelf", "-a", "-W", library)
    for word in ("DYN (Shared object file)", ".anybpf", "GNU_STACK", "R E 0x1000"):
        assert word in out
    assert "RWE" not in out


def test_its_code_is_disassembled(library: Path) -> None:
    out = tool("objdump", "-d", library)
    assert "<main>:" in out
    assert "ret" in out


def test_a_dynamic_linker_takes_it(library: Path) -> None:
    """The image table is found by its symbol, too."""
    if not llvm.host().triple.endswith("linux-gnu"):
        pytest.skip("this system's dynamic linker reads no ELF")
    loaded = ctypes.CDLL(str(library))
    data = library.read_bytes()
    start, size = find_table(data)
    table = (ctypes.c_char * size).in_dll(loaded, "anybpf_image")
    assert table.raw == data[start : start + size]
    assert loaded.main1 is not None


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_compiled_for(target: str) -> None:
    data = compile_image(collection(TIME, LOOP, maps=[map_spec()]), target=target)
    image = read_image(data, abi=_core.NATIVE_ABI)
    assert image.target.startswith(target)
    # The helper may turn out to be one in Python, which may end the run.
    assert {owner for owner, _ in image.imports} == {"main"}
    assert {name for _, name in image.imports} == {"anybpf_helper_0", "anybpf_native_stopped"}
    assert image.programs["main1"].size > 0


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = (compile_image(collection(TIME, LOOP), data=b"object") for _ in range(2))
    assert first == second


def test_what_the_object_was_is_noted_if_wanted() -> None:
    import hashlib

    def noted(data: bytes | None) -> str:
        image = compile_image(collection(PASS), data=data)
        return read_image(image, abi=_core.NATIVE_ABI).object_hash

    assert noted(b"object") == hashlib.sha256(b"object").hexdigest()
    assert noted(None) == ""


def test_a_program_that_is_not_safe_is_not_compiled() -> None:
    with pytest.raises(VerifierError, match="main was not proved safe"):
        compile_image(collection("r0 = r5\nexit"))


def test_a_choice_that_leaves_nothing_says_what_there_is() -> None:
    with pytest.raises(NotFound, match="there are: main"):
        compile_image(collection(PASS), programs=["other"])
    with pytest.raises(InputError, match="no programs to compile"):
        compile_image(collection())


def test_a_machine_without_rules_is_refused() -> None:
    with pytest.raises(NotSupported, match="riscv64"):
        compile_image(collection(PASS), target="riscv64-linux-gnu")


def test_an_object_with_data_that_can_be_written_is_refused() -> None:
    """A program has no memory but maps: what is compiled so is a mistake, and told as one."""
    from anybpf.engines.image.parts import Parts

    text = "@x = global i32 5\ndefine i32 @f() {\n %v = load i32, ptr @x\n ret i32 %v\n}\n"
    with pytest.raises(CompileError, match=r"can be written \(.data, 4 bytes\)"):
        Parts("main", llvm.compile_ir(text, pic=True))


def test_calls_of_functions_elsewhere_go_by_the_table() -> None:
    """What LLVM makes of its own accord, such as memcpy, is found as all else is."""
    from anybpf.engines.image.library import Block, Library

    text = (
        "declare void @memcpy_like(ptr)\n@far = external global i8\n"
        "define ptr @anybpf_entry(ptr %p) {\n call void @memcpy_like(ptr %p)\n ret ptr @far\n}\n"
    )
    for triple, machine in (("x86_64-linux-gnu", "x86_64"), ("aarch64-linux-gnu", "aarch64")):
        data = llvm.compile_ir(text, triple=triple, pic=True)
        block = Block("main", data, [], {"anybpf_entry": "main"})
        library = Library(machine, [block])
        assert sorted(block.names) == ["far", "memcpy_like"]
        assert library.write(lambda start, behind: bytes(64))


def test_a_switch_over_maps_makes_no_table_of_addresses() -> None:
    """LLVM likes such tables; in a library they would have to be filled in by a dynamic linker."""
    from anybpf.engines.image.library import has_addresses
    from anybpf.engines.image.parts import Parts

    text = (
        "@anybpf_imports = external hidden constant [4 x ptr]\n"
        "define ptr @anybpf_entry(i32 %x) {\nswitch i32 %x, label %d [\n"
        + "".join(f"i32 {i}, label %c{i}\n" for i in range(4))
        + "]\n"
        + "".join(f"c{i}:\nbr label %e\n" for i in range(4))
        + "d:\nret ptr null\ne:\n%r = phi ptr "
        + ", ".join(
            f"[getelementptr (ptr, ptr @anybpf_imports, i64 {3 * i % 4}), %c{i}]" for i in range(4)
        )
        + "\nret ptr %r\n}\n"
    )
    assert has_addresses(Parts("main", llvm.compile_ir(text, triple="x86_64-linux-gnu", pic=True)))

    choice = "".join(f"if r6 == {n} goto l{n}\n" for n in range(5))
    arms = "".join(f"l{n}:\nr1 = map[m{n}]\ngoto look\n" for n in range(5))
    program = f"""
r6 = *(u32 *)(r1 + 12)
r0 = 0
*(u32 *)(r10 - 4) = r0
{choice}r0 = 9
exit
{arms}look:
r2 = r10
r2 += -4
call bpf_map_lookup_elem
if r0 == 0 goto out
r0 = 1
out:
exit
"""
    maps = [map_spec(f"m{n}", "hash") for n in range(5)]
    assert compile_image(collection(program, maps=maps))
