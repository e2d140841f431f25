"""What there is to know of loaded objects, with the names of the kernel's structures.

Plain values, which back ends fill in each in its own way; apart from the objects themselves, so
that whoever only lists them need not know how they run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What there is to know of a program, with the names of ``struct bpf_prog_info``."""

    id: int
    type: int
    type_name: str
    name: str
    tag: str
    jited_prog_len: int
    xlated_prog_len: int
    xlated_prog_insns: bytes
    load_time: int
    created_by_uid: int
    nr_map_ids: int
    map_ids: tuple[int, ...]
    ifindex: int
    gpl_compatible: bool
    btf_id: int
    nr_func_info: int
    nr_line_info: int
    run_time_ns: int
    run_cnt: int
    recursion_misses: int
    verified_insns: int
    attach_btf_obj_id: int
    attach_btf_id: int
    memlock: int
    type_uuid: str
    attach_type_uuid: str
    attach_type_name: str
    pinned_path_count: int
    link_count: int
    mode: str


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What there is to know of a map, with the names of ``struct bpf_map_info``."""

    id: int
    type: int
    type_name: str
    name: str
    key_size: int
    value_size: int
    max_entries: int
    map_flags: int
    map_extra: int
    ifindex: int
    btf_id: int
    btf_key_type_id: int
    btf_value_type_id: int
    frozen: bool
    memlock: int
    inner_map_id: int
    pinned_path_count: int
    load_time: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What there is to know of a link, with the names of ``struct bpf_link_info``."""

    id: int
    type: int
    type_name: str
    prog_id: int
    attach_type: int
    attach_type_name: str
    attach_data: bytes
    state: str
    attach_type_uuid: str
    program_type_uuid: str
    pinned_path_count: int


@dataclass(frozen=True, slots=True)
class TypesInfo:
    """What there is to know of loaded type information, as ``struct bpf_btf_info`` has it."""

    id: int
    name: str
    size: int
    kernel_btf: bool = False
