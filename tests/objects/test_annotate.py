"""Source lines, BTF functions and CO-RE records on instructions; CO-RE and struct_ops applied."""

from __future__ import annotations

import pytest

from anybpf.btf import BTF, BTFBuilder, Enum, Enumerator, Int, Member, Pointer, Struct
from anybpf.errors import LinkError
from anybpf.isa import encode
from anybpf.isa import opcodes as op
from anybpf.objects import load_spec
from anybpf.objects.core import POISON, apply_core
from tests.objects import sources
from tests.objects.conftest import Build


def test_lines_lie_on_the_first_instruction_of_each(build: Build) -> None:
    spec = load_spec(build(sources.MAPS))
    function = spec.functions["entry"]
    calls = [
        index
        for index, insn in enumerate(function.instructions)
        if insn.is_helper_call and insn.imm == 12
    ]
    line = function.source_line(calls[0])
    assert line is not None
    assert line.text.strip() == "tail_call(ctx, &jumps, 4);"
    assert line.file.endswith("example.c")
    source = sources.MAPS.splitlines()
    assert source[line.line - 1] == line.text
    assert line.column == line.text.index("tail_call") + 1


def test_equal_lines_are_one_object(build: Build) -> None:
    function = load_spec(build(sources.DATA)).functions["reads"]
    lines = [insn.line for insn in function.instructions if insn.line is not None]
    assert len({id(line) for line in lines}) == len(set(lines))


def test_functions_know_their_types(build: Build) -> None:
    spec = load_spec(build(sources.FUNCTIONS))
    assert spec.btf is not None
    for function in spec.functions.values():
        assert spec.btf.type(function.type_id).name == function.symbol
        first = function.instructions[0].function
        assert first is not None
        assert first.type_id == function.type_id


def kernel(gone: bool = False, width: int = 4) -> BTF:
    """A kernel whose task_struct has its fields elsewhere, and one more enumerator."""
    builder = BTFBuilder()
    number = builder.add(Int("int", 4, 1))
    unsigned = builder.add(Int("unsigned", width))
    pointer = builder.add(Pointer(0))
    members = [Member("pid", number, 64), Member("width", unsigned, 128)]
    if gone:
        members.append(Member("gone", pointer, 256))
    builder.add(Struct("task_struct", 64, members))
    values = [Enumerator("KIND_A", 1), Enumerator("KIND_B", 77)]
    builder.add(Enum("kind", 4, False, values))
    return builder.build()


def loads(build: Build, target: BTF) -> dict[str, tuple[int, int]]:
    """Offset and size of each load after CO-RE, by the record's path."""
    spec = load_spec(build(sources.CORE))
    apply_core(spec, target)
    return {
        insn.core.access: (insn.offset, op.SIZES[insn.opcode & op.SIZE_MASK])
        for insn in spec.functions["reads"].instructions
        if insn.core is not None and insn.opcode & op.CLASS_MASK == op.LDX
    }


def test_offsets_and_sizes_follow_the_kernel(build: Build) -> None:
    found = loads(build, kernel())
    assert found["0:0"] == (8, 4)
    assert found["0:2"] == (16, 4)  # unsigned short here, four bytes there
    assert loads(build, kernel(width=8))["0:2"] == (16, 8)


def test_numbers_follow_the_kernel(build: Build) -> None:
    spec = load_spec(build(sources.CORE))
    apply_core(spec, kernel(gone=True))
    code = spec.functions["reads"].instructions
    by_kind = {insn.core.kind: insn.imm for insn in code if insn.core is not None}
    assert by_kind[2] == 1  # the field is there
    assert by_kind[11] == 77  # the enumerator's value there


def test_what_is_missing_is_poisoned_and_named(build: Build) -> None:
    spec = load_spec(build(sources.CORE))
    before = spec.functions["reads"].slots
    report = apply_core(spec, kernel())
    code = spec.functions["reads"].instructions
    assert [str(poisoned).split(": ", 1)[1] for poisoned in report.poisoned] == [
        "byte_off of struct task_struct.gone: the struct 'task_struct' of the target lacks it"
    ]
    slot = report.poisoned[0].slot
    at = [insn for insn in code if insn.is_helper_call and insn.imm == POISON]
    assert len(at) == 1
    assert encode(code)[slot * 8 : slot * 8 + 8] == encode(at)
    assert spec.functions["reads"].slots == before


def test_a_poisoned_16_byte_load_keeps_its_length(build: Build) -> None:
    text = f"""{sources.PRELUDE}
    enum big {{ BIG = 0x1122334455667788 }};
    SEC("tc") unsigned long long reads(void *ctx)
    {{ return __builtin_preserve_enum_value(*(typeof(enum big) *)BIG, 1); }}
    """
    spec = load_spec(build(text))
    before = spec.functions["reads"].slots
    report = apply_core(spec, kernel())
    assert len(report.poisoned) == 1
    code = spec.functions["reads"].instructions
    assert [insn.imm for insn in code if insn.is_helper_call] == [POISON, POISON]
    assert spec.functions["reads"].slots == before


def test_a_record_that_contradicts_its_instruction_changes_nothing(build: Build) -> None:
    spec = load_spec(build(sources.CORE))
    code = spec.functions["reads"].instructions
    with_record = [insn for insn in code if insn.core is not None]
    with_record[-1].imm = 12345
    before = encode(code)
    with pytest.raises(LinkError, match="by its types the object should have 2 here"):
        apply_core(spec, kernel(gone=True))
    assert encode(spec.functions["reads"].instructions) == before


def test_struct_ops_name_their_programs(build: Build) -> None:
    spec = load_spec(build(sources.STRUCT_OPS))
    plain, linked = spec.maps["plain"], spec.maps["linked"]
    assert (plain.type, plain.kind, plain.value_size) == ("struct_ops", "struct_ops", 40)
    assert plain.members == {"init": "my_init"}
    assert linked.members == {"init": "my_init", "release": "my_release"}
    assert (plain.flags, linked.flags) == (0, 1 << 13)
    value = plain.contents[0][1]
    assert isinstance(value, bytes)
    assert value[16:24] == b"\7\0\0\0plai"
    assert spec.programs["my_init"].attach_to == "init"
    assert spec.programs["my_release"].attach_to == "congestion.release"
