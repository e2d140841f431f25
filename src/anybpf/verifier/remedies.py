"""What usually mends a program, by kind of finding: one table, for people.

Each row says in one line what the instruction needs, for findings that do not say it themselves,
and in one or two lines what to change in the source. What was found is said by the finding.
"""

from __future__ import annotations

from typing import Final

from anybpf.verifier import faults, flow

_FALLS_OFF: Final = (
    "an exit or a jump at the end of every function",
    "End every function with a return. Compilers leave it out behind what they know never to "
    "return, and where the source does what C leaves undefined.",
)

# kind: (what is required, what usually mends it)
REMEDIES: Final[dict[str, tuple[str, str]]] = {
    faults.UNINITIALIZED_REGISTER: (
        "a register that was written on every way here",
        "Give the variable a value where it is declared, and every function a return value. After "
        "a call, r1 to r5 hold nothing: what is needed later must be kept elsewhere.",
    ),
    faults.UNINITIALIZED_STACK: (
        "stack that was written on every way here",
        "Set the whole local variable to zero where it is declared, padding included: "
        "struct key key = {}; or __builtin_memset(&key, 0, sizeof(key));",
    ),
    faults.STACK_BOUNDS: (
        "an access inside the frame, from fp-512 to fp-1",
        "Bound the index into the local array. A length that goes with it must be sizeof of that "
        "very object. Large data have a place in a per-CPU array map.",
    ),
    faults.STACK_DEPTH: (
        "frames that fit the stack together",
        "Move large local variables to a per-CPU array map, or call less deep.",
    ),
    faults.OUT_OF_BOUNDS: (
        "an access that lies inside its region",
        "Compare the index or offset with the size just before the access, and let the access use "
        "the same variable that was compared; an unsigned type spares the check for below zero.",
    ),
    faults.PACKET_BOUNDS: (
        "bytes that a comparison with data_end has shown to be there",
        "Before reading, compare the end of what is read with data_end: "
        "if ((void *)(header + 1) > data_end) return ...;",
    ),
    faults.STALE_PACKET: (
        "a packet pointer made after the last call that may move the packet",
        "After such a call, read data and data_end from the context again and check again.",
    ),
    faults.NULL_POINTER: (
        "a pointer that is not null",
        "Compare the pointer with NULL before using it, and use it only where it is not null: "
        "if (!p) return ...;",
    ),
    faults.NOT_A_POINTER: (
        "a pointer to memory that programs may touch",
        "The address must come from the context, a map, the stack or a helper; a number cannot "
        "be followed. Kernel memory is read with bpf_probe_read_kernel.",
    ),
    faults.POINTER_ARITHMETIC: (
        "arithmetic that keeps the pointer inside what it points to",
        "Compute the index as a number first, bound it, and add it to the pointer last.",
    ),
    faults.CONTEXT_ACCESS: (
        "a field of the context that this program type may access this way",
        "Access whole fields, with the types that the context's struct gives them; `anybpf "
        "platform show PLATFORM --type TYPE` lists those that may be read and written.",
    ),
    faults.READ_ONLY: (
        "memory that may be written",
        "Write to a copy, or keep the value in a map or variable that is not const.",
    ),
    faults.WRITE_ONLY: (
        "memory that may be read",
        "Keep a copy of what was written, and read that.",
    ),
    faults.ALIGNMENT: (
        "an address that is a multiple of the access's size",
        "Keep fields naturally aligned, or copy what is packed with __builtin_memcpy.",
    ),
    faults.SPECIAL_FIELD: (
        "an access beside the fields that only helpers may touch",
        "Copy the value's other fields one by one; use the lock, timer or kernel pointer only "
        "through its helpers.",
    ),
    faults.POINTER_LEAK: (
        "numbers, not addresses, where others can read them",
        "Store what the pointer points to, or a difference of two pointers, not the pointer.",
    ),
    faults.ARGUMENT: (
        "arguments as the called function takes them",
        "Look up the prototype with `anybpf platform show PLATFORM` and pass what it asks for. A "
        "length is sizeof of the very object that is passed, or has a bound that is checked.",
    ),
    faults.HELPER_UNAVAILABLE: (
        "a function that this program type may call",
        "`anybpf platform show PLATFORM --type TYPE` lists the helpers that may be called; some "
        "want a licence compatible with the GPL.",
    ),
    faults.MAP_TYPE: (
        "a map of a type that this function works on",
        "`anybpf platform show PLATFORM` lists which helpers work on which types of maps.",
    ),
    faults.NOT_ACQUIRED: (
        "something that is held, and was not given back yet",
        "Give back exactly what was taken, once, and do not use it afterwards.",
    ),
    faults.REFERENCE_LEAK: (
        "everything that was taken given back on every way to the end",
        "Give back what was taken (bpf_ringbuf_submit or _discard, bpf_sk_release, ...) on every "
        "way out, those of errors included.",
    ),
    faults.LOCK: (
        "locks and sections entered and left in pairs, with nothing forbidden between",
        "Keep the locked stretch short: few calls, one lock at a time, unlocked on every way out.",
    ),
    faults.SLEEP: (
        "a call that cannot sleep, here",
        "Make the program sleepable (section names that end in .s), or call it outside of locks "
        "and of sections in which sleeping is forbidden.",
    ),
    faults.KFUNC: (
        "a kernel function that this program type may call, with its arguments",
        "Look up the function's declaration in the kernel's types: `anybpf btf dump "
        "/sys/kernel/btf/vmlinux --type NAME`.",
    ),
    faults.CALLBACK: (
        "a callback as the called function wants it",
        "Declare it static, with the parameters that the function's documentation gives, and "
        "return 0 to go on or 1 to stop.",
    ),
    faults.DYNPTR: (
        "a dynptr in the state that the call needs",
        "Make it on the stack with its own helper, use it only through helpers, and submit or "
        "discard the ring buffer's on every way out.",
    ),
    faults.ITERATOR: (
        "an iterator in the state that the call needs",
        "Create, step and destroy it in one function: bpf_for() and bpf_for_each() do that.",
    ),
    faults.RETURN_VALUE: (
        "a return value that this program type may give",
        "Return one of the values that `anybpf platform show PLATFORM --type TYPE` lists, on "
        "every way out.",
    ),
    faults.CALL_DEPTH: (
        "calls that are not nested too deep",
        "Inline the small functions (static __always_inline), or split the work into tail calls.",
    ),
    faults.UNREACHABLE: (
        "instructions that some way leads to",
        "Remove the code that nothing leads to; compilers do so from -O1 on.",
    ),
    faults.FALLS_OFF: _FALLS_OFF,
    flow.JUMP_OUT: (
        "a jump inside of its own function",
        "Call the other function instead.",
    ),
    flow.JUMP_INTO_LOAD: (
        "a jump to an instruction",
        "A 16-byte load takes two slots; the jump must lead to the first of them.",
    ),
    "division": (
        "a divisor that is not the constant zero",
        "Look for a macro or constant that is zero here.",
    ),
    "shift": (
        "an amount smaller than the operand's width",
        "Shift by a smaller amount, or a wider type.",
    ),
    faults.LOOP_BOUND: (
        "a loop whose end can be seen",
        "Give the loop a constant bound: for (int i = 0; i < MAX; i++); or use bpf_loop or an "
        "open-coded iterator.",
    ),
    faults.GAVE_UP: (
        "a program that can be followed within the budget",
        "Bound its loops tighter, or move parts of it into global functions, which are verified "
        "once each.",
    ),
    faults.UNSUPPORTED: (
        "an instruction or feature that this platform has",
        "Compile for an older instruction set (-mcpu=v3, -mcpu=v2), or for another platform.",
    ),
}

# What is said of a kind that the table does not know.
GENERAL: Final = ("", "")


def remedy(kind: str) -> tuple[str, str]:
    """What is required, and what usually mends it; empty words for a kind without a row."""
    return REMEDIES.get(kind, GENERAL)
