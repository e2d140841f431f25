"""The interpreter as an engine: prepared code becomes a program of the core.

What it needs besides (numbers, maps, helpers) is handed over by the runtime, which owns the result.
How runs are asked for is the runtime's business, how they go that of ``src/core/interpreter.c``.
"""

from __future__ import annotations

from collections.abc import Sequence

from anybpf import _core
from anybpf.engines.prepared import Prepared
from anybpf.errors import InputError
from anybpf.platforms import Platform


def kept_name(name: str, platform: Platform) -> str:
    """An object's name as the core keeps it: cut as the platform does it, legal as UTF-8.

    >>> from anybpf.platforms import get
    >>> kept_name("a_name_that_is_too_long", get("linux"))
    'a_name_that_is_'
    """
    # Names of damaged objects may hold bytes that are no text.
    raw = name.encode(errors="replace")[: platform.limits.get("name_length", 63)]
    return raw.decode(errors="ignore").partition("\0")[0]


def make_program(
    prepared: Prepared,
    domain: _core.Domain,
    number: int,
    maps: Sequence[_core.Map],
    helpers: Sequence[object],
    behaviour: int = 0,
) -> _core.Program:
    """The program, ready to run, registered in the domain under its number.

    ``maps`` and ``helpers`` are those that the indexes in the code mean; a helper is what
    ``_core.helper`` gives for its name, or a Python function.
    """
    if len(maps) != len(prepared.maps) or len(helpers) != len(prepared.helpers):
        raise InputError(
            f"program {prepared.name} needs {len(prepared.maps)} maps and {len(prepared.helpers)} "
            f"helpers; {len(maps)} and {len(helpers)} were given"
        )
    try:
        return _core.Program(
            domain,
            number,
            kept_name(prepared.name, prepared.platform),
            prepared.code,
            maps,
            helpers,
            prepared.platform.codes(),
            prepared.type.number,
            prepared.context_size,
            behaviour=behaviour,
            compatible=prepared.compatible,
            packet_fields=prepared.packet_fields,
            length_field=prepared.length_field,
            handler=prepared.handler,
        )
    except (ValueError, OSError, MemoryError) as error:
        raise InputError(f"program {prepared.name} cannot be created: {error}") from error
