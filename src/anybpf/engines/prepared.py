"""A program as engines take it: plain values, whether they come from a proof or from an image.

How they are made of a verified program is the business of ``prepare``; reading them out of an image
is that of ``image``. Nothing here knows the verifier, which those who run images do without.
"""

from __future__ import annotations

import hashlib
import sys
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from anybpf.errors import NotSupported
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Platform
from anybpf.platforms.kinds import PACKET, PACKET_END, PACKET_META
from anybpf.platforms.model import Context, ProgramType

if TYPE_CHECKING:
    from anybpf.isa import Instruction
    from anybpf.verifier import Verification

# In front of every context lie eight slots of eight bytes: src/core/run.h.
HEADER_SIZE: Final = 64
# Which slot holds what a field of this kind stands for: ANYBPF_SLOT_* there.
HEADER_SLOTS: Final = {PACKET: 0, PACKET_END: 1, PACKET_META: 2}
# The field that holds a packet's length, where a context has one.
LENGTH_FIELD: Final = "len"
# The name under which facts speak of the context.
CONTEXT_KIND: Final = "ctx"


class Prepared:
    """A program as engines take it.

    ``code`` are the slots in host byte order. A 16-byte load with source 1 or 2 has an index into
    ``maps`` as immediate (with 2, the second half's is an offset into the value), a call with
    source 0 one into ``helpers``, which are names without ``bpf_``. ``dead`` are the helpers that
    only instructions call that no run reaches. ``compatible`` is the same for programs that may
    follow one another by tail calls. ``handler`` is the slot of the function whose result is
    that of a run that ``bpf_throw`` ended; 0: there is none, the result is what was thrown.

    ``lines`` are slot, file and line of the instructions at which source lines begin; without a
    file where code begins of which that is not known.
    ``verified_steps`` says how much work the proof was, ``typed_functions`` how many functions
    have a type. ``proof`` is the verification; None for a program that was proved elsewhere.
    """

    __slots__ = (
        "_instructions",
        "_slots",
        "attach_to",
        "attach_type",
        "code",
        "compatible",
        "context",
        "dead",
        "flags",
        "handler",
        "helpers",
        "license",
        "lines",
        "maps",
        "name",
        "platform",
        "proof",
        "section",
        "tag",
        "type",
        "typed_functions",
        "verified_steps",
    )

    def __init__(self, name: str, platform: Platform, program_type: ProgramType) -> None:
        self.name: str = name
        self.platform: Platform = platform
        self.type: ProgramType = program_type
        self.context: Context | None = program_type.context
        self.section: str = ""
        self.attach_type: str = ""
        self.attach_to: str = ""
        self.license: str = ""
        self.flags: tuple[str, ...] = ()
        self.code: bytes = b""
        self.tag: str = ""
        self.maps: list[MapSpec] = []
        self.helpers: list[str] = []
        self.dead: set[str] = set()
        self.compatible: int = 0
        self.handler: int = 0
        self.lines: list[tuple[int, str, int]] = []
        self.verified_steps: int = 0
        self.typed_functions: int = 0
        self.proof: Verification | None = None
        self._slots: list[int] = []
        self._instructions: list[Instruction] = []

    @property
    def verification(self) -> Verification:
        """The proof; :class:`NotSupported` where the program came without one."""
        if self.proof is None:
            raise NotSupported(
                f"the verification of program {self.name}",
                where="programs that were compiled ahead",
            )
        return self.proof

    @property
    def context_size(self) -> int:
        """Bytes of the context's structure; 0 where programs have none."""
        return 0 if self.context is None else self.context.size

    @property
    def packet_fields(self) -> tuple[int, int, int]:
        """Where eight-byte pointers to the packet's data, end and metadata lie; -1: nowhere."""
        found = {PACKET: -1, PACKET_END: -1, PACKET_META: -1}
        for field in () if self.context is None else self.context.fields:
            if field.kind in found and field.size == 8:
                found[field.kind] = field.offset
        return found[PACKET], found[PACKET_END], found[PACKET_META]

    @property
    def length_field(self) -> int:
        """Where the context keeps the packet's length in four bytes, or -1."""
        if self.context is None or self.context.data < 0:
            return -1
        field = self.context.named(LENGTH_FIELD)
        return -1 if field is None or field.size != 4 else field.offset

    @property
    def instructions(self) -> list[Instruction]:
        """The program for people: as it was verified, or what its code says."""
        if self.proof is not None:
            return self.proof.instructions
        if not self._instructions:
            from anybpf.isa import decode

            self._instructions = decode(self.code, big_endian=sys.byteorder == "big")
        return self._instructions

    def instruction_at(self, slot: int) -> int:
        """The index of the instruction that stands at a slot, for messages."""
        if not self._slots:
            at = 0
            for insn in self.instructions:
                self._slots.append(at)
                at += insn.slots
        return max(0, bisect_right(self._slots, slot) - 1)

    def source_place(self, slot: int) -> tuple[str, int] | None:
        """File and line of what stands at a slot, as far as that is known."""
        if self.proof is not None:
            line = self.proof.source_line(self.instruction_at(slot))
            return None if line is None else (line.file, line.line)
        found = bisect_right(self.lines, slot, key=_slot_of) - 1
        return None if found < 0 or not self.lines[found][1] else self.lines[found][1:]

    def __repr__(self) -> str:
        return (
            f"<Prepared {self.name}, {self.type.name}: {len(self.code) // 8} slots, "
            f"{len(self.maps)} maps, {len(self.helpers)} helpers>"
        )


def _slot_of(line: tuple[int, str, int]) -> int:
    return line[0]


def fingerprint(made: Prepared) -> int:
    """64 bits that are equal for programs that may follow one another by tail calls.

    Such programs share a context, what they may do with it, and what they may return.
    """
    words = [made.platform.name, made.type.name]
    kind = made.type
    by_attach_type = any(rule.attach_types for rule in kind.returns)
    if made.context is not None:
        by_attach_type = by_attach_type or any(
            field.attach_types or field.write_attach_types for field in made.context.fields
        )
    if by_attach_type:
        words.append(made.attach_type)
    words += [word for word in ("frags", "sleepable") if word in made.flags]
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:8], "little")
