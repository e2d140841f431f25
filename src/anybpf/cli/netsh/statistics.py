"""What ``show sections`` counts of a program: kinds of instructions, and the shape of its flow.

The flow is the one that PREVAIL makes: an entry and an exit, a node for every instruction and two
for the outcomes of every condition, and a copy of a subprogram for every call of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anybpf.isa import Instruction, text
from anybpf.isa import opcodes as op

if TYPE_CHECKING:
    from anybpf.objects import Function, ProgramSpec
    from anybpf.platforms import Platform

# Kinds in the order in which they are listed; those behind the bar only where there are any.
ALWAYS: Final = (
    "arith",
    "arith32",
    "arith64",
    "assign",
    "call_1",
    "call_mem",
    "call_nomem",
    "instructions",
    "joins",
    "jumps",
    "load",
    "load_store",
    "map_in_map",
    "other",
    "packet_access",
    "reallocate",
    "store",
)
# Copies of subprograms inside one another; what calls itself is refused by every verifier.
DEEPEST: Final = 8
# The look-up, whose calls are counted by themselves: libs/shared, ebpf_general_helpers.
_LOOKUP: Final = "bpf_map_lookup_elem"
_BINARY: Final = frozenset({text.ALU_IMM, text.ALU_REG, text.MOVE_REG})
_CONDITIONS: Final = frozenset({text.JUMP_IMM, text.JUMP_REG, text.JUMP_MAYBE})
_JUMPS: Final = frozenset({text.JUMP, text.JUMP_LONG})


class _Count:
    """The numbers while they are being added up."""

    def __init__(self, program: ProgramSpec, platform: Platform) -> None:
        self.numbers: dict[str, int] = dict.fromkeys(ALWAYS, 0)
        self.program = program
        self.platform = platform
        self.functions: dict[str, Function] = {one.name: one for one in program.functions}

    def add(self, kind: str, times: int = 1) -> None:
        self.numbers[kind] = self.numbers.get(kind, 0) + times

    def node(self, kind: str) -> None:
        self.add("instructions")
        self.add(kind)

    def function(self, function: Function, depth: int) -> int:
        """Count a function's nodes and joins; how many ways it has to end."""
        code = function.instructions
        slots: dict[int, int] = {}
        slot = 0
        for index, insn in enumerate(code):
            slots[slot] = index
            slot += insn.slots
        incoming = [0] * (len(code) + 1)
        incoming[0] += 1
        ends = 0
        slot = 0
        for index, insn in enumerate(code):
            slot += insn.slots
            self.instruction(insn)
            form = text.FORMS[insn.opcode]
            target = slots.get(slot + insn.jump_distance) if insn.is_jump else None
            if form == text.RETURN:
                ends += 1
            elif form in _JUMPS and target is not None:
                incoming[target] += 1
            elif form in _CONDITIONS and target is not None and target != index + 1:
                self.add("jumps")
                self.node("assume")
                self.node("assume")
                incoming[target] += 1
                incoming[index + 1] += 1
            elif insn.is_local_call and insn.reference in self.functions and depth < DEEPEST:
                incoming[index + 1] += self.function(self.functions[insn.reference], depth + 1)
            else:
                incoming[index + 1] += 1
        self.add("joins", sum(1 for ways in incoming[: len(code)] if ways > 1))
        return ends

    def instruction(self, insn: Instruction) -> None:
        form = text.FORMS[insn.opcode]
        if form in _BINARY:
            wide = insn.opcode & op.CLASS_MASK == op.ALU64
            self.add("arith64" if wide else "arith32")
            moves = form == text.MOVE_REG or insn.opcode & op.OP_MASK == op.MOV
            self.node("assign" if moves else "arith")
        elif form in (text.NEGATE, text.SWAP):
            self.node("arith")
        elif form == text.LOAD_64:
            if not insn.is_map_load and not insn.is_function_load:
                self.add("arith64")
            self.node("assign")
        elif form in (text.LOAD_PACKET, text.LOAD_PACKET_REG):
            self.node("packet_access")
        elif form == text.LOAD:
            self.node("load")
        elif form in (text.STORE, text.STORE_IMM):
            self.node("store")
        elif form == text.ATOMIC:
            self.node("load_store")
        elif form == text.CALL_REGISTER:
            self.node("callx")
        elif form == text.CALL and insn.is_btf_call:
            self.node("call_btf")
        elif form == text.CALL and not insn.is_local_call:
            self.node(self.call(insn))
        else:
            self.node("other")

    def call(self, insn: Instruction) -> str:
        helper = self.platform.find_helper(insn.imm, self.program.type)
        if helper is None:
            return "call_nomem"
        if "invalidates_packet" in helper.flags:
            self.numbers["reallocate"] = 1
        if helper.name == _LOOKUP:
            return "call_1"
        plain = all(one.kind in ("any", "scalar") for one in helper.args)
        return "call_nomem" if plain else "call_mem"


def statistics(program: ProgramSpec, platform: Platform) -> list[tuple[str, int]]:
    """Names and numbers in the order in which they are listed."""
    count = _Count(program, platform)
    count.node("other")  # the entry
    if count.function(program.function, 0) > 1:
        count.add("joins")
    count.node("other")  # the exit
    listed = sorted(count.numbers.items())
    return [("Instructions", program.slots), *listed]
