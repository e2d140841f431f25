"""Damaged and hostile files: always an :class:`ObjectError`, soon, and in little memory."""

from __future__ import annotations

import contextlib
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anybpf.btf import BTFBuilder, DeclTag, Int, Member, Pointer, SectionVar, Struct, Var
from anybpf.btf import DataSection as BTFDataSection
from anybpf.errors import ObjectError
from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.objects import elf, load_spec
from anybpf.objects.check import portability
from anybpf.objects.core import apply_core
from anybpf.objects.elf_writer import ElfWriter
from anybpf.objects.externs import resolve_externs
from anybpf.objects.hints import access_hints
from anybpf.platforms import get
from tests.objects import sources
from tests.objects.conftest import Build
from tests.objects.test_annotate import kernel
from tests.objects.test_data import KCONFIG

# Small objects of the corpus with much in them: legacy maps, BTF maps, data, calls.
SMALL = (
    "build/prog_array.o",
    "build/bpf2bpf.o",
    "build/global_variable.o",
    "build/map_in_map_legacy.o",
    "linux/tracex2_kern.o",
    "cilium-examples/tcprtt_bpf_bpfel.o",
    "invalid/invalid-lddw.o",
)
KERNEL = kernel()
MAX_SECONDS = 20.0  # for one damaged file of a few kilobytes: a guard against hangs, not a speed


def survives(data: bytes) -> None:
    """Loading, and all that a listing would ask of the spec, ends well or in an ObjectError."""
    started = time.process_time()
    try:
        spec = load_spec(data)
        for program in spec:
            assert program.slots >= 0
            _ = program.instructions
        for variable in spec.variables.values():
            assert len(variable.head(64)) <= 64
        for obstacle in portability(spec, get("linux")):
            str(obstacle)
        for function in spec.functions.values():
            access_hints(function, spec, get("linux"))
        apply_core(spec.copy(), KERNEL)
        resolve_externs(spec, KCONFIG, kernel=KERNEL)
    except ObjectError as error:
        str(error)
    assert time.process_time() - started < MAX_SECONDS


@pytest.fixture(scope="module")
def samples(shared: Path) -> list[bytes]:
    return [(shared / "corpus" / name).read_bytes() for name in SMALL]


change = st.tuples(
    st.sampled_from(["flip", "word", "byte", "cut", "copy", "field"]),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0, 1, 2, 3, 7, 8, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63]),
)


