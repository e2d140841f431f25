"""BTF printed as a C header that a compiler for BPF accepts, such as `vmlinux.h`.

Types come in the order that C needs, with forward declarations where types refer to each other
in a circle. Where each field lies is told by `clayout`; functions and variables are not printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from anybpf.btf import types as t
from anybpf.btf.clayout import Planner
from anybpf.btf.container import BTF
from anybpf.btf.layout import broken
from anybpf.btf.names import Declarator, identifier, plain_words, quoted
from anybpf.errors import BTFError

# Fields and enumerators printed at most, and more for each byte of BTF (a field takes 12, and a
# kernel prints few of them twice); damaged BTF can nest anonymous structs without end.
_MAX_LINES: Final = 30_000
# Words that make up the names of C's own integers and floats.
_C_WORDS: Final = frozenset(
    (
        "signed", "unsigned", "char", "short", "int", "long", "_Bool", "__int128", "float",
        "double",
    )
)  # fmt: skip
# A name of the compiler's own, which it defines differently for each machine.
_BUILTIN: Final = frozenset(("__builtin_va_list",))
_INT_BY_SIZE: Final = {1: "char", 2: "short", 4: "int", 8: "long long", 16: "__int128"}
_FLOAT_BY_SIZE: Final = {2: "_Float16", 4: "float", 8: "double", 16: "long double"}
# Machine modes that give an enum another size than int has (GCC manual, "mode" attribute).
_ENUM_MODE: Final = {1: "QI", 2: "HI", 8: "DI"}

_ACCESS_INDEX: Final = (
    "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
    "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n"
    "#endif\n"
)
_ACCESS_INDEX_END: Final = (
    "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n"
)

# Kinds that are no C types by themselves.
_NOT_PRINTED: Final = frozenset(
    (t.KIND_FUNC, t.KIND_FUNC_PROTO, t.KIND_VAR, t.KIND_DATASEC, t.KIND_DECL_TAG)
)

# What may be asked of a named type: that its name is known, or that it is complete.
_DECLARE: Final = 0
_DEFINE: Final = 1


def dump_c(
    btf: BTF,
    ids: Iterable[int] | None = None,
    guard: str = "__VMLINUX_H__",
    preserve_access_index: bool = True,
) -> str:
    """A header with all types, or with those of `ids` and what they need.

    An empty `guard` leaves out the `#ifndef` around the header. With `preserve_access_index`,
    every access to a field of these types becomes a CO-RE relocation.
    """
    writer = HeaderWriter(btf)
    if ids is None:
        writer.add_all()
    else:
        for type_id in ids:
            writer.add(type_id)
    text = writer.text()
    if preserve_access_index:
        text = f"{_ACCESS_INDEX}\n{text}\n{_ACCESS_INDEX_END}"
    if guard:
        name = identifier(guard)
        text = f"#ifndef {name}\n#define {name}\n\n{text}\n#endif /* {name} */\n"
    return text


class HeaderWriter(Declarator):
    """Collects definitions in the order that C needs."""

    def __init__(self, btf: BTF) -> None:
        super().__init__(btf)
        self.expanded = _BUILTIN
        self._out: list[str] = []
        self._done: set[tuple[int, int]] = set()
        self._needed: dict[tuple[int, bool], list[tuple[int, int]]] = {}
        self._planner: Planner = Planner(btf)
        self._indent: int = 0
        self._lines_left: int = _MAX_LINES
        part: BTF | None = btf
        while part is not None:
            self._lines_left += len(part.encode()) // 4
            part = part.base
        # Names given so far, for tags and for everything else; C keeps the two apart.
        self._names: dict[int, str] = {}
        self._tags_used: dict[str, int] = {}
        self._others_used: dict[str, int] = {}
        self._forwards: dict[tuple[str, bool], int] = {}

    def text(self) -> str:
        return "\n".join(self._out)

    def add_all(self) -> None:
        """Every type with a name, and enumerations without one that nothing else contains."""
        inlined: set[int] = set()
        ids = [i for i in range(1, len(self.btf)) if self.btf.kind_of(i) not in _NOT_PRINTED]
        for type_id in ids:
            found = self.btf.type(type_id)
            if isinstance(found, t.Reference):
                inlined.add(found.type_id)
            elif isinstance(found, t.Composite):
                for member in found.members:
                    inlined.add(member.type_id)
            elif isinstance(found, t.Array):
                inlined.add(found.element_id)
        for type_id in ids:
            found = self.btf.type(type_id)
            if found.name or (isinstance(found, t.Enum) and type_id not in inlined):
                self.add(type_id)

    def add(self, type_id: int) -> None:
        """One type, after everything that it needs."""
        found = self.btf.type(type_id)
        if isinstance(found, t.Enum) and not found.name:
            self._emit(self._enum_text(found, "enum") + ";\n")
            return
        if found.kind in _NOT_PRINTED:
            return
        for node in self._needs(type_id, True):
            self._order(node)

    # What needs what

    def _needs(self, type_id: int, complete: bool) -> list[tuple[int, int]]:
        """The named types that stand between a use of a type and C, in a fixed order."""
        key = (type_id, complete)
        known = self._needed.get(key)
        if known is None:
            known = self._find_needs(type_id, complete)
            self._needed[key] = known
        return known

    def _find_needs(self, type_id: int, complete: bool) -> list[tuple[int, int]]:
        nodes: list[tuple[int, int]] = []
        todo = [(type_id, complete)]
        seen = set(todo)
        while todo:
            current, whole = todo.pop()
            found = self.btf.type(current)
            self._count_line(found)
            more: list[tuple[int, bool]] = []
            if isinstance(found, t.Pointer):
                more.append((found.type_id, False))
            elif isinstance(found, t.Typedef):
                if found.name in _BUILTIN:
                    more.append((found.type_id, whole))
                else:
                    nodes.append((current, _DEFINE if whole else _DECLARE))
            elif isinstance(found, t.Reference):
                more.append((found.type_id, whole))
            elif isinstance(found, t.Array):
                more.append((found.element_id, True))
            elif isinstance(found, t.FunctionProto):
                more.append((found.return_id, False))
                for param in found.params:
                    more.append((param.type_id, False))
            elif isinstance(found, t.Composite):
                if found.name:
                    nodes.append((current, _DEFINE if whole else _DECLARE))
                else:
                    for member in found.members:
                        more.append((member.type_id, True))
            elif isinstance(found, t.Forward):
                nodes.append((self._forward_target(found), _DECLARE))
            elif isinstance(found, t.Enum):
                if found.name:
                    nodes.append((current, _DEFINE))
            elif isinstance(found, (t.Int, t.Float)) and not _is_c_name(found.name):
                nodes.append((current, _DEFINE))
            for step in reversed(more):
                if step not in seen:
                    seen.add(step)
                    todo.append(step)
        return nodes

    def _forward_target(self, found: t.Forward) -> int:
        """The definition that a forward declaration means, or one declaration for all like it."""
        key = (found.name, found.is_union)
        known = self._forwards.get(key)
        if known is None:
            kind = t.KIND_UNION if found.is_union else t.KIND_STRUCT
            definition = self.btf.find(found.name, kind) if found.name else None
            known = found.id if definition is None else definition.id
            self._forwards[key] = known
        return known

    def _before(self, node: tuple[int, int]) -> list[tuple[int, int]]:
        """What must have been written before a declaration or definition."""
        type_id, level = node
        found = self.btf.type(type_id)
        if isinstance(found, t.Typedef):
            if level == _DECLARE:
                return self._needs(found.type_id, False)
            return [(type_id, _DECLARE), *self._needs(found.type_id, True)]
        if isinstance(found, t.Composite) and level == _DEFINE:
            nodes: list[tuple[int, int]] = []
            own = (type_id, _DECLARE)
            for member in found.members:
                for need in self._needs(member.type_id, True):
                    if need != own and need not in self._done:
                        nodes.append(need)
            return nodes
        return []

    def _order(self, root: tuple[int, int]) -> None:
        """Write `root` after all that it needs: a walk in depth without recursion."""
        if root in self._done:
            return
        path = {root}
        stack = [(root, iter(self._before(root)))]
        while stack:
            node, needs = stack[-1]
            step = next(needs, None)
            if step is None:
                stack.pop()
                path.discard(node)
                self._done.add(node)
                self._write(node)
            elif step in path:
                raise broken(
                    self.btf, step[0], "it contains itself, which no C declaration can express"
                )
            elif step not in self._done:
                path.add(step)
                stack.append((step, iter(self._before(step))))

    # Writing

    def _emit(self, text: str) -> None:
        self._out.append(text)

    def _write(self, node: tuple[int, int]) -> None:
        type_id, level = node
        found = self.btf.type(type_id)
        if isinstance(found, t.Composite):
            if level == _DEFINE:
                self._emit(self._body(found, 0) + ";\n")
            elif (type_id, _DEFINE) not in self._done:
                self._emit(f"{self.base(found, 0)};\n")
        elif isinstance(found, t.Typedef):
            if level == _DECLARE:
                name = self._other_name(found)
                self._emit(f"typedef {self.declare(found.type_id, name)};\n")
        elif isinstance(found, t.Enum):
            self._emit(self._enum_text(found, f"enum {self._tag_name(found)}") + ";\n")
        elif isinstance(found, t.Forward):
            self._emit(f"{self.base(found, 0)};\n")
        elif isinstance(found, t.Int):
            self._emit(f"typedef {_int_like(found, self._other_name(found))};\n")
        elif isinstance(found, t.Float):
            like = _FLOAT_BY_SIZE.get(found.size, "")
            name = self._other_name(found)
            text = f"{like} {name}" if like else f"unsigned char {name}[{found.size}]"
            self._emit(f"typedef {text};\n")

    def _tag_name(self, found: t.Type) -> str:
        return self._unique(found.id, found.name, self._tags_used)

    def _other_name(self, found: t.Type) -> str:
        return self._unique(found.id, found.name, self._others_used)

    def _unique(self, type_id: int, name: str, used: dict[str, int]) -> str:
        known = self._names.get(type_id)
        if known is None:
            known = _numbered(identifier(name), used)
            self._names[type_id] = known
        return known

    def base(self, found: t.Type, depth: int) -> str:
        if isinstance(found, t.Composite):
            if not found.name:
                return self._body(found, depth + 1)
            tag = "struct" if found.kind == t.KIND_STRUCT else "union"
            return f"{tag} {self._tag_name(found)}"
        if isinstance(found, t.Forward):
            target = self.btf.type(self._forward_target(found))
            return f"{'union' if found.is_union else 'struct'} {self._tag_name(target)}"
        if isinstance(found, t.Enum):
            if found.name:
                return f"enum {self._tag_name(found)}"
            return self._enum_text(found, "enum")
        if isinstance(found, t.Typedef):
            return self._other_name(found)
        if isinstance(found, (t.Int, t.Float)):
            return found.name if _is_c_name(found.name) else self._other_name(found)
        if found.kind == t.KIND_VOID:
            return "void"
        raise broken(self.btf, found.id, f"a {found.kind_name} cannot stand in a declaration")

    def tag(self, found: t.TypeTag) -> str:
        if not found.attribute:
            return f"__attribute__((btf_type_tag({quoted(found.name)})))"
        word, _, argument = found.name.partition("(")
        if not plain_words(word) or (argument and not argument.removesuffix(")").isalnum()):
            return ""
        return f"__attribute__(({found.name}))"

    def _count_line(self, found: t.Type) -> None:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise broken(self.btf, found.id, "the header would grow without bound")

    def _body(self, found: t.Composite, depth: int) -> str:
        """A struct or union with its fields, indented as deep as it stands."""
        plan = self._planner.plan(found)
        tag = "struct" if found.kind == t.KIND_STRUCT else "union"
        head = f"{tag} {self._tag_name(found)} {{" if found.name else f"{tag} {{"
        self._indent += 1
        tabs = "\t" * self._indent
        lines = [head]
        for index, member in enumerate(found.members):
            for pad in plan.padding[index]:
                lines.append(f"{tabs}{pad};")
            self._count_line(found)
            lines.append(f"{tabs}{self._field(member, index, depth)};")
        for pad in plan.padding[-1]:
            lines.append(f"{tabs}{pad};")
        self._indent -= 1
        packed = " __attribute__((packed))" if plan.packed else ""
        lines.append("\t" * self._indent + "}" + packed)
        return "\n".join(lines)

    def _field(self, member: t.Member, index: int, depth: int) -> str:
        name = identifier(member.name) if member.name else ""
        if not name:
            direct = self.btf.type(member.type_id)
            if not isinstance(direct, t.Composite) or direct.name:
                # C has no fields without a name but structs and unions written out on the spot.
                name = f"__unnamed_{index}"
        text = self.declare(member.type_id, name, depth)
        _start, bits, odd = self._planner.place(member)
        return f"{text}: {bits}" if odd else text

    def _enum_text(self, found: t.Enum, head: str) -> str:
        if not found.values:
            return head if found.name else f"{head} {{ }}"
        tabs = "\t" * (self._indent + 1)
        lines = [head + " {"]
        wide = False
        for entry in found.values:
            self._count_line(found)
            name = _numbered(identifier(entry.name), self._others_used)
            wide = wide or not -(1 << 31) <= entry.value < 1 << 32
            lines.append(f"{tabs}{name} = {_literal(entry.value, found.kind)},")
        mode = "" if wide else _ENUM_MODE.get(found.size, "")
        attribute = f" __attribute__((mode({mode})))" if mode else ""
        lines.append("\t" * self._indent + "}" + attribute)
        return "\n".join(lines)


def _numbered(name: str, used: dict[str, int]) -> str:
    """`name`, or `name___2` and so on if it was given before."""
    count = used.get(name, 0) + 1
    used[name] = count
    if count == 1:
        return name
    return _numbered(f"{name}___{count}", used)


def _literal(value: int, kind: int) -> str:
    if kind != t.KIND_ENUM64:
        return str(value)
    if value >= 0:
        return f"{value}ULL"
    return "(-9223372036854775807LL - 1)" if value == -(1 << 63) else f"{value}LL"


def _is_c_name(name: str) -> bool:
    return bool(name) and all(word in _C_WORDS for word in name.split(" "))


def _int_like(found: t.Int, name: str) -> str:
    """A C integer of the same size and sign, for compilers' types that C has no word for."""
    if found.boolean and found.size == 1:
        return f"_Bool {name}"
    like = _INT_BY_SIZE.get(found.size)
    if like is None:
        if found.size <= 0:
            raise BTFError(f"type {found.id}: an integer of {found.size} bytes")
        return f"unsigned char {name}[{found.size}]"
    return f"{'signed' if found.signed else 'unsigned'} {like} {name}"
