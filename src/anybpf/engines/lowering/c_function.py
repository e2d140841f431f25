"""One function of a plan as C: registers are variables, blocks are labels.

A register that holds a pointer for sure is a ``uint8_t *`` (``p1``) and elsewhere a number
(``r1``); a line that keeps the number up to date is left out where nobody reads it. What the words
in the text mean is told by ``include/anybpf/native.h``; names beyond, and the lines around the
functions, are the business of ``c``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from anybpf.engines.lowering import plan as p
from anybpf.engines.lowering.graph import NOWHERE, Block
from anybpf.engines.lowering.plan import Access, Call, FunctionPlan, Plan
from anybpf.engines.lowering.written import unwritten_reads
from anybpf.isa import Instruction
from anybpf.isa import opcodes as op

# Of what functions are called with, when they are not typed otherwise: r1 to r5.
_PARAMETERS: Final = range(1, 6)
_STOPPED: Final = "anybpf_native_stopped"
_MAY_GOTO_TURNS: Final = 8 * 1024 * 1024
# As many bytes of a frame are cleared, because they might be read before they are written. For
# more, the compiler is told that somebody writes them: a reason for it to keep them in memory.
_CLEARED: Final = 256
_OP_SIZE: Final = 16  # of struct anybpf_op: values of functions are places in an array of these


class Line:
    """A line of the text. ``keeps``: it does nothing but keep that register's number."""

    __slots__ = ("keeps", "text")

    def __init__(self, text: str, keeps: int = -1) -> None:
        self.text: str = text
        self.keeps: int = keeps


class _Step:
    """The lines of one instruction, and whose numbers they read and write."""

    __slots__ = ("index", "lines", "reads", "writes")

    def __init__(self, index: int) -> None:
        self.index: int = index
        self.lines: list[Line] = []
        self.reads: int = 0
        self.writes: int = 0


