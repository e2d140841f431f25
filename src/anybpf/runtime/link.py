"""Links: a program held at a place where events come from.

This is the object with its states and references. Who delivers events to it is a hook's business:
a hook is registered with the runtime for an attach type, and told when links come and go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from anybpf.errors import InputError, NotSupported
from anybpf.runtime.objects import LINK, Handle, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anybpf.runtime.infos import LinkInfo as LinkInfo
    from anybpf.runtime.program import Program, ProgramRecord
    from anybpf.runtime.runtime import Runtime

INITIAL: Final = "initial"
ATTACHING: Final = "attaching"
ATTACHED: Final = "attached"
DETACHING: Final = "detaching"
DETACHED: Final = "detached"
STATES: Final = (INITIAL, ATTACHING, ATTACHED, DETACHING, DETACHED)


class Hook(Protocol):
    """Where events come from, as links see it."""

    def attach(self, link: LinkRecord) -> None:
        """Begin to run ``link.program`` for events. To raise is to refuse."""

    def detach(self, link: LinkRecord) -> None:
        """No event must come any more when this returns. Called with the runtime's lock held: it
        must not call the runtime."""


class LinkRecord(Record):
    kind = LINK

    def __init__(
        self, runtime: Runtime, owner: str, program: ProgramRecord, attach_type: str, data: bytes
    ) -> None:
        super().__init__(runtime, program.name, owner)
        self.program: ProgramRecord = program
        self.attach_type: str = attach_type
        self.data: bytes = data
        self.hook: Hook | None = None
        self.state: str = INITIAL
        self.holds: bool = False

    def release(self) -> Iterable[Record]:
        self.detach()
        held, self.holds = self.holds, False
        return [self.program] if held else []

    def detach(self) -> None:
        """As told by the last reference's going, or by a user; the second time it does nothing."""
        if self.state != ATTACHED:
            return
        self.state = DETACHING
        try:
            if self.hook is not None:
                self.hook.detach(self)
        finally:
            self.state = DETACHED

    def info(self) -> LinkInfo:
        from anybpf.runtime.infos import LinkInfo

        platform = self.runtime.platform
        attach = platform.attach_types.get(self.attach_type)
        kind = platform.link_types.get(attach.link_type) if attach and attach.link_type else None
        return LinkInfo(
            id=self.id,
            type=kind.number if kind else 0,
            type_name=kind.name if kind else "unspec",
            prog_id=0 if self.state == DETACHED else self.program.id,
            attach_type=attach.number if attach else 0,
            attach_type_name=self.attach_type,
            attach_data=self.data,
            state=self.state,
            attach_type_uuid=attach.guid if attach else "",
            program_type_uuid=self.program.prepared.type.guid,
            pinned_path_count=len(self.pins),
        )

    def open(self) -> Link:
        return Link(self)


class Link(Handle):
    """A hold on a link. When the last handle and pin of it go, the program is detached."""

    __slots__ = ()

    def _link(self) -> LinkRecord:
        record = self.record
        assert isinstance(record, LinkRecord)
        return record

    @property
    def state(self) -> str:
        return self._link().state

    @property
    def attach_type(self) -> str:
        return self._link().attach_type

    def detach(self) -> None:
        """Take the program away from its place. The link stays, and says so."""
        record = self._link()
        with record.runtime.guard():
            record.detach()

    def info(self) -> LinkInfo:
        return self._link().info()


def attach(program: Program, attach_type: str = "", data: bytes = b"", *, owner: str = "") -> Link:
    """Attach a program by the hook that the runtime has for the attach type.

    ``attach_type`` is the program's own unless it is named; ``data`` is what the place needs to
    know besides, such as an interface's index.
    """
    record = program.program_record()
    runtime = record.runtime
    name = attach_type or record.prepared.attach_type
    kind = runtime.platform.attach_types.get(name) if name else None
    if name and kind is None:
        raise runtime.platform.attach_types.missing(name)
    types = () if kind is None else kind.program_types
    if types and record.prepared.type.name not in types:
        raise InputError(
            f"program {record.name} is of type {record.prepared.type.name}; attach type {name} "
            f"takes {', '.join(types)}"
        )
    hook = runtime.hooks.get(name) or runtime.hooks.get(record.prepared.type.name)
    if hook is None:
        raise NotSupported(
            f"attaching programs to {name or record.prepared.type.name}",
            where="this runtime, which has no hook for it",
        )
    link = LinkRecord(runtime, owner, record, name, bytes(data))
    number = runtime.reserve(LINK, owner, f"a link of program {record.name}")
    try:
        runtime.use(record)
        link.holds = True
        try:
            runtime.admit(link, number, 0)
        except BaseException:
            runtime.unuse(record)
            raise
    except BaseException:
        runtime.unreserve(LINK, owner)
        raise
    handle = Link(link)
    link.hook = hook
    link.state = ATTACHING
    try:
        hook.attach(link)
    except BaseException:
        link.state = DETACHED
        handle.close()
        raise
    link.state = ATTACHED
    return handle
