"""What pyproject.toml cannot say: the C core, and the rooms that mypyc compiles.

With ANYBPF_PURE=1 in the environment the rooms are left as Python; the C core is always built.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
COMPILED_ROOMS = ("isa", "btf", "objects", "verifier")
# What puts verifications into words runs once and when asked: not worth its time to compile.
LEFT_AS_PYTHON = {
    f"verifier/{name}.py"
    for name in [
        "clauses",
        "covering",
        "explain",
        "facts",
        "findings",
        "notation",
        "printing",
        "reading",
        "remedies",
        "trail",
        "wording",
    ]
}


def is_left_as_python(path: Path) -> bool:
    place = path.relative_to(ROOT / "src/anybpf").as_posix()
    return place in LEFT_AS_PYTHON or place.startswith("verifier/report/")


def core() -> Extension:
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src/core").rglob("*.c"))
    headers = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src/core").rglob("*.h"))
    return Extension(
        "anybpf._core",
        sources,
        depends=headers,
        include_dirs=["src/core"],
        libraries=["bcrypt", "synchronization"] if os.name == "nt" else [],
        extra_compile_args=[] if os.name == "nt" else ["-std=gnu11", "-O2", "-fvisibility=hidden"],
    )


def compiled_rooms() -> list[Any]:
    from mypyc.build import mypycify

    sources = [
        str(path.relative_to(ROOT))
        for room in COMPILED_ROOMS
        for path in sorted((ROOT / "src/anybpf" / room).rglob("*.py"))
        if not is_left_as_python(path)
    ]
    # One extension module for all rooms: calls between them stay native. A C file for each module,
    # because in a single one of all rooms the compiler's time grows out of proportion. Level 2: the
    # verifier is a twenty-fifth faster than at level 1, and takes half as long again to compile.
    made = mypycify(
        sources, opt_level="2", debug_level="0", group_name="anybpf_rooms", multi_file=True
    )
    if sys.platform.startswith("linux"):
        for extension in made:
            # Nobody else calls these functions, so calls need not go by the dynamic linker's
            # tables: the verifier takes a twelfth less time.
            extension.extra_compile_args = [
                *extension.extra_compile_args,
                "-fvisibility=hidden",
                "-fno-plt",
            ]
    return list(made)


# This file is also run to ask for names and requirements; only a build needs the compiled rooms.
builds = {"bdist_wheel", "editable_wheel", "build", "build_ext"}.intersection(sys.argv)
pure = os.environ.get("ANYBPF_PURE") == "1"
setup(ext_modules=[core(), *compiled_rooms()] if builds and not pure else [core()])
