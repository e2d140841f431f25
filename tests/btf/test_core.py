"""CO-RE: the thirteen kinds of question, flavours, and what happens where the answer is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.btf import BTF, BTFBuilder, BTFExt, Enum64, Int, Member, Struct, core
from anybpf.btf import types as t
from anybpf.btf.builder import rebuild
from anybpf.btf.core import CoreResult, relocate
from anybpf.btf.flavours import essential_name
from anybpf.errors import BTFError
from tests.btf.samples import compiled, kernel

LOCAL = """
struct task___v1 {
    int pid; unsigned flags; int *stack; int list[4];
    struct { int deep; unsigned other; };
    unsigned low : 3; int gone; long wide;
} __attribute__((preserve_access_index));
enum state { RUN___x, LOST };
typedef struct task___v1 task_t;
struct absent { int x; };
struct task___v1 a; enum state b; task_t c; struct absent d;
"""

TARGET = """
struct task {
    long before; int list[8]; unsigned long flags; int pid;
    union { struct { short s; int deep; }; long l; };
    unsigned : 5, low : 3; int *stack; int wide; unsigned other;
};
enum state { NONE, RUN = 5 };
struct task a; enum state b;
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> BTF:
    return BTF.parse(compiled(tmp_path_factory.mktemp("local"), LOCAL)[".BTF"], file="program")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> BTF:
    return BTF.parse(compiled(tmp_path_factory.mktemp("target"), TARGET)[".BTF"], file="kernel")


def ask(local: BTF, target: BTF, kind: int, access: str, name: str = "task___v1") -> CoreResult:
    return relocate(local, local.get(name).id, access, kind, target)


# Offsets in the target: before 0, list 8, flags 40, pid 48, union 56 (deep 60), low at bit 5 of
# byte 64, stack 72, wide 80, other 84.
@pytest.mark.parametrize(
    ("kind", "access", "value", "original"),
    [
        (core.FIELD_BYTE_OFFSET, "0:0", 48, 0),
        (core.FIELD_BYTE_OFFSET, "0:1", 40, 4),
        (core.FIELD_BYTE_OFFSET, "0:3:2", 16, 24),
        (core.FIELD_BYTE_OFFSET, "0:4:0", 60, 32),
        (core.FIELD_BYTE_OFFSET, "0:5", 64, None),
        (core.FIELD_BYTE_SIZE, "0:1", 8, 4),
        (core.FIELD_BYTE_SIZE, "0:3", 32, 16),
        (core.FIELD_EXISTS, "0:0", 1, 1),
        (core.FIELD_EXISTS, "0:6", 0, 1),
        (core.FIELD_SIGNED, "0:0", 1, 1),
        (core.FIELD_SIGNED, "0:1", 0, 0),
        (core.FIELD_LSHIFT_U64, "0:5", 64 - 8, None),
        (core.FIELD_RSHIFT_U64, "0:5", 61, 61),
        (core.FIELD_LSHIFT_U64, "0:0", 32, 32),
        (core.FIELD_RSHIFT_U64, "0:1", 0, 32),
        (core.TYPE_EXISTS, "0", 1, 1),
        (core.TYPE_SIZE, "0", 88, 56),
        (core.TYPE_MATCHES, "0", 0, 1),
    ],
)
def test_questions_about_fields_and_types(
    local: BTF, target: BTF, kind: int, access: str, value: int, original: int | None
) -> None:
    result = ask(local, target, kind, access)
    assert result.ok
    assert (result.value, result.original) == (value, original)


def test_type_ids(local: BTF, target: BTF) -> None:
    here = ask(local, target, core.TYPE_ID_LOCAL, "0")
    assert (here.value, here.original) == (local.get("task___v1").id, None)
    there = ask(local, target, core.TYPE_ID_TARGET, "0")
    assert (there.value, there.original) == (target.get("task").id, None)
    assert there.target is target


def test_values_of_enums(local: BTF, target: BTF) -> None:
    assert ask(local, target, core.ENUMVAL_EXISTS, "0", "state").value == 1
    assert ask(local, target, core.ENUMVAL_EXISTS, "1", "state").value == 0
    run = ask(local, target, core.ENUMVAL_VALUE, "0", "state")
    assert (run.value, run.original) == (5, 0)
    lost = ask(local, target, core.ENUMVAL_VALUE, "1", "state")
    assert lost.poison
    assert lost.reason == (
        "enumval_value of enum state::LOST: the enum 'state' of the target lacks it"
    )


