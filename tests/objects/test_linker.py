"""One object of several: names, sections, types and records, held against libbpf's linker."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from struct import Struct

import pytest

from anybpf import toolchain
from anybpf.btf import BTFExt, DataSection, Var
from anybpf.btf import types as t
from anybpf.errors import CompilerError, LinkError, ObjectError
from anybpf.isa import Instruction
from anybpf.objects import CollectionSpec, elf, load_spec
from anybpf.objects.elf import ElfFile
from anybpf.objects.elf_writer import ElfWriter, object_from_instructions
from anybpf.objects.linker import link
from tests.conftest import ROOT
from tests.objects.linking import (
    HEAD,
    STATICS,
    Bench,
    View,
    assert_like_libbpf,
    btf_of,
    corpus_objects,
    records,
    symbols,
    where,
)

LIBRARY = ROOT / "examples" / "library"
CORE = ROOT / "tests" / "toolchain" / "sources" / "core.c"


@pytest.fixture(scope="module")
def compiler() -> toolchain.Compiler:
    try:
        return toolchain.find_compiler()
    except CompilerError as error:
        pytest.skip(str(error))


@pytest.fixture
def bench(tmp_path: Path, compiler: toolchain.Compiler) -> Bench:
    return Bench(tmp_path, compiler)


def test_a_library_and_a_program(bench: Bench) -> None:
    counter = bench.file(LIBRARY / "counter.c")
    protocols = bench.file(LIBRARY / "protocols.c")
    image = ElfFile(link([counter, protocols]))
    named = symbols(image)
    for name in ("count_packet", "total_packets", "counters", "by_protocol"):
        assert named[name].is_defined
    btf = btf_of(image)
    (variable,) = btf.find_all("total_packets")
    assert isinstance(variable, Var)
    assert variable.linkage == t.LINKAGE_GLOBAL
    assert len(btf.find_all("count_packet")) == 1
    assert image.section(".debug_info") is None


def test_like_libbpf_in_either_order(bench: Bench) -> None:
    counter = bench.file(LIBRARY / "counter.c")
    protocols = bench.file(LIBRARY / "protocols.c")
    assert_like_libbpf(counter, protocols)
    assert_like_libbpf(protocols, counter)


def test_linked_objects_can_be_linked_again(bench: Bench) -> None:
    counter = bench.file(LIBRARY / "counter.c")
    protocols = bench.file(LIBRARY / "protocols.c")
    once = link([counter, protocols])
    again = View(link([once]))
    assert again.__dict__ == View(once).__dict__
    steps = View(link([link([counter]), link([protocols])]))
    assert steps.__dict__ == View(once).__dict__


def test_the_result_is_the_same_each_time(bench: Bench) -> None:
    objects = [bench.file(LIBRARY / name) for name in ("counter.c", "protocols.c")]
    assert link(objects) == link([path.read_bytes() for path in objects])


def test_static_names_stay_apart(bench: Bench) -> None:
    """Calls and addresses that lead to a section, not to a name, move with the section."""
    one = bench.c("one", STATICS.format(n="one", v=1))
    two = bench.c("two", STATICS.format(n="two", v=2))
    assert_like_libbpf(one, two)
    image = ElfFile(link([one, two]))
    assert len([s for s in image.symbols if s.name == "twice"]) == 2
    btf = btf_of(image)
    data = btf.find(".data")
    assert isinstance(data, DataSection)
    offsets = [v.offset for v in data.vars]
    assert offsets == sorted(set(offsets))


def test_records_lead_to_the_functions_they_name(bench: Bench) -> None:
    one = bench.c("one", STATICS.format(n="one", v=1))
    two = bench.c("two", STATICS.format(n="two", v=2))
    image = ElfFile(link([one, two]))
    starts = {
        (where(image, symbol), symbol.value): symbol.name
        for symbol in image.symbols
        if symbol.kind == elf.STT_FUNC
    }
    ext = image.section(".BTF.ext")
    assert ext is not None
    found = {
        (row[1], row[2]): row[3]  # type: ignore[index]
        for row in records(btf_of(image), BTFExt.parse(ext.data))
        if row[0] == "func"  # type: ignore[index]
    }
    assert found == starts


WEAK = '__weak int shared(int x) {{ return x + {v}; }}\nchar L[] SEC("license") = "GPL";\n'
STRONG = 'int shared(int x) {{ return x + {v}; }}\nchar L[] SEC("license") = "GPL";\n'


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_strong_definition_beats_a_weak_one(bench: Bench, order: tuple[int, int]) -> None:
    objects = [bench.c("weak", WEAK.format(v=7)), bench.c("strong", STRONG.format(v=9))]
    image = ElfFile(link([objects[i] for i in order]))
    found = symbols(image)["shared"]
    assert found.binding == elf.STB_GLOBAL
    code = bytes(image.sections[found.section_index].data)[found.value : found.value + found.size]
    assert b"\x09\0\0\0" in code
    assert len(btf_of(image).find_all("shared")) == 1
    assert_like_libbpf(*[objects[i] for i in order])


def test_of_two_weak_definitions_the_first_counts(bench: Bench) -> None:
    objects = [bench.c("seven", WEAK.format(v=7)), bench.c("nine", WEAK.format(v=9))]
    image = ElfFile(link(objects))
    assert symbols(image)["shared"].value == 0
    assert_like_libbpf(*objects)


def test_two_strong_definitions_are_an_error_that_names_both(bench: Bench) -> None:
    objects = [bench.c("seven", STRONG.format(v=7)), bench.c("nine", STRONG.format(v=9))]
    with pytest.raises(LinkError, match=r"nine\.o.*shared is defined here and in .*seven\.o"):
        link(objects)


def test_hidden_in_one_is_hidden_in_the_result(bench: Bench) -> None:
    one = bench.c("one", 'extern int there;\nSEC("xdp") int f(void *c) { return there; }\n')
    two = bench.c("two", "__hidden int there = 5;\n")
    for objects in ([one, two], [two, one]):
        assert symbols(ElfFile(link(objects)))["there"].visibility == elf.STV_HIDDEN


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        ("extern int v;\nint *g(void) { return &v; }", "long v = 1;", "int of 4 bytes, signed"),
        ("extern int v;\nint *g(void) { return &v; }", "unsigned v = 1;", "there"),
        ("extern int v[3];\nint *g(void) { return v; }", "int v[4] = {1};", "an array of"),
        ("extern int v;\nint *g(void) { return &v; }", "int v(void) { return 1; }", "func v"),
        ("int f(int);\nint g(int x) { return f(x); }", "int f(void) { return 1; }", "parameters"),
        (
            "struct s { int a; };\nint f(struct s *);\nint g(struct s *x) { return f(x); }",
            "struct s { int b; };\nint f(struct s *x) { return x->b; }",
            "field",
        ),
    ],
)
def test_types_that_do_not_agree(bench: Bench, here: str, there: str, words: str) -> None:
    objects = [bench.c("here", here + "\n"), bench.c("there", there + "\n")]
    for order in (objects, objects[::-1]):
        with pytest.raises(LinkError, match=r"has another type than in .*\.o: ") as raised:
            link(order)
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("typedef int number; extern const number v;\nint g(void) { return v; }", "int v = 1;"),
        ("extern int v[];\nint *g(void) { return v; }", "int v[4] = {1};"),
        ("struct s; int f(struct s *);\nint g(void *x) { return f(x); }",
         "struct s { int b; };\nint f(struct s *x) { return x ? x->b : 0; }"),
    ],
)  # fmt: skip
def test_types_that_are_written_differently_and_agree(bench: Bench, here: str, there: str) -> None:
    link([bench.c("here", here + "\n"), bench.c("there", there + "\n")])


MAP = """
struct {{ __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, {n});
	__type(key, int); __type(value, long); }}"""


def test_a_map_of_another_object(bench: Bench) -> None:
    user = bench.c(
        "user",
        f'extern {MAP.format(n=8)} shared SEC(".maps");\n'
        'SEC("xdp") int f(void *c) { int k = 0; return !bpf_map_lookup_elem(&shared, &k); }\n',
    )
    owner = bench.c("owner", f'{MAP.format(n=8)} shared SEC(".maps");\n')
    other = bench.c("other", f'{MAP.format(n=9)} shared SEC(".maps");\n')
    assert_like_libbpf(user, owner)
    assert View(link([user, owner])).places[".maps"] == [("shared", 0, 32)]
    with pytest.raises(LinkError, match="an array of"):
        link([user, other])


def test_names_that_nobody_defines_stay_open(bench: Bench) -> None:
    protocols = bench.file(LIBRARY / "protocols.c")
    named = symbols(ElfFile(link([protocols])))
    assert not named["count_packet"].is_defined
    assert not named["total_packets"].is_defined
    assert_like_libbpf(protocols)


def test_what_the_system_must_supply_is_listed_once(bench: Bench) -> None:
    text = """
