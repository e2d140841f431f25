"""What is special about eBPF for Windows, and its tables against the written inventory of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.platforms import get

WINDOWS = get("windows")


def test_result_codes() -> None:
    code = WINDOWS.result_code("EBPF_INSUFFICIENT_BUFFER")
    assert (code.number, code.ntstatus, code.win32, code.errno) == (
        24,
        "STATUS_BUFFER_OVERFLOW",
        "ERROR_MORE_DATA",
        "ENOBUFS",
    )
    assert WINDOWS.result_code(14).win32 == "RPC_S_CALL_FAILED"
    assert WINDOWS.result_codes.numbers() == list(range(35))


def test_contexts() -> None:
    bind = WINDOWS.program_type("bind").context
    assert bind is not None
    assert (bind.size, bind.data, bind.data_end, bind.data_meta) == (56, 0, 8, -1)
    netevent = WINDOWS.program_type("netevent_monitor").context
    assert netevent is not None
    assert (netevent.data, netevent.data_end, netevent.data_meta) == (8, 16, 0)


def test_whatever_is_no_pointer_may_be_read_and_written() -> None:
    assert WINDOWS.context_access("bind", 16, 8, write=True) is not None
    assert WINDOWS.context_access("sock_addr", 0, 8) is not None  # two fields at once
    assert WINDOWS.context_access("sock_addr", 60, 8) is None  # over the end
    assert WINDOWS.context_access("bind", 0, 8) is not None
    assert WINDOWS.context_access("bind", 0, 4) is None  # half a pointer
    assert WINDOWS.context_access("bind", 8, 8, write=True) is None


def test_definitions_before_btf() -> None:
    assert WINDOWS.legacy_map_fields == ("inner_index", "pinning", "id", "inner_id")
    assert get("linux").legacy_map_fields == ()


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    found = []
    for line in text[text.index(heading) :].splitlines()[1:]:
        if line.startswith("|"):
            found.append([cell.strip(" `") for cell in line.strip("|").split("|")])
        elif found:
            break
    return found[2:]


@pytest.fixture(scope="module")
def inventory(shared: Path) -> str:
    """A written inventory of eBPF for Windows."""
    return (shared / "reference" / "ebpf-for-windows.md").read_text()


def test_program_types_of_the_inventory(inventory: str) -> None:
    seen = 0
    for cells in rows(inventory, "### 1.1 Program types"):
        if cells[1].isdigit() and cells[1] != "0":
            kind = WINDOWS.program_type(int(cells[1]))
            assert (kind.name, kind.guid) == (cells[3], cells[2])
            assert WINDOWS.program_type(cells[0].lower()) is kind
            seen += 1
    assert seen == 7


def test_attach_types_of_the_inventory(inventory: str) -> None:
    seen = 0
    for cells in rows(inventory, "### 1.2 Attach types"):
        if cells[1].isdigit() and cells[1] not in ("0", "9"):
            kind = WINDOWS.attach_type(int(cells[1]))
            assert (kind.name, kind.guid) == (cells[3], cells[2])
            assert WINDOWS.attach_type(cells[0].lower()) is kind
            assert WINDOWS.section(cells[3]).attach_type == kind.name
            seen += 1
    assert seen == 16


def test_maps_and_helpers_of_the_inventory(inventory: str) -> None:
    maps = [cells for cells in rows(inventory, "### 2.1 Map types") if cells[1] not in ("0", "17")]
    assert [(int(cells[1]), cells[2]) for cells in maps] == [
        (kind.number, kind.name) for kind in WINDOWS.map_types if kind.number
    ]
    for cells in rows(inventory, "### 3.1 General"):
        if cells[0].isdigit():
            assert WINDOWS.helper(cells[1]).number == int(cells[0])


def test_arguments_of_the_inventory(inventory: str) -> None:
    """C context, M map, K key, V value, R and W memory, S size, n anything."""
    letters = {
        "context": "C",
        "map": "M",
        "map_key": "K",
        "map_value": "V",
        "size": "S",
        "size_or_zero": "S",
        "anything": "n",
    }
    for cells in rows(inventory, "### 3.1 General"):
        if not cells[0].isdigit() or cells[1] == "bpf_tail_call":
            continue  # its map is written out in words there
        helper = WINDOWS.helper(int(cells[0]))
        found = [
            letters.get(arg.kind) or ("R" if arg.access == "r" else "W") for arg in helper.args
        ]
        wanted = cells[2].split(" ->")[0].strip("-")
        assert ",".join(found) == wanted, helper


def test_results_of_the_inventory(inventory: str) -> None:
    for number, name, ntstatus, win32, errno in rows(inventory, "### 4.5 `ebpf_result_t`"):
        code = WINDOWS.result_code(int(number))
        assert code.name == f"EBPF_{name}"
        assert code.ntstatus == f"STATUS_{ntstatus}"
        if int(number):
            assert code.win32.removeprefix("ERROR_") == win32.split(" (")[0]
            assert code.errno == errno
