"""The real bpftool and ours, side by side on the same objects of the kernel: whole outputs.

It runs where bpf(2), namespaces and bpftool 7.1 are to be had, in mounts and a network of its own.
What is known to differ stands in docs/reference-bpftool.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anybpf.backends.linux import unavailable
from tests.cli.bpftool.objects import GROUP, ITERATOR, THING
from tests.conftest import ROOT

P = "pinned /sys/fs/bpf/real/p/first"
M = "pinned /sys/fs/bpf/{}/m"
R = "pinned /sys/fs/bpf/real/m"
WIDE = " ".join(str(number) for number in range(1, 21))

LINES = f"""\
prog show {P}
-j prog show {P}
-p prog show {P}
-j prog show name first
prog show id 99999999
prog show tag xx
prog show name nothing
prog show id 1x
prog show pinned /sys/fs/bpf/real/m/ring
prog dump xlated {P}
prog dump xlated {P} opcodes
prog dump xlated {P} linum
prog dump xlated {P} visual
-j prog dump xlated {P}
-j prog dump xlated {P} linum
-p prog dump xlated {P} opcodes
prog dump xlated name second
-j prog dump xlated name second
prog dump foo
prog run {P}
prog run {P} data_in /nonexistent
prog attach {P} xdp
prog pin {P} /sys/fs/bpf/{{}}/pinned
prog pin {P} /sys/fs/bpf/{{}}/pinned
prog pin {P}
map show pinned /sys/fs/bpf/real/m/things
-j map show pinned /sys/fs/bpf/real/m/jumps
map show pinned /sys/fs/bpf/real/m/jumps
-p map show pinned /sys/fs/bpf/real/m/typed_rodata
map show pinned {P}
map show pinned /sys/fs/bpf/none
map update {M}/things key 1 0 0 0 value {THING}
map update {M}/things key 1 0 0 0 value 1
map update {M}/things key 1 0 0 0 value {THING} noexist
map dump {M}/things
-j map dump {M}/things
-p map dump {M}/things
map lookup {M}/things key 1 0 0 0
-p map lookup {M}/things key 1 0 0 0
map lookup {M}/things key 2 0 0 0
-j map lookup {M}/things key 2 0 0 0
map getnext {M}/things
-j map getnext {M}/things
map getnext {M}/things key 1 0 0 0
map delete {M}/things key 1 0 0 0
map delete {M}/things key 1 0 0 0
map update {M}/counts key 0 0 0 0 value 1 0 0 0 0 0 0 0
map dump {M}/counts
-j map dump {M}/counts
-p map lookup {M}/counts key 0 0 0 0
map delete {M}/counts key 0 0 0 0
map update {M}/jumps key 0 0 0 0 value {P}
map dump {M}/jumps
map lookup {M}/jumps key 1 0 0 0
map dump {M}/typed_data
-j map dump {M}/typed_data
map dump {M}/ring
-j map dump {M}/ring
map lookup {M}/ring
map create /sys/fs/bpf/{{}}/h type hash key 20 value 40 entries 2 name h
map update pinned /sys/fs/bpf/{{}}/h key {WIDE} value {WIDE} {WIDE}
map dump pinned /sys/fs/bpf/{{}}/h
map getnext pinned /sys/fs/bpf/{{}}/h
map freeze pinned /sys/fs/bpf/{{}}/h
map freeze pinned /sys/fs/bpf/{{}}/h
map update pinned /sys/fs/bpf/{{}}/h key {WIDE} value {WIDE} {WIDE}
map create /sys/fs/bpf/{{}}/q type queue key 0 value 4 entries 4 name q
map push pinned /sys/fs/bpf/{{}}/q value 1 2 3 4
map peek pinned /sys/fs/bpf/{{}}/q
-j map pop pinned /sys/fs/bpf/{{}}/q
map pop pinned /sys/fs/bpf/{{}}/q
map peek pinned /sys/fs/bpf/{{}}/q
map dump pinned /sys/fs/bpf/{{}}/q
map getnext pinned /sys/fs/bpf/{{}}/q
map create /sys/fs/bpf/{{}}/o type array_of_maps key 4 value 4 entries 4 name o inner_map {R}/things
map update pinned /sys/fs/bpf/{{}}/o key 0 0 0 0 value pinned /sys/fs/bpf/real/m/things
map update pinned /sys/fs/bpf/{{}}/o key 0 0 0 0 value pinned /sys/fs/bpf/real/m/counts
map dump pinned /sys/fs/bpf/{{}}/o
map create /sys/fs/bpf/{{}}/d type devmap key 4 value 4 entries 2 name d
map dump pinned /sys/fs/bpf/{{}}/d
-j map dump pinned /sys/fs/bpf/{{}}/d
map create /sys/fs/bpf/{{}}/c type percpu_array key 4 value 24 entries 1 name c
map dump pinned /sys/fs/bpf/{{}}/c
map pin pinned /sys/fs/bpf/{{}}/c /sys/fs/bpf/{{}}/c
map lookup name toolongnameofmapxxxx
map update pinned /sys/fs/bpf/{{}}/c key hex 1 0 0 zz value 1 1 1 1
btf dump prog {P}
-j btf dump prog {P}
btf dump map pinned /sys/fs/bpf/real/m/things kv
btf dump map pinned /sys/fs/bpf/real/m/things value format c
btf dump prog {P} format c
-j btf dump prog {P} format c
btf dump file /nonexistent
btf show id 99999999
iter pin ITERATOR /sys/fs/bpf/{{}}/it
iter pin ITERATOR /sys/fs/bpf/{{}}/it
link show pinned /sys/fs/bpf/real/it
-j link show pinned /sys/fs/bpf/real/it
-p link show pinned /sys/fs/bpf/real/it
link pin pinned /sys/fs/bpf/{{}}/it /sys/fs/bpf/{{}}/it2
link show id 99999999
link show foo
net show
-j net show
net attach xdp {P} dev lo
net show
-p net show dev lo
net detach xdpgeneric dev lo
net show dev nope
net attach foo id 1 dev lo
cgroup show /
cgroup attach GROUP egress pinned /sys/fs/bpf/{{}}/p/out multi
cgroup attach GROUP egress pinned /sys/fs/bpf/real/p/out nonsense
cgroup show GROUP
-j cgroup show GROUP
cgroup show GROUP effective
-p cgroup show GROUP effective
cgroup tree GROUP
-j cgroup tree GROUP
cgroup detach GROUP cgroup_inet_ingress pinned /sys/fs/bpf/real/p/out
perf show
-j perf show
struct_ops show
-j struct_ops show
cgroup attach / foo id 1
cgroup show /nonexistent
batch file /nonexistent
-j map foo
-j map create
map create
map freeze
"""

# Ours attaches where the real one is already: there is but one device.
SECOND_AT_ONE_PLACE = ("net attach xdp ",)


def masked(run: list[Any]) -> str:
    return re.sub(r"/sys/fs/bpf/(real|ours)", "/sys/fs/bpf/twin", json.dumps(run))


def possible() -> str:
    """Why the comparison cannot be made here; '' if it can."""
    if unavailable():
        return unavailable()
    tool = shutil.which("bpftool")
    if tool is None:
        return "no bpftool on this machine"
    version = subprocess.run([tool, "version"], capture_output=True, text=True, check=False)
    if "v7.1" not in version.stdout:
        return "outputs are compared with those of bpftool 7.1"
    own = subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True, check=False)
    return "no namespaces of one's own here" if own.returncode else ""


@pytest.fixture(scope="module")
def outputs(
    build: Callable[..., Path], typed_object: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    reason = possible()
    if reason:
        pytest.skip(reason)
    iterator = build(ITERATOR, name="it.bpf")
    group = build(GROUP, name="group.bpf")
    folder = tmp_path_factory.mktemp("groups")
    lines = LINES.replace("ITERATOR", str(iterator)).splitlines()
    done = subprocess.run(
        ["unshare", "-m", "-n", "--propagation", "private", sys.executable, "-m",
         "tests.cli.bpftool.compare"],
        input=json.dumps(
            {"objects": [str(typed_object), str(group)], "folder": str(folder), "lines": lines}
        ),
        capture_output=True, text=True, timeout=300, cwd=ROOT, env=dict(os.environ), check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"the objects cannot be prepared here: {done.stderr.strip()[-300:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(found) == len(lines)
    return found


def test_outputs_are_the_same(outputs: list[dict[str, Any]]) -> None:
    other = [
        f"{one['line']}\n  real: {one['real']}\n  ours: {one['ours']}"
        for one in outputs
        if not one["line"].startswith(SECOND_AT_ONE_PLACE)
        and masked(one["real"]) != masked(one["ours"])
    ]
    assert not other, "\n".join(other)
