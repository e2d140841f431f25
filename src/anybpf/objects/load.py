"""From a file to a :class:`CollectionSpec`: the order of the steps, and nothing else.

Loading touches no system and gives the same result for the same bytes. Whatever is wrong with
the file is one :class:`ObjectError`.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import BinaryIO, Final

from anybpf.btf import BTF, BTFExt
from anybpf.btf import types as t
from anybpf.errors import BTFError
from anybpf.objects import sections as s
from anybpf.objects.annotate import annotate
from anybpf.objects.data import read_data
from anybpf.objects.elf import ElfFile, Section
from anybpf.objects.externs import KCONFIG, KSYMS, read_externs
from anybpf.objects.functions import read_functions
from anybpf.objects.maps_btf import fill_values, read_btf_maps
from anybpf.objects.maps_legacy import fill_tail_calls, read_legacy_maps
from anybpf.objects.programs import read_programs
from anybpf.objects.sections import ObjectFile, text_of
from anybpf.objects.specs import CollectionSpec
from anybpf.objects.struct_ops import name_members, read_struct_ops
from anybpf.platforms import Platform
from anybpf.platforms import get as get_platform

BTF_SECTION: Final = ".BTF"
EXT_SECTION: Final = ".BTF.ext"
# What of the things with declaration tags becomes a spec, and the component that means all of it.
_TAGGED: Final = (t.KIND_FUNC, t.KIND_VAR, t.KIND_DATASEC)
_WHOLE: Final = 0xFFFFFFFF
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


def load_spec(
    source: Source, platform: str | Platform = "linux", name: str | None = None
) -> CollectionSpec:
    """Read an object file: a path, its bytes, or a binary file that is open.

    ``platform`` says whose section names and numbers the object uses. ``name`` is what the
    collection is called; without it, the file's name up to its first dot.

    >>> from anybpf.objects.elf_writer import ElfWriter
    >>> writer = ElfWriter()
    >>> code = bytes.fromhex("b700000002000000 9500000000000000")
    >>> section = writer.add_section("xdp", code, flags=6)
    >>> number = writer.add_symbol("pass_all", section, size=16, kind=2)
    >>> load_spec(writer.encode(), name="example").programs
    {'pass_all': <ProgramSpec pass_all, xdp, section xdp, 2 slots>}
    """
    file = ""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        file = os.fspath(source)
        with open(file, "rb") as stream:
            data = stream.read()
    else:
        data = source.read()
        title = getattr(source, "name", "")
        file = title if isinstance(title, str) else ""
    if name is None:
        name = os.path.basename(file).partition(".")[0] or "object"
    found = get_platform(platform)
    elf = ElfFile(data, file)
    spec = CollectionSpec(name, file, found.name)
    spec.big_endian = elf.big_endian
    obj = ObjectFile(elf, spec, found)
    try:
        _fill(obj)
    except BTFError as error:
        raise _placed(obj, error) from error
    return spec


def _fill(obj: ObjectFile) -> None:
    """The steps of loading, in the order in which they need each other."""
    ext = _read_types(obj)
    data_sections = _index_types(obj)
    _read_license(obj)
    read_legacy_maps(obj)
    definitions = read_btf_maps(obj, data_sections)
    read_data(obj, data_sections)
    read_externs(obj, data_sections)
    codes = read_functions(obj)
    read_struct_ops(obj, data_sections)
    fill_values(obj, definitions)
    obj.forget_symbols()
    if obj.btf is not None:
        if ext is not None:
            annotate(obj, codes, obj.btf, ext)
        _describe_functions(obj, obj.btf)
    read_programs(obj, codes)
    name_members(obj)
    fill_tail_calls(obj)


def _placed(obj: ObjectFile, error: BTFError) -> BTFError:
    """The same error, told by file, section and byte of the file."""
    section = obj.elf.section(BTF_SECTION)
    if error.section or section is None:
        return error
    return _in_section(obj, section, error)


def _in_section(obj: ObjectFile, section: Section, error: BTFError) -> BTFError:
    offset = section.offset + (error.offset or 0)
    return BTFError(error.message, file=obj.elf.file, section=section.name, offset=offset)


def _read_types(obj: ObjectFile) -> BTFExt | None:
    section = obj.elf.section(BTF_SECTION)
    if section is None or not len(section.data):
        return None
    try:
        btf = BTF.parse(section.data)
    except BTFError as error:
        raise _in_section(obj, section, error) from error
    btf.file = f"{obj.elf.file}, section {section.name}" if obj.elf.file else ""
    if btf.big_endian != obj.elf.big_endian:
        raise obj.error(section, "the types have another byte order than their object")
    obj.btf = btf
    obj.spec.btf = btf
    extra = obj.elf.section(EXT_SECTION)
    if extra is None or not len(extra.data):
        return None
    try:
        return BTFExt.parse(extra.data, obj.elf.big_endian)
    except BTFError as error:
        raise _in_section(obj, extra, error) from error


def _index_types(obj: ObjectFile) -> dict[str, t.DataSection]:
    """The types of data sections by name; declaration tags go where `ObjectFile.tags` has them."""
    found: dict[str, t.DataSection] = {}
    btf = obj.btf
    if btf is None:
        return found
    # Looks at the records themselves, so that no other type has to be made: first the offset of
    # the name, then a word with the kind in bits 24 to 28 (btf.rst, section 2.1).
    data = btf.encode()
    byte = 4 if btf.big_endian else 7
    words = Struct(">IIII" if btf.big_endian else "<IIII")
    word = Struct(">I" if btf.big_endian else "<I")
    wanted = {KCONFIG, KSYMS}
    for section in obj.elf.sections:
        if obj.roles[section.index] not in (s.OTHER, s.CODE):
            wanted.add(section.name)
    for type_id in range(1, len(btf)):
        start = btf.offset_of(type_id)
        if start is None:
            continue
        kind = data[start + byte] & 0x1F
        if kind == t.KIND_DATASEC:
            name = btf.string(word.unpack_from(data, start)[0])
            if name in wanted and name not in found:
                described = btf.type(type_id)
                if isinstance(described, t.DataSection):
                    found[name] = described
        elif kind == t.KIND_DECL_TAG:
            name_offset, _info, target, component = words.unpack_from(data, start)
            at = btf.offset_of(target)
            # Tags of structs are for whoever looks at types; here, those of what has a spec.
            if component == _WHOLE and at is not None and data[at + byte] & 0x1F in _TAGGED:
                obj.tags.setdefault(target, []).append(btf.string(name_offset))
    return found


def _describe_functions(obj: ObjectFile, btf: BTF) -> None:
    """Type and tags of each function; by name where `.BTF.ext` does not say."""
    by_name = obj.elf.section(EXT_SECTION) is None
    for function in obj.spec.functions.values():
        if by_name and not function.type_id:
            found = btf.find(function.symbol, t.KIND_FUNC)
            if found is not None:
                function.type_id = found.id
        if function.type_id:
            function.tags = obj.tags_of(function.type_id)


def _read_license(obj: ObjectFile) -> None:
    for section in obj.sections_with(s.LICENSE):
        obj.spec.license = text_of(section.data)
    for section in obj.sections_with(s.VERSION):
        if len(section.data) != 4:
            raise obj.error(section, f"a version has 4 bytes, the section has {len(section.data)}")
        order = obj.elf.big_endian
        raw = bytes(section.data)
        obj.spec.version = int.from_bytes(raw, "big") if order else int.from_bytes(raw, "little")
