"""Helper prototypes as short text, so that a table has one helper a line.

``from:mem? len:size0 map:map flags:any -> value?`` is a list of ``name:kind`` words and, behind the
arrow, what comes back. Behind a kind may stand, in this order, ``<type>`` (BTF type, flavour of a
dynptr, shape of a callback), ``?`` (or null), ``=N`` (N bytes), ``%N`` (aligned to N), ``!`` (takes
the reference). Before a result, ``+`` says that it holds a reference; behind it ``^`` that the
pointer is trusted. A memory argument without ``=N`` is measured by the size argument next to it,
or by the one named in ``@name``.
"""

from __future__ import annotations

from anybpf.platforms import model
from anybpf.platforms.model import Arg, Limit, Return

# word: (argument kind, what the helper does with the memory)
_ARGS = {
    "any": (model.ANYTHING, ""),
    "ctx": (model.CONTEXT, ""),
    "map": (model.MAP, ""),
    "key": (model.MAP_KEY, "r"),
    "value": (model.MAP_VALUE, "r"),
    "value_out": (model.MAP_VALUE, "w"),
    "mem": (model.MEMORY, "r"),
    "out": (model.MEMORY, "w"),
    "inout": (model.MEMORY, "rw"),
    "size": (model.SIZE, ""),
    "size0": (model.SIZE_OR_ZERO, ""),
    "alloc": (model.ALLOC_SIZE, ""),
    "str": (model.STRING, "r"),
    "stack": (model.STACK, "rw"),
    "fn": (model.FUNCTION, ""),
    "sock": (model.SOCKET, ""),
    "skc": (model.SOCK_COMMON, ""),
    "sk": (model.SOCK_COMMON_BTF, ""),
    "btf": (model.BTF_POINTER, ""),
    "percpu_btf": (model.PERCPU_BTF_POINTER, ""),
    "spin_lock": (model.SPIN_LOCK, ""),
    "timer": (model.TIMER, ""),
    "kptr": (model.KPTR, ""),
    "ringbuf_mem": (model.RINGBUF_MEMORY, ""),
    "dynptr": (model.DYNPTR, "r"),
    "dynptr_out": (model.DYNPTR, "w"),
}

_RETURNS = {
    "int": model.INTEGER,
    "void": model.VOID,
    "value": model.MAP_VALUE,
    "sock": model.SOCKET,
    "skc": model.SOCK_COMMON,
    "tcp_sock": model.TCP_SOCK,
    "btf": model.BTF_POINTER,
    "dynptr_mem": model.MEMORY,
    "ringbuf_mem": model.RINGBUF_MEMORY,
    "mem_or_btf": model.MEMORY_OR_BTF,
    "kptr": model.KPTR,
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
        if arg.kind != model.MEMORY or arg.size:
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
