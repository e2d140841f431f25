"""One instruction, with what is known of it.

An :class:`Instruction` is the decoded fields and, if anybody knows more, a :class:`Metadata` that
travels with it: the label it bears, what it refers to, the map it loads, its source line, the
function that starts here, its CO-RE record. Nothing here reads or writes bytes or text.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i16, i64, u8

from anybpf.isa import opcodes as op


class SourceLine:
    """A line of source that an instruction was compiled from; line and column count from one."""

    __slots__ = ("column", "file", "line", "text")

    def __init__(self, file: str, line: int, column: int, text: str) -> None:
        self.file: Final = file
        self.line: Final = line
        self.column: Final = column
        self.text: Final = text

    def __repr__(self) -> str:
        return f"SourceLine({self.file!r}, {self.line}, {self.column}, {self.text!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SourceLine):
            return NotImplemented
        return (
            self.line == other.line
            and self.column == other.column
            and self.file == other.file
            and self.text == other.text
        )

    def __hash__(self) -> int:
        return hash((self.file, self.line, self.column))


class CoreRelocation:
    """A CO-RE record: which type, which path inside it (``0:1:2``), what is asked of it."""

    __slots__ = ("access", "kind", "type_id")

    def __init__(self, type_id: int, access: str, kind: int) -> None:
        self.type_id: Final = type_id
        self.access: Final = access
        self.kind: Final = kind

    def __repr__(self) -> str:
        return f"CoreRelocation({self.type_id}, {self.access!r}, {self.kind})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoreRelocation):
            return NotImplemented
        return (
            self.type_id == other.type_id
            and self.kind == other.kind
            and self.access == other.access
        )

    def __hash__(self) -> int:
        return hash((self.type_id, self.access, self.kind))


class BTFFunction:
    """The BTF function that starts at an instruction."""

    __slots__ = ("name", "type_id")

    def __init__(self, name: str, type_id: int) -> None:
        self.name: Final = name
        self.type_id: Final = type_id

    def __repr__(self) -> str:
        return f"BTFFunction({self.name!r}, {self.type_id})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BTFFunction):
            return NotImplemented
        return self.type_id == other.type_id and self.name == other.name

    def __hash__(self) -> int:
        return hash((self.name, self.type_id))


class Metadata:
    """What is known of an instruction beyond its fields; most instructions have none."""

    __slots__ = ("core", "function", "line", "map_name", "reference", "symbol")

    def __init__(self) -> None:
        self.symbol: str = ""
        self.reference: str = ""
        self.map_name: str = ""
        self.line: SourceLine | None = None
        self.function: BTFFunction | None = None
        self.core: CoreRelocation | None = None

    def copy(self) -> Metadata:
        new = Metadata()
        new.symbol = self.symbol
        new.reference = self.reference
        new.map_name = self.map_name
        new.line = self.line
        new.function = self.function
        new.core = self.core
        return new


class Instruction:
    """One instruction: opcode, registers, offset, immediate, and its annotations.

    ``imm`` is signed: 32 bits, and the whole 64 bits for the 16-byte load, whose two halves are
    :attr:`low` and :attr:`high`. Two instructions are equal when their encodings are;
    annotations do not count.

    >>> insn = Instruction(0xB7, dst=1, imm=5)
    >>> insn.slots
    1
    >>> insn.symbol = "start"
    >>> insn.copy().symbol
    'start'
    """

    __slots__ = ("dst", "imm", "meta", "offset", "opcode", "src")

    def __init__(
        self,
        opcode: u8,
        dst: u8 = 0,
        src: u8 = 0,
        offset: i16 = 0,
        imm: i64 = 0,
        meta: Metadata | None = None,
    ) -> None:
        self.opcode: u8 = opcode
        self.dst: u8 = dst
        self.src: u8 = src
        self.offset: i16 = offset
        self.imm: i64 = imm
        self.meta: Metadata | None = meta

    def copy(self) -> Instruction:
        """An equal instruction whose fields and annotations can be changed apart."""
        meta = self.meta
        return Instruction(
            self.opcode,
            self.dst,
            self.src,
            self.offset,
            self.imm,
            None if meta is None else meta.copy(),
        )

    @property
    def slots(self) -> int:
        """How many units of eight bytes the encoding takes: two for the 16-byte load."""
        return 2 if self.opcode == op.LD_IMM64 else 1

    @property
    def low(self) -> int:
        """The first slot's immediate of a 16-byte load, unsigned."""
        return int(self.imm) & 0xFFFFFFFF

    @property
    def high(self) -> int:
        """The second slot's immediate of a 16-byte load, unsigned."""
        return (int(self.imm) >> 32) & 0xFFFFFFFF

    @property
    def is_jump(self) -> bool:
        """Whether this goes, or may go, to another instruction of the same function."""
        opcode: int = self.opcode
        cls = opcode & op.CLASS_MASK
        if cls != op.JMP and cls != op.JMP32:
            return False
        operation = opcode & op.OP_MASK
        return operation != op.CALL and operation != op.EXIT

    @property
    def jump_distance(self) -> int:
        """Slots from the next instruction to the target of a jump."""
        return int(self.imm) if self.opcode == op.GOTO_LONG else int(self.offset)

    @property
    def is_local_call(self) -> bool:
        return self.opcode == op.CALL_IMM and self.src == op.CALL_LOCAL

    @property
    def is_helper_call(self) -> bool:
        return self.opcode == op.CALL_IMM and self.src == op.CALL_HELPER

    @property
    def is_btf_call(self) -> bool:
        return self.opcode == op.CALL_IMM and self.src == op.CALL_BTF

    @property
    def is_map_load(self) -> bool:
        """Whether this loads a map or an address inside a map's value."""
        src: int = self.src
        return self.opcode == op.LD_IMM64 and src in (
            op.PSEUDO_MAP_FD,
            op.PSEUDO_MAP_VALUE,
            op.PSEUDO_MAP_INDEX,
            op.PSEUDO_MAP_INDEX_VALUE,
        )

    @property
    def is_function_load(self) -> bool:
        """Whether this loads the address of a function of the same program."""
        return self.opcode == op.LD_IMM64 and self.src == op.PSEUDO_FUNCTION

    def annotate(self) -> Metadata:
        """The annotations of this instruction, made if there are none yet."""
        meta = self.meta
        if meta is None:
            meta = Metadata()
            self.meta = meta
        return meta

    @property
    def symbol(self) -> str:
        """The label or function name that this instruction bears, or ''."""
        meta = self.meta
        return "" if meta is None else meta.symbol

    @symbol.setter
    def symbol(self, name: str) -> None:
        self.annotate().symbol = name

    @property
    def reference(self) -> str:
        """The label, function or symbol that this instruction leads to, or ''."""
        meta = self.meta
        return "" if meta is None else meta.reference

    @reference.setter
    def reference(self, name: str) -> None:
        self.annotate().reference = name

    @property
    def map_name(self) -> str:
        """The map that this instruction loads, or ''."""
        meta = self.meta
        return "" if meta is None else meta.map_name

    @map_name.setter
    def map_name(self, name: str) -> None:
        self.annotate().map_name = name

    @property
    def line(self) -> SourceLine | None:
        meta = self.meta
        return None if meta is None else meta.line

    @line.setter
    def line(self, line: SourceLine | None) -> None:
        self.annotate().line = line

    @property
    def function(self) -> BTFFunction | None:
        meta = self.meta
        return None if meta is None else meta.function

    @function.setter
    def function(self, function: BTFFunction | None) -> None:
        self.annotate().function = function

    @property
    def core(self) -> CoreRelocation | None:
        meta = self.meta
        return None if meta is None else meta.core

    @core.setter
    def core(self, core: CoreRelocation | None) -> None:
        self.annotate().core = core

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instruction):
            return NotImplemented
        return (
            self.opcode == other.opcode
            and self.dst == other.dst
            and self.src == other.src
            and self.offset == other.offset
            and self.imm == other.imm
        )

    def __hash__(self) -> int:
        return hash((self.opcode, self.dst, self.src, self.offset, self.imm))

    def __repr__(self) -> str:
        return (
            f"Instruction({int(self.opcode):#04x}, dst={self.dst}, src={self.src}, "
            f"offset={self.offset}, imm={self.imm})"
        )
