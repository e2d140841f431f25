"""A checked machine for whole programs: every access is held against the block it belongs to.

It knows what each register points to, which stack bytes were written, what must be given back. What
goes wrong is kept in ``violation``; what this machine cannot act out, in ``unsupported``. Helpers
are in ``helpers``. Written from RFC 9669 and the kernel's documentation, not from the verifier.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from fuzz.soundness.blocks import (
    CONTEXT,
    FUNCTION,
    KIND_NAMES,
    MAP,
    MAP_VALUE,
    MASKS,
    OBJECT,
    PACKET,
    PACKET_END,
    PACKET_META,
    STACK,
    WORD,
    Block,
    frame,
    signed,
)
from fuzz.soundness.chance import Chance
from fuzz.soundness.code import Code
from fuzz.soundness.helpers import act
from fuzz.soundness.parts import Callback, Frame, Table
from fuzz.soundness.scene import UNSUPPORTED, Scene
from fuzz.soundness.words import HALF, alu32, alu64, atomic, compare, extend, swap

SIZES: Final[list[int]] = [4, 2, 1, 8]
MAX_FRAMES: Final = 8
# Where things lie: addresses as kernels have them, so that they are odd as numbers too.
FIRST_ADDRESS: Final = 0xFFFF888012340000


class Machine:
    """Registers, frames, memory and the place in the program.

    ``words`` are r0 to r10 as numbers from 0 to 2^64 - 1, ``owners`` the blocks they point into,
    ``defined`` whether they may be read.
    """

    __slots__ = (
        "access_block",
        "access_offset",
        "access_size",
        "access_write",
        "chance",
        "code",
        "constants",
        "context",
        "defined",
        "finished",
        "frames",
        "initial_reads",
        "lengths",
        "meta",
        "next_address",
        "owed",
        "owners",
        "packet",
        "packet_end",
        "pc",
        "result",
        "saved",
        "scene",
        "steps",
        "tables",
        "unsupported",
        "violation",
        "words",
    )

    def __init__(self, scene: Scene, code: Code, initial_reads: bool = True) -> None:
        self.scene: Scene = scene
        self.code: Code = code
        self.chance: Chance = Chance(1)
        # Whether stack may be read that was not written.
        self.initial_reads: bool = initial_reads
        self.words: list[int] = [0] * 11
        self.owners: list[Block | None] = [None] * 11
        self.defined: list[bool] = [False] * 11
        self.frames: list[Block] = []
        self.saved: list[Frame] = []
        self.owed: list[Block] = []
        self.tables: list[Table] = []
        nothing = Block(CONTEXT, 0, bytearray(), -1)
        self.context: Block = nothing
        self.packet: Block = nothing
        self.packet_end: Block = nothing
        self.meta: Block = nothing
        self.pc: i64 = 0
        self.steps: i64 = 0
        self.finished: bool = False
        self.violation: str = ""
        self.unsupported: str = ""
        self.result: int = 0
        self.next_address: int = 0
        self.access_block: Block | None = None
        self.access_offset: int = 0
        self.access_size: int = 0
        self.access_write: bool = False
        # Numbers that the program knows: inputs near them tell more than others.
        self.constants: list[int] = []
        self.lengths: list[int] = [0, 14, 34]
        for number in code.imm:
            if number != 0:
                self.constants.append(number & WORD)
                if 0 <= number <= 200:
                    self.lengths.append(number)
        for number in code.offset:
            if 0 < number <= 200:
                self.lengths.append(number)

    # Beginnings.

    def start(self, seed: i64, stream: i64) -> None:
        """Begin again with other inputs, named by two numbers."""
        chance = self.chance
        chance.restart(seed, stream)
        self.next_address = FIRST_ADDRESS + int(chance.below(0x40000000)) * 256
        self.steps = 0
        self.pc = 0
        self.finished = False
        self.violation = ""
        self.unsupported = ""
        self.result = 0
        self.frames = []
        self.saved = []
        self.owed = []
        self.tables = []
        i: i64 = 0
        while i < 11:
            self.words[i] = chance.word()
            self.owners[i] = None
            self.defined[i] = False
            i = i + 1
        index: i64 = 0
        for spec in self.scene.maps:
            table = Table(
                index, spec.type, spec.kind, spec.key_size, spec.value_size, spec.max_entries
            )
            table.block.address = self.place(64)
            self.tables.append(table)
            index = index + 1
        scene = self.scene
        size = scene.context_size
        if scene.layout == "bytes" and size > 256:
            size = 256
        context = Block(CONTEXT, self.place(size), bytearray(size), -1)
        chance.fill(context.data, 0, size)
        self.sow(context.data, 0, size)
        self.context = context
        if scene.has_packet or scene.legacy_loads:
            self.new_packet()
        self.push_frame()
        self.words[1] = context.address
        self.owners[1] = context
        self.defined[1] = True

    def place(self, size: int) -> int:
        """A new address."""
        address = self.next_address
        self.next_address = address + (size + 0x1FF & ~0xFF)
        return address

    def sow(self, data: bytearray, start: i64, end: i64) -> None:
        """Put numbers that the program knows, or their neighbours, somewhere."""
        count: i64 = len(self.constants)
        if count == 0 or end - start < 8:
            return
        chance = self.chance
        seeds: i64 = chance.below(4)
        while seeds > 0:
            word = self.constant()
            size: int = 1 << chance.below(4)
            at: int = start + chance.below(end - start - 7)
            if chance.one_in(2):
                at -= (at - start) % size
            order = "big" if chance.one_in(4) else "little"
            piece = (word & MASKS[size]).to_bytes(size, "little")
            data[at : at + size] = piece[::-1] if order == "big" else piece
            seeds = seeds - 1

    def constant(self) -> int:
        """A number that the program knows, or one beside it."""
        chance = self.chance
        word = self.constants[chance.below(len(self.constants))]
        near: i64 = chance.below(4)
        if near == 0:
            return (word + 1) & WORD
        if near == 1:
            return (word - 1) & WORD
        return word

    def new_packet(self) -> None:
        chance = self.chance
        kind: i64 = chance.below(8)
        length: int
        if kind < 5:
            # around what the program asks for, or the sum of two of these
            length = self.lengths[chance.below(len(self.lengths))] + chance.below(3) - 1
            if kind < 2:
                length += self.lengths[chance.below(len(self.lengths))]
            if length < 0:
                length = 0
        elif kind == 5:
            length = chance.below(20)
        else:
            length = chance.below(201)
        before: int = chance.below(5) * 4 if chance.one_in(2) else 0
        data = bytearray(before + length)
        chance.fill(data, 0, before + length)
        self.sow(data, 0, before + length)
        address = self.place(before + length) + before + int(chance.below(4))
        packet = Block(PACKET, address, data, -1)
        packet.start = before
        packet.high = length
        packet.writable = self.scene.packet_writable
        self.packet = packet
        meta = Block(PACKET_META, address - before, data, -1)
        meta.writable = self.scene.packet_writable
        self.meta = meta
        self.packet_end = Block(PACKET_END, address + length, bytearray(), -1)

    def push_frame(self) -> None:
        depth: i64 = len(self.frames)
        data = bytearray(512)
        self.chance.fill(data, 0, 512)
        block = frame(depth, self.place(512) + 512, data)
        self.frames.append(block)
        self.words[10] = block.address
        self.owners[10] = block
        self.defined[10] = True

    # Troubles.

    def fail(self, text: str) -> None:
        if not self.violation:
            self.violation = text
        self.finished = True

    def stopped(self) -> bool:
        return self.finished

    def give_up(self, text: str) -> None:
        if not self.unsupported:
            self.unsupported = text
        self.finished = True

    def forget(self, gone: Block) -> None:
        """What pointed there is a number from now on."""
        i: i64 = 0
        while i < 11:
            if self.owners[i] is gone:
                self.owners[i] = None
            i = i + 1
        for kept in self.saved:
            i = 0
            while i < 4:
                if kept.owners[i] is gone:
                    kept.owners[i] = None
                i = i + 1
        for block in self.frames:
            i = 0
            while i < 64:
                if block.spilled[i] is gone:
                    block.spilled[i] = None
                i = i + 1

    def move_packet(self) -> None:
        """The packet lies elsewhere now, with another length."""
        self.forget(self.packet)
        self.forget(self.meta)
        self.forget(self.packet_end)
        self.new_packet()

    # Registers.

    def get(self, register: i64) -> int:
        if not self.defined[register]:
            self.fail(f"r{register} is read before it is written")
        return self.words[register]

    def put(self, register: i64, word: int, owner: Block | None) -> None:
        if register == 10:
            self.fail("r10 is written")
        self.words[register] = word
        self.owners[register] = owner
        self.defined[register] = True

    def clobber(self) -> None:
        """After a call r1 to r5 hold anything and may not be read."""
        i: i64 = 1
        while i < 6:
            self.words[i] = self.chance.word()
            self.owners[i] = None
            self.defined[i] = False
            i = i + 1

    # Memory.

    def reach(
        self, word: int, owner: Block | None, distance: int, size: int, write: bool
    ) -> Block | None:
        """The block that an access falls into, None if it falls outside."""
        what = "store" if write else "load"
        if owner is None:
            kind = "the null pointer" if word == 0 else "a number"
            self.fail(f"{size}-byte {what} through {kind}")
            return None
        offset = owner.offset_of((word + distance) & WORD)
        if not owner.holds(offset, size):
            self.fail(
                f"{size}-byte {what} at {offset} of a {KIND_NAMES[owner.kind]} "
                f"whose bytes are {owner.low} to {owner.high}"
            )
            return None
        if write and not owner.writable:
            self.fail(f"{size}-byte store into a read-only {KIND_NAMES[owner.kind]}")
            return None
        self.access_block = owner
        self.access_offset = offset
        self.access_size = size
        self.access_write = write
        return owner

    def load(self, dst: i64, src: i64, distance: int, size: int, sign: bool) -> None:
        word = self.get(src)
        block = self.reach(word, self.owners[src], distance, size, False)
        if block is None:
            return
        offset = self.access_offset
        kind: i64 = block.kind
        owner: Block | None = None
        if kind == CONTEXT:
            self.load_context(dst, offset, size, sign)
            return
        if kind == STACK:
            if not self.initial_reads:
                first = offset + 512
                if 0 in block.written[first : first + size]:
                    self.fail(f"{size} bytes of stack are read before they are written")
                    return
            if size == 8 and offset & 7 == 0:
                owner = block.spilled[(offset + 512) >> 3]
        elif kind in (MAP, FUNCTION):
            self.give_up("load from a map or function")
            return
        elif block.volatile and self.chance.one_in(8):
            # Somebody else writes to it too.
            self.chance.fill(block.data, offset + block.start, offset + block.start + size)
        value = block.read(offset, size)
        if sign:
            value = extend(value, size * 8)
        self.put(dst, value, owner)

    def load_context(self, dst: i64, offset: int, size: int, sign: bool) -> None:
        scene = self.scene
        kind: i64 = 0
        if scene.layout != "fields" and (offset % size != 0 or offset < scene.context_start):
            self.fail(f"{size}-byte load at {offset} of the context")
            return
        found = scene.context_reads.get(offset * 16 + size)
        if found is not None:
            kind = found
        elif scene.layout == "fields":
            self.fail(f"{size}-byte load at {offset} of the context")
            return
        if kind == 0:
            value = self.context.read(offset, size)
            if sign:
                value = extend(value, size * 8)
            self.put(dst, value, None)
        elif kind == UNSUPPORTED or sign:
            self.give_up("a context field that is no number")
        elif kind == PACKET:
            self.put(dst, self.packet.address, self.packet)
        elif kind == PACKET_META:
            self.put(dst, self.meta.address, self.meta)
        else:
            self.put(dst, self.packet_end.address, self.packet_end)

    def store(self, dst: i64, distance: int, size: int, word: int, owner: Block | None) -> None:
        block = self.reach(self.get(dst), self.owners[dst], distance, size, True)
        if block is None or self.finished:
            return
        offset = self.access_offset
        kind: i64 = block.kind
        if kind == CONTEXT:
            if self.scene.layout == "fields":
                if offset * 16 + size not in self.scene.context_writes:
                    self.fail(f"{size}-byte store at {offset} of the context")
                    return
            else:
                self.fail("store into a context that may only be read")
                return
        elif kind == STACK:
            block.forget_spills(offset, size)
            first: i64 = offset + 512
            if size == 8 and offset & 7 == 0:
                block.spilled[first >> 3] = owner
            i: i64 = 0
            while i < size:
                block.written[first + i] = 1
                i = i + 1
        elif kind in (MAP, FUNCTION, OBJECT):
            self.fail(f"store into a {KIND_NAMES[kind]}")
            return
        block.write(offset, size, word)

    def read_bytes(self, block: Block, offset: int, size: int) -> bytes:
        at: int = offset + block.start
        return bytes(block.data[at : at + size])

    def scribble(self, block: Block, offset: int, size: int) -> None:
        """Something else writes these bytes, or some of them."""
        if size == 0:
            return
        if block.kind == STACK:
            block.forget_spills(offset, size)
            i: i64 = offset + 512
            end: i64 = i + size
            while i < end:
                block.written[i] = 1
                i = i + 1
        at: i64 = offset + block.start
        last: i64 = at + size
        how: i64 = self.chance.below(4)
        if how == 0:
            block.data[at:last] = bytes(size)
        elif how == 1 and size <= 8 and self.constants:
            block.write(offset, 1, self.constant())
        else:
            self.chance.fill(block.data, at, last)
            self.sow(block.data, at, last)

    # Map values.

    def value_block(self, table: Table, key: bytes) -> Block:
        """The block behind a key, made when it is first asked for."""
        found = table.bytes_of.get(key)
        if found is None:
            size = table.value_size
            data = bytearray(size)
            spec = self.scene.maps[table.index]
            constant = table.kind == "rodata" or table.kind == "kconfig"
            if constant or (table.kind == "data" and self.chance.one_in(2)):
                if spec.contents:
                    given = spec.contents[0][1]
                    if isinstance(given, bytes):
                        data[: len(given)] = given[:size]
            else:
                self.chance.fill(data, 0, size)
                self.sow(data, 0, size)
            found = Block(MAP_VALUE, self.place(size), data, table.index)
            found.writable = not constant
            found.volatile = not constant
            table.bytes_of[key] = found
        return found

    # Running.

    def step(self) -> None:
        """Do one instruction."""
        code = self.code
        pc = self.pc
        if pc < 0 or pc >= code.count:
            self.fail("the program runs out of its code")
            return
        self.steps = self.steps + 1
        self.access_block = None
        opcode: i64 = code.opcode[pc]
        group: i64 = opcode & 7
        self.pc = pc + 1
        if group == 7 or group == 4:
            self.arithmetic(opcode, code.dst[pc], code.src[pc], code.offset[pc], code.imm[pc])
        elif group == 5 or group == 6:
            self.jump(opcode, pc)
        elif group == 1:
            mode: i64 = opcode & 0xE0
            if mode != 0x60 and mode != 0x80:
                self.give_up("unknown load")
                return
            size = SIZES[(opcode >> 3) & 3]
            self.load(code.dst[pc], code.src[pc], code.offset[pc], size, mode == 0x80)
        elif group == 2:
            size = SIZES[(opcode >> 3) & 3]
            self.store(code.dst[pc], code.offset[pc], size, code.imm[pc] & WORD, None)
        elif group == 3:
            size = SIZES[(opcode >> 3) & 3]
            if opcode & 0xE0 == 0x60:
                src: i64 = code.src[pc]
                self.store(code.dst[pc], code.offset[pc], size, self.get(src), self.owners[src])
            else:
                self.atomic(pc, size)
        elif opcode == 0x18:
            self.load_wide(pc)
        else:
            self.load_packet(opcode, code.src[pc], code.imm[pc])

    def arithmetic(self, opcode: i64, dst: i64, src: i64, offset: i64, imm: int) -> None:
        wide = opcode & 7 == 7
        operation: i64 = opcode & 0xF0
        if operation == 0xD0:
            x = self.get(dst)
            if wide or opcode & 8:  # bswap, be: this machine is little-endian
                x = swap(x, imm)
            else:
                x &= (1 << imm) - 1
            self.put(dst, x, None)
            return
        y: int
        other: Block | None = None
        if opcode & 8:
            if operation == 0xB0 and wide and offset == 1:
                self.give_up("address-space cast")
                return
            y = self.get(src)
            other = self.owners[src]
        else:
            y = imm & WORD
        if operation == 0xB0:
            if wide:
                if offset != 0:
                    other = None
                self.put(dst, alu64(operation, 0, y, offset), other)
            else:
                self.put(dst, alu32(operation, 0, y, offset), None)
            return
        x = self.get(dst)
        if not wide:
            self.put(dst, alu32(operation, x, y, offset), None)
            return
        owner: Block | None = None
        if operation == 0x00:
            owner = self.owners[dst]
            if owner is None:
                owner = other
            elif other is not None:
                owner = None
        elif operation == 0x10 and other is None:
            owner = self.owners[dst]
        self.put(dst, alu64(operation, x, y, offset), owner)

    def jump(self, opcode: i64, pc: i64) -> None:
        code = self.code
        operation: i64 = opcode & 0xF0
        if operation == 0x00:
            self.pc = code.target[pc]
        elif operation == 0x80:
            self.call(opcode, pc)
        elif operation == 0x90:
            self.leave()
        elif operation == 0xE0:
            # may_goto: goes on when the program has run for long enough
            if self.chance.one_in(4):
                self.pc = code.target[pc]
        else:
            x = self.get(code.dst[pc])
            y = self.get(code.src[pc]) if opcode & 8 else code.imm[pc] & WORD
            if compare(operation, x, y, opcode & 7 == 5):
                self.pc = code.target[pc]

    def leave(self) -> None:
        """The end of a function."""
        if not self.saved:
            word = self.get(0)
            if self.owed:
                self.fail(f"{len(self.owed)} reference(s) not given back at the end")
            scene = self.scene
            # Results are 32 bits wide to whoever runs programs.
            low = word & HALF
            if scene.result_low >= 0 and not scene.result_low <= low <= scene.result_high:
                self.fail(f"returns {low}, allowed are {scene.result_low} to {scene.result_high}")
            self.result = word
            self.finished = True
            return
        kept = self.saved.pop()
        gone = self.frames.pop()
        self.forget(gone)
        callback = kept.callback
        word = self.words[0]
        if callback is not None:
            self.get(0)
        i: i64 = 0
        while i < 4:
            self.words[6 + i] = kept.words[i]
            self.owners[6 + i] = kept.owners[i]
            self.defined[6 + i] = kept.defined[i]
            i = i + 1
        back = self.frames[len(self.frames) - 1]
        self.words[10] = back.address
        self.owners[10] = back
        self.clobber()
        self.pc = kept.resume
        if callback is None:
            return
        if word != 0 and word != 1:
            self.fail(f"a callback returns {signed(word)}, allowed are 0 and 1")
            return
        callback.done += 1
        if word == 0 and callback.done < callback.count:
            self.enter_callback(callback)
        else:
            self.put(0, callback.done, None)

    def enter(self, entry: i64, resume: i64, callback: Callback | None) -> bool:
        if len(self.frames) >= MAX_FRAMES:
            self.fail("calls nest deeper than eight frames")
            return False
        self.saved.append(
            Frame(resume, self.words[6:10], self.owners[6:10], self.defined[6:10], callback)
        )
        i: i64 = 6
        while i < 10:
            self.words[i] = self.chance.word()
            self.owners[i] = None
            self.defined[i] = False
            i = i + 1
        self.words[0] = self.chance.word()
        self.owners[0] = None
        self.defined[0] = False
        self.push_frame()
        self.pc = entry
        return True

    def enter_callback(self, callback: Callback) -> None:
        if not self.enter(callback.entry, callback.resume, callback):
            return
        self.clobber()
        table = callback.table
        if table is None:
            self.put(1, callback.done, None)
            self.put(2, callback.argument, callback.owner)
            return
        key = bytearray(table.key_size)
        if table.type == "array" or table.type == "percpu_array":
            key = bytearray((callback.done % table.entries).to_bytes(4, "little"))
        else:
            self.chance.fill(key, 0, table.key_size)
        key_block = Block(9, self.place(table.key_size), key, -1)
        key_block.writable = False
        key_block.type = "key"
        value = self.value_block(table, bytes(key))
        self.put(1, table.block.address, table.block)
        self.put(2, key_block.address, key_block)
        self.put(3, value.address, value)
        self.put(4, callback.argument, callback.owner)

    def call(self, opcode: i64, pc: i64) -> None:
        code = self.code
        if opcode != 0x85:
            self.give_up("indirect call")
            return
        src: i64 = code.src[pc]
        if src == 1:
            # r1 to r5 stay: arguments that were not set may not be read
            words = self.words[1:6]
            owners = self.owners[1:6]
            defined = self.defined[1:6]
            if self.enter(code.target[pc], pc + 1, None):
                self.words[1:6] = words
                self.owners[1:6] = owners
                self.defined[1:6] = defined
            return
        if src != 0:
            self.give_up("call of a kernel function")
            return
        act(self, code.imm[pc])

    def load_wide(self, pc: i64) -> None:
        code = self.code
        src: i64 = code.src[pc]
        dst: i64 = code.dst[pc]
        imm = code.imm[pc]
        if src == 0:
            self.put(dst, imm & WORD, None)
            return
        if src == 4:
            target: i64 = code.target[pc]
            block = Block(FUNCTION, self.place(8), bytearray(), target)
            self.put(dst, block.address, block)
            return
        table: Table | None = None
        name = code.map_names[pc]
        if name:
            index: i64 = 0
            for spec in self.scene.maps:
                if spec.name == name:
                    table = self.tables[index]
                    break
                index = index + 1
        if table is None:
            self.give_up("a 16-byte load of something unknown")
            return
        if src == 1 or src == 5:
            self.put(dst, table.block.address, table.block)
        elif src == 2 or src == 6:
            value = self.value_block(table, b"\0\0\0\0")
            distance = (imm >> 32) & HALF
            self.put(dst, (value.address + distance) & WORD, value)
        else:
            self.give_up("a 16-byte load of something unknown")

    def load_packet(self, opcode: i64, src: i64, imm: int) -> None:
        """The loads from the packet that classic BPF had: r6 is the context."""
        if not self.scene.legacy_loads:
            self.fail("a packet load in a program type that has none")
            return
        self.get(6)
        if self.owners[6] is not self.context or self.words[6] != self.context.address:
            self.fail("a packet load without the context in r6")
            return
        if self.owed:
            self.fail("a packet load while something must be given back")
            return
        size = SIZES[(opcode >> 3) & 3]
        at = imm
        if opcode & 0xE0 == 0x40:
            at = imm + self.get(src)
            # The kernel adds 32 bits and takes the sum as signed.
            at &= HALF
            if at & 0x80000000:
                at -= 0x100000000
        if at < 0 or at + size > self.packet.high:
            # Offsets below zero mean ancillary data: found or not.
            if at < 0 and self.chance.one_in(2):
                self.clobber()
                self.put(0, self.chance.word() & MASKS[size], None)
                return
            # the program ends with 0
            self.words[0] = 0
            self.owners[0] = None
            self.defined[0] = True
            self.saved = []
            self.leave()
            return
        start: int = at + self.packet.start
        piece = bytes(self.packet.data[start : start + size])
        self.clobber()
        self.put(0, int.from_bytes(piece, "big"), None)

    def atomic(self, pc: i64, size: int) -> None:
        code = self.code
        dst: i64 = code.dst[pc]
        src: i64 = code.src[pc]
        operation: i64 = code.imm[pc]
        distance = code.offset[pc]
        if operation == 0x100:
            self.load(dst, src, distance, size, False)
            return
        operand = self.get(src)
        if operation == 0x110:
            self.store(dst, distance, size, operand, self.owners[src])
            return
        block = self.reach(self.get(dst), self.owners[dst], distance, size, True)
        if block is None or self.finished:
            return
        kind: i64 = block.kind
        if kind in (CONTEXT, PACKET, PACKET_META, OBJECT):
            self.fail(f"atomic operation on a {KIND_NAMES[kind]}")
            return
        offset = self.access_offset
        if kind == STACK:
            first = offset + 512
            if not self.initial_reads and 0 in block.written[first : first + size]:
                self.fail(f"{size} bytes of stack are read before they are written")
                return
            block.forget_spills(offset, size)
            i: i64 = first
            while i < first + size:
                block.written[i] = 1
                i = i + 1
        elif block.volatile and self.chance.one_in(8):
            self.chance.fill(block.data, offset + block.start, offset + block.start + size)
        old = block.read(offset, size)
        if operation == 0xF1:
            expected = self.get(0) & MASKS[size]
            if old == expected:
                block.write(offset, size, operand)
            self.put(0, old, None)
            return
        block.write(offset, size, atomic(operation & 0xF0, old, operand & MASKS[size]))
        if operation & 1:
            self.put(src, old, None)
