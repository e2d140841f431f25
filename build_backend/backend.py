"""Builds anybpf: setuptools, with a C compiler from PyPI where the machine has none.

A thin layer over setuptools' own build backend. It adds the `ziglang` wheel, whose `cc` is clang,
to the build's requirements when no C compiler is found, and points the build at it.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from typing import Any

from setuptools import build_meta as _setuptools
from setuptools.build_meta import *  # noqa: F403  (the hooks that need no change)


def has_compiler() -> bool:
    """Whether the compiler that Python would use, or the one in $CC, is on this machine."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if sys.platform == "win32":
        return True  # setuptools finds Microsoft's compiler by itself
    return shutil.which(str(command).split()[0]) is not None


def use_bundled_compiler() -> None:
    """Make the build use the clang inside the ziglang wheel."""
    compiler = f"{sys.executable} -m ziglang cc"
    os.environ["CC"] = compiler
    os.environ["LDSHARED"] = f"{compiler} -shared"
    # Without an optimisation level zig compiles in its checking mode, which needs its runtime.
    os.environ["CFLAGS"] = "-O2 -fno-sanitize=undefined " + os.environ.get("CFLAGS", "")


def require_headers() -> None:
    """Stop with advice where Python's own headers are missing: no extension builds without."""
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if not os.path.exists(header):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SystemExit(
            f"anybpf builds a C extension and needs Python's headers, but there is no {header}; "
            f"install them (on Debian: apt-get install python{version}-dev)"
        )


def _requirements(found: list[str]) -> list[str]:
    return found if has_compiler() else [*found, "ziglang>=0.16"]


def prepare() -> None:
    """What every build begins with."""
    require_headers()
    if not has_compiler():
        use_bundled_compiler()


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return _requirements(_setuptools.get_requires_for_build_wheel(config_settings))


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return _requirements(_setuptools.get_requires_for_build_editable(config_settings))


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    prepare()
    return str(_setuptools.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    prepare()
    return str(_setuptools.build_editable(wheel_directory, config_settings, metadata_directory))
