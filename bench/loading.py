"""Loading objects, file to spec, against `llvm-objdump -d` over the same files.

Needs the corpus (folder `shared` beside the checkout, or ANYBPF_SHARED) and llvm-objdump. Loading
does more than decoding: maps, types, source lines and CO-RE records are attached as well.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from ratio import compare, cpu_of_call, cpu_of_command

LARGEST = "cilium/bpf_xdp_dsr_linux.o"
# What a process of its own does: start Python, import, load every file named.
WHOLE_PROCESS = "import sys; from anybpf.objects import load_spec; [load_spec(f) for f in sys.argv[1:]]"  # fmt: skip # noqa: E501


def find_objdump() -> str | None:
    for name in ("llvm-objdump", "llvm-objdump-19", "llvm-objdump-20", "llvm-objdump-18"):
        if shutil.which(name):
            return name
    return None


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    corpus = Path(os.environ.get("ANYBPF_SHARED") or root.parent / "shared") / "corpus"
    objdump = find_objdump()
    if not corpus.is_dir() or objdump is None:
        print(f"loading: not measured, it needs {corpus} and llvm-objdump")
        return
    from anybpf.objects import elf, load_spec

    how = "uncompiled" if (elf.__file__ or "").endswith(".py") else "compiled"
    files = [str(p) for p in sorted(corpus.glob("*/*.o")) if p.parent.name != "invalid"]
    largest = str(corpus / LARGEST)
    print(f"anybpf is {how}; {len(files)} objects, {sum(map(os.path.getsize, files)) >> 10} KiB")

    def load_all() -> None:
        for file in files:
            load_spec(file)

    def dump(*paths: str) -> float:
        return cpu_of_command([objdump, "-d", *paths])

    compare(
        "loading the corpus over llvm-objdump -d (in this process, without start and import)",
        ("load_spec of all", lambda: cpu_of_call(load_all)),
        (f"{objdump} -d of all, one process", lambda: dump(*files)),
        goal=1,
    )
    compare(
        "loading the largest object over llvm-objdump -d (without start and import)",
        ("load_spec", lambda: cpu_of_call(lambda: load_spec(largest))),
        (f"{objdump} -d", lambda: dump(largest)),
        rounds=15,
        goal=1,
    )

    def whole(*paths: str) -> float:
        return cpu_of_command([sys.executable, "-c", WHOLE_PROCESS, *paths])

    compare(
        "the same for the corpus, whole processes: Python's start and all imports included",
        ("python -c 'load_spec of all'", lambda: whole(*files)),
        (f"{objdump} -d of all", lambda: dump(*files)),
        goal=1,
    )
    compare(
        "the same for the largest object, whole processes",
        ("python -c 'load_spec'", lambda: whole(largest)),
        (f"{objdump} -d", lambda: dump(largest)),
        rounds=15,
        goal=1,
    )


if __name__ == "__main__":
    main()