class FunctionPrinter:
    """``symbol`` says how a symbol is written, and notes that it is used; ``name_of`` how a
    function is; ``comment`` gives the comment above an instruction, if there is any."""

    def __init__(
        self,
        plan: Plan,
        one: FunctionPlan,
        symbol: Callable[[str], str],
        name_of: Callable[[FunctionPlan], str],
        comment: Callable[[int], str],
    ) -> None:
        self.plan: Plan = plan
        self.one: FunctionPlan = one
        self.symbol: Callable[[str], str] = symbol
        self.name_of: Callable[[FunctionPlan], str] = name_of
        self.comment: Callable[[int], str] = comment
        self.index: int = one.function.first
        self.step: _Step = _Step(-1)
        self.used: set[str] = set()
        self.targets: set[int] = set()

    # The function.

    def run(self) -> list[str]:
        blocks = sorted(self.one.blocks, key=lambda block: block.number)
        steps: dict[int, list[_Step]] = {}
        for place, block in enumerate(blocks):
            following = blocks[place + 1].number if place + 1 < len(blocks) else NOWHERE
            steps[block.number] = self.block(block, following)
        live = _numbers_read(blocks, steps)
        body: list[str] = []
        for block in blocks:
            if block.number in self.targets:
                body.append(f"{self.label(block.number)}:")
            for step in steps[block.number]:
                comment = self.comment(step.index)
                if comment:
                    body.append(f"    {comment}")
                for line in step.lines:
                    if line.keeps < 0 or live[step.index] >> line.keeps & 1:
                        body.append(f"    {line.text}")
        return [self.head(), "{", *self.declarations(body), *body, "}"]

    def label(self, number: int) -> str:
        first = self.one.function.blocks[number].first
        return f"at_{self.plan.source.slots[first]}"

    def head(self) -> str:
        name = self.name_of(self.one)
        if self.one.function.number == 0:
            parameters = "uint8_t *context, struct anybpf_run *run, uint64_t second"
            return f"ANYBPF_EXPORT uint64_t {name}({parameters})"
        return f"ANYBPF_INSIDE uint64_t {name}({self.parameters()})"

    def parameters(self) -> str:
        kinds = ["uint8_t *" if self.one.typed >> r & 1 else "uint64_t " for r in _PARAMETERS]
        names = [f"{kind}a{r}" for r, kind in zip(_PARAMETERS, kinds, strict=True)]
        return ", ".join([*names, "struct anybpf_run *run"])

    def declarations(self, body: list[str]) -> list[str]:
        one = self.one
        given: dict[str, str] = {}
        if one.function.number == 0:
            given = {"p1": "context", "r1": "ANYBPF_ADDRESS(context)", "r2": "second"}
        else:
            for r in _PARAMETERS:
                if one.typed >> r & 1:
                    given |= {f"p{r}": f"a{r}", f"r{r}": f"ANYBPF_ADDRESS(a{r})"}
                else:
                    given[f"r{r}"] = f"a{r}"
        numbers = [f"r{r}" for r in range(op.FRAME_POINTER) if f"r{r}" in self.used]
        pointers = [f"p{r}" for r in range(op.FRAME_POINTER) if f"p{r}" in self.used]
        out = []
        if numbers:
            values = [f"{name} = {given.get(name, '0')}" for name in numbers]
            out.append(f"    ANYBPF_NUMBERS {', '.join(values)};")
        if pointers:
            values = [f"{name} = {given.get(name, 'NULL')}" for name in pointers]
            out.append(f"    ANYBPF_POINTERS {', '.join(values)};")
        if "found" in self.used:
            out.append("    uint64_t found = 0;")
        if one.may_goto:
            out.append(f"    uint32_t turns = {_MAY_GOTO_TURNS};")
        for low, size in one.slots.items():
            if _slot_name(low) in self.used:
                # A register of the machine: nothing is cleared that is not read.
                out.append(f"    _Alignas(8) uint8_t {_slot_name(low)}[{size}] = {{0}};")
        for name in sorted(name for name in self.used if name.startswith("before_")):
            out.append(f"    ANYBPF_NUMBERS {name} = 0;")
        return [*out, *self.frame(), ""]

    def frame(self) -> list[str]:
        if "p10" not in self.used:
            return []
        if not self.one.uses_frame:
            return ["    ANYBPF_POINTERS p10 = NULL;"]
        if self.one.frame == p.IN_RUN:
            return ["    ANYBPF_POINTERS p10 = anybpf_frame_end(run);"]
        array = "_Alignas(16) uint8_t frame[ANYBPF_FRAME_BYTES]"
        end = "    ANYBPF_POINTERS p10 = frame + ANYBPF_FRAME_BYTES;"
        found = unwritten_reads(self.plan.source, self.one)
        if found is None:
            return [f"    {array};", end]
        if self.keeps_frame_to_itself():
            # Its words become registers of the machine; what is never read is never written.
            return [f"    {array} = {{0}};", end]
        low, high = max(found[0], -p.FRAME_SIZE), min(found[1], 0)
        clear = f"    __builtin_memset(p10 - {-low}, 0, {high - low});"
        if high - low > _CLEARED:
            clear = "    ANYBPF_WHATEVER(frame);"
        return [f"    {array};", end, "", clear]

    def keeps_frame_to_itself(self) -> bool:
        """Whether the frame is only read and written by way of r10."""
        source = self.plan.source
        for block in self.one.blocks:
            for index in range(block.first, block.last + 1):
                insn = source.instructions[index]
                cls = insn.opcode & op.CLASS_MASK
                by_register = cls in (op.ALU, op.ALU64, op.JMP, op.JMP32) and insn.opcode & op.X
                if by_register and insn.src == op.FRAME_POINTER:
                    return False
        return True

    # Lines.

    @property
    def slot(self) -> int:
        return self.plan.source.slots[self.index]

    def emit(self, text: str) -> None:
        self.step.lines.append(Line(text))

    def number(self, register: int) -> str:
        """A register's number, as an expression."""
        if register == op.FRAME_POINTER or self.is_typed(register):
            return f"ANYBPF_ADDRESS({self.pointer(register)})"
        self.step.reads |= 1 << register
        return self.mention(f"r{register}")

    def narrow(self, register: int) -> str:
        return f"(uint32_t){self.number(register)}"

    def is_typed(self, register: int) -> bool:
        return bool(self.one.pointers.typed.get(self.index, 0) >> register & 1)

    def pointer(self, register: int) -> str:
        if register == op.FRAME_POINTER or self.is_typed(register):
            return self.mention(f"p{register}")
        return f"ANYBPF_AT({self.number(register)})"

    def mention(self, name: str) -> str:
        self.used.add(name)
        return name

    def set(self, register: int, value: str) -> None:
        name = self.mention(f"r{register}")
        if value != name:
            self.step.writes |= 1 << register
            self.emit(f"{name} = {value};")

    def set_pointer(self, register: int, value: str) -> None:
        name = self.mention(f"p{register}")
        self.emit(f"{name} = {value};")
        self.step.writes |= 1 << register
        number = self.mention(f"r{register}")
        self.step.lines.append(Line(f"{number} = ANYBPF_ADDRESS({name});", register))

    # Blocks.

    def block(self, block: Block, following: int) -> list[_Step]:
        steps = []
        source = self.plan.source
        for index in range(block.first, block.last + 1):
            self.index = index
            self.step = _Step(index)
            steps.append(self.step)
            if not source.reached(index):
                self.give_up("anybpf_native_bad")
                break
            insn = source.instructions[index]
            if index == block.last:
                self.last(block, insn, following)
            else:
                self.instruction(insn)
        return steps

    def last(self, block: Block, insn: Instruction, following: int) -> None:
        cls = insn.opcode & op.CLASS_MASK
        if insn.opcode == op.EXIT_INSN:
            self.emit(f"return {self.number(0)};")
            return
        if cls not in (op.JMP, op.JMP32) or insn.opcode in (op.CALL_IMM, op.CALL_REG):
            self.instruction(insn)
            self.goto(block.falls, following)
            return
        if insn.opcode == op.MAY_GOTO:
            self.emit(f"if (turns == 0) {self.jump(block.jumps)}")
            self.emit("turns--;")
            self.spend(max(1, self.one.spends.get(block.number, 0)))
            self.goto(block.falls, following)
            return
        cost = self.one.spends.get(block.number, 0)
        if block.falls != NOWHERE and block.jumps != NOWHERE:
            condition = self.condition(insn, cls)
            self.spend(cost)
            self.emit(f"if ({condition}) {self.jump(block.jumps)}")
            self.goto(block.falls, following)
            return
        self.spend(cost)
        if block.falls == NOWHERE and block.jumps == NOWHERE:
            self.give_up("anybpf_native_bad")
        else:
            self.goto(max(block.falls, block.jumps), following)

    def goto(self, number: int, following: int) -> None:
        if number != following:
            self.emit(self.jump(number))

    def jump(self, number: int) -> str:
        self.targets.add(number)
        return f"goto {self.label(number)};"

    # Ends.

    def give_up(self, name: str, more: str = "") -> None:
        self.emit(f"return {self.symbol(name)}(run, {self.slot}{more});")

    def stop_if(self, condition: str, name: str = _STOPPED, more: str = "") -> None:
        self.emit(f"if ({condition}) return {self.symbol(name)}(run, {self.slot}{more});")

    def spend(self, cost: int) -> None:
        if cost:
            more = self.symbol("anybpf_native_spend")
            self.stop_if(f"anybpf_spend(run, {cost}) && !{more}(run)")

    # Instructions.

    def instruction(self, insn: Instruction) -> None:
        cls = insn.opcode & op.CLASS_MASK
        if cls == op.ALU64:
            self.wide(insn)
        elif cls == op.ALU:
            self.half(insn)
        elif insn.opcode == op.CALL_IMM or insn.opcode == op.CALL_REG:
            self.call(insn, self.one.calls[self.index])
        elif insn.opcode == op.LD_IMM64:
            self.load_wide(insn)
        elif cls == op.LD:
            self.load_packet(insn)
        elif cls == op.LDX:
            self.load(insn, self.one.accesses[self.index])
        elif insn.opcode & op.MODE_MASK == op.ATOMIC and cls == op.STX:
            self.atomic(insn, self.one.accesses[self.index])
        else:
            self.store(insn, cls, self.one.accesses[self.index])

    def wide(self, insn: Instruction) -> None:
        operation = insn.opcode & op.OP_MASK
        from_register = bool(insn.opcode & op.X)
        if operation == op.MOV and from_register:
            self.move(insn)
        elif operation == op.MOV:
            self.set(insn.dst, _constant(insn.imm))
        elif operation == op.END:
            self.swap(insn, True)
        elif operation in (op.ADD, op.SUB) and self.offset_pointer(insn, operation):
            pass
        else:
            a = self.number(insn.dst)
            b = self.number(insn.src) if from_register else _constant(insn.imm)
            self.set(insn.dst, self.compute(operation, 64, a, b, insn))

    def offset_pointer(self, insn: Instruction, operation: int) -> bool:
        """A sum with a pointer in it, if that is what this is."""
        dst, src = insn.dst, insn.src
        by_register = bool(insn.opcode & op.X)
        typed_dst = self.is_typed(dst)
        typed_src = by_register and self.is_typed(src)
        if typed_dst == typed_src or (operation == op.SUB and typed_src):
            return False
        pointer = dst if typed_dst else src
        base = self.pointer(pointer)
        number = "" if not by_register else self.number(src if typed_dst else dst)
        distance = insn.imm if operation == op.ADD else -insn.imm
        if self.stays_inside(pointer, None if by_register else distance):
            sign = "-" if operation == op.SUB else "+"
            text = f"{base} {sign} (int64_t){number}" if by_register else _sum(base, distance)
        else:
            sign = "-" if operation == op.SUB else "+"
            address = f"ANYBPF_ADDRESS({base})"
            text = f"{address} {sign} {number}" if by_register else _sum(address, distance)
            text = f"ANYBPF_AT({text})"
        self.set_pointer(dst, text)
        return True

    def stays_inside(self, pointer: int, distance: int | None) -> bool:
        """Whether a sum of pointers means in C what it does here, where pointers may not leave what
        they lead into. Proved ones do not; nor do those that are not proved, if C can see it."""
        if distance is not None and self.one.pointers.frame.get(self.index, 0) >> pointer & 1:
            near = -p.FRAME_SIZE <= distance <= p.FRAME_SIZE
            return near and (
                self.plan.source.proved or (pointer == op.FRAME_POINTER and distance < 0)
            )
        return self.plan.source.proved

    def move(self, insn: Instruction) -> None:
        dst, src = insn.dst, insn.src
        if insn.offset == 0 and dst == src:
            return
        if insn.offset == 0:
            if src == op.FRAME_POINTER or self.is_typed(src):
                self.set_pointer(dst, self.pointer(src))
            else:
                self.set(dst, self.number(src))
        elif insn.offset == op.ADDRESS_SPACE_CAST:
            to_user = 0 if insn.imm == 1 else 1
            cast = self.symbol("anybpf_native_cast")
            self.set(dst, f"{cast}(run, {self.number(src)}, {to_user})")
        else:
            self.set(dst, f"(uint64_t)(int64_t)(int{insn.offset}_t){self.number(src)}")

    def half(self, insn: Instruction) -> None:
        operation = insn.opcode & op.OP_MASK
        from_register = bool(insn.opcode & op.X)
        if operation == op.END:
            self.swap(insn, False)
        elif operation == op.MOV and from_register and insn.offset != 0:
            cut = f"(int{insn.offset}_t){self.number(insn.src)}"
            self.set(insn.dst, f"(uint32_t)(int32_t){cut}")
        else:
            b = self.narrow(insn.src) if from_register else _constant(insn.imm & 0xFFFFFFFF)
            if operation == op.MOV:
                self.set(insn.dst, b)
                return
            a = self.narrow(insn.dst)
            value = self.compute(operation, 32, a, b, insn)
            self.set(insn.dst, value)

    def compute(self, operation: int, bits: int, a: str, b: str, insn: Instruction) -> str:
        """The result, no wider than `bits`."""
        rotation = self.one.rotations.get(self.index)
        if rotation is not None:
            before = self.mention(self.before(rotation.shift))
            return f"rotate_left{bits}({_cut(before, bits)}, {rotation.amount})"
        if any(one.shift == self.index for one in self.one.rotations.values()):
            self.emit(f"{self.mention(self.before(self.index))} = {a};")
        sign = _SIMPLE.get(operation)
        # What C computes with 32 bits stays in 32 bits: both sides have them.
        if sign == "+" and not insn.opcode & op.X and insn.imm < 0:
            return f"{a} - {_constant(-insn.imm)}"
        if sign is not None:
            return f"{a} {sign} {b}"
        if operation == op.NEG:
            return f"0 - {a}"
        if operation in _SHIFTS:
            most = bits - 1
            distance = f"({b} & {most})" if insn.opcode & op.X else str(insn.imm & most)
            if operation == op.ARSH:
                cast = f"(int{bits}_t)"
                return f"(uint{bits}_t)({cast}{a} >> {distance})"
            return f"{a} {_SHIFTS[operation]} {distance}"
        rest, signed = operation == op.MOD, insn.offset == 1
        if not signed and not insn.opcode & op.X and insn.imm != 0:
            return f"{a} {'%' if rest else '/'} {b}"
        name = ("modulo" if rest else "divide") + ("_signed" if signed else "")
        return f"{name}{bits}({a}, {b})"

    def before(self, index: int) -> str:
        """What is shifted there, kept for a rotation."""
        return f"before_{self.plan.source.slots[index]}"

    def swap(self, insn: Instruction, always: bool) -> None:
        width = insn.imm
        value = self.number(insn.dst)
        if always or insn.opcode & op.X:  # this is for little-endian machines
            self.set(insn.dst, f"__builtin_bswap{width}({_cut(value, width)})")
        else:
            self.set(insn.dst, _cut(value, width))

    def condition(self, insn: Instruction, cls: int) -> str:
        wide = cls == op.JMP
        operation = insn.opcode & op.OP_MASK
        read = self.number if wide else self.narrow
        a = read(insn.dst)
        if insn.opcode & op.X:
            b = read(insn.src)
        else:
            b = _constant(insn.imm if wide else insn.imm & 0xFFFFFFFF)
        if operation == op.JSET:
            return f"{a} & {b}"
        if a == b:  # compilers wonder about these
            return "1" if operation in _ALSO_WHEN_EQUAL else "0"
        if operation in _SIGNED:
            cast = "(int64_t)" if wide else "(int32_t)"
            b = f"{cast}{b}" if insn.opcode & op.X else str(insn.imm)
            return f"{cast}{a} {_SIGNED[operation]} {b}"
        is_null = wide and not insn.opcode & op.X and insn.imm == 0
        if is_null and operation in (op.JEQ, op.JNE) and self.is_typed(insn.dst):
            a, b = self.pointer(insn.dst), "NULL"
        return f"{a} {_COMPARE[operation]} {b}"

    def load_wide(self, insn: Instruction) -> None:
        if insn.src == op.PSEUDO_MAP_FD:
            shared = self.symbol(f"anybpf_map_{insn.imm}")
            self.set(insn.dst, f"ANYBPF_ADDRESS({shared})")
        elif insn.src == op.PSEUDO_MAP_VALUE:
            values = self.symbol(f"anybpf_values_{insn.low}")
            self.set_pointer(insn.dst, _sum(values, insn.high))
        elif insn.src == op.PSEUDO_FUNCTION:
            slot = self.slot + 1 + insn.low
            ops = self.symbol("anybpf_ops")
            self.set(insn.dst, f"ANYBPF_ADDRESS({_sum(ops, slot * _OP_SIZE)})")
        else:
            self.set(insn.dst, _constant(insn.imm))

    def load_packet(self, insn: Instruction) -> None:
        """The packet loads of classic BPF: beyond the packet, the function returns 0."""
        size = op.SIZES[insn.opcode & op.SIZE_MASK]
        place = _constant(insn.imm & 0xFFFFFFFF)
        if insn.opcode & op.MODE_MASK == op.IND:
            place = f"{self.narrow(insn.src)} + {place}"
        load = self.symbol("anybpf_native_packet")
        found = self.mention("found")
        self.emit(f"if (!{load}(run, {place}, {size}, &{found})) return 0;")
        self.set(0, found)

    # Memory.

    def place_of(self, access: Access, register: int, offset: int) -> str:
        """The address of an access, compared with its bounds if need be."""
        if access.slot is not None and access.place is not None:
            return _sum(self.mention(_slot_name(access.slot)), access.place - access.slot)
        address = self.address(register, offset)
        self.check(access, address)
        return address

    def address(self, register: int, offset: int) -> str:
        base = self.pointer(register)
        if offset == 0 or self.stays_inside(register, offset):
            return _sum(base, offset)
        return f"ANYBPF_AT({_sum(self.number(register), offset)})"

    def check(self, access: Access, address: str) -> None:
        if not access.check:
            return
        number = f"ANYBPF_ADDRESS({address})"
        if address.startswith("ANYBPF_AT(") and address.endswith(")"):
            number = address[len("ANYBPF_AT(") : -1]
        write = 1 if access.write else 0
        told = f", {number}, {access.size}, {write}"
        if access.check == p.FRAME_CHECK:
            start = f"ANYBPF_ADDRESS({self.mention('p10')})"
            distance = f"{number} - ({start} - {p.FRAME_SIZE})"
            outside = f"ANYBPF_UNLIKELY({distance} > {p.FRAME_SIZE - access.size})"
            self.stop_if(outside, "anybpf_native_fault", told)
            return
        if access.check == p.MAP_CHECK:
            shape = self.plan.source.maps[access.map]
            values = self.symbol(f"anybpf_values_{access.map}")
            room = ((shape.value_size + 7) & ~7) * shape.max_entries - access.size + 1
            near = f"ANYBPF_LIKELY({number} - ANYBPF_ADDRESS({values}) < {max(0, room)}u)"
        else:
            region = _REGIONS.get(access.check, "FIRST_AREA")
            near = f"anybpf_in_region(run, ANYBPF_{region}{told})"
        if access.kind in _WHOLE:
            self.stop_if(f"!{near}", "anybpf_native_fault", told)
            return
        ask = self.symbol("anybpf_native_check")  # it may be in some other region yet
        self.stop_if(f"!{near} && !{ask}(run{told})", "anybpf_native_fault", told)

    def load(self, insn: Instruction, access: Access) -> None:
        address = self.place_of(access, insn.src, insn.offset)
        bits = 8 * access.size
        how = "load"
        if access.once:
            how = "once_aligned" if access.aligned else "once"
        value = f"{how}{bits}({address})"
        if insn.opcode & op.MODE_MASK == op.MEMSX and bits != 64:
            value = f"(uint64_t)(int64_t)(int{bits}_t){value}"
        if self.index in self.plan.source.pointers:
            self.set_pointer(insn.dst, f"ANYBPF_AT({value})")
        else:
            self.set(insn.dst, value)

    def store(self, insn: Instruction, cls: int, access: Access) -> None:
        address = self.place_of(access, insn.dst, insn.offset)
        bits = 8 * access.size
        if cls == op.ST:
            value = _constant(insn.imm if bits == 64 else insn.imm & ((1 << bits) - 1))
        else:
            value = _cut(self.number(insn.src), bits)
        self.emit(f"store{bits}({address}, {value});")

    def atomic(self, insn: Instruction, access: Access) -> None:
        loads = insn.imm == op.LOAD_ACQUIRE
        address = self.place_of(access, insn.src if loads else insn.dst, insn.offset)
        size, bits = access.size, 8 * access.size
        if size > 1 and not access.aligned:
            number = f"ANYBPF_ADDRESS({address})"
            odd = f"ANYBPF_UNLIKELY({number} & {size - 1})"
            self.stop_if(odd, "anybpf_native_misaligned", f", {number}, {size}")
        if loads:
            self.set(insn.dst, f"load_acquire{bits}({address})")
            return
        value = _cut(self.number(insn.src), bits)
        if insn.imm == op.STORE_RELEASE:
            self.emit(f"store_release{bits}({address}, {value});")
        elif insn.imm == op.ATOMIC_CMPXCHG:
            expected = _cut(self.number(0), bits)
            self.set(0, f"atomic_compare_exchange{bits}({address}, {expected}, {value})")
        elif insn.imm == op.ATOMIC_XCHG:
            self.set(insn.src, f"atomic_exchange{bits}({address}, {value})")
        elif insn.imm & op.FETCH:
            word = _ATOMIC[insn.imm & ~op.FETCH]
            self.set(insn.src, f"atomic_fetch_{word}{bits}({address}, {value})")
        else:
            self.emit(f"atomic_{_ATOMIC[insn.imm]}{bits}({address}, {value});")

    # Calls.

    def call(self, insn: Instruction, call: Call) -> None:
        if call.kind == p.LOCAL:
            self.call_local(call)
        elif call.kind == p.REGISTER:
            arguments = ", ".join(self.number(r) for r in (insn.dst, *_PARAMETERS))
            self.set(0, f"{self.symbol('anybpf_native_call')}(run, {arguments})")
            self.after(call)
        elif call.kind == p.HELPER:
            self.call_helper(call)
        elif call.kind == p.ARRAY_LOOKUP:
            self.array_lookup(call)
        else:
            self.direct(call)

    def after(self, call: Call) -> None:
        if call.can_stop:
            self.stop_if("ANYBPF_IS_OVER(run)")
        if not call.chains:
            return
        if self.one.function.number == 0:
            following = self.symbol("anybpf_native_next")
            self.emit(f"if (ANYBPF_FOLLOWS(run)) ANYBPF_TAIL return {following}(context, run, 0);")
        else:
            following = self.symbol("anybpf_native_next_inside")
            self.emit(f"if (ANYBPF_FOLLOWS(run)) return {following}(run);")

    def call_local(self, call: Call) -> None:
        if call.number < 0 or not self.plan.functions[call.number].blocks:
            self.give_up("anybpf_native_bad")
            return
        called = self.plan.functions[call.number]
        if called.counted:
            self.stop_if(f"!{self.symbol('anybpf_native_enter')}(run)")
        arguments = [
            self.pointer(r) if called.typed >> r & 1 else self.number(r) for r in _PARAMETERS
        ]
        self.set(0, f"{self.name_of(called)}({', '.join(arguments)}, run)")
        if call.can_stop:
            self.stop_if("ANYBPF_IS_OVER(run)")
        if called.counted:
            self.emit(f"{self.symbol('anybpf_native_leave')}(run);")

    def call_helper(self, call: Call) -> None:
        helper = self.symbol(f"anybpf_helper_{call.number}")
        arguments = [self.number(r) if r <= call.arguments else "0" for r in _PARAMETERS]
        if call.can_stop:
            self.emit(f"ANYBPF_CALLS(run, {call.number});")
        result = f"{helper}({', '.join(arguments)}, run)"
        if call.number in self.plan.source.returning:
            self.set_pointer(0, f"ANYBPF_AT({result})")
        else:
            self.set(0, result)
        self.after(call)

    def array_lookup(self, call: Call) -> None:
        """src/core/maps/arrays.c: copies one after the other, entries of whole words in each."""
        shape = self.plan.source.maps[call.map]
        stride = (shape.value_size + 7) & ~7
        # What is compared must be what is used; nobody else writes to the frame.
        own = self.one.pointers.frame.get(self.index, 0) >> 2 & 1
        key = f"{'load32' if own else 'once32'}({self.pointer(2)})"
        values = self.symbol(f"anybpf_values_{call.map}")
        if shape.kind == "percpu_array":
            plane = (stride * shape.max_entries + 127) & ~127
            values += f" + (uint64_t)ANYBPF_SEAT(run) * {plane}"
        self.set_pointer(0, f"array_lookup({values}, {key}, {shape.max_entries}u, {stride})")

    def direct(self, call: Call) -> None:
        """The map's own functions, and what stands for the helpers that change it."""
        shared = self.symbol(f"anybpf_map_{call.map}")
        if call.kind == p.DIRECT_LOOKUP:
            lookup = self.symbol(f"anybpf_lookup_{call.map}")
            self.set_pointer(0, f"{lookup}({shared}, {self.pointer(2)}, ANYBPF_SEAT(run))")
        elif call.kind == p.DIRECT_DELETE:
            delete = self.symbol("anybpf_native_delete")
            self.set(0, f"{delete}(run, {shared}, {self.pointer(2)})")
        else:
            update = self.symbol("anybpf_native_update")
            arguments = f"{self.pointer(2)}, {self.pointer(3)}, {self.number(4)}"
            self.set(0, f"{update}(run, {shared}, {arguments})")


