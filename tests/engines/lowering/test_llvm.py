"""The text for LLVM: that it is legal, and that it says what the plan says."""

from __future__ import annotations

import re

import pytest

from anybpf import _core
from anybpf.engines import llvm
from anybpf.engines.lowering import ALL, Source
from anybpf.engines.lowering.llvm import SYMBOLS, TABLE, print_module
from tests.engines.lowering.making import plan, proved, unproved
from tests.engines.lowering.test_plan import ON_PACKET
from tests.runtime.making import map_spec


def text_of(source: Source, checks: str = "unproved", imports: str = SYMBOLS) -> str:
    return print_module(plan(source, checks), _core.LAYOUT, imports=imports).text


LOOKUP = """
    *(u32 *)(r10 - 4) = 0
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 + 0)
    r1 += 1
    *(u64 *)(r0 + 0) = r1
out:
    r0 = 2
    exit
"""


def test_proved_programs_call_nothing_that_checks() -> None:
    text = text_of(proved(ON_PACKET))
    assert "anybpf_native" not in text
    assert "inttoptr" not in text
    assert "anybpf_native_fault" in text_of(proved(ON_PACKET), ALL)


def test_packet_and_context_are_apart() -> None:
    """Accesses of different kinds have scopes of their own."""
    scopes = set(re.findall(r"!alias.scope !(\d+)", text_of(proved(ON_PACKET))))
    assert len(scopes) == 2


def test_values_of_maps_are_read_once_and_whole() -> None:
    text = text_of(proved(LOOKUP, [map_spec()]))
    assert re.search(r"load atomic i64, ptr %\w+ unordered, align 8", text)
    assert "@anybpf_values_0" in text
    assert "anybpf_helper" not in text


def test_unwritten_bytes_hold_something() -> None:
    assert "freeze" in text_of(unproved("r0 = *(u64 *)(r10 - 8); exit"))


def test_a_table_stands_in_for_symbols() -> None:
    source = proved(LOOKUP, [map_spec()])
    module = print_module(plan(source), _core.LAYOUT, imports=TABLE)
    assert module.imports == ["anybpf_map_0", "anybpf_values_0"]
    assert "@anybpf_values_0" not in module.text
    assert "@anybpf_imports" in module.text


def test_names_can_begin_otherwise() -> None:
    module = print_module(plan(unproved("r0 = 1; exit")), _core.LAYOUT, prefix="one_")
    assert "define i64 @one_anybpf_entry(" in module.text


def test_places_are_slots_counted_from_one() -> None:
    source = unproved("r0 = 81985529216486895 ll; r0 += 1; exit")
    module = print_module(plan(source), _core.LAYOUT, lines=True)
    lines = {int(one) for one in re.findall(r"DILocation\(line: (\d+)", module.text)}
    assert lines == {1, 3, 4}
    assert "DILocation" not in text_of(source)


@pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")
@pytest.mark.parametrize("imports", [SYMBOLS, TABLE])
@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("checks", ["unproved", ALL])
def test_llvm_takes_it(imports: str, lines: bool, checks: str) -> None:
    """In each form, with places, checks, calls of all kinds."""
    texts = [ON_PACKET, LOOKUP]
    sources = [proved(text, [map_spec()]) for text in texts]
    sources.append(
        unproved("""
        r6 = r1
        r2 = 0
        *(u64 *)(r10 - 8) = r1
        lock *(u64 *)(r10 - 8) += r2
        call f
        r1 = r6
        callx r1
    again:
        r0 += 1
        r0 s/= r2
        w0 %= w2
        r0 = bswap32 r0
        if r0 s> 5 goto again
        exit
    f:
        may_goto +1
        goto f
        r0 = *(s8 *)(r1 + 0)
        exit
    """)
    )
    for source in sources:
        module = print_module(plan(source, checks), _core.LAYOUT, imports=imports, lines=lines)
        assert llvm.compile_ir(module.text, pic=imports == TABLE)[:4] == b"\x7fELF"
