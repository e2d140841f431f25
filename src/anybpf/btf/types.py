"""The nineteen kinds of BTF type as plain Python objects.

A type refers to other types by id; `BTF.type` turns an id into a type. Nothing here reads bytes
(see `parse`) or knows sizes (see `layout`).
"""

from __future__ import annotations

from typing import Final

# Kind numbers: Linux kernel, Documentation/bpf/btf.rst and include/uapi/linux/btf.h.
KIND_VOID: Final = 0
KIND_INT: Final = 1
KIND_PTR: Final = 2
KIND_ARRAY: Final = 3
KIND_STRUCT: Final = 4
KIND_UNION: Final = 5
KIND_ENUM: Final = 6
KIND_FWD: Final = 7
KIND_TYPEDEF: Final = 8
KIND_VOLATILE: Final = 9
KIND_CONST: Final = 10
KIND_RESTRICT: Final = 11
KIND_FUNC: Final = 12
KIND_FUNC_PROTO: Final = 13
KIND_VAR: Final = 14
KIND_DATASEC: Final = 15
KIND_FLOAT: Final = 16
KIND_DECL_TAG: Final = 17
KIND_TYPE_TAG: Final = 18
KIND_ENUM64: Final = 19

KIND_NAMES: Final = (
    "void", "int", "ptr", "array", "struct", "union", "enum", "fwd", "typedef", "volatile",
    "const", "restrict", "func", "func_proto", "var", "datasec", "float", "decl_tag",
    "type_tag", "enum64",
)  # fmt: skip

# Bits of an integer's encoding (btf.rst, section 2.2.1).
INT_SIGNED: Final = 1
INT_CHAR: Final = 2
INT_BOOL: Final = 4

# Linkage of functions and variables (enum btf_func_linkage; BTF_VAR_* in include/uapi/linux/btf.h).
LINKAGE_STATIC: Final = 0
LINKAGE_GLOBAL: Final = 1
LINKAGE_EXTERN: Final = 2


class Type:
    """What every type has: `kind` (a `KIND_*` number), `name` ("" if none) and `id`.

    The id is given by the `BTF` that the type was read from; in a type made by hand it is 0 until
    `BTFBuilder.add` returns one.
    """

    __slots__ = ("id", "kind", "name")

    def __init__(self, kind: int, name: str) -> None:
        self.id: int = 0
        self.kind: int = kind
        self.name: str = name

    @property
    def kind_name(self) -> str:
        return KIND_NAMES[self.kind]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or '(anon)'} id={self.id}>"


