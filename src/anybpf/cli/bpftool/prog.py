"""`bpftool prog`: loading, pinning, showing and running programs. ``prog_dump`` lists code."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.bpftool import references
from anybpf.cli.bpftool.data import hexdump
from anybpf.cli.bpftool.map import pin_at
from anybpf.cli.bpftool.prog_dump import dump
from anybpf.cli.bpftool.session import (
    EINVAL,
    Failure,
    Session,
    Words,
    choose,
    failed,
    number_of,
    usage,
)
from anybpf.errors import AnyBPFError, NotSupported

if TYPE_CHECKING:
    from anybpf.objects.specs import CollectionSpec

USAGE: Final = """\
Usage: anybpf bpftool prog { show | list } [PROG]
       anybpf bpftool prog dump xlated PROG [{ file FILE | opcodes | visual | linum }]
       anybpf bpftool prog dump jited PROG [{ file FILE | opcodes | linum }]
       anybpf bpftool prog pin PROG FILE
       anybpf bpftool prog { load | loadall } OBJ PATH [type TYPE] \\
                           [map { idx IDX | name NAME } MAP] [pinmaps DIR]
       anybpf bpftool prog { attach | detach } PROG ATTACH_TYPE [MAP]
       anybpf bpftool prog run PROG data_in FILE [data_out FILE [data_size_out L]] \\
                           [ctx_in FILE [ctx_out FILE [ctx_size_out M]]] [repeat N]
       anybpf bpftool prog tracelog
       PROG := { id N | pinned FILE | tag TAG | name NAME }
       ATTACH_TYPE := { sk_msg_verdict | sk_skb_verdict | sk_skb_stream_verdict |
                        sk_skb_stream_parser | flow_dissector }
"""

_ATTACH_TYPES: Final = (
    "sk_msg_verdict", "sk_skb_verdict", "sk_skb_stream_verdict", "sk_skb_stream_parser",
    "flow_dissector",
    # As they were called before.
    "msg_verdict", "skb_verdict", "stream_verdict", "stream_parser",
)  # fmt: skip


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def show(session: Session, words: Words) -> int:
    if len(words) == 2:
        with ExitStack() as held:
            infos = [one.info() for one in references.programs(session, words, held)]
        if session.json and len(infos) == 1:
            session.emit(record(session, infos[0]))
            return 0
    elif len(words):
        raise Failure(f"what is '{words.peek()}'?")
    else:
        infos = list(session.backend.infos("program"))
    if session.json:
        session.emit([record(session, info) for info in infos])
        return 0
    for info in infos:
        session.print(text(session, info))
    return 0


def _loaded_at(info: Any) -> int:
    """When a program was loaded, in seconds since 1970; the info counts from the system's start."""
    from time import CLOCK_BOOTTIME, clock_gettime_ns, time_ns

    start = time_ns() - clock_gettime_ns(CLOCK_BOOTTIME)
    return (start + int(info.load_time)) // 1_000_000_000


def record(session: Session, info: Any) -> dict[str, Any]:
    """A program as JSON has it."""
    out = header(session, info)
    if info.run_time_ns:
        out["run_time_ns"] = info.run_time_ns
        out["run_cnt"] = info.run_cnt
    if info.recursion_misses:
        out["recursion_misses"] = info.recursion_misses
    if info.load_time:
        out["loaded_at"] = _loaded_at(info)
        out["uid"] = info.created_by_uid
    out["bytes_xlated"] = info.xlated_prog_len
    out["jited"] = bool(info.jited_prog_len)
    if info.jited_prog_len:
        out["bytes_jited"] = info.jited_prog_len
    out["bytes_memlock"] = info.memlock
    if info.map_ids:
        out["map_ids"] = list(info.map_ids)
    if info.btf_id:
        out["btf_id"] = info.btf_id
    pins = session.pins_of("program", info.id)
    if pins:
        out["pinned"] = pins
    return out


def header(session: Session, info: Any) -> dict[str, Any]:
    """What comes first wherever a program is told of."""
    out: dict[str, Any] = {"id": info.id, "type": info.type_name}
    if info.name:
        out["name"] = references.full_name(session, info)
    out["tag"] = info.tag
    out["gpl_compatible"] = info.gpl_compatible
    return out


def header_text(session: Session, info: Any) -> str:
    name = f"name {references.full_name(session, info)}  " if info.name else ""
    licence = "  gpl" if info.gpl_compatible else ""
    return f"{info.id}: {info.type_name}  {name}tag {info.tag}{licence}"