def damage(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """Apply changes; places are parts of the length, so that they fit any file."""
    out = bytearray(data)
    for what, where, value in changes:
        if len(out) < 80:
            break
        at = int(where * (len(out) - 8))
        if what == "flip":
            out[at] ^= 1 << (value % 8)
        elif what == "byte":
            out[at] = value & 0xFF
        elif what == "word":
            at &= ~3
            out[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        elif what == "cut":
            del out[at:]
        elif what == "copy":
            out[at : at + 8] = out[value % (len(out) - 8) :][:8]
        else:
            # A field of the section table, where most of the structure is.
            (table,) = struct.unpack_from("<Q", out, 40)
            span = max(len(out) - table - 8, 1) if table < len(out) else len(out) - 8
            place = (min(table, len(out) - 8) + int(where * span)) & ~3
            place = min(max(place, 0), len(out) - 8)
            out[place : place + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
    return bytes(out)


@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(which=st.integers(0, len(SMALL) - 1), changes=st.lists(change, min_size=1, max_size=4))
@example(which=0, changes=[("cut", 0.5, 0)])
def test_damaged_objects(
    samples: list[bytes], which: int, changes: list[tuple[str, float, int]]
) -> None:
    survives(damage(samples[which], changes))


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(which=st.integers(0, 4), changes=st.lists(change, min_size=1, max_size=3))
def test_damaged_objects_of_todays_compiler(
    build: Build, which: int, changes: list[tuple[str, float, int]]
) -> None:
    text = (
        sources.FUNCTIONS, sources.MAPS, sources.DATA, sources.STRUCT_OPS, sources.CORE,
    )[which]  # fmt: skip
    survives(damage(build(text).read_bytes(), changes))


@settings(max_examples=100, derandomize=True, deadline=None)
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    survives(data)
    survives(b"\x7fELF\x02\x01\x01" + data)


# Files made to cost much. Each function returns a file of roughly the size asked for.

EXIT = encode([Instruction(op.EXIT_INSN)])


def many_symbols_on_one_function(size: int) -> bytes:
    writer = ElfWriter()
    code = writer.add_section("xdp", EXIT * (size // 16), flags=6, align=8)
    for number in range(size // 72):
        writer.add_symbol(f"s{number}", code, 0, 0, kind=elf.STT_FUNC)
    return writer.encode()


def many_programs_sharing_a_chain(size: int) -> bytes:
    """Every program calls the first of a chain of subprograms that call one another."""
    count = size // 160
    writer = ElfWriter()
    calls = [Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=1), Instruction(op.EXIT_INSN)]
    text = writer.add_section(".text", encode(calls * count) + EXIT * 2, flags=6, align=8)
    first = writer.add_symbol("", text, kind=elf.STT_SECTION, binding=elf.STB_LOCAL)
    calls[0].imm = -1
    code = writer.add_section("xdp", encode(calls * count), flags=6, align=8)
    for number in range(count):
        writer.add_symbol(f"f{number}", text, number * 16, 16, kind=elf.STT_FUNC)
        writer.add_symbol(f"p{number}", code, number * 16, 16, kind=elf.STT_FUNC)
        writer.add_relocation(code, number * 16, first, 10)
    return writer.encode()


def calls_to_everywhere(size: int) -> bytes:
    """A file of calls only, each to a place that nothing else tells of."""
    call = [Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=0)]
    writer = ElfWriter()
    writer.add_section("xdp", encode(call * (size // 8)) + EXIT, flags=6, align=8)
    return writer.encode()


def nothing_but_code(size: int) -> bytes:
    writer = ElfWriter()
    code = writer.add_section("xdp", EXIT * (size // 8), flags=6, align=8)
    writer.add_symbol("main", code, kind=elf.STT_FUNC)
    return writer.encode()


def a_function_per_slot(size: int) -> bytes:
    count = size // 48
    writer = ElfWriter()
    code = writer.add_section("xdp", EXIT * count, flags=6, align=8)
    for number in range(count):
        writer.add_symbol(f"p{number}", code, number * 8, 8, kind=elf.STT_FUNC)
    return writer.encode()


def many_equal_names(size: int) -> bytes:
    writer = ElfWriter()
    data = writer.add_section(".data", bytes(8), flags=3)
    code = writer.add_section("xdp", EXIT, flags=6, align=8)
    for _ in range(size // 48):
        writer.add_symbol("same", data, 0, 4, kind=elf.STT_OBJECT)
        writer.add_symbol("same", code, 0, 8, kind=elf.STT_FUNC)
    return writer.encode()


def one_name_for_all_sections(size: int) -> bytes:
    writer = ElfWriter()
    for _ in range(size // 130):
        section = writer.add_section("xdp", EXIT, flags=6, align=8)
        writer.add_symbol("main", section, 0, 8, kind=elf.STT_FUNC)
    return writer.encode()


def many_sections(size: int) -> bytes:
    writer = ElfWriter()
    for number in range(size // 110):
        writer.add_section(f".data.{number}", bytes(8), flags=3)
    return writer.encode()


def many_maps_in_a_chain(size: int) -> bytes:
    writer = ElfWriter()
    count = size // 70
    rows = [struct.pack("<7I", 12, 4, 4, 1, 0, max(number - 1, 0), 0) for number in range(count)]
    maps = writer.add_section("maps", b"".join(rows), flags=3)
    for number in range(count):
        writer.add_symbol(f"m{number}", maps, number * 28, 28, kind=elf.STT_OBJECT)
    return writer.encode()


def one_struct_for_many_maps(size: int) -> bytes:
    """Variables of `.maps` that share one struct with many fields."""
    count = max(size // 120, 1)
    builder = BTFBuilder()
    pointer = builder.add(Pointer(builder.add(Int("int", 4))))
    members = [Member("key", pointer, 0) for _ in range(count)]
    shape = builder.add(Struct("big", 8, members))
    places = [SectionVar(builder.add(Var(f"v{n}", shape)), n * 8, 8) for n in range(count)]
    builder.add(BTFDataSection(".maps", count * 8, places))
    writer = ElfWriter()
    writer.add_section(".maps", bytes(count * 8), flags=3)
    writer.add_section(".BTF", builder.build().encode())
    return writer.encode()


def many_declaration_tags(size: int) -> bytes:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    for each in range(size // 40):
        builder.add(DeclTag(f"t{each}", builder.add(Var(f"v{each}", number))))
    return with_btf(builder)


def many_data_sections(size: int) -> bytes:
    """Sections of BTF that all bear one name, each with many variables."""
    builder = BTFBuilder()
    var = builder.add(Var("v", builder.add(Int("int", 4))))
    for _ in range(8):
        places = [SectionVar(var, n * 4, 4) for n in range(size // 100)]
        builder.add(BTFDataSection(".data", len(places) * 4, places))
    return with_btf(builder)


def many_types(size: int) -> bytes:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    for _ in range(size // 12):
        builder.add(Pointer(number))
    return with_btf(builder)


def with_btf(builder: BTFBuilder) -> bytes:
    writer = ElfWriter()
    code = writer.add_section("xdp", EXIT, flags=6, align=8)
    writer.add_symbol("main", code, kind=elf.STT_FUNC)
    data = writer.add_section(".data", bytes(8), flags=3)
    writer.add_symbol("v", data, 0, 4, kind=elf.STT_OBJECT)
    writer.add_section(".BTF", builder.build().encode())
    return writer.encode()


COMPILED = not (elf.__file__ or "").endswith(".py")
# Bytes that loading may take for a byte of the file, compiled: ten, and more only for files that
# are nothing but symbols or short names, each of which becomes several objects.
COSTLY = [
    (nothing_but_code, 10),
    (many_symbols_on_one_function, 10),
    (many_equal_names, 10),
    (one_struct_for_many_maps, 10),
    (many_types, 10),
    (many_data_sections, 10),
    (many_declaration_tags, 17),
    (many_sections, 10),
    (one_name_for_all_sections, 17),
    (calls_to_everywhere, 10),
    (many_programs_sharing_a_chain, 15),
    (a_function_per_slot, 15),
    (many_maps_in_a_chain, 15),
]


@pytest.mark.parametrize(("make", "factor"), COSTLY)
def test_time_and_memory_stay_in_proportion(make: Callable[[int], bytes], factor: int) -> None:
    data = make(1 << 19)
    peak, seconds = cost(data)
    # Objects of uncompiled classes are about twice as large.
    assert peak < len(data) * (factor if COMPILED else 2 * factor + 5)
    assert seconds < 10  # far more than it takes, on a slow machine; quadratic would be minutes


def cost(data: bytes) -> tuple[int, float]:
    """The memory at most and the seconds that loading takes."""
    with contextlib.suppress(ObjectError):
        load_spec(many_sections(1 << 10))  # tables of the platform are no part of the file
    started = time.process_time()
    tracemalloc.start()
    try:
        with contextlib.suppress(ObjectError):
            load_spec(data)
        return tracemalloc.get_traced_memory()[1], time.process_time() - started
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not COMPILED, reason="objects of uncompiled classes are larger")
def test_real_objects_take_less_than_ten_times_their_size(shared: Path) -> None:
    for path in sorted((shared / "corpus").glob("*/*.o")):
        data = path.read_bytes()
        if len(data) > 8 << 10:  # below, what every load needs weighs more than the file
            peak, _ = cost(data)
            assert peak < 10 * len(data), path


def test_btf_that_announces_more_than_there_is(build: Build) -> None:
    data = build(sources.MAPS).read_bytes()
    section = elf.ElfFile(data).section(".BTF")
    assert section is not None
    for at in range(4, 24, 4):
        broken = bytearray(data)
        struct.pack_into("<I", broken, section.offset + at, 0xFFFFFFF0)
        with pytest.raises(ObjectError) as caught:
            load_spec(bytes(broken), name="x")
        assert caught.value.section == ".BTF"
        assert caught.value.offset is not None
        assert section.offset <= caught.value.offset <= section.offset + section.size