def test_what_is_missing_is_named(local: BTF, target: BTF) -> None:
    gone = ask(local, target, core.FIELD_BYTE_OFFSET, "0:6")
    assert not gone.ok
    assert gone.reason == (
        "byte_off of struct task___v1.gone: the struct 'task' of the target lacks it"
    )
    absent = ask(local, target, core.FIELD_BYTE_SIZE, "0:0", "absent")
    assert absent.reason == "byte_sz of struct absent.x: the target has no struct 'absent'"
    for kind in (core.TYPE_EXISTS, core.TYPE_SIZE, core.TYPE_ID_TARGET, core.TYPE_MATCHES):
        result = ask(local, target, kind, "0", "absent")
        assert (result.ok, result.value) == (True, 0)
    assert ask(local, target, core.FIELD_EXISTS, "0:0", "absent").value == 0


def test_an_index_past_the_end_is_missing(local: BTF, target: BTF) -> None:
    assert ask(local, target, core.FIELD_BYTE_OFFSET, "0:3:3").value == 20
    assert ask(local, target, core.FIELD_BYTE_OFFSET, "2:0").value == 2 * 88 + 48


def test_loads_may_change_size_if_zero_extension_keeps_the_value(local: BTF, target: BTF) -> None:
    flags = ask(local, target, core.FIELD_BYTE_OFFSET, "0:1")
    assert (flags.original_size, flags.size, flags.resizable, flags.signed) == (4, 8, True, False)
    wide = ask(local, target, core.FIELD_BYTE_OFFSET, "0:7")
    assert (wide.original_size, wide.size, wide.resizable, wide.signed) == (8, 4, False, True)
    pid = ask(local, target, core.FIELD_BYTE_OFFSET, "0:0")
    assert (pid.original_size, pid.size, pid.resizable) == (4, 4, True)


def test_bit_fields_of_a_big_endian_target(local: BTF, target: BTF) -> None:
    big = rebuild(target, big_endian=True)
    # In this order bit 5 counts from the top of the word.
    assert ask(local, big, core.FIELD_LSHIFT_U64, "0:5").value == 32 + 5


def test_typedefs_are_types_of_their_own(local: BTF, target: BTF) -> None:
    assert ask(local, target, core.TYPE_EXISTS, "0", "task_t").value == 0
    assert ask(local, local, core.TYPE_EXISTS, "0", "task_t").value == 1


def target_with(*structs: Struct) -> BTF:
    builder = BTFBuilder()
    builder.add(Int("int", 4, t.INT_SIGNED))
    for struct in structs:
        builder.add(struct)
    return builder.build()


def test_candidates_that_disagree_are_an_error(local: BTF) -> None:
    one = Struct("task", 8, [Member("pid", 1, 0)])
    other = Struct("task___copy", 8, [Member("pid", 1, 32)])
    unlike = Struct("task", 4, [Member("none", 1, 0)])
    assert ask(local, target_with(one, unlike), core.FIELD_BYTE_OFFSET, "0:0").value == 0
    assert ask(local, target_with(one, one), core.FIELD_BYTE_OFFSET, "0:0").value == 0
    with pytest.raises(BTFError, match="disagree: type 2 gives 0, type 3 gives 4"):
        ask(local, target_with(one, other), core.FIELD_BYTE_OFFSET, "0:0")


def test_modules_are_asked_for_what_the_kernel_lacks(local: BTF) -> None:
    base = target_with(Struct("unrelated", 4, []))
    builder = BTFBuilder(base=base)
    made = builder.add(Struct("task", 8, [Member("pid", 1, 32)]))
    module = builder.build("module")
    result = relocate(local, local.get("task___v1").id, "0:0", 0, [base, module])
    assert result.value == 4
    ident = relocate(local, local.get("task___v1").id, "0", core.TYPE_ID_TARGET, [base, module])
    assert (ident.value, ident.target) == (made, module)


def test_an_enum_may_become_wider(local: BTF) -> None:
    builder = BTFBuilder()
    builder.add(Enum64("state", 8, False, [t.Enumerator("RUN", 1 << 40)]))
    assert ask(local, builder.build(), core.ENUMVAL_VALUE, "0", "state").value == 1 << 40


