"""``show sections``, ``show disassembly``, ``show verification`` and ``show hash``: what files say.

None of them needs a back end. Listings and reports are made by ``anybpf.isa.listing`` and
``anybpf.verifier.report``; here is which programs they are made of, and the tables around them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anybpf.cli.netsh import objects
from anybpf.cli.netsh.grammar import Values
from anybpf.cli.netsh.session import Session
from anybpf.errors import AnyBPFError

if TYPE_CHECKING:
    from anybpf.cli.netsh.objects import ObjectFile
    from anybpf.objects import MapSpec, ProgramSpec

DONE: Final = 0
FAILED: Final = 1

SECTIONS: Final = (
    "",
    f"{'Size':>73}",
    f"{'Section':>30}  {'Program':>24}  {'Type':>9}  (bytes)",
    f"{'=' * 30}  {'=' * 24}  {'=' * 9}  {'=' * 7}",
)
MAPS: Final = (
    "",
    "                     Key  Value      Max",
    "          Map Type  Size   Size  Entries  Name",
    "==================  ====  =====  =======  ========",
)


def _read(session: Session, file: str) -> ObjectFile | None:
    try:
        return objects.parse(objects.read(file), file, session.platform)
    except (AnyBPFError, OSError) as error:
        session.fail(objects.why_unreadable(error, file), error)
        return None


def sections(session: Session, values: Values) -> int:
    """The programs of a file by section, and its maps."""
    read = _read(session, values["filename"])
    if read is None:
        return FAILED
    section = values.get("section", "")
    verbose = values.get("level", "verbose" if section else "normal") == "verbose"
    programs = [one for one in read.listed if section in ("", one.section)]
    if section and not programs:
        return session.fail("error: Section not found")
    if not verbose:
        session.print(*SECTIONS)
    for program in programs:
        size = read.sizes[program.name]
        if verbose:
            session.print(*_section_block(session, program, size, read.native))
        else:
            session.print(
                f"{program.section:>30}  {program.name:>24}  {program.type:>9}  {size:>7}"
            )
        session.tell("programs", partial(_as_value, session, program, size, verbose))
    session.print(*MAPS)
    for one in read.spec.maps.values():
        session.print(_map_row(one))
        session.tell("maps", partial(_map_as_value, one))
    return DONE


def _as_value(session: Session, program: ProgramSpec, size: int, counted: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "name": program.name,
        "section": program.section,
        "type": program.type,
        "attach_type": program.attach_type,
        "bytes": size,
    }
    if counted and program.function.instructions:
        from anybpf.cli.netsh.statistics import statistics

        value["statistics"] = dict(statistics(program, session.platform))
    return value


def _map_as_value(spec: MapSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "type": spec.type,
        "bytes_key": spec.key_size,
        "bytes_value": spec.value_size,
        "max_entries": spec.max_entries,
    }


def _section_block(session: Session, program: ProgramSpec, size: int, native: bool) -> list[str]:
    lines = [
        "",
        f"Section      : {program.section}",
        f"Program      : {program.name}",
        f"Program Type : {program.type}",
        f"Size         : {size} bytes",
    ]
    if not native:
        from anybpf.cli.netsh.statistics import statistics

        lines += [f"{key:<13}: {n}" for key, n in statistics(program, session.platform)]
    return lines


def _map_row(spec: MapSpec) -> str:
    return (
        f"{spec.type:>18}{spec.key_size:>6}{spec.value_size:>7}{spec.max_entries:>9}  {spec.name}"
    )


def _chosen(session: Session, read: ObjectFile, values: Values) -> list[ProgramSpec] | None:
    """The programs that section and program name, in the file's order; None: told why not."""
    programs = list(read.spec.programs.values())
    section, name = values.get("section", ""), values.get("program", "")
    if section:
        programs = [one for one in programs if one.section == section]
        if not programs:
            session.fail("error: Section not found")
            return None
    if name:
        programs = [one for one in programs if one.name == name]
        if not programs:
            session.fail(f"error: No such program {name}")
            return None
    return programs


