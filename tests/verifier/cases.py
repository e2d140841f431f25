"""Verifier cases: the format of `cases/*.case`, and how one is run. `cases/README.md` explains it.

Reading is strict: a word that is not known is an error with file and line, so that no expectation
is ever passed over in silence.
"""

from __future__ import annotations

import re
from pathlib import Path

from anybpf.errors import AnyBPFError
from anybpf.isa.assembler import assemble
from anybpf.isa.instruction import Instruction
from anybpf.objects.specs import CollectionSpec, Function, MapSpec, ProgramSpec
from anybpf.platforms import get as get_platform
from tests.verifier.ctypes_text import Types

FOLDER = Path(__file__).resolve().parent / "cases"
# Flags of rodata maps: Linux UAPI header linux/bpf.h.
RDONLY_PROG = 1 << 7
END = "case_end"

_WORDS = ("type", "attach", "target", "license", "flags", "platform", "before", "note")
_LISTS = ("map", "data", "struct", "function")
_LABEL = re.compile(r"\w+:")  # code may bear labels at the left edge
_AT = re.compile(r"at (\w+):\s*(.*)")
_TYPE_ID = re.compile(r"typeid\((\w+)\)")
_REJECT = re.compile(r"reject(?:\s+([a-z-]+))?(?:\s+at\s+(\w+))?")


class CaseError(Exception):
    """A case that cannot be read."""


class Case:
    """One case as it stands in its file."""

    def __init__(self, file: str, line: int, title: str) -> None:
        self.file = file
        self.line = line
        self.title = title
        self.words: dict[str, str] = {"type": "xdp", "platform": "linux", "license": "GPL"}
        self.lists: dict[str, list[str]] = {name: [] for name in _LISTS}
        self.code: list[str] = []
        self.code_line = 0
        self.claims: list[tuple[str, str]] = []  # label ("" for the end), state
        self.accept = True
        self.kind = ""
        self.place = ""
        self.linux = ""  # the kernel's verdict where it is not ours
        self.decided = False

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    def __repr__(self) -> str:
        return f"<Case {self.where}: {self.title}>"


def read_cases(path: Path) -> list[Case]:
    """All cases of a file, in order."""
    cases: list[Case] = []
    shared = Case(path.name, 0, "")
    current = shared
    in_code = False
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if in_code and (raw.startswith((" ", "\t")) or not line or _LABEL.fullmatch(raw)):
            current.code.append(raw)
            continue
        in_code = False
        if not line or line.startswith("#"):
            continue
        where = f"{path.name}:{number}"
        if line.startswith("case:"):
            _check_complete(current)
            current = Case(path.name, number, line[5:].strip())
            current.words.update(shared.words)
            current.lists = {name: list(rows) for name, rows in shared.lists.items()}
            cases.append(current)
        elif line == "code:":
            in_code = True
            current.code_line = number
        else:
            _read_line(current, line, where)
    _check_complete(current)
    return cases


def _read_line(case: Case, line: str, where: str) -> None:
    at = _AT.fullmatch(line)
    reject = _REJECT.fullmatch(line)
    word, colon, rest = line.partition(":")
    rest = rest.strip()
    if at is not None:
        case.claims.append((at[1], at[2]))
    elif line == "accept" or reject is not None:
        if case.decided:
            raise CaseError(f"{where}: the case has a verdict already")
        case.decided = True
        case.accept = reject is None
        if reject is not None:
            case.kind = reject[1] or ""
            case.place = reject[2] or ""
    elif colon and word == "after":
        case.claims.append(("", rest))
    elif colon and word == "linux":
        if rest not in ("accepts", "rejects"):
            raise CaseError(f"{where}: the kernel accepts or rejects, not {rest!r}")
        case.linux = rest
    elif colon and word in _WORDS:
        case.words[word] = rest
    elif colon and word in _LISTS:
        case.lists[word].append(rest)
    else:
        raise CaseError(f"{where}: {line!r} is no line of a case")


def _check_complete(case: Case) -> None:
    if not case.title:
        return
    if not any(line.strip() for line in case.code):
        raise CaseError(f"{case.where}: the case has no code")
    if not case.decided and not case.claims:
        raise CaseError(f"{case.where}: the case expects nothing; say accept, reject or after:")
    if case.linux and (case.linux == "accepts") == case.accept:
        raise CaseError(f"{case.where}: linux: is for verdicts that differ from ours")
    if not case.accept and case.claims:
        raise CaseError(f"{case.where}: a rejected program has no states after it")


