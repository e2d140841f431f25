"""A Python module for an object: its bytes, and its maps, programs and variables as attributes.

What it makes works on any back end; editors and type checkers know its names.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from anybpf import __version__
from anybpf.cli.bpftool.gen import identifier, map_identifier
from anybpf.cli.bpftool.sections import sections

if TYPE_CHECKING:
    from anybpf.objects.specs import CollectionSpec

_TEXT = '''\
"""Written by anybpf @VERSION@ from a BPF object. Do not edit: make it anew."""

from __future__ import annotations

import base64
from typing import Any, Self

import anybpf.backends
from anybpf.backends.model import (
    Backend,
    CollectionHandle,
    LinkHandle,
    MapHandle,
    ProgramHandle,
    VariableHandle,
)
from anybpf.objects import CollectionSpec, load_spec


class Maps:
    """The maps by name."""

@MAPS@
    def __init__(self, loaded: CollectionHandle) -> None:
@SET_MAPS@

class Programs:
    """The programs by name."""

@PROGRAMS@
    def __init__(self, loaded: CollectionHandle) -> None:
@SET_PROGRAMS@

class Variables:
    """The global variables by name: what is assigned is written to the program's memory."""

    def __init__(self, loaded: CollectionHandle) -> None:
        self._found: dict[str, VariableHandle] = {@SET_VARIABLES@}
@VARIABLES@

class @N@:
    """The object, open; after ``load`` its maps, programs and variables.

        with @N@() as skeleton:
            skeleton.load()
            skeleton.attach()
    """

    maps: Maps
    programs: Programs
    variables: Variables

    def __init__(self, backend: Backend | None = None) -> None:
        self.backend: Backend = anybpf.backends.default() if backend is None else backend
        self._own = backend is None
        self.spec: CollectionSpec = load_spec(
            OBJECT, platform=self.backend.platform.name, name="@N@"
        )
        self.links: dict[str, LinkHandle] = {}
        self._loaded: CollectionHandle | None = None

    def load(self, **options: Any) -> Self:
        """Load it; ``spec`` may be changed before."""
        loaded = self.backend.load(self.spec, **options)
        self._loaded = loaded
        self.maps = Maps(loaded)
        self.programs = Programs(loaded)
        self.variables = Variables(loaded)
        return self

    def attach(self) -> None:
        """Attach every program by its section's name."""
        if self._loaded is None:
            self.load()
        assert self._loaded is not None
        for name, program in self._loaded.programs.items():
            if name not in self.links:
                self.links[name] = program.attach()

    def detach(self) -> None:
        for link in self.links.values():
            link.close()
        self.links.clear()

    def close(self) -> None:
        self.detach()
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
        if self._own:
            self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


OBJECT = base64.b64decode(
@BYTES@
)
'''

_PROPERTY = """
    @property
    def @V@(self) -> Any:
        return self._found["@V@"].value

    @{V}.setter
    def @V@(self, new: Any) -> None:
        self._found["@V@"].value = new
"""


def text(spec: CollectionSpec, name: str, data: bytes) -> str:
    """The whole module."""
    maps = {_name(map_identifier(one)): one for one in spec.maps}
    programs = {_name(identifier(one)): one for one in spec.programs}
    variables = [field.name for own in sections(spec).values() for field in own if field.type_id]
    rows = base64.b64encode(data).decode()
    lines = [f'    "{rows[at : at + 88]}"' for at in range(0, len(rows), 88)]
    parts = {
        "@VERSION@": __version__,
        "@MAPS@": _declared(maps, "MapHandle"),
        "@SET_MAPS@": _set(maps, "maps"),
        "@PROGRAMS@": _declared(programs, "ProgramHandle"),
        "@SET_PROGRAMS@": _set(programs, "programs"),
        "@SET_VARIABLES@": "".join(
            f'\n            "{one}": loaded.variable("{one}"),' for one in variables
        )
        + ("\n        " if variables else ""),
        "@VARIABLES@": "".join(
            _PROPERTY.replace("{V}", one).replace("@V@", one) for one in variables
        ),
        "@BYTES@": "\n".join(lines),
        "@N@": name,
    }
    out = _TEXT
    for mark, what in parts.items():
        out = out.replace(mark, what)
    return out


def _name(text: str) -> str:
    from keyword import iskeyword

    return f"{text}_" if iskeyword(text) else text


def _declared(names: dict[str, str], kind: str) -> str:
    return "".join(f"    {one}: {kind}\n" for one in names)


def _set(names: dict[str, str], group: str) -> str:
    rows = [f'        self.{one} = loaded.{group}["{key}"]\n' for one, key in names.items()]
    return "".join(rows) or "        pass\n"
