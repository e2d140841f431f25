"""`anybpf obj`: the overview, the maps, and the code in four styles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anybpf.toolchain import Compiler
from tests.cli.conftest import Cli
from tests.conftest import ROOT


def test_show_tells_what_is_in_the_object(cli: Cli, droppacket: Path) -> None:
    out = cli("obj", "show", droppacket).out
    assert "little-endian" in out
    assert "licence MIT" in out
    assert "  drop_packet  xdp " in out
    assert "  dropped_packets " in out
    assert "  interface_filter " in out


def test_show_as_json(cli: Cli, droppacket: Path) -> None:
    shown = cli("obj", "show", droppacket, "--json").json
    assert shown["byte_order"] == "little"
    assert shown["license"] == "MIT"
    (program,) = shown["programs"]
    assert (program["name"], program["type"], program["section"]) == ("drop_packet", "xdp", "xdp")
    assert program["bytes_xlated"] == program["slots"] * 8
    maps = {each["name"]: each for each in shown["maps"]}
    assert maps["dropped_packets"]["bytes_key"] == 4
    assert maps["dropped_packets"]["bytes_value"] == 8
    assert maps["dropped_packets"]["value_type"] == "__u64"
    assert {"xdp", "license", ".maps"} <= {section["name"] for section in shown["sections"]}


def test_the_platform_decides_the_program_type(cli: Cli, droppacket: Path) -> None:
    shown = cli("obj", "show", droppacket, "--platform", "windows", "--json").json
    assert shown["platform"] == "windows"
    assert shown["programs"][0]["type"] == "xdp"
    assert cli("obj", "show", droppacket, "--platform", "plan9").code == 2


def test_maps_in_full(cli: Cli, droppacket: Path) -> None:
    out = cli("obj", "maps", droppacket).out
    assert "dropped_packets: array, 1 entry\n  key    4 bytes, __u32\n" in out
    (first, second) = cli("obj", "maps", droppacket, "--json").json
    assert {first["name"], second["name"]} == {"dropped_packets", "interface_filter"}


def test_own_style_names_everything(cli: Cli, droppacket: Path) -> None:
    out = cli("obj", "disasm", droppacket).out
    assert "// drop_packet: xdp, section xdp" in out
    assert "int drop_packet(struct xdp_md *ctx)" in out
    assert "r1 = map[dropped_packets]" in out
    assert "call bpf_map_lookup_elem" in out
    assert "ctx->data_end" in out
    assert "; droppacket.c:" in out


def test_own_style_is_assembled_again_to_the_same_bytes(
    cli: Cli, droppacket: Path, tmp_path: Path
) -> None:
    listing = tmp_path / "listing.s"
    listing.write_text(cli("obj", "disasm", droppacket, "--program", "drop_packet").out)
    again = cli("asm", listing, "--json").json
    shown = cli("obj", "disasm", droppacket, "--program", "drop_packet", "--json").json
    instructions = shown["functions"][0]["instructions"]
    assert again["hex"] == "".join(each["bytes"] for each in instructions)


def test_netsh_style(cli: Cli, droppacket: Path) -> None:
    lines = cli("obj", "disasm", droppacket, "--style", "netsh").out.split("\n")
    assert any("r0 = bpf_map_lookup_elem:1(map_fd r1, map_key r2)" in line for line in lines)
    assert lines[-3].endswith("\texit")
    assert lines[-2:] == ["", ""]


def test_bpftool_style(cli: Cli, droppacket: Path) -> None:
    out = cli("obj", "disasm", droppacket, "--style", "bpftool").out
    assert out.startswith("int drop_packet(struct xdp_md * ctx):\n; ")
    assert "call bpf_map_lookup_elem#1" in out
    records = cli("obj", "disasm", droppacket, "--style", "bpftool", "--json").json
    assert records[0]["proto"] == "int drop_packet(struct xdp_md * ctx)"
    assert {"disasm", "opcodes"} <= set(records[-1])


def objdump() -> str | None:
    return shutil.which("llvm-objdump-19") or shutil.which("llvm-objdump")


@pytest.mark.skipif(objdump() is None, reason="no llvm-objdump on this machine")
def test_llvm_style_is_what_llvm_prints(cli: Cli, droppacket: Path) -> None:
    def llvm(*flags: str) -> str:
        return subprocess.run(
            [str(objdump()), "-d", *flags, str(droppacket)],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    if "version 19" not in llvm("--version"):
        pytest.skip("listings are compared with LLVM 19")
    assert cli("obj", "disasm", droppacket, "--style", "llvm").out == llvm()
    assert cli("obj", "disasm", droppacket, "xdp", "--style", "llvm").out == llvm("-j", "xdp")


def test_a_section_or_program_that_is_not_there(cli: Cli, droppacket: Path) -> None:
    for style in ("anybpf", "llvm", "bpftool", "netsh"):
        result = cli("obj", "disasm", droppacket, "tc", "--style", style)
        assert result.code == 2, style
        assert "tc" in result.err
        assert "xdp" in result.err, f"{style} does not say what there is"
        result = cli("obj", "disasm", droppacket, "--program", "other", "--style", style)
        assert result.code == 2, style
        assert "other" in result.err
        assert "drop_packet" in result.err, f"{style} does not say what there is"


def test_json_of_every_style_is_json(cli: Cli, droppacket: Path) -> None:
    for style in ("anybpf", "llvm", "bpftool", "netsh"):
        assert cli("obj", "disasm", droppacket, "--style", style, "--json").json


def test_a_listing_of_several_functions_assembles_too(
    cli: Cli, compiler: Compiler, tmp_path: Path
) -> None:
    """Labels do not repeat from one function to the next."""
    for name in ("counter", "protocols"):
        made = cli("cc", ROOT / f"examples/library/{name}.c", "-o", tmp_path / f"{name}.o")
        assert made.code == 0
    whole = tmp_path / "library.o"
    assert cli("link", tmp_path / "counter.o", tmp_path / "protocols.o", "-o", whole).code == 0
    listing = tmp_path / "library.s"
    listing.write_text(cli("obj", "disasm", whole).out)
    shown = cli("obj", "disasm", whole, "--json").json
    slots = sum(len(f["instructions"]) for f in shown["functions"])
    again = cli("asm", listing, "--json")
    assert again.code == 0, again.err
    assert len(again.json["instructions"]) == slots


def test_standard_input_is_a_file_too(cli: Cli, droppacket: Path) -> None:
    script = f"{sys.executable} -m anybpf obj show - --json < {droppacket}"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    shown = json.loads(done.stdout)
    assert shown["file"] == "<stdin>"
    assert shown["programs"] == cli("obj", "show", droppacket, "--json").json["programs"]


def test_core_records_name_what_an_access_means(
    cli: Cli, compiler: Compiler, tmp_path: Path
) -> None:
    """Through a pointer of which nothing else is known, the record still names the field."""
    source = tmp_path / "core.c"
    source.write_text(
        "struct foo { int a; int b; } __attribute__((preserve_access_index));\n"
        '__attribute__((section("raw_tp"))) int p(unsigned long *ctx)\n'
        "{\n\tstruct foo *f = (void *)ctx[0];\n\treturn f->b;\n}\n"
    )
    target = tmp_path / "core.o"
    assert cli("cc", source, "-o", target).code == 0
    assert "// struct foo.b" in cli("obj", "disasm", target).out
