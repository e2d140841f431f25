"""Prototypes of helpers and kernel functions as short text, so that a table has one a line.

``from:mem? len:size0 map:map flags:any -> value?`` is a list of ``name:kind`` words and, behind the
arrow, what comes back. Behind a kind may stand, in this order, ``<type>`` (BTF type, flavour of a
dynptr, shape of a callback, the one number allowed), ``?`` (or null), ``=N`` (N bytes), ``%N``
(aligned to N), ``!`` (takes the reference). Before a result, ``+`` says that it holds a reference;
behind it ``=N`` gives its size, ``@name`` the argument that does, and ``^``, ``~`` and ``-`` say
that a pointer is trusted, protected by RCU or untrusted. A memory argument without ``=N`` is
measured by the size argument next to it, or by the one named in ``@name``."""

from __future__ import annotations

from anybpf.platforms import kinds
from anybpf.platforms.calls import Arg, Return
from anybpf.platforms.model import Limit

# word: (argument kind, what the helper does with the memory)
_ARGS = {
    "any": (kinds.ANYTHING, ""),
    "ctx": (kinds.CONTEXT, ""),
    "map": (kinds.MAP, ""),
    "key": (kinds.MAP_KEY, "r"),
    "value": (kinds.MAP_VALUE, "r"),
    "value_out": (kinds.MAP_VALUE, "w"),
    "value_io": (kinds.MAP_VALUE, "rw"),
    "mem": (kinds.MEMORY, "r"),
    "out": (kinds.MEMORY, "w"),
    "inout": (kinds.MEMORY, "rw"),
    "size": (kinds.SIZE, ""),
    "size0": (kinds.SIZE_OR_ZERO, ""),
    "alloc": (kinds.ALLOC_SIZE, ""),
    "str": (kinds.STRING, "r"),
    "stack": (kinds.STACK, "rw"),
    "fn": (kinds.FUNCTION, ""),
    "sock": (kinds.SOCKET, ""),
    "skc": (kinds.SOCK_COMMON, ""),
    "sk": (kinds.SOCK_COMMON_BTF, ""),
    "btf": (kinds.BTF_POINTER, ""),
    "percpu_btf": (kinds.PERCPU_BTF_POINTER, ""),
    "spin_lock": (kinds.SPIN_LOCK, ""),
    "timer": (kinds.TIMER, ""),
    "kptr": (kinds.KPTR, ""),
    "ringbuf_mem": (kinds.RINGBUF_MEMORY, ""),
    "dynptr": (kinds.DYNPTR, "r"),
    "dynptr_out": (kinds.DYNPTR, "w"),
    "int": (kinds.INTEGER, ""),
    "const": (kinds.INTEGER, ""),
    "csize": (kinds.CONSTANT_SIZE, ""),
    "ign": (kinds.IGNORED, ""),
    "iter": (kinds.ITERATOR, "rw"),
    "iter_out": (kinds.ITERATOR, "w"),
    "obj": (kinds.ALLOCATED, ""),
    "counted": (kinds.REFCOUNTED, ""),
    "list_head": (kinds.LIST_HEAD, ""),
    "list_node": (kinds.LIST_NODE, ""),
    "rb_root": (kinds.RB_ROOT, ""),
    "rb_node": (kinds.RB_NODE, ""),
    "res_lock": (kinds.RES_SPIN_LOCK, ""),
    "irq": (kinds.IRQ_FLAG, "r"),
    "irq_out": (kinds.IRQ_FLAG, "w"),
    "wq": (kinds.WORK_QUEUE, ""),
    "task_work": (kinds.TASK_WORK, ""),
    "arena": (kinds.ARENA, ""),
    "passed": (kinds.PASSED, ""),
}
_CONSTANT = ("const", "csize", "alloc")

_RETURNS = {
    "int": kinds.INTEGER,
    "void": kinds.VOID,
    "value": kinds.MAP_VALUE,
    "sock": kinds.SOCKET,
    "skc": kinds.SOCK_COMMON,
    "tcp_sock": kinds.TCP_SOCK,
    "xdp_sock": kinds.XDP_SOCK,
    "map": kinds.MAP,
    "btf": kinds.BTF_POINTER,
    "dynptr_mem": kinds.MEMORY,
    "ringbuf_mem": kinds.RINGBUF_MEMORY,
    "mem_or_btf": kinds.MEMORY_OR_BTF,
    "kptr": kinds.KPTR,
    "mem": kinds.MEMORY,
    "mem_rw": kinds.MEMORY,
    "obj": kinds.ALLOCATED,
    "list_node": kinds.LIST_NODE,
    "rb_node": kinds.RB_NODE,
    "arena": kinds.ARENA,
    "kernel_ctx": kinds.KERNEL_CONTEXT,
    "cast": kinds.CAST,
    "same": kinds.SAME,
}

