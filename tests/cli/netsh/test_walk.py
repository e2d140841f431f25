"""The DNS flood demo of eBPF for Windows, step by step: look at a program, prove it, attach it, see
the flood stop, delete it, see it come back; then take the bounds check out and see it refused."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from struct import pack

import pytest

from anybpf import toolchain
from anybpf.cli.netsh.session import Session
from anybpf.cli.netsh.shell import Shell, interact
from anybpf.runtime import Runtime
from anybpf.runtime.link import LinkRecord
from anybpf.toolchain import Compiler
from tests.cli.conftest import Cli
from tests.cli.netsh.conftest import SOURCES

XDP_DROP = 2
FLOOD = 500


class Wire:
    """An interface on which packets come in: a hook, and a counter of what passes."""

    def __init__(self) -> None:
        self.links: list[LinkRecord] = []

    def attach(self, link: LinkRecord) -> None:
        self.links.append(link)

    def detach(self, link: LinkRecord) -> None:
        self.links.remove(link)

    def datagrams_received(self) -> int:
        """How many packets of a flood get to the system."""
        ethernet = bytes(12) + b"\x08\x00"
        ip = pack(">BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, bytes(4), bytes(4))
        packet = ethernet + ip + pack(">HHHH", 40000, 53, 8, 0)
        passed = FLOOD
        for link in self.links:
            with link.program.open() as program:
                verdicts = [program.test_run(packet).retval for _ in range(FLOOD)]
            passed -= verdicts.count(XDP_DROP)
        return passed


class Hands:
    """Somebody who types a line when netsh asks for one, and looks around before."""

    def __init__(self, screen: io.StringIO, steps: list[str | Callable[[], None]]) -> None:
        self.screen = screen
        self.steps = steps

    def readline(self) -> str:
        while self.steps:
            step = self.steps.pop(0)
            if isinstance(step, str):
                self.screen.write(f"{step}\n")
                return f"{step}\n"
            step()
        return ""


@pytest.fixture
def desk(compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Step 4: clang makes droppacket.o of droppacket.c."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "droppacket.c"
    source.write_text((SOURCES / "droppacket.c").read_text())
    toolchain.compile(source, tmp_path / "droppacket.o", compiler=compiler)
    return tmp_path


def test_the_flood_is_stopped_and_comes_back(
    cli: Cli, desk: Path, windows: Runtime, compiler: Compiler
) -> None:
    wire = Wire()
    windows.hooks["xdp"] = wire

    # 1 to 3: the helper is added, and the flood is seen.
    assert cli("netsh", "add", "helper", "ebpfnetsh.dll").out == ""
    assert wire.datagrams_received() == FLOOD

    # 5: the code.
    told = cli("netsh", "ebpf", "show", "disassembly", "droppacket.o", "xdp")
    assert told.code == 0
    lines = told.out.splitlines()
    assert re.fullmatch(r"; .*droppacket\.c:\d+", lines[0])
    assert any(line.endswith("bpf_map_lookup_elem:1(map_fd r1, map_key r2)") for line in lines)
    assert lines[-2].endswith(":\texit")
    assert lines[-1] == ""
    code = [line for line in lines if not line.startswith(";") and line]
    assert all(re.match(r" {0,7}\d+:\t\S", line) for line in code)

    # 6: the proof.
    told = cli("netsh", "ebpf", "show", "verification", "droppacket.o", "xdp")
    assert (told.code, told.err, told.out) == (
        0,
        "",
        "Verification succeeded\nProgram terminates within 0 loop iterations\n",
    )

    # 7 to 12: one session, with a look at the counter in between.
    seen: list[int] = []
    screen = io.StringIO()

    def look() -> None:
        seen.append(wire.datagrams_received())

    hands = Hands(
        screen,
        [
            "netsh-is-not-a-command-here",
            "ebpf",
            "add program droppacket.o xdp",
            look,
            "show programs",
            "show links",
            "delete program droppacket.o xdp",
            look,
            "show programs",
            "exit",
        ],
    )
    with Session(lambda: windows, out=screen, err=screen) as session:
        interact(Shell(session), hands)  # type: ignore[arg-type]
    assert seen == [0, FLOOD]
    assert screen.getvalue() == (
        "netsh>netsh-is-not-a-command-here\n"
        "There is no command 'netsh-is-not-a-command-here'. Type ? to see which there are.\n"
        "netsh>ebpf\n"
        "netsh ebpf>add program droppacket.o xdp\n"
        "Loaded with ID 3\n"
        "netsh ebpf>show programs\n"
        "\n"
        "    ID  Pins  Links  Mode       Type           Name\n"
        "======  ====  =====  =========  =============  ====================\n"
        "     3     1      1  JIT        xdp            DropPacket\n"
        "netsh ebpf>show links\n"
        "\n"
        "   Link  Program  Attach\n"
        "     ID       ID  Type\n"
        "=======  =======  =============\n"
        "      4        3  xdp\n"
        "netsh ebpf>delete program droppacket.o xdp\n"
        "Unpinned 3 from BPF:\\DropPacket\n"
        "netsh ebpf>show programs\n"
        "\n"
        "    ID  Pins  Links  Mode       Type           Name\n"
        "======  ====  =====  =========  =============  ====================\n"
        "netsh ebpf>exit\n"
    )

    # 13 to 16: the two lines of the bounds check go, and so does the proof.
    source = desk / "droppacket.c"
    check = "\tif ((void *)(udp + 1) > ctx->data_end)\n\t\treturn XDP_PASS;\n"
    text = source.read_text()
    assert check in text
    commented = "".join(f"//{line}\n" for line in check.splitlines())
    source.write_text(text.replace(check, commented))
    toolchain.compile(source, desk / "droppacket.o", compiler=compiler)
    told = cli("netsh", "ebpf", "show", "verification", "droppacket.o", "xdp")
    assert (told.code, told.out) == (1, "")
    report = told.err
    assert report.startswith("Verification failed\n\nVerification report:\n\n; ")
    assert re.search(r"^; .*droppacket\.c:\d+\n;     if \(ip\[9\] != UDP", report, re.M)
    assert re.search(r"^\d+: .*packet", report, re.M)
    assert re.search(r"\n\d+ errors\n\n\Z", report)
    told = cli("netsh", "ebpf", "add", "program", "droppacket.o", "xdp")
    assert (told.code, told.out) == (1, "")
    assert told.err == f"error 13: could not load program\n{report}"
    assert cli("netsh", "ebpf", "show", "programs").out.count("\n") == 3
    assert wire.datagrams_received() == FLOOD


def test_the_way_to_a_failure_is_shown(cli: Cli, desk: Path, compiler: Compiler) -> None:
    """Debugging as section 12.8 has it: more with level=informational, all with level=verbose."""
    source = desk / "droppacket.c"
    source.write_text(source.read_text().replace("(udp + 1) >", "(udp) >"))
    toolchain.compile(source, desk / "droppacket.o", compiler=compiler)
    told = [
        cli("netsh", "ebpf", "show", "verification", "droppacket.o", f"level={level}").err
        for level in ("normal", "informational", "verbose")
    ]
    assert [len(text) for text in told] == sorted(len(text) for text in told)
    assert "Failure slice" in told[1]
    assert "Pre-invariant" in told[2]
