"""What the kernel tells of a link beside its program: where it is attached.

For `link show` on the Linux back end. Layout: ``struct bpf_link_info`` in include/uapi/linux/bpf.h;
the part that differs by type begins at byte 16.
"""

from __future__ import annotations

import ctypes
from struct import pack, pack_into, unpack_from
from typing import Any, Final

_SIZE: Final = 64
_OBJ_GET_INFO_BY_FD: Final = 15
# enum bpf_link_type
_RAW_TRACEPOINT, _TRACING, _CGROUP, _ITER, _NETNS = 1, 2, 3, 4, 5


def details(fd: int) -> dict[str, Any]:
    """Names and values of that part, for the types that bpftool 7.1 tells of."""
    from anybpf.backends.linux import syscall

    name = ctypes.create_string_buffer(256)
    info = ctypes.create_string_buffer(_SIZE)
    for named in (False, True):
        if named:
            pack_into("=QI", info, 16, ctypes.addressof(name), len(name))
        attributes = pack("=IIQ", fd, len(info), ctypes.addressof(info))
        if syscall.call(_OBJ_GET_INFO_BY_FD, attributes) < 0:
            return {}
        kind = unpack_from("=I", info, 0)[0]
        if kind not in (_RAW_TRACEPOINT, _ITER):
            break
    if kind == _RAW_TRACEPOINT:
        return {"tp_name": name.value.decode()}
    if kind == _ITER:
        return {"target_name": name.value.decode(), "map_id": unpack_from("=I", info, 32)[0]}
    if kind == _TRACING:
        _, target, types = unpack_from("=III", info, 16)
        return {"target_obj_id": target, "target_btf_id": types}
    if kind == _CGROUP:
        return {"cgroup_id": unpack_from("=Q", info, 16)[0]}
    if kind == _NETNS:
        return {"netns_ino": unpack_from("=I", info, 16)[0]}
    return {"kind": kind}
