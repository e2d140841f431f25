"""From object files to code that runs: layout, relocations, and what is refused."""

from __future__ import annotations

import random
import struct

import pytest

from anybpf import _core
from anybpf.engines import llvm
from anybpf.engines.linking import Layout, Linked, link, own_machine
from anybpf.engines.relocations import AARCH64, MACHINES, X86_64
from anybpf.errors import AnyBPFError, LinkError, NotSupported, ObjectError
from tests.core.pages import PAGE, executable, mappings, reads_maps, resident, rights
from tests.core.programs import program
from tests.engines.objects import PROGRAM, SWITCHES, Section, elf

needs_llvm = pytest.mark.skipif(
    not llvm.is_there() or _core.MACHINE not in MACHINES,
    reason="llvmlite is not installed, or compiles nothing for this processor",
)
IR = PROGRAM.replace("CALL", str(_core.LAYOUT["run.call"]))


def refuse(name: str) -> int:
    raise LookupError(f"nothing is called {name}")


def made() -> tuple[_core.Program, _core.Map]:
    """A program with one helper, one map, and a function at slot 1."""
    domain = _core.Domain(1)
    store = _core.Map(domain, 1 << 30, "array", 4, 8, 1)
    helper = _core.helper("get_smp_processor_id")
    return program("r0 = 7\nr0 = 8\nexit", domain=domain, maps=[store], helpers=[helper]), store


def run(linked: Linked, run: _core.Program) -> object:
    entry = linked.symbols["anybpf_entry"]
    run.attach_code(linked.code, entry, [(1, linked.symbols["anybpf_function_1"])])
    return run()


@needs_llvm
@pytest.mark.parametrize("pic", [False, True], ids=["anywhere", "relative"])
@pytest.mark.parametrize("optimize", [0, 2])
def test_a_program_of_llvm_runs(optimize: int, pic: bool) -> None:
    core, store = made()
    linked = link(llvm.compile_ir(IR, optimize=optimize, pic=pic), core.symbol)
    assert run(linked, core) == 3
    assert store[bytes(4)] == struct.pack("=Q", 3)


@needs_llvm
@pytest.mark.parametrize("pic", [False, True], ids=["anywhere", "relative"])
@pytest.mark.parametrize(
    ("case", "result"), [(0, 1), (1, 16), (2, 0), (3, 32), (4, 44), (5, 55), (6, 99)]
)
def test_jump_tables_and_calls_inside(case: int, result: int, pic: bool) -> None:
    core, _ = made()
    text = SWITCHES.replace("CASE", str(case))
    for optimize in (text, text.replace("noinline optnone", "noinline")):
        assert run(link(llvm.compile_ir(optimize, pic=pic), core.symbol), core) == result


@needs_llvm
@reads_maps
def test_nothing_is_executable_before_it_is_complete() -> None:
    """Looked at whenever the linker asks for an address, and after it is done."""
    core, _ = made()
    data = llvm.compile_ir(IR)
    before = executable()
    asked = []

    def resolve(name: str) -> int:
        assert executable() == before
        asked.append(name)
        return core.symbol(name)

    linked = link(data, resolve)
    assert asked
    assert rights(linked.code.address) == "r-xp"
    assert rights(linked.code.address + linked.code.text_size) == "r--p"
    with pytest.raises(ValueError, match="sealed"):
        linked.code.write(0, b"\xcc")


@needs_llvm
def test_names_that_lead_nowhere_are_told() -> None:
    with pytest.raises(LinkError, match="anybpf_helper_0 is not defined: nothing is called"):
        link(llvm.compile_ir(IR), refuse)


@needs_llvm
@pytest.mark.parametrize("address", [-1, 1 << 64])
def test_what_is_no_address_is_refused(address: int) -> None:
    with pytest.raises(LinkError, match="no address"):
        link(llvm.compile_ir(IR), lambda name: address)


# Objects made by hand: each thing that is looked at, damaged.

