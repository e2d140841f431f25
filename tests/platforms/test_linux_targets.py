"""Typed arguments of tracepoints and iterators, against a running kernel: its log names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anybpf.btf import BTF
from anybpf.btf.layout import resolve
from anybpf.btf.types import Forward, Function, FunctionProto, Pointer, Struct, Typedef, Union
from anybpf.platforms import get
from anybpf.platforms.linux_targets import ITERATORS, NULLABLE_TRACEPOINTS
from tests.platforms import kernel

pytestmark = pytest.mark.skipif(bool(kernel.why_not()), reason=kernel.why_not())

LINUX = get("linux")
VMLINUX = Path("/sys/kernel/btf/vmlinux")
TRACING = LINUX.program_types.number("tracing")


@pytest.fixture(scope="module")
def vmlinux() -> BTF:
    if not VMLINUX.exists():
        pytest.skip("this kernel has no type information")
    return BTF.parse(VMLINUX.read_bytes())


def loaded(attach_type: str, target: int, position: int) -> str:
    """What the kernel says that an argument is, loaded from the context."""
    code = kernel.instruction(0x79, 0, 1, position * 8)
    # A call to nothing makes the load fail, so that there is a log.
    code += kernel.instruction(0x85, imm=1 << 20) + kernel.exit_with(0)
    _, log = kernel.load(TRACING, code, LINUX.attach_types.number(attach_type), target)
    found = re.search(r"\bR0(?:_w)?=([^\s(]+)", log)
    return found[1] if found else ""


def words(attach_type: str, target: str, position: int) -> set[str]:
    return set(LINUX.target_argument("tracing", attach_type, target, position))


def said(log: str) -> set[str]:
    found = {"null"} if "or_null" in log else set[str]()
    if log.startswith("trusted_"):
        found.add("trusted")
    if log.startswith(("rdonly_buf", "buf")):
        found.add("read_buffer" if log.startswith("rdonly") else "buffer")
    return found


def test_iterators(vmlinux: BTF) -> None:
    seen = 0
    for name in ITERATORS:
        functions = [one for one in vmlinux.find_all(f"bpf_iter_{name}") if type(one) is Function]
        if not functions:
            continue
        prototype = vmlinux.type(functions[0].type_id)
        assert isinstance(prototype, FunctionProto)
        for position in range(len(prototype.params)):
            kind = loaded("trace_iter", functions[0].id, position)
            if kind:
                assert words("trace_iter", name, position) == said(kind), (name, position, kind)
                seen += 1
    assert seen > 30


def points_to_structure(btf: BTF, type_id: int) -> bool:
    pointer = resolve(btf, type_id)
    if not isinstance(pointer, Pointer):
        return False
    return isinstance(resolve(btf, pointer.type_id), Struct | Union | Forward)


def test_tracepoints(vmlinux: BTF) -> None:
    """Every pointer to a structure that any tracepoint here passes."""
    seen = 0
    for target in vmlinux.types():
        if not isinstance(target, Typedef) or not target.name.startswith("btf_trace_"):
            continue
        pointer = vmlinux.type(target.type_id)
        prototype = vmlinux.type(pointer.type_id) if isinstance(pointer, Pointer) else None
        if not isinstance(prototype, FunctionProto):
            continue
        name = target.name.removeprefix("btf_trace_")
        for position, parameter in enumerate(prototype.params[1:]):
            if points_to_structure(vmlinux, parameter.type_id):
                kind = loaded("trace_raw_tp", target.id, position)
                if kind:
                    assert words("trace_raw_tp", name, position) == said(kind), (name, position)
                    seen += 1
    assert seen > 100


def test_no_tracepoint_twice() -> None:
    for names in NULLABLE_TRACEPOINTS.values():
        assert len(names.split()) == len(set(names.split()))


def test_members_are_those_of_the_kernel(vmlinux: BTF) -> None:
    found = {}
    for structure in vmlinux.types():
        if isinstance(structure, Struct) and "__safe_" in structure.name:
            name, _, word = structure.name.partition("__safe_")
            for member in structure.members:
                found[name, member.name] = (word.removesuffix("_or_null"), "_or_null" in word)
    assert found == LINUX.members
    assert LINUX.member_trust("task_struct", "real_parent") == ("rcu", False)
    assert LINUX.member_trust("task_struct", "comm") is None


def test_security_hooks() -> None:
    assert LINUX.target_argument("lsm", "lsm_mac", "file_open", 0) == {"trusted"}
    assert LINUX.target_argument("lsm", "lsm_mac", "task_free", 0) == frozenset()
    yes_or_no = LINUX.return_range("lsm", "lsm_mac", "inode_xattr_skipcap")
    assert yes_or_no is not None
    assert (yes_or_no.low, yes_or_no.high) == (0, 1)
    usual = LINUX.return_range("lsm", "lsm_mac", "file_open")
    assert usual is not None
    assert usual.low == -4095
