"""Programs that somebody wrote, with one or a few places changed."""

from __future__ import annotations

from pathlib import Path

from mypy_extensions import i64

from anybpf.errors import AnyBPFError
from anybpf.isa import problem
from anybpf.isa.instruction import Instruction
from anybpf.objects import load_spec
from anybpf.objects.specs import CollectionSpec, MapSpec
from fuzz.soundness.chance import Chance

LARGEST = 400  # instructions
LARGEST_FILE = 256 << 10
JUMPS = (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0)
OPERATIONS = (0x00, 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0)


class Original:
    """A program of the corpus: its code laid out, and the maps of its object."""

    __slots__ = ("attach_type", "code", "maps", "name", "spec", "type")

    def __init__(
        self,
        name: str,
        type_name: str,
        attach_type: str,
        code: list[Instruction],
        maps: list[MapSpec],
    ) -> None:
        self.name: str = name
        self.type: str = type_name
        self.attach_type: str = attach_type
        self.code: list[Instruction] = code
        self.maps: list[MapSpec] = maps


def read_originals(folder: Path) -> list[Original]:
    """The programs below a folder that are small enough; damaged objects are passed over."""
    found: list[Original] = []
    seen: set[bytes] = set()
    for path in sorted(folder.rglob("*.o")):
        if path.stat().st_size > LARGEST_FILE:
            continue
        try:
            spec: CollectionSpec = load_spec(path)
        except AnyBPFError:
            continue
        for program in spec:
            try:
                code = program.instructions
            except AnyBPFError:
                continue
            if not 5 <= len(code) <= LARGEST or program.type == "unspec":
                continue
            key = repr([(i.opcode, i.dst, i.src, i.offset, i.imm) for i in code]).encode()
            if key in seen:
                continue
            seen.add(key)
            name = f"{path.name} {program.name}"
            found.append(
                Original(name, program.type, program.attach_type, code, list(spec.maps.values()))
            )
    return found


def mutate(chance: Chance, code: list[Instruction]) -> list[Instruction]:
    """A copy with up to three changes, all of them legal instructions."""
    out = [insn.copy() for insn in code]
    changes: i64 = chance.below(4)
    while changes > 0:
        at: i64 = chance.below(len(out))
        new = out[at].copy()
        change(chance, new)
        if not problem(new):
            out[at] = new
        changes = changes - 1
    return out


def change(chance: Chance, insn: Instruction) -> None:
    """One thing about the instruction becomes another."""
    opcode: int = insn.opcode
    group = opcode & 7
    what: i64 = chance.below(6)
    if opcode == 0x18 or opcode == 0x85 or opcode == 0x95:
        if opcode == 0x18 and insn.src == 0:
            insn.imm = insn.imm + chance.between(-1, 1)
        return
    if what == 0 and group in (4, 5, 6, 7) and not opcode & 8:
        near = int(insn.imm) + int(chance.between(-2, 2))
        insn.imm = near if -0x80000000 <= near <= 0x7FFFFFFF else 0
    elif what == 1 and group in (1, 2, 3):
        near = int(insn.offset) + int(chance.between(-2, 2))
        insn.offset = near if -0x8000 <= near <= 0x7FFF else 0
    elif what == 2 and group in (5, 6) and opcode & 0xF0 in JUMPS:
        insn.opcode = opcode & 0x0F | JUMPS[chance.below(len(JUMPS))]
    elif what == 3 and group in (4, 7) and opcode & 0xF0 in OPERATIONS:
        insn.opcode = opcode & 0x0F | OPERATIONS[chance.below(len(OPERATIONS))]
    elif what == 4:
        if chance.one_in(2):
            insn.dst = int(chance.below(10))
        elif insn.src != 0:
            insn.src = int(chance.below(10))
    elif group in (4, 7):
        insn.opcode = opcode ^ 3  # the other width
    elif group in (5, 6) and opcode not in (0x05, 0x06):
        insn.opcode = opcode ^ 3
    elif group in (1, 2, 3) and opcode & 0xE0 == 0x60:
        insn.opcode = opcode & ~0x18 | int(chance.below(4)) * 8
