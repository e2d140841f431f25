"""Linking damaged objects: an `ObjectError` and nothing else, in little time and memory."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anybpf import toolchain
from anybpf.btf import BTFBuilder, DataSection, Var
from anybpf.btf import types as t
from anybpf.errors import CompilerError, ObjectError
from anybpf.isa import Instruction
from anybpf.objects import elf
from anybpf.objects.elf import ElfFile
from anybpf.objects.elf_writer import ElfWriter, object_from_instructions
from anybpf.objects.linker import link
from tests.objects.linking import STATICS, Bench, btf_of, corpus_objects


def test_alignment_cannot_blow_up_the_result() -> None:
    writer = ElfWriter()
    for number in range(600):
        index = writer.add_section(".data", b"x", flags=3, align=4096)
        writer.add_symbol(f"s{number}", index)
    with pytest.raises(ObjectError, match="bytes of nothing"):
        link([writer.encode()])


def test_one_object_has_one_licence() -> None:
    writer = ElfWriter()
    for _ in range(2):
        writer.add_section("license", b"GPL\0", flags=3)
    with pytest.raises(ObjectError, match="a second section license"):
        link([writer.encode()])


def test_tables_that_all_speak_of_one_section_take_no_long_time() -> None:
    builder = BTFBuilder()
    variable = builder.add(Var("x", builder.add(t.Int("int", 4))))
    writer = ElfWriter()
    data = writer.add_section(".data", bytes(4), flags=3, align=4)
    for number in range(10_000):
        builder.add(DataSection(".data", 4, [t.SectionVar(variable, 0, 4)]))
        writer.add_symbol(f"s{number}", data, 0, 4, elf.STB_LOCAL, elf.STT_OBJECT)
    writer.add_section(".BTF", builder.encode())
    began = time.monotonic()
    image = ElfFile(link([writer.encode()]))
    assert time.monotonic() - began < 20  # a tenth of a second; minutes if each looked at each
    assert len([f for f in btf_of(image).types() if isinstance(f, DataSection)]) == 1


def test_damaged_objects_of_the_corpus(shared: Path) -> None:
    for path in corpus_objects(shared):
        try:
            link([path])
        except ObjectError as error:
            assert str(path) in str(error) or error.file  # noqa: PT017 - most must pass


def damaged_pairs() -> list[bytes]:
    code = [Instruction(0x85, src=1, imm=1), Instruction(0x95), Instruction(0xB7, imm=3)]
    code.append(Instruction(0x95))
    return [
        object_from_instructions([("one", "xdp", code)], "GPL"),
        link([object_from_instructions([("two", "xdp", code)], "GPL")]),
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), flips=st.integers(1, 12))
def test_hostile_bytes_raise_object_errors_only(seed: int, flips: int) -> None:
    chosen = random.Random(seed)
    images = HOSTILE or damaged_pairs()
    image = bytearray(chosen.choice(images))
    for _ in range(flips):
        image[chosen.randrange(len(image))] = chosen.choice((0, 1, 2, 8, 127, 128, 254, 255))
    if chosen.random() < 0.2:
        del image[chosen.randrange(len(image)) :]
    other = chosen.choice(images)
    try:
        result = link([bytes(image), other] if chosen.random() < 0.7 else [bytes(image)])
    except ObjectError:
        return
    assert len(result) < 10 * (len(image) + len(other)) + (1 << 16)


HOSTILE: list[bytes] = []


@pytest.fixture(scope="module", autouse=True)
def _hostile_images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiled objects, with all their tables, are the better seeds where there is a compiler."""
    HOSTILE.extend(damaged_pairs())
    try:
        found = toolchain.find_compiler()
    except CompilerError:
        return
    made = Bench(tmp_path_factory.mktemp("hostile"), found)
    HOSTILE.append(made.c("one", STATICS.format(n="one", v=1)).read_bytes())
    HOSTILE.append(link([HOSTILE[-1]]))
    HOSTILE.append(link([made.c("two", STATICS.format(n="two", v=2))]))
