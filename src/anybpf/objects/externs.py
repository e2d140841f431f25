"""Names that the system supplies: configuration values (`.kconfig`) and kernel symbols (`.ksyms`).

Reading an object only notes them. `resolve_externs` puts in what the caller knows of a system;
it asks no system itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anybpf.btf import BTF
from anybpf.btf import types as t
from anybpf.btf.layout import align_of, resolve, size_of
from anybpf.errors import LinkError
from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction
from anybpf.objects import elf as e
from anybpf.objects.data import RDONLY_PROG, map_name
from anybpf.objects.elf import Symbol
from anybpf.objects.sections import ObjectFile
from anybpf.objects.specs import CollectionSpec, ExternSpec, MapSpec

KCONFIG: Final = ".kconfig"
KSYMS: Final = ".ksyms"
# What a call to a function that is not there becomes, by libbpf's custom (POISON_CALL_KFUNC_BASE
# in tools/lib/bpf/libbpf.c): a helper number that no system has, seen in the verifier's log.
MISSING_FUNCTION: Final = 2002000000
_ZERO_KEY: Final = b"\0\0\0\0"
# Values of `enum libbpf_tristate`, and the letters of a configuration file.
_TRISTATE: Final = {"n": 0, "y": 1, "m": 2}
_MAX_SIZE: Final = 0x100000


def read_externs(obj: ObjectFile, data_sections: dict[str, t.DataSection]) -> None:
    """Put the externs that BTF describes into the spec, and the map of configuration values."""
    btf = obj.btf
    if btf is None or (KCONFIG not in data_sections and KSYMS not in data_sections):
        return
    undefined: dict[str, Symbol] = {}
    for symbol in obj.elf.symbols:
        if symbol.section_index == e.SHN_UNDEF and symbol.name:
            undefined[symbol.name] = symbol
    values: list[ExternSpec] = []
    for section in (KSYMS, KCONFIG):
        described = data_sections.get(section)
        if described is None:
            continue
        for place in described.vars:
            found = btf.type(place.type_id)
            extern = ExternSpec(found.name, section)
            known = undefined.get(found.name)
            extern.is_weak = known is not None and known.binding == e.STB_WEAK
            if isinstance(found, t.Function):
                extern.is_function = True
                extern.type_id = found.id
            elif isinstance(found, t.Var):
                # A variable of type void stands for an address only.
                if section == KCONFIG or resolve(btf, found.type_id).kind != t.KIND_VOID:
                    extern.type_id = found.id
            else:
                raise obj.elf.error(
                    f"{section} names type {found.id}, a {found.kind_name}, which is neither "
                    "variable nor function",
                    0,
                    section,
                )
            if section == KCONFIG:
                extern.size = size_of(btf, found.id)
                values.append(extern)
            obj.spec.externs[found.name] = extern
    if values:
        _lay_out(obj, btf, values)


def _lay_out(obj: ObjectFile, btf: BTF, values: list[ExternSpec]) -> None:
    """Give each configuration value its place in the map, in libbpf's order.

    The strictest alignment comes first, then the smallest size.
    """
    order = [(-align_of(btf, each.type_id), each.size, each.name, each) for each in values]
    order.sort(key=_order)
    end = 0
    for row in order:
        extern = row[3]
        align = -row[0]
        extern.offset = (end + align - 1) // align * align
        end = extern.offset + extern.size
        if end > _MAX_SIZE:
            raise obj.elf.error(
                f"{extern.name}: configuration values of more than {_MAX_SIZE} bytes", 0, KCONFIG
            )
    spec = MapSpec(map_name(obj.spec.name, KCONFIG), "array")
    spec.kind = "kconfig"
    spec.key_size = 4
    spec.value_size = end
    spec.max_entries = 1
    spec.flags = RDONLY_PROG
    spec.section = KCONFIG
    obj.spec.maps[KCONFIG] = spec


def _order(row: tuple[int, int, str, ExternSpec]) -> tuple[int, int, str]:
    return row[0], row[1], row[2]


def resolve_externs(
    spec: CollectionSpec,
    kconfig: str = "",
    values: Mapping[str, int] | None = None,
    symbols: Mapping[str, int] | None = None,
    kernel: BTF | None = None,
) -> CollectionSpec:
    """A copy of ``spec`` with its externs filled in from what the caller knows of a system.

    ``kconfig`` is the text of the kernel's configuration; ``values`` are numbers that stand in no
    configuration (``LINUX_KERNEL_VERSION``, ``LINUX_HAS_BPF_COOKIE``, …); ``symbols`` are
    addresses by name, as in ``/proc/kallsyms``; ``kernel`` is its type information, for typed
    symbols and kernel functions. What is missing and weak becomes zero; what is missing and
    strong is one :class:`LinkError` that names all of it.
    """
    work = _Resolver(spec.copy(), kconfig, values or {}, symbols or {}, kernel)
    work.run()
    return work.spec


def resolve_config(
    spec: CollectionSpec, kconfig: str = "", values: Mapping[str, int] | None = None
) -> CollectionSpec:
    """The same for what stands in the configuration; other externs are left to the verifier.

    The spec itself, if it asks for nothing of that.
    """
    others = {name: one for name, one in spec.externs.items() if one.section != KCONFIG}
    if len(others) == len(spec.externs):
        return spec
    for name in others:
        del spec.externs[name]
    try:
        out = resolve_externs(spec, kconfig, values)
    finally:
        spec.externs.update(others)
    out.externs.update(others)
    return out


class _Resolver:
    """One run of `resolve_externs`."""

    __slots__ = ("config", "kernel", "missing", "spec", "symbols", "values")

    def __init__(
        self,
        spec: CollectionSpec,
        kconfig: str,
        values: Mapping[str, int],
        symbols: Mapping[str, int],
        kernel: BTF | None,
    ) -> None:
        self.spec: CollectionSpec = spec
        self.config: dict[str, str] = parse_kconfig(kconfig)
        self.values: Mapping[str, int] = values
        self.symbols: Mapping[str, int] = symbols
        self.kernel: BTF | None = kernel
        self.missing: list[str] = []

    def run(self) -> None:
        answers: dict[str, int] = {}
        for extern in self.spec.externs.values():
            if extern.section != KCONFIG:
                answers[extern.name] = self.answer(extern)
        self.fill_values()
        if self.missing:
            raise LinkError(
                "externs cannot be resolved: " + "; ".join(self.missing), file=self.spec.file
            )
        for function in self.spec.functions.values():
            for insn in function.instructions:
                if insn.reference in answers and not insn.is_local_call:
                    self.patch(insn, answers[insn.reference])

    def answer(self, extern: ExternSpec) -> int:
        """The address or type id of a symbol, -1 for a weak one that is missing."""
        name = extern.name
        if not extern.type_id:
            address = self.symbols.get(name)
            if address is not None and not extern.is_function:
                return address
            why = "no symbol of that name" if extern.section else "it is in no .ksyms or .kconfig"
        else:
            kernel = self.kernel
            if kernel is None:
                why = "no kernel types were given"
            else:
                kind = t.KIND_FUNC if extern.is_function else t.KIND_VAR
                found = kernel.find(name, kind)
                if found is not None:
                    return self.checked(extern, found, kernel)
                why = f"the kernel's types have no {t.KIND_NAMES[kind]} of that name"
        if not extern.is_weak:
            self.missing.append(f"{name} ({why})")
        return -1

    def checked(self, extern: ExternSpec, found: t.Type, kernel: BTF) -> int:
        """The id of the kernel's type, if it is compatible with the object's."""
        from anybpf.btf.corematch import types_compatible

        local = self.spec.btf
        assert local is not None
        mine = local.type(extern.type_id)
        same = False
        if isinstance(mine, t.Reference) and isinstance(found, t.Reference):
            same = types_compatible(local, mine.type_id, kernel, found.type_id)
        if same:
            return found.id
        self.missing.append(f"{extern.name} (the kernel declares it with another type)")
        return -1

    def fill_values(self) -> None:
        """The contents of the map of configuration values."""
        home = self.spec.maps.get(KCONFIG)
        if home is None:
            return
        data = bytearray(home.value_size)
        for extern in self.spec.externs.values():
            if extern.section != KCONFIG:
                continue
            raw = self.value_bytes(extern)
            if raw is not None:
                data[extern.offset : extern.offset + len(raw)] = raw
        home.contents = [(_ZERO_KEY, bytes(data))]

    def value_bytes(self, extern: ExternSpec) -> bytes | None:
        name = extern.name
        if name.startswith("CONFIG_"):
            text = self.config.get(name)
            why = "it is not set in the configuration"
        else:
            number = self.values.get(name)
            text = None if number is None else str(int(number))
            why = "no value was given"
        if text is None:
            if not extern.is_weak:
                self.missing.append(f"{name} ({why})")
            return None
        btf = self.spec.btf
        assert btf is not None
        var = btf.type(extern.type_id)
        assert isinstance(var, t.Var)
        raw = encode_value(btf, var.type_id, text)
        if raw is None:
            self.missing.append(f"{name} (its value {text[:40]} does not fit its type)")
        return raw

    def patch(self, insn: Instruction, answer: int) -> None:
        if insn.opcode == op.CALL_IMM:
            if answer < 0:
                insn.src = op.CALL_HELPER
                insn.imm = MISSING_FUNCTION
            else:
                insn.imm = answer
        elif insn.opcode == op.LD_IMM64 and insn.src != op.PSEUDO_MAP_VALUE:
            if answer < 0:
                insn.src = 0
                insn.imm = 0
            else:
                insn.imm = answer - 0x10000000000000000 if answer >> 63 else answer


def parse_kconfig(text: str) -> dict[str, str]:
    """The values of a kernel configuration, as they stand behind the equals signs.

    >>> parse_kconfig("# a comment\\nCONFIG_HZ=250\\nCONFIG_BPF=y")
    {'CONFIG_HZ': '250', 'CONFIG_BPF': 'y'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.startswith("CONFIG_"):
            found[name] = value.strip()
    return found


def encode_value(btf: BTF, type_id: int, text: str) -> bytes | None:
    """The bytes of a configuration value in a type, None if they do not go together."""
    found = resolve(btf, type_id)
    size = size_of(btf, type_id)
    order = btf.big_endian
    if isinstance(found, t.Array):
        element = resolve(btf, found.element_id)
        if not isinstance(element, t.Int) or element.size != 1 or text[:1] != '"':
            return None
        raw = text.strip('"').encode("utf-8", "surrogateescape")
        return raw[: max(size - 1, 0)] + b"\0" if size else b""
    if isinstance(found, t.Enum):
        if text not in _TRISTATE or size not in (1, 2, 4, 8):
            return None
        return _number_bytes(_TRISTATE[text], size, order)
    if not isinstance(found, t.Int):
        return None
    if text in _TRISTATE:
        if found.boolean:
            return None if text == "m" else _number_bytes(_TRISTATE[text], size, order)
        return text.encode() if size == 1 else None
    number = _number(text)
    if number is None or found.boolean:
        return None if number not in (0, 1) else _number_bytes(number or 0, size, order)
    bits = size * 8
    low = -(1 << (bits - 1)) if found.signed else 0
    high = (1 << (bits - 1)) - 1 if found.signed else (1 << bits) - 1
    # Hexadecimal values are written without regard to sign.
    if text.startswith("0x") and found.signed and number <= 2 * high + 1:
        return _number_bytes(number, size, order)
    return _number_bytes(number, size, order) if low <= number <= high else None


def _number_bytes(number: int, size: int, big_endian: bool) -> bytes:
    value = number % (1 << (size * 8))
    return value.to_bytes(size, "big") if big_endian else value.to_bytes(size, "little")


def _number(text: str) -> int | None:
    negative = text.startswith("-")
    digits = text[1:] if negative else text
    if len(digits) > 20 or not digits.isascii():
        return None
    base = 10
    if digits[:2] in ("0x", "0X"):
        digits = digits[2:]
        base = 16
    if not digits:
        return None
    for digit in digits:
        if not digit.isdigit() and not (base == 16 and digit in "abcdefABCDEF"):
            return None
    value = int(digits, base)
    return -value if negative else value
