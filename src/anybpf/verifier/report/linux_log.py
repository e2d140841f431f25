"""The report in the shape of the Linux kernel's verifier log, for tools that read such logs.

Of a refused program, the way to the finding is logged; of an accepted one, every instruction as it
is laid out. Register contents follow the kernel's spelling as far as both know the same things.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa.instruction import SourceLine
from anybpf.isa.listing import bpftool
from anybpf.isa.listing.anybpf import source_place
from anybpf.verifier import values as v
from anybpf.verifier.explain import find_trail
from anybpf.verifier.findings import Finding
from anybpf.verifier.numbers import MAX, MIN, Range
from anybpf.verifier.state import REGISTERS, State
from anybpf.verifier.trail import written
from anybpf.verifier.values import Value
from anybpf.verifier.verification import Verification
from anybpf.verifier.wording import Words, nullness

# Remarks behind instructions start in column 40 or further right in steps of eight, as
# kernel/bpf/log.c has it.
_COLUMN: Final = 40
_STEP: Final = 8
# The most instructions that the kernel looks at; its summary line repeats it.
_LIMIT: Final = 1_000_000
_WORD: Final = 2**64
_NAMES: Final = {
    v.CONTEXT: "ctx",
    v.PACKET: "pkt",
    v.PACKET_END: "pkt_end",
    v.PACKET_META: "pkt_meta",
    v.MAP: "map_ptr",
    v.MAP_VALUE: "map_value",
    v.MEMORY: "mem",
    v.OBJECT: "ptr",
    v.FUNCTION: "func",
}


def lines(verification: Verification) -> list[str]:
    """The log of one program."""
    finding = verification.findings[0] if verification.findings else None
    out: list[str] = []
    if finding is None:
        out += _all_instructions(verification)
    elif 0 <= finding.instruction < len(verification.instructions):
        out += _way(verification, finding)
    if finding is not None:
        out.append(finding.message)
    stats = verification.stats
    states = max(stats.max_states, 0)
    out.append(
        f"processed {stats.steps} insns (limit {_LIMIT}) max_states_per_insn {states} "
        f"total_states {stats.merges + stats.splits} peak_states {states} mark_read 0"
    )
    return out


def _all_instructions(verification: Verification) -> list[str]:
    return _logged(verification, list(range(len(verification.instructions))), False)


def _way(verification: Verification, finding: Finding) -> list[str]:
    return _logged(verification, find_trail(verification, finding, []).way, True)


def _logged(verification: Verification, way: list[int], is_path: bool) -> list[str]:
    """Instructions in this order; ``is_path``: each is run after the one before."""
    words = Words(verification)
    out: list[str] = []
    last: SourceLine | None = None
    for position, index in enumerate(way):
        insn = verification.instructions[index]
        slot = verification.slots[index]
        before = way[position - 1] if position else -1
        state = _state(verification, index)
        if position == 0 and state is not None:
            out.append(f"{slot}: {_registers(verification, state, _kept(state))}")
        elif is_path and before >= 0 and before + 1 != index and state is not None:
            out.append(
                f"from {verification.slots[before]} to {slot}: "
                f"{_registers(verification, state, _kept(state))}"
            )
        line = insn.line
        if line is not None and line.text and not _same_line(line, last):
            out.append(f"; {line.text.strip()} @ {source_place(line)}")
            last = line
        after: State | None = None
        if insn.opcode != _EXIT and not insn.is_local_call and index + 1 < len(verification.slots):
            after = _state(verification, index + 1)
        text = f"{slot}: {bpftool.disassembly(insn, words)}"
        changed = [register for register in written(insn) if after is not None]
        changed = [r for r in changed if after is not None and after.regs[r].kind != v.UNINIT]
        if changed and after is not None and not insn.is_jump:
            text = f"{_padded(text)}; {_registers(verification, after, changed, '_w')}"
        out.append(text)
    return out


def _same_line(line: SourceLine, last: SourceLine | None) -> bool:
    """Whether this is the line shown last; the column does not count."""
    return last is not None and line.line == last.line and line.file == last.file


_EXIT: Final = 0x95


def _padded(text: str) -> str:
    width = max(len(text) + _STEP // 2, _COLUMN)
    width = (width + _STEP - 1) // _STEP * _STEP
    return text.ljust(width - 1)


def _state(verification: Verification, index: int) -> State | None:
    states = verification.states.get(index)
    return states[0] if states else None


def _kept(state: State) -> list[int]:
    return [r for r in range(REGISTERS) if state.regs[r].kind != v.UNINIT]


def _registers(
    verification: Verification, state: State, registers: list[int], mark: str = ""
) -> str:
    return " ".join(
        [f"R{r}{mark}={register_text(verification, state, state.regs[r])}" for r in registers]
    )


def register_text(verification: Verification, state: State, value: Value) -> str:
    """What a register holds, as the kernel prints it: ``scalar(...)``, ``map_value(...)``."""
    if value.kind == v.NUMBER:
        known = state.range_of(value)
        if known.mask == 0:
            constant = int(known.value)
            return str(constant) if -0xFFFF <= constant <= 0xFFFF else hex(constant % _WORD)
        return f"scalar({','.join(_bounds(known))})"
    if value.kind == v.STACK:
        if value.unknown is None:
            return f"fp{int(value.offset)}" if value.offset else "fp0"
        return f"fp({','.join(_distance(state, value))})"
    if value.kind not in _NAMES:
        return "scalar()"
    name = _NAMES[value.kind]
    region = value.region
    facts: list[str] = []
    if region is not None:
        null = nullness(state, region)
        if null == "null":
            return "0"
        if value.kind == v.OBJECT and region.type:
            name = f"ptr_{region.type}"
        if null:
            name += "_or_null"
            facts.append("id=1")
        index = int(region.index)
        if value.kind in (v.MAP, v.MAP_VALUE) and 0 <= index < len(verification.maps):
            spec = verification.maps[index]
            facts += [f"map={spec.name}", f"ks={spec.key_size}", f"vs={spec.value_size}"]
        if value.kind == v.MEMORY:
            facts.append(f"sz={int(region.size)}")
    facts += _distance(state, value)
    if value.kind == v.PACKET and region is state.packet:
        reach = state.reach.get(value.unknown)
        facts.append(f"r={0 if reach is None else max(int(reach), 0)}")
    return f"{name}({','.join(facts)})"


def _distance(state: State, value: Value) -> list[str]:
    """How far a pointer stands from its region's start."""
    out: list[str] = []
    if value.offset:
        out.append(f"off={int(value.offset)}")
    if value.unknown is not None:
        out += _bounds(state.known(value.unknown))
    return out


def _bounds(known: Range) -> list[str]:
    """The bounds that say something; names of equal ones share the number, as in the kernel."""
    low = int(known.low)
    high = int(known.high)
    below = low if low >= 0 or high < 0 else max(int(known.above), 0)
    above = high if low >= 0 or high < 0 else int(known.below)
    named = [
        ("smin", low, MIN),
        ("smax", high, MAX),
        ("umin", below % _WORD, 0),
        ("umax", above % _WORD, _WORD - 1),
    ]
    shown = [(name, value) for name, value, least in named if value != int(least)]
    out: list[str] = []
    done: list[str] = []
    for name, value in shown:
        if name in done:
            continue
        same = [other for other, number in shown if number == value]
        done += same
        out.append(f"{'='.join(same)}={value if abs(value) <= 0xFFFF else hex(value)}")
    mask = int(known.mask) % _WORD
    if mask != _WORD - 1:
        out.append(f"var_off=({int(known.value) % _WORD:#x}; {mask:#x})")
    return out