def disassembly(session: Session, values: Values) -> int:
    """The code of one program."""
    read = _read(session, values["filename"])
    if read is None:
        return FAILED
    if read.native:
        return session.fail(f"error: {values['filename']} is a native image: it has machine code")
    programs = _chosen(session, read, values)
    if programs is None:
        return FAILED
    if not programs:
        return session.fail("error: No programs found")
    from anybpf.cli.disasm import HelperNames
    from anybpf.isa.listing import netsh

    program = programs[0]
    numbers = {spec.name: place for place, spec in enumerate(read.spec.maps.values(), 1)}
    names = HelperNames(session.platform, program.type)
    session.print(*netsh.lines(program.instructions, names=names, map_numbers=numbers))
    return DONE


def verification(session: Session, values: Values) -> int:
    """Whether the programs of a file are safe, and what speaks against it."""
    read = _read(session, values["filename"])
    if read is None:
        return FAILED
    if read.native:
        return session.fail(f"Failed to load eBPF program from {values['filename']}")
    match = objects.type_of(values["type"], session.platform) if values.get("type") else None
    programs = _chosen(session, read, values)
    if programs is None:
        return FAILED
    if not programs:
        session.fail("")
        return session.fail("No section(s) found")
    code = DONE
    for program in programs:
        if match is not None:
            objects.set_type(program, match)
        code = max(code, _verify(session, program, read, values.get("level", "normal")))
    return code


def _verify(session: Session, program: ProgramSpec, read: ObjectFile, level: str) -> int:
    from anybpf.verifier import verify
    from anybpf.verifier.report import netsh
    from anybpf.verifier.report.json import record

    if program.type == objects.UNSPECIFIED:
        return session.fail("error: Unspecified program type.")
    try:
        verdict = verify(
            program, read.spec, platform=session.platform, record=level != netsh.NORMAL
        )
    except AnyBPFError as error:
        return session.fail(f"error: {str(error).rstrip()}")
    session.tell("programs", partial(record, verdict, read.spec.file))
    lines = netsh.lines(verdict, level)
    if verdict.ok:
        session.print(*lines)
        return DONE
    return session.fail("\n".join(lines))


# show hash

LINE: Final = 16
LONGEST: Final = 32  # bytes, those of SHA-256
SECTION: Final = "hash"


def show_hash(session: Session, values: Values) -> int:
    """The hash that a native image has of the object it was made of."""
    file = values["filename"]
    try:
        data = objects.read(file)
    except FileNotFoundError:
        return session.fail(f"Error: No such file or directory opening {file}")
    except OSError as error:
        return session.fail(f"Error: Reading hash from {file} failed: {error.errno}", error)
    try:
        found = _hash(session, data, file)
    except AnyBPFError as error:
        from anybpf.cli.netsh.codes import result_number

        number = result_number(error, session.platform)
        return session.fail(f"Error: Reading hash from {file} failed: {number}", error)
    if found is None:
        return session.fail(f"Error: No hash section found in {file}")
    if not found:
        return session.fail(f"Error: Hash section is empty in {file}")
    session.tell("hashes", partial(dict, file=file, hash=found.hex()))
    if "hashonly" in values:
        if len(found) > LONGEST:
            session.fail(
                f"Warning: Hash data ({len(found)} bytes) truncated to {LONGEST} bytes "
                "(SHA-256 size)."
            )
        session.print(found[:LONGEST].hex().upper())
        return DONE
    session.print(f"Hash for {file}:", f"Size: {len(found)} bytes")
    rows = [found[start : start + LINE].hex(" ") for start in range(0, len(found), LINE)]
    for place, row in enumerate(rows):
        session.print(f"{' ' * 6 if place else 'Data: '}{row}")
    return DONE


def _hash(session: Session, data: bytes, file: str) -> bytes | None:
    """Of a native image, what it says; of an object, what is in a section of that name."""
    if objects.is_image(data):
        return bytes.fromhex(objects.parse(data, file, session.platform).hash)
    from anybpf.objects.elf import ElfFile

    section: Any = ElfFile(data, file).section(SECTION)
    return None if section is None else bytes(section.data)
