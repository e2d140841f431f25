"""What keeps a program from loading on a platform, found before any verification.

Holds each program against the platform's tables: section, helpers, maps, context fields, kernel
symbols, limits. A program without obstacles may still be refused by the verifier; one with an
obstacle will not load.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import core as btf_core
from anybpf.isa import opcodes as op
from anybpf.isa.instruction import Instruction, SourceLine
from anybpf.isa.listing.anybpf import source_place
from anybpf.objects import flow as f
from anybpf.objects.flow import Access, Call, Flow
from anybpf.objects.hints import field_text
from anybpf.objects.specs import CollectionSpec, Function, MapSpec, ProgramSpec
from anybpf.platforms import MapType, Platform
from anybpf.platforms import get as get_platform
from anybpf.platforms import names as platform_names

# Licences that count as compatible with the GPL: Linux, include/linux/license.h.
GPL_COMPATIBLE: Final = (
    "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
)  # fmt: skip

# A platform with this limit has kernel functions and with them its own type information.
_KERNEL_TYPES: Final = "kernel_functions"


class Obstacle:
    """One thing in the way of one program, or of all if ``program`` is empty.

    ``kind`` is one of: section, type, helper, license, map, map type, context field, function,
    symbol, CO-RE, instruction, limit, name. ``subject`` is what it is about. ``slot`` counts from
    the start of ``function``; -1 where no instruction is meant.
    """

    __slots__ = ("function", "kind", "line", "message", "program", "slot", "subject")

    def __init__(self, program: str, kind: str, subject: str, message: str) -> None:
        self.program: str = program
        self.kind: str = kind
        self.subject: str = subject
        self.message: str = message
        self.function: str = ""
        self.slot: int = -1
        self.line: SourceLine | None = None

    def as_json(self) -> dict[str, object]:
        line = self.line
        return {
            "program": self.program,
            "kind": self.kind,
            "subject": self.subject,
            "message": self.message,
            "function": self.function or None,
            "slot": self.slot if self.slot >= 0 else None,
            "file": None if line is None else line.file,
            "line": None if line is None else line.line,
            "source": None if line is None else line.text.strip(),
        }

    def __str__(self) -> str:
        text = f"{self.kind}: {self.message}"
        if self.slot >= 0:
            text += f" ({self.function}, slot {self.slot}"
            if self.line is not None:
                text += f", {source_place(self.line)}"
            text += ")"
        return text

    def __repr__(self) -> str:
        return f"<Obstacle {self.program}: {self}>"


def portability(spec: CollectionSpec, platform: Platform) -> list[Obstacle]:
    """All obstacles of all programs, in the order of the programs and of their code.

    ``spec`` must have been loaded for this platform, since section names, numbers of map types
    and those of helpers mean something else on each.
    """
    found: list[Obstacle] = []
    used: set[str] = set()
    check: _Check | None = None
    for program in spec.programs.values():
        check = _Check(spec, platform, program)
        found += check.run()
        used.update(check.maps)
    if check is not None:
        found += check.unused_maps(used)
    return found


class _Check:
    """The check of one program."""

    __slots__ = ("found", "maps", "owner", "platform", "program", "seen", "spec")

    def __init__(self, spec: CollectionSpec, platform: Platform, program: ProgramSpec) -> None:
        self.spec: CollectionSpec = spec
        self.platform: Platform = platform
        self.program: ProgramSpec = program
        self.owner: str = program.name
        self.maps: dict[str, MapSpec] = {}  # what its instructions load
        self.found: list[Obstacle] = []
        # Each thing is told once per program, at the first place.
        self.seen: set[tuple[str, str, str]] = set()

    def run(self) -> list[Obstacle]:
        functions = self.program.functions
        self.type()
        self.limits(functions)
        for function in functions:
            slot = 0
            for index, insn in enumerate(function.instructions):
                self.instruction(function, index, slot, insn)
                if insn.map_name and insn.map_name in self.spec.maps:
                    self.maps[insn.map_name] = self.spec.maps[insn.map_name]
                slot += insn.slots
        for name, each in self.maps.items():
            self.map(name, each)
        walk = Flow(self.spec, self.platform, self.program.type, functions)
        for call in walk.calls:
            self.helper(call)
        for access in walk.accesses:
            if access.place.kind == f.CONTEXT:
                self.context(access)
        return self._in_order(functions)

    def _in_order(self, functions: list[Function]) -> list[Obstacle]:
        """First what concerns the whole program, then what concerns its code, by place."""
        place = {function.name: number for number, function in enumerate(functions)}
        keyed = [
            (place.get(each.function, -1), each.slot, number)
            for number, each in enumerate(self.found)
        ]
        return [self.found[number] for _, _, number in sorted(keyed)]

    def unused_maps(self, used: set[str]) -> list[Obstacle]:
        """Obstacles of maps that no program names: loaders create them all the same."""
        self.found = []
        self.owner = ""
        for name, each in self.spec.maps.items():
            if name not in used:
                self.map(name, each)
        return self.found

    def add(
        self,
        kind: str,
        subject: str,
        message: str,
        function: Function | None = None,
        index: int = 0,
        slot: int = -1,
    ) -> None:
        key = (kind, subject, message)
        if key in self.seen:
            return
        self.seen.add(key)
        obstacle = Obstacle(self.owner, kind, subject, message)
        if function is not None:
            obstacle.function = function.name
            obstacle.slot = slot
            obstacle.line = function.source_line(index)
        self.found.append(obstacle)

    def type(self) -> None:
        name = self.program.type
        if name == "unspec":
            self.add(
                "section",
                self.program.section,
                f"section {self.program.section} is not known on {self.platform.name}, so the "
                "program's type is not known either",
            )
        elif self.platform.program_types.get(name) is None:
            self.add("type", name, f"{self.platform.name} has no program type {name}")
        attach_type = self.program.attach_type
        if attach_type and self.platform.attach_types.get(attach_type) is None:
            self.add("type", attach_type, f"{self.platform.name} has no attach type {attach_type}")

    def limits(self, functions: list[Function]) -> None:
        limits = self.platform.limits
        slots = sum([function.slots for function in functions])
        most = limits.get("instructions")
        if most is not None and slots > most:
            self.add("limit", "instructions", f"{slots} slots of code, at most {most} are allowed")
        most = limits.get("subprograms")
        if most is not None and len(functions) > most:
            self.add("limit", "subprograms", f"{len(functions)} functions, at most {most} may be")
        # Loaders for Linux cut names that are too long; elsewhere they are refused.
        longest = limits.get("name_length")
        if longest is not None and not self.cuts_names():
            name = self.program.function.symbol
            if len(name) > longest:
                self.add("name", name, f"the name {name} is longer than {longest} bytes")

    def cuts_names(self) -> bool:
        return _KERNEL_TYPES in self.platform.limits

    def instruction(self, function: Function, index: int, slot: int, insn: Instruction) -> None:
        if insn.is_btf_call:
            self.symbol("function", insn.reference, function, index, slot)
        elif insn.opcode == op.CALL_REG:
            self.add(
                "instruction",
                "callx",
                f"{self.platform.name} takes no calls through a register",
                function,
                index,
                slot,
            )
        elif insn.opcode == op.LD_IMM64 and insn.reference in self.spec.externs:
            self.symbol("symbol", insn.reference, function, index, slot)
        record = insn.core
        if record is None or _KERNEL_TYPES in self.platform.limits:
            return
        if record.kind != btf_core.TYPE_ID_LOCAL:
            self.add(
                "CO-RE",
                f"type {record.type_id}",
                f"{self.platform.name} has no type information to relocate against",
                function,
                index,
                slot,
            )

    def symbol(self, kind: str, name: str, function: Function, index: int, slot: int) -> None:
        """A function or variable of the kernel, or a configuration value."""
        extern = self.spec.externs.get(name)
        if extern is not None and extern.is_weak:
            return
        if extern is not None and not extern.section:
            message = f"{name} is defined nowhere: neither in the object nor in .ksyms"
        elif _KERNEL_TYPES not in self.platform.limits:
            message = f"{self.platform.name} does not supply {name}"
        else:
            return  # whether this kernel has it, only the kernel can tell
        self.add(kind, name, message, function, index, slot)

    def helper(self, call: Call) -> None:
        platform = self.platform
        program = self.program
        helper = platform.find_helper(call.number, program.type)
        where = (call.function, call.index, call.slot)
        if helper is None:
            self.add(
                "helper",
                str(call.number),
                f"{platform.name} has no helper with number {call.number}"
                f"{self.elsewhere(call.number)}",
                *where,
            )
            return
        name: str = helper.name
        if call.misplaced >= 0:
            wanted = helper.args[call.misplaced].kind.replace("_", " ")
            self.add(
                "helper",
                name,
                f"number {call.number} is {name} on {platform.name}, whose argument "
                f"{call.misplaced + 1} is a {wanted}, and is given {call.given}: the program "
                "seems to be made for another platform",
                *where,
            )
            return
        known = program.type != "unspec" and program.type in platform.program_types
        if known and not platform.helper_allowed(helper, program.type, program.attach_type):
            whom = f"{program.type} programs"
            if platform.helper_allowed(helper, program.type):
                whom += f" of attach type {program.attach_type}"
            self.add("helper", name, f"{name} may not be called by {whom}", *where)
        if platform.uses_license and "gpl" in helper.flags and not _is_gpl(self.spec.license):
            has = f"'{self.spec.license}'" if self.spec.license else "none"
            self.add(
                "license", name, f"{name} is for GPL-compatible programs; the licence is {has}",
                *where,
            )  # fmt: skip
        passed = call.map
        if passed is not None and passed.map is not None:
            map_type: str = passed.map.type
            if map_type in platform.map_types and not platform.map_accepts(map_type, call.number):
                self.add(
                    "helper", name, f"{name} does not work on map {passed.name} of type {map_type}",
                    *where,
                )  # fmt: skip

    def elsewhere(self, number: int) -> str:
        """What the number means on the other platforms, in brackets; '' if nothing."""
        known = [
            f"{name}: {helper.name}"
            for name in platform_names()
            if name != self.platform.name
            for helper in [get_platform(name).find_helper(number)]
            if helper is not None
        ]
        return f" ({', '.join(known)})" if known else ""

    def map(self, name: str, spec: MapSpec) -> None:
        kind = self.platform.map_types.get(spec.type)
        if kind is None:
            self.add("map type", name, f"map {name}: {self.platform.name} has no type {spec.type}")
            return
        if spec.kind == "kconfig" and _KERNEL_TYPES not in self.platform.limits:
            return  # told by the values that are used
        for problem in self.size_problems(kind, spec):
            self.add("map", name, f"map {name}: {problem}")
        if spec.kind == "user":
            self.flags(name, kind, spec)
        given = "maps" if spec.inner is not None else ""
        if given and kind.holds != given:
            self.add("map", name, f"map {name}: {spec.type} does not hold {given}")
        if spec.inner is not None and self.platform.map_types.get(spec.inner.type) is None:
            self.add(
                "map type",
                name,
                f"map {name}: {self.platform.name} has no type {spec.inner.type}, that of the "
                "maps inside",
            )
        longest = self.platform.limits.get("name_length")
        if longest is not None and len(spec.name) > longest and not self.cuts_names():
            self.add("name", name, f"the map's name {spec.name} is longer than {longest} bytes")
        largest = self.platform.limits.get("data_section_size")
        if spec.kind != "user" and largest is not None and spec.value_size > largest:
            self.add("limit", name, f"{spec.value_size} bytes of data, at most {largest} may be")

    def size_problems(self, kind: MapType, spec: MapSpec) -> list[str]:
        entries = spec.max_entries
        if entries == 0 and kind.holds == "perf_events":
            entries = 1  # loaders put in the number of processors
        problems: list[str] = kind.problems(spec.key_size, spec.value_size, entries)
        return problems

    def flags(self, name: str, kind: MapType, spec: MapSpec) -> None:
        for shift in range(32):
            bit = 1 << shift
            if not spec.flags & bit:
                continue
            flag = self.platform.map_flags.get(bit)
            if flag is None:
                self.add("map", name, f"map {name}: {self.platform.name} has no flag {bit:#x}")
            elif kind.allowed_flags and flag.name not in kind.allowed_flags:
                self.add("map", name, f"map {name}: {spec.type} does not take flag {flag.name}")
        for required in kind.required_flags:
            flag = self.platform.map_flags.get(required)
            if flag is not None and not spec.flags & flag.bit:
                self.add("map", name, f"map {name}: {spec.type} needs flag {required}")

    def context(self, access: Access) -> None:
        kind = self.platform.program_types.get(self.program.type)
        if kind is None or self.program.type == "unspec":
            return
        offset = access.place.offset
        size = access.size
        allowed = self.platform.context_access(
            self.program.type, offset, size, access.write, self.program.attach_type
        )
        if allowed is not None:
            return
        verb = "written" if access.write else "read"
        context = kind.context
        if context is None:
            subject = "ctx"
            message = f"{self.program.type} programs have no context to be {verb}"
        else:
            subject = field_text("ctx", context, offset, size)
            place = f"{size} bytes at {offset} of {context.name}"
            if subject:
                message = f"{subject} may not be {verb} here ({place})"
            else:
                subject = f"ctx+{offset}"
                message = f"no field to be {verb} as {place}"
        self.add("context field", subject, message, access.function, access.index, access.slot)


def _is_gpl(text: str) -> bool:
    return text in GPL_COMPATIBLE
