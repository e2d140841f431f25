"""`anybpf pin` and the links of `anybpf link`, on a runtime in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.cli import live
from anybpf.cli.backend import SHORT_LIVED
from anybpf.runtime import Runtime
from anybpf.runtime.link import LinkRecord
from tests.cli.conftest import Cli


class Nowhere:
    """A hook that no events come from."""

    def attach(self, link: LinkRecord) -> None:
        pass

    def detach(self, link: LinkRecord) -> None:
        pass


@pytest.fixture
def loaded(cli: Cli, runtime: Runtime, droppacket: Path) -> Cli:
    """The first example, its program and a map pinned, and a pinned link."""
    assert cli("prog", "load", droppacket, "--pin", "/dns").code == 0
    assert cli("map", "pin", "dropped_packets", "/dns/maps/dropped").code == 0
    runtime.hooks["xdp"] = Nowhere()
    with runtime.program(runtime.ids("program")[0]) as program, program.attach() as link:
        link.pin("/link")
    return cli


def test_list_says_what_is_pinned_where(loaded: Cli, runtime: Runtime) -> None:
    program, link = runtime.ids("program")[0], runtime.ids("link")[0]
    number = next(one.id for one in runtime.infos("map") if one.name == "dropped_packets")
    assert loaded("pin", "list", "--json").json == {
        "version": 1,
        "pins": [
            {"path": "/dns/drop_packet", "kind": "program", "id": program, "name": "drop_packet"},
            {
                "path": "/dns/maps/dropped",
                "kind": "map",
                "id": number,
                "name": "dropped_packets",
            },
            {"path": "/link", "kind": "link", "id": link, "name": ""},
        ],
    }
    assert loaded("pin", "list", "/dns").out == (
        "path               kind     id  name\n"
        f"/dns/drop_packet   program  {program:2}  drop_packet\n"
        f"/dns/maps/dropped  map      {number:2}  dropped_packets\n"
    )
    assert loaded("pin", "list", "--kind", "link").out.splitlines()[1:] == [
        f"/link  link  {link:2}"
    ]


def test_remove_takes_pins_away(loaded: Cli, runtime: Runtime) -> None:
    assert loaded("pin", "remove", "/dns", "--below").out == (
        "removed /dns/drop_packet\nremoved /dns/maps/dropped\n"
    )
    assert loaded("pin", "remove", "/link", "--json").json == {"version": 1, "removed": ["/link"]}
    assert runtime.pins() == []
    assert runtime.ids("program") == []
    assert "/link" in loaded("pin", "remove", "/link").err
    assert loaded("pin", "remove", "/dns", "--below").err == (
        "anybpf pin remove: nothing is pinned below /dns\n"
    )


def test_no_pins(cli: Cli) -> None:
    done = cli("pin", "list")
    assert (done.code, done.out, done.err) == (0, "no pins\n", f"note: {SHORT_LIVED}\n")


def test_links_are_shown_and_detached(loaded: Cli, runtime: Runtime) -> None:
    program, link = runtime.ids("program")[0], runtime.ids("link")[0]
    assert loaded("link", "show").out.split() == [
        *live.LINK_HEADINGS[:3], "attached", "to", "state", "pinned",
        str(link), "xdp", str(program), "xdp", "attached", "/link",
    ]  # fmt: skip
    assert loaded("link", "show", "/link").out == (
        f"{link}: xdp\n"
        f"  program      {program} drop_packet\n"
        "  attach type  xdp\n"
        "  state        attached\n"
        "  pinned       /link\n"
    )
    assert loaded("link", "show", link, "--json").json == {
        "version": 1,
        "links": [
            {
                "id": link, "type": "xdp", "prog_id": program, "attach_type": "xdp",
                "attach_data": "", "state": "attached", "place": {}, "pinned": ["/link"],
            }
        ],
    }  # fmt: skip
    assert loaded("link", "pin", link, "/again").out == f"link {link} is pinned at /again\n"
    assert loaded("link", "detach", link).out == f"link {link} is detached\n"
    assert "state        detached\n" in loaded("link", "show", link).out


def test_attach_pins_the_link_that_holds(loaded: Cli, runtime: Runtime) -> None:
    program = runtime.ids("program")[0]
    done = loaded("prog", "attach", "drop_packet", "hex:03000000", "--pin", "/second")
    link = runtime.ids("link")[-1]
    assert (done.code, done.out) == (
        0, f"program {program} is attached by link {link}, pinned at /second\n",
    )  # fmt: skip
    assert loaded("link", "show", "/second", "--json").json["links"][0]["attach_data"] == "03000000"
    assert loaded("prog", "attach", program, "--type", "tcx_ingress", "--pin", "/x").code == 2
    assert loaded("prog", "attach", program).err == (
        "anybpf prog attach: one of the arguments --pin --hold is required "
        "(see 'anybpf prog attach --help')\n"
    )


def test_attach_holds_until_it_is_interrupted(
    loaded: Cli, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[list[int]] = []

    def interrupt(_: float) -> None:
        there.append(runtime.ids("link"))
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    before = runtime.ids("link")
    assert loaded("prog", "attach", "drop_packet", "--hold").code == 130
    assert len(there[0]) == len(before) + 1
    assert runtime.ids("link") == before


def test_nothing_is_attached_where_nothing_lasts(cli: Cli) -> None:
    assert cli("prog", "attach", "drop_packet", "--hold").err == (
        f"anybpf prog attach: nothing is there to be attached: {SHORT_LIVED}\n"
    )


def test_unload_names_the_link_that_holds_a_program(loaded: Cli, runtime: Runtime) -> None:
    program, link = runtime.ids("program")[0], runtime.ids("link")[0]
    assert loaded("prog", "unload", program).out == (
        "removed the pin /dns/drop_packet\n"
        f"program {program} stays, held by link {link}: --links detaches it\n"
    )
    assert loaded("prog", "unload", program, "--links").out == f"program {program} is gone\n"
    assert runtime.ids("link") == []


def test_objects_are_linked_with_and_without_the_word(
    cli: Cli, droppacket: Path, tmp_path: Path
) -> None:
    for words in ([], ["objects"]):
        out = tmp_path / "one.o"
        done = cli("link", *words, droppacket, "-o", out, "--json")
        assert done.json == {
            "objects": [str(droppacket)], "object": str(out), "bytes": out.stat().st_size,
        }  # fmt: skip