RETURN = bytes.fromhex("b82a000000c3") + bytes(10)


def lay_out(data: bytes, machine: int = 62) -> Layout:
    return Layout(data, AARCH64 if machine == 183 else X86_64, 4096)


def test_text_constants_and_data_lie_on_pages_of_their_own() -> None:
    data = elf(
        [
            Section(".data", b"d" * 8, flags=3),
            Section(".text", RETURN),
            Section(".rodata", b"r" * 5000, flags=2),
            Section(".ltext", RETURN, align=64),
            Section(".data.rel.ro", b"c" * 8, flags=3),
            Section(".bss", b"", kind=8, flags=3, size=100),
            Section(".comment", b"not loaded", flags=0),
            Section(".eh_frame", b"not loaded", flags=2),
        ],
        [("first", 2, 0), ("second", 4, 8)],
    )
    layout = lay_out(data)
    assert (layout.text_size, layout.data_start, layout.size) == (4096, 3 * 4096, 4 * 4096)
    assert layout.symbols == {"first": 0, "second": 72}
    assert layout.text == range(80)
    out = layout.relocated(0x10000, refuse)
    assert out[64:70] == RETURN[:6]
    assert out[4096 : 4096 + 5000] == b"r" * 5000
    assert out.count(b"c" * 8) == 1
    assert 4096 + 5000 <= out.index(b"c" * 8) < 3 * 4096
    assert out[3 * 4096 :] == b"d" * 8 + bytes(4096 - 8)
    assert b"not loaded" not in out


def test_far_calls_go_by_a_stub_and_near_ones_do_not() -> None:
    call = b"\xe8\0\0\0\0"
    section = Section(".text", call * 2 + bytes(6), relocations=[(1, 1, 4, -4), (6, 2, 4, -4)])
    layout = lay_out(elf([section], [("near", 0, 0), ("far", 0, 0)]))
    places = {"near": 0x5000_0000, "far": 0x7F00_0000_0000}
    out = layout.relocated(0x4000_0000, places.__getitem__)
    first, second = (struct.unpack_from("<i", out, at)[0] for at in (1, 6))
    assert 0x4000_0000 + 5 + first == places["near"]
    stub = 10 + second
    assert bytes(out[stub : stub + 6]).hex() == "ff2500000000"  # jmp *0(%rip)
    assert struct.unpack_from("<Q", out, stub + 6)[0] == places["far"]
    assert stub + 14 <= layout.text_size


def test_an_address_that_is_out_of_reach_is_refused() -> None:
    section = Section(".text", bytes(16), relocations=[(1, 1, 2, 0)])
    layout = lay_out(elf([section], [("far", 0, 0)]))
    with pytest.raises(LinkError, match="far at 0x7f0000000000 with 0 cannot be reached"):
        layout.relocated(0x4000_0000, lambda name: 0x7F00_0000_0000)


WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "64 bytes at least"),
    "no ELF": (b"MZ" + bytes(100), "no 64-bit little-endian ELF"),
    "another machine": (elf([Section(".text", RETURN)], machine=8), "for machine 8"),
    "relocation type": (
        elf([Section(".text", RETURN, relocations=[(0, 0, 1000, 0)])]),
        "type 1000 of x86_64 is not known",
    ),
    "relocation without addend": (
        elf([Section(".text", RETURN), Section(".rel", bytes(16), kind=9, flags=0, info=1)]),
        "without addends",
    ),
    "relocation behind the end": (
        elf([Section(".text", RETURN, relocations=[(9, 0, 1, 0)])]),
        "outside of 16 bytes",
    ),
    "relocation far behind the end": (
        elf([Section(".text", RETURN, relocations=[(2**64 - 4, 0, 1, 0)])]),
        "outside of 16 bytes",
    ),
    "symbol that is not there": (
        elf([Section(".text", RETURN, relocations=[(0, 9, 1, 0)])]),
        "no symbol 9",
    ),
    "symbol outside": (elf([Section(".text", RETURN)], [("f", 1, 16)]), "outside"),
    "alignment": (elf([Section(".text", RETURN, align=3)]), "alignment 3"),
    "great alignment": (elf([Section(".text", RETURN, align=1 << 40)]), "alignment"),
    "great section": (
        elf([Section(".bss", b"", kind=8, flags=3, size=1 << 60)]),
        "too many",
    ),
    "great sections": (
        elf([Section(".bss", b"", kind=8, flags=3, size=1 << 28)] * 2),
        "too many",
    ),
    "section behind the end": (elf([Section(".text", RETURN, size=1 << 20)]), "are to be"),
    "writable text": (elf([Section(".text", RETURN, flags=7)]), "can be written"),
    "thread's own": (elf([Section(".tdata", RETURN, flags=0x403)]), "cannot be linked"),
    "constructors": (elf([Section(".init_array", RETURN, kind=14, flags=3)]), "cannot be linked"),
    "zeroes that are changed": (
        elf([Section(".bss", b"", kind=8, flags=3, size=8, relocations=[(0, 0, 1, 0)])]),
        "outside",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_linked_is_refused(what: str) -> None:
    data, message = WRONG[what]
    with pytest.raises(ObjectError, match=message):
        lay_out(data)


@pytest.mark.parametrize("section", [0xFFF2, 0xFFFF, 77])
def test_symbols_of_no_section_are_refused_when_used(section: int) -> None:
    text = Section(".text", RETURN, relocations=[(0, 1, 1, 0)])
    layout = lay_out(elf([text], [("common", section, 0)]))
    with pytest.raises(LinkError, match="common is not in what is linked"):
        layout.relocated(0x1000, refuse)


@needs_llvm
def test_damaged_objects_never_do_harm() -> None:
    """Bytes changed at random: an error of ours, or an object; none is run."""
    whole = llvm.compile_ir(IR)
    dice = random.Random(5)
    outcomes = set()
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            data[dice.randrange(len(data))] = dice.choice(
                (0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256))
            )
        if dice.random() < 0.1:
            del data[dice.randrange(len(data)) :]
        try:
            Layout(bytes(data), own_machine(), PAGE).relocated(0x7000_0000_0000, lambda name: 1)
            outcomes.add("linked")
        except AnyBPFError as error:
            outcomes.add(type(error).__name__)
    assert outcomes == {"linked", "ObjectError", "LinkError"}


@needs_llvm
def test_a_system_that_forbids_code_made_at_run_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        address = 0x7000_0000_0000

        def __init__(self, size: int) -> None:
            pass

        def write(self, offset: int, data: bytes) -> None:
            pass

        def seal(self, text_size: int, data_start: int) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_core, "Code", Forbidden)
    with pytest.raises(NotSupported, match="code made at run time"):
        link(llvm.compile_ir(IR), lambda name: 1)


@needs_llvm
@reads_maps
def test_what_fails_leaves_nothing_behind() -> None:
    data = llvm.compile_ir(IR)

    for _ in range(3):
        with pytest.raises(LinkError):
            link(data, refuse)
    before = mappings()
    for _ in range(50):
        with pytest.raises(LinkError):
            link(data, refuse)
    assert mappings() - before < 5


@needs_llvm
@reads_maps
def test_a_thousand_loads_leave_no_memory_behind() -> None:
    data = llvm.compile_ir(IR)
    domain = _core.Domain(1)
    store = _core.Map(domain, 1 << 30, "array", 4, 8, 1)
    helper = _core.helper("get_smp_processor_id")

    def rounds(count: int) -> None:
        for _ in range(count):
            core = program("r0 = 7\nr0 = 8\nexit", domain=domain, maps=[store], helpers=[helper])
            assert run(link(data, core.symbol), core) == 3
            core.close()
        domain.synchronize()
        domain.collect()

    rounds(200)
    before, mapped = resident(), mappings()
    rounds(1000)
    assert resident() - before < 1 << 20
    assert mappings() - mapped < 10
