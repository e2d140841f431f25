"""Type information in the kernel: loading it, and reading what is there.

What stands in it is the business of the room ``btf``; what an object's has to become for a kernel,
of ``fitting``.
"""

from __future__ import annotations

import errno
import os
from ctypes import addressof, create_string_buffer
from struct import pack
from typing import TYPE_CHECKING, Final

from anybpf.backends.linux import syscall
from anybpf.backends.linux.handle import Handle
from anybpf.backends.linux.info import types_bytes, types_info
from anybpf.btf import BTF
from anybpf.errors import BTFError

if TYPE_CHECKING:
    from anybpf.backends.linux.backend import LinuxBackend
    from anybpf.runtime.infos import TypesInfo

_LOG_BYTES: Final = 1 << 20


class Types(Handle):
    """A hold on type information that the kernel has."""

    object_kind = "btf"

    def __init__(self, backend: LinuxBackend, fd: int) -> None:
        super().__init__(backend, fd)
        self._btf: BTF | None = None
        try:
            info = types_info(fd)
        except BaseException:
            self.close()
            raise
        self._id, self._name = info.id, info.name

    def info(self) -> TypesInfo:
        return types_info(self.fd)

    @property
    def btf(self) -> BTF:
        """The types, read from the kernel when first asked for."""
        if self._btf is None:
            info = types_info(self.fd)
            base = None
            if info.kernel_btf and info.name != "vmlinux":
                base = self.backend.kernel_types()
            data = types_bytes(self.fd, info.size)
            self._btf = BTF.parse(data, base, file=info.name or f"types {info.id}")
        return self._btf


def load_types(data: bytes, what: str) -> int:
    """A descriptor of these types; :class:`BTFError` says why the kernel takes them not."""
    buffer = create_string_buffer(data, len(data))
    result = syscall.call(
        syscall.BTF_LOAD, pack("=QQIIII", addressof(buffer), 0, len(data), 0, 0, 0)
    )
    if result >= 0:
        return result
    if result == -errno.EPERM:
        raise syscall.not_permitted(f"loading the types of {what}")
    # Once more, for the reason.
    log = create_string_buffer(_LOG_BYTES)
    attributes = pack("=QQIIII", addressof(buffer), addressof(log), len(data), _LOG_BYTES, 1, 0)
    again = syscall.call(syscall.BTF_LOAD, attributes)
    if again >= 0:
        return again
    lines = log.value.decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else syscall.text(-result)
    raise BTFError(f"the kernel takes the types of {what} not: {reason}")


def parse_kernel_types(backend: LinuxBackend) -> BTF | None:
    """The types of the running kernel; None if it does not tell them."""
    path = "/sys/kernel/btf/vmlinux"
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        return BTF.parse(stream.read(), file=path)
