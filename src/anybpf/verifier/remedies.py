"""What usually mends a program, by kind of finding: one table, for people.

Each row says in one line what the instruction needs, for findings that do not say it themselves,
and in one or two lines what to change in the source. What was found is said by the finding.
"""

from __future__ import annotations

from typing import Final

# kind: (what is required, what usually mends it)
REMEDIES: Final[dict[str, tuple[str, str]]] = {
    "null-pointer": (
        "a pointer that is not null",
        "Compare the pointer with NULL before using it, and use it only where it is not null: "
        "if (!p) return ...;",
    ),
    "out-of-bounds": (
        "an access that lies inside its region",
        "Compare the index or offset with the size just before the access, and let the access use "
        "the same variable that was compared; an unsigned type spares the check for below zero.",
    ),
    "packet-bounds": (
        "bytes that a comparison with data_end has shown to be there",
        "Before reading, compare the end of what is read with data_end: "
        "if ((void *)(header + 1) > data_end) return ...; "
        "after a call that may move the packet, load data and data_end again and check again.",
    ),
    "stack-bounds": (
        "an access inside the frame, from fp-512 to fp-1",
        "Bound the index into the local array, or keep large data in a per-CPU array map.",
    ),
    "uninitialized-register": (
        "a register that was written on every way here",
        "Give the variable a value where it is declared. After a call, r1 to r5 hold nothing: "
        "what is needed later must be kept elsewhere.",
    ),
    "uninitialized-stack": (
        "stack that was written on every way here",
        "Set the whole local variable to zero where it is declared, padding included: "
        "struct key key = {}; or __builtin_memset(&key, 0, sizeof(key));",
    ),
    "alignment": (
        "an address that is a multiple of the access's size",
        "Keep fields naturally aligned, or copy what is packed with __builtin_memcpy.",
    ),
    "context-access": (
        "a field of the context that this program type may access this way",
        "Read whole fields, with the types that the context's struct gives them; `anybpf platform "
        "show PLATFORM --type TYPE` lists the fields that may be read and written.",
    ),
    "read-only": (
        "memory that may be written",
        "Write to a copy, or keep the value in a map or variable that is not const.",
    ),
    "argument": (
        "arguments of the kinds that the called function takes",
        "Look up the prototype (`anybpf platform show PLATFORM`) and pass what it asks for.",
    ),
    "argument-size": (
        "a length that fits the memory that is passed with it",
        "Pass sizeof of the very object whose address is passed. A length computed at run time "
        "needs an upper bound that is checked before the call.",
    ),
    "helper": (
        "a function that this program type may call",
        "`anybpf platform show PLATFORM --type TYPE` lists the helpers that may be called.",
    ),
    "license": (
        "a licence compatible with the GPL",
        "Declare a compatible licence, such as Dual MIT/GPL, or do without the helper.",
    ),
    "reference-leak": (
        "everything that was taken is given back on every way to the end",
        "Give back what was taken (bpf_ringbuf_submit or _discard, bpf_sk_release, ...) on every "
        "way out, those of errors included.",
    ),
    "reference": (
        "a reference that is held and was not given back yet",
        "Give back exactly what was taken, once, and do not use it afterwards.",
    ),
    "lock": (
        "locks taken and released in pairs, with nothing forbidden between",
        "Keep the locked stretch short: no calls, one lock at a time, unlocked on every way out.",
    ),
    "pointer-arithmetic": (
        "arithmetic that keeps the pointer inside what it points to",
        "Compute the index as a number first, bound it, and add it to the pointer last.",
    ),
    "pointer-leak": (
        "numbers, not addresses, where others can read them",
        "Store what the pointer points to, or a difference of two pointers, not the pointer.",
    ),
    "not-a-pointer": (
        "a pointer",
        "The address must come from the context, a map, the stack or a helper; a number cannot "
        "be followed. Kernel memory is read with bpf_probe_read_kernel.",
    ),
    "return-value": (
        "a return value that this program type may give",
        "Return one of the values that `anybpf platform show PLATFORM --type TYPE` lists, on "
        "every way out.",
    ),
    "termination": (
        "a loop whose end can be seen",
        "Give the loop a constant bound: for (int i = 0; i < MAX; i++); or use bpf_loop or an "
        "open-coded iterator.",
    ),
    "budget": (
        "a program that can be followed within the budget",
        "Split it into global functions, which are verified once each, or bound its loops tighter.",
    ),
    "stack-depth": (
        "calls that fit the stack: 512 bytes a frame, eight frames",
        "Call less deep, or move large local variables to a per-CPU array map.",
    ),
    "control-flow": (
        "code in which every way ends at an exit",
        "Every jump must lead to an instruction of its own function and no way may run off the "
        "end.",
    ),
    "instruction": (
        "an instruction that the platform knows",
        "Compile for an older instruction set: -mcpu=v3, or -mcpu=v2.",
    ),
    "division": (
        "a divisor that is not zero",
        "Check the divisor before dividing.",
    ),
    "call": (
        "a call that the platform allows here",
        "Look up what the function asks of its callers.",
    ),
    "tail-call": (
        "a tail call that the platform allows here",
        "Pass the context, a program array and an index.",
    ),
    "map": (
        "a map that allows this",
        "`anybpf platform show PLATFORM` lists which helpers work on which types of maps.",
    ),
}

# What is said of a kind that the table does not know.
GENERAL: Final = ("", "")


def remedy(kind: str) -> tuple[str, str]:
    """What is required, and what usually mends it; empty words for a kind without a row."""
    return REMEDIES.get(kind, GENERAL)
