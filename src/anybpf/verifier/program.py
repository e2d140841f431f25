"""A program as the engines run it: each function's graph, filled with operations.

Functions are laid out one behind the other, and instructions are named by their index in that
layout. What an instruction means is decided here once; unusable ones become operations that say so
when control gets to them.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.isa.instruction import Instruction
from anybpf.objects.specs import ARENA_PAGE, EXCEPTION_CALLBACK, Function, ProgramSpec
from anybpf.verifier import calls, flow, kfuncs, liveness, maps, prototypes
from anybpf.verifier.environment import Environment, Fault, MapInfo
from anybpf.verifier.flow import Graph
from anybpf.verifier.liveness import CallUse
from anybpf.verifier.operations import (
    ArenaAddress,
    Arithmetic,
    Atomic,
    Branch,
    CallFunction,
    CastAddress,
    Constant,
    Load,
    LoadAcquire,
    LoadPacket,
    Move,
    MoveExtended,
    Negate,
    Operation,
    Refused,
    Store,
    StoreRelease,
    SwapBytes,
)
from anybpf.verifier.values import FUNCTION, MAP, MAP_VALUE, Value, number
from anybpf.verifier.words import ARSH, DIV, LSH, MOD, MOV, NEG, RSH, SDIV, SMOD

U32: Final = 0xFFFFFFFF
# Sizes by the two size bits of loads and stores (RFC 9669, section 5): W, H, B, DW.
SIZES: Final[list[i64]] = [4, 2, 1, 8]
END: Final = 13
MAY_GOTO: Final = 0xE5
# Classes of instructions whose constants loops may stop at (RFC 9669, section 3.1).
MOVES: Final = 4
WIDE_MOVES: Final = 7
JUMPS: Final = 5
SHORT_JUMPS: Final = 6
LOAD_WIDE: Final = 0x18
FARTHEST: Final = 1 << 61
# The type of maps whose memory is shared by pointers.
ARENA_TYPE: Final = "arena"


class FunctionCode:
    """One function of the program. ``base`` is the index of its first instruction."""

    __slots__ = ("base", "function", "graph", "index", "instructions", "is_global", "lowest")

    def __init__(self, index: i64, base: i64, function: Function) -> None:
        self.index: i64 = index
        self.base: i64 = base
        self.function: Function = function
        self.instructions: list[Instruction] = function.instructions
        self.graph: Graph = Graph()
        # Verified by itself; calls know its prototype only.
        self.is_global: bool = False


class Code:
    """All functions of a program, the entry first.

    ``takes_addresses``: some instruction takes the address of a function, as callbacks need it.
    """

    __slots__ = ("arenas", "by_name", "env", "functions", "maps", "takes_addresses")

    def __init__(self, env: Environment, program: ProgramSpec, maps: dict[str, i64]) -> None:
        self.env: Environment = env
        self.maps: dict[str, i64] = maps
        self.functions: list[FunctionCode] = []
        self.by_name: dict[str, i64] = {}
        self.takes_addresses: bool = False
        self.arenas: i64 = -1  # that it uses; -1: nobody asked yet
        base: i64 = 0
        # Without calls, and tags that name further functions, there is only the entry.
        entry = program.function
        functions = program.functions if entry.calls or entry.tags else [entry]
        for function in functions:
            code = FunctionCode(len(self.functions), base, function)
            self.by_name[function.name] = code.index
            self.functions.append(code)
            base = base + len(code.instructions)

    def build(self) -> None:
        """Make the graphs of all functions."""
        for code in self.functions:
            code.is_global = code.index > 0 and prototypes.is_global(self.env, code.function)
        for code in self.functions:
            self._build(code)

    def _build(self, code: FunctionCode) -> None:
        operations: list[Operation] = []
        breaks: set[int] = set()
        uses: dict[int, CallUse] = {}
        at: i64 = 0
        instructions = code.instructions
        count: i64 = len(instructions)
        while at < count:
            made = self._operation(code, at, instructions[at])
            if made.ends_block:
                breaks.add(at)
            use = made.use
            if use is not None:
                uses[at] = use
            operations.append(made)
            at = at + 1
        graph = flow.build(instructions, breaks)
        if liveness.is_needed(graph):
            liveness.compute(graph, instructions, uses)
        for block in graph.blocks:
            last = block.last + 1
            # Jumps and exits do nothing themselves; a branch or a call ends the block's work.
            if block.ending == flow.JUMPS or block.ending == flow.EXITS:
                last = last - 1
            block.operations = operations[block.first : last]
        code.graph = graph

    def called(self) -> set[i64]:
        """The functions that the entry reaches by calls, or by taking their address."""
        found: set[i64] = {0}
        todo: list[i64] = [0]
        for tag in self.functions[0].function.tags:
            if tag.startswith(EXCEPTION_CALLBACK):  # called where the program throws
                index = self.by_name.get(tag.removeprefix(EXCEPTION_CALLBACK), 0)
                if index not in found:
                    found.add(index)
                    todo.append(index)
        while todo:
            for insn in self.functions[todo.pop()].instructions:
                if insn.is_local_call or insn.is_function_load:
                    index = self.by_name.get(insn.reference, 0)
                    if index not in found:
                        found.add(index)
                        todo.append(index)
        return found

    def thresholds(self) -> list[i64]:
        """Where widening stops: the program's own constants and their neighbours."""
        found: set[i64] = {-(1 << 31), -1, 0, 1, 64, 256, 4096, 65535, 1 << 31, U32, 1 << 32}
        for code in self.functions:
            for insn in code.instructions:
                kind = insn.opcode & 7
                if kind in (MOVES, WIDE_MOVES) and insn.opcode >> 4 != MOV:
                    continue
                if kind in (MOVES, WIDE_MOVES, JUMPS, SHORT_JUMPS) or insn.opcode == LOAD_WIDE:
                    constant = insn.imm
                    if -FARTHEST < constant < FARTHEST:
                        found.add(constant)
                        found.add(constant + 1)
                        found.add(constant - 1)
        return sorted(found)

    # Single instructions.

    def _operation(self, code: FunctionCode, at: i64, insn: Instruction) -> Operation:
        opcode = i64(insn.opcode)
        pc = code.base + at
        kind = opcode & 7
        if kind == 7 or kind == 4:
            return self._arithmetic(pc, opcode, insn)
        if kind == 1:
            mode = opcode >> 5
            if mode != 3 and mode != 4:
                return _refused(pc, "unsupported", f"there is no load with opcode {opcode:#04x}")
            if insn.dst == 10:
                return _frame_pointer(pc)
            return Load(
                pc,
                i64(insn.dst),
                i64(insn.src),
                i64(insn.offset),
                SIZES[(opcode >> 3) & 3],
                mode == 4,
            )
        if kind == 2:
            value = number(insn.imm)
            size = SIZES[(opcode >> 3) & 3]
            return Store(pc, i64(insn.dst), i64(insn.offset), size, -1, value)
        if kind == 3:
            return self._store(pc, opcode, insn)
        if kind == 0:
            return self._load_special(code, pc, opcode, insn)
        return self._jump(code, pc, opcode, insn)

    def _arithmetic(self, pc: i64, opcode: i64, insn: Instruction) -> Operation:
        operation = opcode >> 4
        is32 = (opcode & 7) == 4
        from_register = (opcode & 8) != 0
        dst = i64(insn.dst)
        imm: i64 = insn.imm
        offset = i64(insn.offset)
        src = i64(insn.src)
        if dst == 10:
            return _frame_pointer(pc)
        if operation == MOV:
            if not from_register:
                value = imm & U32 if is32 else imm
                return Constant(pc, dst, number(value))
            if offset == 0 and not is32:
                return Move(pc, dst, src)
            if offset == 1 and not is32:
                if self._arenas() == 0:
                    return _refused(
                        pc, "unsupported", "casts between address spaces, but uses no arena"
                    )
                return CastAddress(pc, dst, src, imm == 1)
            return MoveExtended(pc, dst, src, offset, is32)
        if operation == NEG:
            return Negate(pc, dst, is32)
        if operation == END:
            swaps = not is32 or from_register != self.env.big_endian
            return SwapBytes(pc, dst, imm, swaps)
        if offset == 1 and operation == DIV:
            operation = SDIV
        elif offset == 1 and operation == MOD:
            operation = SMOD
        if from_register:
            return Arithmetic(pc, operation, dst, src, None, is32)
        if imm == 0 and (operation == DIV or operation == MOD or operation >= SDIV):
            return _refused(pc, "division", f"divides r{dst} by the constant zero")
        if (operation == LSH or operation == RSH or operation == ARSH) and not (
            0 <= imm < (32 if is32 else 64)
        ):
            return _refused(
                pc, "shift", f"shifts r{dst} by {imm}; the amount must be 0 to {31 if is32 else 63}"
            )
        # Sums depend on the low halves only, so there the constant keeps its sign.
        constant = imm & U32 if is32 and operation > 1 and operation < SDIV else imm
        return Arithmetic(pc, operation, dst, -1, number(constant), is32)

    def _store(self, pc: i64, opcode: i64, insn: Instruction) -> Operation:
        mode = opcode >> 5
        size = SIZES[(opcode >> 3) & 3]
        dst = i64(insn.dst)
        src = i64(insn.src)
        offset = i64(insn.offset)
        if mode == 3:
            return Store(pc, dst, offset, size, src, None)
        if mode != 6:
            return _refused(pc, "unsupported", f"there is no store with opcode {opcode:#04x}")
        imm = insn.imm
        if imm == 0x100:  # load-acquire
            if dst == 10:
                return _frame_pointer(pc)
            return LoadAcquire(pc, dst, src, offset, size, False)
        if imm == 0x110:  # store-release
            return StoreRelease(pc, dst, offset, size, src, None)
        result: i64 = -1
        if imm == 0xF1:
            result = 0
        elif (imm & 1) != 0:
            result = src
            if result == 10:
                return _frame_pointer(pc)
        return Atomic(pc, dst, offset, size, src, result, imm == 0xF1)

    def _load_special(
        self, code: FunctionCode, pc: i64, opcode: i64, insn: Instruction
    ) -> Operation:
        if opcode != 0x18:
            mode = opcode >> 5
            if mode == 1 or mode == 2:
                problem = calls.packet_loads_problem(self.env)
                if problem is not None:
                    return Refused(pc, problem)
                if code.index > 0 and not prototypes.returns_number(self.env, code.function):
                    return _refused(
                        pc,
                        "return-value",
                        "a load of packet data returns 0 from the function where the packet is "
                        f"short, but {code.function.name} returns no number",
                    )
                index = i64(insn.src)
                if mode == 1:
                    index = -1
                return LoadPacket(pc, SIZES[(opcode >> 3) & 3], index)
            return _refused(pc, "unsupported", f"there is no load with opcode {opcode:#04x}")
        dst = i64(insn.dst)
        if dst == 10:
            return _frame_pointer(pc)
        if insn.is_map_load:
            found = self.maps.get(insn.map_name, -1)
            if found < 0:
                return _refused(
                    pc, "unsupported", f"uses map {insn.map_name or '?'}, which is not defined"
                )
            info = self.env.maps[found]
            unusable = maps.problem(self.env, info)
            if unusable is not None:
                return Refused(pc, unusable)
            if info.type_name == ARENA_TYPE and self._arenas() > 1:
                return _refused(
                    pc, "unsupported", f"uses arena {info.name} besides another; it may use one"
                )
            # A pointer straight into the map's value says how far in its upper half.
            if insn.src == 2 or insn.src == 6:
                place: i64 = insn.high
                if info.type_name == ARENA_TYPE:
                    return self._arena_address(pc, dst, place, info)
                if not 0 <= place < info.value_size:
                    return _refused(
                        pc,
                        "out-of-bounds",
                        f"takes the address of byte {place} of a value of map {info.name}, "
                        f"which has {info.value_size} bytes",
                    )
                return Constant(pc, dst, Value(MAP_VALUE, place, None, info.value_region))
            return Constant(pc, dst, Value(MAP, 0, None, info.region))
        if insn.is_function_load:
            self.takes_addresses = True
            function = self.by_name.get(insn.reference, -1)
            if function < 0:
                return _refused(
                    pc, "unsupported", f"takes the address of {insn.reference}, which is not there"
                )
            return Constant(pc, dst, Value(FUNCTION, function, None, self.env.function_region))
        if insn.src == 0:
            return Constant(pc, dst, number(insn.imm))
        return kfuncs.symbol_address(self.env, pc, insn)

    def _arena_address(self, pc: i64, dst: i64, place: i64, info: MapInfo) -> Operation:
        size: i64 = info.max_entries * ARENA_PAGE
        start: i64 = info.spec.data_offset
        if start < 0:
            return _refused(
                pc,
                "out-of-bounds",
                f"arena {info.name} has {size} bytes, but its variables take "
                f"{info.spec.data_size}: give it more max_entries",
            )
        if not 0 <= place < size - start:
            return _refused(
                pc,
                "out-of-bounds",
                f"takes the address of byte {start + place} of arena {info.name}, "
                f"which has {size} bytes",
            )
        return ArenaAddress(pc, dst)

    def _arenas(self) -> i64:
        """How many arenas the program uses."""
        if self.arenas < 0:
            found: set[str] = set()
            for code in self.functions:
                for insn in code.instructions:
                    if insn.is_map_load:
                        index = self.maps.get(insn.map_name, -1)
                        if index >= 0 and self.env.maps[index].type_name == ARENA_TYPE:
                            found.add(insn.map_name)
            self.arenas = len(found)
        return self.arenas

    def _jump(self, code: FunctionCode, pc: i64, opcode: i64, insn: Instruction) -> Operation:
        operation = opcode >> 4
        is32 = (opcode & 7) == 6
        if operation == 0 or operation == 9:
            return Operation(pc)
        if operation == 8:
            return self._call(code, pc, insn)
        if opcode == MAY_GOTO:
            return Branch(pc, -1, 0, -1, None, False)
        if (opcode & 8) != 0:
            return Branch(pc, operation, i64(insn.dst), i64(insn.src), None, is32)
        imm: i64 = insn.imm
        return Branch(pc, operation, i64(insn.dst), -1, number(imm), is32)

    def _call(self, code: FunctionCode, pc: i64, insn: Instruction) -> Operation:
        if insn.is_local_call:
            target = self.by_name.get(insn.reference, -1)
            if target < 0:
                return _refused(
                    pc, "unsupported", f"calls {insn.reference or 'a function'}, which is not there"
                )
            callee = self.functions[target]
            if callee.is_global:
                made = prototypes.compile_global_call(self.env, pc, callee.function)
                return made if isinstance(made, Operation) else Refused(pc, made)
            return CallFunction(pc, target)
        if insn.is_helper_call:
            made = calls.compile_helper(self.env, pc, insn.imm)
        elif insn.is_btf_call:
            made = kfuncs.compile_kfunc(self.env, pc, insn)
        else:
            return _refused(pc, "unsupported", "calls through a register are not possible here")
        return made if isinstance(made, Operation) else Refused(pc, made)


def _refused(pc: i64, kind: str, message: str) -> Operation:
    return Refused(pc, Fault(kind, message))


def _frame_pointer(pc: i64) -> Operation:
    return _refused(pc, "read-only", "writes r10, the frame pointer, which cannot be changed")
