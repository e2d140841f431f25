"""The Linux tables' numbers and layouts against the running kernel's own type information."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from anybpf.platforms import get
from anybpf.platforms.table import Table

VMLINUX = Path("/sys/kernel/btf/vmlinux")
LINUX = get("linux")


@pytest.fixture(scope="module")
def header() -> str:
    """The kernel's types as C text."""
    if not VMLINUX.exists():
        pytest.skip("this kernel has no type information")
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not here to print the kernel's types")
    command = ["bpftool", "btf", "dump", "file", str(VMLINUX), "format", "c"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def enumerators(header: str, name: str, prefix: str) -> dict[str, int]:
    """The values of an enum, names without their prefix and in lower case."""
    start = header.index(f"\nenum {name} {{")
    found = {}
    for line in header[start : header.index("};", start)].splitlines()[2:]:
        left, _, right = line.strip().rstrip(",").partition(" = ")
        if left.startswith(prefix):
            found[left[len(prefix) :].lower()] = int(right)
    return found


@pytest.mark.parametrize(
    ("enum", "prefix", "table"),
    [
        ("bpf_prog_type", "BPF_PROG_TYPE_", LINUX.program_types),
        ("bpf_map_type", "BPF_MAP_TYPE_", LINUX.map_types),
        ("bpf_attach_type", "BPF_", LINUX.attach_types),
        ("bpf_link_type", "BPF_LINK_TYPE_", LINUX.link_types),
    ],
)
def test_numbers(header: str, enum: str, prefix: str, table: Table[object]) -> None:
    known = max(table.numbers())
    seen = 0
    for name, number in enumerators(header, enum, prefix).items():
        if number > known:
            continue  # a kernel newer than the table
        assert table.number(name) == number, name
        seen += 1
    assert seen >= 14


def test_helper_numbers(header: str) -> None:
    start = header.index("BPF_FUNC_unspec")
    body = header[start : header.index("__BPF_FUNC_MAX_ID", start)]
    seen = 0
    for line in body.splitlines()[1:]:
        name, _, number = line.strip().rstrip(",").partition(" = ")
        if int(number or 0) in LINUX.helpers:
            assert LINUX.helpers.name(int(number)) == f"bpf_{name.removeprefix('BPF_FUNC_')}"
            seen += 1
    assert seen >= 200


# Structures of the kernel's that bear the same name as the layout. pt_regs lies inside
# bpf_perf_event_data; raw tracepoint arguments and the infrared sample have no structure.
STRUCTURES = [
    "__sk_buff",
    "xdp_md",
    "bpf_sock",
    "bpf_sock_addr",
    "bpf_sock_ops",
    "sk_msg_md",
    "sk_reuseport_md",
    "bpf_sk_lookup",
    "bpf_sysctl",
    "bpf_sockopt",
    "bpf_cgroup_dev_ctx",
    "bpf_tcp_sock",
    "bpf_xdp_sock",
    "bpf_flow_keys",
    "bpf_nf_ctx",
    "pt_regs",
]


@pytest.mark.parametrize("name", STRUCTURES)
def test_layouts(header: str, name: str, tmp_path: Path) -> None:
    """A C compiler lays the kernel's declaration out and says where each field lies."""
    compiler = shutil.which("clang") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is here to lay structures out")
    layout = LINUX.structure(name)
    checks = [f'_Static_assert(sizeof(struct {name}) == {layout.size}, "size");']
    seen: set[str] = set()
    for field in layout.fields:
        place = f"__builtin_offsetof(struct {name}, {field.name})"
        checks.append(f'_Static_assert({place} == {field.offset}, "{field.name}");')
        # Of two rows for one field the first has its true size. Registers: the slot's size counts,
        # of which a selector fills a part.
        if field.name not in seen and name != "pt_regs":
            size = f"sizeof(((struct {name} *)0)->{field.name})"
            checks.append(f'_Static_assert({size} == {field.size}, "size of {field.name}");')
        seen.add(field.name)
    source = tmp_path / "layout.c"
    source.write_text(header + "\n" + "\n".join(checks) + "\n")
    done = subprocess.run(
        [compiler, "-w", "-fsyntax-only", "-m64", str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:2000]
