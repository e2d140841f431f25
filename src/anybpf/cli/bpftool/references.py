"""Objects as bpftool names them: by id, pinned path, name, or a program's tag."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool.session import Failure, Session, Words, c_number, errno_of, strerror
from anybpf.errors import AnyBPFError

if TYPE_CHECKING:
    from anybpf.backends.model import LinkHandle, MapHandle, ProgramHandle

# What bpftool calls the kinds when it says that something is another.
_WORDS: Final = {"program": "prog", "map": "map", "link": "link", "btf": "btf"}
_LONGEST_NAME: Final = 15  # BPF_OBJ_NAME_LEN - 1: include/uapi/linux/bpf.h


def programs(session: Session, words: Words, held: ExitStack) -> list[ProgramHandle]:
    """All programs that the next two words may mean, open until ``held`` ends; at least one."""
    keyword = words.peek()
    if words.take_if("id"):
        number = _id(words)
        return [_by_id(session, held, "program", number, f"get by id ({number})")]
    if words.take_if("tag"):
        tag = words.take()
        if len(tag) != 16 or any(one not in "0123456789abcdef" for one in tag.lower()):
            raise Failure("can't parse tag")
        return _matching(session, held, "program", "tag", tag.lower())
    if words.take_if("name"):
        return _matching(session, held, "program", "name", words.take())
    if words.take_if("pinned"):
        return [_pinned(session, held, "program", words.take())]
    raise Failure(f"expected 'id', 'tag', 'name' or 'pinned', got: '{keyword or '(null)'}'?")


def program(session: Session, words: Words, held: ExitStack) -> ProgramHandle:
    found = programs(session, words, held)
    if len(found) > 1:
        raise Failure("several programs match this handle")
    return found[0]


def maps(session: Session, words: Words, held: ExitStack) -> list[MapHandle]:
    """The same for maps."""
    keyword = words.peek()
    if words.take_if("id"):
        number = _id(words)
        return [_by_id(session, held, "map", number, f"get map by id ({number})")]
    if words.take_if("name"):
        name = words.take()
        if session.backend.name == "linux" and len(name) > _LONGEST_NAME:
            raise Failure("can't parse name")
        return _matching(session, held, "map", "name", name)
    if words.take_if("pinned"):
        return [_pinned(session, held, "map", words.take())]
    raise Failure(f"expected 'id', 'name' or 'pinned', got: '{keyword or '(null)'}'?")


def one_map(session: Session, words: Words, held: ExitStack) -> MapHandle:
    found = maps(session, words, held)
    if len(found) > 1:
        raise Failure("several maps match this handle")
    return found[0]


def link(session: Session, words: Words, held: ExitStack) -> LinkHandle:
    if words.take_if("id"):
        number = _id(words)
        try:
            found = held.enter_context(session.backend.link(number))
        except (AnyBPFError, OSError) as error:
            code = errno_of(error)
            raise Failure(f"failed to get link with ID {number}: {strerror(code)}", code) from None
        return found
    if words.take_if("pinned"):
        pinned: LinkHandle = _pinned(session, held, "link", words.take())
        return pinned
    raise Failure(f"expected 'id' or 'pinned', got: '{words.peek() or '(null)'}'?")


def _id(words: Words) -> int:
    word = words.take()
    number = c_number(word)
    if number is None:
        raise Failure(f"can't parse {word} as ID")
    return number


def _by_id(session: Session, held: ExitStack, kind: str, number: int, what: str) -> Any:
    opens: Any = session.backend.program if kind == "program" else session.backend.map
    try:
        return held.enter_context(opens(number))
    except (AnyBPFError, OSError) as error:
        raise Failure(f"{what}: {strerror(errno_of(error))}") from None


def _matching(session: Session, held: ExitStack, kind: str, field: str, wanted: str) -> list[Any]:
    backend = session.backend
    opens: Any = backend.program if kind == "program" else backend.map
    found = []
    for info in backend.infos(kind):
        text = str(getattr(info, field))
        cut = field == "name" and len(text) == _LONGEST_NAME and kind == "program"
        if text == wanted or (cut and full_name(session, info) == wanted):
            try:
                found.append(held.enter_context(opens(info.id)))
            except (AnyBPFError, OSError):
                continue  # gone meanwhile
    if not found:
        raise Failure("")
    return found


def _pinned(session: Session, held: ExitStack, kind: str, path: str) -> Any:
    try:
        found = session.backend.open(path)
    except (AnyBPFError, OSError) as error:
        raise Failure(f"bpf obj get ({path}): {strerror(errno_of(error))}") from None
    held.enter_context(found)
    actual = kind_of(found)
    if actual != kind:
        raise Failure(f"incorrect object type: {_WORDS[actual]}")
    return found


def kind_of(handle: Any) -> str:
    """Which kind of object that is a handle of, told by what it can do."""
    if hasattr(handle, "test_run"):
        return "program"
    if hasattr(handle, "freeze"):
        return "map"
    return "link" if hasattr(handle, "detach") else "btf"


def full_name(session: Session, info: Any) -> str:
    """A program's name, which the kernel cuts at 15 characters: its types have it whole."""
    name = str(info.name)
    if len(name) != _LONGEST_NAME or not info.btf_id:
        return name
    from anybpf.btf import types as t

    try:
        with session.backend.types(info.btf_id) as handle:
            names = {
                one.name
                for one in handle.btf.types()
                if one.kind == t.KIND_FUNC and one.name.startswith(name)
            }
    except (AnyBPFError, OSError):
        return name
    return names.pop() if len(names) == 1 else name
