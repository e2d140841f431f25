"""How much stack the frames of a program may take together, along every chain of calls.

Looks at code alone, as the kernel does: how deep each function reaches into its own frame, and who
calls whom. Whether a single access stays in its frame is the business of ``memory``.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction
from anybpf.platforms import kinds
from anybpf.verifier import faults
from anybpf.verifier.engine import Found
from anybpf.verifier.environment import Environment, Fault
from anybpf.verifier.program import Code, FunctionCode

# The JIT compilers give each frame a multiple of this (kernel/bpf/verifier.c, 6.18).
GRAIN: Final = 16
# Before a tail call out of a function, the frames of its callers may take less than this.
BEFORE_TAIL_CALL: Final = 256
# Types whose frames lie outside of the kernel's own stack, so that only their number counts.
OWN_STACK: Final = frozenset(("kprobe", "tracepoint", "perf_event", "raw_tracepoint", "tracing"))
UNKNOWN: Final = 1 << 40
DEEPER: Final = 1 << 20
FRAME_POINTER: Final = 10


class CallSite:
    """A place where a function is entered. ``later``: it will not run above this frame."""

    __slots__ = ("later", "pc", "target")

    def __init__(self, pc: i64, target: i64, later: bool) -> None:
        self.pc: i64 = pc
        self.target: i64 = target
        self.later: bool = later


class Frame:
    """What is known of one function: bytes of stack, calls, whether it makes tail calls."""

    __slots__ = ("calls", "size", "tail_call")

    def __init__(self, env: Environment, code: Code, function: FunctionCode) -> None:
        self.calls: list[CallSite] = []
        self.tail_call: bool = False
        self.size: i64 = 0
        self._read(env, code, function)

    def _read(self, env: Environment, code: Code, function: FunctionCode) -> None:
        # Where each register points below the frame pointer, in the order of the code.
        places: list[i64] = [UNKNOWN] * FRAME_POINTER + [0]
        lowest: i64 = 0
        pending: list[CallSite] = []
        at: i64 = 0
        for insn in function.instructions:
            opcode = i64(insn.opcode)
            kind = opcode & op.CLASS_MASK
            dst = i64(insn.dst)
            if kind == op.LDX or kind == op.ST or kind == op.STX:
                base = places[insn.src] if kind == op.LDX else places[dst]
                base = base if base == UNKNOWN else base + i64(insn.offset)
                if base < lowest:
                    lowest = base
                if kind == op.LDX:
                    places[dst] = UNKNOWN
            elif kind == op.ALU64 or kind == op.ALU:
                reached = _moved(places, insn)
                if reached == UNKNOWN and places[dst] < lowest:
                    lowest = places[dst]
                places[dst] = reached
            elif opcode == op.LD_IMM64:
                places[dst] = UNKNOWN
                if insn.is_function_load:
                    target = code.by_name.get(insn.reference, -1)
                    if target >= 0:
                        pending.append(CallSite(function.base + at, target, False))
            elif opcode == op.CALL_IMM:
                register: i64 = 0
                while register < 6:
                    if register > 0 and places[register] < lowest:
                        lowest = places[register]
                    places[register] = UNKNOWN
                    register = register + 1
                self._call(env, code, function.base + at, insn, pending)
                pending = []
            at = at + 1
        self.calls.extend(pending)
        self.size = -lowest

    def _call(
        self,
        env: Environment,
        code: Code,
        pc: i64,
        insn: Instruction,
        pending: list[CallSite],
    ) -> None:
        later = False
        if insn.is_local_call:
            target = code.by_name.get(insn.reference, -1)
            if target >= 0:
                self.calls.append(CallSite(pc, target, False))
        else:
            called = env.platform.find_helper(insn.imm, env.program_type.name)
            args = () if called is None else called.args
            if insn.is_btf_call:
                kfunc = env.platform.kfunc(insn.reference)
                args = () if kfunc is None else kfunc.args
            elif called is not None and "tail_call" in called.flags:
                self.tail_call = True
            for arg in args:
                if arg.kind == kinds.FUNCTION:
                    later = env.platform.callback(arg.type).runs == "later"
        for site in pending:
            site.later = later
            self.calls.append(site)


def _moved(places: list[i64], insn: Instruction) -> i64:
    """Where the result of arithmetic points."""
    if insn.opcode == op.ALU64 | op.MOV | op.X and insn.offset == 0:
        return places[insn.src]
    if insn.opcode == op.ALU64 | op.ADD | op.K and places[insn.dst] != UNKNOWN:
        return places[insn.dst] + insn.imm
    return UNKNOWN


class _Walk:
    """Goes down every chain of calls from one function."""

    def __init__(self, env: Environment, frames: list[Frame]) -> None:
        limits = env.platform.limits
        self.frames: list[Frame] = frames
        self.most: i64 = limits.get("frames", 8)
        self.total: i64 = limits.get("stack_total", 0)
        self.separate: bool = env.program_type.name in OWN_STACK and not env.attach_type.endswith(
            "iter"
        )
        self.roots: list[i64] = [0]
        self.worst: dict[i64, i64] = {}
        self.found: Found | None = None

    def down(self, index: i64, above: i64, depth: i64, pc: i64) -> None:
        """``above`` bytes are taken by the callers, ``depth`` of them; ``pc`` is the call."""
        if self.found is not None:
            return
        frame = self.frames[index]
        if depth >= self.most:
            text = f"calls nest deeper than {self.most} frames at this call"
            self.found = Found(pc, Fault(faults.CALL_DEPTH, text), None, [])
            return
        if depth > 0 and frame.tail_call and above >= BEFORE_TAIL_CALL and self.total > 0:
            self._report(pc, f"tail calls below {above} bytes of stack", BEFORE_TAIL_CALL - 1)
            return
        below = above + (frame.size + GRAIN - 1) // GRAIN * GRAIN
        if below > self.total > 0 and not self.separate:
            self._report(pc, f"{depth + 1} frames take {below} bytes of stack", self.total)
            return
        # The same function, no less deep and with no less above it, was looked through already.
        seen = self.worst.get(index, -1)
        if seen >= depth * DEEPER + above:
            return
        self.worst[index] = depth * DEEPER + above
        for site in frame.calls:
            if not site.later:
                self.down(site.target, below, depth + 1, site.pc)
            elif site.target not in self.roots:
                self.roots.append(site.target)

    def _report(self, pc: i64, what: str, limit: i64) -> None:
        fault = Fault(
            faults.STACK_DEPTH,
            f"{what} together; {limit} are allowed",
            -1,
            f"at most {limit} bytes along every chain of calls",
        )
        self.found = Found(pc, fault, None, [])


def problem(env: Environment, code: Code) -> Found | None:
    """The first chain of calls that takes too much stack, or None."""
    if len(code.functions) < 2:
        return None
    walk = _Walk(env, [Frame(env, code, function) for function in code.functions])
    at = 0
    while at < len(walk.roots):
        root = walk.roots[at]
        walk.worst = {}
        walk.down(root, 0, 0, code.functions[root].base)
        at += 1
    return walk.found
