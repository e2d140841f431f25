"""Object files as netsh sees them: every file has programs, also where no section names a type.

Functions in ``.text`` are subprograms where other sections hold programs; where none does, they are
programs whose type has to be given. Reading itself is the business of ``anybpf.objects``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anybpf.cli.netsh.grammar import SyntaxProblem
from anybpf.errors import InputError, ObjectError

if TYPE_CHECKING:
    from anybpf.objects import CollectionSpec, ProgramSpec
    from anybpf.platforms import Platform
    from anybpf.platforms.model import SectionMatch

TEXT: Final = ".text"
UNSPECIFIED: Final = "unspec"


def is_image(data: bytes) -> bool:
    """Whether these are the bytes of a native image, whose programs were compiled ahead."""
    from anybpf.engines.image.reading import is_library

    return is_library(data)


def read(file: str) -> bytes:
    with open(file, "rb") as stream:
        return stream.read()


class ObjectFile:
    """A file that was read: what it says, and how much code each program has, in bytes."""

    __slots__ = ("bare", "hash", "native", "sizes", "spec")

    def __init__(self, spec: CollectionSpec, sizes: dict[str, int], native: bool = False) -> None:
        self.spec: CollectionSpec = spec
        self.sizes: dict[str, int] = sizes
        self.native: bool = native
        # Whether its programs are functions of a bare ``.text``.
        self.bare: bool = False
        # Of the object from which a native image was made, as hexadecimal digits.
        self.hash: str = ""

    @property
    def listed(self) -> list[ProgramSpec]:
        """The programs in the order in which netsh lists them: an object's from its end."""
        programs = list(self.spec.programs.values())
        return programs if self.native else programs[::-1]


def parse(data: bytes, file: str, platform: Platform) -> ObjectFile:
    """What a file's bytes say, with the functions of a bare ``.text`` as programs."""
    if is_image(data):
        return _image(data, file, platform)
    from anybpf.objects import load_spec
    from anybpf.objects.specs import ProgramSpec

    spec = load_spec(data, platform.name, _stem(file))
    spec.file = file
    bare = not spec.programs
    if bare:
        functions = dict(spec.functions)
        called = {name for one in functions.values() for name in one.calls}
        for name, function in functions.items():
            if function.section == TEXT and name not in called:
                program = ProgramSpec(function, TEXT, functions)
                program.platform = platform.name
                spec.programs[name] = program
    made = ObjectFile(spec, {name: 8 * one.slots for name, one in spec.programs.items()})
    made.bare = bare
    return made


def _image(data: bytes, file: str, platform: Platform) -> ObjectFile:
    from anybpf._core import NATIVE_ABI
    from anybpf.engines.image.reading import read_image
    from anybpf.objects.specs import Function, ProgramSpec

    image = read_image(data, file, abi=NATIVE_ABI)
    spec = image.spec
    if spec.platform != platform.name:
        raise InputError(f"it was compiled for {spec.platform}, not for {platform.name}")
    for name, one in image.programs.items():
        program = ProgramSpec(Function(one.name, one.section, 0, []), one.section)
        program.type = one.type
        program.attach_type = one.attach_type
        program.platform = spec.platform
        spec.programs[name] = program
    made = ObjectFile(spec, {name: one.size for name, one in image.programs.items()}, True)
    made.hash = image.object_hash
    return made


def _stem(file: str) -> str:
    return file.replace("\\", "/").rpartition("/")[2].partition(".")[0]


def why_unreadable(error: Exception, file: str) -> str:
    """The line for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return f"error: No such file or directory opening {file}"
    if isinstance(error, OSError):
        return f"error: {error.strerror or error} opening {file}"
    if isinstance(error, ObjectError):
        place = f" in section {error.section}" if error.section else ""
        place += f" at byte {error.offset:#x}" if error.offset is not None else ""
        return f"error: ELF file {file} is malformed: {error.message}{place}"
    return f"error: ELF file {file} is malformed: {error}"


def type_of(text: str, platform: Platform) -> SectionMatch:
    """What ``type=`` means: a text that is like a section's name."""
    found = platform.section(text)
    if not found.known:
        names = sorted(platform.section_rows)
        raise SyntaxProblem(f"type '{text}' is like no section; sections are {', '.join(names)}")
    return found


def set_type(program: ProgramSpec, match: SectionMatch) -> None:
    program.type = match.program_type
    program.attach_type = match.attach_type
    program.attach_to = match.attach_to
