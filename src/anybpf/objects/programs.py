"""Which functions are programs, and of what kind the platform takes them to be.

A function outside of `.text` that is visible from outside is a program; its section's name, looked
up in the platform's table, says the rest.
"""

from __future__ import annotations

from anybpf.objects.functions import Code
from anybpf.objects.sections import ObjectFile, is_subprogram_section
from anybpf.objects.specs import Function, ProgramSpec
from anybpf.platforms import SectionMatch


def read_programs(obj: ObjectFile, codes: list[Code]) -> None:
    """Put all programs into the spec, in file order."""
    for code in codes:
        if not is_subprogram_section(code.section.name):
            _add_entries(obj, code, frozenset())
    if obj.spec.programs:
        return
    # An object without any section of programs: what nobody calls is one (libbpf accepts a lone
    # function in .text as a program too).
    called: set[str] = set()
    if len(obj.spec.functions) > 1:
        for function in obj.spec.functions.values():
            called.update(function.calls)
    for code in codes:
        _add_entries(obj, code, frozenset(called))


def _add_entries(obj: ObjectFile, code: Code, called: frozenset[str]) -> None:
    """Add the functions of a section that can be entered from outside and are not ``called``."""
    match: SectionMatch = obj.platform.section(code.section.name)
    for function in obj.functions_in.get(code.section.index, []):
        # Without a typed symbol, what the section begins with is its program: old compilers did
        # not give types to static functions, and tools strip symbols.
        entered = function.is_global or (function.offset == 0 and code.untyped)
        if entered and function.name not in called:
            _add(obj, code.section.name, function, match)


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
