"""Control flow: blocks, their order, loops, and what is wrong with a function's jumps."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from anybpf.isa.instruction import Instruction
from anybpf.verifier import flow
from anybpf.verifier.flow import BRANCHES, CALLS, EXITS, FALLS, JUMPS, Block, Graph

MOV = Instruction(0xB7)
EXIT = Instruction(0x95)
LOCAL_CALL = Instruction(0x85, src=1)
HELPER_CALL = Instruction(0x85, imm=7)
WIDE = Instruction(0x18)


def goto(distance: int) -> Instruction:
    return Instruction(0x05, offset=distance)


def branch(distance: int) -> Instruction:
    return Instruction(0x15, dst=1, offset=distance)


def edges(graph: Graph) -> list[list[int]]:
    return [list(block.successors) for block in graph.blocks]


def places(graph: Graph) -> list[tuple[int, int]]:
    return [(block.first, block.last) for block in graph.blocks]


def endings(graph: Graph) -> list[int]:
    return [block.ending for block in graph.blocks]


def test_straight_code_is_one_block() -> None:
    graph = flow.build([MOV, MOV, EXIT], set())
    assert places(graph) == [(0, 2)]
    assert endings(graph) == [EXITS]
    assert not graph.problems
    assert not graph.has_loops


def test_the_sides_of_a_diamond_come_before_its_end() -> None:
    graph = flow.build([branch(2), MOV, goto(1), MOV, EXIT], set())
    assert places(graph) == [(0, 0), (1, 2), (3, 3), (4, 4)]
    assert edges(graph) == [[1, 2], [3], [3], []]
    assert endings(graph) == [BRANCHES, JUMPS, FALLS, EXITS]
    assert [block.predecessors for block in graph.blocks] == [0, 1, 1, 2]


def test_a_jump_back_without_a_loop() -> None:
    # 0: goto 3; 1: mov; 2: exit; 3: branch to 1; 4: goto 1
    graph = flow.build([goto(2), MOV, EXIT, branch(-3), goto(-4)], set())
    assert not graph.has_loops
    assert places(graph) == [(0, 0), (3, 3), (4, 4), (1, 2)]
    assert edges(graph) == [[1], [2, 3], [3], []]
    assert [block.predecessors for block in graph.blocks] == [0, 1, 1, 2]


def test_a_branch_to_the_next_instruction_has_the_same_successor_twice() -> None:
    graph = flow.build([branch(0), EXIT], set())
    assert edges(graph) == [[1, 1], []]
    assert graph.blocks[1].predecessors == 2


def test_nested_loops() -> None:
    # 0; outer 1: mov; inner 2: mov, branch 2; 4: branch 1; exit
    graph = flow.build([MOV, MOV, MOV, branch(-2), branch(-4), EXIT], set())
    assert places(graph) == [(0, 0), (1, 1), (2, 3), (4, 4), (5, 5)]
    assert graph.has_loops
    assert [block.is_head for block in graph.blocks] == [False, True, True, False, False]
    assert [block.end for block in graph.blocks] == [-1, 3, 2, -1, -1]
    assert [block.loop_depth for block in graph.blocks] == [0, 1, 2, 1, 0]


def test_what_a_loop_leaves_to_comes_after_it() -> None:
    # 0: branch to exit (4); 1: mov; 2: goto 0; 3 unreachable; the entry is a head
    graph = flow.build([branch(3), MOV, goto(-3), MOV, EXIT], set())
    assert places(graph) == [(0, 0), (1, 2), (4, 4)]
    assert edges(graph) == [[1, 2], [0], []]
    assert graph.blocks[0].end == 1
    assert graph.blocks[0].predecessors == 1
    assert list(graph.unreachable) == [3]


def test_a_block_that_loops_to_itself() -> None:
    graph = flow.build([branch(-1), EXIT], set())
    assert graph.blocks[0].is_head
    assert graph.blocks[0].end == 0


def test_a_loop_with_two_entries_has_one_head() -> None:
    # 0: branch to 3; 1: mov; 2: branch to 4 (out); 3: goto 1; 4: exit
    graph = flow.build([branch(2), MOV, branch(1), goto(-3), EXIT], set())
    heads = [block for block in graph.blocks if block.is_head]
    assert len(heads) == 1
    assert sorted(b.first for b in graph.blocks[heads[0].index : heads[0].end + 1]) == [1, 3]


def test_may_goto_is_a_branch() -> None:
    graph = flow.build([Instruction(0xE5, offset=1), MOV, EXIT], set())
    assert endings(graph) == [BRANCHES, FALLS, EXITS]


def test_blocks_end_after_local_calls_and_where_asked() -> None:
    code = [MOV, LOCAL_CALL, MOV, HELPER_CALL, HELPER_CALL, EXIT]
    graph = flow.build(code, {4})
    assert places(graph) == [(0, 1), (2, 4), (5, 5)]
    assert endings(graph) == [CALLS, CALLS, EXITS]
    assert edges(graph) == [[1], [2], []]


def test_distances_count_slots() -> None:
    graph = flow.build([branch(3), WIDE, MOV, EXIT], set())
    assert places(graph) == [(0, 0), (1, 2), (3, 3)]
    assert edges(graph) == [[1, 2], [2], []]
    long = flow.build([Instruction(0x06, imm=2), WIDE, EXIT], set())
    assert places(long) == [(0, 0), (2, 2)]
    assert list(long.unreachable) == [1]


def test_jumps_that_lead_nowhere() -> None:
    def kinds(code: list[Instruction]) -> list[tuple[int, str]]:
        return [(index, kind) for index, kind, _ in flow.build(code, set()).problems]

    assert kinds([goto(1), EXIT]) == [(0, flow.JUMP_OUT)]
    assert kinds([branch(-2), EXIT]) == [(0, flow.JUMP_OUT)]
    assert kinds([branch(1), WIDE, EXIT]) == [(0, flow.JUMP_INTO_LOAD)]
    assert kinds([MOV]) == [(0, flow.FALLS_OFF)]
    assert kinds([EXIT, branch(-2)]) == [(1, flow.FALLS_OFF)]
    assert kinds([EXIT, LOCAL_CALL]) == [(1, flow.FALLS_OFF)]
    assert kinds([]) == [(0, flow.FALLS_OFF)]


def test_unreachable_runs_are_named_by_their_first_instruction() -> None:
    graph = flow.build([goto(2), MOV, branch(-2), MOV, EXIT, MOV, EXIT], set())
    assert list(graph.unreachable) == [1, 5]
    assert places(graph) == [(0, 0), (3, 4)]


def test_large_functions_are_not_too_large() -> None:
    """Work in the square of the size would not end here within an hour."""
    flow.build([MOV] * 100_000 + [EXIT], set())
    diamonds = [branch(2), MOV, goto(1), MOV] * 25_000
    assert len(flow.build([*diamonds, EXIT], set()).blocks) == 75_001
    # Loops in loops, as deep as jumps reach, and all around the diamonds.
    deep = [MOV] * 16_000 + [branch(-2 * k - 2) for k in range(16_000)]
    graph = flow.build([*deep, EXIT], set())
    assert max(block.loop_depth for block in graph.blocks) == 16_000
    around = [*diamonds, Instruction(0x16, offset=1), Instruction(0x06, imm=-100_002), EXIT]
    assert flow.build(around, set()).blocks[0].end == 75_001


def closure(blocks: list[Block], among: set[int]) -> dict[int, set[int]]:
    """Which blocks each block reaches by at least one edge inside the set."""
    reach: dict[int, set[int]] = {}
    for start in among:
        seen: set[int] = set()
        todo = [int(s) for s in blocks[start].successors if s in among]
        while todo:
            at = todo.pop()
            if at not in seen:
                seen.add(at)
                todo += [int(s) for s in blocks[at].successors if s in among]
        reach[start] = seen
    return reach


def check_components(blocks: list[Block], members: range) -> None:
    """The loops of a stretch are its strongly connected parts, and so on inside each."""
    among = set(members)
    reach = closure(blocks, among)
    index = members.start
    while index < members.stop:
        block = blocks[index]
        part = {i for i in among if i in reach[index] and index in reach[i]}
        if not part:
            assert not block.is_head
            index += 1
            continue
        assert block.is_head
        assert part == set(range(index, block.end + 1))
        check_components(blocks, range(index + 1, block.end + 1))
        index = block.end + 1


@st.composite
def functions(draw: st.DrawFn) -> list[Instruction]:
    count = draw(st.integers(1, 14))
    code: list[Instruction] = []
    for index in range(count):
        kind = draw(st.sampled_from("mbbbgec"))
        target = draw(st.integers(0, count)) - index - 1
        if kind == "b":
            code.append(branch(target))
        elif kind == "g":
            code.append(goto(target))
        else:
            code.append({"m": MOV, "e": EXIT, "c": LOCAL_CALL}[kind])
    code.append(EXIT)
    return code


@settings(max_examples=600, deadline=None)
@given(functions())
def test_any_function_is_put_in_weak_topological_order(code: list[Instruction]) -> None:
    graph = flow.build(code, set())
    blocks = graph.blocks
    assert not graph.problems
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert blocks[0].first == 0
    counts = [0] * len(blocks)
    for block in blocks:
        for successor in block.successors:
            counts[successor] += 1
            head = blocks[successor]
            if successor <= block.index:
                assert head.is_head
                assert block.index <= head.end
            else:
                assert head.predecessors > 0
        depth = sum(h.is_head and h.index <= block.index <= h.end for h in blocks)
        assert block.loop_depth == depth
    assert counts == [block.predecessors for block in blocks]
    assert graph.has_loops == any(block.is_head for block in blocks)
    check_components(blocks, range(len(blocks)))
    # Together the blocks are what control reaches.
    reached: set[int] = set()
    todo = [0]
    while todo:
        at = todo.pop()
        if at in reached:
            continue
        reached.add(at)
        insn = code[at]
        if insn.is_jump:
            todo.append(at + 1 + insn.jump_distance)
        if insn.opcode not in (0x05, 0x95):
            todo.append(at + 1)
    assert reached == {i for block in blocks for i in range(block.first, block.last + 1)}
    gone = [i for i in range(len(code)) if i not in reached and (i == 0 or i - 1 in reached)]
    assert list(graph.unreachable) == gone
