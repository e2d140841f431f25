"""Flavours: `task_struct___old` is another local view of the kernel's `task_struct`.

CO-RE compares names without the flavour (Linux, Documentation/bpf/llvm_reloc.rst and libbpf's
bpf_core_read.h); what else it compares is in `core` and `corematch`.
"""

from __future__ import annotations


def essential_name(name: str) -> str:
    """A name without its flavour, which follows exactly three underscores.

    >>> essential_name("task_struct___old"), essential_name("__x___"), essential_name("a____b")
    ('task_struct', '__x___', 'a____b')
    """
    at = name.rfind("___")
    while at > 0:
        if name[at - 1] != "_" and at + 3 < len(name) and name[at + 3] != "_":
            return name[:at]
        at = name.rfind("___", 0, at + 2)
    return name
