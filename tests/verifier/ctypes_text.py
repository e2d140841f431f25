"""Types for cases: one-line C declarations to BTF.

Just what cases need: structures of integers, arrays, the kernel's own structures and tagged
pointers, and prototypes of functions. Not a C parser.
"""

from __future__ import annotations

import re

from anybpf.btf import BTFBuilder
from anybpf.btf import types as t

# Sizes and alignments of structures that programs put into maps: Linux UAPI header linux/bpf.h and
# tools/testing/selftests/bpf/bpf_experimental.h.
KERNEL_STRUCTURES = {
    "bpf_spin_lock": (4, 4),
    "bpf_res_spin_lock": (4, 4),
    "bpf_timer": (16, 8),
    "bpf_wq": (16, 8),
    "bpf_task_work": (8, 8),
    "bpf_list_head": (16, 8),
    "bpf_list_node": (24, 8),
    "bpf_rb_root": (16, 8),
    "bpf_rb_node": (32, 8),
    "bpf_refcount": (4, 4),
    "bpf_dynptr": (16, 8),
}
INTEGERS = {
    "u8": (1, 0), "u16": (2, 0), "u32": (4, 0), "u64": (8, 0), "char": (1, 1), "s8": (1, 1),
    "s16": (2, 1), "s32": (4, 1), "int": (4, 1), "s64": (8, 1), "long": (8, 1),
}  # fmt: skip
_STRUCT = re.compile(r"(\w+)\s*\{(.*)\}")
_MEMBER = re.compile(
    r"(struct\s+)?(\w+)((?:\s+__\w+)*)\s*(\*?)\s*(\w+)(?:\[(\d+)\])?(?:\s+contains\((\w+),\s*(\w+)\))?"
)
_FUNCTION = re.compile(r"(struct\s+)?(\w+)\s*(\*?)\s*(\w+)\((.*)\)")
_PARAMETER = re.compile(r"(const\s+)?(struct\s+)?(\w+)\s*(\*?)\s*(\w+)((?:\s+__arg_\w+)*)")


class Types:
    """The types of one case. A text that is not understood is a ValueError."""

    def __init__(self) -> None:
        self.builder = BTFBuilder()
        self._known: dict[str, tuple[int, int, int]] = {}  # id, size, alignment
        self._protos: int = 0

    def add_struct(self, text: str) -> None:
        """`value { struct bpf_spin_lock lock; u64 hits; }`"""
        found = _STRUCT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no structure such as pair {{ u32 a; u32 b; }}")
        members: list[t.Member] = []
        tags: list[tuple[int, str]] = []
        at = 0
        largest = 1
        for part in found[2].split(";"):
            if not part.strip():
                continue
            field = _MEMBER.fullmatch(part.strip())
            if field is None:
                raise ValueError(f"{part.strip()!r} is no member such as u32 count")
            type_id, size, align = self._named(field[2], bool(field[1]))
            if field[4]:
                for tag in field[3].split():
                    type_id = self.builder.add(t.TypeTag(tag.lstrip("_"), type_id))
                type_id, size, align = self.builder.add(t.Pointer(type_id)), 8, 8
            if field[6]:
                index = self._named("u32", False)[0]
                type_id = self.builder.add(t.Array(type_id, index, int(field[6])))
                size *= int(field[6])
            at = -(-at // align) * align
            if field[7]:
                tags.append((len(members), f"contains:{field[7]}:{field[8]}"))
            members.append(t.Member(field[5], type_id, at * 8))
            at += size
            largest = max(largest, align)
        size = -(-at // largest) * largest
        made = self.builder.add(t.Struct(found[1], size, members))
        for index, tag_text in tags:
            self.builder.add(t.DeclTag(tag_text, made, index))
        self._known[f"struct {found[1]}"] = (made, size, largest)

    def add_function(self, text: str, is_global: bool) -> tuple[str, int]:
        """`u64 sum(struct pair *numbers __arg_nonnull, u32 count)`; its name and id."""
        found = _FUNCTION.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no function such as u64 twice(u64 x)")
        result = 0 if found[2] == "void" else self._named(found[2], bool(found[1]))[0]
        if found[3]:
            result = self.builder.add(t.Pointer(result))
        params: list[t.Param] = []
        tags: list[tuple[int, str]] = []
        for part in found[5].split(","):
            if part.strip() in ("", "void"):
                continue
            field = _PARAMETER.fullmatch(part.strip())
            if field is None:
                raise ValueError(f"{part.strip()!r} is no parameter such as u32 *count")
            type_id = 0 if field[3] == "void" else self._named(field[3], bool(field[2]))[0]
            if field[1]:
                type_id = self.builder.add(t.Const(type_id))
            if field[4]:
                type_id = self.builder.add(t.Pointer(type_id))
            for tag in field[6].split():
                tags.append((len(params), "arg:" + tag.removeprefix("__arg_")))
            params.append(t.Param(field[5], type_id))
        proto = self.builder.add(t.FunctionProto(result, params))
        linkage = t.LINKAGE_GLOBAL if is_global else t.LINKAGE_STATIC
        made = self.builder.add(t.Function(found[4], proto, linkage))
        for index, tag_text in tags:
            self.builder.add(t.DeclTag(tag_text, made, index))
        return found[4], made

    def struct_id(self, name: str) -> int:
        return self._known[f"struct {name}"][0]

    def size(self, name: str) -> int:
        return self._known[f"struct {name}"][1]

    def integer_id(self, name: str) -> int:
        return self._named(name, False)[0]

    def _named(self, name: str, is_struct: bool) -> tuple[int, int, int]:
        key = f"struct {name}" if is_struct else name
        known = self._known.get(key)
        if known is not None:
            return known
        if not is_struct:
            if name not in INTEGERS:
                raise ValueError(f"there is no type {name!r} here; structures are struct {name}")
            size, encoding = INTEGERS[name]
            made = self.builder.add(t.Int(name, size, encoding))
            align = size
        else:
            # Structures that only pointers lead to are known by name, without a size.
            size, align = KERNEL_STRUCTURES.get(name, (0, 1))
            members = []
            if size:
                word = self._named("u64" if align == 8 else "u32", False)[0]
                if size > align:
                    word = self.builder.add(
                        t.Array(word, self._named("u32", False)[0], size // align)
                    )
                members.append(t.Member("opaque", word, 0))
            made = self.builder.add(t.Struct(name, size, members))
        self._known[key] = (made, size, align)
        return self._known[key]
