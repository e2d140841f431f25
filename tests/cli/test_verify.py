"""`anybpf verify`: verdicts, exit codes, choices, and every layout."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from anybpf import toolchain
from anybpf.toolchain import Compiler
from tests.cli.conftest import Cli
from tests.conftest import ROOT

REJECTED = ROOT / "examples" / "rejected"


@pytest.fixture(scope="module")
def bad(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose null check is missing."""
    place = tmp_path_factory.mktemp("rejected") / "missing_null_check.o"
    source = REJECTED / "missing_null_check.c"
    return toolchain.compile(source, place, compiler=compiler).output


@pytest.fixture(scope="module")
def looping(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two programs in two sections, the first with a loop and a subprogram."""
    folder = tmp_path_factory.mktemp("looping")
    source = folder / "looping.c"
    source.write_text(
        """
        #include <linux/bpf.h>
        #include <bpf/bpf_helpers.h>
        static __attribute__((noinline)) int step(int x) { return x * 3; }
        SEC("xdp") int rounds(struct xdp_md *ctx) {
            int sum = ctx->rx_queue_index;
            #pragma clang loop unroll(disable)
            for (int i = 0; i < 10; i++) { sum = step(sum); __asm__ volatile("" : "+r"(sum)); }
            return sum > 5 ? XDP_PASS : XDP_DROP;
        }
        SEC("tc") int simple(struct __sk_buff *skb) { return 0; }
        char _license[] SEC("license") = "MIT";
        """
    )
    return toolchain.compile(source, folder / "looping.o", compiler=compiler).output


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_program_that_passes(cli: Cli, droppacket: Path) -> None:
    result = cli("verify", droppacket)
    assert result.code == 0
    assert result.out == f"{droppacket}: drop_packet (section xdp, type xdp): pass\n"
    assert not result.err


def test_a_program_that_is_rejected(cli: Cli, bad: Path) -> None:
    result = cli("verify", bad)
    assert result.code == 1
    head, finding = result.out.splitlines()
    assert head == f"{bad}: count (section xdp, type xdp): reject"
    assert finding.startswith("  missing_null_check.c:25: ")
    assert "null-pointer" in finding


def test_several_files_in_order(cli: Cli, droppacket: Path, bad: Path) -> None:
    result = cli("verify", bad, droppacket, "--json")
    assert result.code == 1
    assert [(each["program"], each["verdict"]) for each in records(result.out)] == [
        ("count", "reject"),
        ("drop_packet", "pass"),
    ]


def test_json_has_what_it_promises(cli: Cli, bad: Path) -> None:
    (each,) = records(cli("verify", bad, "--json").out)
    assert each["file"] == str(bad)
    assert (each["section"], each["program"], each["type"]) == ("xdp", "count", "xdp")
    assert each["verdict"] == "reject"
    assert isinstance(each["seconds"], float)
    assert isinstance(each["steps"], int)
    assert each["instructions"] == 11
    (finding,) = each["findings"]
    assert finding["kind"] == "null-pointer"
    assert finding["instruction"] == 6
    assert finding["slot"] == 7
    assert finding["source"]["line"] == 25
    assert "stats->packets++" in finding["source"]["text"]
    assert finding["message"]


def test_json_can_explain_and_show_states(cli: Cli, bad: Path) -> None:
    (each,) = records(cli("verify", bad, "--json", "--explain", "--invariants").out)
    (finding,) = each["findings"]
    assert finding["hint"]
    assert [step["text"] for step in finding["way"]] == ["call bpf_map_lookup_elem#1"]
    states = {each["slot"]: each["states"] for each in each["states"]}
    assert states[0] == ["r1=ctx"]
    assert any("map_value(per_queue)?" in text for text in states[7])


def test_explain_says_it_in_a_paragraph(cli: Cli, bad: Path) -> None:
    out = cli("verify", bad, "--explain").out
    assert "    at       7: r1 = *(u64 *)(r0 + 0)                // value->packets\n" in out
    assert "a value of map per_queue (struct stats, 16 bytes), or null" in out
    assert "call bpf_map_lookup_elem#1" in out
    assert "    mend     Compare the pointer with NULL" in out


def test_invariants(cli: Cli, droppacket: Path) -> None:
    out = cli("verify", droppacket, "--invariants").out
    assert "  drop_packet:\n" in out
    assert "{ r1=ctx }" in out
    assert re.search(r"; droppacket\.c:\d+: ", out)


def test_loops_say_how_often_they_go_round(cli: Cli, looping: Path) -> None:
    result = cli("verify", looping, "xdp")
    assert result.code == 0
    found = re.search(r"pass, loops end within (\d+) rounds\n", result.out)
    assert found
    assert 9 <= int(found[1]) <= 11


def test_a_section_behind_the_files(cli: Cli, looping: Path, droppacket: Path) -> None:
    names = [each["program"] for each in records(cli("verify", looping, "tc", "--json").out)]
    assert names == ["simple"]
    out = cli("verify", looping, droppacket, "xdp", "--json").out
    assert [each["program"] for each in records(out)] == ["rounds", "drop_packet"]


def test_a_folder_does_not_hide_a_section(
    cli: Cli, looping: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tc").mkdir()
    assert cli("verify", looping, "tc").code == 0


def test_one_program(cli: Cli, looping: Path) -> None:
    out = cli("verify", looping, "--program", "simple", "--json").out
    assert [each["program"] for each in records(out)] == ["simple"]


def test_what_is_not_there(cli: Cli, looping: Path) -> None:
    result = cli("verify", looping, "kprobe")
    assert result.code == 2
    assert "kprobe: No such file or directory" in result.err
    assert "no program is in a section of that name; there are: rounds (xdp), simple (tc)" in (
        result.err
    )
    assert "rounds (section xdp, type xdp): pass" in result.out
    result = cli("verify", looping, "--program", "main")
    assert result.code == 2
    assert "no program main" in result.err
    assert cli("verify", looping, "--type", "no_such_type").code == 2
    assert cli("verify", looping, "--platform", "plan9").code == 2


def test_subprograms_are_verified_with_their_callers(cli: Cli, looping: Path) -> None:
    result = cli("verify", looping, "--program", "step")
    assert result.code == 2
    assert "no program step, only functions that are verified with the programs" in result.err


def test_a_section_that_says_nothing_of_the_type(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "odd.s"
    source.write_text("r0 = *(u32 *)(r1 + 0); exit")
    made = tmp_path / "odd.o"
    cli("asm", source, "-o", made, "--section", "2/7")
    result = cli("verify", made)
    assert result.code == 1
    assert "--type TYPE" in result.out
    assert cli("verify", made, "--type", "socket_filter").code == 0


def test_a_file_that_cannot_be_read_does_not_stop_the_others(
    cli: Cli, droppacket: Path, bad: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF" + bytes(60))
    missing = tmp_path / "missing.o"
    result = cli("verify", missing, broken, bad, droppacket)
    assert result.code == 2
    assert "missing.o: No such file or directory" in result.err
    assert "broken.o" in result.err
    assert "count (section xdp, type xdp): reject" in result.out
    assert "drop_packet (section xdp, type xdp): pass" in result.out
    result = cli("verify", broken, droppacket, "--json")
    assert result.code == 2
    first, second = records(result.out)
    assert (first["verdict"], first["findings"]) == ("error", [])
    assert first["error"]
    assert second["verdict"] == "pass"


def test_the_type_can_be_overridden(cli: Cli, droppacket: Path) -> None:
    (each,) = records(cli("verify", droppacket, "--type", "xdp", "--json").out)
    assert each["verdict"] == "pass"
    (each,) = records(cli("verify", droppacket, "--type", "sched_cls", "--json").out)
    assert each["type"] == "sched_cls"
    assert each["verdict"] == "reject"


def test_standard_input(cli: Cli, droppacket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        buffer = io.BytesIO(droppacket.read_bytes())

    monkeypatch.setattr(sys, "stdin", Standard())
    result = cli("verify", "-")
    assert result.code == 0
    assert result.out.startswith("<stdin>: drop_packet ")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_terminals(cli: Cli, bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anybpf.cli import main

    assert "\x1b" not in cli("verify", bad, "--explain").out
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for refused, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", refused)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        main(["verify", str(bad)])
        assert ("\x1b[" in terminal.getvalue()) == coloured


# The lines of the kernel's log that tools look for: an instruction with what changed, a source
# line, and the summary.
INSTRUCTION = re.compile(r"^\d+: \([0-9a-f]{2}\) .+?( +; (R\d+(_w)?=\S+ ?)+)?$")
SOURCE = re.compile(r"^; .* @ [^:]+:\d+$")
START = re.compile(r"^(\d+|from \d+ to \d+): (R\d+=\S+ ?)+$")
SUMMARY = re.compile(
    r"^processed \d+ insns \(limit 1000000\) max_states_per_insn \d+ total_states \d+ "
    r"peak_states \d+ mark_read \d+$"
)


def test_the_shape_of_the_kernel_log(cli: Cli, bad: Path, droppacket: Path) -> None:
    result = cli("verify", bad, "--log", "linux")
    assert result.code == 1
    *steps, error, summary = result.out.splitlines()
    assert SUMMARY.match(summary)
    assert "null" in error
    for line in steps:
        assert INSTRUCTION.match(line) or SOURCE.match(line) or START.match(line), line
    assert steps[0] == "0: R1=ctx() R10=fp0"
    assert steps[-1].startswith("7: (79) r1 = *(u64 *)(r0 +0)")
    assert "R0_w=map_value_or_null(id=1,map=per_queue,ks=4,vs=16)" in result.out
    accepted = cli("verify", droppacket, "--log", "linux").out.splitlines()
    assert SUMMARY.match(accepted[-1])
    for line in accepted[:-1]:
        assert INSTRUCTION.match(line) or SOURCE.match(line) or START.match(line), line


def test_the_layouts_of_netsh(cli: Cli, bad: Path, droppacket: Path) -> None:
    assert cli("verify", droppacket, "--style", "netsh").out == (
        "Verification succeeded\nProgram terminates within 0 loop iterations\n"
    )
    result = cli("verify", bad, "--style", "netsh")
    assert result.code == 1
    lines = result.out.split("\n")
    assert lines[:4] == ["Verification failed", "", "Verification report:", ""]
    assert re.match(r"; .*missing_null_check\.c:25$", lines[4])
    assert lines[5] == ";     stats->packets++; /* should be: if (stats) */"
    assert lines[6] == ""
    assert lines[7].startswith("7: ")
    assert lines[8:] == ["", "1 errors", "", ""]
    more = cli("verify", bad, "--style", "netsh", "--verbosity", "informational").out
    assert "call bpf_map_lookup_elem#1" in more
    assert "Pre-invariant : [" in more
    most = cli("verify", bad, "--style", "netsh", "--verbosity", "verbose").out
    assert "       0:\tr1 = *(u32 *)(r1 + 16)" in most
    assert "Pre-invariant : [r1=ctx]" in most


def test_names_cannot_steer_the_terminal(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "hostile.s"
    source.write_text("r0 = r5; exit")
    made = tmp_path / "hostile.o"
    assert cli("asm", source, "-o", made, "--name", "\x1b[2Jevil", "--section", "xdp").code == 0
    result = cli("verify", made, "--explain", "--invariants")
    assert "\x1b" not in result.out
    assert "\\x1b[2Jevil" in result.out
