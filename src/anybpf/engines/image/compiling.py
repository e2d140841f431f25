"""From an object's programs to a native image: prove, lower, compile, put together, sign.

What an image is, is said in ``table`` and ``library``; how programs become machine code, in
``anybpf.engines.lowering`` and ``anybpf.engines.llvm``. Here is the order of the steps.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from anybpf import __version__, _core
from anybpf.engines.identity import layout_digest, tables_digest
from anybpf.engines.image import table as t
from anybpf.engines.image.library import Block, Library, has_addresses
from anybpf.engines.image.parts import Parts
from anybpf.engines.image.reading import content_hash, signed_bytes
from anybpf.engines.prepared import Prepared
from anybpf.engines.preparing import prepare
from anybpf.errors import InputError, NotFound, NotSupported, VerifierError
from anybpf.objects.externs import resolve_config
from anybpf.objects.specs import CollectionSpec, ProgramSpec
from anybpf.platforms import Platform
from anybpf.platforms import get as get_platform

if TYPE_CHECKING:
    from anybpf.engines.proof import Proof
    from anybpf.verifier import Budget

SHA256: Final = "SHA256"
NO_HASH: Final = "none"
HASHES: Final = (SHA256, NO_HASH)
# As far as LLVM turns a switch into a table, it does so with numbers and with addresses alike.
_NO_TABLES: Final = '"no-jump-tables"="true"'
# As in programs that are compiled for this process: today's processors divide well.
_FEATURES: Final = {"x86_64": "-idivq-to-divl"}
_ENTRY: Final = "anybpf_entry"
_FUNCTION: Final = "anybpf_function_"
_PREFIX: Final = "bpf_"


class Lowered:
    """A program as machine code: an object file, and what the cells of its table stand for."""

    __slots__ = ("imports", "object", "prepared")

    def __init__(self, prepared: Prepared, data: bytes, imports: list[str]) -> None:
        self.prepared: Prepared = prepared
        self.object: bytes = data
        self.imports: list[str] = imports


def compile_image(
    spec: CollectionSpec,
    *,
    platform: str | Platform = "",
    programs: Iterable[str] | None = None,
    target: str = "",
    data: bytes | None = None,
    key: Any = None,
    budget: Budget | None = None,
    proof: Proof | None = None,
    kconfig: str = "",
) -> bytes:
    """The shared library. ``programs`` are keys of the spec's; without them, all.

    ``target`` is LLVM's name of a machine and system, this one without it. ``data`` are the
    object's bytes, whose hash is noted. ``key`` signs (see :func:`signing.private_key`). A
    ``proof`` takes the place of the analysis. ``kconfig`` is the text of the configuration that
    the object may ask for.
    """
    spec = resolve_config(spec, kconfig)
    found = get_platform(platform or spec.platform or "linux")
    proved = prove(spec, found, chosen(spec, programs), budget, proof)
    triple = triple_of(target)
    lowered = [lower(one, triple) for one in proved]
    return assemble(spec, lowered, triple, data=data, key=key)


def chosen(spec: CollectionSpec, names: Iterable[str] | None) -> list[ProgramSpec]:
    """The programs that are meant, by their names."""
    if not spec.programs:
        raise InputError(f"{spec.file or spec.name}: there are no programs to compile")
    if names is None:
        return list(spec.programs.values())
    found = []
    for name in names:
        one = spec.programs.get(name)
        if one is None:
            one = spec.program(name)  # the error says what there is
        found.append(one)
    if not found:
        raise NotFound(f"{spec.file or spec.name}: no program was named")
    return found


def prove(
    spec: CollectionSpec,
    platform: Platform,
    programs: Iterable[ProgramSpec],
    budget: Budget | None = None,
    kept: Proof | None = None,
) -> list[Prepared]:
    """The programs, proved and prepared; :class:`VerifierError` for the first that is not safe."""
    from anybpf.verifier import verify

    out = []
    for program in programs:
        if kept is not None:
            made = prepare(program, kept.verification(program, spec, platform))
            kept.check(made)
            out.append(made)
            continue
        proof = verify(program, spec, platform=platform, budget=budget)
        if not proof.ok:
            first = proof.findings[0] if proof.findings else None
            place = ""
            if first is not None and first.source is not None:
                place = f" at {first.source.file}:{first.source.line}"
            why = f"{first.kind}{place}: {first.message}" if first else "no answer was found"
            raise VerifierError(
                f"program {program.name} was not proved safe: {why}", verification=proof
            )
        out.append(prepare(program, proof))
    return out


def triple_of(target: str) -> str:
    """The triple whose calls are those of the target, and whose objects are ELF."""
    from anybpf.engines.llvm import host, own_triple

    if not target:
        return host().triple
    machine, _, rest = target.partition("-")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if machine not in ("x86_64", "aarch64"):
        raise NotSupported(f"compiling ahead for {target!r}", where="x86_64 and aarch64")
    return own_triple(f"{machine}-{rest or 'unknown-linux-gnu'}")


def lower(prepared: Prepared, triple: str) -> Lowered:
    """The program as position-independent machine code, for any processor of the target."""
    from anybpf.engines.llvm import compile_ir
    from anybpf.engines.lowering.llvm import TABLE, print_module
    from anybpf.engines.lowering.plan import make_plan
    from anybpf.engines.lowering.source import source_of

    features = _FEATURES.get(triple.split("-")[0], "")
    module = print_module(make_plan(source_of(prepared, ahead=True)), _core.LAYOUT, imports=TABLE)
    text = module.text
    data = compile_ir(text, triple=triple, features=features, pic=True, name=prepared.name)
    if has_addresses(Parts(prepared.name, data)):
        # A switch became a table of pointers, which only a dynamic linker could fill in.
        text = re.sub(r"^(define .*?) \{$", r"\1 " + _NO_TABLES + " {", text, flags=re.M)
        data = compile_ir(text, triple=triple, features=features, pic=True, name=prepared.name)
    return Lowered(prepared, data, module.imports)


def assemble(
    spec: CollectionSpec,
    lowered: list[Lowered],
    triple: str,
    *,
    data: bytes | None = None,
    key: Any = None,
) -> bytes:
    """The library of programs that are machine code already."""
    machine = triple.split("-")[0]
    names: set[str] = set()
    blocks = []
    for one in lowered:
        symbol = _symbol(one.prepared.name, names)
        exports = {_ENTRY: symbol}
        block = Block(one.prepared.name, one.object, one.imports, exports)
        for text, section, _, _ in block.parts.symbols:
            if text.startswith(_FUNCTION) and section in block.parts.pieces:
                exports[text] = _symbol(f"{symbol}.{text.removeprefix(_FUNCTION)}", names)
        blocks.append(block)
    library = Library(machine, blocks)
    image = _image(spec, lowered, library, triple, data)
    at: list[int] = []

    def table(start: int, behind: int) -> bytes:
        at.append(start)
        text, blobs = t.document(image)
        size = start + t.HEADER.size + len(text) + len(blobs) + behind
        header = t.HEADER.pack(
            t.MAGIC, t.FORMAT, _core.NATIVE_ABI, size, len(text), len(blobs),
            bytes(32), bytes(32), bytes(64),
        )  # fmt: skip
        return header + text + blobs

    return sealed(library.write(table), at[0], key)


def sealed(data: bytes, start: int, key: Any = None) -> bytes:
    """The file with its hash, and signed if there is a key to sign it with."""
    out = bytearray(data)
    out[start + t.HASH_AT : start + t.SIGNATURE_END] = bytes(t.SIGNATURE_END - t.HASH_AT)
    out[start + t.HASH_AT : start + t.KEY_AT] = content_hash(bytes(out), start)
    if key is not None:
        from anybpf.engines.image.signing import public_bytes

        out[start + t.KEY_AT : start + t.SIGNATURE_AT] = public_bytes(key)
        signature = key.sign(signed_bytes(bytes(out), start))
        out[start + t.SIGNATURE_AT : start + t.SIGNATURE_END] = signature
    return bytes(out)


def _symbol(name: str, taken: set[str]) -> str:
    """A name for the library's symbol table: every tool can print it, and it is there once."""
    base = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name) or "_"
    base = f"program_{base}" if base.startswith("anybpf_") else base
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}.{number}"
    taken.add(found)
    return found


