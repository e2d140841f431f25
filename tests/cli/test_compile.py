"""`anybpf compile`, and what `anybpf verify` keeps for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.engines import llvm
from anybpf.runtime import Runtime
from tests.cli.conftest import Cli
from tests.runtime.making import DNS

pytestmark = pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    from tests.runtime.test_images import keys

    return keys(tmp_path)


def test_an_object_becomes_an_image_that_runs(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    target = tmp_path / "droppacket.so"
    result = cli("compile", droppacket, "-o", target)
    assert (result.code, result.err) == (0, "")
    assert "1 program for" in result.out
    with Runtime("linux") as runtime, runtime.load(target) as loaded:
        assert loaded.program("drop_packet").test_run(DNS).retval_name == "XDP_DROP"
        assert loaded.program("drop_packet").info().mode == "native"


def test_it_says_what_is_in_an_image(
    cli: Cli, droppacket: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    target = tmp_path / "droppacket.so"
    assert cli("compile", droppacket, "-o", target, "--sign", keys[0]).out.endswith(", signed\n")
    shown = cli("compile", "--show", target)
    assert shown.code == 0
    for word in ("drop_packet", "dropped_packets", "signed by"):
        assert word in shown.out
    record = cli("compile", "--show", target, "--json").json
    assert record["programs"][0]["helpers"] == ["map_lookup_elem"]
    assert len(record["key"]) == 64
    assert len(record["object_sha256"]) == 64


def test_the_hash_may_be_left_out(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.so"
    result = cli("compile", droppacket, "-o", target, "--hash", "none", "--json")
    assert result.json["object_sha256"] == ""


def test_a_program_that_is_rejected_leaves_no_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.s").write_text("r0 = *(u32 *)(r1 + 400)\nexit\n")
    cli("asm", tmp_path / "bad.s", "-o", tmp_path / "bad.o")
    result = cli("compile", tmp_path / "bad.o", "-o", tmp_path / "bad.so")
    assert result.code == 1
    assert "main was not proved safe" in result.err
    assert not (tmp_path / "bad.so").exists()


def test_what_is_wrong_is_said_in_one_line(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.so"
    for words, code, text in (
        (["nothing.o", "-o", target], 2, "No such file"),
        ([droppacket], 2, "say with -o"),
        ([droppacket, "-o", target, "--program", "nope"], 2, "there are: drop_packet"),
        ([droppacket, "-o", target, "--target", "riscv64"], 1, "riscv64"),
        ([droppacket, "-o", target, "--platform", "beos"], 2, "no platform is named"),
        ([droppacket, "-o", target, "--sign", droppacket], 2, "no private key in PEM form"),
        ([droppacket, "-o", target, "--proof", "p"], 2, "name it with --key"),
        ([droppacket, "--show"], 2, "no native image"),
    ):
        result = cli("compile", *words)
        assert (result.code, result.out) == (code, ""), words
        assert text in result.err
        assert result.err.count("\n") == 1
        assert not target.exists()


def test_a_proof_is_kept_and_used(
    cli: Cli, droppacket: Path, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    proof, one, two = tmp_path / "p", tmp_path / "one.so", tmp_path / "two.so"
    assert cli("verify", droppacket, "--proof", proof, "--sign", private).code == 0
    assert cli("compile", droppacket, "-o", one, "--proof", proof, "--key", public).code == 0
    assert cli("compile", droppacket, "-o", two).code == 0
    assert one.read_bytes() == two.read_bytes()
    with Runtime("linux") as runtime, runtime.load(droppacket, proof=proof, key=public) as loaded:
        assert loaded.program().test_run(DNS).retval_name == "XDP_DROP"


def test_no_proof_is_kept_of_what_is_rejected(
    cli: Cli, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    (tmp_path / "bad.s").write_text("r0 = r5\nexit\n")
    cli("asm", tmp_path / "bad.s", "-o", tmp_path / "bad.o")
    proof = tmp_path / "p"
    result = cli("verify", tmp_path / "bad.o", "--proof", proof, "--sign", keys[0])
    assert result.code == 1
    assert not proof.exists()
    assert cli("verify", tmp_path / "bad.o", "--sign", keys[0]).code == 2


def test_c_is_emitted_that_a_compiler_takes(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    import shutil
    import subprocess

    from anybpf import toolchain

    target = tmp_path / "droppacket.c"
    result = cli("compile", droppacket, "--emit", "c", "-o", target)
    assert (result.code, result.out, result.err) == (0, "", "")
    text = target.read_text()
    assert "droppacket.c:" in text  # source lines
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    headers = Path(toolchain.__file__).parent.parent / "include"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-I", headers, target, "-o", tmp_path / "x.so"],
        check=True,
    )
    assert cli("compile", droppacket, "--emit", "c", "-o", target, "--sign", "k").code == 2


def test_machine_code_beside_the_source(cli: Cli, droppacket: Path, tmp_path: Path) -> None:
    target = tmp_path / "drop.txt"
    assert cli("compile", droppacket, "--emit", "listing", "-o", target).code == 0
    text = target.read_text()
    assert text.startswith("Program drop_packet: ")
    assert ": if ((void *)(ethernet + 1) > data_end)\n" in text
    assert cli("compile", droppacket, "--emit", "listing", "-o", target, "--sign", "k").code == 2
    words = ["--target", "aarch64-unknown-linux-gnu"]
    assert cli("compile", droppacket, "--emit", "listing", "-o", target, *words).code == 0
    assert "of aarch64-unknown-linux-gnu by LLVM" in target.read_text()
