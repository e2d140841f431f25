"""How machines refer to addresses: the relocation types that compiled programs need.

A type that is not here is refused by the linker. Numbers and formulas are from the System V ABI's
supplements: "AMD64 Architecture Processor Supplement" 4.4 and "ELF for the Arm 64-bit
Architecture" 5.7. S is the symbol's address, A the addend, P where the change is made.
"""

from __future__ import annotations

from typing import Final

_WORD: Final = 0xFFFFFFFF
_LONG: Final = (1 << 64) - 1


class Fixup:
    """One type of relocation: ``size`` bytes at P are changed. ``is_call``: a jump or call, which
    may go by a stub. ``by_table``: S is the address of an eight-byte cell that has the symbol's."""

    __slots__ = ("by_table", "is_call", "size")

    def __init__(self, size: int, *, is_call: bool = False, by_table: bool = False) -> None:
        self.size: int = size
        self.is_call: bool = is_call
        self.by_table: bool = by_table

    def reaches(self, distance: int) -> bool:
        """Whether a call gets that far."""
        return True

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        """Changes the bytes at ``at``, which will lie at ``place``, to stand for ``value``, which
        is S + A. False if it does not fit."""
        raise NotImplementedError


class Absolute(Fixup):
    """S + A, whole."""

    __slots__ = ()

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        out[at : at + 8] = (value & _LONG).to_bytes(8, "little")
        return True


class Relative(Fixup):
    """S + A - P, signed."""

    __slots__ = ()

    def reaches(self, distance: int) -> bool:
        bits = 8 * self.size - 1
        return -1 << bits <= distance < 1 << bits

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        distance = value - place
        if not self.reaches(distance):
            return False
        out[at : at + self.size] = distance.to_bytes(self.size, "little", signed=True)
        return True


class Branch(Fixup):
    """AArch64: (S + A - P) / 4 in ``bits`` bits of an instruction, from ``shift`` on."""

    __slots__ = ("bits", "shift")

    def __init__(self, bits: int, shift: int, *, is_call: bool = False) -> None:
        super().__init__(4, is_call=is_call)
        self.bits: int = bits
        self.shift: int = shift

    def reaches(self, distance: int) -> bool:
        return -2 << self.bits <= distance < 2 << self.bits

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        distance = value - place
        if distance & 3 or not self.reaches(distance):
            return False
        _insert(out, at, self.bits, self.shift, distance >> 2)
        return True


class Move(Fixup):
    """AArch64: sixteen bits of S + A in a move. ``checked``: higher ones must be zero."""

    __slots__ = ("checked", "group")

    def __init__(self, group: int, *, checked: bool) -> None:
        super().__init__(4)
        self.group: int = group
        self.checked: bool = checked

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        value = (value & _LONG) >> 16 * self.group
        if self.checked and value > 0xFFFF:
            return False
        _insert(out, at, 16, 5, value)
        return True


class Address(Fixup):
    """AArch64: Page(S + A) - Page(P) in units of pages, or S + A - P, in ADRP and ADR."""

    __slots__ = ("checked", "unit")

    def __init__(self, unit: int, *, checked: bool = True, by_table: bool = False) -> None:
        super().__init__(4, by_table=by_table)
        self.unit: int = unit  # as a power of two
        self.checked: bool = checked

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        distance = (value >> self.unit) - (place >> self.unit)
        if self.checked and not -(1 << 20) <= distance < 1 << 20:
            return False
        _insert(out, at, 2, 29, distance)
        _insert(out, at, 19, 5, distance >> 2)
        return True


class Low12(Fixup):
    """AArch64: the lowest twelve bits of S + A, in units of what is loaded."""

    __slots__ = ("unit",)

    def __init__(self, unit: int, *, by_table: bool = False) -> None:
        super().__init__(4, by_table=by_table)
        self.unit: int = unit  # as a power of two

    def apply(self, out: bytearray, at: int, value: int, place: int) -> bool:
        low = value & 0xFFF
        if low & ((1 << self.unit) - 1):
            return False
        _insert(out, at, 12, 10, low >> self.unit)
        return True


