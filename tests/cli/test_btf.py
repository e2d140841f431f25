"""`anybpf btf dump`: types as bpftool lists them, as a C header, as JSON."""

from __future__ import annotations

import subprocess
from pathlib import Path

from anybpf.toolchain import Compiler
from tests.cli.conftest import Cli


def test_raw_is_a_type_a_line(cli: Cli, droppacket: Path) -> None:
    out = cli("btf", "dump", droppacket).out
    assert "STRUCT 'xdp_md' size=24 vlen=6\n\t'data' type_id=" in out


def test_json_both_ways(cli: Cli, droppacket: Path) -> None:
    shown = cli("btf", "dump", droppacket, "--format", "json").json
    assert shown == cli("btf", "dump", droppacket, "--json").json
    (struct,) = [each for each in shown["types"] if each["name"] == "xdp_md"]
    assert struct["members"][1] == {
        "name": "data_end",
        "type_id": struct["members"][0]["type_id"],
        "bits_offset": 32,
    }


def test_the_c_header_compiles(
    cli: Cli, droppacket: Path, compiler: Compiler, tmp_path: Path
) -> None:
    header = tmp_path / "types.h"
    header.write_text(cli("btf", "dump", droppacket, "--format", "c").out)
    source = tmp_path / "use.c"
    source.write_text('#include "types.h"\nint size = sizeof(struct xdp_md);\n')
    subprocess.run(
        [*compiler.command, "-target", "bpf", "-fsyntax-only", "-Werror", str(source)],
        check=True,
        timeout=60,
    )


def test_one_type_by_name(cli: Cli, droppacket: Path) -> None:
    out = cli("btf", "dump", droppacket, "--type", "xdp_md", "--format", "c").out
    assert "struct xdp_md {" in out
    assert "ethhdr" not in out
    result = cli("btf", "dump", droppacket, "--type", "no_such_type")
    assert result.code == 2
    assert "no_such_type" in result.err


def test_an_object_without_btf_says_so(cli: Cli, tmp_path: Path) -> None:
    plain = tmp_path / "plain.o"
    source = tmp_path / "plain.s"
    source.write_text("r0 = 0\nexit\n")
    assert cli("asm", source, "-o", plain).code == 0
    result = cli("btf", "dump", plain)
    assert result.code == 2
    assert ".BTF" in result.err


def test_kernel_types_are_read_as_they_are(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    """A file that holds BTF and nothing else, as /sys/kernel/btf/vmlinux does."""
    from anybpf.objects.elf import ElfFile

    elf = ElfFile(droppacket.read_bytes(), "droppacket.o")
    raw = tmp_path / "types.btf"
    raw.write_bytes(next(bytes(s.data) for s in elf.sections if s.name == ".BTF"))
    assert cli("btf", "dump", raw).out == cli("btf", "dump", droppacket).out
