"""What the tests of single checks share: an environment and states to check in."""

from __future__ import annotations

from anybpf.objects.specs import Function, MapSpec, ProgramSpec
from anybpf.platforms import get
from anybpf.verifier import calls
from anybpf.verifier.entry import entry_state
from anybpf.verifier.environment import Environment, Fault, MapInfo
from anybpf.verifier.numbers import between
from anybpf.verifier.operations import Operation
from anybpf.verifier.state import State
from anybpf.verifier.values import MAP, MAP_VALUE, STACK, Region, Value, unknown_number


def map_spec(name: str, type_name: str, key: int = 4, value: int = 16, entries: int = 8) -> MapSpec:
    spec = MapSpec(name, type_name)
    spec.key_size = key
    spec.value_size = value
    spec.max_entries = entries
    return spec


def environment(
    type_name: str = "xdp",
    *specs: MapSpec,
    platform: str = "linux",
    license_text: str = "GPL",
    attach_type: str = "",
    flags: tuple[str, ...] = (),
) -> Environment:
    """A program of that type with these maps, by their order."""
    system = get(platform)
    program = ProgramSpec(Function("program", type_name, 0, []), type_name)
    program.type = type_name
    program.attach_type = attach_type
    program.license = license_text
    program.flags = flags
    infos = [MapInfo(at, spec, system.map_type(spec.type)) for at, spec in enumerate(specs)]
    env = Environment(system, system.program_type(type_name), program, None, infos)
    env.leaks_allowed = system.allows("pointer_leaks")
    env.uninitialized_reads = system.allows("uninitialized_stack_reads")
    env.aligned_stack = not system.allows("misaligned_stack")
    return env


def state_of(env: Environment) -> State:
    return entry_state(env)


def stack(env: Environment, offset: int) -> Value:
    return Value(STACK, offset, None, env.stack_regions[0])


def the_map(env: Environment, index: int = 0) -> Value:
    return Value(MAP, 0, None, env.maps[index].region)


def looked_up(env: Environment, index: int = 0, nullable: bool = False) -> Value:
    """A pointer to a value of the map, as a look-up gives it."""
    region = Region(MAP_VALUE, env.maps[index].value_size, nullable, index)
    return Value(MAP_VALUE, 0, None, region)


def within(low: int, high: int) -> Value:
    """A number of which only its bounds are known."""
    return unknown_number(between(low, high))


def moved(pointer: Value, by: Value) -> Value:
    """The pointer with a number added to it."""
    return Value(pointer.kind, pointer.offset + by.offset, by.unknown, pointer.region)


def helper(env: Environment, name: str) -> Operation:
    """The call of that helper; it must be one that the program may make."""
    made = calls.compile_helper(env, 0, env.platform.helper(name, env.program_type.name).number)
    assert not isinstance(made, Fault), made.message
    return made


def kind_of(found: Value | Fault | None) -> str:
    """The fault's kind, "" where there is none."""
    return found.kind if isinstance(found, Fault) else ""


def call(env: Environment, st: State, name: str, *arguments: Value) -> Fault | None:
    """Call the helper with these arguments."""
    for at, argument in enumerate(arguments):
        st.regs[at + 1] = argument
    return helper(env, name).run(st, env)
