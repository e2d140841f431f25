"""Code sections become functions and programs; calls and pointers lead to names."""

from __future__ import annotations

import pytest

from anybpf.errors import LinkError, ObjectError
from anybpf.isa import Instruction, encode
from anybpf.isa import opcodes as op
from anybpf.objects import elf, load_spec
from anybpf.objects.elf_writer import ElfWriter
from tests.objects import sources
from tests.objects.conftest import Build

EXIT = Instruction(op.EXIT_INSN)
ZERO = Instruction(op.MOV64_IMM)
CODE_FLAGS = elf.SHF_ALLOC | elf.SHF_EXECINSTR


def call(imm: int) -> Instruction:
    return Instruction(op.CALL_IMM, src=op.CALL_LOCAL, imm=imm)


def test_sections_decide_types(build: Build) -> None:
    programs = load_spec(build(sources.FUNCTIONS)).programs
    found = {
        name: (p.section, p.type, p.attach_type, p.attach_to, list(p.flags), p.autoload)
        for name, p in programs.items()
    }
    assert found == {
        "first": ("xdp", "xdp", "xdp", "", [], True),
        "second": ("xdp", "xdp", "xdp", "", [], True),
        "off": ("xdp.frags/cpumap", "xdp", "xdp_cpumap", "", ["frags"], False),
        "counts": ("tc", "sched_cls", "", "", [], True),
        "strange": ("my_own/thing", "unspec", "", "", [], True),
        "sleepy": (
            "fentry.s/do_unlinkat", "tracing", "trace_fentry", "do_unlinkat", ["sleepable"], True,
        ),
    }  # fmt: skip
    assert {p.license for p in programs.values()} == {"GPL"}


def test_subprograms_are_linked_behind_the_entry(build: Build) -> None:
    spec = load_spec(build(sources.FUNCTIONS))
    first = spec.programs["first"]
    assert [function.name for function in first.functions] == ["first", "thrice", "twice"]
    assert spec.functions["thrice"].calls == ("twice",)
    assert spec.functions["thrice"].is_global
    assert not spec.functions["twice"].is_global
    assert spec.functions["thrice"].tags == ("helper",)
    code = first.instructions
    assert first.slots == sum(insn.slots for insn in code)
    symbols = {insn.symbol: slot for slot, insn in enumerate(code) if insn.symbol}
    for slot, insn in enumerate(code):  # no 16-byte loads here: slots are positions
        if insn.is_local_call:
            assert slot + 1 + insn.imm == symbols[insn.reference]


def test_a_function_pointer_is_a_call_too(build: Build) -> None:
    spec = load_spec(build(sources.FUNCTIONS))
    counts = spec.programs["counts"]
    assert [function.name for function in counts.subprograms] == ["step"]
    slot = 0
    for insn in counts.instructions:
        if insn.is_function_load:
            assert insn.reference == "step"
            assert slot + 1 + insn.imm == spec.functions["counts"].slots
            break
        slot += insn.slots
    else:
        pytest.fail("no function pointer found")


def two_sections() -> ElfWriter:
    """Static functions of one name in two sections, each called by a program there."""
    writer = ElfWriter()
    for name in ("xdp", "tc"):
        code = encode([call(1), EXIT, ZERO, EXIT])
        section = writer.add_section(name, code, flags=CODE_FLAGS, align=8)
        writer.add_symbol("helper", section, 16, 16, binding=elf.STB_LOCAL, kind=elf.STT_FUNC)
        writer.add_symbol("main", section, 0, 16, kind=elf.STT_FUNC)
    return writer


def test_equal_names_are_kept_apart() -> None:
    spec = load_spec(two_sections().encode())
    assert set(spec.functions) == {"main", "main@tc", "helper", "helper@tc"}
    assert spec.programs["main@tc"].function.symbol == "main"
    assert [f.name for f in spec.programs["main@tc"].subprograms] == ["helper@tc"]
    assert [f.name for f in spec.programs["main"].subprograms] == ["helper"]
    assert spec.program("main", section="tc").name == "main@tc"


