"""The verification of one program: what it is judged by, the two strategies, what came of it."""

from __future__ import annotations

import gc
import time
from typing import Final

from anybpf import platforms
from anybpf.errors import NotFound, ObjectError
from anybpf.isa.instruction import Instruction
from anybpf.objects.specs import CollectionSpec, Function, MapSpec, ProgramSpec
from anybpf.platforms import Platform
from anybpf.platforms.model import ProgramType
from anybpf.verifier import bases, entry, exceptions, notation, outcome, prototypes, stackdepth
from anybpf.verifier.engine import ALL, MERGES_REMEMBERED, Engine, Found, GaveUp, Work
from anybpf.verifier.environment import Budget, Environment, Fault, MapInfo
from anybpf.verifier.fixpoint import Fixpoint
from anybpf.verifier.paths import Paths
from anybpf.verifier.program import Code
from anybpf.verifier.record import Journal
from anybpf.verifier.state import State
from anybpf.verifier.values import Unknown
from anybpf.verifier.verification import Verification

# What is left to the second strategy, at the least, when the first has spent its share.
FIRST_SHARE: Final = 2


def verify(
    program: ProgramSpec,
    collection: CollectionSpec | None = None,
    *,
    platform: str | Platform = "",
    type: str = "",
    attach_type: str = "",
    budget: Budget | None = None,
    record: bool = False,
    entry: str = "",
) -> Verification:
    """Whether the program is safe, and if not why.

    ``collection`` is what the program was loaded with: its maps and types. ``platform``, ``type``
    and ``attach_type`` override what the program says of itself. ``entry`` is a state to begin in,
    in the words of ``notation``. With ``record`` the states before each instruction are kept.
    """
    return _Run(program, collection, platform, type, attach_type, budget, record, entry).verify()


def verify_collection(
    collection: CollectionSpec,
    *,
    platform: str | Platform = "",
    type: str = "",
    budget: Budget | None = None,
    record: bool = False,
) -> list[Verification]:
    """All programs of a collection, in its order."""
    return [
        verify(program, collection, platform=platform, type=type, budget=budget, record=record)
        for program in collection
    ]


def verify_instructions(
    instructions: list[Instruction],
    type: str = "xdp",
    maps: list[MapSpec] | None = None,
    *,
    platform: str | Platform = "linux",
    attach_type: str = "",
    budget: Budget | None = None,
    record: bool = False,
    entry: str = "",
) -> Verification:
    """Bare instructions as a program: maps go by the names that the instructions refer to."""
    collection = CollectionSpec("", "", "linux")
    for spec in maps or []:
        collection.maps[spec.name] = spec
    for function in _functions(instructions):
        collection.functions[function.name] = function
    first = next(iter(collection.functions.values()))
    # What is given is the program, whether it is ever called or not.
    first.calls = tuple(dict.fromkeys([*first.calls, *list(collection.functions)[1:]]))
    program = ProgramSpec(first, "", collection.functions)
    program.type = type
    program.attach_type = attach_type
    program.license = "GPL"
    return verify(program, collection, platform=platform, budget=budget, record=record, entry=entry)


def _functions(instructions: list[Instruction]) -> list[Function]:
    """The functions in a run of instructions: each begins where a call leads."""
    if not instructions:
        raise ObjectError("there is nothing to verify: the program has no instructions")
    slots: dict[int, int] = {}
    slot = 0
    for index, insn in enumerate(instructions):
        slots[slot] = index
        slot += insn.slots
    starts: dict[int, str] = {0: instructions[0].symbol or "program"}
    targets: dict[int, str] = {}
    slot = 0
    for index, insn in enumerate(instructions):
        if insn.is_local_call or insn.is_function_load:
            distance = insn.imm if insn.is_local_call else ((insn.imm + 2**31) & 0xFFFFFFFF) - 2**31
            target = slots.get(slot + 1 + distance)
            if target is not None:
                name = instructions[target].symbol or f"function_{target}"
                name = starts.setdefault(target, name)
                targets[index] = name
        slot += insn.slots
    ends = [*sorted(starts)[1:], len(instructions)]
    made = []
    for start, end in zip(sorted(starts), ends, strict=True):
        body = [insn.copy() for insn in instructions[start:end]]
        function = Function(starts[start], "", 0, body)
        function.is_global = False
        calls = []
        for index in range(start, end):
            name = targets.get(index, "")
            if name:
                body[index - start].reference = name
                calls.append(name)
        function.calls = tuple(dict.fromkeys(calls))
        made.append(function)
    return made


