"""Which functions are programs, and of what kind the platform takes them to be.

A function outside of `.text` that is visible from outside is a program; its section's name, looked
up in the platform's table, says the rest.
"""

from __future__ import annotations

from anybpf.objects import elf as e
from anybpf.objects.functions import Code
from anybpf.objects.sections import ObjectFile, is_subprogram_section
from anybpf.objects.specs import Function, ProgramSpec
from anybpf.platforms import SectionMatch


def read_programs(obj: ObjectFile, codes: list[Code]) -> None:
    """Put all programs into the spec, in file order."""
    found: list[tuple[Code, Function]] = []
    for code in codes:
        if not is_subprogram_section(code.section.name):
            found += [(code, function) for function in _entries(obj, code)]
    if not found:
        # An object without any section of programs: what nobody calls is one (libbpf accepts a
        # lone function in .text as a program too).
        called: set[str] = set()
        for function in obj.spec.functions.values():
            called.update(function.calls)
        for code in codes:
            for function in _entries(obj, code):
                if function.name not in called or len(obj.spec.functions) == 1:
                    found.append((code, function))
    matches: dict[int, SectionMatch] = {}
    for code, function in found:
        match = matches.get(code.section.index)
        if match is None:
            match = obj.platform.section(code.section.name)
            matches[code.section.index] = match
        _add(obj, code.section.name, function, match)


def _entries(obj: ObjectFile, code: Code) -> list[Function]:
    """The functions of a section that can be entered from outside."""
    section = code.section
    functions = obj.functions_at.get(section.index, {})
    out: list[Function] = []
    for offset, function in functions.items():
        # Without a typed symbol, what the section begins with is its program: old compilers did
        # not give types to static functions, and tools strip symbols.
        symbol = code.starts[offset]
        typed = symbol is not None and symbol.kind == e.STT_FUNC
        if function.is_global or (offset == 0 and not typed):
            out.append(function)
    return out


def _add(obj: ObjectFile, name: str, function: Function, match: SectionMatch) -> None:
    program = ProgramSpec(function, name.removeprefix("?"), obj.spec.functions)
    program.type = match.program_type
    program.attach_type = match.attach_type
    program.attach_to = match.attach_to
    if match.flags:
        program.flags = tuple([flag for flag in ("sleepable", "frags") if flag in match.flags])
    program.autoload = not name.startswith("?")
    program.license = obj.spec.license
    program.platform = obj.platform.name
    obj.spec.programs[function.name] = program
