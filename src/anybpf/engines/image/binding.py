"""An image's machine code in memory, and programs of the core that run it.

The code is copied out of the very bytes that were checked, into pages of its own; no file is opened
again, and no dynamic linker is asked. It becomes executable when the addresses of everything that
it refers to are filled in, and is never written again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from anybpf import _core
from anybpf.engines.identity import layout_digest, tables_digest
from anybpf.engines.image.reading import read_image
from anybpf.engines.image.table import Image, ImageProgram
from anybpf.engines.prepared import Prepared, fingerprint
from anybpf.errors import ImageError, NotSupported
from anybpf.platforms import Platform

_CELL: Final = 8


def load_image(data: bytes, file: str = "", keys: frozenset[bytes] | None = None) -> Image:
    """The image in these bytes, if it can run in this process; see :func:`read_image`."""
    image = read_image(data, file, abi=_core.NATIVE_ABI, keys=keys)
    machine = image.target.split("-")[0]
    here = "Windows" if os.name == "nt" else "System V"
    windows = "windows" in image.target
    if machine != _core.MACHINE or windows != (os.name == "nt"):
        raise ImageError(
            f"it was compiled for {image.target}, and this is {_core.MACHINE or 'another machine'} "
            f"with calls of {here}: compile it for this",
            file=file,
        )
    if image.layout != layout_digest():
        raise ImageError(
            "its machine code was compiled for a runtime whose fields lie elsewhere: compile it "
            "again, on this kind of system",
            file=file,
        )
    return image


def prepared_of(image: Image, program: ImageProgram, platform: Platform) -> Prepared:
    """The program as engines take it.

    :class:`ImageError` if the platform's tables are not those that it was proved against.
    """
    kind = platform.program_types.get(program.type)
    if kind is None:
        raise ImageError(
            f"program {program.name} is of type {program.type!r}, which is not one of "
            f"{platform.name}",
            file=image.file,
        )
    made = Prepared(program.name, platform, kind)
    made.section = program.section
    made.attach_type = program.attach_type
    made.attach_to = program.attach_to
    made.license = program.license
    made.flags = program.flags
    made.code = program.code
    made.tag = program.tag
    made.maps = [image.spec.maps[name] for name in program.maps]
    made.helpers = list(program.helpers)
    made.dead = set(program.dead)
    made.handler = program.handler
    made.lines = program.lines
    made.verified_steps = program.verified_steps
    made.typed_functions = program.typed_functions
    made.compatible = fingerprint(made)
    have = tables_digest(made)
    if have != program.tables:
        raise ImageError(
            f"program {program.name} was proved against tables of {platform.name} with the hash "
            f"{program.tables}, and those here have {have}: compile the object again",
            file=image.file,
        )
    return made


class ImageCode:
    """The machine code of an image, bound to programs. ``text`` is where it can be executed."""

    __slots__ = ("code", "image", "text")

    def __init__(self, image: Image, programs: Mapping[str, _core.Program]) -> None:
        """Of the image's programs, those that are there by name."""
        self.image: Image = image
        page = _core.PAGE_SIZE
        base = image.text.address - image.text.address % page
        text_end = _round(image.text.end - base, page)
        if image.rodata.address - base < text_end:
            raise ImageError(
                f"its parts lie too close together for pages of {page} bytes", file=image.file
            )
        self.code: _core.Code = _core.Code(max(_round(image.imports_at.end - base, page), page))
        for one in (image.text, image.rodata):
            self.code.write(one.address - base, image.library[one.offset : one.offset + one.size])
        self.code.write(image.imports_at.address - base, self._cells(programs))
        self.text: range = range(image.text.address - base, image.text.end - base)
        try:
            # What was filled in is not to be changed any more, either.
            self.code.seal(text_end)
        except OSError as error:
            raise NotSupported(
                f"machine code from files ({error.strerror or error})", where="this system"
            ) from error
        for name, program in programs.items():
            about = image.programs[name]
            try:
                program.attach_code(
                    self.code,
                    about.entry - base,
                    [(slot, place - base) for slot, place in about.functions],
                )
            except (ValueError, OverflowError) as error:
                raise ImageError(f"program {name}: {error}", file=image.file) from None

    def _cells(self, programs: Mapping[str, _core.Program]) -> bytes:
        out = bytearray()
        for owner, name in self.image.imports:
            program = programs.get(owner)
            # Code of a program that was not chosen is not run.
            address = 0 if program is None else self._address(program, owner, name)
            out += address.to_bytes(_CELL, "little")
        return bytes(out)

    def _address(self, program: _core.Program, owner: str, name: str) -> int:
        try:
            return program.symbol(name)
        except LookupError:
            try:
                return _core.symbol(name)
            except LookupError:
                raise ImageError(
                    f"program {owner} refers to {name[:80]!r}, which is not in this runtime: "
                    "compile it again",
                    file=self.image.file,
                ) from None


def _round(value: int, to: int) -> int:
    return (value + to - 1) & -to
