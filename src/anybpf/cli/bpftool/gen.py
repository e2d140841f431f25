"""`bpftool gen`: objects of several, skeletons, and the types that an object needs of a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from anybpf.cli.bpftool.session import Failure, Session, UsageWanted, Words, choose, usage
from anybpf.cli.files import write_whole
from anybpf.errors import AnyBPFError, NotSupported

if TYPE_CHECKING:
    from anybpf.objects.specs import CollectionSpec

USAGE: Final = """\
Usage: anybpf bpftool gen object OUTPUT_FILE INPUT_FILE [INPUT_FILE...]
       anybpf bpftool gen skeleton FILE [name OBJECT_NAME] [language { c | python }]
"""


def run(session: Session, words: Words) -> int:
    return choose(_TABLE, session, words)


def _need(words: Words, name: str, count: int) -> None:
    if len(words) < count:
        raise UsageWanted(message=f"'{name}' needs at least {count} arguments, {len(words)} found")


def make_object(session: Session, words: Words) -> int:
    _need(words, "object", 2)
    from anybpf.objects.linker import link

    output = words.take()
    files = [words.take() for _ in range(len(words))]
    for file in files:
        if not Path(file).exists():
            raise Failure(f"failed to link '{file}': No such file or directory (2)", 2)
    write_whole(Path(output), link(files))
    return 0


def skeleton(session: Session, words: Words) -> int:
    _need(words, "skeleton", 1)
    file = words.take()
    name = ""
    language = "c"
    while len(words):
        words.need(2)
        if words.take_if("name"):
            name = words.take()
        elif words.take_if("language"):
            language = words.take()
        else:
            raise Failure(f"unknown arg {words.peek()}")
    if language not in ("c", "python"):
        raise Failure(f"skeletons are written in c or python, not {language}")
    if session.use_loader:
        raise _refused("light skeletons, which load by a program in the kernel", "this command")
    path = Path(file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(f"failed to stat() {file}: {error.strerror}") from None
    name = identifier(name or path.name.removesuffix(".o"))
    try:
        spec = _spec(session, file)
    except AnyBPFError as error:
        session.note(f"anybpf: {error}")
        raise Failure("failed to open BPF object file: Invalid argument") from None
    if language == "python":
        from anybpf.cli.bpftool import skeleton_python

        session.print(skeleton_python.text(spec, name, data))
    else:
        from anybpf.cli.bpftool import skeleton_c

        session.print(skeleton_c.text(spec, name, data))
    return 0


def _spec(session: Session, file: str) -> CollectionSpec:
    from anybpf.objects import load_spec

    return load_spec(file, platform=session.backend.platform.name)


def identifier(text: str) -> str:
    """A name that C and Python take."""
    out = "".join(one if (one.isalnum() and one.isascii()) or one == "_" else "_" for one in text)
    return f"_{out}" if out[:1].isdigit() else out


def map_identifier(name: str) -> str:
    """A map's: sections lose the dot in front."""
    return identifier(name.lstrip("."))


def _refused(what: str, why: str) -> NotSupported:
    return NotSupported(what, where=why)


def subskeleton(session: Session, words: Words) -> int:
    _need(words, "subskeleton", 1)
    raise _refused("subskeletons", "this command; 'gen skeleton' makes whole ones")


def min_core_btf(session: Session, words: Words) -> int:
    _need(words, "min_core_btf", 3)
    raise _refused("BTF cut down to what objects need", "this command")


_TABLE: Final = (
    ("object", make_object),
    ("skeleton", skeleton),
    ("subskeleton", subskeleton),
    ("min_core_btf", min_core_btf),
    ("help", usage),
)
