"""Pieces of programs that several tests are made of."""

from __future__ import annotations

# Brings the first SIZE bytes of the packet to the stack, at its very end; r6 is the context.
_FETCH = """
r6 = r1
r1 = r6
r2 = 0
r3 = r10
r3 += -{size}
r4 = {size}
call bpf_{kind}_load_bytes
"""

# Puts the SIZE bytes at the stack's end into the packet, and returns r7.
_STORE = """
r1 = r6
r2 = 0
r3 = r10
r3 += -{size}
r4 = {size}
{flags}
call bpf_{kind}_store_bytes
r0 = r7
exit
"""


def fetch(size: int, kind: str = "xdp") -> str:
    return _FETCH.format(size=size, kind=kind)


def store(size: int, kind: str = "xdp") -> str:
    return _STORE.format(size=size, kind=kind, flags="r5 = 0" if kind == "skb" else "")


def pointer(register: str, offset: int) -> str:
    """A register that points into the stack."""
    return f"{register} = r10\n{register} += {offset}\n"
