"""Equal types become one, and only those."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.btf import BTF, BTFBuilder, Enum, Enumerator, Forward, Int, Member, Pointer, Struct
from anybpf.btf import types as t
from anybpf.btf.dedup import deduplicate
from anybpf.btf.dump import dump_dicts
from anybpf.errors import BTFError
from tests.btf.samples import compiled, kernel, sections, small


def twice(btf: BTF) -> BTF:
    builder = BTFBuilder(btf.big_endian)
    builder.merge(btf)
    builder.merge(btf)
    return builder.build()


def test_two_copies_become_one() -> None:
    once, _ids = deduplicate(small())
    assert dump_dicts(once) == dump_dicts(small())
    both, ids = deduplicate(twice(small()))
    assert both.encode() == once.encode()
    count = len(small())
    assert ids[1:count] == ids[count:] == list(range(1, count))


def test_structs_that_point_at_each_other_become_one() -> None:
    builder = BTFBuilder()
    for _ in range(2):
        first = builder.next_id
        builder.add(Struct("a", 8, [Member("b", first + 1, 0)]))
        builder.add(Pointer(first + 2))
        builder.add(Struct("b", 16, [Member("a", first + 3, 0), Member("me", first + 1, 64)]))
        builder.add(Pointer(first))
    once, ids = deduplicate(builder.build())
    assert len(once) == 5
    assert ids == [0, 1, 2, 3, 4, 1, 2, 3, 4]


def test_types_that_differ_far_away_stay_apart() -> None:
    builder = BTFBuilder()
    for size in (4, 8):
        last = builder.add(Int("number", size))
        for _ in range(20):
            last = builder.add(Pointer(last))
        builder.add(Struct("end", 8, [Member("p", last, 0)]))
    once, _ids = deduplicate(builder.build())
    assert len(once) == 1 + 2 * 22


def test_a_declaration_becomes_the_definition() -> None:
    builder = BTFBuilder()
    builder.add(Pointer(builder.add(Forward("sock"))))
    builder.add(Struct("user", 8, [Member("sk", 2, 0)]))
    number = builder.add(Int("int", 4))
    sock = builder.add(Struct("sock", 4, [Member("x", number, 0)]))
    pointer = builder.add(Pointer(sock))
    builder.add(Struct("user", 8, [Member("sk", pointer, 0)]))
    builder.add(Enum("mode", 4, False, []))
    builder.add(Enum("mode", 4, False, [Enumerator("FAST", 1)]))
    once, ids = deduplicate(builder.build())
    assert once.find("sock", t.KIND_FWD) is None
    assert ids[1] == ids[sock]
    assert len(once.find_all("user")) == 1
    assert len(once.find_all("mode")) == 1


def test_a_declaration_of_two_definitions_stays() -> None:
    builder = BTFBuilder()
    builder.add(Forward("sock"))
    builder.add(Forward("sock"))
    builder.add(Forward("sock", is_union=True))
    builder.add(Struct("sock", 4, []))
    builder.add(Struct("sock", 8, []))
    once, _ids = deduplicate(builder.build())
    kinds = sorted(found.kind_name for found in once.find_all("sock"))
    assert kinds == ["fwd", "fwd", "struct", "struct"]


def test_variables_stay_apart_unless_asked() -> None:
    builder = BTFBuilder()
    number = builder.add(Int("int", 4))
    for _ in range(2):
        variable = builder.add(t.Var("v", number, t.LINKAGE_STATIC))
        builder.add(t.DataSection(".bss", 4, [t.SectionVar(variable, 0, 4)]))
    btf = builder.build()
    assert len(deduplicate(btf)[0]) == 6
    assert len(deduplicate(btf, merge_variables=True)[0]) == 4


def test_split_types_that_the_base_has_are_dropped() -> None:
    base = small()
    builder = BTFBuilder(base=base)
    number = builder.add(Int("int", 4, t.INT_SIGNED))
    builder.add(Pointer(number))
    builder.add(t.Typedef("mine", number))
    split, ids = deduplicate(builder.build())
    assert split.first_id == len(base)
    assert ids[number] == base.get("int").id
    assert [found.kind_name for found in split.types(own=True)] == ["ptr", "typedef"]
    mine = split.get("mine")
    assert isinstance(mine, t.Typedef)
    assert mine.type_id == base.get("int").id


def test_a_builder_may_bring_strings_along() -> None:
    builder = BTFBuilder()
    offset = builder.add_string("source.c")
    once, _ids = deduplicate(small(), builder=builder)
    assert once.string(offset) == "source.c"


def test_two_objects_of_one_compiler(tmp_path: Path) -> None:
    common = "struct list { struct list *next; int (*cb)(struct list *); };\n"
    one = BTF.parse(compiled(tmp_path, common + "struct list a; struct other *o;")[".BTF"])
    two = BTF.parse(
        compiled(tmp_path, "struct other { int x; };" + common + "struct list b; struct other c;")[
            ".BTF"
        ]
    )
    builder = BTFBuilder()
    builder.merge(one)
    builder.merge(two)
    once, _ids = deduplicate(builder.build())
    assert len(once.find_all("list")) == 1
    assert [found.kind_name for found in once.find_all("other")] == ["struct"]


def test_the_corpus_collapses(shared: Path) -> None:
    for path in sorted((shared / "corpus" / "cilium").glob("*.o"))[:4]:
        found = sections(path)
        if ".BTF" not in found:
            continue
        once, _ids = deduplicate(BTF.parse(found[".BTF"]), merge_variables=True)
        both, _ids = deduplicate(twice(once), merge_variables=True)
        assert both.encode() == once.encode()


def test_a_reference_to_nowhere_is_an_error() -> None:
    builder = BTFBuilder()
    builder.add(Pointer(50))
    with pytest.raises(BTFError, match="type 1 refers to type 50"):
        deduplicate(builder.build())


def test_the_kernel_has_nothing_twice() -> None:
    once, ids = deduplicate(kernel())
    assert len(once) == len(kernel())
    assert ids[-1] == len(ids) - 1
