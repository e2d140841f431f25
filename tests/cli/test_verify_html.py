"""`anybpf verify --html`: the page, looked at in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybpf import toolchain
from anybpf.isa.assembler import assemble
from anybpf.toolchain import Compiler
from anybpf.verifier import verify_instructions
from anybpf.verifier.report.html import page
from anybpf.verifier.report.layout import GAP_ACROSS, WIDTH, draw
from tests.cli.browser import Browser, find_browser
from tests.cli.conftest import Cli
from tests.conftest import ROOT

EVIL = "<img src=x onerror=alert(1)></script><!--"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("there is no chromium on this machine")
    try:
        found = Browser(program, tmp_path_factory.mktemp("profile"))
    except (AssertionError, OSError) as error:
        pytest.skip(f"chromium does not start here: {error}")
    yield found
    found.close()


@pytest.fixture(scope="module")
def bad(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rejected") / "packet_bounds.o"
    source = ROOT / "examples" / "rejected" / "packet_bounds.c"
    return toolchain.compile(source, place, compiler=compiler).output


def test_the_page_needs_nothing_else(cli: Cli, bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    result = cli("verify", bad, "--html", out)
    assert result.code == 1
    assert result.out.startswith(f"{bad}: drop_udp ")
    text = out.read_text()
    assert "default-src 'none'" in text
    outside = re.findall(r"""(?:src|href)=|@import|https?://[^"]*""", text)
    assert outside == ["http://www.w3.org/2000/svg"]  # a name, not an address to fetch
    assert set(re.findall(r"url\(.*?\)", text)) == {"url(#tip)"}
    assert cli("verify", bad, "--html", tmp_path / "no" / "folder.html").code == 2


def test_clicking_an_instruction(browser: Browser, cli: Cli, bad: Path, tmp_path: Path) -> None:
    """State, source line and block follow the instruction that is clicked."""
    out = tmp_path / "report.html"
    cli("verify", bad, "--html", out)
    browser.open(out)
    assert browser.texts("#head") == [f"{bad}: drop_udp (section xdp, type xdp): reject"]
    browser.click('#code-view .row[data-slot="5"]')
    assert browser.texts("#code-view .chosen b") == ["5"]
    assert browser.texts("#code-view [aria-selected=true] b") == ["5"]
    (line,) = browser.texts("#source-view .chosen")
    assert "if ((void *)(ethernet + 1) > data_end)" in line
    (block,) = browser.texts("#graph-view .chosen")
    assert "if r3 > r2 goto 15" in block
    state = " ".join(browser.texts("#state-view"))
    assert "the end of the packet" in state
    assert "r3=packet+14" in state
    assert not browser.problems