def test_old_kernels_call_negative_enums_unsigned() -> None:
    builder = BTFBuilder()
    builder.add(t.Enum("error", 4, True, [t.Enumerator("FAIL", -1)]))
    new = builder.build()
    builder.replace(1, t.Enum("error", 4, False, [t.Enumerator("FAIL", 0xFFFFFFFE)]))
    result = relocate(new, 1, "0", core.ENUMVAL_VALUE, builder.build())
    assert (result.value, result.original) == (-2, -1)


def test_a_type_that_matches_has_all_that_the_local_one_has(local: BTF) -> None:
    assert ask(local, local, core.TYPE_MATCHES, "0").value == 1
    assert ask(local, local, core.TYPE_MATCHES, "0", "state").value == 1
    more = Struct("absent", 8, [Member("new", 1, 0), Member("x", 1, 32)])
    assert ask(local, target_with(more), core.TYPE_MATCHES, "0", "absent").value == 1
    fewer = Struct("absent", 8, [Member("new", 1, 0), Member("y", 1, 32)])
    assert ask(local, target_with(fewer), core.TYPE_MATCHES, "0", "absent").value == 0


@pytest.mark.parametrize(
    ("kind", "access", "complaint"),
    [
        (0, "0:99", "path 0:99 does not fit struct task___v1: task___v1 has no field 99"),
        (0, "0:0:0", "it goes into something that has no parts"),
        (0, "0:3:4", "element 4 of 4"),
        (0, "", "is not made of numbers"),
        (0, "0:-1", "is not made of numbers"),
        (0, ":".join("0" * 65), "is not made of numbers"),
        (13, "0", "unknown kind 13"),
        (core.TYPE_SIZE, "1", "a whole type has the path 0"),
        (core.ENUMVAL_VALUE, "0", "it names no value of an enum"),
        (core.FIELD_SIGNED, "0:3:0", "asked of a field, not of an array element"),
    ],
)
def test_records_that_make_no_sense(
    local: BTF, target: BTF, kind: int, access: str, complaint: str
) -> None:
    with pytest.raises(BTFError, match=complaint):
        ask(local, target, kind, access)


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task___v1", "task"), ("a___b___c", "a___b"), ("a____b", "a____b"), ("___x", "___x"),
        ("x___", "x___"), ("plain", "plain"), ("a___b____", "a"), ("", ""),
    ],
)  # fmt: skip
def test_flavours(name: str, essential: str) -> None:
    assert essential_name(name) == essential


def test_the_kernel_against_itself_stays_as_it_is() -> None:
    btf = kernel()
    asked = 0
    for found in list(btf.types())[:20_000:60]:
        if not isinstance(found, Struct) or len(btf.find_all(found.name)) != 1:
            continue
        for index, member in enumerate(found.members):
            if not member.name:
                continue
            result = relocate(btf, found.id, f"0:{index}", core.FIELD_BYTE_OFFSET, btf)
            assert result.ok
            assert result.original in (None, result.value)
            asked += 1
    assert asked > 50


PROGRAM = """
#define core __attribute__((preserve_access_index))
struct sk_buff { unsigned len; unsigned char cloned : 1; } core;
struct task_struct___mine { int pid; struct { int not_there; } nothing; } core;
__attribute__((section("xdp"))) int prog(struct sk_buff *skb, struct task_struct___mine *task)
{
    return skb->len + task->pid + __builtin_preserve_field_info(task->nothing.not_there, 2)
        + __builtin_preserve_field_info(skb->cloned, 5);
}
"""


def test_a_compiled_program_against_this_kernel(tmp_path: Path) -> None:
    object_file = compiled(tmp_path, PROGRAM)
    program = BTF.parse(object_file[".BTF"])
    results = {}
    for row in BTFExt.parse(object_file[".BTF.ext"]).core_relo[0].rows():
        result = relocate(program, row[1], program.string(row[2]), row[3], kernel())
        results[result.text] = result
    skb = kernel().get("sk_buff", t.KIND_STRUCT)
    assert isinstance(skb, Struct)
    from anybpf.btf.layout import find_member

    place = find_member(kernel(), skb.id, "len")
    assert place is not None
    assert results["byte_off of struct sk_buff.len"].value == place.bit_offset // 8
    assert results["byte_off of struct task_struct___mine.pid"].size == 4
    assert results["field_exists of struct task_struct___mine.nothing.not_there"].value == 0
    assert results["rshift_u64 of struct sk_buff.cloned"].value == 63
