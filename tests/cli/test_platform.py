"""`anybpf platform show` and `anybpf check`."""

from __future__ import annotations

from pathlib import Path

from anybpf.toolchain import Compiler
from tests.cli.conftest import Cli
from tests.conftest import ROOT


def test_show_lists_what_a_platform_offers(cli: Cli) -> None:
    out = cli("platform", "show", "windows").out
    assert "bind" in out
    assert "bpf_map_lookup_elem" in out


def test_show_one_program_type(cli: Cli) -> None:
    shown = cli("platform", "show", "linux", "--type", "xdp", "--json").json
    assert shown["number"] == 6
    assert [field["name"] for field in shown["context"]["fields"]][:2] == ["data", "data_end"]


def test_names_that_are_not_there_suggest_near_ones(cli: Cli) -> None:
    result = cli("platform", "show", "linux", "--type", "xpd")
    assert result.code == 2
    assert "did you mean xdp?" in result.err
    assert "linux, windows" in cli("platform", "show", "solaris").err


def test_check_finds_nothing_in_the_way_of_droppacket_on_linux(cli: Cli, droppacket: Path) -> None:
    result = cli("check", droppacket, "--platform", "linux")
    assert result.code == 0
    assert "linux: nothing in the way" in result.out


def test_check_says_what_keeps_a_windows_program_from_linux(
    cli: Cli, compiler: Compiler, tmp_path: Path
) -> None:
    target = tmp_path / "bindmonitor.o"
    assert cli("cc", ROOT / "examples/bindmonitor/bindmonitor.c", "-o", target).code == 0
    both = cli("check", target, "--json")
    assert both.code == 0
    verdicts = both.json["programs"][0]["platforms"]
    assert verdicts["windows"]["clear"] is True
    assert verdicts["linux"]["clear"] is False
    assert any(each["kind"] == "section" for each in verdicts["linux"]["obstacles"])
    alone = cli("check", target, "--platform", "linux")
    assert alone.code == 1
    assert "bind" in alone.out


def test_check_names_helper_line_and_platform(cli: Cli, compiler: Compiler, tmp_path: Path) -> None:
    source = tmp_path / "tail.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        'SEC("xdp") int p(struct xdp_md *ctx)\n'
        "{\n\treturn bpf_xdp_adjust_tail(ctx, -4) ? XDP_DROP : XDP_PASS;\n}\n"
    )
    target = tmp_path / "tail.o"
    assert cli("cc", source, "-o", target).code == 0
    result = cli("check", target, "--platform", "windows")
    assert result.code == 1
    assert "65" in result.out
    assert "tail.c:5" in result.out


def test_check_sees_that_numbers_were_meant_for_another_platform(
    cli: Cli, compiler: Compiler, tmp_path: Path
) -> None:
    """Number 12 is a tail call on Linux and prints on Windows: the arguments give it away."""
    source = tmp_path / "jump.c"
    source.write_text(
        "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
        "struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1);\n"
        ' __type(key, __u32); __type(value, __u32); } jumps SEC(".maps");\n'
        'SEC("xdp") int p(struct xdp_md *ctx)\n'
        "{\n\tbpf_tail_call(ctx, &jumps, 0);\n\treturn XDP_PASS;\n}\n"
    )
    target = tmp_path / "jump.o"
    assert cli("cc", source, "-o", target).code == 0
    assert cli("check", target, "--platform", "linux").code == 0
    result = cli("check", target, "--platform", "windows")
    assert result.code == 1
    assert "number 12 is bpf_trace_printk2 on windows" in result.out
    assert "seems to be made for another platform" in result.out
    assert "jump.c:7" in result.out


def test_check_tells_obstacles_in_the_order_of_the_code(cli: Cli, droppacket: Path) -> None:
    shown = cli("check", droppacket, "--platform", "windows", "--json").json
    slots = [each["slot"] for each in shown["programs"][0]["platforms"]["windows"]["obstacles"]]
    assert len(slots) > 1
    assert slots == sorted(slots)
