"""Both platforms' tables hold together: what one row names, another one has."""

from __future__ import annotations

import pytest

from anybpf.platforms import Platform, get, kinds

# Fields that lie over one another on purpose: unions of the C structures, and the 4-byte view of a
# 2-byte port that the Linux verifier accepts for the sake of old programs.
OVERLAPS = {
    "bpf_sock": {"dst_port"},
    "bpf_sock_ops": {"args", "reply", "replylong"},
    "bpf_sk_lookup": {"remote_port"},
    "bpf_flow_keys": {"ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst"},
    "bpf_sock_addr_t": {"msg_src_ip4", "msg_src_ip6", "user_ip4", "user_ip6"},
    "bpf_sock_ops_t": {"local_ip4", "local_ip6", "remote_ip4", "remote_ip6"},
}


@pytest.fixture(params=["linux", "windows"])
def platform(request: pytest.FixtureRequest) -> Platform:
    return get(str(request.param))


def test_helpers_are_numbered_without_a_gap(platform: Platform) -> None:
    numbers = platform.helpers.numbers()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == {"linux": 211, "windows": 35}[platform.name]


def test_number_of_program_types() -> None:
    assert get("linux").program_types.numbers() == list(range(33))
    assert len(get("windows").program_types) == 8


def test_arguments(platform: Platform) -> None:
    helpers = list(platform.helpers)
    for kind in platform.program_types:
        helpers += kind.own_helpers
    for helper in helpers:
        assert len(helper.args) <= platform.limits["helper_args"], helper
        assert helper.returns.kind in kinds.RETURN_KINDS
        assert len({arg.name for arg in helper.args}) == len(helper.args), helper
        for index, arg in enumerate(helper.args):
            assert arg.kind in kinds.ARG_KINDS
            if arg.is_size:
                memory = helper.args[arg.memory_arg]
                assert arg.memory_arg >= 0, helper
                assert memory.kind == kinds.MEMORY
                assert memory.size_arg == index
            if arg.kind == kinds.MEMORY:
                assert (arg.size_arg >= 0) != (arg.size > 0), helper
                assert arg.access in ("r", "w", "rw")
            if arg.kind in (kinds.MAP_KEY, kinds.MAP_VALUE):
                assert any(other.kind == kinds.MAP for other in helper.args), helper
        assert [arg.releases for arg in helper.args].count(True) <= 1


def test_helpers_with_a_map_say_which(platform: Platform) -> None:
    for helper in platform.helpers:
        takes_map = any(arg.kind == kinds.MAP for arg in helper.args)
        if takes_map and helper.name != "bpf_map_lookup_and_delete_elem":
            assert helper.map_types, helper
        for name in helper.map_types:
            assert platform.map_accepts(name, helper.number)
            assert helper.number in platform.map_type(name).helpers


def test_program_types_agree_with_the_other_tables(platform: Platform) -> None:
    for kind in platform.program_types:
        for number in kind.helpers:
            assert number in platform.helpers
        for name in kind.attach_types:
            assert kind.name in platform.attach_type(name).program_types
        for rule in kind.returns:
            assert rule.low <= rule.high
            assert set(rule.attach_types) <= set(kind.attach_types), kind
        for number, attach_types in kind.helper_attach_types.items():
            callable_ones = kind.helpers | {helper.number for helper in kind.own_helpers}
            assert number in callable_ones
            assert set(attach_types) <= set(kind.attach_types)
        assert kind.title
        assert kind.context is not None or kind.name == "unspec"


def test_attach_types_name_program_and_link_types(platform: Platform) -> None:
    for kind in platform.attach_types:
        for name in kind.program_types:
            assert name in platform.program_types
        if kind.link_type:
            assert kind.link_type in platform.link_types


def test_sections_name_types(platform: Platform) -> None:
    for rule in platform.sections:
        assert rule.program_type in platform.program_types
        if rule.attach_type:
            attach_type = platform.attach_type(rule.attach_type)
            assert rule.program_type in attach_type.program_types, rule


def test_context_fields_lie_inside_and_apart(platform: Platform) -> None:
    contexts = [platform.structure(name) for name in platform.structure_names]
    contexts += [kind.context for kind in platform.program_types if kind.context is not None]
    for context in contexts:
        end = 0
        for field in sorted(context.fields, key=lambda field: (field.offset, field.size)):
            assert field.kind in kinds.FIELD_KINDS
            assert field.end <= context.size, (context, field)
            if field.name not in OVERLAPS.get(context.name, ()):
                assert field.offset >= end, (context, field)
            end = max(end, field.end)


def test_map_types(platform: Platform) -> None:
    for kind in platform.map_types:
        assert set(kind.required_flags) <= set(kind.allowed_flags)
        for name in kind.allowed_flags:
            assert name in platform.map_flags
        for number in kind.helpers:
            assert number in platform.helpers
        assert kind.number == 0 or kind.helpers or kind.name in ("struct_ops", "arena"), kind
    bits = platform.map_flags.numbers()
    assert all(bit & (bit - 1) == 0 for bit in bits)


def test_result_codes_name_errnos(platform: Platform) -> None:
    for code in platform.result_codes:
        if code.errno and code.number:
            assert code.errno in platform.errnos, code


def test_limits_are_explained(platform: Platform) -> None:
    assert platform.limits["stack"] == 512
    assert platform.limits["frames"] == 8
    assert platform.limits["tail_calls"] == 33
    assert all(platform.limit_texts[name] for name in platform.limits)
