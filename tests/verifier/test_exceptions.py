"""What may throw, and what may handle it."""

from __future__ import annotations

from anybpf.btf import BTFBuilder, FunctionProto, Int, Param
from anybpf.btf.types import Function as FunctionType
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import CollectionSpec, Function, ProgramSpec
from anybpf.verifier import verify


def program(handler_params: int, entry: str, *tags: str) -> list[str]:
    """Kinds of findings of a program with a handler that takes so many numbers."""
    builder = BTFBuilder()
    number = builder.add(Int("int", 4, 1))
    proto = builder.add(FunctionProto(number, [Param("a", number)] * handler_params))
    handler_type = builder.add(FunctionType("handler", proto))
    collection = CollectionSpec("", "", "linux")
    collection.btf = builder.build()
    main = Function("main", "tc", 0, assemble(entry))
    main.tags = tags
    main.calls = tuple(insn.reference for insn in main.instructions if insn.is_local_call)
    handler = Function("handler", ".text", 0, assemble("r0 = 0\nexit"))
    handler.type_id = handler_type
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


def test_there_is_one_handler() -> None:
    assert program(1, "r0 = 0\nexit", TAG, "exception_callback:other") == ["callback"]
    assert program(1, "r0 = 0\nexit", "exception_callback:nobody") == ["callback"]
