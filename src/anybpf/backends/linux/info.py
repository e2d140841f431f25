"""What the kernel tells of its objects, by descriptor: ``struct bpf_*_info`` made readable.

Layouts: Linux UAPI header linux/bpf.h (6.18). Older kernels write less; what they leave out is 0.
"""

from __future__ import annotations

import errno
import os
from ctypes import Array, addressof, c_char, create_string_buffer
from struct import pack, unpack_from
from typing import Final

from anybpf.backends.linux import syscall
from anybpf.errors import AnyBPFError, InputError, NotFound
from anybpf.platforms import Platform
from anybpf.runtime.infos import MapInfo, ProgramInfo, TypesInfo

PROGRAM_INFO: Final = 232
MAP_INFO: Final = 104
TYPES_INFO: Final = 32
LINK_INFO: Final = 128

_INSN: Final = 8
_TYPES_ROOM: Final = 64


def raw_info(fd: int, block: Array[c_char], what: str) -> bytes:
    """The kernel's structure. What ``block`` holds before is what is asked for."""
    attributes = pack("=IIQ", fd, len(block), addressof(block))
    result = syscall.call(syscall.OBJ_GET_INFO_BY_FD, attributes)
    if result < 0:
        if result == -errno.EPERM:
            raise syscall.not_permitted(f"asking about {what}")
        raise AnyBPFError(f"the kernel tells nothing about {what}: {syscall.text(-result)}")
    return block.raw


def text_at(data: bytes, offset: int, size: int = 16) -> str:
    return data[offset : offset + size].split(b"\0")[0].decode(errors="replace")


def fdinfo(fd: int) -> dict[str, str]:
    """What procfs says of a descriptor: ``frozen``, ``memlock``, ``attach_type`` and so on."""
    found: dict[str, str] = {}
    try:
        with open(f"/proc/self/fdinfo/{fd}") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                found[name.strip()] = value.strip()
    except OSError:
        return {}  # no procfs here
    return found


def name_of_type(platform: Platform, number: int) -> str:
    types = platform.program_types
    return types.name(number) if number in types else f"type_{number}"


def program_info(fd: int, platform: Platform, pins: int = 0, code: bool = True) -> ProgramInfo:
    """All about one program; ``code`` is whether its translated instructions are fetched too."""
    what = "a program"
    head = raw_info(fd, create_string_buffer(PROGRAM_INFO), what)
    jited, xlated = unpack_from("=II", head, 16)
    map_count = unpack_from("=I", head, 52)[0]
    insns = create_string_buffer(xlated if code else 0)
    ids = create_string_buffer(4 * map_count)
    asked = pack(
        "=I4x8sIIQQQIIQ", 0, b"", 0, len(insns), 0, addressof(insns) if len(insns) else 0, 0, 0,
        map_count, addressof(ids) if map_count else 0,
    )  # fmt: skip
    block = create_string_buffer(asked.ljust(PROGRAM_INFO, b"\0"), PROGRAM_INFO)
    data = raw_info(fd, block, what)
    number, ident, tag = unpack_from("=II8s", data, 0)
    load_time, uid, map_count = unpack_from("=QII", data, 40)
    return ProgramInfo(
        id=ident,
        type=number,
        type_name=name_of_type(platform, number),
        name=text_at(data, 64),
        tag=tag.hex(),
        jited_prog_len=jited,
        xlated_prog_len=xlated,
        # Without the right to see kernel addresses, the kernel gives none and says so by 0.
        xlated_prog_insns=insns.raw if unpack_from("=Q", data, 32)[0] else b"",
        load_time=load_time,
        created_by_uid=uid,
        nr_map_ids=map_count,
        map_ids=tuple(unpack_from(f"={len(ids) // 4}I", ids.raw)[:map_count]),
        ifindex=unpack_from("=I", data, 80)[0],
        gpl_compatible=bool(unpack_from("=I", data, 84)[0] & 1),
        btf_id=unpack_from("=I", data, 128)[0],
        nr_func_info=unpack_from("=I", data, 144)[0],
        nr_line_info=unpack_from("=I", data, 148)[0],
        run_time_ns=unpack_from("=Q", data, 192)[0],
        run_cnt=unpack_from("=Q", data, 200)[0],
        recursion_misses=unpack_from("=Q", data, 208)[0],
        verified_insns=unpack_from("=I", data, 216)[0],
        attach_btf_obj_id=unpack_from("=I", data, 220)[0],
        attach_btf_id=unpack_from("=I", data, 224)[0],
        memlock=int(fdinfo(fd).get("memlock", "0")),
        type_uuid="",
        attach_type_uuid="",
        attach_type_name="",
        pinned_path_count=pins,
        link_count=0,
        mode="jit" if jited else "interpret",
    )