class _Run:
    """One verification on its way."""

    def __init__(
        self,
        program: ProgramSpec,
        collection: CollectionSpec | None,
        platform: str | Platform,
        type_name: str,
        attach_type: str,
        budget: Budget | None,
        record: bool,
        entry_text: str,
    ) -> None:
        self.program: ProgramSpec = program
        self.collection: CollectionSpec | None = collection
        self.budget: Budget = Budget() if budget is None else budget
        self.record: bool = record
        self.entry_text: str = entry_text
        name = platform or program.platform
        if not name:
            name = "linux" if collection is None else collection.platform or "linux"
        self.platform: Platform = platforms.get(name) if isinstance(name, str) else name
        kind = type_name or program.type
        found: ProgramType | None = self.platform.program_type(kind)
        if found is None:
            raise NotFound(f"{self.platform.name} has no program type {kind}")
        specs: list[MapSpec] = [] if collection is None else list(collection.maps.values())
        self.maps: dict[str, int] = {}
        self.ties: list[Unknown] = []
        infos = self._maps(specs, collection)
        self.env: Environment = Environment(
            self.platform, found, program, None if collection is None else collection.btf, infos
        )
        if attach_type:
            self.env.attach_type = attach_type
        if collection is not None:
            self.env.big_endian = collection.big_endian
            self.env.variables = list(collection.variables.values())
        allows = self.platform.rules
        self.env.leaks_allowed = allows.get("pointer_leaks", False)
        self.env.uninitialized_reads = allows.get("uninitialized_stack_reads", False)
        self.env.strict_pointers = self.platform.uses_license
        self.env.aligned_stack = not allows.get("misaligned_stack", False)
        self.result: Verification = Verification(program, self.platform, kind, program.instructions)
        self.result.attach_type = self.env.attach_type
        self.result.collection = collection
        self.result.maps = specs

    def _maps(self, specs: list[MapSpec], collection: CollectionSpec | None) -> list[MapInfo]:
        infos: list[MapInfo] = []
        names = {} if collection is None else {id(v): k for k, v in collection.maps.items()}
        todo = list(specs)
        while todo:
            spec = todo.pop(0)
            info = MapInfo(len(infos), spec, self.platform.map_type(spec.type))
            infos.append(info)
            self.maps.setdefault(spec.name, info.index)
            name = names.get(id(spec))
            if name is not None:
                self.maps[name] = info.index
            if spec.kind in ("rodata", "kconfig"):
                info.read_only = True
                if spec.contents and isinstance(spec.contents[0][1], bytes):
                    info.contents = spec.contents[0][1]
            if spec.inner is not None:
                info.inner = len(infos) + len(todo)
                todo.append(spec.inner)
        return infos

    def verify(self) -> Verification:
        # The analysis makes no cycles that it does not take apart itself.
        collects = gc.isenabled()
        if collects:
            gc.disable()
        started = time.thread_time()
        code = Code(self.env, self.program, self.maps)
        try:
            found = self._verify(code)
        finally:
            self.result.stats.seconds = time.thread_time() - started
            if collects:
                gc.enable()
        outcome.fill(self.result, code, found)
        return self.result

    def _verify(self, code: Code) -> list[Found]:
        code.build()
        stats = self.result.stats
        stats.blocks = sum([len(function.graph.blocks) for function in code.functions])
        found = self._structure(code)
        if not found:
            found = self._analyse(code)
        return found

    def _structure(self, code: Code) -> list[Found]:
        """What is wrong with the program before anything is run."""
        found: list[Found] = []
        for function in code.functions:
            for index, kind, message in function.graph.problems:
                found.append(Found(function.base + index, Fault(kind, message), None, []))
            if function.graph.unreachable and not self._allows_unreachable():
                for index in function.graph.unreachable:
                    fault = Fault("unreachable", "no way through the program leads here")
                    found.append(Found(function.base + index, fault, None, []))
        if len(code.functions) > 1 and not found and not self._allows_unreachable():
            called = code.called()
            for function in code.functions:
                if function.index not in called:
                    name = function.function.name
                    fault = Fault("unreachable", f"nothing that the program calls calls {name}")
                    found.append(Found(function.base, fault, None, []))
        if found:
            return found
        other = stackdepth.problem(self.env, code)
        if other is None:
            other = exceptions.problem(self.env, code)
        return [] if other is None else [other]

    def _allows_unreachable(self) -> bool:
        return bool(self.platform.rules.get("unreachable_code", False))

    def _analyse(self, code: Code) -> list[Found]:
        deadline = 0.0
        if self.budget.seconds > 0:
            deadline = time.thread_time() + self.budget.seconds
        work = Work(self.budget.steps // FIRST_SHARE, self.budget.states, deadline)
        journal = Journal(MERGES_REMEMBERED)
        merged = Fixpoint(code, work, journal, self.record)
        gave_up = self._run(merged, code, False)
        journal.close()
        self._untie()
        self._count(merged)
        self.result.states = merged.recorded
        strict = self.env.strict_pointers
        if not merged.found and not gave_up and not (strict and bases.conflicts(code)):
            return []
        bases.forget(code)
        work = Work(self.budget.steps, self.budget.states, deadline)
        journal = Journal(MERGES_REMEMBERED)
        paths = Paths(code, work, journal, self.record)
        gave_up = self._run(paths, code, True)
        journal.close()
        self._untie()
        self._count(paths)
        self.result.stats.phase = "paths"
        self.result.states = paths.recorded
        if paths.found:
            return list(paths.found.values())
        if not gave_up:
            return bases.conflicts(code) if strict else []
        self.result.gave_up = True
        limit = Fault(
            "gave-up",
            f"no answer after {self.result.stats.steps} steps; a larger budget may find one",
        )
        found = list(merged.found.values())
        return found if found else [Found(0, limit, None, [])]

    def _run(self, engine: Engine, code: Code, explores: bool) -> bool:
        """Run the entry function and whatever is verified by itself; say whether it gave up."""
        try:
            start = self._entry(code)
            self._one(engine, 0, start, explores)
            for function in code.functions:
                if function.is_global:
                    state = prototypes.global_entry_state(self.env, function.function)
                    if isinstance(state, Fault):
                        engine.report(function.base, state, None)
                        continue
                    self._one(engine, int(function.index), state, explores)
            done: list[tuple[int, State]] = []
            while self.env.later:
                index, state = self.env.later.pop()
                if not self._is_done(engine, done, index, state):
                    done.append((index, state.copy()))
                    self._one(engine, index, state, explores)
        except GaveUp:
            return True
        return False

    def _is_done(
        self, engine: Engine, done: list[tuple[int, State]], index: int, state: State
    ) -> bool:
        """Whether the function was verified from a state that covers this one."""
        for other, start in done:
            if other == index and engine.covered(state, start, ALL, ALL):
                return True
        return False

    def _untie(self) -> None:
        """Unknowns and their halves refer to each other; nothing else would free them."""
        for unknown in self.ties:
            unknown.low = None
            unknown.signed = None
        self.ties.clear()

    def _one(self, engine: Engine, index: int, state: State, explores: bool) -> None:
        engine.entry = index
        state.ties = self.ties
        if explores:
            assert isinstance(engine, Paths)
            engine.explore(index, state)
        else:
            assert isinstance(engine, Fixpoint)
            engine.function(index, state, True)

    def _entry(self, code: Code) -> State:
        if self.entry_text:
            return notation.parse_state(self.entry_text, self.env)
        return entry.entry_state(self.env)

    def _count(self, engine: Engine) -> None:
        stats = self.result.stats
        work = engine.work
        stats.steps += work.steps
        stats.merges += work.merges
        stats.splits += work.splits
        stats.widenings += work.widenings
        stats.loops += work.loops
        stats.max_states = max(stats.max_states, work.max_states)
        if work.loop_bounds or stats.loop_bounds:
            stats.loop_bounds = {int(pc): int(turns) for pc, turns in work.loop_bounds.items()}


__all__ = ["verify", "verify_collection", "verify_instructions"]
