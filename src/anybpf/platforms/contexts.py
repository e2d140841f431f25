"""Contexts: structures that programs see, and how each field of them may be touched.

Part of the shape that ``model`` shows as one; the words for kinds are in ``kinds``.
"""

from __future__ import annotations

from collections.abc import Iterable

from anybpf.platforms.kinds import PACKET, PACKET_END, PACKET_META, SCALAR


class Field:
    """A field of a context, as one program type may use it.

    ``read_sizes`` and ``write_sizes`` are the widths in bytes that an aligned access inside the
    field may have; empty means that it may not be read (written) at all. ``attach_types`` limits
    the field to programs of these attach types, ``write_attach_types`` its writing. ``exact``:
    an access starts where the field starts. ``nullable``: the pointer in it may be null; ``trust``
    says how far one to a kernel structure may be relied on.
    """

    __slots__ = (
        "attach_types",
        "exact",
        "kind",
        "name",
        "nullable",
        "offset",
        "read_sizes",
        "size",
        "trust",
        "type",
        "write_attach_types",
        "write_sizes",
    )

    def __init__(
        self,
        name: str,
        offset: int,
        size: int,
        type_name: str,
        *,
        kind: str = SCALAR,
        nullable: bool = False,
        read_sizes: tuple[int, ...] | None = None,
        write_sizes: tuple[int, ...] = (),
        attach_types: tuple[str, ...] = (),
        write_attach_types: tuple[str, ...] = (),
        exact: bool = False,
        trust: str = "",
    ) -> None:
        self.name = name
        self.offset = offset
        self.size = size
        self.type = type_name
        self.kind = kind
        self.nullable = nullable
        self.read_sizes = (size,) if read_sizes is None else read_sizes
        self.write_sizes = write_sizes
        self.attach_types = attach_types
        self.write_attach_types = write_attach_types
        self.exact = exact
        self.trust = trust

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def read(self) -> bool:
        return bool(self.read_sizes)

    @property
    def write(self) -> bool:
        return bool(self.write_sizes)

    @property
    def narrow(self) -> bool:
        """Whether a read may take less than the whole field (an element, if it is an array)."""
        return len(self.read_sizes) > 1

    def allows(self, offset: int, size: int, write: bool = False, attach_type: str = "") -> bool:
        """Whether an access of ``size`` bytes at the context's ``offset`` is permitted.

        Without an attach type, what some attach type permits is permitted.
        """
        sizes = self.write_sizes if write else self.read_sizes
        if size not in sizes or offset < self.offset or offset + size > self.end:
            return False
        if offset % size:
            return False
        if self.exact and offset != self.offset:
            return False
        if attach_type:
            if self.attach_types and attach_type not in self.attach_types:
                return False
            if write and self.write_attach_types and attach_type not in self.write_attach_types:
                return False
        return True

    def __repr__(self) -> str:
        rights = f"{'r' if self.read else '-'}{'w' if self.write else '-'}"
        return f"<Field {self.name} {self.type} {self.offset}+{self.size} {rights} {self.kind}>"


class Context:
    """What a program finds behind its first argument.

    ``layout`` says how to read it: "fields" (the fields listed, nothing else), "open" (the fields,
    and any access inside ``size`` that touches no pointer among them), "bytes" (any aligned read
    from ``start`` up to ``size``), "typed" (8-byte arguments whose types the attach
    target's BTF gives), "memory" (read and write, ``size`` at most). ``data``, ``data_end`` and
    ``data_meta`` are the offsets of those pointers, -1 if absent.
    """

    __slots__ = ("data", "data_end", "data_meta", "fields", "layout", "name", "size", "start")

    def __init__(
        self,
        name: str,
        size: int,
        fields: Iterable[Field] = (),
        *,
        layout: str = "fields",
        start: int = 0,
    ) -> None:
        self.name = name
        self.start = start
        self.size = size
        self.fields = tuple(fields)
        self.layout = layout
        self.data = self._offset_of(PACKET)
        self.data_end = self._offset_of(PACKET_END)
        self.data_meta = self._offset_of(PACKET_META)

    def _offset_of(self, kind: str) -> int:
        for field in self.fields:
            if field.kind == kind and field.read:
                return field.offset
        return -1

    def field(self, offset: int, size: int = 1) -> Field | None:
        """The field that holds these bytes, readable or not; the first where several overlap."""
        for field in self.fields:
            if field.offset <= offset and offset + size <= field.end:
                return field
        return None

    def named(self, name: str) -> Field | None:
        for field in self.fields:
            if field.name == name:
                return field
        return None

    def access(
        self, offset: int, size: int, write: bool = False, attach_type: str = ""
    ) -> Field | None:
        """The field through which this access is permitted, or None.

        In a context that is not made of fields, a field without a name stands for the place.
        """
        for field in self.fields:
            if field.allows(offset, size, write, attach_type):
                return field
        if size not in (1, 2, 4, 8) or offset < self.start or offset + size > self.size:
            return None
        if self.layout == "open":
            forbidden = self._touches_pointer(offset, size)
        else:
            forbidden = (
                self.layout == "fields" or offset % size != 0 or (write and self.layout != "memory")
            )
        if forbidden:
            return None
        if self.layout == "typed" and size != 8:
            return None
        return Field("", offset, size, f"u{size * 8}", write_sizes=(size,) if write else ())

    def _touches_pointer(self, offset: int, size: int) -> bool:
        for field in self.fields:
            if field.kind != SCALAR and field.offset < offset + size and offset < field.end:
                return True
        return False

    def __repr__(self) -> str:
        return f"<Context {self.name}, {self.size} bytes, {len(self.fields)} fields>"
