"""Instructions for programs to read: one dictionary of plain values each.

Keys are left out where there is nothing to say, so that what is there means something. bpftool's
own shape is in `anybpf.isa.listing.bpftool.records`.
"""

from __future__ import annotations

from typing import Any

from anybpf.isa.codec import encode, problem
from anybpf.isa.instruction import Instruction
from anybpf.isa.listing.anybpf import label_names, leads_to
from anybpf.isa.listing.names import Names
from anybpf.isa.listing.syntax import instruction_text


def as_json(
    instructions: list[Instruction],
    *,
    names: Names | None = None,
    hints: dict[int, str] | None = None,
    big_endian: bool = False,
    first_slot: int = 0,
) -> list[dict[str, Any]]:
    """The fields, text and annotations of each instruction.

    >>> from anybpf.isa import decode
    >>> as_json(decode(bytes.fromhex("b700000002000000")))
    [{'slot': 0, 'bytes': 'b700000002000000', 'opcode': 183, 'dst': 0, 'src': 0, 'offset': 0, \
'imm': 2, 'text': 'r0 = 2'}]
    """
    labels = label_names(instructions, first_slot)
    out: list[dict[str, Any]] = []
    slot = first_slot
    for insn in instructions:
        target = leads_to(insn, slot)
        label = labels.get(target, "")
        called = insn.reference if insn.is_local_call or insn.is_function_load else ""
        if called and called != label:
            target = -1  # it is elsewhere
        record: dict[str, Any] = {
            "slot": slot,
            "bytes": encode([insn], big_endian).hex(),
            "opcode": int(insn.opcode),
            "dst": int(insn.dst),
            "src": int(insn.src),
            "offset": int(insn.offset),
            "imm": int(insn.imm),
            "text": "",
        }
        if insn.is_helper_call:
            helper = names.helper(int(insn.imm)) if names is not None else None
            called = helper.name if helper is not None else insn.reference
            if called:
                record["helper"] = called
        record["text"] = instruction_text(insn, called or label)
        reason = problem(insn)
        if reason:
            record["problem"] = reason
        if slot in labels:
            record["label"] = labels[slot]
        if target >= 0:
            record["target"] = target
        if insn.reference:
            record["reference"] = insn.reference
        if insn.map_name:
            record["map"] = insn.map_name
        function = insn.function
        if function is not None:
            record["function"] = function.name
        line = insn.line
        if line is not None:
            record["source"] = {
                "file": line.file,
                "line": line.line,
                "column": line.column,
                "text": line.text,
            }
        core = insn.core
        if core is not None:
            record["core"] = {"type": core.type_id, "access": core.access, "kind": core.kind}
        hint = hints.get(slot) if hints is not None else None
        if hint:
            record["hint"] = hint
        out.append(record)
        slot += insn.slots
    return out
