"""Helper prototypes as short text, so that a table has one helper a line.

``from:mem? len:size0 map:map flags:any -> value?`` is a list of ``name:kind`` words and, behind the
arrow, what comes back. Behind a kind may stand, in this order, ``<type>`` (BTF type, flavour of a
dynptr, shape of a callback), ``?`` (or null), ``=N`` (N bytes), ``%N`` (aligned to N), ``!`` (takes
the reference). Before a result, ``+`` says that it holds a reference; behind it ``^`` that the
pointer is trusted. A memory argument without ``=N`` is measured by the size argument next to it,
or by the one named in ``@name``.
"""

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
}

_RETURNS = {
    "int": kinds.INTEGER,
    "void": kinds.VOID,
    "value": kinds.MAP_VALUE,
    "sock": kinds.SOCKET,
    "skc": kinds.SOCK_COMMON,
    "tcp_sock": kinds.TCP_SOCK,
    "btf": kinds.BTF_POINTER,
    "dynptr_mem": kinds.MEMORY,
    "ringbuf_mem": kinds.RINGBUF_MEMORY,
    "mem_or_btf": kinds.MEMORY_OR_BTF,
    "kptr": kinds.KPTR,
}


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
    return args, _back(back.strip())


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
    )


def _back(text: str) -> Return:
    acquires = text.startswith("+")
    if acquires:
        text = text[1:]
    trusted = text.endswith("^")
    if trusted:
        text = text[:-1]
    nullable = text.endswith("?")
    if nullable:
        text = text[:-1]
    text, type_name = _angled(text)
    return Return(
        _RETURNS[text],
        nullable=nullable,
        type_name=type_name,
        acquires=acquires,
        trusted=trusted,
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
