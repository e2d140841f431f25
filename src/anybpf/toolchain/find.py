"""Finding a C compiler that makes BPF.

The order is: what `ANYBPF_CC` names, a `clang` on the path that has the BPF target (`clang-19`
and the like too, newest first), and the clang inside the `ziglang` wheel. gcc is not looked for:
its BPF target is a separate compiler that knows no CO-RE as clang writes it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from functools import lru_cache
from pathlib import Path

from anybpf.errors import CompilerError
from anybpf.toolchain import headers
from anybpf.toolchain.process import run

VARIABLE = "ANYBPF_CC"
_PROBE_SECONDS = 60.0
_ADVICE = (
    "install one with `pip install 'anybpf[compile]'` (no root needed) or with your system's "
    f"package of clang, or name one in {VARIABLE}"
)


class Compiler:
    """A C compiler that makes BPF, and the folders of headers it must be told.

    ``command`` starts it; ``origin`` says where it was found; ``own_headers`` are added to those
    it searches, or replace them where ``replace_headers`` is set.
    """

    __slots__ = ("command", "origin", "own_headers", "replace_headers")

    def __init__(
        self, command: list[str], origin: str, own_headers: list[Path], replace_headers: bool
    ) -> None:
        self.command = command
        self.origin = origin
        self.own_headers = own_headers
        self.replace_headers = replace_headers

    def describe(self) -> str:
        """Its command and version, as one line."""
        said = run([*self.command, "--version"], _PROBE_SECONDS).text.splitlines()
        version = said[0].strip() if said else "version unknown"
        return f"{shlex.join(self.command)} ({version}; {self.origin})"

    def header_flags(self) -> list[str]:
        """The flags that name its folders of headers."""
        if self.replace_headers:
            flags = ["-nostdinc"]
            for folder in self.own_headers:
                flags += ["-isystem", str(folder)]
            return flags
        flags = ["-isystem", str(headers.LIBC_GAPS)]
        for folder in self.own_headers:
            flags += ["-idirafter", str(folder)]
        return flags

    def __repr__(self) -> str:
        return f"<Compiler {shlex.join(self.command)}, {self.origin}>"


def find_compiler() -> Compiler:
    """The compiler to use here; :class:`CompilerError` says what was tried if there is none."""
    return _find(os.environ.get(VARIABLE, ""), os.environ.get("PATH", os.defpath))


@lru_cache(maxsize=8)
def _find(wanted: str, path: str) -> Compiler:
    if wanted.strip():
        return _named(wanted, path)
    tried = [f"{VARIABLE} (not set)"]
    programs = _clangs(path)
    if not programs:
        tried.append("clang and clang-NN on the path (none there)")
    for program in programs:
        problem = _problem([program])
        if not problem:
            return Compiler([program], "found on the path", headers.system_headers(), False)
        tried.append(f"{program} ({problem})")
    folder = headers.wheel()
    if folder is not None:
        zig = shutil.which("zig", path=str(folder))
        if zig:
            return _zig([zig, "clang"], folder, "inside the ziglang wheel")
        tried.append(f"{folder} (there is no zig program in it)")
    else:
        tried.append(f"the ziglang wheel (not installed for {sys.executable})")
    raise CompilerError(f"no C compiler that makes BPF: tried {', '.join(tried)}; {_ADVICE}")


def _named(wanted: str, path: str) -> Compiler:
    """The compiler that the user asked for; no other is taken in its place."""
    origin = f"named in {VARIABLE}"
    try:
        command = shlex.split(wanted, posix=os.name == "posix")
    except ValueError as error:
        raise CompilerError(f"{VARIABLE} is {wanted!r}, which is no command: {error}") from None
    program = shutil.which(command[0], path=path)
    if program is None:
        raise CompilerError(f"{VARIABLE} is {wanted!r}, but {command[0]} is no program; {_ADVICE}")
    command[0] = program
    if command[1:3] == ["-m", "ziglang"]:
        folder = headers.wheel()
    else:
        folder = headers.zig_folder(program) if Path(program).stem == "zig" else None
    if folder is not None:
        return _zig(command if "clang" in command else [*command, "clang"], folder, origin)
    problem = _problem(command)
    if problem:
        raise CompilerError(f"{VARIABLE} is {wanted!r}, but this {problem}; {_ADVICE}")
    return Compiler(command, origin, headers.system_headers(), False)


def _zig(command: list[str], folder: Path, origin: str) -> Compiler:
    return Compiler(command, origin, headers.wheel_headers(folder), True)


def _clangs(path: str) -> list[str]:
    """`clang`, then `clang-NN` from the newest, each the first of its name on the path."""
    first: dict[str, str] = {}
    for folder in path.split(os.pathsep):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            stem = name.removesuffix(".exe")
            if stem == "clang" or (stem.startswith("clang-") and stem[6:].isdecimal()):
                program = os.path.join(folder or ".", name)
                if stem not in first and os.access(program, os.X_OK):
                    first[stem] = program
    numbered = sorted((stem for stem in first if stem != "clang"), key=lambda s: -int(s[6:]))
    return [first[stem] for stem in ["clang", *numbered] if stem in first]


def _problem(command: list[str]) -> str:
    """Why this compiler cannot make BPF, or "" if it can."""
    try:
        done = run([*command, "--print-targets"], _PROBE_SECONDS)
    except CompilerError as error:
        return str(error)
    if done.status:
        return f"is no clang: asked for its targets, it ended with status {done.status}"
    words = {line.split()[0] for line in done.text.splitlines() if line.split()}
    return "" if "bpf" in words else "clang was built without the BPF target"
