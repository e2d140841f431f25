"""The commands of the ``ebpf`` context and those of the top, with their arguments in order.

What they do is elsewhere; order, names and defaults are those of eBPF for Windows.
"""

from __future__ import annotations

from typing import Final

from anybpf.cli.netsh import files, listings, programs
from anybpf.cli.netsh.grammar import Command, Tag

_YES_NO: Final = ("any", "yes", "no")

_FILE: Final = Tag("filename", "the object file, or a native image", required=True)
_SECTION: Final = Tag("section", "only programs of this section")
_PROGRAM_ID: Final = Tag("id", "the program's number", required=True)
_MAP_ID: Final = Tag("id", "the map's number", required=True)
_PATH: Final = Tag("path", "the pin's path; without it, the object's name")
_TYPE: Final = Tag("type", "the type, as a section's name says it; without it, the file's own")

EBPF: Final[tuple[Command, ...]] = (
    Command(
        "add program",
        "Load the programs of a file, attach the first and pin it.",
        programs.add,
        (
            _FILE,
            _TYPE,
            Tag("pinpath", "where to pin; without it, the program's name"),
            Tag("interface", "number or name of an interface (xdp only); without it, all"),
            Tag("pinned", "which programs to pin (first)", choices=("none", "first", "all")),
            Tag("execution", "how programs run (jit)", choices=("jit", "interpret")),
            Tag("compartment", "number of a compartment (sock_addr only); without it, all"),
        ),
        "With pinned=all, pinpath is a directory, and names in it are those of the sections.",
    ),
    Command(
        "delete program",
        "Unpin a program everywhere, detach it, and let it go.",
        programs.delete,
        (
            Tag("id", "the program's number, or the file it was loaded from", required=True),
            Tag("section", "with a file: only programs of this section"),
        ),
    ),
    Command(
        "set program",
        "Attach or detach a program, pin or unpin it.",
        programs.change,
        (
            _PROGRAM_ID,
            Tag("attached", 'where to attach it, as a section\'s name says it; "" detaches it'),
            Tag("pinpath", 'where to pin it; "" unpins it everywhere'),
            Tag("interface", "number or name of an interface (xdp only)"),
            Tag("compartment", "number of a compartment (sock_addr only)"),
        ),
    ),
    Command(
        "show disassembly",
        "List the code of a program.",
        files.disassembly,
        (_FILE, _SECTION, Tag("program", "the program; without it, the first")),
    ),
    Command(
        "show hash",
        "Print the hash of the object from which a native image was made.",
        files.show_hash,
        (_FILE, Tag("hashonly", "print the digits and nothing else")),
    ),
    Command("show links", "List links.", listings.links),
    Command("show maps", "List maps.", listings.maps),
    Command("show pins", "List the pins of programs.", listings.pins),
    Command("show processes", "List processes that hold objects.", listings.processes),
    Command(
        "show programs",
        "List programs.",
        programs.show,
        (
            Tag("type", "only programs of this type, as a section's name says it"),
            Tag("attached", "only programs with links, or without (any)", choices=_YES_NO),
            Tag("pinned", "only programs with pins, or without (any)", choices=_YES_NO),
            Tag(
                "level",
                "a table or a block each (normal; verbose if id or filename is given)",
                choices=("normal", "verbose"),
            ),
            Tag("filename", "only programs of this file"),
            _SECTION,
            Tag("id", "only the program of this number"),
        ),
    ),
    Command(
        "show sections",
        "List the programs and maps of a file.",
        files.sections,
        (
            _FILE,
            _SECTION,
            Tag(
                "level",
                "verbose counts instructions (normal; verbose if section is given)",
                choices=("normal", "verbose"),
            ),
        ),
    ),
    Command(
        "show verification",
        "Prove that programs are safe to run, or say why not.",
        files.verification,
        (
            _FILE,
            _SECTION,
            Tag("program", "only this program"),
            _TYPE,
            Tag(
                "level",
                "how much is said: the verdict, the way to it, or all that is known (normal)",
                choices=("normal", "informational", "verbose"),
            ),
        ),
    ),
    Command("pin map", "Pin a map.", programs.pin_map, (_MAP_ID, _PATH)),
    Command("pin program", "Pin a program.", programs.pin_program, (_PROGRAM_ID, _PATH)),
    Command("unpin map", "Take a map's pin away.", programs.unpin_map, (_MAP_ID, _PATH)),
    Command(
        "unpin program", "Take a program's pin away.", programs.unpin_program, (_PROGRAM_ID, _PATH)
    ),
)
