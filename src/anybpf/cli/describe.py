"""Specs in words: as lines for people and as JSON for programs.

JSON keeps bpftool's field names where it has one for the same thing, so that scripts which know
the one can read the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anybpf.cli.output import plural, section, table

if TYPE_CHECKING:
    from anybpf.objects import CollectionSpec, MapSpec, ProgramSpec, VariableSpec
    from anybpf.objects.elf import ElfFile

_LARGEST_SHOWN = 4096  # bytes of a variable that are put into words

# Section types and flags that objects of BPF programs have: the ELF specification, chapter 4.
SECTION_TYPES = {
    1: "progbits", 2: "symtab", 3: "strtab", 4: "rela", 7: "note", 8: "nobits", 9: "rel",
    0x6FFF4C03: "addrsig",
}  # fmt: skip
SECTION_FLAGS = ((1, "write"), (2, "alloc"), (4, "exec"), (0x10, "merge"), (0x20, "strings"))


def object_lines(spec: CollectionSpec, elf: ElfFile) -> list[str]:
    """The overview of one object."""
    order = "big-endian" if spec.big_endian else "little-endian"
    facts = [f"BPF object, {order}", f"for {spec.platform}"]
    facts.append(f"licence {spec.license}" if spec.license else "no licence")
    if spec.version:
        facts.append(f"kernel version {version_text(spec.version)}")
    facts.append(plural(len(spec.btf) - 1, "BTF type") if spec.btf is not None else "no BTF")
    lines = [f"{spec.file or spec.name}: {', '.join(facts)}"]
    lines += section(
        "sections",
        table(
            ("nr", "name", "type", "size", "flags"),
            [
                (s.index, s.name, section_type(s.type), s.size, " ".join(section_flags(s.flags)))
                for s in elf.sections[1:]
            ],
            right="nr size",
        ),
    )
    lines += section("programs", _program_rows(spec))
    lines += section("maps", _map_rows(spec))
    lines += section("variables", _variable_rows(spec))
    lines += section(
        "externs",
        table(
            ("name", "section", "kind", "strength"),
            [
                (
                    each.name,
                    each.section,
                    "function" if each.is_function else "variable",
                    "weak" if each.is_weak else "strong",
                )
                for each in spec.externs.values()
            ],
        )
        if spec.externs
        else [],
    )
    return lines


def _program_rows(spec: CollectionSpec) -> list[str]:
    if not spec.programs:
        return []
    rows = []
    for program in spec.programs.values():
        notes = [*program.flags] if program.autoload else ["not loaded by default", *program.flags]
        rows.append(
            (
                program.name,
                program.section,
                program.type,
                " ".join(part for part in (program.attach_type, program.attach_to) if part) or "-",
                program.slots,
                len(program.subprograms),
                ", ".join(notes),
            )
        )
    return table(
        ("name", "section", "type", "attaches to", "slots", "subprograms", ""),
        rows,
        right="slots subprograms",
    )


def _map_rows(spec: CollectionSpec) -> list[str]:
    if not spec.maps:
        return []
    return table(
        ("name", "type", "key", "value", "entries", "flags", ""),
        [
            (
                name,
                each.type,
                each.key_size,
                each.value_size,
                each.max_entries,
                f"{each.flags:#x}",
                "pinned by name" if each.pinning else "",
            )
            for name, each in spec.maps.items()
        ],
        right="key value entries flags",
    )


def _variable_rows(spec: CollectionSpec) -> list[str]:
    if not spec.variables:
        return []
    return table(
        ("name", "section", "offset", "size", "type", "value"),
        [
            (
                name,
                each.section,
                each.offset,
                each.size,
                type_text(spec, each.type_id),
                value_text(spec, each),
            )
            for name, each in spec.variables.items()
        ],
        right="offset size",
    )


def map_lines(spec: CollectionSpec) -> list[str]:
    """The maps one by one: sizes, types, inner maps, initial entries."""
    lines: list[str] = []
    for name, each in spec.maps.items():
        lines += [*([""] if lines else []), *_one_map(spec, name, each)]
    return lines or [f"{spec.file or spec.name}: no maps"]


def _one_map(spec: CollectionSpec, name: str, each: MapSpec) -> list[str]:
    lines = [f"{name}: {each.type}, {plural(each.max_entries, 'entry', 'entries')}"]
    lines.append(f"  key    {_sized(spec, each.key_size, each.key_type_id)}")
    lines.append(f"  value  {_sized(spec, each.value_size, each.value_type_id)}")
    if each.name != name:
        lines.append(f"  named  {each.name}")
    if each.flags:
        lines.append(f"  flags  {flag_names(spec, each.flags)}")
    if each.extra:
        lines.append(f"  extra  {each.extra:#x}")
    if each.numa_node >= 0:
        lines.append(f"  node   {each.numa_node}")
    if each.pinning:
        lines.append("  pinned by name")
    lines += [f"  tag    {tag}" for tag in each.tags]
    if each.inner is not None:
        lines.append("  inner map:")
        lines += [f"    {line}" for line in _one_map(spec, each.inner.name, each.inner)]
    for key, value in each.contents if each.kind == "user" else ():
        shown = value if isinstance(value, str) else value.hex(" ")
        lines.append(f"  [{int.from_bytes(key, 'little')}] = {shown}")
    return lines


def _sized(spec: CollectionSpec, size: int, type_id: int) -> str:
    name = type_text(spec, type_id)
    return f"{plural(size, 'byte')}{f', {name}' if name else ''}"


def type_text(spec: CollectionSpec, type_id: int) -> str:
    """The type's name as C writes it, or '' where the object does not say."""
    if spec.btf is None or not type_id:
        return ""
    from anybpf.btf import DataSection
    from anybpf.btf.names import type_name

    if isinstance(spec.btf.type(type_id), DataSection):
        return ""  # a section is not a type that C can name
    return type_name(spec.btf, type_id)


