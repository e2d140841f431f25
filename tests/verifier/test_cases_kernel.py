"""The cases put before the running kernel's verifier: it must say what they say of Linux.

Only cases that begin at the program's entry can be; nothing is attached or run. Other kernels know
other helpers and rules, so this runs on the version that the cases were written against.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from anybpf.btf import types as t
from anybpf.isa import opcodes as op
from fuzz import linux_btf, linux_kernel, linux_syscall
from tests.verifier.cases import FOLDER, Case, Prepared, read_cases

VERSION = "6.18."


@pytest.fixture(autouse=True, scope="module")
def _kernel() -> None:
    problem = linux_syscall.unavailable()
    if problem:
        pytest.skip(f"no kernel to ask: {problem}")
    if not platform.release().startswith(VERSION):
        pytest.skip(f"the cases speak of Linux {VERSION[:-1]}, this is {platform.release()}")


def ask(case: Case) -> linux_kernel.KernelVerdict:
    prepared = Prepared(case)
    kernel = linux_btf.kernel_btf()
    for insn in prepared.instructions:
        if insn.opcode == op.CALL_IMM and insn.src == op.CALL_BTF and kernel is not None:
            found = kernel.find(insn.reference, t.KIND_FUNC)
            if found is not None:
                insn.imm = found.id
    if prepared.needs_types:
        spec, program = prepared.collection()
        with linux_kernel.KernelObject(spec) as loaded:
            return loaded.load(program)
    return linux_kernel.load_instructions(
        prepared.instructions,
        case.words["type"],
        prepared.maps,
        case.words.get("attach", ""),
        license=case.words["license"],
    )


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.case")), ids=lambda path: path.stem)
def test_the_kernel_says_what_the_cases_say_of_it(path: Path) -> None:
    wrong = []
    for case in read_cases(path):
        if case.words["platform"] != "linux" or "before" in case.words:
            continue
        verdict = ask(case)
        # What this machine is not configured for never comes before the verifier.
        if verdict.obstacle:
            continue
        if verdict.accepted != (case.accept if not case.linux else case.linux == "accepts"):
            wrong.append(f"{case.where}: {case.title}: {verdict!r}")
    assert not wrong
