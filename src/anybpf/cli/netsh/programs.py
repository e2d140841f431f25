"""``add``, ``delete``, ``set`` and ``show programs``, and pins of programs and maps.

Each function is a command: it takes the session and the arguments by tag, prints what netsh prints,
and gives the exit code.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.netsh import objects
from anybpf.cli.netsh.codes import errno_of, result_number, win32_of
from anybpf.cli.netsh.grammar import SyntaxProblem, Values, number
from anybpf.cli.netsh.session import Origin, Session, interface_index
from anybpf.errors import AnyBPFError, CompileError, InputError, NotSupported, VerifierError
from anybpf.runtime.places import Refused

if TYPE_CHECKING:
    from anybpf.backends.model import CollectionHandle, Handle, ProgramHandle
    from anybpf.objects import CollectionSpec

DONE: Final = 0
FAILED: Final = 1
NOT_FOUND: Final = "Program not found"

# Program types whose attachment may name an interface, and those that may name a compartment:
# microsoft/ebpf-for-windows libs/ebpfnetsh/programs.cpp.
WITH_INTERFACE: Final = frozenset({"xdp"})
WITH_COMPARTMENT: Final = frozenset({"sock_addr"})

NO_INTERFACE: Final = (
    "Interface parameter is not allowed for program types that don't support interfaces."
)
BAD_INTERFACE: Final = "Interface parameter is invalid."
NO_COMPARTMENT: Final = (
    "Compartment parameter is not allowed for program types that don't support compartments."
)
BAD_COMPARTMENT: Final = "Compartment parameter is invalid."


# add program


def add(session: Session, values: Values) -> int:
    """Load a file, attach its first program, pin what is to be pinned."""
    file = values["filename"]
    platform = session.platform
    match = objects.type_of(values["type"], platform) if values.get("type") else None
    try:
        read = objects.parse(objects.read(file), file, platform)
        spec = read.spec
    except (AnyBPFError, OSError) as error:
        return session.fail(f"error {errno_of(error, platform)}: could not open file", error)
    as_it_is = not read.bare
    if match is not None and spec.programs:
        first = next(iter(spec.programs.values()))
        before = (first.type, first.attach_type)
        objects.set_type(first, match)
        as_it_is = as_it_is and before == (first.type, first.attach_type)
    try:
        if not spec.programs:
            raise InputError(f"{file}: there is no program in it")
        # A file is loaded by its bytes where it may be: not every back end takes specs.
        source = os.path.abspath(file) if as_it_is else spec
        engine = "" if read.native else values.get("execution", "jit")
        collection = _load(session, source, engine)
    except (AnyBPFError, OSError) as error:
        code = session.fail(f"error {errno_of(error, platform)}: could not load program", error)
        for line in _log(session, spec, error):
            session.fail(line)
        return code
    undo = _Undo(session, collection)
    try:
        code = _attach_and_pin(session, values, spec, collection, undo)
    except BaseException:
        undo.run()
        raise
    if code != DONE:
        undo.run()
        return code
    programs = list(collection)
    for program in programs:
        section = _section(spec, program.name)
        session.origins[program.id] = Origin(file, section)
    session.keep(collection)
    session.print(f"Loaded with ID {programs[0].id}")
    for program in programs:
        session.tell("loaded", partial(dict, id=program.id, name=program.name))
    return DONE


def _load(session: Session, source: Any, engine: str) -> CollectionHandle:
    if engine != "jit":
        return session.backend.load(source, **({"engine": engine} if engine else {}))
    try:
        return session.backend.load(source, engine=engine)
    except (NotSupported, CompileError):  # there may be no compiler: then it is interpreted
        return session.backend.load(source)


def _log(session: Session, spec: CollectionSpec, error: Exception) -> list[str]:
    """What the verifier says of a program that was refused; why, if it was not the verifier."""
    verification: Any = getattr(error, "verification", None)
    if isinstance(error, VerifierError) and verification is None:
        verification = _verdict(session, spec)  # the back end's own did not come with the error
    if not hasattr(verification, "findings"):
        return [str(error).rstrip()]
    from anybpf.verifier.report import netsh

    return netsh.lines(verification)


def _verdict(session: Session, spec: CollectionSpec) -> Any:
    from anybpf.verifier import verify

    verdicts = (verify(one, spec, platform=session.platform) for one in spec.programs.values())
    return next((verdict for verdict in verdicts if not verdict.ok), None)


class _Undo:
    """What an ``add program`` did so far, and takes back if it fails."""

    def __init__(self, session: Session, collection: CollectionHandle) -> None:
        self.session = session
        self.collection = collection
        self.paths: list[str] = []

    def run(self) -> None:
        for path in self.paths:
            self.session.backend.remove_pin(path)
        for program in self.collection:
            self.session.detach(program.id)
        self.collection.close()


def _attach_and_pin(
    session: Session,
    values: Values,
    spec: CollectionSpec,
    collection: CollectionHandle,
    undo: _Undo,
) -> int:
    first = next(iter(collection))
    data, problem = _parameter(values, first.type)
    if problem:
        return session.fail(problem)
    code = _attach(session, first, first.attach_type, data)
    if code != DONE:
        return code
    pinned = values.get("pinned", "first")
    path = values.get("pinpath", "")
    if pinned == "first":
        wanted = [(first, path or first.name)]
    elif pinned == "all":
        wanted = [
            (one, f"{path}/{_section(spec, one.name).replace('/', '_')}") for one in collection
        ]
    else:
        wanted = []
    for program, place in wanted:
        try:
            undo.paths.append(_pin(session, program, place))
        except AnyBPFError as error:
            number = errno_of(error, session.platform)
            shown = path if pinned == "all" else place
            return session.fail(f"error {number}: could not pin to {shown}", error)
    return DONE


def _section(spec: CollectionSpec, name: str) -> str:
    found = spec.programs.get(name)
    return found.section if found is not None else ""


def _parameter(values: Values, program_type: str) -> tuple[bytes, str]:
    """What is named besides the program when it is attached, or what is wrong with it."""
    if values.get("interface"):
        if program_type not in WITH_INTERFACE:
            return b"", NO_INTERFACE
        index = interface_index(values["interface"])
        return (b"", BAD_INTERFACE) if index is None else (index.to_bytes(4, "little"), "")
    if values.get("compartment"):
        if program_type not in WITH_COMPARTMENT:
            return b"", NO_COMPARTMENT
        text = values["compartment"]
        good = text.isdecimal() and text.isascii() and 0 < int(text) <= 0xFFFFFFFF
        return (int(text).to_bytes(4, "little"), "") if good else (b"", BAD_COMPARTMENT)
    return b"", ""


def _attach(session: Session, program: ProgramHandle, attach_type: str, data: bytes) -> int:
    try:
        session.attach(program, attach_type, data)
    except AnyBPFError as error:
        result = result_number(error, session.platform)
        return session.fail(f"error {result}: could not attach program", error)
    return DONE


def _pin(session: Session, handle: Handle, path: str) -> str:
    """Pin something; an error for a path that is taken says so by its result."""
    try:
        return handle.pin(path)
    except Refused:
        raise
    except InputError as error:
        try:
            taken = session.pinned_at(path)
        except InputError:
            taken = False
        if taken:
            raise Refused(str(error), "OBJECT_ALREADY_EXISTS") from error
        raise


# delete program


def delete(session: Session, values: Values) -> int:
    """Unpin a program everywhere, detach it, and let it go.

    In the words of the first release the argument was the file, and behind it a section.
    """
    if not values["id"].isdecimal():
        return _delete_by_file(session, values)
    if values.get("section"):
        raise SyntaxProblem("delete program: a section goes with a file, not with a number")
    return _delete(session, number(values, "id", "delete program"))


def _delete(session: Session, wanted: int) -> int:
    program = session.program(wanted)
    if program is None:
        session.print(NOT_FOUND)
        return FAILED
    program.close()
    code = unpin_everywhere(session, wanted)
    if code == DONE:
        session.detach(wanted)
        session.drop(wanted)
        session.origins.pop(wanted, None)
    return code


def _delete_by_file(session: Session, values: Values) -> int:
    file, section = values["id"], values.get("section", "")
    found = [
        wanted
        for wanted, origin in session.origins.items()
        if origin.file == file and section in ("", origin.section)
    ]
    there = [wanted for wanted in found if wanted in session.backend.ids("program")]
    if not there:
        session.print(NOT_FOUND)
        return FAILED
    codes = [
        _delete(session, wanted) for wanted in there if wanted in session.backend.ids("program")
    ]
    return max(codes)


def unpin_everywhere(session: Session, wanted: int, *, quiet: bool = False) -> int:
    """Take all pins of a program away, and say of each that it went."""
    code = DONE
    for path in session.program_pins(wanted):
        try:
            session.backend.remove_pin(path)
        except AnyBPFError as error:
            result = result_number(error, session.platform)
            session.print(f"Error {result} unpinning {wanted} from {path}")
            code = FAILED
        else:
            if not quiet:
                session.print(f"Unpinned {wanted} from {path}")
    return code


# set program


def change(session: Session, values: Values) -> int:
    """Attach or detach a program; pin or unpin it."""
    wanted = number(values, "id", "set program")
    if len(values) == 1:
        raise SyntaxProblem(
            "set program: say what is to be set: attached, pinpath, interface or compartment"
        )
    attached = values.get("attached")
    parameter = bool(values.get("interface") or values.get("compartment"))
    match = objects.type_of(attached, session.platform) if attached else None
    if match is not None or (attached is None and parameter):
        code = _attach_again(session, wanted, match.attach_type if match else "", values)
        if code != DONE:
            return code
    elif attached is not None and not session.detach(wanted):
        number_ = win32_of("KEY_NOT_FOUND", session.platform)
        return session.fail(f"error {number_}: could not detach program")
    if "pinpath" not in values:
        return DONE
    if not values["pinpath"]:
        return unpin_everywhere(session, wanted, quiet=True)
    return _pin_by_number(session, "program", wanted, values["pinpath"])


def _attach_again(session: Session, wanted: int, attach_type: str, values: Values) -> int:
    program = session.program(wanted)
    if program is None:
        missing = result_number(InputError(""), session.platform)
        return session.fail(f"error {missing}: could not attach program")
    with program:
        data, problem = _parameter(values, program.type)
        if problem:
            return session.fail(problem)
        return _attach(session, program, attach_type or program.attach_type, data)


# pin and unpin


def pin_program(session: Session, values: Values) -> int:
    return _pin_by_number(
        session, "program", number(values, "id", "pin program"), values.get("path", "")
    )


def pin_map(session: Session, values: Values) -> int:
    return _pin_by_number(session, "map", number(values, "id", "pin map"), values.get("path", ""))


def unpin_program(session: Session, values: Values) -> int:
    return _unpin_by_number(
        session, "program", number(values, "id", "unpin program"), values.get("path", "")
    )


def unpin_map(session: Session, values: Values) -> int:
    return _unpin_by_number(
        session, "map", number(values, "id", "unpin map"), values.get("path", "")
    )


def _open(session: Session, kind: str, wanted: int) -> Handle | None:
    if wanted not in session.backend.ids(kind):
        session.fail(f"{kind.capitalize()} not found")
        return None
    return session.backend.program(wanted) if kind == "program" else session.backend.map(wanted)


def _pin_by_number(session: Session, kind: str, wanted: int, path: str) -> int:
    handle = _open(session, kind, wanted)
    if handle is None:
        return FAILED
    with handle:
        try:
            _pin(session, handle, path or handle.name)
        except AnyBPFError as error:
            why = errno_of(error, session.platform)
            return session.fail(f"error {why}: could not pin {kind}", error)
    return DONE


def _unpin_by_number(session: Session, kind: str, wanted: int, path: str) -> int:
    handle = _open(session, kind, wanted)
    if handle is None:
        return FAILED
    with handle:
        try:
            kept = session.kept_path(path or handle.name)
            if (kept, kind, wanted) not in session.backend.pins(kind=kind):
                raise Refused(f"{kind} {wanted} is not pinned at {kept}", "OBJECT_NOT_FOUND")
            session.backend.remove_pin(kept)
        except AnyBPFError as error:
            why = errno_of(error, session.platform)
            return session.fail(f"error {why}: could not unpin {kind}", error)
    return DONE


# show programs

TABLE: Final = (
    "",
    "    ID  Pins  Links  Mode       Type           Name",
    "======  ====  =====  =========  =============  ====================",
)


def show(session: Session, values: Values) -> int:
    """All programs, or those that are asked for, as a table or a block each."""
    wanted = objects.type_of(values["type"], session.platform) if values.get("type") else None
    only = number(values, "id", "show programs") if values.get("id") else 0
    detailed = "verbose" if values.get("id") or values.get("filename") else "normal"
    verbose = values.get("level", detailed) == "verbose"
    if not verbose:
        session.print(*TABLE)
    for info in session.backend.infos("program"):
        if only and info.id != only:
            continue
        if wanted is not None and info.type_name != wanted.program_type:
            continue
        if not _fits(values.get("attached", "any"), info.link_count):
            continue
        if not _fits(values.get("pinned", "any"), info.pinned_path_count):
            continue
        origin = _origin(session, info.id)
        if values.get("filename") and origin.file != values["filename"]:
            continue
        if values.get("section") and origin.section != values["section"]:
            continue
        session.print(*(block(info, origin) if verbose else [row(info)]))
        session.tell("programs", partial(_as_value, session, info, origin))
    return DONE


def _fits(wanted: str, count: int) -> bool:
    return wanted == "any" or (wanted == "yes") == (count > 0)


def _origin(session: Session, wanted: int) -> Origin:
    program = session.program(wanted)
    if program is None:
        return Origin("", "")
    with program:
        return session.origin(wanted, program)


def _as_value(session: Session, info: Any, origin: Origin) -> dict[str, Any]:
    from anybpf.cli.live import program_as_json

    pins = session.pins_of("program", info.id)
    return {**program_as_json(info, pins), "file": origin.file, "section": origin.section}


def row(info: Any) -> str:
    return (
        f"{info.id:>6}  {info.pinned_path_count:>4}  {info.link_count:>5}  "
        f"{info.mode.upper():<9}  {info.type_name:<13}  {info.name}"
    )


def block(info: Any, origin: Origin) -> list[str]:
    lines = [
        "",
        f"ID             : {info.id}",
        f"File name      : {origin.file}",
        f"Section        : {origin.section}",
        f"Name           : {info.name}",
        f"Program type   : {info.type_name}",
        f"Mode           : {info.mode.upper()}",
        f"# map IDs      : {info.nr_map_ids}",
    ]
    for place, one in enumerate(info.map_ids):
        lines.append(f"{' ' * 17 if place else 'map IDs        : '}{one}")
    return [
        *lines,
        f"# pinned paths : {info.pinned_path_count}",
        f"# links        : {info.link_count}",
    ]
