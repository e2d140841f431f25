"""Liveness: the registers and stack cells that may still be read."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from anybpf.isa.instruction import Instruction
from anybpf.verifier import flow, liveness
from anybpf.verifier.flow import Graph
from anybpf.verifier.liveness import CallUse, cells_between

ALL = -1
EXIT = Instruction(0x95)
RETURN_ZERO = Instruction(0xB7, dst=0, imm=0)


def mov(dst: int, src: int) -> Instruction:
    return Instruction(0xBF, dst=dst, src=src)


def mov_imm(dst: int, imm: int) -> Instruction:
    return Instruction(0xB7, dst=dst, imm=imm)


def add(dst: int, imm: int) -> Instruction:
    return Instruction(0x07, dst=dst, imm=imm)


def load(dst: int, src: int, offset: int) -> Instruction:
    return Instruction(0x79, dst=dst, src=src, offset=offset)


def store(dst: int, src: int, offset: int) -> Instruction:
    return Instruction(0x7B, dst=dst, src=src, offset=offset)


def store32(dst: int, src: int, offset: int) -> Instruction:
    return Instruction(0x63, dst=dst, src=src, offset=offset)


def branch(register: int, distance: int) -> Instruction:
    return Instruction(0x15, dst=register, offset=distance)


def helper(number: int = 1) -> Instruction:
    return Instruction(0x85, imm=number)


LOCAL_CALL = Instruction(0x85, src=1)


def computed(
    code: list[Instruction],
    calls: dict[int, CallUse] | None = None,
    breaks: set[int] | None = None,
) -> Graph:
    graph = flow.build(code, breaks or set())
    assert not graph.problems
    liveness.compute(graph, code, calls or {})
    return graph


def registers(graph: Graph, block: int = 0) -> list[int]:
    """The live registers but r10, which always is."""
    mask = int(graph.blocks[block].live)
    assert mask & 1024
    return [r for r in range(10) if mask >> r & 1]


def cells(graph: Graph, block: int = 0) -> list[int]:
    """The live cells as the offsets from r10 at which they start."""
    mask = int(graph.blocks[block].live_cells)
    assert -(1 << 63) <= mask < 1 << 63
    return [8 * c - 512 for c in range(64) if mask >> c & 1]


def used(*code: Instruction, calls: dict[int, CallUse] | None = None) -> list[int]:
    """The registers that code reads before it writes them, with r0 set at its end."""
    return registers(computed([*code, RETURN_ZERO, EXIT], calls))


def read(*code: Instruction, calls: dict[int, CallUse] | None = None) -> list[int]:
    """The cells that code reads before it writes them."""
    return cells(computed([*code, RETURN_ZERO, EXIT], calls))


def test_masks_of_cells() -> None:
    assert cells_between(0, 512) == ALL
    assert cells_between(504, 512) == -(1 << 63)
    assert cells_between(0, 1) == 1
    assert cells_between(7, 9) == 3
    assert cells_between(-100, 8) == 1
    assert cells_between(500, 900) == -(1 << 62)
    assert cells_between(512, 520) == 0
    assert cells_between(9, 9) == 0


def test_what_each_form_reads() -> None:
    assert registers(computed([EXIT])) == [0]
    assert used(mov_imm(1, 5)) == []
    assert used(mov(1, 2)) == [2]
    assert used(add(3, 1)) == [3]
    assert used(Instruction(0x0F, dst=3, src=4)) == [3, 4]
    assert used(Instruction(0x87, dst=5)) == [5]
    assert used(Instruction(0xDC, dst=5, imm=16)) == [5]  # the source bit says big-endian
    assert used(Instruction(0x18, dst=5, src=1)) == []
    assert used(load(1, 2, 0)) == [2]
    assert used(Instruction(0x7A, dst=7)) == [7]
    assert used(store(7, 8, 0)) == [7, 8]
    assert used(branch(4, 0)) == [4]
    assert used(Instruction(0x1D, dst=4, src=5)) == [4, 5]
    assert used(Instruction(0xE5)) == []
    assert used(Instruction(0x30)) == [6]
    assert used(Instruction(0x50, src=7)) == [6, 7]
    assert used(helper()) == [1, 2, 3, 4, 5]
    assert used(helper(), calls={0: CallUse(0b110, [])}) == [1, 2]


def test_what_each_form_overwrites() -> None:
    after = [Instruction(0x0F, dst=a, src=b) for a, b in ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))]
    assert used(*after) == list(range(10))
    nothing = {0: CallUse(0, [])}
    assert used(helper(), *after, calls=nothing) == [6, 7, 8, 9]
    assert used(Instruction(0x30), *after) == [6, 7, 8, 9]
    assert used(Instruction(0x18, dst=3), *after) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert used(mov(0, 0), after[0]) == [0, 1]


def test_atomic_operations() -> None:
    def atomic(imm: int) -> list[Instruction]:
        use_results = [store(6, 0, 0), store(6, 2, 0), store(6, 1, 0)]
        return [Instruction(0xDB, dst=1, src=2, imm=imm), *use_results]

    assert used(*atomic(0x00)) == [0, 1, 2, 6]
    assert used(*atomic(0x01)) == [0, 1, 2, 6]  # r2 was read, then overwritten
    assert used(mov_imm(2, 0), *atomic(0xE1)) == [0, 1, 6]
    assert used(*atomic(0xF1)) == [0, 1, 2, 6]
    assert used(Instruction(0xDB, dst=1, src=2, imm=0x100), store(1, 6, 0)) == [2, 6]
    assert used(Instruction(0xDB, dst=1, src=2, imm=0x110)) == [1, 2]


def test_a_register_is_live_until_it_is_read_on_some_way() -> None:
    graph = computed([branch(1, 2), mov(0, 6), EXIT, mov_imm(0, 0), EXIT])
    assert registers(graph, 0) == [1, 6]
    assert registers(graph, 1) == [6]
    assert registers(graph, 2) == []


def test_what_a_loop_reads_is_live_all_around_it() -> None:
    # 1: branch out; 2: r7 += 1, back; the loop reads r6 and a cell at its start only.
    code = [RETURN_ZERO, load(2, 10, -16), branch(6, 2), add(7, 1), Instruction(0x05, offset=-4)]
    graph = computed([*code, EXIT])
    assert [b.is_head for b in graph.blocks] == [False, True, False, False]
    assert registers(graph, 2) == [0, 6, 7]
    assert cells(graph, 2) == [-16]
    assert cells(graph, 3) == []


def test_cells_read_and_overwritten() -> None:
    assert read(load(1, 10, -8)) == [-8]
    assert read(load(1, 10, -512)) == [-512]
    assert read(load(1, 10, -12)) == [-16, -8]
    assert read(Instruction(0x71, dst=1, src=10, offset=-9)) == [-16]
    assert read(store(10, 1, -8), load(1, 10, -8)) == []
    assert read(Instruction(0x7A, dst=10, offset=-8), load(1, 10, -8)) == []
    # Only whole cells are overwritten.
    assert read(store32(10, 1, -8), load(1, 10, -8)) == [-8]
    assert read(store(10, 1, -12), load(1, 10, -8)) == [-8]
    assert read(Instruction(0xDB, dst=10, src=1, offset=-8)) == [-8]


def test_addresses_are_followed_through_registers() -> None:
    assert read(mov(2, 10), add(2, -24), load(3, 2, 8)) == [-16]
    assert read(mov(2, 10), Instruction(0x17, dst=2, imm=24), load(3, 2, 0)) == [-24]
    assert read(mov(2, 10), add(2, -24), store(2, 1, 0), load(3, 10, -24)) == []
    assert read(mov(2, 10), mov_imm(2, 0), load(3, 2, 0)) == []
    everything = list(range(-512, 0, 8))
    assert read(mov(2, 10), Instruction(0x0F, dst=2, src=3), load(3, 2, 0)) == everything
    assert read(mov(2, 10), Instruction(0x0F, dst=3, src=2), load(3, 3, 0)) == everything
    masked = [mov(2, 10), Instruction(0x57, dst=2, imm=-8)]
    assert read(*masked, load(3, 2, 0)) == everything
    assert read(*masked, mov(2, 10), load(3, 2, -8)) == [-8]


def test_addresses_that_meet() -> None:
    def after_merge(left: Instruction, right: Instruction) -> list[int]:
        # r6 is one thing or the other; then it is written through, and all is read again.
        code = [branch(1, 2), left, Instruction(0x05, offset=1), right]
        code += [store(6, 1, -8), load(1, 10, -8), load(1, 6, -16), RETURN_ZERO, EXIT]
        return cells(computed(code), 3)

    assert after_merge(mov(6, 10), mov(6, 10)) == [-16]
    # It may be that the cell is not overwritten.
    assert after_merge(mov(6, 10), mov(6, 7)) == [-16, -8]
    assert after_merge(mov_imm(6, 0), mov(6, 7)) == [-8]
    code = [mov(6, 10), branch(1, 1), add(6, -8), load(1, 6, -8), RETURN_ZERO, EXIT]
    assert cells(computed(code), 2) == list(range(-512, 0, 8))


def test_a_loop_that_moves_an_address_may_read_any_cell() -> None:
    code = [mov(6, 10), load(1, 6, -8), add(6, -8), branch(1, -3), RETURN_ZERO, EXIT]
    assert cells(computed(code), 1) == list(range(-512, 0, 8))


def test_spilled_addresses() -> None:
    spill = [mov(2, 10), add(2, -32), store(10, 2, -8)]
    assert read(*spill, load(3, 10, -8), load(4, 3, 0)) == [-32]
    # Overwritten, it is no address any more.
    assert read(*spill, store(10, 1, -8), load(3, 10, -8), load(4, 3, 0)) == []
    # Two addresses in one cell, the one or the other: nothing says which is read through.
    again = [add(2, -32), store(10, 2, -8)]
    everything_else = list(range(-512, -8, 8))
    assert read(*spill, *again, load(3, 10, -8), load(4, 3, 0)) == everything_else
    # The second one may come on the way back to where the first was followed.
    body = [load(3, 10, -8), load(4, 3, 0), mov(3, 10), add(3, -64), store(10, 3, -8)]
    loop = computed([*spill, *body, mov_imm(3, 0), branch(4, -7), RETURN_ZERO, EXIT])
    assert set(cells(loop, 1)) >= {-64, -32, -8}
    # What is not read back tells nothing.
    assert read(*spill, load(3, 10, -16)) == [-16]
    # Elsewhere it cannot be followed.
    assert len(read(mov(2, 10), store(1, 2, 0))) == 64
    assert len(read(mov(2, 10), Instruction(0xDB, dst=1, src=2, imm=0xE1))) == 64


def test_helpers_read_what_they_are_said_to() -> None:
    passed = [mov(2, 10), add(2, -24), helper()]
    assert read(*passed, calls={2: CallUse(0b110, [(2, 8)])}) == [-24]
    assert read(*passed, calls={2: CallUse(0b110, [(2, 9)])}) == [-24, -16]
    assert read(*passed, calls={2: CallUse(0b110, [(2, 1 << 40)])}) == [-24, -16, -8]
    assert read(*passed, calls={2: CallUse(0b110, [(2, -1)])}) == [-24, -16, -8]
    assert read(*passed, calls={2: CallUse(0b110, [])}) == []
    assert read(*passed) == [-24, -16, -8]


def test_functions_called_may_read_the_whole_frame_through_an_address() -> None:
    code = [mov(1, 10), add(1, -8), LOCAL_CALL, load(2, 10, -16), EXIT]
    graph = computed(code)
    assert len(cells(graph, 0)) == 64
    assert graph.blocks[0].live_cells_in_call == ALL
    graph = computed(code, {2: CallUse(0, [])})
    assert cells(graph, 0) == [-16]
    assert graph.blocks[0].live_cells_in_call == 1 << 62
    graph = computed([mov(1, 10), helper(), RETURN_ZERO, EXIT], breaks={1})
    assert graph.blocks[0].live_cells_in_call == ALL
    # What they return, or leave in the frame, may be an address as well.
    assert len(cells(computed([mov(1, 10), LOCAL_CALL, load(0, 0, 0), EXIT]), 1)) == 64


# Random functions: what is live against a plain computation, instruction by instruction, and what
# is read against runs along random ways.


def successors(code: list[Instruction], index: int) -> list[int]:
    insn = code[index]
    if insn.opcode == 0x95:
        return []
    if insn.opcode == 0x05:
        return [index + 1 + insn.offset]
    if insn.is_jump:
        return [index + 1, index + 1 + insn.offset]
    return [index + 1]


def uses(insn: Instruction) -> tuple[set[int], set[int]]:
    """The registers that an instruction of the random functions reads, and those it writes."""
    opcode, dst, src = int(insn.opcode), int(insn.dst), int(insn.src)
    table: dict[int, tuple[set[int], set[int]]] = {
        0x95: ({0}, set()),
        0x05: (set(), set()),
        0x15: ({dst}, set()),
        0x1D: ({dst, src}, set()),
        0xB7: (set(), {dst}),
        0xBF: ({src}, {dst}),
        0x07: ({dst}, {dst}),
        0x0F: ({dst, src}, {dst}),
        0x79: ({src}, {dst}),
        0x61: ({src}, {dst}),
        0x7B: ({dst, src}, set()),
        0x63: ({dst, src}, set()),
        0x85: ({1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}),
    }
    return table[opcode]


def cell_uses(insn: Instruction) -> tuple[set[int], set[int]]:
    """The same for cells, where these are only reached by way of r10."""
    opcode = int(insn.opcode)
    low = 512 + insn.offset
    if opcode in (0x79, 0x61) and insn.src == 10:
        return set(range(low >> 3, (low + (8 if opcode == 0x79 else 4) + 7) >> 3)), set()
    if opcode == 0x7B and insn.dst == 10 and low % 8 == 0:
        return set(), {low >> 3}
    return set(), set()


def expected(code: list[Instruction], uses_of: object) -> list[set[int]]:
    assert callable(uses_of)
    live: list[set[int]] = [set() for _ in code]
    changed = True
    while changed:
        changed = False
        for index in reversed(range(len(code))):
            reads, writes = uses_of(code[index])
            after = set().union(*[live[s] for s in successors(code, index)])
            now = reads | (after - writes)
            if now != live[index]:
                live[index] = now
                changed = True
    return live


def random_function(rng: random.Random, addresses: bool) -> list[Instruction]:
    count = rng.randint(1, 40)
    forward = rng.random() < 0.5
    code: list[Instruction] = []
    for index in range(count):
        a, b = rng.randrange(10), rng.randrange(10)
        offset = rng.choice((-8, -16, -24, -32, -8, -16, -12))
        target = rng.randint(index + 1 if forward else 0, count) - index - 1
        simple = [
            branch(a, target),
            Instruction(0x1D, dst=a, src=b, offset=target),
            mov_imm(a, 1),
            load(a, 10, offset),
            Instruction(0x61, dst=a, src=10, offset=offset),
            store(10, a, offset),
            store32(10, a, offset),
        ]
        through = [
            mov(a, b),
            mov(a, 10),
            mov(a, 10),
            add(a, rng.choice((-8, 8))),
            Instruction(0x0F, dst=a, src=b),
            load(a, b, offset),
            load(a, b, offset),
            store(b, a, offset),
            store(10, a, offset),
        ]
        rare = [helper(), Instruction(0x05, offset=target)]
        kinds = [*simple, *through] if addresses else [*simple, mov(a, b), add(a, 1)]
        code.append(rng.choice([*kinds, rng.choice(rare)]))
    return [*code, EXIT]


def bits(mask: int) -> set[int]:
    return {bit for bit in range(64) if mask >> bit & 1}


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32))
def test_random_functions_against_a_plain_computation(seed: int) -> None:
    code = random_function(random.Random(seed), False)
    graph = computed(code)
    live = expected(code, uses)
    live_cells = expected(code, cell_uses)
    for block in graph.blocks:
        assert bits(block.live) == live[block.first] | {10}
        assert bits(block.live_cells) == live_cells[block.first]


class Run:
    """A function run along one way, with numbers None and addresses as bytes from the frame's low.

    Remembers for each block entered what was live in truth: read before it was overwritten.
    """

    def __init__(self, code: list[Instruction], graph: Graph, rng: random.Random) -> None:
        self.code = code
        self.starts = {block.first: block for block in graph.blocks}
        self.rng = rng
        self.registers: list[int | None] = [None] * 10 + [512]
        self.memory: dict[int, int] = {}  # addresses spilled, by the byte where they start
        # By block: what was read since it was entered, and what was overwritten before that.
        self.entered: list[tuple[int, set[int], set[int]]] = []

    def touch(self, reads: set[int], writes: set[int]) -> None:
        for _, read_, written in self.entered:
            read_ |= reads - written
            written |= writes

    def step(self, insn: Instruction) -> bool:
        """Whether the run can go on."""
        opcode, dst, src = int(insn.opcode), int(insn.dst), int(insn.src)
        values = self.registers
        if opcode in (0x79, 0x61):
            base = values[src]
            values[dst] = None
            if base is not None:
                size = 8 if opcode == 0x79 else 4
                low = base + insn.offset
                if not 0 <= low <= 512 - size:
                    return False
                self.touch(set(range(low >> 3, (low + size + 7) >> 3)), set())
                if size == 8:
                    values[dst] = self.memory.get(low)
        elif opcode in (0x7B, 0x63):
            base = values[dst]
            if base is not None:
                size = 8 if opcode == 0x7B else 4
                low = base + insn.offset
                if not 0 <= low <= 512 - size:
                    return False
                for at in range(low - 7, low + size):
                    self.memory.pop(at, None)
                value = values[src]
                if size == 8 and value is not None:
                    self.memory[low] = value
                if size == 8 and low % 8 == 0:
                    self.touch(set(), {low >> 3})
        elif opcode == 0x85:
            for register in range(1, 6):
                value = values[register]
                if value is not None:
                    self.touch(set(range(max(value, 0) >> 3, 64)), set())
            values[:6] = [None] * 6
        elif opcode == 0xB7:
            values[dst] = None
        elif opcode == 0xBF:
            values[dst] = values[src]
        elif opcode == 0x07:
            value = values[dst]
            values[dst] = None if value is None else value + insn.imm
        elif opcode == 0x0F:
            a, b = values[dst], values[src]
            if a is not None and b is not None:
                return False
            base = a if a is not None else b
            values[dst] = None if base is None else base + 8 * self.rng.randint(-2, 2)
        return True

    def go(self) -> None:
        at = 0
        for _ in range(120):
            block = self.starts.get(at)
            if block is not None:
                self.entered.append((int(block.live_cells), set(), set()))
            if not self.step(self.code[at]):
                return
            ways = successors(self.code, at)
            if not ways:
                return
            at = self.rng.choice(ways)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_a_run_reads_was_live(seed: int) -> None:
    rng = random.Random(seed)
    code = random_function(rng, True)
    graph = computed(code)
    for _ in range(5):
        run = Run(code, graph, rng)
        run.go()
        for mask, read_, _ in run.entered:
            assert read_ <= bits(mask)


def test_many_blocks_and_deep_loops_take_linear_time() -> None:
    # Each loop reads a register set outside all of them.
    depth = 5_000
    code = [RETURN_ZERO, mov(6, 10), *[load(1, 10, -8)] * depth]
    code += [branch(9, -2 * k - 2) for k in range(depth)]
    graph = computed([*code, EXIT])
    assert cells(graph, 1) == [-8]
    assert cells(graph, len(graph.blocks) - 1) == []
    assert registers(graph, 1) == [0, 9]


def test_where_no_states_meet_it_is_not_needed() -> None:
    straight = flow.build([RETURN_ZERO, EXIT], set())
    split = flow.build([branch(1, 2), RETURN_ZERO, EXIT, RETURN_ZERO, EXIT], set())
    meeting = flow.build([branch(1, 1), mov_imm(2, 1), RETURN_ZERO, EXIT], set())
    calling = flow.build([LOCAL_CALL, EXIT], set())
    assert [liveness.is_needed(graph) for graph in (straight, split, meeting, calling)] == [
        False,
        False,
        True,
        True,
    ]
    liveness.assume_all(split)
    assert {(block.live, block.live_cells) for block in split.blocks} == {(0x7FF, ALL)}
