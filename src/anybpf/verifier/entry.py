"""The state in which a program begins."""

from __future__ import annotations

from anybpf.verifier.environment import Environment
from anybpf.verifier.state import (
    BLANK_STACK,
    NO_FACTS,
    NO_NULLNESS,
    NO_REACH,
    REGISTERS,
    State,
)
from anybpf.verifier.values import (
    CONTEXT,
    NOTHING,
    PACKET,
    STACK,
    Region,
    Value,
)


def entry_state(env: Environment) -> State:
    """The context in r1, the stack in r10, nothing else.

    A program that replaces a function begins with that function's parameters.
    """
    if "as_target" in env.program_type.flags and env.program.function.type_id > 0:
        from anybpf.verifier.prototypes import global_entry_state

        begun = global_entry_state(env, env.program.function)
        if isinstance(begun, State):
            return begun
    state = blank_state(env)
    state.regs[1] = Value(CONTEXT, 0, None, env.context_region)
    return state


def blank_state(env: Environment) -> State:
    """A state of the outermost frame in which only r10 is set."""
    regs = [NOTHING] * REGISTERS
    regs[10] = Value(STACK, 0, None, env.stack_regions[0])
    return State(
        regs,
        BLANK_STACK,
        NO_FACTS,
        NO_NULLNESS,
        NO_REACH,
        NO_REACH,
        Region(PACKET, 0, False, -1),
    )
