"""What may still be read: the registers and stack cells that are live where each block starts.

Two passes: forward, which registers and cells hold addresses of the function's own frame, and what
each block reads and overwrites; then backward, what is live. Being live is always a safe answer:
wherever it is unclear what is read, all is.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

from mypy_extensions import i64

from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction
from anybpf.verifier.flow import CALLS, Block, Graph

ARGUMENTS: Final = 0x3E  # r1 to r5
CALL_RESULTS: Final = 0x3F  # r0 to r5, which a call leaves changed
ALL_REGISTERS: Final = 0x7FF
FRAME_POINTER: Final = 0x400
KEPT: Final = 0x3FF  # r0 to r9: the registers whose content changes
ALL_CELLS: Final = -1
FRAME_BYTES: Final = 512
FRAME_CELLS: Final = 64
# Addresses are counted from the lowest byte of the frame; farther away they are not followed.
FAR: Final = 1 << 29
# What was spilled to a cell, if not the one address that ever was.
NEVER: Final = -(1 << 40)
ANYWHERE: Final = -(1 << 41)
# How often the forward pass starts over because a cell held several addresses.
RESTARTS: Final = 3


def _cells_from() -> list[i64]:
    """For each number of a cell the mask of it and all above (as signed 64-bit words)."""
    return [-(1 << cell) if cell < FRAME_CELLS else 0 for cell in range(FRAME_CELLS + 1)]


CELLS_FROM: Final = _cells_from()
# What was spilled before anything was; copied to be changed.
NOTHING_SPILLED: Final[list[i64]] = [NEVER] * FRAME_CELLS
BITS: Final[list[i64]] = [1 << register for register in range(16)]
SIZES: Final[list[i64]] = [4, 2, 1, 8]


class CallUse:
    """What a call reads: a mask of registers, and memory as (register, bytes) pairs.

    Bytes are counted from where the register points; -1 stands for all up to the frame's top.
    """

    __slots__ = ("arguments", "memory")

    def __init__(self, arguments: i64, memory: list[tuple[i64, i64]]) -> None:
        self.arguments: i64 = arguments
        self.memory: list[tuple[i64, i64]] = memory


def is_needed(graph: Graph) -> bool:
    """Whether states meet anywhere in the graph: only there it matters what is still read."""
    for block in graph.blocks:
        if block.predecessors > 1 or block.ending == CALLS:
            return True
    return graph.has_loops


def assume_all(graph: Graph) -> None:
    """In place of :func:`compute` where it is not needed: anything may still be read."""
    for block in graph.blocks:
        block.live = ALL_REGISTERS
        block.live_cells = ALL_CELLS


def compute(graph: Graph, instructions: list[Instruction], calls: dict[int, CallUse]) -> None:
    """Fill in ``live``, ``live_cells`` and ``live_cells_in_call`` of all blocks.

    Calls that ``calls`` does not name read r1 to r5, and the frame from where these point to its
    top. A call that ends a block may read the whole frame if it is passed any address in it.
    """
    if not graph.blocks:
        return
    frame = _Frame(graph, instructions, calls)
    frame.follow()
    _spread_back(graph)
    escaped = frame.escaped
    for block in graph.blocks:
        block.live = block.live | FRAME_POINTER
        if escaped:
            block.live_cells = ALL_CELLS
            if block.ending == CALLS:
                block.live_cells_in_call = ALL_CELLS


def cells_between(low: i64, high: i64) -> i64:
    """The mask of the cells that have a byte in [low, high); what is outside the frame is cut."""
    if low < 0:
        low = 0
    if high > FRAME_BYTES:
        high = FRAME_BYTES
    if low >= high:
        return 0
    return CELLS_FROM[low >> 3] & ~CELLS_FROM[(high + 7) >> 3]


class _Frame:
    """The forward pass: where addresses of the function's frame are, and what blocks read.

    A register outside ``may`` holds no address of the frame. One in ``may`` holds the address
    that ``places`` says, or none at all; that it surely holds it is said by ``sure``, that the
    address could be any by ``unclear``. ``spills`` is the mask of the cells that may hold one.
    """

    __slots__ = (
        "blocks",
        "calls",
        "entry_places",
        "escaped",
        "instructions",
        "late",
        "places",
        "queue",
        "spilled",
        "sweeping",
    )

    def __init__(
        self, graph: Graph, instructions: list[Instruction], calls: dict[int, CallUse]
    ) -> None:
        self.blocks: list[Block] = graph.blocks
        self.instructions: list[Instruction] = instructions
        self.calls: dict[int, CallUse] = calls
        # Blocks themselves have what they read before they overwrite it (``live``), the registers
        # and cells that they overwrite (``defined``, ``killed``), and at their start -1, or
        # may | unclear << 10 | sure << 20 (``entry``), and spills (``entry_spills``). Here is the
        # address in register r at 16 * block + r.
        self.entry_places: dict[i64, i64] = {}
        self.places: list[i64] = [0] * 16
        self.places[op.FRAME_POINTER] = FRAME_BYTES
        # By cell, the address that is ever spilled there. It is not told apart by where in the
        # function that is; if a second one turns up, what was found with the first is wrong.
        self.spilled: list[i64] = NOTHING_SPILLED
        self.late: bool = False
        self.escaped: bool = False
        self.sweeping: bool = True
        self.queue: list[i64] = []

    def follow(self) -> None:
        restarts: i64 = 0
        self._sweep()
        while self.late and not self.escaped:
            self.late = False
            restarts = restarts + 1
            if restarts == RESTARTS:
                self.spilled = [ANYWHERE] * FRAME_CELLS
            for block in self.blocks:
                block.entry = -1
            self.entry_places = {}
            self._sweep()

    def _sweep(self) -> None:
        blocks = self.blocks
        blocks[0].entry = 0
        blocks[0].entry_spills = 0
        self.sweeping = True
        for block in blocks:
            self._scan(block)
        self.sweeping = False
        queue = self.queue
        while queue:
            index = heappop(queue)
            blocks[index].is_queued = False
            self._scan(blocks[index])

    def _scan(self, block: Block) -> None:
        instructions = self.instructions
        places = self.places
        index = block.index
        entry = block.entry
        spills = block.entry_spills
        may: i64 = FRAME_POINTER
        unclear: i64 = 0
        sure: i64 = FRAME_POINTER
        if entry != 0:
            may = (entry & KEPT) | FRAME_POINTER
            unclear = (entry >> 10) & KEPT
            sure = (entry >> 20) | FRAME_POINTER
            self._recall(index, may & ~unclear)
        used: i64 = 0
        defined: i64 = 0
        cells_used: i64 = 0
        killed: i64 = 0
        # A literal would be 32 bits wide where this is compiled.
        one: i64 = 1
        i = block.first
        last = block.last
        while i <= last:
            insn = instructions[i]
            opcode = i64(insn.opcode)
            cls = opcode & op.CLASS_MASK
            dst = i64(insn.dst) & 15
            dst_bit = one << dst
            if cls == op.ALU64 or cls == op.ALU:
                operation = opcode & op.OP_MASK
                involved = dst_bit
                if operation == op.MOV:
                    involved = 0
                if (opcode & op.X) != 0 and operation != op.END:
                    involved = involved | (one << (i64(insn.src) & 15))
                used = used | (involved & ~defined)
                defined = defined | dst_bit
                if (may & (involved | dst_bit)) != 0:
                    if (may & involved) == 0:
                        may = may & ~dst_bit
                        unclear = unclear & ~dst_bit
                        sure = sure & ~dst_bit
                    elif opcode == op.MOV64_REG and insn.offset == 0:
                        may = may | dst_bit
                        if (unclear & involved) != 0:
                            unclear = unclear | dst_bit
                        else:
                            unclear = unclear & ~dst_bit
                            places[dst] = places[i64(insn.src) & 15]
                        if (sure & involved) != 0:
                            sure = sure | dst_bit
                        else:
                            sure = sure & ~dst_bit
                    elif (unclear & dst_bit) == 0 and self._moved(insn, opcode, dst):
                        pass
                    else:
                        may = may | dst_bit
                        unclear = unclear | dst_bit
                        sure = sure & ~dst_bit
            elif cls == op.LDX:
                src = i64(insn.src) & 15
                src_bit = one << src
                used = used | (src_bit & ~defined)
                defined = defined | dst_bit
                if (may & (src_bit | dst_bit)) != 0:
                    base_may = may & src_bit
                    base_unclear = unclear & src_bit
                    may = may & ~dst_bit
                    unclear = unclear & ~dst_bit
                    sure = sure & ~dst_bit
                    if base_may != 0:
                        size: i64 = SIZES[(opcode & op.SIZE_MASK) >> 3]
                        place: i64 = places[src] + i64(insn.offset)
                        touched: i64 = ALL_CELLS
                        if base_unclear == 0:
                            touched = cells_between(place, place + size)
                        cells_used = cells_used | (touched & ~killed)
                        if size == 8 and (touched & spills) != 0:
                            may = may | dst_bit
                            unclear = unclear | dst_bit
                            if base_unclear == 0 and (place & 7) == 0:
                                kept: i64 = self.spilled[place >> 3]
                                if kept != ANYWHERE:
                                    places[dst] = kept
                                    unclear = unclear & ~dst_bit
            elif cls == op.STX or cls == op.ST:
                mode = opcode & op.MODE_MASK
                src_bit = 0
                if cls == op.STX:
                    src_bit = one << (i64(insn.src) & 15)
                if mode == op.MEM:
                    used = used | ((dst_bit | src_bit) & ~defined)
                    if (may & (dst_bit | src_bit)) != 0 and (opcode & op.SIZE_MASK) == op.DW:
                        if (may & src_bit) != 0:
                            if (sure & dst_bit) == 0:
                                self.escaped = True
                            else:
                                place = places[dst] + i64(insn.offset)
                                touched = cells_between(place, place + 8)
                                spills = spills | touched
                                kept = ANYWHERE
                                if (unclear & src_bit) == 0 and (place & 7) == 0:
                                    kept = places[i64(insn.src) & 15]
                                self._spill(touched, kept)
                                if (place & 7) == 0:
                                    killed = killed | touched
                        elif (sure & dst_bit) != 0:
                            place = places[dst] + i64(insn.offset)
                            if (place & 7) == 0:
                                touched = cells_between(place, place + 8)
                                killed = killed | touched
                                spills = spills & ~touched
                elif mode == op.ATOMIC and cls == op.STX:
                    what = insn.imm
                    address_bit = dst_bit
                    reads = dst_bit | src_bit
                    result: i64 = 0
                    gives = (may & src_bit) != 0
                    if what == op.LOAD_ACQUIRE:
                        reads = src_bit
                        address_bit = src_bit
                        result = dst_bit
                        gives = False
                    elif what == op.ATOMIC_CMPXCHG:
                        reads = reads | 1
                        result = 1
                    elif (what & op.FETCH) != 0:
                        result = src_bit
                    used = used | (reads & ~defined)
                    defined = defined | result
                    if gives:
                        self.escaped = True
                    loads_address = False
                    if (may & address_bit) != 0:
                        touched = ALL_CELLS
                        if (unclear & address_bit) == 0:
                            place = places[dst if address_bit == dst_bit else i64(insn.src) & 15]
                            place = place + i64(insn.offset)
                            touched = cells_between(place, place + 8)
                        cells_used = cells_used | (touched & ~killed)
                        touched = touched & spills
                        if touched != 0:
                            loads_address = True
                            self._spill(touched, ANYWHERE)
                    may = may & ~result
                    unclear = unclear & ~result
                    sure = sure & ~result
                    if loads_address:
                        may = may | result
                        unclear = unclear | result
                else:
                    used = used | (ALL_REGISTERS & ~defined)
                    cells_used = cells_used | ~killed
            elif cls == op.LD:
                if opcode == op.LD_IMM64:
                    defined = defined | dst_bit
                    may = may & ~dst_bit
                    unclear = unclear & ~dst_bit
                    sure = sure & ~dst_bit
                else:
                    # Packet loads: the context is in r6, and they are calls in disguise.
                    src_bit = 0
                    if (opcode & op.MODE_MASK) == op.IND:
                        src_bit = one << (i64(insn.src) & 15)
                    used = used | ((BITS[6] | src_bit) & ~defined)
                    defined = defined | CALL_RESULTS
                    may = may & ~CALL_RESULTS
                    unclear = unclear & ~CALL_RESULTS
                    sure = sure & ~CALL_RESULTS
            else:
                operation = opcode & op.OP_MASK
                if operation == op.CALL:
                    known = self.calls.get(i)
                    reads = ARGUMENTS
                    if opcode != op.CALL_IMM:
                        reads = ALL_REGISTERS
                    elif known is not None:
                        reads = known.arguments
                    used = used | (reads & ~defined)
                    defined = defined | CALL_RESULTS
                    returned: i64 = 0
                    passed = may & reads & ARGUMENTS
                    if i == last and block.ending == CALLS:
                        block.live_cells_in_call = 0
                        if passed != 0:
                            # The function called may read anywhere in the frame, put addresses
                            # that it was passed anywhere in it, and return one.
                            block.live_cells_in_call = ALL_CELLS
                            cells_used = cells_used | ~killed
                            spills = ALL_CELLS
                            self._spill(ALL_CELLS, ANYWHERE)
                            returned = 1
                    elif passed != 0:
                        cells_used = cells_used | (self._read(known, passed, unclear) & ~killed)
                    may = (may & ~CALL_RESULTS) | returned
                    unclear = (unclear & ~CALL_RESULTS) | returned
                    sure = sure & ~CALL_RESULTS
                elif operation == op.EXIT:
                    used = used | (1 & ~defined)
                elif operation != op.JA and operation != op.JCOND:
                    involved = dst_bit
                    if (opcode & op.X) != 0:
                        involved = involved | (one << (i64(insn.src) & 15))
                    used = used | (involved & ~defined)
            i = i + 1
        block.live = used
        block.live_cells = cells_used
        block.defined = defined
        block.killed = killed
        may = may & KEPT
        sure = sure & KEPT
        for successor in block.successors:
            self._enter(index, successor, may, unclear, sure, spills)

    def _moved(self, insn: Instruction, opcode: i64, dst: i64) -> bool:
        """Follow the addition of a constant to an address; False if this is something else."""
        by = insn.imm
        if opcode == op.ALU64 | op.SUB | op.K:
            by = -by
        elif opcode != op.ALU64 | op.ADD | op.K:
            return False
        place: i64 = self.places[dst] + by
        if place < -FAR or place > FAR:
            return False
        self.places[dst] = place
        return True

    def _read(self, known: CallUse | None, passed: i64, unclear: i64) -> i64:
        """The cells that a helper reads through the registers in ``passed``."""
        cells: i64 = 0
        if known is None:
            register: i64 = 1
            while register <= 5:
                if (passed & BITS[register]) != 0:
                    if (unclear & BITS[register]) != 0:
                        return ALL_CELLS
                    cells = cells | cells_between(self.places[register], FRAME_BYTES)
                register = register + 1
            return cells
        for register, size in known.memory:
            if (passed & BITS[register]) != 0:
                if (unclear & BITS[register]) != 0:
                    return ALL_CELLS
                place: i64 = self.places[register]
                end: i64 = FRAME_BYTES
                if size >= 0 and size < FRAME_BYTES - place:
                    end = place + size
                cells = cells | cells_between(place, end)
        return cells

    def _spill(self, cells: i64, place: i64) -> None:
        """Note that an address is put in cells."""
        if self.spilled is NOTHING_SPILLED:
            self.spilled = NOTHING_SPILLED.copy()
        spilled = self.spilled
        cell: i64 = 0
        while cell < FRAME_CELLS:
            if (cells & CELLS_FROM[cell] & ~CELLS_FROM[cell + 1]) != 0:
                before: i64 = spilled[cell]
                if before == NEVER:
                    spilled[cell] = place
                elif before != place and before != ANYWHERE:
                    spilled[cell] = ANYWHERE
                    self.late = True
            cell = cell + 1

    def _recall(self, index: i64, known: i64) -> None:
        """Set out the addresses that registers hold where a block starts."""
        register: i64 = 0
        while register < op.FRAME_POINTER:
            if (known & BITS[register]) != 0:
                self.places[register] = self.entry_places[16 * index + register]
            register = register + 1

    def _enter(
        self, source: i64, target: i64, may: i64, unclear: i64, sure: i64, spills: i64
    ) -> None:
        """Join what holds at the end of a block to what is known where its successor starts."""
        block = self.blocks[target]
        entry = block.entry
        if entry < 0:
            block.entry = may | (unclear << 10) | (sure << 20)
            block.entry_spills = spills
            if may != 0:
                self._remember(target, may & ~unclear)
            return
        known_spills = block.entry_spills
        if (entry | may) == 0 and (spills | known_spills) == known_spills:
            return
        known = entry & KEPT
        unclear = unclear | ((entry >> 10) & KEPT)
        both = known & may & ~unclear
        register: i64 = 0
        while register < op.FRAME_POINTER:
            if (both & BITS[register]) != 0 and self.places[register] != self.entry_places[
                16 * target + register
            ]:
                unclear = unclear | BITS[register]
            register = register + 1
        sure = sure & (entry >> 20) & ~unclear
        self._remember(target, may & ~known & ~unclear)
        may = may | known
        joined = may | (unclear << 10) | (sure << 20)
        spills = spills | known_spills
        if joined != entry or spills != known_spills:
            block.entry = joined
            block.entry_spills = spills
            if (target <= source or not self.sweeping) and not block.is_queued:
                block.is_queued = True
                heappush(self.queue, target)

    def _remember(self, target: i64, registers: i64) -> None:
        register: i64 = 0
        while registers != 0 and register < op.FRAME_POINTER:
            if (registers & BITS[register]) != 0:
                self.entry_places[16 * target + register] = self.places[register]
            register = register + 1


def _spread_back(graph: Graph) -> None:
    """Add what is live after each block to what it reads itself."""
    blocks = graph.blocks
    index: i64 = len(blocks) - 1
    while index >= 0:
        _pass_back(blocks, blocks[index])
        index = index - 1
    if not graph.has_loops:
        return
    sources: list[list[i64]] = [[] for _ in blocks]
    # By the distance from the end: what comes last in the order is to be done first.
    queue: list[i64] = []
    queued: list[bool] = [False] * len(blocks)
    for block in blocks:
        for successor in block.successors:
            sources[successor].append(block.index)
            if successor <= block.index and not queued[block.index]:
                queued[block.index] = True
                heappush(queue, -block.index)
    while queue:
        index = -heappop(queue)
        queued[index] = False
        if _pass_back(blocks, blocks[index]):
            for source in sources[index]:
                if not queued[source]:
                    queued[source] = True
                    heappush(queue, -source)


def _pass_back(blocks: list[Block], block: Block) -> bool:
    """Whether more is live at the start of a block now."""
    registers: i64 = 0
    cells: i64 = 0
    for successor in block.successors:
        after = blocks[successor]
        registers = registers | after.live
        cells = cells | after.live_cells
    if block.ending == CALLS:
        block.live_cells_in_call = block.live_cells_in_call | cells
    registers = block.live | (registers & ~block.defined)
    cells = block.live_cells | (cells & ~block.killed)
    if registers == block.live and cells == block.live_cells:
        return False
    block.live = registers
    block.live_cells = cells
    return True
