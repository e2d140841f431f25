"""Helpers acted out: arguments checked as the platform's rows say, results by chance.

A result may be whatever its kind allows: a helper that always succeeds, or always gives small
numbers, would hide what a verifier wrongly takes for granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from fuzz.soundness.blocks import (
    FUNCTION,
    KIND_NAMES,
    MAP,
    MAP_VALUE,
    MEMORY,
    OBJECT,
    PACKET,
    PACKET_META,
    STACK,
    WORD,
    Block,
    signed,
)
from fuzz.soundness.parts import Callback, Table
from fuzz.soundness.scene import (
    CONTEXT_ARG,
    FUNCTION_ARG,
    KEY_ARG,
    MAP_ARG,
    MEMORY_ARG,
    RECORD_ARG,
    SIZE_ARG,
    SOCKET_ARG,
    STACK_ARG,
    VALUE_ARG,
    Row,
)

if TYPE_CHECKING:
    from fuzz.soundness.machine import Machine

# bpf_loop refuses more rounds than this: kernel, include/linux/bpf_verifier.h, BPF_MAX_LOOPS.
MAX_LOOPS: Final = 8 << 20
ARRAYS: Final = ("array", "percpu_array")
HASHES: Final = ("hash", "lru_hash", "percpu_hash", "lru_percpu_hash", "lpm_trie")


def act(machine: Machine, number: int) -> None:
    """Call the helper of that number."""
    row = machine.scene.row(number)
    if row is None:
        machine.fail(f"helper {number} does not exist")
        return
    if row.unsupported:
        machine.give_up(row.name)
        return
    table: Table | None = None
    key: bytes = b""
    writes: list[tuple[Block, int, int]] = []
    longest: int = 0
    position: i64 = 0
    for arg in row.args:
        register = position + 1
        position = position + 1
        word = machine.get(register)
        owner = machine.owners[register]
        kind: i64 = arg.kind
        if machine.stopped():
            return
        if kind == CONTEXT_ARG:
            if arg.nullable and word == 0:
                continue
            if owner is not machine.context or word != machine.context.address:
                machine.fail(f"{row.name}: r{register} is not the context")
        elif kind == MAP_ARG:
            if owner is None or owner.kind != MAP or owner.address != word:
                machine.fail(f"{row.name}: r{register} is not a map")
                return
            table = machine.tables[owner.index]
        elif kind in (KEY_ARG, VALUE_ARG):
            if table is None:
                machine.give_up(row.name)
                return
            if kind == VALUE_ARG and arg.nullable and word == 0:
                continue
            size = table.key_size if kind == KEY_ARG else table.value_size
            block = memory(machine, row, register, size, arg.writes)
            if block is None:
                return
            offset = block.offset_of(word)
            if kind == KEY_ARG:
                key = machine.read_bytes(block, offset, size)
            if arg.writes:
                writes.append((block, offset, size))
        elif kind == MEMORY_ARG:
            size = arg.size
            if arg.size_arg >= 0:
                size = machine.get(arg.size_arg + 1)
                longest = size
            if arg.nullable and word == 0 and owner is None:
                if size != 0 and arg.size_arg >= 0:
                    machine.fail(f"{row.name}: no memory for {size} bytes in r{register}")
                    return
                continue
            block = memory(machine, row, register, size, arg.writes)
            if block is None:
                return
            if arg.writes:
                writes.append((block, block.offset_of(word), size))
        elif kind == SIZE_ARG:
            if word == 0 and not arg.zero:
                machine.fail(f"{row.name}: r{register} is zero, must be a size")
        elif kind == STACK_ARG:
            if arg.nullable and word == 0 and owner is None:
                continue
            if owner is None or owner.kind != STACK:
                machine.fail(f"{row.name}: r{register} does not point to the stack")
        elif kind == FUNCTION_ARG:
            if owner is None or owner.kind != FUNCTION:
                machine.fail(f"{row.name}: r{register} is not a function")
        elif kind == RECORD_ARG:
            if owner is None or owner.type != "record" or owner.address != word:
                machine.fail(f"{row.name}: r{register} is not the start of a record")
        elif kind == SOCKET_ARG and (
            owner is None or owner.kind != OBJECT or owner.address != word
        ):
            machine.fail(f"{row.name}: r{register} is not a socket")
        if machine.stopped():
            return
    finish(machine, row, table, key, writes, longest)


def memory(machine: Machine, row: Row, register: i64, size: int, write: bool) -> Block | None:
    """The block in which a helper finds its memory, None if it is not good for it."""
    word = machine.words[register]
    owner = machine.owners[register]
    if owner is None:
        machine.fail(f"{row.name}: r{register} is no pointer to memory")
        return None
    kind: i64 = owner.kind
    if kind in (PACKET, PACKET_META):
        if not row.packet:
            machine.fail(f"{row.name} may not be given packet data in r{register}")
            return None
    elif kind != STACK and kind != MAP_VALUE and kind != MEMORY:
        machine.fail(f"{row.name}: r{register} points to a {KIND_NAMES[kind]}, not to memory")
        return None
    offset = owner.offset_of(word)
    if size > 0 and not owner.holds(offset, size):
        machine.fail(
            f"{row.name}: {size} bytes at {offset} of a {KIND_NAMES[kind]} in r{register}, "
            f"whose bytes are {owner.low} to {owner.high}"
        )
        return None
    if write and not owner.writable:
        machine.fail(f"{row.name} would write to a read-only {KIND_NAMES[kind]}")
        return None
    if not machine.initial_reads and kind == STACK and not write:
        first = offset + 512
        if 0 in owner.written[first : first + size]:
            machine.fail(f"{row.name}: {size} bytes of stack in r{register} are not all written")
            return None
    return owner


def finish(
    machine: Machine,
    row: Row,
    table: Table | None,
    key: bytes,
    writes: list[tuple[Block, int, int]],
    longest: int,
) -> None:
    """What the helper does and gives back, its arguments being good."""
    chance = machine.chance
    name = row.name
    for block, offset, size in writes:
        # Helpers fill what they are given even where they fail, be it with zeros.
        machine.scribble(block, offset, size)
    if name == "bpf_loop" or name == "bpf_for_each_map_elem":
        call_back(machine, name, table)
        return
    size_wanted = machine.words[2]
    if row.invalidates:
        machine.move_packet()
    for position in range(len(row.args)):
        if row.args[position].releases:
            given = machine.owners[position + 1]
            if given is None or given not in machine.owed:
                machine.fail(f"{name}: r{position + 1} holds nothing to give back")
                return
            machine.owed.remove(given)
            machine.forget(given)
    machine.clobber()
    returns = row.returns
    if returns == "void":
        if name == "bpf_tail_call" and chance.one_in(2):
            if machine.owed:
                machine.fail("a tail call while something must be given back")
            machine.saved = []
            machine.result = 0
            machine.finished = True
            return
        machine.words[0] = chance.word()
        machine.owners[0] = None
        machine.defined[0] = False
        return
    if returns == "integer":
        machine.put(0, integer(machine, row, longest), None)
        return
    if returns == "map_value":
        look_up(machine, row, table, key)
        return
    if returns == "ringbuf_memory":
        if chance.one_in(3):
            machine.put(0, 0, None)
            return
        size = size_wanted
        if size > 0x10000:
            # too much for the ring: null is all there is
            machine.put(0, 0, None)
            return
        data = bytearray(size)
        chance.fill(data, 0, size)
        record = Block(MEMORY, machine.place(size), data, -1)
        record.type = "record"
        record.owed = True
        machine.owed.append(record)
        machine.put(0, record.address, record)
        return
    if row.nullable and chance.one_in(3):
        machine.put(0, 0, None)
        return
    if not row.acquires:
        machine.give_up(name)
        return
    data = bytearray(80)
    chance.fill(data, 0, 80)
    socket = Block(OBJECT, machine.place(80), data, -1)
    socket.type = returns
    socket.owed = True
    machine.owed.append(socket)
    machine.put(0, socket.address, socket)


def look_up(machine: Machine, row: Row, table: Table | None, key: bytes) -> None:
    """The value behind a key, or null."""
    chance = machine.chance
    if table is None:
        machine.give_up(row.name)
        return
    inner = machine.scene.inner
    if table.index < len(inner) and inner[table.index] >= 0:
        if chance.one_in(3):
            machine.put(0, 0, None)
        else:
            within = machine.tables[inner[table.index]]
            machine.put(0, within.block.address, within.block)
        return
    if table.type in ARRAYS:
        number = int.from_bytes(key, "little")
        other_cpu = row.name == "bpf_map_lookup_percpu_elem"
        if number >= table.entries or (other_cpu and chance.one_in(2)):
            machine.put(0, 0, None)
            return
    elif table.type not in HASHES:
        machine.give_up(f"{row.name} of a {table.type} map")
        return
    elif chance.one_in(3):
        machine.put(0, 0, None)
        return
    elif chance.one_in(4):
        # the entry was deleted and made anew meanwhile
        table.bytes_of.pop(key, None)
    block = machine.value_block(table, key)
    machine.put(0, block.address, block)


def integer(machine: Machine, row: Row, longest: int) -> int:
    chance = machine.chance
    kind: i64 = chance.below(6)
    if row.length:
        if kind == 0:
            return 0
        if kind == 1:
            return (-1 - int(chance.below(4095))) & WORD
        if kind == 2:
            return longest
        return chance.word() % (longest + 1)
    word = chance.word()
    if kind == 0:
        word = 0
    elif kind == 1:
        word = (-1 - int(chance.below(4095))) & WORD
    elif kind == 2 and machine.constants:
        word = machine.constant()
    elif kind == 3 and row.high < 0x7FFFFFFFFFFFFFFF:
        word = (row.high if chance.one_in(2) else row.low) & WORD
    if row.low <= signed(word) <= row.high:
        return word
    return (row.low + word % (row.high - row.low + 1)) & WORD


def call_back(machine: Machine, name: str, table: Table | None) -> None:
    """Begin the rounds of a helper that calls a function of the program."""
    position = 2
    function = machine.owners[position]
    assert function is not None
    argument = machine.words[3]
    owner = machine.owners[3]
    flags = machine.words[4]
    count: int
    if name == "bpf_loop":
        count = machine.words[1] & 0xFFFFFFFF
        table = None
        if count > MAX_LOOPS:
            machine.clobber()
            machine.put(0, (-7) & WORD, None)
            return
    else:
        if table is None:
            machine.give_up(name)
            return
        if table.type in ARRAYS:
            count = table.entries
        elif table.type in HASHES:
            count = int(machine.chance.below(min(table.entries, 6) + 1))
        else:
            machine.give_up(f"{name} of a {table.type} map")
            return
    if flags != 0:
        machine.clobber()
        machine.put(0, (-22) & WORD, None)
        return
    if count == 0:
        machine.clobber()
        machine.put(0, 0, None)
        return
    machine.enter_callback(Callback(function.index, count, argument, owner, machine.pc, table))
