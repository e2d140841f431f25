"""Objects for arm64, made on any machine: their words against a disassembler's reading of them, and
their results under qemu."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from anybpf.engines import llvm
from anybpf.engines.linking import Layout
from anybpf.engines.relocations import AARCH64
from anybpf.errors import LinkError
from tests.engines.objects import SWITCHES, Section, elf

TRIPLE = "aarch64-unknown-linux-gnu"
MACHINE = 183
RUNNER = Path(__file__).with_name("runner_aarch64.c")
PAGE = 0x10000  # the largest that arm64 has
FAR = 0x30_0000_0000
NEAR = 0x200_0000  # 16 MiB above the runner: calls reach it

# The case comes from outside; a table of constants and a value of a map are used on the way.
TEXT = """
@anybpf_values_0 = external global i8
@numbers = private constant [4 x i64] [i64 1000, i64 2000, i64 3000, i64 4000]
""" + SWITCHES.replace(
    "%first = call", "%wanted = ptrtoint ptr %context to i64\n  %first = call"
).replace("i64 CASE", "i64 %wanted").replace(
    "ret i64 %first",
    "%index = and i64 %wanted, 3\n"
    "  %place = getelementptr [4 x i64], ptr @numbers, i64 0, i64 %index\n"
    "  %number = load i64, ptr %place\n"
    "  store i64 %number, ptr @anybpf_values_0\n"
    "  ret i64 %first",
)
RESULTS = {0: (1, 1000), 1: (16, 2000), 2: (59, 3000), 3: (32, 4000), 4: (44, 1000), 5: (55, 2000)}


@pytest.fixture(scope="module", params=["anywhere", "relative"])
def layout(request: pytest.FixtureRequest) -> Layout:
    if not llvm.is_there():
        pytest.skip("llvmlite is not installed")
    data = llvm.compile_ir(
        TEXT.replace("noinline optnone", "noinline"), triple=TRIPLE, pic=request.param == "relative"
    )
    return Layout(data, AARCH64, PAGE)


def disassemble(text: bytes, address: int, place: Path) -> str:
    found = next(filter(None, map(shutil.which, ("llvm-objdump-19", "llvm-objdump"))), None)
    if found is None:
        pytest.skip("llvm-objdump is not installed")
    place.write_bytes(elf([Section(".text", text)], machine=MACHINE))
    done = subprocess.run(
        [found, "-d", f"--adjust-vma={address:#x}", str(place)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def moved(listing: str) -> set[int]:
    """The addresses that sequences of movz and movk put together, and those of adrp."""
    found: set[int] = set()
    value = 0
    for line in listing.splitlines():
        move = re.search(r"\tmov[zk]?\tx\d+, #(0x[0-9a-f]+)(?:, lsl #(\d+))?", line)
        if move:
            part, shift = int(move[1], 16), int(move[2] or 0)
            value = value & ~(0xFFFF << shift) | part << shift if "movk" in line else part << shift
            found.add(value)
        page = re.search(r"\tadrp\tx\d+, (0x[0-9a-f]+)", line)
        if page:
            found.add(int(page[1], 16))
    return found


@pytest.mark.parametrize("address", [NEAR, FAR], ids=["near", "far"])
def test_words_say_what_they_should(layout: Layout, address: int, tmp_path: Path) -> None:
    """A disassembler reads the addresses that we meant to write."""
    known = {"anybpf_helper_0": 0x101_0254, "anybpf_values_0": 0x102_05D0, "memset": 0x101_0270}
    out = layout.relocated(address, known.__getitem__)
    listing = disassemble(bytes(out[: layout.text_size]), address, tmp_path / "patched.o")
    calls = {int(target, 16) for target in re.findall(r"\tbl?\t(0x[0-9a-f]+)", listing)}
    assert address + layout.symbols["anybpf_function_1"] in calls
    for name in ("anybpf_helper_0", "memset"):
        if address == NEAR:
            assert known[name] in calls
            continue
        assert known[name] not in calls
        stub = out.index(AARCH64.stub + known[name].to_bytes(8, "little"))
        assert stub >= layout.text.stop
        assert address + stub in calls
    assert "ldr\tx16" in listing
    found = moved(listing)
    in_table = {word for (word,) in struct.iter_unpack("<Q", out[layout.text_size : layout.size])}
    constants = address + layout.text_size
    assert known["anybpf_values_0"] in found | in_table
    assert any(constants <= value < address + layout.size for value in found)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[int]]:
    """The program that runs code under qemu; what it prints, as numbers."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("qemu-aarch64 is not installed")
    if find_spec("ziglang") is None:
        pytest.skip("ziglang, which compiles for arm64, is not installed")
    made = tmp_path_factory.mktemp("aarch64") / "runner"
    flags = [
        "-O1",
        "-nostdlib",
        "-static",
        "-ffreestanding",
        "-fno-sanitize=all",
        "-fno-pie",
        "-no-pie",
    ]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    subprocess.run([*command, *flags, str(RUNNER), "-o", str(made)], check=True, timeout=300)

    def run(*words: str) -> list[int]:
        done = subprocess.run(
            [emulator, str(made), *words], capture_output=True, text=True, check=True, timeout=60
        )
        return [int(line, 16) for line in done.stdout.split()]

    return run