def test_even_sections_of_one_name_lose_nothing() -> None:
    writer = ElfWriter()
    for _ in range(5):
        section = writer.add_section("xdp", encode([ZERO, EXIT]), flags=CODE_FLAGS, align=8)
        writer.add_symbol("main", section, 0, 16, kind=elf.STT_FUNC)
    assert len(load_spec(writer.encode()).programs) == 5


def test_calls_across_sections_by_section_symbol() -> None:
    """As clang does it for static functions: the symbol is the section, the rest in the place."""
    writer = ElfWriter()
    text = writer.add_section(".text", encode([ZERO, EXIT, ZERO, EXIT]), flags=CODE_FLAGS, align=8)
    xdp = writer.add_section("xdp", encode([call(1), EXIT]), flags=CODE_FLAGS, align=8)
    place = writer.add_symbol("", text, kind=elf.STT_SECTION, binding=elf.STB_LOCAL)
    writer.add_symbol("one", text, 0, 16, binding=elf.STB_LOCAL, kind=elf.STT_FUNC)
    writer.add_symbol("two", text, 16, 16, binding=elf.STB_LOCAL, kind=elf.STT_FUNC)
    writer.add_symbol("main", xdp, 0, 16, kind=elf.STT_FUNC)
    writer.add_relocation(xdp, 0, place, 10)
    spec = load_spec(writer.encode())
    assert spec.functions["main"].calls == ("two",)
    assert list(spec.programs) == ["main"]


def test_a_place_that_is_only_called_becomes_a_function() -> None:
    writer = ElfWriter()
    code = encode([call(1), EXIT, ZERO, EXIT])
    section = writer.add_section("xdp", code, flags=CODE_FLAGS, align=8)
    writer.add_symbol("main", section, 0, 0, kind=elf.STT_FUNC)
    spec = load_spec(writer.encode())
    assert spec.functions["main"].calls == ("xdp+0x10",)
    assert spec.programs["main"].slots == 4


def test_code_without_symbols_bears_its_sections_name() -> None:
    writer = ElfWriter()
    writer.add_section("xdp", encode([ZERO, EXIT]), flags=CODE_FLAGS, align=8)
    assert load_spec(writer.encode()).programs["xdp"].type == "xdp"


def test_recursion_is_no_hang() -> None:
    writer = ElfWriter()
    section = writer.add_section("xdp", encode([call(-1), EXIT]), flags=CODE_FLAGS, align=8)
    writer.add_symbol("main", section, 0, 16, kind=elf.STT_FUNC)
    program = load_spec(writer.encode()).programs["main"]
    assert program.subprograms == []
    assert program.instructions[0].imm == -1


def test_functions_alone_in_text_are_programs() -> None:
    """What nobody calls, in an object that has no other programs."""
    writer = ElfWriter()
    code = encode([call(1), EXIT, ZERO, EXIT])
    text = writer.add_section(".text", code, flags=CODE_FLAGS, align=8)
    writer.add_symbol("outer", text, 0, 16, kind=elf.STT_FUNC)
    writer.add_symbol("inner", text, 16, 16, kind=elf.STT_FUNC)
    spec = load_spec(writer.encode())
    assert list(spec.programs) == ["outer"]
    assert spec.programs["outer"].type == "unspec"


def damaged(code: bytes, *symbols: tuple[str, int, int], reloc: int = -1, target: int = 0) -> bytes:
    writer = ElfWriter()
    section = writer.add_section("xdp", code, flags=CODE_FLAGS, align=8)
    data = writer.add_section("license", b"GPL\0")
    writer.add_symbol("license", data)
    for name, value, size in symbols:
        writer.add_symbol(name, section, value, size, kind=elf.STT_FUNC)
    if reloc >= 0:
        writer.add_relocation(section, reloc, target or 1, 1)
    return writer.encode()


