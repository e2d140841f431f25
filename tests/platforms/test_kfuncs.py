"""Kernel functions and callbacks of the Linux tables, by themselves and against a running kernel.

The kernel's BTF names its functions and their parameters; loading a program that calls one tells
who may call it, and whether it sleeps. Nothing is attached.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from anybpf.btf import BTF
from anybpf.btf.types import DeclTag, Function, FunctionProto, Struct, Typedef
from anybpf.platforms import Kfunc, get, kinds
from anybpf.platforms.linux_kfuncs import CALLERS
from anybpf.platforms.prototype import parse
from tests.platforms import kernel

LINUX = get("linux")
VMLINUX = Path("/sys/kernel/btf/vmlinux")

# Kept by the kernel for its own tests.
FOR_TESTS = ("bpf_modify_return_", "bpf_fentry_test", "bpf_kfunc_call_", "bpf_kfunc_call")

FLAGS = {
    *("gpl", "sleeps", "calls_back", "later", "no_return", "fastcall", "invalidates_packet"),
    *("casts", "slices", "lock", "unlock", "in_lock", "trusted_args", "rcu", "rcu_protected"),
    *("iter_new", "iter_next", "iter_destroy", "graph", "rcu_lock", "rcu_unlock"),
    *("preempt_disable", "preempt_enable", "irq_save", "irq_restore", "destructive"),
    *("device_bound", "sleeps_or_hook", "trap"),
}


@pytest.fixture(params=list(LINUX.kfuncs), ids=lambda kfunc: kfunc.name)
def kfunc(request: pytest.FixtureRequest) -> Kfunc:
    found: Kfunc = request.param
    return found


def test_words_are_known(kfunc: Kfunc) -> None:
    assert kfunc.flags <= FLAGS
    assert kfunc.returns.kind in kinds.RETURN_KINDS
    assert len(kfunc.args) <= LINUX.limits["helper_args"]
    for arg in kfunc.args:
        assert arg.kind in kinds.ARG_KINDS
        if arg.is_size:
            assert kfunc.args[arg.memory_arg].size_arg == kfunc.args.index(arg)
        if arg.kind == kinds.MEMORY:
            assert (arg.size_arg >= 0) != (arg.size > 0)
        if arg.kind == kinds.FUNCTION:
            assert LINUX.callback(arg.type).name == arg.type
    for name in kfunc.program_types:
        assert name in LINUX.program_types
    for name in kfunc.attach_types:
        assert name in LINUX.attach_types


def test_memory_that_comes_back_has_a_size(kfunc: Kfunc) -> None:
    if kfunc.returns.kind == kinds.MEMORY:
        assert (kfunc.returns.size > 0) != (kfunc.returns.size_arg >= 0)


def test_iterators_come_in_threes() -> None:
    rows = {flag: set[str]() for flag in ("iter_new", "iter_next", "iter_destroy")}
    for kfunc in LINUX.kfuncs:
        for flag, names in rows.items():
            if flag in kfunc.flags:
                assert kfunc.args[0].kind == kinds.ITERATOR
                assert kfunc.args[0].access == ("w" if flag == "iter_new" else "rw")
                names.add(kfunc.args[0].type)
    assert rows["iter_new"] == rows["iter_next"] == rows["iter_destroy"]
    assert "num" in rows["iter_new"]


def test_what_is_acquired_can_be_released() -> None:
    released = {
        kfunc.args[kfunc.released_arg].type for kfunc in LINUX.kfuncs if kfunc.released_arg >= 0
    }
    for kfunc in LINUX.kfuncs:
        if kfunc.acquires and kfunc.returns.kind == kinds.BTF_POINTER:
            assert kfunc.returns.type in released | {"nf_conn___init"}, kfunc


def test_look_ups() -> None:
    acquire = LINUX.kfunc("bpf_task_acquire")
    assert acquire is not None
    assert acquire.args[0].trust == kinds.RCU
    assert acquire.returns.nullable
    assert acquire.returns.trusted
    assert LINUX.kfunc("bpf_no_such_function") is None
    assert LINUX.kfunc_allowed("bpf_task_acquire", "xdp")
    assert not LINUX.kfunc_allowed("bpf_task_acquire", "socket_filter")
    assert LINUX.kfunc_allowed("bpf_sock_destroy", "tracing", "trace_iter")
    assert not LINUX.kfunc_allowed("bpf_sock_destroy", "tracing", "trace_fentry")
    assert get("windows").kfunc("bpf_task_acquire") is None


def test_suffixes_are_words_of_prototypes() -> None:
    for word in LINUX.kfunc_suffixes.values():
        if word != "?":
            args, _ = parse(f"memory:mem=1 it:{word} -> void")
            assert args[1].kind in kinds.ARG_KINDS


@pytest.mark.parametrize("shape", LINUX.callback_shapes())
def test_callbacks(shape: str) -> None:
    callback = LINUX.callback(shape)
    assert callback.low <= callback.high
    assert callback.runs in ("loop", "once", "later")
    users = [
        function
        for function in (*LINUX.helpers, *LINUX.kfuncs)
        for arg in function.args
        if arg.kind == kinds.FUNCTION and arg.type == shape
    ]
    assert users
    for user in users:
        assert "calls_back" in user.flags
        assert ("later" in user.flags) == (callback.runs == "later")
        names = {arg.name for arg in user.args}
        for arg in callback.args:
            assert arg.kind != kinds.PASSED or arg.type in names, (user, arg)


# Against the kernel that runs here.


@pytest.fixture(scope="module")
def vmlinux() -> BTF:
    reason = kernel.why_not()
    if reason:
        pytest.skip(reason)
    if not VMLINUX.exists():
        pytest.skip("this kernel has no type information")
    return BTF.parse(VMLINUX.read_bytes())


@pytest.fixture(scope="module")
def numbers(vmlinux: BTF) -> dict[str, int]:
    """The BTF ids of the functions that the kernel says programs may call."""
    found = {}
    for tag in vmlinux.types():
        if isinstance(tag, DeclTag) and tag.name == "bpf_kfunc":
            function = vmlinux.type(tag.type_id)
            found[function.name] = function.id
    return found


def test_all_that_this_kernel_has_are_in_the_table(numbers: dict[str, int]) -> None:
    missing = [
        name for name in numbers if name not in LINUX.kfuncs and not name.startswith(FOR_TESTS)
    ]
    assert missing == []


def test_prototypes(vmlinux: BTF, numbers: dict[str, int], kfunc: Kfunc) -> None:
    if kfunc.name not in numbers:
        pytest.skip("this kernel was built without it")
    function = vmlinux.type(numbers[kfunc.name])
    assert isinstance(function, Function)
    prototype = vmlinux.type(function.type_id)
    assert isinstance(prototype, FunctionProto)
    assert [arg.name for arg in kfunc.args] == [parameter.name for parameter in prototype.params]
    assert (kfunc.returns.kind == kinds.VOID) == (prototype.return_id == 0)
    for arg in kfunc.args:
        for suffix, word in LINUX.kfunc_suffixes.items():
            if arg.name.endswith(suffix) and arg.kind not in (kinds.ARENA, kinds.DYNPTR):
                expected = parse(f"memory:mem=1 it:{word} -> void")[0][1] if word != "?" else arg
                assert arg.kind == expected.kind, arg
                assert word != "?" or arg.nullable


def places(vmlinux: BTF) -> list[tuple[str, str, int, int]]:
    """Where programs load here: program type, attach type, its number, BTF id of the target."""
    found = []
    for kind in LINUX.program_types:
        targets: list[tuple[str, int, int]] = []
        if kind.name == "tracing":
            for name, target in (("trace_raw_tp", "btf_trace_sys_enter"), ("trace_iter", "")):
                kinds_of = Typedef if target else Function
                wanted = target or "bpf_iter_task"
                types = [one for one in vmlinux.find_all(wanted) if isinstance(one, kinds_of)]
                targets += [(name, LINUX.attach_types.number(name), one.id) for one in types[:1]]
        elif kind.name == "struct_ops":
            structures = vmlinux.find_all("tcp_congestion_ops")
            for structure in [one for one in structures if isinstance(one, Struct)][:1]:
                members = [member.name for member in structure.members]
                targets.append(("struct_ops", members.index("ssthresh"), structure.id))
        elif kind.number and kind.name not in ("ext", "lsm", "lirc_mode2"):
            names = kind.attach_types[-1:] or ("",)
            targets += [(name, LINUX.attach_types.number(name) if name else 0, 0) for name in names]
        found += [(kind.name, *target) for target in targets]
    return found


def flags_of(program_type: str) -> int:
    return kernel.SLEEPABLE if program_type == "syscall" else 0


def test_who_may_call(vmlinux: BTF, numbers: dict[str, int]) -> None:
    """One function for each word of the table of callers, asked of every program type."""
    words: dict[str, str] = {}
    for row in LINUX.kfuncs:
        if row.name in numbers and "device_bound" not in row.flags:
            words.setdefault(f"{sorted(row.program_types)} {sorted(row.attach_types)}", row.name)
    assert len(words) >= len(CALLERS) - 3
    wrong = []
    for program_type, attach_type, number, target in places(vmlinux):
        for name in words.values():
            code = kernel.instruction(0x85, src=2, imm=numbers[name]) + kernel.exit_with(1)
            _, log = kernel.load(
                LINUX.program_types.number(program_type),
                code,
                number,
                target,
                flags_of(program_type),
            )
            allowed = "is not allowed" not in log
            if allowed != LINUX.kfunc_allowed(name, program_type, attach_type):
                wrong.append((name, program_type, attach_type))
    assert wrong == []


def test_which_sleep(vmlinux: BTF, numbers: dict[str, int], kfunc: Kfunc) -> None:
    if kfunc.name not in numbers or "device_bound" in kfunc.flags:
        pytest.skip("this kernel was built without it, or asks for a device")
    code = kernel.instruction(0x85, src=2, imm=numbers[kfunc.name]) + kernel.exit_with(1)
    for program_type, attach_type, number, target in places(vmlinux):
        if program_type == "syscall" or not LINUX.kfunc_allowed(kfunc, program_type, attach_type):
            continue
        _, log = kernel.load(LINUX.program_types.number(program_type), code, number, target)
        assert ("program must be sleepable" in log) == kfunc.sleeps, log
        return
    pytest.skip("only programs that sleep, or that do not load here, may call it")


def test_ignored_arguments_need_not_be_initialised(numbers: dict[str, int]) -> None:
    code = kernel.instruction(0x85, src=2, imm=numbers["bpf_strcmp"]) + kernel.exit_with(1)
    assert kernel.load(LINUX.program_types.number("xdp"), code)[0]