def test_source_lines_and_blocks_lead_back(
    browser: Browser, cli: Cli, bad: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    cli("verify", bad, "--html", out)
    browser.open(out)
    lines = browser.texts("#source-view .row")
    number = next(k for k, line in enumerate(lines) if "ethernet->h_proto" in line)
    browser.click(f'#source-view .row[data-line="{number}"]')
    assert browser.texts("#code-view .chosen b") == ["6"]
    assert browser.texts("#code-view .same b") == ["7", "8", "9", "10"]
    browser.click('#graph-view g[data-block="3"] rect')
    assert browser.texts("#code-view .chosen b") == ["14"]


def test_a_finding_shows_its_way(browser: Browser, cli: Cli, bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    cli("verify", bad, "--html", out)
    browser.open(out)
    browser.click('#findings button[data-finding="0"]')
    assert browser.texts("#code-view .chosen b") == ["11"]
    assert browser.texts("#code-view .found b") == ["11"]
    assert browser.texts("#code-view .row.way b") == [str(slot) for slot in range(12)]
    assert browser.run("document.querySelectorAll('#drawing path.way').length") == 2
    explanation = " ".join(browser.texts("#explanation"))
    assert "not taken: r3 <= r2" in explanation
    assert "data_end" in explanation
    browser.click("#explanation .step:nth-child(1)")
    assert browser.texts("#code-view .chosen b") == ["1"]


def test_the_keyboard(browser: Browser, cli: Cli, bad: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    cli("verify", bad, "--html", out)
    browser.open(out)

    def chosen() -> list[str]:
        return browser.texts("#code-view .chosen b")

    browser.press("Home")
    assert chosen() == ["0"]
    browser.press("ArrowDown")
    assert chosen() == ["1"]
    browser.press("k")
    assert chosen() == ["0"]
    browser.press("]")
    assert chosen() == ["6"]
    browser.press("[")
    assert chosen() == ["0"]
    browser.press("End")
    assert chosen() == ["15"]
    browser.press("n")
    assert chosen() == ["11"]


def test_several_programs(
    browser: Browser, cli: Cli, bad: Path, droppacket: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    cli("verify", bad, droppacket, "--html", out)
    browser.open(out, "#1.3")
    assert browser.texts("#program option") == ["✗ drop_udp", "drop_packet"]
    assert browser.texts("#head") == [f"{droppacket}: drop_packet (section xdp, type xdp): pass"]
    assert browser.texts("#code-view .chosen b") == ["3"]
    assert browser.texts("#why-view p") == ["Nothing speaks against this program."]


def test_light_and_dark(browser: Browser, cli: Cli, bad: Path, tmp_path: Path) -> None:
    """Text stands out from what is behind it, whatever the reader prefers."""
    out = tmp_path / "report.html"
    cli("verify", bad, "--html", out)
    for scheme, light in (("light", True), ("dark", False)):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.send("Emulation.setEmulatedMedia", features=[feature])
        browser.open(out)
        paper, ink = (
            sum(
                map(int, re.findall(r"\d+", browser.run(f"getComputedStyle(document.body).{what}")))
            )
            for what in ("backgroundColor", "color")
        )
        assert (paper > ink) == light
        assert abs(paper - ink) > 450
    browser.send("Emulation.setEmulatedMedia", features=[])


def test_names_cannot_become_markup(browser: Browser, tmp_path: Path) -> None:
    """Names, files, sections and source lines come from the object; a page shows them as text."""
    from anybpf.isa.instruction import SourceLine

    code = assemble("r0 = 0; r0 = r5; exit")
    code[0].symbol = EVIL
    code[0].line = SourceLine(EVIL, 1, 1, EVIL)
    verification = verify_instructions(code, "xdp", record=True)
    verification.program.section = EVIL
    verification.findings[0].message = EVIL
    text = page([(EVIL, verification)])
    assert "<img" not in text
    assert text.count("</script>") == 2
    out = tmp_path / "evil.html"
    out.write_text(text)
    browser.problems.clear()
    browser.open(out)
    assert browser.run("document.images.length") == 0
    assert browser.run("document.scripts.length") == 2
    assert EVIL in browser.texts("#head")[0]
    assert EVIL in " ".join(browser.texts("#source-view"))
    assert EVIL in " ".join(browser.texts("#findings button"))
    assert not browser.problems


def test_a_large_program(browser: Browser, tmp_path: Path) -> None:
    """Four thousand instructions in a thousand blocks."""
    pieces = [f"if r1 == {k} goto l{k}; r0 += {k}; l{k}: r2 = r0; r3 = r2" for k in range(1000)]
    code = assemble("r1 = *(u32 *)(r1 + 12); r0 = 0; " + "; ".join(pieces) + "; r0 = 2; exit")
    assert len(code) > 4000
    out = tmp_path / "large.html"
    out.write_text(page([("large.o", verify_instructions(code, "xdp", record=True))]))
    browser.open(out)
    browser.press("End")
    assert browser.texts("#code-view .chosen span") == ["exit"]
    assert browser.run("document.querySelectorAll('#drawing g.box').length") == 2001


def test_boxes_do_not_overlap() -> None:
    pieces = [f"if r1 == {k} goto l{k}; r0 += {k}" for k in range(8)]
    labels = [f"l{k}: r0 = {k}; goto out" for k in range(8)]
    code = assemble(
        "r1 = *(u32 *)(r1 + 12); r0 = 0; " + "; ".join([*pieces, "goto out", *labels])
        + "; out: r1 -= 1; if r1 s> 5 goto out; r0 = 2; exit"
    )  # fmt: skip
    drawing = draw(verify_instructions(code, "xdp"))
    boxes = drawing.boxes
    assert len(boxes) > 15
    for number, one in enumerate(boxes):
        assert one.x >= 0
        assert one.x + WIDTH <= drawing.width
        assert one.y + one.height <= drawing.height
        for other in boxes[number + 1 :]:
            beside = abs(one.x - other.x) >= WIDTH + GAP_ACROSS - 1
            above = one.y + one.height <= other.y or other.y + other.height <= one.y
            assert beside or above
