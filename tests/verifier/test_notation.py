"""The notation for abstract states: what is printed reads again; claims are judged by meaning."""

from __future__ import annotations

import pytest

from anybpf.errors import InputError
from anybpf.isa.assembler import assemble
from anybpf.objects.specs import Function, MapSpec, ProgramSpec
from anybpf.platforms import get
from anybpf.verifier import numbers
from anybpf.verifier.environment import Environment, MapInfo
from anybpf.verifier.notation import covers, parse_state, range_text, state_text

NAMES = ["counts", "limits"]


def environment() -> Environment:
    linux = get("linux")
    program = ProgramSpec(Function("main", "xdp", 0, assemble("r0 = 0; exit")), "xdp")
    maps = []
    for index, name in enumerate(NAMES):
        spec = MapSpec(name, "array")
        spec.key_size, spec.value_size, spec.max_entries = 4, 16, 8
        maps.append(MapInfo(index, spec, linux.map_type("array")))
    return Environment(linux, linux.program_type("xdp"), program, None, maps)


@pytest.mark.parametrize(
    "text",
    [
        "r0=5",
        "r0=-5",
        "r0=0..10",
        "r0=number",
        "r0=-8..-1,1..8",
        "r0=10..2^64-1",
        "r0=0..252%4",
        "r0=0..250&0xfa",
        "r0=1..251&0xfb!0x1",
        "r0=0..2^32-1",
        "r0=-2^31..2^31-1",
        "r1=ctx r2=ctx+8 r3=stack-16",
        "r1=0..8 r2=r1+4",
        "r1=packet r2=packet+14 r3=packet_end r4=packet_meta reach=14",
        "r2=packet+r3+14 r3=0..255 reach(r2)=6",
        "r2=packet+0..40 r4=r2+2",
        "r0=map_value(counts)+8",
        "r0=map_value(counts)+0..8",
        "r0=map_value(counts)+(-4..4)",
        "r0=map_value(limits)? r6=r0+4",
        "r1=map(counts) r2=function(1)",
        "r0=memory(16)? r1=object(sock)",
        "fp-24=written fp-16=ctx fp-8=5",
        "r1=0..7 fp-8=r1",
        "fp-64:40=written fp-8:4=0..7",
        "r4=0..100 r5=0..100 r4-r5<=-1",
        "rcu=1 preempt=1 irqs=2",
    ],
)
def test_what_is_printed_reads_again(text: str) -> None:
    state = parse_state(text, environment())
    assert state_text(state, NAMES) == text
    assert covers(state, text, NAMES) == ""


@pytest.mark.parametrize(
    ("state", "claim"),
    [
        ("r0=3", "r0=0..5"),
        ("r0=0..4", "r0=number"),
        ("r0=0..12%4", "r0=0..12"),
        ("r0=0..12%4", "r0=0..12%2"),
        ("r0=7", "r0=1..2^64-1"),
        ("r1=0..8 r2=r1+4", "r2-r1<=4"),
        ("r1=0..8 r2=20..30", "r1-r2<=-12"),
        ("r1=3 r2=7", "r2=r1+4"),
        ("r0=map_value(counts)", "r0=map_value(counts)?"),
        ("r0=map_value(counts)+4", "r0=map_value+0..8"),
        ("r0=0", "r0=map_value(counts)?"),
        ("fp-8=0x1122334455667788", "fp-8:4=0x55667788 fp-4:2=0x3344"),
        ("fp-8=ctx", "fp-8=written"),
        ("r2=packet+14 reach=20", "reach(r2)=6"),
    ],
)
def test_a_claim_that_says_no_more_is_covered(state: str, claim: str) -> None:
    assert covers(parse_state(state, environment()), claim, NAMES) == ""


@pytest.mark.parametrize(
    ("state", "claim", "problem"),
    [
        ("r0=0..5", "r0=3", "r0=0..5"),
        ("r0=0..5", "r0=0..4", "r0=0..5"),
        ("r0=0..12", "r0=0..12%4", "r0=0..12"),
        ("r0=0..5", "r1=0", "r1=uninitialized"),
        ("r0=ctx", "r0=number", "r0=ctx"),
        ("r0=map_value(counts)?", "r0=map_value(counts)", "r0=map_value(counts)?"),
        ("r0=map_value(counts)", "r0=map_value(limits)", "r0=map_value(counts)"),
        ("r1=0..8 r2=0..8", "r1=r2", "r1=0..8"),
        ("r1=0..8 r2=4..12", "r2=r1+4", "r2=4..12"),
        ("fp-8:4=0", "fp-8=written", "unwritten"),
        ("reach=14", "reach=15", "it is 14"),
        ("rcu=1", "rcu=0", "rcu=1"),
    ],
)
def test_a_claim_that_says_more_is_not(state: str, claim: str, problem: str) -> None:
    assert problem in covers(parse_state(state, environment()), claim, NAMES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("r0", "says nothing of a state"),
        ("r11=0", "there is no register r11"),
        ("r0=5..3", "smaller numbers come first"),
        ("r0=2^65", "does not fit into 64 bits"),
        ("r0=parcel", "'parcel' is nothing that a register can hold"),
        ("r0=map_value(none)", "there is no map 'none'"),
        ("fp-520=1", "outside of a frame"),
        ("fp-12=1", "within eight bytes"),
        ("fp-8:4=ctx", "only numbers stand in part of a slot"),
        ("r2=r1+4", "nothing is said of r1"),
        ("r0=3!0x4", "there is no such number"),
        ("r0=0..4%3", "powers of two"),
    ],
)
def test_nonsense_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem.replace("^", r"\^")):
        parse_state(text, environment())


def test_a_range_is_printed_with_the_bits_that_its_bounds_do_not_tell() -> None:
    assert range_text(numbers.TOP) == "number"
    assert range_text(numbers.between(-1, 1)) == "-1..1"
    odd = numbers.make(0, 255, -1, 0, 1, 0xFE)
    assert odd is not None
    assert range_text(odd) == "1..255!0x1"