def map_info(fd: int, platform: Platform, pins: int = 0) -> MapInfo:
    data = raw_info(fd, create_string_buffer(MAP_INFO), "a map")
    number, ident, key_size, value_size, max_entries, flags = unpack_from("=6I", data, 0)
    said = fdinfo(fd)
    types = platform.map_types
    return MapInfo(
        id=ident,
        type=number,
        type_name=types.name(number) if number in types else f"type_{number}",
        name=text_at(data, 24),
        key_size=key_size,
        value_size=value_size,
        max_entries=max_entries,
        map_flags=flags,
        map_extra=unpack_from("=Q", data, 80)[0],
        ifindex=unpack_from("=I", data, 40)[0],
        btf_id=unpack_from("=I", data, 64)[0],
        btf_key_type_id=unpack_from("=I", data, 68)[0],
        btf_value_type_id=unpack_from("=I", data, 72)[0],
        frozen=said.get("frozen", "0") == "1",
        memlock=int(said.get("memlock", "0")),
        inner_map_id=0,
        pinned_path_count=pins,
        load_time=0,
        pids=(),
    )


def types_info(fd: int) -> TypesInfo:
    name = create_string_buffer(_TYPES_ROOM)
    asked = pack("=QIIQII", 0, 0, 0, addressof(name), len(name), 0)
    block = create_string_buffer(asked.ljust(TYPES_INFO, b"\0"), TYPES_INFO)
    data = raw_info(fd, block, "type information")
    size, ident = unpack_from("=II", data, 8)
    kernel = bool(unpack_from("=I", data, 28)[0])
    return TypesInfo(ident, name.value.decode(errors="replace"), size, kernel)


def types_bytes(fd: int, size: int) -> bytes:
    """The type information itself."""
    room = create_string_buffer(size)
    asked = pack("=QII", addressof(room), size, 0)
    block = create_string_buffer(asked.ljust(TYPES_INFO, b"\0"), TYPES_INFO)
    raw_info(fd, block, "type information")
    return room.raw


def kind_of(fd: int) -> str:
    """Of which kind the object behind a descriptor is; empty if it is none of BPF's."""
    kinds = {"bpf-map": "map", "bpf-prog": "program", "bpf_link": "link", "bpf-link": "link",
             "btf": "btf"}  # fmt: skip
    target = os.readlink(f"/proc/self/fd/{fd}")
    return kinds.get(target.partition(":")[2].strip("[]"), "")


def id_of(fd: int, kind: str) -> int:
    """The number of the object behind a descriptor."""
    at, size = {"program": (4, PROGRAM_INFO), "map": (4, MAP_INFO), "link": (4, LINK_INFO),
                "btf": (12, TYPES_INFO)}[kind]  # fmt: skip
    data = raw_info(fd, create_string_buffer(size), f"a {kind}")
    return int(unpack_from("=I", data, at)[0])


_NEXT: Final = {
    "program": syscall.PROG_GET_NEXT_ID,
    "map": syscall.MAP_GET_NEXT_ID,
    "btf": syscall.BTF_GET_NEXT_ID,
    "link": syscall.LINK_GET_NEXT_ID,
}
_OPEN: Final = {
    "program": syscall.PROG_GET_FD_BY_ID,
    "map": syscall.MAP_GET_FD_BY_ID,
    "btf": syscall.BTF_GET_FD_BY_ID,
    "link": syscall.LINK_GET_FD_BY_ID,
}


def known_kind(kind: str) -> str:
    if kind not in _NEXT and kind != "types":
        raise InputError(f"objects are of the kinds {', '.join(_NEXT)}, not {kind!r}")
    return "btf" if kind == "types" else kind


def next_id(kind: str, after: int) -> int | None:
    """The lowest number of that kind above ``after``; None at the end."""
    block = bytearray(pack("=III", after, 0, 0))
    result = syscall.call(_NEXT[kind], block)
    if result == -errno.ENOENT:
        return None
    if result == -errno.EPERM:
        raise syscall.not_permitted(f"walking all {kind} objects (it needs CAP_SYS_ADMIN)")
    if result < 0:
        raise AnyBPFError(f"the kernel's {kind} objects cannot be walked: {syscall.text(-result)}")
    return int(unpack_from("=I", block, 4)[0])


def open_id(kind: str, number: int) -> int:
    """A descriptor of the object with that number."""
    if not 0 < number <= 0xFFFFFFFF:
        raise NotFound(f"no {kind} has the id {number}: they are 1 to 2^32-1")
    result = syscall.call(_OPEN[kind], pack("=III", number, 0, 0))
    if result >= 0:
        return result
    if result == -errno.ENOENT:
        raise NotFound(f"no {kind} has the id {number} in this kernel")
    if result == -errno.EPERM:
        raise syscall.not_permitted(f"opening {kind} {number} by its id")
    raise AnyBPFError(f"{kind} {number} cannot be opened: {syscall.text(-result)}")