def text(session: Session, info: Any) -> str:
    """A program as lines."""
    from time import localtime, strftime

    out = header_text(session, info)
    if info.run_time_ns:
        out += f" run_time_ns {info.run_time_ns} run_cnt {info.run_cnt}"
    if info.recursion_misses:
        out += f" recursion_misses {info.recursion_misses}"
    out += "\n"
    if info.load_time:
        when = strftime("%Y-%m-%dT%H:%M:%S%z", localtime(_loaded_at(info)))
        out += f"\tloaded_at {when}  uid {info.created_by_uid}\n"
    out += f"\txlated {info.xlated_prog_len}B"
    out += f"  jited {info.jited_prog_len}B" if info.jited_prog_len else "  not jited"
    out += f"  memlock {info.memlock}B"
    if info.map_ids:
        out += f"  map_ids {','.join(str(one) for one in info.map_ids)}"
    for path in session.pins_of("program", info.id):
        out += f"\n\tpinned {path}"
    if info.btf_id:
        out += f"\n\tbtf_id {info.btf_id}"
    return out + "\n"


def pin(session: Session, words: Words) -> int:
    words.need(3, EINVAL)
    with ExitStack() as held:
        pin_at(session, references.program(session, words, held), words.take())
    return 0


def load(session: Session, words: Words) -> int:
    return _load(session, words, first_only=True)


def loadall(session: Session, words: Words) -> int:
    return _load(session, words, first_only=False)


def _load(session: Session, words: Words, first_only: bool) -> int:
    words.need(2)
    file, path = words.take(), words.take()
    if not Path(file).exists():
        session.note(f"anybpf: {file}: there is no such file")
        raise Failure("failed to open object file")
    pin_maps = ""
    kind = ""
    replaced: list[tuple[int | str, Any]] = []
    with ExitStack() as held:
        while len(words):
            if words.take_if("type"):
                words.need(1)
                kind = words.take()
            elif words.take_if("map"):
                words.need(4)
                replaced.append(_replacement(session, words, held))
            elif words.take_if("dev"):
                raise NotSupported("offloading programs to a device", where="this command")
            elif words.take_if("pinmaps"):
                words.need(1)
                pin_maps = words.take()
            else:
                raise Failure(
                    f"expected no more arguments, 'type', 'map' or 'dev', got: '{words.peek()}'?"
                )
        spec = _spec(session, file, kind)
        maps = _named(spec, replaced)
        try:
            loaded = session.backend.load(spec, maps=maps)
        except NotSupported:
            raise
        except (AnyBPFError, OSError) as error:
            session.note(f"anybpf: {error}")
            raise Failure("failed to load object file") from None
        held.callback(loaded.close)
        programs = list(loaded.programs.items())
        if not programs:
            raise Failure("object file doesn't contain any bpf program")
        if first_only:
            programs = programs[:1]
        else:
            _make_folder(session, path)
        places = [(path if first_only else f"{path.rstrip('/')}/{name}", name, one)
                  for name, one in programs]  # fmt: skip
        _pin_all(places, [], spec)
        if pin_maps:
            _make_folder(session, pin_maps)
            _pin_all(
                [
                    (f"{pin_maps.rstrip('/')}/{_file_name(name, one)}", name, one)
                    for name, one in loaded.maps.items()
                    if name not in maps
                ],
                [one for _, _, one in places],
                None,
            )
    session.nothing()
    return 0


def _file_name(name: str, one: Any) -> str:
    """How a map's pin is called: data sections by the name that the map has, without dots."""
    return (str(one.info().name) if name.startswith(".") else name).replace(".", "_")


def _pin_all(places: list[tuple[str, str, Any]], before: list[Any], spec: Any) -> None:
    """Pin all or none; ``before`` was pinned already and goes with them."""
    done = list(before)
    for path, name, one in places:
        try:
            one.pin(path)
        except (AnyBPFError, OSError) as error:
            for pinned in done:
                pinned.unpin()
            what = f"program {spec.programs[name].section}" if spec else f"map {name} to {path}"
            if isinstance(error, NotSupported):
                raise
            raise Failure(f"failed to pin {what}") from None
        done.append(one)


def _make_folder(session: Session, path: str) -> None:
    """The folder for pins; in back ends whose paths are only names there are no folders."""
    if session.backend.name == "linux":
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise Failure(f"can't create {path}: {error.strerror}") from None


def _spec(session: Session, file: str, kind: str) -> CollectionSpec:
    from anybpf.objects import load_spec

    try:
        spec = load_spec(file, platform=session.backend.platform.name)
    except (AnyBPFError, OSError) as error:
        session.note(f"anybpf: {error}")
        raise Failure("failed to open object file") from None
    if kind:
        match = session.backend.platform.section(kind)
        if match.program_type == "unspec":
            raise Failure(f"'{kind}' is no section name that tells a type")
        for program in spec.programs.values():
            program.type = match.program_type
            program.attach_type = match.attach_type
    return spec


def _replacement(session: Session, words: Words, held: ExitStack) -> tuple[int | str, Any]:
    which: int | str
    if words.take_if("idx"):
        which = number_of(words.take(), "IDX")
    elif words.take_if("name"):
        which = words.take()
    else:
        raise Failure(f"expected 'idx' or 'name', got: '{words.peek()}'?")
    return which, references.one_map(session, words, held)