# Results that are numbers of which more is known. Errors: MAX_ERRNO of the Linux kernel.
_NUMBERS = {
    "u32": (0, 0xFFFF_FFFF),
    "s32": (-(1 << 31), (1 << 31) - 1),
    "bool": (0, 1),
    "error": (-4095, 0),
    "error_or_bool": (-4095, 1),
    "error_or_u31": (-4095, (1 << 31) - 1),
    "loop_count": (-4095, 8 * 1024 * 1024),  # BPF_MAX_LOOPS of the Linux kernel
    "cpu": (0, 8191),  # the most that Linux is built for
}
_TRUST = {"^": kinds.TRUSTED, "~": kinds.RCU, "-": kinds.UNTRUSTED}


def parse(text: str) -> tuple[list[Arg], Return]:
    """The arguments and the result of a prototype."""
    head, _, back = text.rpartition("->")
    args = []
    measures: dict[int, str] = {}
    for index, word in enumerate(head.split()):
        if "@" in word:
            word, _, measures[index] = word.partition("@")
        args.append(_arg(word))
    _tie(args, measures)
    return args, _back(back.strip(), [arg.name for arg in args])


def parse_back(text: str) -> Return:
    """A result alone, as it stands behind the arrow of a prototype."""
    return _back(text, [])


def _arg(word: str) -> Arg:
    name, _, rest = word.partition(":")
    releases = rest.endswith("!")
    if releases:
        rest = rest[:-1]
    rest, align = _number(rest, "%")
    rest, size = _number(rest, "=")
    nullable = rest.endswith("?")
    if nullable:
        rest = rest[:-1]
    rest, type_name = _angled(rest)
    kind, access = _ARGS[rest]
    return Arg(
        name,
        kind,
        access=access,
        nullable=nullable,
        type_name=type_name,
        size=size,
        align=align,
        releases=releases,
        constant=rest in _CONSTANT,
    )


def _back(text: str, names: list[str]) -> Return:
    acquires = text.startswith("+")
    if acquires:
        text = text[1:]
    trust = _TRUST.get(text[-1:], "")
    if trust:
        text = text[:-1]
    text, _, measure = text.partition("@")
    text, size = _number(text, "=")
    nullable = text.endswith("?")
    if nullable:
        text = text[:-1]
    text, type_name = _angled(text)
    low, high = _NUMBERS.get(text, (kinds.LOWEST, kinds.HIGHEST))
    return Return(
        kinds.INTEGER if text in _NUMBERS else _RETURNS[text],
        nullable=nullable,
        type_name=type_name,
        acquires=acquires,
        trust=trust,
        low=low,
        high=high,
        size=size,
        size_arg=names.index(measure) if measure else -1,
        access="r" if text == "mem" else "rw",
    )


def _tie(args: list[Arg], measures: dict[int, str]) -> None:
    """Let each memory argument know its size argument, and the other way round."""
    for index, arg in enumerate(args):
        if arg.kind != kinds.MEMORY or arg.size:
            continue
        size_index = index + 1
        wanted = measures.get(index)
        if wanted is not None:
            size_index = [other.name for other in args].index(wanted)
        if size_index < len(args) and args[size_index].is_size:
            arg.size_arg = size_index
            args[size_index].memory_arg = index


def _number(text: str, mark: str) -> tuple[str, int]:
    head, found, tail = text.partition(mark)
    return head, int(tail) if found else 0


def _angled(text: str) -> tuple[str, str]:
    head, found, tail = text.partition("<")
    return head, tail[:-1] if found else ""


def limit(text: str) -> Limit:
    """A size rule: "4", "1..", "8..1016 /8" (in steps of 8), "4096.. pow2 pages"."""
    first, *words = text.split()
    low, dots, high = first.partition("..")
    if not dots:
        high = low
    steps = [int(word[1:]) for word in words if word.startswith("/")]
    return Limit(
        int(low),
        int(high) if high else -1,
        multiple=steps[0] if steps else 1,
        power_of_two="pow2" in words,
        page_multiple="pages" in words,
    )