@pytest.mark.parametrize("address", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize("case", RESULTS)
def test_code_runs_under_qemu(
    layout: Layout, runner: Callable[..., list[int]], address: int, case: int, tmp_path: Path
) -> None:
    names = ("anybpf_helper_0", "anybpf_values_0", "memset")
    known = dict(zip(names, runner(), strict=True))
    image = tmp_path / "image"
    image.write_bytes(layout.relocated(address, known.__getitem__).ljust(1 << 20, b"\0"))
    entry = layout.symbols["anybpf_entry"]
    words = (f"{address:x}", f"{layout.text_size:x}", f"{entry:x}", f"{case:x}")
    assert tuple(runner(str(image), *words)) == RESULTS[case]


# One relocation at a time, against the words that llvm-mc 19 assembles for the same addresses.
BASE = 0x4000_0000
SINGLE = {
    "CALL26 forward": (283, 0x9400_0000, BASE + 0x1000, 0x9400_0400),
    "CALL26 backward": (283, 0x9400_0000, BASE - 4, 0x97FF_FFFF),
    "JUMP26": (282, 0x1400_0000, BASE + 0x7FF_FFFC, 0x15FF_FFFF),
    "CONDBR19": (280, 0x5400_0000, BASE + 0x10_0000 - 4, 0x547F_FFE0),
    "TSTBR14": (279, 0x3600_0000, BASE - 0x8000, 0x3604_0000),
    "ADR": (274, 0x1000_0000, BASE + 5, 0x3000_0020),
    "ADRP": (275, 0x9000_0000, BASE + 0x3FFF, 0xF000_0000),
    "ADRP backward": (275, 0x9000_0000, BASE - 1, 0xF0FF_FFE0),
    "ADD LO12": (277, 0x9100_0000, 0x1234_5678, 0x9119_E000),
    "LDR8 LO12": (278, 0x3940_0000, 0x1234_5678, 0x3959_E000),
    "LDR16 LO12": (284, 0x7940_0000, 0x1234_5678, 0x794C_F000),
    "LDR32 LO12": (285, 0xB940_0000, 0x1234_5678, 0xB946_7800),
    "LDR64 LO12": (286, 0xF940_0000, 0x1234_5678, 0xF943_3C00),
    "LDR128 LO12": (299, 0x3DC0_0000, 0x1234_5670, 0x3DC1_9C00),
    "MOVZ G0": (264, 0xD280_0000, 0xFEDC_BA98_7654_3210, 0xD286_4200),
    "MOVK G1": (266, 0xF2A0_0000, 0xFEDC_BA98_7654_3210, 0xF2AE_CA80),
    "MOVK G2": (268, 0xF2C0_0000, 0xFEDC_BA98_7654_3210, 0xF2D7_5300),
    "MOVK G3": (269, 0xF2E0_0000, 0xFEDC_BA98_7654_3210, 0xF2FF_DB80),
    "MOVZ G1 that fits": (265, 0xD2A0_0000, 0x7654_3210, 0xD2AE_CA80),
}


def one(kind: int, word: int, target: int) -> int:
    text = Section(".text", word.to_bytes(4, "little"), relocations=[(0, 1, kind, 0)])
    layout = Layout(elf([text], [("there", 0, 0)], machine=MACHINE), AARCH64, PAGE)
    out = layout.relocated(BASE, lambda name: target)
    return int.from_bytes(out[:4], "little")


@pytest.mark.parametrize("name", SINGLE)
def test_each_relocation_by_itself(name: str) -> None:
    kind, word, target, patched = SINGLE[name]
    assert f"{one(kind, word, target):#010x}" == f"{patched:#010x}"


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (283, BASE + 2),  # between instructions
        (280, BASE + 0x10_0000),
        (279, BASE + 0x8000),
        (274, BASE + 0x10_0000),
        (275, BASE + (1 << 32)),
        (286, BASE + 4),  # no multiple of eight
        (265, 1 << 32),
    ],
)
def test_what_does_not_fit_is_refused(kind: int, target: int) -> None:
    with pytest.raises(LinkError, match="cannot be reached"):
        one(kind, 0, target)
