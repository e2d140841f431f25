"""Assembly text to instructions, in two dialects behind one door.

``llvm`` is what clang, llvm-objdump, the kernel and bpftool write (``r0 = *(u32 *)(r1 + 4)``) and
our own listing; ``mnemonic`` is that of the conformance suite (``ldxw %r0, [%r1+4]``). The result
is instructions; object files are made of them elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from anybpf.errors import NotFound
from anybpf.isa.assembler.llvm import assemble_llvm
from anybpf.isa.assembler.mnemonic import assemble_mnemonic
from anybpf.isa.instruction import Instruction

DIALECTS = ("llvm", "mnemonic")

__all__ = ["DIALECTS", "assemble"]


def assemble(
    text: str,
    dialect: str = "llvm",
    file: str = "",
    helpers: Mapping[str, int] | None = None,
    open_names: bool = True,
) -> list[Instruction]:
    """The instructions of ``text``; :class:`AssemblerError` says where it is wrong, and why.

    Labels become distances; the instructions that bear them and that lead to them keep their
    names as :attr:`symbol` and :attr:`reference`. ``helpers`` gives the numbers of helpers that
    the text calls by name. A call of a name that is neither a label nor a helper is a call of
    another function, left to be resolved; without ``open_names`` it is an error.

    >>> assemble("r0 = 2; exit")
    [Instruction(0xb7, dst=0, src=0, offset=0, imm=2), Instruction(0x95, dst=0, src=0, offset=0, \
imm=0)]
    """
    if dialect == "llvm":
        return assemble_llvm(text, file, helpers, open_names)
    if dialect == "mnemonic":
        return assemble_mnemonic(text, file)
    raise NotFound(f"no assembler dialect {dialect!r}; there are: {', '.join(DIALECTS)}")
