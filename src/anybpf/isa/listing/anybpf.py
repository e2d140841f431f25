"""Our own listing: what an engineer wants to read, and what the assembler can read again.

    xdp_prog:                               // int xdp_prog(struct xdp_md *ctx)
      ; droppacket.c:21: if (data + 14 > data_end)
       0: r2 = *(u32 *)(r1 + 4)             // ctx->data_end
       1: if r1 > r2 goto l1
    l1:
       5: exit

Slots are numbered as everywhere else, source lines stand above their code, jump targets bear
labels. Names of fields come from the caller, who knows the types.
"""

from __future__ import annotations

from typing import Final

from anybpf.isa import opcodes as op
from anybpf.isa.codec import problem
from anybpf.isa.instruction import Instruction, SourceLine
from anybpf.isa.listing.names import Names, signature
from anybpf.isa.listing.syntax import instruction_text

_COMMENT_COLUMN: Final = 44
_LEAST_SLOT_WIDTH: Final = 4
_TEMPORARY: Final = ".L"  # how compilers begin labels that are nobody's business


def lines(
    instructions: list[Instruction],
    *,
    names: Names | None = None,
    hints: dict[int, str] | None = None,
    signatures: dict[str, str] | None = None,
    sources: bool = True,
    first_slot: int = 0,
    first_label: int = 1,
) -> list[str]:
    """The listing of one program or function.

    ``hints`` are remarks by slot, such as the name of the field that is read there; slots count
    from ``first_slot``, the number of the first instruction. ``signatures`` are the C prototypes
    of functions by name. Labels are numbered from ``first_label``; `labels_made` says how many
    there are, so that several listings can make one text.

    >>> from anybpf.isa import decode
    >>> print(*lines(decode(bytes.fromhex("b700000002000000" "9500000000000000"))), sep="\\n")
       0: r0 = 2
       1: exit
    """
    out: list[str] = []
    labels = label_names(instructions, first_slot, first_label)
    functions = _function_slots(instructions, first_slot)
    size = 0
    for insn in instructions:
        size += insn.slots
    width = max(_LEAST_SLOT_WIDTH, len(str(first_slot + size)))
    line: SourceLine | None = None
    slot = first_slot
    for insn in instructions:
        meta = insn.meta
        label = labels.get(slot)
        if label is not None:
            if slot in functions:
                if out:
                    out.append("")
                line = None
                proto = signatures.get(label, "") if signatures is not None else ""
                out.append(_with_comment(f"{label}:", proto))
            else:
                out.append(f"{label}:")
        if sources and meta is not None and meta.line is not None and _news(meta.line, line):
            line = meta.line
            out.append(f"  ; {source_place(line)}: {line.text.strip()}".rstrip(" :"))
        target, comment = _target_and_comment(insn, slot, labels, names)
        if hints is not None:
            hint = hints.get(slot)
            if hint:
                comment = f"{comment}, {hint}" if comment else hint
        words = str(slot).rjust(width) + ": " + instruction_text(insn, target)
        out.append(_with_comment(words, comment) if comment else words)
        slot += insn.slots
    return out


def labels_made(instructions: list[Instruction]) -> int:
    """How many labels `lines` numbers: those of targets that bear no symbol."""
    names = label_names(instructions)
    symbols = {insn.symbol for insn in instructions if insn.meta is not None}
    return len([name for name in names.values() if name not in symbols])


def label_names(
    instructions: list[Instruction], first_slot: int = 0, first_label: int = 1
) -> dict[int, str]:
    """A label for each slot that bears a symbol or that code of this listing leads to."""
    symbols: dict[int, str] = {}
    targets: set[int] = set()
    starts: set[int] = set()
    taken: set[str] = set()
    slot = first_slot
    for insn in instructions:
        starts.add(slot)
        meta = insn.meta
        if meta is not None and meta.symbol and meta.symbol not in taken:
            symbols[slot] = meta.symbol
            taken.add(meta.symbol)
        target = leads_to(insn, slot)
        if target >= 0 and not _names_function(insn):
            targets.add(target)
        slot += insn.slots
    for slot in [each for each in symbols if each not in targets]:
        if symbols[slot].startswith(_TEMPORARY):
            del symbols[slot]
    count = first_label - 1
    for target in sorted(targets):
        if target in starts and target not in symbols:
            count += 1
            while f"l{count}" in taken:
                count += 1
            symbols[target] = f"l{count}"
    return symbols


