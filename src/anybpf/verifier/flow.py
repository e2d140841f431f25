"""The blocks of one function, in an order for analyses, with the nest of its loops.

The order is a weak topological one: an edge leads forward, or back to the head of a loop that it
starts in; a loop's blocks stand together, its head first. What blocks do and what is live in them
is filled in by ``program`` and ``liveness``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction

if TYPE_CHECKING:
    from anybpf.verifier.operations import Operation
    from anybpf.verifier.state import State

# How a block ends.
FALLS: Final = 0  # the next block is a jump's target
JUMPS: Final = 1
BRANCHES: Final = 2
EXITS: Final = 3
CALLS: Final = 4  # with a call of a function of the program, or one the caller asked to end here

# What can be wrong with control flow.
JUMP_OUT: Final = "jump-out-of-function"
JUMP_INTO_LOAD: Final = "jump-into-load"
FALLS_OFF: Final = "falls-off"

# Why a block starts at an instruction.
TARGET: Final = 1  # jumps lead to it, and control falls into it
AFTER_END: Final = 2  # the instruction before it ends a block


def _endings() -> list[i64]:
    """How each opcode ends a block; FALLS for those that do not. Local calls are told by src."""
    table: list[i64] = [FALLS] * 256
    for cls in (op.JMP, op.JMP32):
        for source in (op.K, op.X):
            for operation in range(0, 0x100, 0x10):
                table[cls | operation | source] = BRANCHES
            table[cls | op.JA | source] = JUMPS
            table[cls | op.CALL | source] = FALLS
            table[cls | op.EXIT | source] = FALLS
            table[cls | 0xF0 | source] = FALLS
    table[op.EXIT_INSN] = EXITS
    return table


ENDINGS: Final = _endings()
# What blocks begin with, and where nobody asks for ends; never changed, but replaced.
NO_OPERATIONS: Final[list[Operation]] = []
NO_STATES: Final[list[State]] = []
NO_BREAKS: Final[list[i64]] = [-1]


class Block:
    """Instructions ``first`` to ``last`` of a function, which run one after the other.

    ``index`` is the place in :attr:`Graph.blocks`, by which blocks name each other.
    ``successors`` of a branch are where it falls through and where it leads; they may be the same.
    ``predecessors`` counts the edges that lead here. ``end`` is the last block of the loop that
    this block heads, -1 if it heads none; ``loop_depth`` counts the loops around it, its own too.
    """

    __slots__ = (
        "defined",
        "end",
        "ending",
        "entry",
        "entry_spills",
        "first",
        "index",
        "is_head",
        "is_queued",
        "killed",
        "last",
        "live",
        "live_cells",
        "live_cells_in_call",
        "loop_depth",
        "operations",
        "pending",
        "predecessors",
        "successors",
        "visits",
    )

    def __init__(self, index: i64, first: i64, last: i64, successors: list[i64]) -> None:
        self.index: i64 = index
        self.first: i64 = first
        self.last: i64 = last
        self.successors: list[i64] = successors
        self.predecessors: i64 = 0
        self.ending: i64 = FALLS
        self.is_head: bool = False
        self.end: i64 = -1
        self.loop_depth: i64 = 0
        # What may still be read from here on: registers, and cells of the function's own frame
        # (bit c: bytes fp-512+8c and on; the highest makes the number negative).
        self.live: i64 = 0
        self.live_cells: i64 = 0
        # For a block that ends with a call: the cells that the called function, or what comes
        # after it, may still read.
        self.live_cells_in_call: i64 = 0
        self.operations: list[Operation] = NO_OPERATIONS
        self.pending: list[State] = NO_STATES
        self.visits: i64 = 0
        # What liveness notes down for itself.
        self.defined: i64 = 0
        self.killed: i64 = 0
        self.entry: i64 = -1
        self.entry_spills: i64 = 0
        self.is_queued: bool = False

    def __repr__(self) -> str:
        return f"<Block {self.index}: {self.first} to {self.last}, then {self.successors}>"


class Graph:
    """The control flow of one function.

    ``unreachable`` has the first instruction of each run that control never reaches; such code
    has no blocks. ``problems`` are edges that lead nowhere, as (instruction, kind, message); the
    blocks they start from lack them, so only a graph without problems says all that may happen.
    """

    __slots__ = ("blocks", "has_loops", "problems", "unreachable")

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.unreachable: list[i64] = []
        self.problems: list[tuple[i64, str, str]] = []
        self.has_loops: bool = False


def build(instructions: list[Instruction], breaks: set[int]) -> Graph:
    """The graph of a function; blocks also end after each instruction whose index is in ``breaks``.

    >>> from anybpf.isa.codec import decode
    >>> loop = "b701000005000000" "0701000 0ffffffff" "5501feff00000000" "9500000000000000"
    >>> graph = build(decode(bytes.fromhex(loop.replace(" ", ""))), set())
    >>> graph.blocks
    [<Block 0: 0 to 0, then [1]>, <Block 1: 1 to 2, then [2, 1]>, <Block 2: 3 to 3, then []>]
    >>> graph.blocks[1].is_head
    True
    """
    graph = Graph()
    found = _cut(graph, instructions, breaks)
    if not found:
        return graph
    reached = _count_edges(found)
    if reached < 0:
        _order_search(graph, found)
    elif reached == len(found):
        graph.blocks = found
    else:
        _drop_unreached(graph, found)
    return graph


def _cut(graph: Graph, instructions: list[Instruction], breaks: set[int]) -> list[Block]:
    """All blocks in the order of their addresses, with the edges between them."""
    count: i64 = len(instructions)
    if count == 0:
        graph.problems.append((0, FALLS_OFF, "the function has no instructions"))
        return []
    # The instructions that end blocks, and the slots at which 16-byte loads start.
    ends: list[i64] = []
    wide: list[i64] = []
    table = ENDINGS
    # Where the caller wants ends, in order, with one behind the last instruction.
    asked: list[i64] = NO_BREAKS
    if len(breaks) > 0:
        asked = [*sorted(breaks), count]
    taken: i64 = 0
    next_asked: i64 = asked[0]
    i: i64 = 0
    slots: i64 = count
    for insn in instructions:
        opcode = i64(insn.opcode)
        cls = opcode & op.CLASS_MASK
        if i == next_asked:
            ends.append(i)
            taken = taken + 1
            next_asked = asked[taken]
        elif cls == op.JMP or cls == op.JMP32:
            if table[opcode] != FALLS or (opcode == op.CALL_IMM and insn.src == op.CALL_LOCAL):
                ends.append(i)
        if opcode == op.LD_IMM64:
            wide.append(slots - count + i)
            slots = slots + 1
        i = i + 1

    if len(ends) == 1 and ends[0] == count - 1 and instructions[count - 1].opcode == op.EXIT_INSN:
        # No jump at all, as in many small programs.
        nowhere: list[i64] = []
        only = Block(0, 0, count - 1, nowhere)
        only.ending = EXITS
        return [only]

    # What makes a block start at each instruction; then, where one does, the block's number.
    marks: list[i64] = [0] * (count + 1)
    _mark(graph, instructions, slots, ends, wide, marks)
    found: list[Block] = []
    first: i64 = 0
    k: i64 = 0
    i = 1
    while i <= count:
        mark: i64 = marks[i]
        if mark != 0 or i == count:
            ending: i64 = FALLS
            target: i64 = -1
            if mark == AFTER_END:
                ending = _ending(instructions[i - 1])
                target = ends[k]
                k = k + 1
            # Until all blocks have numbers they go by their first instructions.
            if ending == JUMPS or ending == EXITS:
                successors: list[i64] = [target] if target >= 0 else []
            elif i < count:
                successors = [i, target] if target >= 0 else [i]
            else:
                successors = [target] if target >= 0 else []
                graph.problems.append(
                    (i - 1, FALLS_OFF, "the function's last instruction is neither exit nor jump")
                )
            marks[first] = len(found)
            block = Block(len(found), first, i - 1, successors)
            block.ending = ending
            found.append(block)
            first = i
        i = i + 1
    for block in found:
        _renumber(block, marks)
    return found


def _ending(insn: Instruction) -> i64:
    """How an instruction ends a block that is known to end it."""
    ending: i64 = ENDINGS[i64(insn.opcode)]
    return CALLS if ending == FALLS else ending


def _mark(
    graph: Graph,
    instructions: list[Instruction],
    slots: i64,
    ends: list[i64],
    wide: list[i64],
    marks: list[i64],
) -> None:
    """Mark where blocks start, and put in ``ends`` in place of jumps where they lead, or -1."""
    k: i64 = 0
    before: i64 = 0  # 16-byte loads
    all_wide: i64 = len(wide)
    for i in ends:
        marks[i + 1] = AFTER_END
        target: i64 = -1
        insn = instructions[i]
        ending = _ending(insn)
        if ending == JUMPS or ending == BRANCHES:
            while before < all_wide and wide[before] < i + before:
                before = before + 1
            target = i + before + 1
            if insn.opcode == op.GOTO_LONG:
                target = target + insn.imm
            else:
                target = target + i64(insn.offset)
            if target < 0 or target >= slots:
                graph.problems.append(
                    (i, JUMP_OUT, f"jumps to slot {target} of a function of {slots} slots")
                )
                target = -1
            elif all_wide > 0:
                passed = _count_below(wide, target)
                if passed > 0 and wide[passed - 1] == target - 1:
                    graph.problems.append(
                        (i, JUMP_INTO_LOAD, f"jumps into the 16-byte load at slot {target - 1}")
                    )
                    target = -1
                else:
                    target = target - passed
            if target >= 0 and marks[target] == 0:
                marks[target] = TARGET
        ends[k] = target
        k = k + 1


def _count_below(sorted_slots: list[i64], slot: i64) -> i64:
    """How many of the slots are below the one."""
    low: i64 = 0
    high: i64 = len(sorted_slots)
    while low < high:
        middle = (low + high) >> 1
        if sorted_slots[middle] < slot:
            low = middle + 1
        else:
            high = middle
    return low


def _count_edges(found: list[Block]) -> i64:
    """Count the edges into each block, and the blocks reached; -1 if an edge leads back."""
    reached: i64 = 0
    for block in found:
        index = block.index
        if index == 0 or block.predecessors > 0:
            reached = reached + 1
            for successor in block.successors:
                if successor <= index:
                    return -1
                target = found[successor]
                target.predecessors = target.predecessors + 1
    return reached


def _drop_unreached(graph: Graph, found: list[Block]) -> None:
    """Keep the blocks that are reached, where all edges lead forward."""
    numbers: list[i64] = []
    next_number: i64 = 0
    dropping = False
    for block in found:
        numbers.append(next_number)
        if block.index == 0 or block.predecessors > 0:
            dropping = False
            block.index = next_number
            next_number = next_number + 1
            graph.blocks.append(block)
        else:
            if not dropping:
                graph.unreachable.append(block.first)
            dropping = True
    for block in graph.blocks:
        _renumber(block, numbers)


def _renumber(block: Block, numbers: list[i64]) -> None:
    successors = block.successors
    k: i64 = 0
    count: i64 = len(successors)
    while k < count:
        successors[k] = numbers[successors[k]]
        k = k + 1


class _Search:
    """A depth-first search from the entry, by numbers of blocks.

    ``order`` is the order of discovery, ``finished`` that in which blocks were left, ``parents``
    the tree. ``back`` has for each block the sources of edges from below it in the tree; all other
    edges besides the tree's are in ``others`` as pairs, with the lowest block above both ends.
    """

    __slots__ = ("back", "finished", "order", "others", "parents")

    def __init__(self, count: i64) -> None:
        self.order: list[i64] = []
        self.finished: list[i64] = []
        self.parents: list[i64] = [-1] * count
        self.back: dict[i64, list[i64]] = {}
        self.others: dict[i64, list[i64]] = {}


def _root(above: list[i64], member: i64) -> i64:
    """The representative of a set (disjoint sets with halved paths)."""
    up: i64 = above[member]
    while up != member:
        further: i64 = above[up]
        above[member] = further
        member = further
        up = above[member]
    return member


def _search(found: list[Block]) -> _Search:
    count: i64 = len(found)
    search = _Search(count)
    parents = search.parents
    unseen: i64 = 0
    entered: i64 = 1
    left: i64 = 2
    color: list[i64] = [unseen] * count
    # Edges still to be followed: the last first, so that in the reverse of the order of leaving,
    # what falls through comes right after.
    edges: list[i64] = []
    # Blocks that were left are joined to their parents: the root of a set is the lowest block
    # above its members that is not left yet.
    above: list[i64] = []
    for block in found:
        edges.append(len(block.successors))
        above.append(block.index)
    way: list[i64] = [0]
    color[0] = entered
    search.order.append(0)
    while way:
        v: i64 = way[len(way) - 1]
        k: i64 = edges[v] - 1
        if k < 0:
            way.pop()
            color[v] = left
            search.finished.append(v)
            if v != 0:
                above[v] = parents[v]
            continue
        edges[v] = k
        w: i64 = found[v].successors[k]
        seen: i64 = color[w]
        if seen == unseen:
            color[w] = entered
            parents[w] = v
            search.order.append(w)
            way.append(w)
        elif seen == entered:
            sources = search.back.get(w)
            if sources is None:
                search.back[w] = [v]
            else:
                sources.append(v)
        else:
            top = _root(above, w)
            pairs = search.others.get(top)
            if pairs is None:
                search.others[top] = [v, w]
            else:
                pairs.append(v)
                pairs.append(w)
    return search


def _heads(search: _Search, count: i64) -> list[i64]:
    """For each block the head of the innermost loop around it, other than itself, or -1.

    Loops are found from the inside out, each collapsed into its head. An edge counts once the
    search is back at the block above both its ends: so loops with several entries need no
    treatment of their own (G. Ramalingam, Identifying loops in almost linear time, 1999; S. Kim,
    A. Venet, A. Thakur, Deterministic parallel fixpoint computation, 2020).
    """
    heads: list[i64] = [-1] * count
    parents = search.parents
    collapsed: list[i64] = []
    i: i64 = 0
    while i < count:
        collapsed.append(i)
        i = i + 1
    sources_of: dict[i64, list[i64]] = {}
    inside: list[i64] = [-1] * count
    k: i64 = len(search.order) - 1
    while k >= 0:
        head: i64 = search.order[k]
        pairs = search.others.get(head)
        if pairs is not None:
            i = 0
            while i < len(pairs):
                source = _root(collapsed, pairs[i])
                target = _root(collapsed, pairs[i + 1])
                if source != target:
                    sources = sources_of.get(target)
                    if sources is None:
                        sources_of[target] = [source]
                    else:
                        sources.append(source)
                i = i + 2
        ends = search.back.get(head)
        if ends is not None:
            body: list[i64] = []
            for end in ends:
                _enter(body, inside, _root(collapsed, end), head)
            i = 0
            while i < len(body):
                member: i64 = body[i]
                _enter(body, inside, _root(collapsed, parents[member]), head)
                sources = sources_of.get(member)
                if sources is not None:
                    for source in sources:
                        _enter(body, inside, _root(collapsed, source), head)
                i = i + 1
            for member in body:
                collapsed[member] = head
                heads[member] = head
        k = k - 1
    return heads


def _enter(body: list[i64], inside: list[i64], member: i64, head: i64) -> None:
    if member != head and inside[member] != head:
        inside[member] = head
        body.append(member)


def _order_acyclic(found: list[Block]) -> list[i64]:
    """The reached blocks, each before those that lead to it; nothing if there are loops."""
    count: i64 = len(found)
    finished: list[i64] = []
    # Edges still to be followed, the last first; -1: not seen yet, -2: left.
    edges: list[i64] = [-1] * count
    way: list[Block] = [found[0]]
    edges[0] = len(found[0].successors)
    while way:
        block = way[len(way) - 1]
        k: i64 = edges[block.index] - 1
        if k >= 0:
            edges[block.index] = k
            after = found[block.successors[k]]
            rest: i64 = edges[after.index]
            if rest == -1:
                edges[after.index] = len(after.successors)
                way.append(after)
            elif rest != -2:
                finished.clear()
                return finished
        else:
            edges[block.index] = -2
            finished.append(block.index)
            way.pop()
    return finished


def _order_search(graph: Graph, found: list[Block]) -> None:
    """Put the reached blocks in weak topological order, where edges lead back in address order."""
    finished = _order_acyclic(found)
    if finished:
        numbers: list[i64] = [-1] * len(found)
        number: i64 = 0
        k: i64 = len(finished) - 1
        while k >= 0:
            numbers[finished[k]] = number
            number = number + 1
            k = k - 1
        _arrange(graph, found, numbers, number)
    else:
        _order_loops(graph, found)


def _order_loops(graph: Graph, found: list[Block]) -> None:
    """Put the reached blocks in weak topological order, where there are loops."""
    count: i64 = len(found)
    search = _search(found)
    heads = _heads(search, count)
    graph.has_loops = True
    finished = search.finished
    # How many blocks each loop has; a block is left after all that it heads.
    sizes: list[i64] = [1] * count
    for v in finished:
        head: i64 = heads[v]
        if head >= 0:
            sizes[head] = sizes[head] + sizes[v]
    # Reversing the order of leaving puts each block after those that lead to it, and so it does
    # with whole loops, taken by their heads: what is left is to keep the loops together.
    numbers: list[i64] = [-1] * count
    room: list[i64] = [0] * count  # where a loop's next member goes
    top: i64 = 0
    k: i64 = len(finished) - 1
    while k >= 0:
        v = finished[k]
        head = heads[v]
        depth: i64 = 0
        if head < 0:
            number = top
            top = top + sizes[v]
        else:
            number = room[head]
            room[head] = number + sizes[v]
            depth = found[head].loop_depth
        numbers[v] = number
        room[v] = number + 1
        block = found[v]
        if v in search.back:
            block.is_head = True
            block.end = number + sizes[v] - 1
            depth = depth + 1
        block.loop_depth = depth
        k = k - 1

    _arrange(graph, found, numbers, top)


def _arrange(graph: Graph, found: list[Block], numbers: list[i64], count: i64) -> None:
    """Move blocks to the places in the order that they were given, and count the edges anew."""
    ordered: list[Block] = [found[0]] * count
    dropping = False
    for block in found:
        block.predecessors = 0
        number = numbers[block.index]
        if number < 0:
            if not dropping:
                graph.unreachable.append(block.first)
            dropping = True
        else:
            dropping = False
            block.index = number
            ordered[number] = block
            _renumber(block, numbers)
    for block in ordered:
        for successor in block.successors:
            target_block = ordered[successor]
            target_block.predecessors = target_block.predecessors + 1
    graph.blocks = ordered
