"""The commands that make things: cc, asm, link."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.toolchain import Compiler
from tests.cli.conftest import Cli
from tests.conftest import ROOT


def test_cc_writes_an_object_and_prints_nothing(
    cli: Cli, compiler: Compiler, tmp_path: Path
) -> None:
    source = ROOT / "examples/droppacket/droppacket.c"
    target = tmp_path / "d.o"
    result = cli("cc", source, "-o", target)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert cli("obj", "show", target, "--json").json["programs"][0]["name"] == "drop_packet"


def test_cc_passes_on_flags_it_does_not_know(cli: Cli, compiler: Compiler, tmp_path: Path) -> None:
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "value.h").write_text("#define VALUE 7\n")
    source = tmp_path / "flags.c"
    source.write_text(
        '#include "value.h"\n'
        '__attribute__((section("xdp"))) int p(void *c) { return VALUE + MORE + LESS; }\n'
    )
    target = tmp_path / "flags.o"
    result = cli(
        "cc", "-I", tmp_path / "headers", "-DMORE=30", source, "-D", "LESS=5", "-o", target
    )
    assert result.code == 0, result.err
    listing = cli("obj", "disasm", target).out
    assert "w0 = 42" in listing


def test_cc_shows_the_compilers_words_and_leaves_nothing(
    cli: Cli, compiler: Compiler, tmp_path: Path
) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int f( { }\n")
    result = cli("cc", source)
    assert result.code == 2
    assert "wrong.c:1:" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.c"]


def test_asm_prints_hex_or_a_listing(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "two.s"
    source.write_text("r0 = 2\nexit\n")
    assert cli("asm", source, "--hex").out == "b7 00 00 00 02 00 00 00\n95 00 00 00 00 00 00 00\n"
    assert cli("asm", source).out.splitlines()[1] == "   1: 95 00 00 00 00 00 00 00  exit"
    big = cli("asm", source, "--hex", "--big-endian").out
    assert big.splitlines()[0] == "b7 00 00 00 00 00 00 02"


def test_asm_reads_both_dialects(cli: Cli, tmp_path: Path) -> None:
    llvm, mnemonic = tmp_path / "l.s", tmp_path / "m.s"
    llvm.write_text("r1 = *(u32 *)(r2 + 4)\nif r1 s> 7 goto out\nr1 += r2\nout: exit\n")
    mnemonic.write_text("ldxw %r1, [%r2+4]\njsgt %r1, 7, out\nadd %r1, %r2\nout:\nexit\n")
    assert (
        cli("asm", llvm, "--hex").out == cli("asm", mnemonic, "--dialect", "mnemonic", "--hex").out
    )


def test_asm_names_line_and_column(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "wrong.s"
    source.write_text("r0 = 0\n  r99 = 1\nexit\n")
    target = tmp_path / "wrong.o"
    result = cli("asm", source, "-o", target)
    assert result.code == 2
    assert "wrong.s:2:3" in result.err
    assert not target.exists()


@pytest.mark.parametrize("flag", [(), ("--big-endian",)], ids=["little", "big"])
def test_asm_makes_an_object_of_one_program(
    cli: Cli, tmp_path: Path, flag: tuple[str, ...]
) -> None:
    source = tmp_path / "pass.s"
    source.write_text("r0 = 2\nexit\n")
    target = tmp_path / "pass.o"
    assert (
        cli("asm", source, "-o", target, "--section", "tc", "--name", "pass_all", *flag).code == 0
    )
    shown = cli("obj", "show", target, "--json").json
    assert shown["programs"][0]["name"] == "pass_all"
    assert shown["programs"][0]["type"] == "sched_cls"
    assert shown["license"] == "Dual MIT/GPL"
    assert shown["byte_order"] == ("big" if flag else "little")


def test_link_makes_one_of_two(cli: Cli, compiler: Compiler, tmp_path: Path) -> None:
    for name in ("counter", "protocols"):
        made = cli("cc", ROOT / f"examples/library/{name}.c", "-o", tmp_path / f"{name}.o")
        assert made.code == 0
    linked = tmp_path / "library.o"
    result = cli("link", tmp_path / "counter.o", tmp_path / "protocols.o", "-o", linked, "--json")
    assert result.code == 0
    assert result.json["bytes"] == linked.stat().st_size
    shown = cli("obj", "show", linked, "--json").json
    assert shown["programs"][0]["subprograms"] == ["count_packet"]
    assert shown["externs"] == []


def test_link_refuses_two_of_a_name_and_writes_nothing(
    cli: Cli, droppacket: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.o"
    copy.write_bytes(droppacket.read_bytes())
    result = cli("link", droppacket, copy, "-o", tmp_path / "out.o")
    assert result.code == 2
    assert "copy.o" in result.err
    assert not (tmp_path / "out.o").exists()


def test_asm_calls_helpers_by_name(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "call.s"
    source.write_text("call bpf_ktime_get_ns\nexit\n")
    assert cli("asm", source, "--hex").out.startswith("85 00 00 00 05 00 00 00\n")
    windows = cli("asm", source, "--hex", "--platform", "windows").out
    assert windows.startswith("85 00 00 00 09 00 00 00\n")


def test_asm_leaves_a_name_open_only_in_an_object(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "open.s"
    source.write_text("call elsewhere\nexit\n")
    result = cli("asm", source)
    assert result.code == 2
    assert "open.s:1:6: there is no function, label or helper elsewhere" in result.err
    target = tmp_path / "open.o"
    assert cli("asm", source, "-o", target).code == 0
    shown = cli("obj", "show", target, "--json").json
    assert [each["name"] for each in shown["externs"]] == ["elsewhere"]


def test_asm_of_nothing_is_refused(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "empty.s"
    source.write_text("// nothing\n")
    result = cli("asm", source, "-o", tmp_path / "empty.o")
    assert result.code == 2
    assert "no instructions" in result.err
