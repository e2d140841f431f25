"""`anybpf bpftool prog`: showing, listing, loading, pinning, running."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anybpf.runtime import Runtime
from tests.cli.bpftool.conftest import Tool
from tests.runtime.making import collection


def test_a_program_in_text_and_in_json(loaded: Tool) -> None:
    record = loaded("-j prog show name second").json
    assert list(record) == [
        "id", "type", "name", "tag", "gpl_compatible", "loaded_at", "uid", "bytes_xlated", "jited",
        "bytes_memlock", "map_ids", "btf_id",
    ]  # fmt: skip
    shown = loaded("-f prog show name second").out
    assert re.fullmatch(
        rf"{record['id']}: xdp  name second  tag {record['tag']}  gpl\n"
        r"\tloaded_at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}  uid \d+\n"
        r"\txlated \d+B  not jited  memlock \d+B  map_ids \d+\n"
        r"\tpinned /p/second\n\tbtf_id \d+\n",
        shown,
    )
    assert loaded(f"-j prog show tag {record['tag']}").json == record
    assert [one["name"] for one in loaded("-j prog show").json] == ["first", "second"]


def test_code_with_maps_lines_and_prototypes(loaded: Tool) -> None:
    data = loaded("-j map show name typed.data").json["id"]
    out = loaded("prog dump xlated name second").out
    assert out.startswith(
        "int second(struct xdp_md * ctx):\n"
        '; SEC("xdp") int second(struct xdp_md *ctx) { return text[0] ? XDP_PASS : XDP_DROP; }\n'
        f"   0: (18) r1 = map[id:{data}][0]+4\n"
    )
    assert out.endswith(": (95) exit\n")
    out = loaded("prog dump xlated name first").out
    assert "call bpf_map_lookup_elem#1\n" in out
    assert "call bpf_tail_call#12\n" in out
    assert "int scaled(int v):\n" in out
    assert " line_num:" in loaded("prog dump xlated name first linum").out
    opcodes = loaded("-j prog dump xlated name second opcodes").json[0]["opcodes"]
    assert (opcodes["code"], opcodes["src_reg"], opcodes["dst_reg"]) == ("0x18", "0x2", "0x1")
    assert opcodes["imm"][:4] == [f"{data:#04x}", "0x00", "0x00", "0x00"]


CHOICE = "r1 = *(u32 *)(r1 + 12)\nr0 = 1\nif r1 == 0 goto end\nr0 = 2\nend:\nexit"


@pytest.fixture
def choice(runtime: Runtime, tool: Tool) -> Tool:
    """The same where a program of five instructions is loaded."""
    with runtime.load(collection(CHOICE)) as made:
        made.program("main").pin("/main")
    return tool


def test_instructions_with_their_bytes(choice: Tool) -> None:
    assert choice("prog dump xlated pinned /main opcodes").out == (
        "   0: (61) r1 = *(u32 *)(r1 +12)\n       61 11 0c 00 00 00 00 00\n"
        "   1: (b7) r0 = 1\n       b7 00 00 00 01 00 00 00\n"
        "   2: (15) if r1 == 0x0 goto pc+1\n       15 01 01 00 00 00 00 00\n"
        "   3: (b7) r0 = 2\n       b7 00 00 00 02 00 00 00\n"
        "   4: (95) exit\n       95 00 00 00 00 00 00 00\n"
    )
    assert choice("-j prog dump xlated pinned /main").json[2:4] == [
        {"disasm": "(15) if r1 == 0x0 goto pc+1"},
        {"disasm": "(b7) r0 = 2"},
    ]


def test_the_flow_as_a_graph(choice: Tool) -> None:
    edge = 'style="solid,bold", color=black, weight=10, constraint=true'
    assert choice("prog dump xlated pinned /main visual").out == (
        'digraph "DOT graph for eBPF program" {\n'
        'subgraph "cluster_0" {\n\tstyle="dashed";\n\tcolor="black";\n\tlabel="func_0 ()";\n'
        '\tfn_0_bb_0 [shape=Mdiamond,style=filled,label="ENTRY"];\n\n'
        '\tfn_0_bb_2 [shape=record,style=filled,label="{'
        "   0: (61) r1 = *(u32 *)(r1 +12)\\l\\\n"
        " |    1: (b7) r0 = 1\\l\\\n"
        " |    2: (15) if r1 == 0x0 goto pc+1\\l\\\n"
        '}"];\n\n'
        '\tfn_0_bb_3 [shape=record,style=filled,label="{   3: (b7) r0 = 2\\l\\\n}"];\n\n'
        '\tfn_0_bb_4 [shape=record,style=filled,label="{   4: (95) exit\\l\\\n}"];\n\n'
        '\tfn_0_bb_1 [shape=Mdiamond,style=filled,label="EXIT"];\n\n'
        f"\tfn_0_bb_0:s -> fn_0_bb_2:n [{edge}];\n"
        f"\tfn_0_bb_2:s -> fn_0_bb_3:n [{edge}];\n"
        f"\tfn_0_bb_2:s -> fn_0_bb_4:n [{edge}];\n"
        f"\tfn_0_bb_3:s -> fn_0_bb_4:n [{edge}];\n"
        f"\tfn_0_bb_4:s -> fn_0_bb_1:n [{edge}];\n"
        '\tfn_0_bb_0:s -> fn_0_bb_1:n [style="invis", constraint=true];\n}\n}\n'
    )


def test_code_as_a_file(loaded: Tool, tmp_path: Path) -> None:
    file = tmp_path / "code.bin"
    assert loaded(f"prog dump xlated name second file {file}").code == 0
    assert len(file.read_bytes()) == loaded("-j prog show name second").json["bytes_xlated"]


def test_runs(loaded: Tool, tmp_path: Path) -> None:
    packet = tmp_path / "packet"
    packet.write_bytes(bytes(range(64, 88)))
    result = loaded(f"prog run name second data_in {packet} data_out -")
    assert result.out.startswith(
        "0000000\t4041 4243 4445 4647 4849 4a4b 4c4d 4e4f | @ABCDEFG HIJKLMNO\n"
        "0000010\t5051 5253 5455 5657                     | PQRSTUVW \n"
        "Return value: 2, duration: "
    )
    answer = loaded(f"-j prog run name second data_in {packet} repeat 2 data_out -").json
    assert (answer["data_out"], answer["retval"]) == (list(range(64, 88)), 2)
    assert list(answer) == ["data_out", "retval", "duration"]
    output = tmp_path / "out"
    loaded(f"prog run name second data_in {packet} data_out {output}")
    assert output.read_bytes() == packet.read_bytes()


def test_loading_replaces_maps_and_pins_all_or_none(loaded: Tool, typed_object: Path) -> None:
    assert loaded(f"prog load {typed_object} /one map name things pinned /m/things").code == 0
    things = loaded("-j map show pinned /m/things").json["id"]
    assert things in loaded("-j prog show pinned /one").json["map_ids"]
    count = len(loaded("-j prog show").json)
    refused = loaded(f"prog loadall {typed_object} /p")
    assert (refused.code, refused.err) == (255, "Error: failed to pin program xdp\n")
    assert len(loaded("-j prog show").json) == count


def test_what_the_verifier_refuses_is_not_loaded(tool: Tool, build: object) -> None:
    source = '__attribute__((section("xdp"), used)) int bad(void *c) { return *(int *)0; }'
    result = tool(f"prog load {build(source)} /bad")  # type: ignore[operator]
    assert result.code == 255
    assert result.err.endswith("Error: failed to load object file\n")
    assert tool("-j prog show").json == []


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("prog show id 99", 255, "get by id (99): No such file or directory"),
        ("prog show tag xx", 255, "can't parse tag"),
        ("prog show id", 255, "what is 'id'?"),
        ("prog show foo 1", 255, "expected 'id', 'tag', 'name' or 'pinned', got: 'foo'?"),
        ("prog show pinned /m/ring", 255, "incorrect object type: map"),
        ("map show pinned /p/first", 255, "incorrect object type: prog"),
        ("prog dump", 255, "expected 'xlated' or 'jited', got: (null)"),
        ("prog dump xlated name first file", 255, "expected file path"),
        ("prog run name first", 255, "'run' needs at least 4 arguments, 2 found"),
        ("prog run name first data_in /x", 255, "failed to open /x: No such file or directory"),
        ("prog run name first data_in /dev/null repeat x", 255, "can't parse x as repeat number"),
        ("prog pin name first", 234, "'pin' needs at least 3 arguments, 2 found"),
        ("prog pin name first /p/first", 239, "can't pin the object (/p/first): File exists"),
        ("prog attach", 234, "'attach' needs at least 3 arguments, 0 found"),
        ("prog attach name first xdp", 234, "invalid attach/detach type"),
        ("prog load", 255, "'load' needs at least 2 arguments, 0 found"),
    ],
)  # fmt: skip
def test_complaints(loaded: Tool, line: str, code: int, said: str) -> None:
    result = loaded(line)
    assert (result.code, result.out, result.err) == (code, "", f"Error: {said}\n")
    assert loaded(f"-j {line}").json == {"error": said}


def test_what_cannot_be_done_says_why(loaded: Tool) -> None:
    for line in ("prog profile name first cycles", "struct_ops dump", "cgroup show /", "net show"):
        result = loaded(line)
        assert result.code == 255
        assert "is not supported" in result.err
