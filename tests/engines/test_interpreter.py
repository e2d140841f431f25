"""Prepared code becomes a program of the core and runs there, without a runtime."""

from __future__ import annotations

import pytest

from anybpf import _core
from anybpf.engines import prepare
from anybpf.engines.interpreter import make_program
from anybpf.errors import InputError
from anybpf.verifier import verify
from tests.runtime.making import PASS, collection, map_spec

COUNTS = """
    *(u32 *)(r10 - 4) = 1
    r2 = r10
    r2 += -4
    r1 = map[counts]
    call bpf_map_lookup_elem
    if r0 == 0 goto +2
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
    r0 = 2
    exit
"""


def test_code_maps_and_helpers_come_together() -> None:
    spec = collection(COUNTS, maps=[map_spec()])
    program = spec.programs["main"]
    prepared = prepare(program, verify(program, spec))
    domain = _core.Domain(1)
    storage = _core.Map(domain, 1, "array", 4, 8, 4)
    made = make_program(prepared, domain, 2, [storage], [_core.helper("map_lookup_elem")])
    assert made.run(packet=bytes(64), context=bytes(24))[0] == 2
    assert storage.lookup((1).to_bytes(4, "little")) == (1).to_bytes(8, "little")
    made.close()
    storage.close()


def test_what_is_missing_is_counted() -> None:
    spec = collection(COUNTS, maps=[map_spec()])
    program = spec.programs["main"]
    prepared = prepare(program, verify(program, spec))
    with pytest.raises(InputError, match="needs 1 maps and 1 helpers; 0 and 0 were given"):
        make_program(prepared, _core.Domain(1), 1, [], [])


def test_a_number_is_given_once() -> None:
    spec = collection(PASS)
    program = spec.programs["main"]
    prepared = prepare(program, verify(program, spec))
    domain = _core.Domain(1)
    made = make_program(prepared, domain, 1, [], [])
    with pytest.raises(InputError, match="program main cannot be created"):
        make_program(prepared, domain, 1, [], [])
    made.close()