def value_text(spec: CollectionSpec, variable: VariableSpec) -> str:
    """A variable's initial value, typed where its type is known, cut where it is long."""
    if variable.size > _LARGEST_SHOWN:
        return f"{variable.head(20).hex(' ')}..."
    if spec.btf is not None and variable.type_id:
        from anybpf.btf.values import format_value

        text = " ".join(format_value(spec.btf, variable.type_id, variable.value).split())
    else:
        text = variable.value[:20].hex(" ")
    return text if len(text) <= 60 else text[:57] + "..."


def flag_names(spec: CollectionSpec, flags: int) -> str:
    """The names of a map's flags, and the number of what has none."""
    from anybpf.platforms import get

    words = []
    for flag in get(spec.platform).map_flags:
        if flags & flag.bit:
            words.append(flag.name)
            flags &= ~flag.bit
    return " ".join([*words, *([f"{flags:#x}"] if flags else [])])


def section_type(number: int) -> str:
    return SECTION_TYPES.get(number, f"{number:#x}")


def section_flags(bits: int) -> list[str]:
    return [word for bit, word in SECTION_FLAGS if bits & bit]


def version_text(version: int) -> str:
    """A kernel version as it is written: 0x60100 is 6.1.0."""
    return f"{version >> 16}.{version >> 8 & 255}.{version & 255}"


def object_as_json(spec: CollectionSpec, elf: ElfFile) -> dict[str, Any]:
    return {
        "file": spec.file,
        "platform": spec.platform,
        "byte_order": "big" if spec.big_endian else "little",
        "license": spec.license,
        "version": spec.version,
        "btf_types": None if spec.btf is None else len(spec.btf) - 1,
        "sections": [
            {
                "index": s.index,
                "name": s.name,
                "type": section_type(s.type),
                "flags": section_flags(s.flags),
                "offset": s.offset,
                "size": s.size,
            }
            for s in elf.sections[1:]
        ],
        "programs": [program_as_json(each) for each in spec.programs.values()],
        "maps": [map_as_json(spec, name, each) for name, each in spec.maps.items()],
        "variables": [
            {
                "name": name,
                "section": each.section,
                "offset": each.offset,
                "size": each.size,
                "type": type_text(spec, each.type_id) or None,
                "constant": each.is_constant,
                "value": each.head(_LARGEST_SHOWN).hex(),
                "tags": each.tags,
            }
            for name, each in spec.variables.items()
        ],
        "externs": [
            {
                "name": each.name,
                "section": each.section,
                "kind": "function" if each.is_function else "variable",
                "weak": each.is_weak,
            }
            for each in spec.externs.values()
        ],
    }


def program_as_json(program: ProgramSpec) -> dict[str, Any]:
    return {
        "name": program.name,
        "section": program.section,
        "type": program.type,
        "attach_type": program.attach_type or None,
        "attach_to": program.attach_to or None,
        "autoload": program.autoload,
        "flags": program.flags,
        "slots": program.slots,
        "bytes_xlated": program.slots * 8,
        "subprograms": [function.name for function in program.subprograms],
    }


def map_as_json(spec: CollectionSpec, key: str, each: MapSpec) -> dict[str, Any]:
    """``key`` is what the specs call it, ``name`` what a system is told."""
    return {
        "key": key,
        "name": each.name,
        "type": each.type,
        "bytes_key": each.key_size,
        "bytes_value": each.value_size,
        "max_entries": each.max_entries,
        "flags": each.flags,
        "key_type": type_text(spec, each.key_type_id) or None,
        "value_type": type_text(spec, each.value_type_id) or None,
        "pinning": each.pinning or None,
        "numa_node": each.numa_node if each.numa_node >= 0 else None,
        "map_extra": each.extra,
        "kind": each.kind,
        "section": each.section or None,
        "tags": each.tags,
        "inner_map": None if each.inner is None else map_as_json(spec, each.inner.name, each.inner),
        "contents": [
            {"key": key.hex(), "value": value if isinstance(value, str) else value.hex()}
            for key, value in each.contents
        ]
        if each.kind == "user"
        else [],
    }