class Void(Type):
    """The absence of a type, always id 0."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(KIND_VOID, "")


class Int(Type):
    """An integer of `size` bytes, of which `bits` from `bit_offset` on hold the value."""

    __slots__ = ("bit_offset", "bits", "encoding", "size")

    def __init__(
        self, name: str, size: int, encoding: int = 0, bits: int = -1, bit_offset: int = 0
    ) -> None:
        super().__init__(KIND_INT, name)
        self.size: int = size
        self.encoding: int = encoding
        self.bits: int = size * 8 if bits < 0 else bits
        self.bit_offset: int = bit_offset

    @property
    def signed(self) -> bool:
        return bool(self.encoding & INT_SIGNED)

    @property
    def boolean(self) -> bool:
        return bool(self.encoding & INT_BOOL)


class Reference(Type):
    """A type that says something about one other: pointers, qualifiers, typedefs, functions."""

    __slots__ = ("type_id",)

    def __init__(self, kind: int, name: str, type_id: int) -> None:
        super().__init__(kind, name)
        self.type_id: int = type_id


class Pointer(Reference):
    __slots__ = ()

    def __init__(self, type_id: int) -> None:
        super().__init__(KIND_PTR, "", type_id)


class Typedef(Reference):
    __slots__ = ()

    def __init__(self, name: str, type_id: int) -> None:
        super().__init__(KIND_TYPEDEF, name, type_id)


class Volatile(Reference):
    __slots__ = ()

    def __init__(self, type_id: int) -> None:
        super().__init__(KIND_VOLATILE, "", type_id)


class Const(Reference):
    __slots__ = ()

    def __init__(self, type_id: int) -> None:
        super().__init__(KIND_CONST, "", type_id)


class Restrict(Reference):
    __slots__ = ()

    def __init__(self, type_id: int) -> None:
        super().__init__(KIND_RESTRICT, "", type_id)


class TypeTag(Reference):
    """`__attribute__((btf_type_tag("name")))`; with `attribute`, any other attribute of a type."""

    __slots__ = ("attribute",)

    def __init__(self, name: str, type_id: int, attribute: bool = False) -> None:
        super().__init__(KIND_TYPE_TAG, name, type_id)
        self.attribute: bool = attribute


class DeclTag(Reference):
    """A tag on a declaration, or on its member or parameter `component_index` (-1: the whole)."""

    __slots__ = ("attribute", "component_index")

    def __init__(
        self, name: str, type_id: int, component_index: int = -1, attribute: bool = False
    ) -> None:
        super().__init__(KIND_DECL_TAG, name, type_id)
        self.component_index: int = component_index
        self.attribute: bool = attribute


class Function(Reference):
    """A function; `type_id` is its `FunctionProto`."""

    __slots__ = ("linkage",)

    def __init__(self, name: str, type_id: int, linkage: int = LINKAGE_GLOBAL) -> None:
        super().__init__(KIND_FUNC, name, type_id)
        self.linkage: int = linkage


class Var(Reference):
    """A variable of a data section."""

    __slots__ = ("linkage",)

    def __init__(self, name: str, type_id: int, linkage: int = LINKAGE_GLOBAL) -> None:
        super().__init__(KIND_VAR, name, type_id)
        self.linkage: int = linkage


class Array(Type):
    __slots__ = ("count", "element_id", "index_id")

    def __init__(self, element_id: int, index_id: int, count: int) -> None:
        super().__init__(KIND_ARRAY, "")
        self.element_id: int = element_id
        self.index_id: int = index_id
        self.count: int = count


class Member:
    """A field; `bitfield_size` is 0 for one that is no bit-field."""

    __slots__ = ("bit_offset", "bitfield_size", "name", "type_id")

    def __init__(self, name: str, type_id: int, bit_offset: int, bitfield_size: int = 0) -> None:
        self.name: str = name
        self.type_id: int = type_id
        self.bit_offset: int = bit_offset
        self.bitfield_size: int = bitfield_size

    def __repr__(self) -> str:
        return f"<Member {self.name or '(anon)'} type={self.type_id} at bit {self.bit_offset}>"


class Composite(Type):
    """What structs and unions share.

    `kind_flag` tells how member offsets are stored: with it each carries a bit-field size.
    """

    __slots__ = ("kind_flag", "members", "size")

    def __init__(
        self, kind: int, name: str, size: int, members: list[Member], kind_flag: bool
    ) -> None:
        super().__init__(kind, name)
        self.size: int = size
        self.members: list[Member] = members
        self.kind_flag: bool = kind_flag


class Struct(Composite):
    __slots__ = ()

    def __init__(
        self, name: str, size: int, members: list[Member], kind_flag: bool | None = None
    ) -> None:
        flag = _has_bitfield(members) if kind_flag is None else kind_flag
        super().__init__(KIND_STRUCT, name, size, members, flag)


class Union(Composite):
    __slots__ = ()

    def __init__(
        self, name: str, size: int, members: list[Member], kind_flag: bool | None = None
    ) -> None:
        flag = _has_bitfield(members) if kind_flag is None else kind_flag
        super().__init__(KIND_UNION, name, size, members, flag)


def _has_bitfield(members: list[Member]) -> bool:
    for member in members:  # noqa: SIM110 - a plain loop compiles to plain code
        if member.bitfield_size:
            return True
    return False


class Enumerator:
    __slots__ = ("name", "value")

    def __init__(self, name: str, value: int) -> None:
        self.name: str = name
        self.value: int = value

    def __repr__(self) -> str:
        return f"<Enumerator {self.name}={self.value}>"


class Enum(Type):
    """An enumeration; one without values stands for `enum name;`, a declaration only."""

    __slots__ = ("signed", "size", "values")

    def __init__(
        self,
        name: str,
        size: int,
        signed: bool,
        values: list[Enumerator],
        kind: int = KIND_ENUM,
    ) -> None:
        super().__init__(kind, name)
        self.size: int = size
        self.signed: bool = signed
        self.values: list[Enumerator] = values


class Enum64(Enum):
    """An enumeration whose values need 64 bits."""

    __slots__ = ()

    def __init__(self, name: str, size: int, signed: bool, values: list[Enumerator]) -> None:
        super().__init__(name, size, signed, values, KIND_ENUM64)


class Forward(Type):
    """`struct name;` or `union name;`: declared, not defined."""

    __slots__ = ("is_union",)

    def __init__(self, name: str, is_union: bool = False) -> None:
        super().__init__(KIND_FWD, name)
        self.is_union: bool = is_union


class Param:
    """A parameter; a last one without name and type stands for `...`."""

    __slots__ = ("name", "type_id")

    def __init__(self, name: str, type_id: int) -> None:
        self.name: str = name
        self.type_id: int = type_id

    def __repr__(self) -> str:
        return f"<Param {self.name or '(anon)'} type={self.type_id}>"


class FunctionProto(Type):
    __slots__ = ("params", "return_id")

    def __init__(self, return_id: int, params: list[Param]) -> None:
        super().__init__(KIND_FUNC_PROTO, "")
        self.return_id: int = return_id
        self.params: list[Param] = params


class SectionVar:
    """Where a variable (`type_id` is a `Var`) lies in its section."""

    __slots__ = ("offset", "size", "type_id")

    def __init__(self, type_id: int, offset: int, size: int) -> None:
        self.type_id: int = type_id
        self.offset: int = offset
        self.size: int = size

    def __repr__(self) -> str:
        return f"<SectionVar type={self.type_id} at {self.offset}>"


class DataSection(Type):
    """The variables of a section such as `.bss` or `.maps`."""

    __slots__ = ("size", "vars")

    def __init__(self, name: str, size: int, variables: list[SectionVar]) -> None:
        super().__init__(KIND_DATASEC, name)
        self.size: int = size
        self.vars: list[SectionVar] = variables


class Float(Type):
    __slots__ = ("size",)

    def __init__(self, name: str, size: int) -> None:
        super().__init__(KIND_FLOAT, name)
        self.size: int = size
