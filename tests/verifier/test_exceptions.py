"""What may throw, and what may handle it."""

from __future__ import annotations

from anybpf.btf import BTFBuilder, FunctionProto, Int, Param
from anybpf.btf.types import LINKAGE_GLOBAL, LINKAGE_STATIC
from anybpf.btf.types import Function as FunctionType
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import CollectionSpec, Function, ProgramSpec
from anybpf.verifier import verify

SAFE = "r0 = 0\nexit"


def program(
    handler_params: int, entry: str, *tags: str, linkage: int = LINKAGE_GLOBAL, code: str = SAFE
) -> list[str]:
    """Kinds of findings of a program with a handler that takes so many numbers."""
    builder = BTFBuilder()
    number = builder.add(Int("int", 4, 1))
    proto = builder.add(FunctionProto(number, [Param("a", number)] * handler_params))
    handler_type = builder.add(FunctionType("handler", proto, linkage))
    collection = CollectionSpec("", "", "linux")
    collection.btf = builder.build()
    main = Function("main", "tc", 0, assemble(entry))
    main.tags = tags
    main.calls = tuple(insn.reference for insn in main.instructions if insn.is_local_call)
    handler = Function("handler", ".text", 0, assemble(code))
    handler.type_id = handler_type
    handler.is_global = linkage == LINKAGE_GLOBAL
    collection.functions = {"main": main, "handler": handler}
    spec = ProgramSpec(main, "tc", collection.functions)
    spec.type = "sched_cls"
    spec.license = "GPL"
    collection.programs = {"main": spec}
    return [finding.kind for finding in verify(spec, collection).findings]


TAG = "exception_callback:handler"


def test_a_handler_takes_one_number() -> None:
    assert program(1, "r0 = 0\nexit", TAG) == []
    assert program(0, "r0 = 0\nexit", TAG) == ["callback"]
    assert program(2, "r0 = 0\nexit", TAG) == ["callback"]


def test_a_handler_is_global_and_proved_by_itself() -> None:
    """A static one is called by nobody: what it does would be looked at nowhere."""
    assert program(1, SAFE, TAG, linkage=LINKAGE_STATIC) == ["callback"]
    assert program(1, SAFE, TAG, code="r0 = *(u64 *)(r1 + 0)\nexit") == ["not-a-pointer"]


def test_there_is_one_handler() -> None:
    assert program(1, "r0 = 0\nexit", TAG, "exception_callback:other") == ["callback"]
    assert program(1, "r0 = 0\nexit", "exception_callback:nobody") == ["callback"]