def _image(
    spec: CollectionSpec,
    lowered: list[Lowered],
    library: Library,
    triple: str,
    data: bytes | None,
) -> t.Image:
    image = t.Image(spec)
    image.target = triple
    image.verifier = __version__
    image.layout = layout_digest()
    image.object_hash = "" if data is None else hashlib.sha256(data).hexdigest()
    image.text = _stretch(library.text)
    image.rodata = _stretch(library.rodata)
    image.imports_at = _stretch(library.imports)
    keys = {id(one): key for key, one in spec.maps.items()}
    for one, block in zip(lowered, library.blocks, strict=True):
        prepared = one.prepared
        made = _program(prepared)
        made.autoload = prepared.verification.program.autoload
        made.maps = tuple([keys[id(each)] for each in prepared.maps])
        made.symbol = block.exports[_ENTRY]
        made.entry = library.symbols[made.symbol]
        made.size = sum(len(piece.data) for piece in block.parts.pieces.values() if piece.is_text)
        made.functions = tuple(
            sorted(
                (int(text.removeprefix(_FUNCTION)), library.symbols[name])
                for text, name in block.exports.items()
                if text != _ENTRY
            )
        )
        if prepared.name in image.programs:
            raise InputError(f"two programs are named {prepared.name}; compile one of them")
        image.programs[prepared.name] = made
        image.imports += [(prepared.name, name) for name in block.names]
    return image


def _program(prepared: Prepared) -> t.ImageProgram:
    made = t.ImageProgram(prepared.name)
    made.section = prepared.section
    made.type = prepared.type.name
    made.attach_type = prepared.attach_type
    made.attach_to = prepared.attach_to
    made.license = prepared.license
    made.flags = prepared.flags
    made.tag = prepared.tag
    made.tables = tables_digest(prepared)
    made.handler = prepared.handler
    made.context_size = prepared.context_size
    made.verified_steps = prepared.verified_steps
    made.typed_functions = prepared.typed_functions
    made.helpers = tuple(prepared.helpers)
    made.dead = tuple(sorted(prepared.dead))
    numbers = []
    for name in prepared.helpers:
        helper = prepared.platform.find_helper(_PREFIX + name, prepared.type.name)
        numbers.append(-1 if helper is None else helper.number)
    made.helper_numbers = tuple(numbers)
    made.lines = prepared.lines
    made.code = prepared.code
    return made


def _stretch(place: Any) -> t.Stretch:
    return t.Stretch(place.offset, place.address, place.size)
