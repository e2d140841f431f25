"""Objects on the stack and what hangs on them: dynptrs, iterators, lent nodes.

Which arguments they are is checked in ``special``; here they are made and ended.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from anybpf.verifier.deduction import invalidate, leads_to
from anybpf.verifier.effects import replace_region
from anybpf.verifier.memory import object_at, put_object
from anybpf.verifier.rules import Call, NewObject
from anybpf.verifier.state import State
from anybpf.verifier.values import ACQUIRED, NON_OWNING, OBJECT, UNWRITTEN, ObjectCell, Region

# The flavour of dynptrs that are made of a packet.
PACKET_DYNPTR: Final = "packet"


def lend(st: State, region: Region) -> None:
    """The object goes to a list or tree; until the lock is given back it may still be used."""
    borrowed = Region(region.kind, region.size, False, region.index)
    borrowed.type = region.type
    borrowed.flags = (region.flags & ~ACQUIRED) | NON_OWNING
    st.release(region)
    replace_region(st, region, borrowed)


def place_object(st: State, made: NewObject, call: Call) -> None:
    """Make an object of the stack; what lay there ends."""
    there = object_at(st, made.frame, made.low, made.low + made.cells * 8)
    while there is not None:
        end_object(st, there.identity)
        there = object_at(st, made.frame, made.low, made.low + made.cells * 8)
    identity = Region(OBJECT, 0, False, -1)
    identity.type = made.type
    detail = made.detail
    read_only = made.read_only
    source = call.dynptr
    if source is not None and made.type == source.type and not detail:
        # A copy: the same memory, under the same reference.
        detail = source.detail
        read_only = source.read_only
        identity.parent = source.identity
    if made.acquires:
        st.acquire(identity)
    cells: list[ObjectCell] = []
    i: i64 = 0
    while i < made.cells:
        cells.append(ObjectCell(made.type, i, identity, detail, made.acquires, read_only))
        i = i + 1
    put_object(st, made.frame, made.low, cells)


def end_object(st: State, identity: Region) -> None:
    """An object of the stack ends, with its copies and all that pointed into it."""
    invalidate(st, identity)
    i: i64 = 0
    while i < len(st.stack):
        cell = st.stack[i]
        if isinstance(cell, ObjectCell) and leads_to(cell.identity, identity):
            if cell.identity is not identity:
                invalidate(st, cell.identity)
            st.set_cell(i, UNWRITTEN)
        i = i + 1


def forget_packet(st: State) -> None:
    """The packet may have moved: its pointers and slices of it are no good any more."""
    st.forget_packet()
    # As objects: the class of most cells is of no interest.
    for cell in cast("list[object]", st.stack):
        if isinstance(cell, ObjectCell) and cell.index == 0 and cell.detail == PACKET_DYNPTR:
            invalidate(st, cell.identity)