def _insert(out: bytearray, at: int, bits: int, shift: int, value: int) -> None:
    mask = (1 << bits) - 1
    word = int.from_bytes(out[at : at + 4], "little")
    word = word & ~(mask << shift) & _WORD | (value & mask) << shift
    out[at : at + 4] = word.to_bytes(4, "little")


class Machine:
    """A processor architecture. ``number`` is its e_machine; ``stub`` the code that jumps to the
    address in the eight bytes behind it, from anywhere to anywhere."""

    __slots__ = ("fixups", "name", "number", "stub")

    def __init__(self, name: str, number: int, stub: bytes, fixups: dict[int, Fixup]) -> None:
        self.name: str = name
        self.number: int = number
        self.stub: bytes = stub
        self.fixups: dict[int, Fixup] = fixups


_GOT_CELL: Final = Relative(4, by_table=True)

X86_64: Final = Machine(
    "x86_64",
    62,
    bytes.fromhex("ff2500000000"),  # jmp *(%rip)
    {
        1: Absolute(8),  # R_X86_64_64
        2: Relative(4),  # R_X86_64_PC32
        4: Relative(4, is_call=True),  # R_X86_64_PLT32
        9: _GOT_CELL,  # R_X86_64_GOTPCREL
        24: Relative(8),  # R_X86_64_PC64
        41: _GOT_CELL,  # R_X86_64_GOTPCRELX
        42: _GOT_CELL,  # R_X86_64_REX_GOTPCRELX
    },
)

AARCH64: Final = Machine(
    "aarch64",
    183,
    bytes.fromhex("5000005800021fd6"),  # ldr x16, .+8; br x16
    {
        257: Absolute(8),  # R_AARCH64_ABS64
        260: Relative(8),  # R_AARCH64_PREL64
        261: Relative(4),  # R_AARCH64_PREL32
        263: Move(0, checked=True),  # R_AARCH64_MOVW_UABS_G0
        264: Move(0, checked=False),
        265: Move(1, checked=True),
        266: Move(1, checked=False),
        267: Move(2, checked=True),
        268: Move(2, checked=False),
        269: Move(3, checked=False),  # R_AARCH64_MOVW_UABS_G3
        273: Branch(19, 5),  # R_AARCH64_LD_PREL_LO19
        274: Address(0),  # R_AARCH64_ADR_PREL_LO21
        275: Address(12),  # R_AARCH64_ADR_PREL_PG_HI21
        276: Address(12, checked=False),  # R_AARCH64_ADR_PREL_PG_HI21_NC
        277: Low12(0),  # R_AARCH64_ADD_ABS_LO12_NC
        278: Low12(0),  # R_AARCH64_LDST8_ABS_LO12_NC
        279: Branch(14, 5),  # R_AARCH64_TSTBR14
        280: Branch(19, 5),  # R_AARCH64_CONDBR19
        282: Branch(26, 0, is_call=True),  # R_AARCH64_JUMP26
        283: Branch(26, 0, is_call=True),  # R_AARCH64_CALL26
        284: Low12(1),  # R_AARCH64_LDST16_ABS_LO12_NC
        285: Low12(2),  # R_AARCH64_LDST32_ABS_LO12_NC
        286: Low12(3),  # R_AARCH64_LDST64_ABS_LO12_NC
        299: Low12(4),  # R_AARCH64_LDST128_ABS_LO12_NC
        311: Address(12, by_table=True),  # R_AARCH64_ADR_GOT_PAGE
        312: Low12(3, by_table=True),  # R_AARCH64_LD64_GOT_LO12_NC
    },
)

MACHINES: Final = {machine.name: machine for machine in (X86_64, AARCH64)}
