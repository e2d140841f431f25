"""Loads, stores and atomic operations, and how they are compared with their bounds."""

from __future__ import annotations

from typing import Final

from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.llvm.text import BITS, UNLIKELY, scope
from anybpf.engines.lowering.llvm.values import Values
from anybpf.engines.lowering.plan import Access
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

# Accesses of these kinds go to one region and to no other.
_WHOLE: Final = ("ctx", "packet")
_REGIONS: Final = {p.CONTEXT_CHECK: "context", p.PACKET_CHECK: "packet"}
_ATOMIC: Final = {
    op.ATOMIC_ADD: "add", op.ATOMIC_OR: "or", op.ATOMIC_AND: "and", op.ATOMIC_XOR: "xor",
    op.ATOMIC_XCHG & ~op.FETCH: "xchg",
}  # fmt: skip


class Memory(Values):
    """Instructions that touch memory."""

    def address(self, register: int, offset: int) -> str:
        base = self.pointer(register)
        return base if offset == 0 else self.value(f"getelementptr i8, ptr {base}, i64 {offset}")

    def place_of(self, access: Access, register: int, offset: int) -> str:
        """The address of an access, compared with its bounds if need be."""
        if access.slot is not None and access.place is not None:
            distance = access.place - access.slot
            return self.value(f"getelementptr i8, ptr %slot{-access.slot}, i64 {distance}")
        address = self.address(register, offset)
        self.check(access, address)
        return address

    def check(self, access: Access, address: str) -> None:
        if not access.check:
            return
        number = self.value(f"ptrtoint ptr {address} to i64")
        if access.check == p.FRAME_CHECK:
            base = self.value(f"getelementptr i8, ptr %r10p, i64 {-p.FRAME_SIZE}")
            start = self.value(f"ptrtoint ptr {base} to i64")
            distance = self.value(f"sub i64 {number}, {start}")
            inside = self.value(f"icmp ule i64 {distance}, {p.FRAME_SIZE - access.size}")
            self.stop_unless(inside, "anybpf_native_fault", self.told(access, number))
            return
        if access.check == p.MAP_CHECK:
            shape = self.plan.source.maps[access.map]
            values = self.symbol(f"anybpf_values_{access.map}", None)
            start = self.value(f"ptrtoint ptr {values} to i64")
            size = str(((shape.value_size + 7) & ~7) * shape.max_entries)
        else:
            region = _REGIONS.get(access.check, "first_area")
            start = self.load_region(region, "start")
            size = self.load_region(region, "writable_size" if access.write else "size")
        distance = self.value(f"sub i64 {number}, {start}")
        # What does not change in a loop is apart from what does.
        fits = self.value(f"icmp uge i64 {size}, {access.size}")
        room = self.value(f"sub i64 {size}, {access.size - 1}")
        limit = self.value(f"select i1 {fits}, i64 {room}, i64 0")
        inside = self.value(f"icmp ult i64 {distance}, {limit}")
        if access.kind in _WHOLE:
            self.stop_unless(inside, "anybpf_native_fault", self.told(access, number))
            return
        # It may be in some other region yet.
        done, ask = self.label(), self.label()
        outside = self.value(f"xor i1 {inside}, true")
        self.emit(f"br i1 {outside}, label %{ask}, label %{done}{UNLIKELY}")
        self.begin(ask)
        write = 1 if access.write else 0
        found = self.value(self.runtime(
            "anybpf_native_check", f"ptr %run, i64 {number}, i32 {access.size}, i32 {write}"
        ))  # fmt: skip
        more = self.told(access, number)
        self.stop_unless(self.value(f"icmp ne i32 {found}, 0"), "anybpf_native_fault", more)
        self.emit(f"br label %{done}")
        self.begin(done)

    def told(self, access: Access, number: str) -> str:
        return f", i64 {number}, i32 {access.size}, i32 {1 if access.write else 0}"

    def load(self, insn: Instruction, access: Access) -> None:
        address = self.place_of(access, insn.src, insn.offset)
        kind = BITS[access.size]
        align = access.size if access.aligned else 1
        tail = f", align {align}{scope(access.kind)}"
        is_pointer = self.index in self.plan.source.pointers
        if is_pointer and access.size == 8:
            self.set_pointer(insn.dst, self.value(f"load ptr, ptr {address}{tail}"))
            return
        if access.once and access.aligned:
            value = self.value(f"load atomic {kind}, ptr {address} unordered{tail}")
        else:
            how = "load volatile" if access.once else "load"
            value = self.value(f"{how} {kind}, ptr {address}{tail}")
        # Bytes that were never written are some bytes, the same wherever they are used.
        if access.kind in ("stack", "") and self.plan.source.unwritten_reads:
            value = self.value(f"freeze {kind} {value}")
        if access.size != 8:
            signed = insn.opcode & op.MODE_MASK == op.MEMSX
            value = self.value(f"{'sext' if signed else 'zext'} {kind} {value} to i64")
        if is_pointer:
            self.set_pointer(insn.dst, self.value(f"inttoptr i64 {value} to ptr"))
        else:
            self.set(insn.dst, value)

    def store(self, insn: Instruction, cls: int, access: Access) -> None:
        address = self.place_of(access, insn.dst, insn.offset)
        kind = BITS[access.size]
        align = access.size if access.aligned else 1
        tail = f", align {align}{scope(access.kind)}"
        if cls == op.ST:
            value = str(insn.imm if access.size == 8 else insn.imm & ((1 << 8 * access.size) - 1))
        elif access.size == 8 and self.is_typed(insn.src):
            self.emit(f"store ptr {self.pointer(insn.src)}, ptr {address}{tail}")
            return
        else:
            value = self.number(insn.src)
            if access.size != 8:
                value = self.value(f"trunc i64 {value} to {kind}")
        self.emit(f"store {kind} {value}, ptr {address}{tail}")

    def atomic(self, insn: Instruction, access: Access) -> None:
        loads = insn.imm == op.LOAD_ACQUIRE
        address = self.place_of(access, insn.src if loads else insn.dst, insn.offset)
        size = access.size
        kind = BITS[size]
        if size > 1 and not access.aligned:
            number = self.value(f"ptrtoint ptr {address} to i64")
            odd = self.value(f"and i64 {number}, {size - 1}")
            more = f", i64 {number}, i32 {size}"
            self.stop_unless(self.value(f"icmp eq i64 {odd}, 0"), "anybpf_native_misaligned", more)
        tail = f", align {size}{scope(access.kind)}"
        if loads:
            value = self.value(f"load atomic {kind}, ptr {address} acquire{tail}")
            self.set(insn.dst, self.widened(kind, value))
            return
        value = self.number(insn.src)
        if size != 8:
            value = self.value(f"trunc i64 {value} to {kind}")
        if insn.imm == op.STORE_RELEASE:
            self.emit(f"store atomic {kind} {value}, ptr {address} release{tail}")
            return
        if insn.imm == op.ATOMIC_CMPXCHG:
            expected = self.number(0)
            if size != 8:
                expected = self.value(f"trunc i64 {expected} to {kind}")
            pair = self.value(
                f"cmpxchg ptr {address}, {kind} {expected}, {kind} {value} seq_cst seq_cst{tail}"
            )
            old = self.value(f"extractvalue {{ {kind}, i1 }} {pair}, 0")
            self.set(0, self.widened(kind, old))
            return
        word = _ATOMIC[insn.imm & ~op.FETCH]
        fetches = bool(insn.imm & op.FETCH)
        order = "seq_cst" if fetches else "monotonic"
        old = self.value(f"atomicrmw {word} ptr {address}, {kind} {value} {order}{tail}")
        if fetches:
            self.set(insn.src, self.widened(kind, old))

    def load_packet(self, insn: Instruction) -> None:
        """The packet loads of classic BPF: beyond the packet, the function returns 0."""
        size = op.SIZES[insn.opcode & op.SIZE_MASK]
        place = str(insn.imm)
        if insn.opcode & op.MODE_MASK == op.IND:
            place = self.value(f"add i32 {self.narrow(insn.src)}, {insn.imm}")
        there = self.value(self.runtime(
            "anybpf_native_packet", f"ptr %run, i32 {place}, i32 {size}, ptr %r0"
        ))  # fmt: skip
        on, over = self.label(), self.label()
        self.emit(f"br i1 {self.value(f'icmp ne i32 {there}, 0')}, label %{on}, label %{over}")
        self.begin(over)
        self.emit("ret i64 0")
        self.begin(on)
