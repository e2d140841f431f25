"""Machine code beside bytecode and source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anybpf.engines import llvm
from anybpf.engines.listing import emit_listing, machine_lines, native_listing
from anybpf.errors import NotSupported
from anybpf.objects import load_spec
from anybpf.runtime import Program, Runtime
from tests.runtime.making import collection, map_spec

needs_llvm = pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")


@pytest.fixture(scope="module")
def listing(droppacket: Path) -> str:
    if not llvm.is_there():
        pytest.skip("llvmlite is not installed")
    with Runtime("linux", cpus=1) as runtime:
        both = runtime.load(load_spec(droppacket))
        found = both.programs["drop_packet"].native_listing()
        both.close()
        return found


def part(listing: str, source: str) -> str:
    """What stands under the first source line that ends so."""
    return next(one for one in listing.split("\n\n") if one.split("\n")[0].endswith(source))


def test_each_source_line_has_its_instructions_and_their_machine_code(listing: str) -> None:
    found = part(listing, ": if ((void *)(ethernet + 1) > data_end)").split("\n")
    assert re.match(r".*droppacket\.c:\d+: if", found[0])
    bytecode = [line for line in found[1:] if re.match(r" *\d+: ", line)]
    machine = [line for line in found[1:] if line.startswith(" " * 12)]
    assert any("if r1 > r2 goto" in line for line in bytecode)
    assert len(machine) >= 2  # an addition and a jump, at least
    assert len(bytecode) + len(machine) + 1 == len(found)


def test_every_instruction_is_there_once(listing: str, droppacket: Path) -> None:
    with Runtime("linux", cpus=1) as runtime:
        both = runtime.load(load_spec(droppacket))
        instructions = both.programs["drop_packet"].prepared.instructions
        both.close()
    slots = [int(one) for one in re.findall(r"^ *(\d+): ", listing, re.MULTILINE)]
    expected, slot = [], 0
    for insn in instructions:
        expected.append(slot)
        slot += insn.slots
    assert slots == expected


def test_the_title_says_what_it_is(listing: str) -> None:
    title = listing.split("\n")[0]
    found = re.fullmatch(
        r"Program drop_packet: (\d+) instructions, compiled to (\d+) of (\S+) by LLVM (\S+)\.",
        title,
    )
    assert found is not None
    machine = [line for line in listing.split("\n") if line.startswith(" " * 12)]
    assert int(found[2]) == len(machine)
    assert found[3] == llvm.host().triple


def test_names_stand_for_numbers(listing: str) -> None:
    assert "ctx->data_end" in listing
    assert "interface_filter" in listing
    assert "bpf_map_lookup_elem" in listing


@contextmanager
def loaded(text: str) -> Iterator[Program]:
    """A program while it is there."""
    with Runtime("linux", cpus=1) as runtime:
        both = runtime.load(collection(text, maps=[map_spec()]))
        yield both.programs["main"]
        both.close()


@needs_llvm
def test_programs_without_source_lines() -> None:
    """Labels tell parts apart."""
    text = """
    r0 = *(u32 *)(r1 + 12)
    if r0 != 7 goto other
    r0 = 2
    exit
other:
    r0 = 1
    exit
    """
    with loaded(text) as program:
        found = program.native_listing()
    assert found.count("\n\n") >= 2
    assert re.search(r"ret|xor|mov", found)


@needs_llvm
def test_another_machine() -> None:
    with loaded("r0 = 2\nexit") as program:
        prepared = program.prepared
        found = native_listing(prepared, triple="aarch64-unknown-linux-gnu")
        both = emit_listing([prepared, prepared], triple="aarch64-unknown-linux-gnu")
    assert "aarch64-unknown-linux-gnu" in found
    assert re.search(r"mov w0, #0x2|mov w0, #2", found)
    assert both == found + "\n" + found


def test_programs_that_came_without_a_proof() -> None:
    """Those of images: bytecode and lines are there, and why there is no more."""
    with loaded("r0 = 2\nexit") as program:
        prepared = program.prepared
        prepared.lines = [(0, "a.c", 3)]
        prepared.proof = None
        found = native_listing(prepared)
    assert "llvmlite takes none apart" in found
    assert "a.c:3\n" in found
    assert "0: r0 = 2" in found


def test_without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llvm, "_binding", None)
    monkeypatch.setitem(__import__("sys").modules, "llvmlite", None)
    monkeypatch.setitem(__import__("sys").modules, "llvmlite.binding", None)
    with loaded("r0 = 2\nexit") as program, pytest.raises(NotSupported, match="llvmlite"):
        program.native_listing()


def test_labels_and_directives() -> None:
    """Only instructions count; constants and what debuggers read do not."""
    text = (
        "\t.section\t.rodata\n.LCPI0_0:\n\t.quad\t5\n\t.text\nentry:\n.Lfunc_begin0:\n"
        "\t.loc\t1 3 0 prologue_end\n\tmovl\t$1, %eax\n.LBB0_1:\n\t.loc\t1 0 0\n\tnop\n"
        "\t.loc\t1 4 0\n\tretq\n.Lfunc_end0:\n"
    )
    assert machine_lines(text) == [
        (2, "entry:"), (2, "movl $1, %eax"), (2, ".LBB0_1:"), (2, "nop"), (3, "retq"),
    ]  # fmt: skip
