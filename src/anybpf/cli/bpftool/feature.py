"""`bpftool feature`: what the back end can do, and what its platform knows of."""

from __future__ import annotations

from typing import Any, Final

from anybpf.cli.bpftool.session import Failure, Session, UsageWanted, Words, choose, usage
from anybpf.errors import AnyBPFError, NotSupported

USAGE: Final = """\
Usage: anybpf bpftool feature probe [kernel] [full] [unprivileged] [macros [prefix PREFIX]]
       anybpf bpftool feature list_builtins GROUP
       GROUP := { prog_types | map_types | attach_types | link_types | helpers }
"""

# Helpers that are left out unless all are asked for, because asking leaves traces in the log.
_NOISY: Final = ("bpf_trace_printk", "bpf_trace_vprintk", "bpf_probe_write_user")


class _Wanted:
    """What the words say."""

    def __init__(self) -> None:
        self.full = False
        self.macros = False
        self.prefix = ""


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def _options(words: Words) -> _Wanted:
    wanted = _Wanted()
    while len(words):
        if words.take_if("kernel"):
            continue
        if words.take_if("dev"):
            raise NotSupported("what a device can run by itself", where="this command")
        if words.take_if("full"):
            wanted.full = True
        elif words.take_if("macros"):
            wanted.macros = True
        elif words.take_if("prefix"):
            if not wanted.macros:
                raise Failure("'prefix' argument can only be use after 'macros'")
            words.need(1)
            wanted.prefix = words.take()
        elif words.take_if("unprivileged"):
            raise NotSupported("what users without rights may do", where="this command")
        else:
            raise Failure(
                "expected no more arguments, 'kernel', 'dev', 'macros' or 'prefix', "
                f"got: '{words.peek()}'?"
            )
    return wanted


def probe(session: Session, words: Words) -> int:
    wanted = _options(words)
    try:
        found = session.backend.features()
        programs = {one.name: bool(one) for one in found.all("program_type")}
        maps = {one.name: bool(one) for one in found.all("map_type")}
        misc = {one.name: bool(one) for one in found.all("misc")}
    except AnyBPFError as error:
        raise Failure(f"failed to ask the back end: {error}") from None
    programs.pop("unspec", None)
    maps.pop("unspec", None)
    helpers = {
        name: _helpers(session, name, wanted) if there else [] for name, there in programs.items()
    }
    if session.json:
        session.emit(_document(programs, maps, helpers, misc))
    elif wanted.macros:
        session.print(_macros(wanted.prefix, programs, maps, helpers, misc))
    else:
        session.print(_text(programs, maps, helpers, misc))
    return 0


def _helpers(session: Session, program_type: str, wanted: _Wanted) -> list[str]:
    """What programs of that type may call, by the platform's tables."""
    platform = session.backend.platform
    kind = platform.program_types.get(program_type)
    if kind is None:
        return []
    numbers = set(kind.helpers)
    return [
        one.name
        for one in platform.helpers
        if one.number in numbers and (wanted.full or one.name not in _NOISY)
    ]


Answers = dict[str, bool]


def _document(
    programs: Answers, maps: Answers, helpers: dict[str, list[str]], misc: Answers
) -> dict[str, Any]:
    return {
        "syscall_config": {"have_bpf_syscall": True},
        "program_types": {f"have_{name}_prog_type": there for name, there in programs.items()},
        "map_types": {f"have_{name}_map_type": there for name, there in maps.items()},
        "helpers": {f"{name}_available_helpers": names for name, names in helpers.items()},
        "misc": {f"have_{name}": there for name, there in misc.items()},
    }


def _available(there: bool) -> str:
    return "is available" if there else "is NOT available"


def _text(programs: Answers, maps: Answers, helpers: dict[str, list[str]], misc: Answers) -> str:
    out = ["Scanning system call availability...", "bpf() syscall is available", ""]
    out.append("Scanning eBPF program types...")
    out += [f"eBPF program_type {name} {_available(there)}" for name, there in programs.items()]
    out += ["", "Scanning eBPF map types..."]
    out += [f"eBPF map_type {name} {_available(there)}" for name, there in maps.items()]
    out += ["", "Scanning eBPF helper functions..."]
    for name, names in helpers.items():
        out.append(f"eBPF helpers supported for program type {name}:")
        if not programs[name]:
            out.append("\tProgram type not supported")
        out += [f"\t- {one}" for one in names] or ([] if not programs[name] else ["\tNone"])
    out += ["", "Scanning miscellaneous eBPF features..."]
    out += [f"{name} {_available(there)}" for name, there in misc.items()]
    return "\n".join([*out, "", ""])


def _macros(
    prefix: str, programs: Answers, maps: Answers, helpers: dict[str, list[str]], misc: Answers
) -> str:
    def row(name: str, there: bool) -> str:
        return f"#define {prefix}{'' if there else 'NO_'}{name}\n"

    out = "/*** System call availability ***/\n" + row("HAVE_BPF_SYSCALL", True)
    out += "\n/*** eBPF program types ***/\n"
    out += "".join(row(f"HAVE_{one.upper()}_PROG_TYPE", yes) for one, yes in programs.items())
    out += "\n/*** eBPF map types ***/\n"
    out += "".join(row(f"HAVE_{one.upper()}_MAP_TYPE", yes) for one, yes in maps.items())
    out += "\n/*** eBPF helper functions ***/\n"
    for kind, names in helpers.items():
        for one in names:
            out += f"#define {prefix}BPF__PROG_TYPE_{kind}__HELPER_{one} 1\n"
    out += "\n/*** eBPF misc features ***/\n"
    return out + "".join(row(f"HAVE_{one.upper()}", yes) for one, yes in misc.items()) + "\n"


def list_builtins(session: Session, words: Words) -> int:
    words.need(1)
    platform = session.backend.platform
    groups: tuple[tuple[str, Any], ...] = (
        ("prog_types", platform.program_types),
        ("map_types", platform.map_types),
        ("attach_types", platform.attach_types),
        ("link_types", platform.link_types),
        ("helpers", platform.helpers),
    )
    word = words.take()
    table = next((rows for name, rows in groups if name.startswith(word)), None)
    if table is None or len(words):
        raise UsageWanted
    names = [one.name for one in sorted(table, key=lambda one: int(one.number))]
    if session.json:
        session.emit(names)
    else:
        session.print("".join(f"{name}\n" for name in names))
    return 0


_TABLE: Final = (("probe", probe), ("list_builtins", list_builtins), ("help", usage))