extern _Bool CONFIG_BPF __kconfig {weak};
extern void some_kfunc(int) __ksym {weak};
SEC("tc") int {n}(void *c) {{ some_kfunc(1); return CONFIG_BPF; }}
"""
    one = bench.c("one", text.format(n="one", weak="__weak"))
    two = bench.c("two", text.format(n="two", weak=""))
    mine = View(link([one, two]))
    assert [row[0] for row in mine.places[".kconfig"]] == ["CONFIG_BPF"]
    assert [row[0] for row in mine.places[".ksyms"]] == ["some_kfunc"]
    named = symbols(ElfFile(link([one, two])))
    assert named["CONFIG_BPF"].binding == elf.STB_GLOBAL  # one of them insists


def test_core_records_move_with_their_instructions(bench: Bench) -> None:
    core = bench.file(CORE)
    one = bench.c("one", 'SEC("tc") int first(void *c) { return 1; }\n')
    assert_like_libbpf(one, core)


def test_the_licence_must_agree(bench: Bench) -> None:
    gpl = bench.c("gpl", 'char _license[] SEC("license") = "GPL";\n')
    same = bench.c("same", 'char LICENSE[] SEC("license") = "GPL";\n')
    mit = bench.c("mit", 'char LICENSE[] SEC("license") = "MIT";\n')
    none = bench.c("none", "int x = 1;\n")
    with pytest.raises(LinkError, match=r"license is 'MIT' here and 'GPL' in .*gpl\.o"):
        link([gpl, mit])
    image = ElfFile(link([none, gpl, same]))
    licence = image.section("license")
    assert licence is not None
    assert bytes(licence.data) == b"GPL\0"
    assert "LICENSE" not in symbols(image)


def test_byte_orders_cannot_be_mixed(bench: Bench) -> None:
    little = bench.c("little", "int x = 1;\n")
    big = bench.file(bench.folder / "little.c", big_endian=True).read_bytes()
    little = bench.file(bench.folder / "little.c")
    with pytest.raises(LinkError, match=r"object 2: the byte order is not that of object 1"):
        link([little.read_bytes(), big])


def test_big_endian_objects(bench: Bench) -> None:
    images = []
    for name, value in (("one", 1), ("two", 2)):
        (bench.folder / f"{name}.c").write_text(HEAD + STATICS.format(n=name, v=value))
        images.append(bench.file(bench.folder / f"{name}.c", big_endian=True).read_bytes())
    little = View(link([bench.c(n, STATICS.format(n=n, v=v)) for n, v in (("one", 1), ("two", 2))]))
    big = View(link(images))
    assert big.symbols == little.symbols
    assert big.relocations == little.relocations
    assert big.records == little.records
    assert big.places == little.places


def facts(spec: CollectionSpec) -> dict[str, object]:
    """What a loader would get out of an object, whatever the order inside it."""
    return {
        "license": spec.license,
        "programs": {
            (p.name, p.section, p.type, tuple(f.name for f in p.subprograms)): [
                (i, i.map_name, i.line and (i.line.line, i.line.text)) for i in p.instructions
            ]
            for p in spec
        },
        "maps": {
            (m.name, m.type, m.key_size, m.value_size, m.max_entries, m.flags, m.pinning)
            for m in spec.maps.values()
            if m.kind == "user"
        },
        "variables": {
            (v.name, v.section, v.size, v.value)
            for v in spec.variables.values()
            if v.section not in ("license",)
        },
        "externs": {(e.name, e.section, e.is_weak, e.is_function) for e in spec.externs.values()},
    }


@pytest.mark.parametrize(
    "source",
    [*sorted((ROOT / "examples").glob("droppacket/*.c")), CORE, CORE.with_name("helpers.c")],
    ids=lambda path: path.name,
)
def test_one_object_alone_says_the_same(bench: Bench, source: Path) -> None:
    path = bench.file(source)
    alone = load_spec(path, name="x")
    linked = load_spec(link([path]), name="x")
    assert facts(linked) == facts(alone)


def test_a_linked_object_is_one_collection(bench: Bench) -> None:
    objects = [bench.file(LIBRARY / name) for name in ("counter.c", "protocols.c")]
    spec = load_spec(link(objects))
    program = spec.program("by_protocol")
    assert [function.name for function in program.functions] == ["by_protocol", "count_packet"]
    assert spec.maps["counters"].value_size == 16
    assert spec.variables["total_packets"].section == ".bss"
    assert {i.map_name for i in program.instructions if i.is_map_load} >= {"counters"}
    other = load_spec(link(objects[::-1]))
    assert facts(other).keys() == facts(spec).keys()
    for key, value in facts(spec).items():
        assert facts(other)[key] == value


def test_nothing_to_link() -> None:
    with pytest.raises(LinkError, match="at least one object"):
        link([])


def legacy(size: int, *names: str) -> bytes:
    writer = ElfWriter()
    maps = writer.add_section("maps", bytes(range(size)) * len(names), flags=3, align=4)
    for number, name in enumerate(names):
        writer.add_symbol(name, maps, number * size, size, kind=elf.STT_OBJECT)
    return writer.encode()


def test_old_map_definitions_of_one_layout() -> None:
    image = ElfFile(link([legacy(20, "a", "b"), legacy(20, "c")]))
    assert [(s.name, s.value) for s in image.symbols[1:]] == [("a", 0), ("b", 20), ("c", 40)]


def test_old_map_definitions_of_two_layouts() -> None:
    with pytest.raises(LinkError, match="28 bytes here and 20 in object 1"):
        link([legacy(20, "a", "b"), legacy(28, "c")])


def test_old_map_definitions_that_count_their_neighbours() -> None:
    def of_maps(type_number: int, size: int, word: int) -> bytes:
        words = [0] * (size // 4)
        words[0], words[word] = type_number, 1
        writer = ElfWriter()
        maps = writer.add_section("maps", Struct(f"<{len(words)}I").pack(*words), flags=3)
        writer.add_symbol("outer", maps, 0, size, kind=elf.STT_OBJECT)
        return writer.encode()

    for image in (of_maps(12, 28, 5), of_maps(7, 32, 4)):
        size = len(bytes(ElfFile(image).sections[1].data))
        link([image])
        link([image, legacy(size, "a")])  # first, it keeps its place
        with pytest.raises(ObjectError, match="as number 1 of the section"):
            link([legacy(size, "a"), image])


def test_objects_without_type_information() -> None:
    code = [Instruction(0xB7, imm=1), Instruction(0x95)]
    one = object_from_instructions([("one", "xdp", code)], "GPL")
    two = object_from_instructions([("two", "xdp", code)], "GPL")
    image = ElfFile(link([one, two]))
    assert symbols(image)["two"].value == 16
    assert image.section(".BTF") is None


def test_code_and_data_of_one_name() -> None:
    one = ElfWriter()
    one.add_symbol("a", one.add_section("xdp", bytes(8), flags=6, align=8))
    two = ElfWriter()
    two.add_symbol("b", two.add_section("xdp", bytes(8), flags=3, align=8))
    with pytest.raises(LinkError, match="the section is data here and code in object 1"):
        link([one.encode(), two.encode()])


def test_the_corpus_alone_like_libbpf(shared: Path, tmp_path: Path) -> None:
    """Every object that libbpf's linker takes comes out the same; no other error is raised."""
    bpftool = shutil.which("bpftool")
    if bpftool is None:
        pytest.skip("bpftool is not on this machine")
    compared = 0
    for path in corpus_objects(shared):
        output = tmp_path / "theirs.o"
        done = subprocess.run(
            [bpftool, "gen", "object", str(output), str(path)], capture_output=True, check=False
        )
        if done.returncode:
            continue  # no BTF, which libbpf needs, or damaged
        assert View(link([path])).__dict__ == View(output.read_bytes()).__dict__, path
        compared += 1
    assert compared > 50