def _numbers_read(blocks: list[Block], steps: dict[int, list[_Step]]) -> dict[int, int]:
    """Behind each instruction, the registers whose numbers are read before they are written."""
    before: dict[int, int] = {block.number: 0 for block in blocks}
    behind: dict[int, int] = {}
    changed = True
    while changed:
        changed = False
        for block in reversed(blocks):
            live = 0
            for number in block.successors:
                live |= before[number]
            for step in reversed(steps[block.number]):
                behind[step.index] = live
                live = live & ~step.writes | step.reads
            if live != before[block.number]:
                before[block.number] = live
                changed = True
    return behind


def _slot_name(low: int) -> str:
    return f"own_{-low}"


def _constant(value: int) -> str:
    """A number of 64 bits, for arithmetic without signs; of 32 where it has no more."""
    value &= (1 << 64) - 1
    if value <= 9:
        return str(value)
    if value >> 63:
        return f"(uint64_t){value - (1 << 64)}" if value >> 31 == (1 << 33) - 1 else f"{value:#x}u"
    return f"{value}u" if value < 1 << 16 else f"{value:#x}u"


def _sum(base: str, distance: int) -> str:
    if distance == 0:
        return base
    return f"{base} {'-' if distance < 0 else '+'} {abs(distance)}"


def _cut(value: str, bits: int) -> str:
    return value if bits == 64 else f"(uint{bits}_t){value}"


_SIMPLE: Final = {
    op.ADD: "+", op.SUB: "-", op.MUL: "*", op.OR: "|", op.AND: "&", op.XOR: "^",
}  # fmt: skip
_SHIFTS: Final = {op.LSH: "<<", op.RSH: ">>", op.ARSH: ">>"}
_REGIONS: Final = {p.CONTEXT_CHECK: "CONTEXT", p.PACKET_CHECK: "PACKET"}
# Accesses of these kinds go to one region and to no other.
_WHOLE: Final = ("ctx", "packet")
_COMPARE: Final = {
    op.JEQ: "==", op.JNE: "!=", op.JGT: ">", op.JGE: ">=", op.JLT: "<", op.JLE: "<=",
}  # fmt: skip
_ALSO_WHEN_EQUAL: Final = (op.JEQ, op.JGE, op.JLE, op.JSGE, op.JSLE)
_SIGNED: Final = {op.JSGT: ">", op.JSGE: ">=", op.JSLT: "<", op.JSLE: "<="}
_ATOMIC: Final = {
    op.ATOMIC_ADD: "add", op.ATOMIC_OR: "or", op.ATOMIC_AND: "and", op.ATOMIC_XOR: "xor",
}  # fmt: skip
