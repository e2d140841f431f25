"""`bpftool prog dump xlated … visual`: the control flow of a program as a graph for Graphviz.

A cluster for each function, a node for each basic block between ENTRY and EXIT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from anybpf.isa import opcodes as op

if TYPE_CHECKING:
    from anybpf.isa import Instruction

_ESCAPED: Final = str.maketrans({one: f"\\{one}" for one in '<>|{}"'})
_EDGE: Final = 'style="solid,bold", color=black, weight=10, constraint=true'
_ENTRY: Final = 0
_EXIT: Final = 1

Worded = Callable[["Instruction"], str]


def graph(code: list[Instruction], worded: Worded) -> str:
    """The whole program."""
    slots: dict[int, Instruction] = {}
    slot = 0
    for insn in code:
        slots[slot] = insn
        slot += insn.slots
    starts = {0}
    for at, insn in slots.items():
        if insn.is_local_call:
            starts.add(at + insn.imm + 1)
        elif insn.is_function_load:
            starts.add(at + insn.low - ((insn.low & 0x80000000) << 1) + 1)
    bounds = [*sorted(start for start in starts if start in slots), slot]
    out = ['digraph "DOT graph for eBPF program" {\n']
    for index in range(len(bounds) - 1):
        own = {at: slots[at] for at in slots if bounds[index] <= at < bounds[index + 1]}
        out.append(_function(index, own, worded))
    return "".join(out) + "}\n"


def _target(at: int, insn: Instruction) -> int:
    return at + 1 + insn.jump_distance


def _blocks(own: dict[int, Instruction]) -> list[list[int]]:
    """Slots of each block: one begins at a jump's target, and behind a jump or an exit."""
    heads = {min(own)}
    for at, insn in own.items():
        if insn.is_jump:
            heads.add(_target(at, insn))
        if insn.is_jump or insn.opcode == op.EXIT_INSN:
            heads.add(at + insn.slots)
    out: list[list[int]] = []
    for at in sorted(own):
        if at in heads or not out:
            out.append([])
        out[-1].append(at)
    return out


def _function(index: int, own: dict[int, Instruction], worded: Worded) -> str:
    blocks = _blocks(own)
    first = min(own)
    numbers = {block[0]: number for number, block in enumerate(blocks, 2)}
    name = f"fn_{index}_bb_"
    out = [
        f'subgraph "cluster_{index}" {{\n\tstyle="dashed";\n\tcolor="black";\n'
        f'\tlabel="func_{index} ()";\n'
        f'\t{name}{_ENTRY} [shape=Mdiamond,style=filled,label="ENTRY"];\n\n'
    ]
    for block in blocks:
        rows = [f"{at - first:4d}: {worded(own[at]).translate(_ESCAPED)}\\l\\\n" for at in block]
        out.append(
            f'\t{name}{numbers[block[0]]} [shape=record,style=filled,label="{{'
            + " | ".join(rows)
            + '}"];\n\n'
        )
    out.append(f'\t{name}{_EXIT} [shape=Mdiamond,style=filled,label="EXIT"];\n\n')
    for start, end in _edges(blocks, own, numbers):
        out.append(f"\t{name}{start}:s -> {name}{end}:n [{_EDGE}];\n")
    out.append(f'\t{name}{_ENTRY}:s -> {name}{_EXIT}:n [style="invis", constraint=true];\n')
    return "".join(out) + "}\n"


def _edges(
    blocks: list[list[int]], own: dict[int, Instruction], numbers: dict[int, int]
) -> list[tuple[int, int]]:
    out = [(_ENTRY, 2)]
    for place, block in enumerate(blocks):
        last = own[block[-1]]
        number = numbers[block[0]]
        following = place + 3 if place + 1 < len(blocks) else _EXIT
        if last.opcode == op.EXIT_INSN:
            out.append((number, _EXIT))
            continue
        if not last.is_jump:
            out.append((number, following))
            continue
        target = numbers.get(_target(block[-1], last), _EXIT)
        if last.opcode in (op.JMP | op.JA, op.GOTO_LONG):
            out.append((number, target))
        else:
            out += [(number, following), (number, target)]
    return out