def _function_slots(instructions: list[Instruction], first_slot: int) -> set[int]:
    """Where functions begin: at the start, where BTF says so, and what is called."""
    slots = {first_slot}
    called: set[str] = set()
    slot = first_slot
    for insn in instructions:
        meta = insn.meta
        if meta is not None and meta.function is not None:
            slots.add(slot)
        opcode: int = insn.opcode
        if opcode in (op.CALL_IMM, op.LD_IMM64):
            if _names_function(insn):
                called.add(insn.reference)
            else:
                slots.add(leads_to(insn, slot))
        slot += insn.slots
    if called:
        slot = first_slot
        for insn in instructions:
            if insn.symbol in called:
                slots.add(slot)
            slot += insn.slots
    return slots


def _names_function(insn: Instruction) -> bool:
    """Whether this says which function it means; it may be elsewhere, the distance void."""
    return insn.meta is not None and insn.reference != "" and not insn.is_jump


def leads_to(insn: Instruction, slot: int) -> int:
    """The slot that ``insn`` at ``slot`` jumps to, calls or takes the address of, or -1."""
    if insn.is_jump:
        return max(slot + 1 + insn.jump_distance, -1)
    if insn.is_local_call:
        return max(slot + 1 + int(insn.imm), -1)
    if insn.is_function_load:
        low = insn.low
        return max(slot + 1 + low - ((low & 0x80000000) << 1), -1)
    return -1


def source_place(line: SourceLine) -> str:
    """File and line, without the folders that the file lies in."""
    return f"{line.file.replace(chr(92), '/').rpartition('/')[2]}:{line.line}"


def _target_and_comment(
    insn: Instruction, slot: int, labels: dict[int, str], names: Names | None
) -> tuple[str, str]:
    """What is known by name of where ``insn`` leads, and what is worth saying behind it."""
    opcode: int = insn.opcode
    cls = opcode & op.CLASS_MASK
    if cls == op.JMP or cls == op.JMP32:
        if insn.is_helper_call:
            helper = names.helper(int(insn.imm)) if names is not None else None
            if helper is None:
                return insn.reference, ""
            return helper.name, signature(helper)
        if insn.is_local_call:
            # Alone, a function's calls are named; in a whole program they also lead there.
            return insn.reference or labels.get(leads_to(insn, slot), ""), ""
        if insn.is_btf_call:
            return "", insn.reference if insn.imm or insn.offset else ""
        if insn.is_jump:
            return labels.get(leads_to(insn, slot), ""), problem(insn)
        return "", problem(insn)
    if opcode == op.LD_IMM64:
        if insn.is_function_load:
            return insn.reference or labels.get(leads_to(insn, slot), ""), ""
        if insn.is_map_load:
            comment = insn.reference
            if insn.low and insn.map_name:
                comment = insn.map_name + (f", {comment}" if comment else "")
            return "", comment
        return "", insn.reference if insn.src else ""
    return "", problem(insn)


def _news(line: SourceLine, last: SourceLine | None) -> bool:
    """Whether this line is worth a comment: compilers give line 0 to what no line made."""
    if line.line == 0 and not line.text:
        return False
    if last is None:
        return True
    return line.line != last.line or line.file != last.file or line.text != last.text


def _with_comment(words: str, comment: str) -> str:
    """Comments stand in one column, where the words leave room for it."""
    if not comment:
        return words
    return f"{words.ljust(_COMMENT_COLUMN)}  // {comment}"