class Prepared:
    """A case as specs that can be verified or loaded."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.types = Types()
        self.maps: dict[str, MapSpec] = {}
        self.globals: dict[str, int] = {}
        try:
            for text in case.lists["struct"]:
                self.types.add_struct(text)
            for text in case.lists["function"]:
                name, type_id = self.types.add_function(text, True)
                self.globals[name] = type_id
            for text in case.lists["map"]:
                spec = self._map(text.split())
                self.maps[spec.name] = spec
            for text in case.lists["data"]:
                spec = _data(text.split())
                self.maps[spec.name] = spec
        except (ValueError, KeyError, IndexError) as error:
            raise CaseError(f"{case.where}: {error}") from None
        self.instructions, self.end = self._assemble()

    def _assemble(self) -> tuple[list[Instruction], int]:
        case = self.case
        platform = get_platform(case.words["platform"])
        numbers = {helper.name: helper.number for helper in platform.helpers}
        for helper in platform.program_type(case.words["type"]).own_helpers:
            numbers[helper.name] = helper.number
        text = "\n".join(case.code)
        try:
            text = _TYPE_ID.sub(lambda found: str(self.types.struct_id(found[1])), text)
        except KeyError as error:
            raise CaseError(f"{case.where}: there is no {error}") from None
        open_end = not re.search(r"\bexit\b", text)
        if open_end:
            text += f"\n{END}: r0 = 0; exit"
        try:
            code = assemble(text, helpers=numbers, open_names=False)
        except AnyBPFError as error:
            raise CaseError(f"{case.file}:{case.code_line}: {error}") from None
        return code, len(code) - 2 if open_end else -1

    def _map(self, words: list[str]) -> MapSpec:
        """`NAME TYPE KEY VALUE ENTRIES [value=STRUCT] [inner=NAME] [flags=N] [extra=N]`"""
        spec = MapSpec(words[0], words[1])
        spec.key_size, spec.value_size, spec.max_entries = (int(word) for word in words[2:5])
        for option in words[5:]:
            name, _, value = option.partition("=")
            if name == "value":
                spec.value_type_id = self.types.struct_id(value)
                spec.value_size = self.types.size(value)
                spec.key_type_id = self.types.integer_id("u32" if spec.key_size == 4 else "u64")
            elif name == "inner":
                spec.inner = self.maps[value]
            elif name == "flags":
                spec.flags = int(value, 0)
            elif name == "extra":
                spec.extra = int(value, 0)
            else:
                raise ValueError(f"a map has no option {name!r}")
        return spec

    @property
    def needs_types(self) -> bool:
        """Whether bare code does not say it all: typed maps, callbacks, globals, a licence."""
        case = self.case
        return bool(
            case.lists["struct"]
            or case.lists["function"]
            or "target" in case.words
            or "flags" in case.words
            or case.words["license"] != "GPL"
            or any(insn.is_function_load for insn in self.instructions)
            or (self._calls and re.search(r"bpf_tail_call|skb\[", "".join(case.code)))
        )

    @property
    def _calls(self) -> bool:
        return any(insn.is_local_call for insn in self.instructions)

    def collection(self) -> tuple[CollectionSpec, ProgramSpec]:
        """The case as an object file's contents, every function with a BTF type."""
        case = self.case
        platform = case.words["platform"]
        spec = CollectionSpec("case", "", platform)
        spec.license = case.words["license"]
        spec.maps.update(self.maps)
        functions = self._functions()
        for function in functions:
            if function.name in self.globals:
                function.type_id = self.globals[function.name]
            else:
                function.is_global = function is functions[0]
                _, function.type_id = self.types.add_function(
                    f"int {function.name}(u64 a)"
                    if function is functions[0]
                    else f"int {function.name}(void)",
                    function.is_global,
                )
            spec.functions[function.name] = function
        spec.btf = self.types.builder.build()
        program = ProgramSpec(functions[0], case.words["type"], spec.functions)
        program.type = case.words["type"]
        program.attach_type = case.words.get("attach", "")
        program.attach_to = case.words.get("target", "")
        program.license = spec.license
        program.flags = tuple(case.words.get("flags", "").split())
        program.platform = platform
        spec.programs[program.name] = program
        return spec, program

    def _functions(self) -> list[Function]:
        """The code in pieces: a function begins at every label that is called or loaded."""
        starts = {insn.reference for insn in self.instructions if _names_function(insn)}
        functions = [Function("main", ".text", 0, [])]
        for insn in self.instructions:
            if insn.symbol and insn.symbol in starts and functions[-1].instructions:
                functions.append(Function(insn.symbol, ".text", 0, []))
            functions[-1].instructions.append(insn.copy())
        for function in functions:
            calls = [i.reference for i in function.instructions if _names_function(i)]
            function.calls = tuple(dict.fromkeys(calls))
        return functions


def _names_function(insn: Instruction) -> bool:
    return insn.is_local_call or insn.is_function_load


def _data(words: list[str]) -> MapSpec:
    """`NAME rodata|data|bss HEX...`: global data, one word of hexadecimal digits after another."""
    spec = MapSpec(words[0], "array")
    if words[1] not in ("rodata", "data", "bss"):
        raise ValueError(f"data is rodata, data or bss, not {words[1]!r}")
    spec.kind = words[1]
    content = bytes.fromhex("".join(words[2:]))
    spec.key_size, spec.value_size, spec.max_entries = 4, len(content), 1
    if spec.kind == "rodata":
        spec.flags = RDONLY_PROG
    spec.contents = [(b"\0\0\0\0", content)]
    return spec
