"""`bpftool btf`: type information that is loaded, of a program, of a map, or in a file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.session import (
    EINVAL,
    ENOENT,
    Failure,
    Session,
    UsageWanted,
    Words,
    choose,
    errno_of,
    number_of,
    strerror,
    usage,
)
from anybpf.errors import AnyBPFError, BTFError, NotFound

if TYPE_CHECKING:
    from anybpf.btf import BTF

USAGE: Final = """\
Usage: anybpf bpftool btf { show | list } [id N]
       anybpf bpftool btf dump BTF_SRC [format { raw | c }]
       BTF_SRC := { id N | prog PROG | map MAP [{ key | value | kv | all }] | file FILE }
"""

_NOT_IN_JSON: Final = 95  # EOPNOTSUPP
_INDEX_TYPE: Final = "typedef unsigned int __ARRAY_SIZE_TYPE__;\n\n"


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def show(session: Session, words: Words) -> int:
    backend = session.backend
    if len(words) == 2 and words.take_if("id"):
        number = number_of(words.take(), "ID")
        try:
            with backend.types(number) as handle:
                infos = [handle.info()]
        except (AnyBPFError, OSError) as error:
            said = strerror(errno_of(error))
            raise Failure(f"can't get BTF object by id ({number}): {said}") from None
        single = True
    elif len(words):
        raise Failure(f"what is '{words.peek()}'?")
    else:
        infos, single = list(backend.infos("btf")), False
    users = _users(session)
    if session.json:
        records = [_record(info, users) for info in infos]
        session.emit(records[0] if single else records)
        return 0
    for info in infos:
        session.print(_text(info, users))
    return 0


Users = dict[tuple[str, int], list[int]]


def _users(session: Session) -> Users:
    """Who uses which types, in the order in which bpftool lists them.

    That is an order by chance: newcomers come first, and all lists turn round whenever the table
    that they are in grows (which is when it is three quarters full).
    """
    out: Users = {}
    for kind in ("program", "map"):
        size = capacity = 0
        lists: dict[int, list[int]] = {}
        for info in session.backend.infos(kind):
            if not info.btf_id:
                continue
            if (size + 1) * 4 // 3 > capacity:
                capacity = max(4, capacity * 2)
                for one in lists.values():
                    one.reverse()
            lists.setdefault(info.btf_id, []).insert(0, info.id)
            size += 1
        out.update({(kind, number): ids for number, ids in lists.items()})
    return out


def _record(info: Any, users: Users) -> dict[str, Any]:
    out: dict[str, Any] = {"id": info.id, "size": info.size}
    out["prog_ids"] = users.get(("program", info.id), [])
    out["map_ids"] = users.get(("map", info.id), [])
    out["kernel"] = info.kernel_btf
    if info.name and info.kernel_btf:
        out["name"] = info.name
    return out


def _text(info: Any, users: Users) -> str:
    name = f"name [{info.name}]  " if info.kernel_btf and info.name else "name <anon>  "
    out = f"{info.id}: {name}size {info.size}B"
    for kind, word in (("program", "prog_ids"), ("map", "map_ids")):
        ids = users.get((kind, info.id))
        if ids:
            out += f"  {word} {','.join(str(one) for one in ids)}"
    return out + "\n"


def dump(session: Session, words: Words) -> int:
    if len(words) < 2:
        raise UsageWanted(message=f"'dump' needs at least 2 arguments, {len(words)} found")
    with ExitStack() as held:
        btf, ids = _source(session, words, held)
        as_c = False
        while len(words):
            if not words.take_if("format"):
                raise Failure(f"unrecognized option: '{words.peek()}'", EINVAL)
            if not len(words):
                raise Failure("expecting value for 'format' option", EINVAL)
            word = words.take()
            if word not in ("c", "raw"):
                raise Failure(
                    f"unrecognized format specifier: '{word}', possible values: raw, c", EINVAL
                )
            as_c = word == "c"
        from anybpf.btf import dump as listing

        if as_c:
            if session.json:
                raise Failure("JSON output for C-syntax dump is not supported", _NOT_IN_JSON)
            from anybpf.btf.cdump import dump_c

            # A name that compilers have for the types of array indexes; nothing in C is of it.
            session.print(dump_c(btf, ids).replace(_INDEX_TYPE, "", 1))
        elif session.json:
            session.emit({"types": listing.dump_dicts(btf, ids)})
        else:
            session.print(listing.dump_raw(btf, ids))
    return 0


def _source(session: Session, words: Words, held: ExitStack) -> tuple[BTF, list[int] | None]:
    base = _base(session)
    if words.take_if("id"):
        return _loaded(session, number_of(words.take(), "ID"), base), None
    if words.take_if("file"):
        return _of_file(words.take(), base), None
    if words.is_next("prog", "map"):
        kind = words.take()
        if len(words) < 2:
            raise UsageWanted(message=f"'{kind}' needs at least 2 arguments, {len(words)} found")
        if "map".startswith(kind):
            return _of_map(session, words, held, base)
        info = references.program(session, words, held).info()
        return _loaded(session, info.btf_id, base), None
    raise Failure(f"unrecognized BTF source specifier: '{words.peek()}'")


def _base(session: Session) -> BTF | None:
    if not session.base_btf:
        return None
    return _of_file(session.base_btf, None, "parse base BTF at")


def _loaded(session: Session, number: int, base: BTF | None) -> BTF:
    if not number:
        said = strerror(ENOENT)
        raise Failure(
            f"can't get BTF object by id (0): {said}\nError: get btf by id (0): {said}", ENOENT
        )
    try:
        with session.backend.types(number) as handle:
            return handle.btf
    except (AnyBPFError, OSError) as error:
        raise Failure(f"get btf by id ({number}): {strerror(errno_of(error))}") from None


def _of_map(
    session: Session, words: Words, held: ExitStack, base: BTF | None
) -> tuple[BTF, list[int] | None]:
    info = references.one_map(session, words, held).info()
    parts = {"key": ("key",), "value": ("value",), "kv": ("key", "value"), "all": ()}
    wanted: tuple[str, ...] = ("key", "value")
    if words.is_next(*parts):
        word = words.take()
        wanted = next(part for name, part in parts.items() if name.startswith(word))
    ids = {"key": info.btf_key_type_id, "value": info.btf_value_type_id}
    chosen = [ids[one] for one in wanted if ids[one]]
    if wanted and not chosen:
        raise Failure("")
    return _loaded(session, info.btf_id, base), chosen or None


def _of_file(name: str, base: BTF | None, what: str = "load BTF from") -> BTF:
    from anybpf.btf import BTF
    from anybpf.objects.elf import ElfFile

    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"failed to {what} {name}: {error.strerror}", error.errno or 1) from None
    if data[:4] != b"\x7fELF":
        try:
            return BTF.parse(data, base=base, file=name)
        except BTFError as error:
            raise Failure(f"failed to {what} {name}: {error}", 4001) from None
    section = ElfFile(data, name).section(".BTF")
    if section is None:
        raise NotFound(f"failed to {what} {name}: it has no .BTF section")
    return BTF.parse(section.data, base=base, file=name)


_TABLE: Final = (("show", show), ("list", show), ("help", usage), ("dump", dump))