def _named(spec: CollectionSpec, replaced: list[tuple[int | str, Any]]) -> dict[str, Any]:
    names = list(spec.maps)
    out: dict[str, Any] = {}
    for which, handle in replaced:
        if isinstance(which, int):
            if which >= len(names):
                raise Failure("map idx out of range")
            which = names[which]
        if which not in spec.maps:
            raise Failure(f"unable to find map '{which}'")
        out[which] = handle
    return out


def attach(session: Session, words: Words) -> int:
    return _attach(session, words)


def _attach(session: Session, words: Words) -> int:
    words.need(3, EINVAL) if len(words) < 3 else None
    with ExitStack() as held:
        references.program(session, words, held)
        keyword = words.take()
        kind = next((one for one in _ATTACH_TYPES if one == keyword), "")
        if not kind:
            raise Failure("invalid attach/detach type", EINVAL)
        if kind != "flow_dissector":
            words.need(2, EINVAL)
            references.one_map(session, words, held)
    raise NotSupported(
        f"attaching by {kind} without a link, which outlives the command",
        where="this command; attach with a link (anybpf prog attach)",
    )


def profile(session: Session, words: Words) -> int:
    raise NotSupported(
        "counting hardware events of a program: bpftool does it with fentry programs of its own",
        where="this command; run times are in 'prog show' while statistics are on",
    )


def tracelog(session: Session, words: Words) -> int:
    """What programs print, as it comes."""
    log = getattr(session.backend, "log", None)
    if log is not None:
        for line in log:
            session.print(f"{line}\n")
            sys.stdout.flush()
        return 0
    for path in ("/sys/kernel/tracing/trace_pipe", "/sys/kernel/debug/tracing/trace_pipe"):
        if os.path.exists(path):
            with open(path) as pipe:
                for line in pipe:
                    session.print(line)
                    sys.stdout.flush()
            return 0
    raise Failure("could not find tracefs")


class _Run:
    """What a test run is given, and where its results go."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.numbers: dict[str, int] = {}


_RUN_FILES: Final = ("data_in", "data_out", "ctx_in", "ctx_out")
_RUN_NUMBERS: Final = {
    "data_size_out": "output data size",
    "ctx_size_out": "output context size",
    "repeat": "repeat number",
}


def run_program(session: Session, words: Words) -> int:
    words.need(4)
    with ExitStack() as held:
        handle = references.program(session, words, held)
        wanted = _run_options(words)
        data = _read(wanted.files.get("data_in", ""))
        ctx = _read(wanted.files.get("ctx_in", ""))
        if not data and not ctx and "data_in" not in wanted.files:
            raise Failure("either data_in or ctx_in must be given")
        repeat = wanted.numbers.get("repeat", 1)
        try:
            result = handle.test_run(
                data,
                ctx or None,
                repeat=repeat or 1,
                data_size_out=wanted.numbers.get("data_size_out"),
            )
        except NotSupported:
            raise
        except (AnyBPFError, OSError) as error:
            session.note(f"anybpf: {error}")
            raise failed("failed to run program", error) from None
        answer: dict[str, Any] = {}
        for name, out in (("data_out", result.data_out), ("ctx_out", result.ctx_out)):
            if name == "ctx_out" and not ctx:
                continue
            _put(session, answer, name, wanted.files.get(name, ""), out)
        if session.json:
            session.emit({**answer, "retval": result.retval, "duration": result.duration})
        else:
            average = " (average)" if repeat > 1 else ""
            session.print(
                f"Return value: {result.retval}, duration{average}: {result.duration}ns\n"
            )
    return 0


def _run_options(words: Words) -> _Run:
    wanted = _Run()
    while len(words):
        name = next(
            (one for one in (*_RUN_FILES, *_RUN_NUMBERS) if words.is_next(one)),
            "",
        )
        if not name:
            raise Failure(
                "expected no more arguments, 'data_in', 'data_out', 'data_size_out', 'ctx_in', "
                f"'ctx_out', 'ctx_size_out' or 'repeat', got: '{words.peek()}'?"
            )
        words.take()
        words.need(1)
        if name in _RUN_NUMBERS:
            wanted.numbers[name] = number_of(words.take(), _RUN_NUMBERS[name])
        else:
            wanted.files[name] = words.take()
    return wanted


def _read(name: str) -> bytes:
    if not name:
        return b""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"failed to open {name}: {error.strerror}") from None


def _put(session: Session, answer: dict[str, Any], name: str, file: str, data: bytes) -> None:
    if not file or not data:
        return
    if file != "-":
        from anybpf.cli.files import write_whole

        write_whole(Path(file), data)
    elif session.json:
        answer[name] = list(data)
    else:
        session.print(hexdump(data))


_TABLE: Final = (
    ("show", show),
    ("list", show),
    ("help", usage),
    ("dump", dump),
    ("pin", pin),
    ("load", load),
    ("loadall", loadall),
    ("attach", attach),
    ("detach", attach),
    ("tracelog", tracelog),
    ("run", run_program),
    ("profile", profile),
)