LOAD = Instruction(op.LD_IMM64)
BAD_CODE = [
    (damaged(bytes(12)), 8, "units of 8"),
    (damaged(encode([ZERO]) + b"\xff" * 8), 8, "slot 1: opcode 0xff"),
    (damaged(encode([EXIT, EXIT]), ("late", 16, 0)), 16, "would begin"),
    (damaged(encode([EXIT, EXIT]), ("long", 8, 16)), 8, "would take 16 bytes"),
    (damaged(encode([LOAD, EXIT]), ("inside", 8, 0)), 8, "where no instruction does"),
    (damaged(encode([ZERO, EXIT, EXIT]), ("a", 0, 24), ("b", 16, 8)), 0, "runs into"),
    (damaged(encode([call(5), EXIT])), 0, "calls slot 6"),
    (damaged(encode([EXIT, LOAD]), reloc=16), 16, "middle of an instruction"),
    (damaged(encode([EXIT, LOAD]), reloc=12), 12, "middle of an instruction"),
]


@pytest.mark.parametrize(("data", "offset", "words"), BAD_CODE)
def test_bad_code_is_refused_by_section_and_byte(data: bytes, offset: int, words: str) -> None:
    section = elf.ElfFile(data).section("xdp")
    assert section is not None
    with pytest.raises(ObjectError, match=words) as caught:
        load_spec(data)
    assert (caught.value.section, caught.value.offset) == ("xdp", section.offset + offset)


def test_the_handler_of_exceptions_belongs_to_the_program() -> None:
    writer = ElfWriter()
    code = writer.add_section("xdp", encode([ZERO, EXIT]), flags=CODE_FLAGS)
    writer.add_symbol("entry", code, size=16, binding=elf.STB_GLOBAL, kind=elf.STT_FUNC)
    text = writer.add_section(".text", encode([ZERO, EXIT]), flags=CODE_FLAGS)
    writer.add_symbol("handler", text, size=16, binding=elf.STB_GLOBAL, kind=elf.STT_FUNC)
    program = load_spec(writer.encode()).programs["entry"]
    assert program.subprograms == []
    program.function.tags = ("exception_callback:handler",)
    assert [function.name for function in program.subprograms] == ["handler"]


def test_hidden_functions_are_told_apart() -> None:
    writer = ElfWriter()
    code = writer.add_section("xdp", encode([ZERO, EXIT, ZERO, EXIT]), flags=CODE_FLAGS)
    for name, place, seen in (("entry", 0, elf.STV_DEFAULT), ("part", 16, elf.STV_HIDDEN)):
        writer.add_symbol(
            name,
            code,
            value=place,
            size=16,
            binding=elf.STB_GLOBAL,
            kind=elf.STT_FUNC,
            visibility=seen,
        )
    found = load_spec(writer.encode()).functions
    assert {name: function.is_hidden for name, function in found.items()} == {
        "entry": False,
        "part": True,
    }
    assert found["part"].copy().is_hidden


def test_relocations_without_type_count_where_the_machine_has_no_number() -> None:
    writer = ElfWriter()
    raw = encode([Instruction(op.LD_IMM64), ZERO, EXIT])
    code = writer.add_section("xdp", raw, flags=CODE_FLAGS)
    maps = writer.add_section("maps", bytes.fromhex("0200000004000000 0800000001000000 00000000"))
    counters = writer.add_symbol("counters", maps, size=20, kind=elf.STT_OBJECT)
    writer.add_relocation(code, 0, counters, 0)
    data = bytearray(writer.encode())
    names = []
    for machine in (elf.MACHINE_BPF, elf.MACHINE_NONE):
        data[18:20] = machine.to_bytes(2, "little")  # e_machine
        (program,) = load_spec(bytes(data)).programs.values()
        names.append(program.instructions[0].map_name)
    assert names == ["", "counters"]


def test_a_reference_to_what_is_no_map_is_a_link_error() -> None:
    with pytest.raises(LinkError, match="section license is no map and no data"):
        load_spec(damaged(encode([LOAD, EXIT]), reloc=0))
