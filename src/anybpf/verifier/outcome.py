"""What a verification leaves behind: findings in order, and the facts that were proved."""

from __future__ import annotations

from anybpf.verifier import facts
from anybpf.verifier.calls import FunctionCall
from anybpf.verifier.engine import Found
from anybpf.verifier.findings import Finding
from anybpf.verifier.operations import Access, Branch, Load, Operation
from anybpf.verifier.program import Code, FunctionCode
from anybpf.verifier.state import REGISTERS, State
from anybpf.verifier.values import KIND_NAMES, MAP_VALUE, MIXED
from anybpf.verifier.verification import Verification


def fill(result: Verification, code: Code, found: list[Found]) -> None:
    """Put findings and facts into the result."""
    result.findings = sorted([_finding(result, one) for one in found], key=_place)
    kept = result.facts
    kept.maps = [spec.name for spec in result.maps]
    kept.loops = dict(result.stats.loop_bounds)
    for function in code.functions:
        for block in function.graph.blocks:
            for operation in block.operations:
                _note(kept, operation)
        if len(function.graph.blocks) > 0:
            _reach(kept, function)
    for pc, states in result.states.items():
        kept.types[int(pc)] = _types(states)


def _reach(kept: facts.Facts, function: FunctionCode) -> None:
    """Mark what lies behind the sides of branches that were found possible."""
    blocks = function.graph.blocks
    seen: set[int] = {0}
    todo: list[int] = [0]
    while todo:
        block = blocks[todo.pop()]
        for index in range(int(block.first), int(block.last) + 1):
            kept.reached.add(int(function.base) + index)
        last = block.operations[-1] if block.operations else None
        for side, target in enumerate(block.successors):
            branches = isinstance(last, Branch) and len(block.successors) > 1
            if branches and not _goes(last, side):
                continue
            if int(target) not in seen:
                seen.add(int(target))
                todo.append(int(target))


def _types(states: list[State]) -> str:
    """A letter for what each of r0 to r10 holds in all of these states."""
    letters = ""
    for register in range(REGISTERS):
        kinds = {int(state.regs[register].kind) for state in states}
        letters += facts.LETTERS[kinds.pop() if len(kinds) == 1 else MIXED]
    return letters


def _goes(branch: Operation | None, side: int) -> bool:
    """Whether this side of a branch, 1 for the jump, was ever found possible."""
    assert isinstance(branch, Branch)
    return bool(branch.jumps if side else branch.falls)


def _place(finding: Finding) -> tuple[bool, int]:
    return (finding.kind == "gave-up", finding.instruction)


def _finding(result: Verification, found: Found) -> Finding:
    fault = found.fault
    pc = int(found.pc)
    finding = Finding(fault.kind, pc, fault.message)
    finding.register = int(fault.register)
    finding.required = fault.required
    finding.known = fault.known
    finding.path = [int(step) for step in found.path]
    if result.states:
        finding.state = found.state
    if pc < len(result.slots):
        finding.slot = result.slots[pc]
        finding.function = result.function_of[pc]
        finding.source = result.source_line(pc)
    return finding


def _note(kept: facts.Facts, operation: Operation) -> None:
    pc = int(operation.pc)
    if isinstance(operation, Access):
        if operation.seen_kinds == 0:
            return
        kept.reached.add(pc)
        kinds = [name for bit, name in enumerate(KIND_NAMES) if (operation.seen_kinds >> bit) & 1]
        kind = kinds[0] if len(kinds) == 1 else facts.MIXED_KIND
        index = int(operation.seen_index) if kind == KIND_NAMES[MAP_VALUE] else -1
        kept.add_access(
            pc,
            kind,
            index if index >= 0 else -1,
            int(operation.seen_low),
            int(operation.seen_high),
            not isinstance(operation, Load),
            False,
        )
    elif isinstance(operation, Branch):
        if operation.falls or operation.jumps:
            kept.reached.add(pc)
            if not operation.jumps:
                kept.branches[pc] = facts.FALLTHROUGH
            elif not operation.falls:
                kept.branches[pc] = facts.TAKEN
    elif isinstance(operation, FunctionCall) and operation.runs > 0:
        kept.reached.add(pc)
        key = int(operation.key_seen)
        kept.add_call(pc, operation.rule.name, int(operation.map_seen), key if key >= 0 else None)
