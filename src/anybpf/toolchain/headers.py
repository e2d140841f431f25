"""Where C headers are: our own, the kernel's, and the C library's.

A program that includes `<linux/bpf.h>` compiles on a machine that has no kernel headers, with
those inside the `ziglang` wheel. Which compiler uses them is decided in `find`.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sysconfig
from pathlib import Path

# Our headers: <anybpf/…>, and under the names that existing sources use, <bpf/…>.
INCLUDE = Path(__file__).resolve().parent.parent / "include"
# What stands in for parts of glibc's headers that refuse a target they do not know.
LIBC_GAPS = INCLUDE / "libc"

# Python's name of a machine: libbpf's name (the macro __TARGET_ARCH_…, which says how registers
# are laid out) and zig's folders of kernel headers and of C library headers.
_MACHINES = {
    "x86_64": ("x86", "x86-linux-any", "x86_64-linux-musl"),
    "amd64": ("x86", "x86-linux-any", "x86_64-linux-musl"),
    "aarch64": ("arm64", "aarch64-linux-any", "aarch64-linux-musl"),
    "arm64": ("arm64", "aarch64-linux-any", "aarch64-linux-musl"),
    "armv7l": ("arm", "arm-linux-any", "arm-linux-musl"),
    "riscv64": ("riscv", "riscv-linux-any", "riscv64-linux-musl"),
    "s390x": ("s390", "s390x-linux-any", "s390x-linux-musl"),
    "ppc64le": ("powerpc", "powerpc-linux-any", "powerpc64-linux-musl"),
    "loongarch64": ("loongarch", "loongarch-linux-any", "loongarch64-linux-musl"),
}
_UNKNOWN = ("", "x86-linux-any", "x86_64-linux-musl")


def target_arch() -> str:
    """This machine's name in the macro `__TARGET_ARCH_…`, or "" if it has none."""
    return _machine()[0]


def wheel() -> Path | None:
    """The folder of the installed `ziglang` package; it is not imported."""
    try:
        spec = importlib.util.find_spec("ziglang")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    folder = Path(spec.origin).parent
    return folder if (folder / "lib").is_dir() else None


def wheel_kernel_headers(folder: Path) -> list[Path]:
    """The kernel's headers inside a zig installation."""
    libc = folder / "lib" / "libc" / "include"
    return _existing([libc / _machine()[1], libc / "any-linux-any"])


def wheel_libc_headers(folder: Path) -> list[Path]:
    """The C library's headers inside a zig installation: musl's, which suit any target."""
    libc = folder / "lib" / "libc" / "include"
    return _existing([libc / _machine()[2], libc / "generic-musl"])


def wheel_headers(folder: Path) -> list[Path]:
    """All headers that a BPF program may include from a zig installation.

    clang's own come first; those of the C library are for the likes of <string.h>.
    """
    return [
        *_existing([folder / "lib" / "include"]),
        *wheel_kernel_headers(folder),
        *wheel_libc_headers(folder),
    ]


def system_headers() -> list[Path]:
    """Folders that a machine's clang does not search for BPF, but needs.

    Debian keeps <asm/types.h> in a folder per architecture, and BPF is none of those. A machine
    without headers of the kernel or of a C library is lent those of the wheel, if there is one.
    """
    root = Path("/usr/include")
    found = []
    for triple in (sysconfig.get_config_var("MULTIARCH"), f"{platform.machine()}-linux-gnu"):
        folder = root / str(triple)
        if folder not in found and (folder / "asm" / "types.h").is_file():
            found.append(folder)
    lent = wheel()
    if lent is not None:
        if not (root / "linux" / "bpf.h").is_file():
            found += wheel_kernel_headers(lent)
        if not (root / "string.h").is_file():
            found += wheel_libc_headers(lent)
    return found


def zig_folder(command: str) -> Path | None:
    """The installation that a `zig` program belongs to: its headers lie beside it."""
    real = Path(os.path.realpath(command))
    for folder in (real.parent, real.parent.parent):
        if (folder / "lib" / "libc" / "include").is_dir():
            return folder
    return None


def _machine() -> tuple[str, str, str]:
    return _MACHINES.get(platform.machine().lower(), _UNKNOWN)


def _existing(folders: list[Path]) -> list[Path]:
    return [folder for folder in folders if folder.is_dir()]
