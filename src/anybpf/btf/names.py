"""Types written in C: `struct iphdr *`, `void (*)(int)`, `const char name[16]`.

The names are for listings and messages; `cdump` writes whole definitions and uses the
declarators of this module. What a damaged BTF calls a name comes out as a C identifier.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.btf.container import BTF
from anybpf.btf.layout import MAX_DEPTH
from anybpf.errors import BTFError

# Longest text of one type; damaged BTF can nest function pointers into an endless one.
_MAX_TEXT: Final = 100_000

_TAGS: Final = {t.KIND_STRUCT: "struct", t.KIND_UNION: "union"}
# Keywords of C17 and of its GNU dialect (ISO/IEC 9899:2018, 6.4.1); `bool` is none there.
_KEYWORDS: Final = frozenset(
    (
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
        "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
        "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch",
        "typedef", "union", "unsigned", "void", "volatile", "while", "_Alignas", "_Alignof",
        "_Atomic", "_Bool", "_Complex", "_Generic", "_Imaginary", "_Noreturn",
        "_Static_assert", "_Thread_local", "asm", "typeof",
    )
)  # fmt: skip
_QUALIFIERS: Final = {
    t.KIND_CONST: "const", t.KIND_VOLATILE: "volatile", t.KIND_RESTRICT: "restrict",
}  # fmt: skip


def type_name(btf: BTF, type_id: int, name: str = "") -> str:
    """A type as C writes it, or with `name` the declaration of a variable of that type.

    >>> from anybpf.btf import BTFBuilder, Int, Pointer
    >>> builder = BTFBuilder()
    >>> pointer = builder.add(Pointer(builder.add(Int("int", 4))))
    >>> type_name(builder.build(), pointer), type_name(builder.build(), pointer, "p")
    ('int *', 'int *p')
    """
    return Declarator(btf).declare(type_id, name)


def identifier(name: str) -> str:
    """`name` with whatever C does not allow in an identifier replaced by underscores."""
    if name.isidentifier() and name.isascii():
        return name + "_" if name in _KEYWORDS else name
    text = "".join([c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name])
    return "_" + text if not text or text[0].isdigit() else text


def quoted(text: str) -> str:
    """A C string literal."""
    raw = text.encode("utf-8", "surrogateescape")
    parts = ['"']
    for byte in raw:
        if byte in (0x22, 0x5C):
            parts.append("\\" + chr(byte))
        elif 0x20 <= byte < 0x7F:
            parts.append(chr(byte))
        else:
            parts.append(f"\\{byte:03o}")
    parts.append('"')
    return "".join(parts)


class Declarator:
    """Writes declarations; subclasses say how named and anonymous types look."""

    def __init__(self, btf: BTF) -> None:
        self.btf: BTF = btf
        # Typedefs that are written as what they stand for.
        self.expanded: frozenset[str] = frozenset()

    def base(self, found: t.Type, depth: int) -> str:
        """The specifier of a type that is no pointer, array, function or qualifier."""
        if found.kind == t.KIND_VOID:
            return "void"
        name = identifier(found.name) if found.name else ""
        if isinstance(found, t.Int):
            return found.name if plain_words(found.name) else name
        if isinstance(found, t.Composite):
            tag = _TAGS[found.kind]
            return f"{tag} {name}" if name else f"{tag} {{...}}"
        if isinstance(found, t.Enum):
            return f"enum {name}" if name else "enum {...}"
        if isinstance(found, t.Forward):
            return f"{'union' if found.is_union else 'struct'} {name}"
        if isinstance(found, t.Float):
            return found.name if plain_words(found.name) else name
        if isinstance(found, (t.Var, t.Function, t.DataSection, t.DeclTag)):
            return name
        return name or "void"

    def parameter(self, param: t.Param, depth: int) -> str:
        return self.declare(param.type_id, identifier(param.name) if param.name else "", depth + 1)

    def tag(self, found: t.TypeTag) -> str:
        """How a type tag is written, if at all."""
        return ""

    def declare(self, type_id: int, name: str = "", depth: int = 0) -> str:
        """`name` declared as this type; the declarator grows around the name from inside out."""
        inner = name
        qualifiers: list[str] = []
        tags: list[str] = []
        for _ in range(4 * MAX_DEPTH):
            found = self.btf.type(type_id)
            if len(inner) > _MAX_TEXT or depth > MAX_DEPTH:
                break
            if isinstance(found, t.Pointer):
                words = " ".join(qualifiers + tags)
                gap = " " if words and inner else ""
                inner = f"*{words}{gap}{inner}"
                qualifiers = []
                tags = []
                type_id = found.type_id
            elif isinstance(found, t.Array):
                inner = f"{_grouped(inner)}[{found.count}]"
                type_id = found.element_id
            elif isinstance(found, t.FunctionProto):
                inner = f"{_grouped(inner)}({self._parameters(found, depth)})"
                qualifiers = []
                tags = []
                type_id = found.return_id
            elif isinstance(found, t.TypeTag):
                text = self.tag(found)
                if text:
                    tags.append(text)
                type_id = found.type_id
            elif isinstance(found, t.Typedef) and found.name in self.expanded:
                type_id = found.type_id
            elif found.kind in _QUALIFIERS:
                assert isinstance(found, t.Reference)
                word = _QUALIFIERS[found.kind]
                if word not in qualifiers:
                    qualifiers.append(word)
                type_id = found.type_id
            else:
                plain = [word for word in qualifiers if word != "restrict"]
                head = " ".join([*plain, self.base(found, depth), *tags])
                return _joined(head, inner)
        raise BTFError(
            f"type {type_id}: pointers, arrays and functions are nested too deep to be written",
            file=self.btf.file,
            offset=self.btf.offset_of(type_id),
        )

    def _parameters(self, found: t.FunctionProto, depth: int) -> str:
        params = found.params
        if not params:
            return "void"
        if len(params) == 1 and params[0].type_id == 0 and not params[0].name:
            return ""
        texts: list[str] = []
        total = 0
        for index, param in enumerate(params):
            last = index + 1 == len(params)
            if last and param.type_id == 0 and not param.name:
                text = "..."
            else:
                text = self.parameter(param, depth)
            total += len(text)
            if total > _MAX_TEXT:
                raise BTFError(
                    f"type {found.id}: its parameters are too long to be written",
                    file=self.btf.file,
                    offset=self.btf.offset_of(found.id),
                )
            texts.append(text)
        return ", ".join(texts)


def plain_words(name: str) -> bool:
    """Whether a name is made of identifiers and single spaces, as `unsigned int` is."""
    return bool(name) and name.isascii() and all(w.isidentifier() for w in name.split(" "))


def _grouped(inner: str) -> str:
    return f"({inner})" if inner.startswith("*") else inner


def _joined(head: str, inner: str) -> str:
    if not inner:
        return head
    return f"{head}{inner}" if inner.startswith("[") else f"{head} {inner}"
