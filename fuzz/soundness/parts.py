"""What the machine keeps besides registers and memory: maps, calls to come back from, callbacks."""

from __future__ import annotations

from mypy_extensions import i64

from fuzz.soundness.blocks import MAP, Block


class Table:
    """What a map holds while the program runs."""

    __slots__ = ("block", "bytes_of", "entries", "index", "key_size", "kind", "type", "value_size")

    def __init__(self, index: i64, type_name: str, kind: str, key: int, value: int, entries: int):
        self.index: i64 = index
        self.type: str = type_name
        self.kind: str = kind
        self.key_size: int = key
        self.value_size: int = value
        self.entries: int = entries
        self.block: Block = Block(MAP, 0, bytearray(), index)
        self.bytes_of: dict[bytes, Block] = {}


class Frame:
    """What a call must give back when it returns."""

    __slots__ = ("callback", "defined", "owners", "resume", "words")

    def __init__(
        self,
        resume: i64,
        words: list[int],
        owners: list[Block | None],
        defined: list[bool],
        callback: Callback | None,
    ) -> None:
        self.resume: i64 = resume
        self.words: list[int] = words
        self.owners: list[Block | None] = owners
        self.defined: list[bool] = defined
        self.callback: Callback | None = callback


class Callback:
    """A helper's loop around a function of the program."""

    __slots__ = ("argument", "count", "done", "entry", "owner", "resume", "table")

    def __init__(
        self,
        entry: i64,
        count: int,
        argument: int,
        owner: Block | None,
        resume: i64,
        table: Table | None,
    ) -> None:
        self.entry: i64 = entry
        self.count: int = count
        self.done: int = 0
        self.argument: int = argument
        self.owner: Block | None = owner
        self.resume: i64 = resume
        self.table: Table | None = table
