"""How long the kernel's types take to be indexed, against bpftool printing them; and headers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ratio import compare, cpu_of_call, cpu_of_command

from anybpf.btf import BTF, container
from anybpf.btf.cdump import dump_c

KERNEL = Path("/sys/kernel/btf/vmlinux")


def main() -> None:
    bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")
    if bpftool is None or not KERNEL.is_file():
        sys.exit(f"this needs bpftool and {KERNEL}")
    listing = [bpftool, "btf", "dump", "file", str(KERNEL), "format", "raw"]
    header = [bpftool, "btf", "dump", "file", str(KERNEL), "format", "c"]
    data = KERNEL.read_bytes()
    how = "uncompiled" if container.__file__.endswith(".py") else "compiled"
    print(f"{len(BTF.parse(data)) - 1} types of the running kernel, anybpf {how}")

    def index() -> None:
        found = BTF.parse(KERNEL.read_bytes()).find("task_struct")
        assert found is not None

    compare(
        "types parsed and indexed by name, over `bpftool btf dump file vmlinux format raw`",
        ("BTF.parse and the first find()", lambda: cpu_of_call(index)),
        ("bpftool", lambda: cpu_of_command(listing)),
        rounds=15,
        goal=3,
    )
    compare(
        "a C header of all types, over `bpftool btf dump file vmlinux format c`",
        ("BTF.parse and dump_c()", lambda: cpu_of_call(lambda: dump_c(BTF.parse(data)))),
        ("bpftool", lambda: cpu_of_command(header)),
        rounds=5,
    )


if __name__ == "__main__":
    main()
