"""`anybpf prog`, on a runtime in this process that lasts longer than the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anybpf.cli import live
from anybpf.cli.backend import SHORT_LIVED
from anybpf.runtime import Runtime
from tests.cli.conftest import Cli

# Ethernet, IPv4 and UDP to port 53 that carries nothing: what the example drops.
DNS = (
    "ffffffffffff0000000000010800"
    "4500001c00000000401100000a0000010a000002"
    "0035003500080000"
)  # fmt: skip


@pytest.fixture
def loaded(cli: Cli, runtime: Runtime, droppacket: Path) -> Cli:
    """The first example, loaded and pinned as /dns/drop_packet."""
    assert cli("prog", "load", droppacket, "--pin", "/dns").code == 0
    return cli


def test_load_says_what_it_loaded_and_where_it_is(
    cli: Cli, runtime: Runtime, droppacket: Path
) -> None:
    done = cli("prog", "load", droppacket, "--pin", "/dns/")
    number = runtime.ids("program")[0]
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"drop_packet: xdp, program {number}, pinned at {runtime.path('/dns/drop_packet')}\n"
        "loaded 1 program, 2 maps\n"
    )


def test_what_is_not_pinned_goes_and_that_is_said(
    cli: Cli, runtime: Runtime, droppacket: Path
) -> None:
    done = cli("prog", "load", droppacket)
    assert done.out.endswith("loaded 1 program, 2 maps\n")
    assert done.err == "note: they go with this command: --pin DIR keeps them\n"
    assert runtime.ids("program") == []


def test_load_is_all_or_nothing(loaded: Cli, runtime: Runtime, droppacket: Path) -> None:
    before = runtime.ids("program"), runtime.pins()
    done = loaded("prog", "load", droppacket, "--pin", "/dns")
    assert done.code == 2
    assert "cannot pin program drop_packet" in done.err
    assert (runtime.ids("program"), runtime.pins()) == before


def test_a_command_of_its_own_keeps_nothing_and_says_who_does(cli: Cli, droppacket: Path) -> None:
    done = cli("prog", "load", droppacket, "--pin", "/dns")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"anybpf prog load: --pin /dns: {SHORT_LIVED}; 'anybpf prog run' loads and runs\n"
    )
    done = cli("prog", "show")
    assert (done.code, done.out, done.err) == (0, "no programs\n", f"note: {SHORT_LIVED}\n")


def test_show_lists_programs(loaded: Cli, runtime: Runtime) -> None:
    (info,) = runtime.infos("program")
    maps = ",".join(str(number) for number in info.map_ids)
    path = runtime.pins()[0][0]
    assert loaded("prog", "show").out.split() == [
        *live.PROGRAM_HEADINGS,
        str(info.id), "xdp", "drop_packet", "interpret", str(info.xlated_prog_len), "0", "-",
        maps, path,
    ]  # fmt: skip


def test_show_says_all_about_one(loaded: Cli, runtime: Runtime) -> None:
    (info,) = runtime.infos("program")
    path = runtime.pins()[0][0]
    names = {one.id: one.name for one in runtime.infos("map")}
    maps = ", ".join(f"{number} {names[number]}" for number in info.map_ids)
    for word in ("drop_packet", info.id, path):
        out = loaded("prog", "show", word).out
        assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", out) == (
            f"{info.id}: xdp, program drop_packet\n"
            f"  tag          {info.tag}\n"
            "  attach type  xdp\n"
            f"  loaded       WHEN by user {info.created_by_uid}\n"
            "  mode         interpret\n"
            f"  bytecode     {info.xlated_prog_len} bytes\n"
            f"  maps         {maps}\n"
            f"  types        btf {info.btf_id}\n"
            "  licence      not compatible with the GPL\n"
            f"  pinned       {path}\n"
        )


def test_show_as_json(loaded: Cli, runtime: Runtime) -> None:
    (info,) = runtime.infos("program")
    told = loaded("prog", "show", "--json").json
    assert told["version"] == 1
    (one,) = told["programs"]
    assert one.pop("loaded_at") > 0
    assert one == {
        "id": info.id,
        "type": "xdp",
        "name": "drop_packet",
        "tag": info.tag,
        "gpl_compatible": False,
        "uid": info.created_by_uid,
        "mode": "interpret",
        "attach_type": "xdp",
        "bytes_xlated": info.xlated_prog_len,
        "bytes_jited": 0,
        "bytes_memlock": info.memlock,
        "map_ids": list(info.map_ids),
        "btf_id": info.btf_id,
        "run_time_ns": 0,
        "run_cnt": 0,
        "links": 0,
        "pinned": [runtime.pins()[0][0]],
    }


def test_a_program_that_is_not_there(loaded: Cli, runtime: Runtime) -> None:
    number = runtime.ids("program")[0]
    assert loaded("prog", "show", "drop_packets").err == (
        "anybpf prog show: no program is named 'drop_packets' (did you mean drop_packet?)\n"
    )
    assert loaded("prog", "show", "999999").err == (
        f"anybpf prog show: no program has the id 999999; there are: {number}\n"
    )
    assert loaded("prog", "show", "/dns/other").code == 2
    name = runtime.map(runtime.ids("map")[0])
    with name:
        path = name.pin("/dns/map")
    assert loaded("prog", "show", path).err == (
        f"anybpf prog show: {path} is the pin of a map, not of a program\n"
    )


def test_two_of_one_name_are_told_apart_by_number(
    loaded: Cli, runtime: Runtime, droppacket: Path
) -> None:
    assert loaded("prog", "load", droppacket, "--pin", "/more").code == 0
    first, second = runtime.ids("program")
    assert loaded("prog", "show", "drop_packet").out.count("drop_packet") >= 2
    assert loaded("prog", "unload", "drop_packet").err == (
        "anybpf prog unload: 2 programs are named drop_packet: say which by number: "
        f"{first}, {second}\n"
    )


def durations(text: str) -> str:
    return re.sub(r"(duration|instructions) +\d+", r"\1 N", text)


def test_run_of_a_file_tells_the_result_by_name(cli: Cli, droppacket: Path) -> None:
    done = cli("prog", "run", droppacket, "--data", f"hex:{DNS}", "--maps")
    assert durations(done.out) == (
        "drop_packet: XDP_DROP (1)\n"
        "  duration N ns\n"
        "  instructions N\n"
        "  data          42 bytes, unchanged\n"
        "\n"
        "map interface_filter: 1 entry\n"
        "  0: 0\n"
        "\n"
        "map dropped_packets: 1 entry\n"
        "  0: 1\n"
    )
    assert (done.code, done.err) == (0, "")


def test_run_of_a_loaded_program(loaded: Cli, tmp_path: Path) -> None:
    packet = tmp_path / "packet.bin"
    packet.write_bytes(bytes.fromhex(DNS))
    back = tmp_path / "back.bin"
    done = loaded(
        "prog", "run", "drop_packet", "--data", packet, "--repeat", 3, "--data-out", back, "--json"
    )
    told = done.json
    assert told.pop("duration") >= 0
    number = told.pop("id")
    context = told.pop("context")
    assert context["data_end"] == 42
    assert told.pop("ctx_out").startswith("000000002a000000")
    assert told == {
        "version": 1,
        "program": "drop_packet",
        "retval": 1,
        "retval_name": "XDP_DROP",
        "repeat": 3,
        "data_out": DNS,
        "printed": [],
    }
    assert back.read_bytes().hex() == DNS
    assert loaded("map", "get", "dropped_packets", 0).out == "3\n"
    assert loaded("prog", "show", number).code == 0


def test_run_with_a_context_of_ones_own(loaded: Cli) -> None:
    assert loaded("map", "set", "interface_filter", 0, 7).err == ""
    line = "prog", "run", "drop_packet", "--data", DNS, "--ctx"
    assert loaded(*line, "ingress_ifindex=7").out.startswith("drop_packet: XDP_DROP (1)\n")
    passed = loaded(*line, "ingress_ifindex=8,rx_queue_index=1", "--context").out
    assert passed.startswith("drop_packet: XDP_PASS (2)\n")
    assert "\n  ingress_ifindex  8\n  rx_queue_index   1\n" in passed
    assert loaded(*line, "ingress=8").err == (
        "anybpf prog run: xdp_md has no field 'ingress' (did you mean ingress_ifindex?)\n"
    )
    assert "give an integer, hex:DIGITS, or a list" in loaded(*line, "ingress_ifindex=x").err


def test_run_of_what_is_not_there(cli: Cli, runtime: Runtime, droppacket: Path) -> None:
    assert cli("prog", "run", "nowhere.o").err == (
        "anybpf prog run: nowhere.o: No such file or directory\n"
    )
    assert cli("prog", "run", droppacket, "drop").err == (
        "anybpf prog run: no program is named 'drop'; there are: drop_packet\n"
    )
    assert cli("prog", "run", "drop_packet").err == (
        "anybpf prog run: no program is named 'drop_packet'; there is none\n"
    )
    assert cli("prog", "run", droppacket, "--data", "packet.bin").err == (
        "anybpf prog run: --data packet.bin: no file has that name, and it is no hex:DIGITS\n"
    )


def test_variables_and_maps_can_be_given(loaded: Cli, droppacket: Path) -> None:
    line = "prog", "run", droppacket, "--data", DNS
    assert loaded(*line, "--map", "dropped_packets=dropped_packets").code == 0
    assert loaded("map", "dump", "dropped_packets").out == "0: 1\n"
    assert loaded(*line, "--set", "limit=1").err == (
        "anybpf prog run: no variable is named 'limit'; there are: none\n"
    )
    assert loaded(*line, "--set", "limit").err == (
        "anybpf prog run: 'limit' is not of the form --set VARIABLE=VALUE\n"
    )


def test_pin_and_unload(loaded: Cli, runtime: Runtime) -> None:
    number = runtime.ids("program")[0]
    kept = runtime.path("/again")
    assert loaded("prog", "pin", "drop_packet", "/again").out == (
        f"program {number} is pinned at {kept}\n"
    )
    path = next(path for path, _, _ in runtime.pins() if path != kept)
    assert loaded("prog", "unload", number).out == (
        f"removed the pin {kept}\nremoved the pin {path}\nprogram {number} is gone\n"
    )
    assert runtime.ids("program") == []


def test_unload_of_what_somebody_holds(loaded: Cli, runtime: Runtime) -> None:
    number = runtime.ids("program")[0]
    with runtime.program(number):
        told = loaded("prog", "unload", number, "--json").json
        assert (told["gone"], len(told["unpinned"])) == (False, 1)
        assert loaded("prog", "unload", number).out == (
            f"program {number} stays: embedded objects or processes hold it\n"
        )


def test_dump_prints_code_in_three_forms(loaded: Cli, droppacket: Path) -> None:
    source = loaded("prog", "dump", droppacket).out
    assert source.startswith("// drop_packet: xdp\ndrop_packet:\n  ; droppacket.c:")
    code = loaded("prog", "dump", "drop_packet").out.splitlines()
    assert code[:2] == ["// drop_packet: xdp", "   0: r6 = r1"]
    assert code[-1].endswith(": exit")
    told = loaded("prog", "dump", "drop_packet", "--json").json
    assert (told["version"], told["form"], told["program"]) == (1, "xlated", "drop_packet")
    assert told["instructions"][0]["text"] == "r6 = r1"
    bpftool = loaded("prog", "dump", "drop_packet", "--style", "bpftool").out
    assert bpftool.startswith("   0: (bf) r6 = r1\n")
    assert loaded("prog", "dump", "drop_packet", "--form", "bytecode").err == (
        f"anybpf prog dump: what program {told['id']} was loaded from is not kept: give the file, "
        "or ask for --form xlated\n"
    )


def test_profile_of_a_file_runs_each_engine(cli: Cli, droppacket: Path) -> None:
    told = cli("prog", "profile", droppacket, "--data", DNS, "--repeat", 10, "--json").json
    assert [row["engine"] for row in told["runs"]] == ["interpret", "jit"]
    assert told["runs"][0]["retval_name"] == "XDP_DROP"
    out = cli("prog", "profile", droppacket, "--data", DNS, "--repeat", 10).out
    assert out.startswith("drop_packet: 10 runs with each engine\nengine     ns/run  result\n")


def test_profile_of_a_loaded_program_counts_its_runs(loaded: Cli) -> None:
    told = loaded("prog", "profile", "drop_packet", "--seconds", 0.01).out
    assert told == "drop_packet: 0 runs in 0.0 s\n"


@pytest.mark.parametrize(
    "command", ["show", "load", "run", "profile", "dump", "attach", "pin", "unload"]
)
def test_help_has_examples(cli: Cli, command: str) -> None:
    done = cli("prog", command, "--help")
    assert done.code == 0
    assert f"  anybpf prog {command}" in done.out.partition("examples:")[2]
    assert {"--backend", "--json"} <= set(re.findall(r"--[a-z]+", done.out))
