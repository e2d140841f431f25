"""A platform: its tables, the look-ups over them, and how an extension's rows come and go.

What stands in the tables is the business of the platform's own modules; what a command prints
about them, that of ``describe``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from anybpf.errors import InputError, NotFound
from anybpf.platforms.extensions import Extension, why_not
from anybpf.platforms.model import (
    AttachType,
    Callback,
    Context,
    ErrorNumber,
    Field,
    Flag,
    Helper,
    Kfunc,
    LinkType,
    MapType,
    ProgramType,
    ResultCode,
    ReturnRange,
    SectionMatch,
    SectionRule,
    SpecialField,
)
from anybpf.platforms.table import Row, Table, near


class CallTables:
    """Functions that programs call by name, how to read others, and what calls programs back."""

    __slots__ = ("callbacks", "kfuncs", "suffixes")

    def __init__(
        self,
        platform: str,
        kfuncs: Table[Kfunc] | None = None,
        callbacks: Table[Callback] | None = None,
        suffixes: dict[str, str] | None = None,
    ) -> None:
        self.kfuncs: Table[Kfunc] = (
            Table(f"kernel function of {platform}", ()) if kfuncs is None else kfuncs
        )
        self.callbacks: Table[Callback] = (
            Table(f"callback of {platform}", ()) if callbacks is None else callbacks
        )
        self.suffixes = {} if suffixes is None else suffixes


class Platform:
    """What one system offers to programs.

    ``program_types``, ``attach_types``, ``link_types``, ``map_types``, ``helpers``, ``map_flags``,
    ``errnos`` and ``result_codes`` are tables by name and number; ``limits`` are numbers by name,
    ``limit_texts`` say what they mean. ``structure_names`` are the structures that programs see
    (contexts, sockets, flow keys), ``pointee_kinds`` the kinds of pointers that lead to one.
    ``section_rows`` are the rows of the section table by name. ``legacy_map_fields`` are what
    follows type, key size, value size and entries in a definition of the time before BTF; empty
    where loaders never agreed.
    ``uses_license``: whether the licence decides what a program may call. ``rules`` say what
    programs may do, by name, ``rule_texts`` what that means. ``special_fields`` are structures
    that map values may hold, ``pointer_structures`` the kernel structures behind kinds of
    pointers, ``projections`` those behind structures that programs see. ``statuses`` are what
    programs see of what the embedded runtime's operations come to: numbers by the status's name.
    ``derived`` is where others keep what they made of the rows; it is emptied when rows change.
    """

    __slots__ = (
        "_added_helpers",
        "_argument_words",
        "_calls",
        "_extensions",
        "_loose",
        "_make_calls",
        "_make_pointee",
        "_make_structure",
        "_section_rules",
        "attach_types",
        "bool_targets",
        "derived",
        "errnos",
        "helpers",
        "legacy_map_fields",
        "limit_texts",
        "limits",
        "link_types",
        "map_flags",
        "map_types",
        "members",
        "name",
        "pointee_kinds",
        "pointer_structures",
        "program_types",
        "projections",
        "result_codes",
        "rule_texts",
        "rules",
        "section_rows",
        "special_fields",
        "statuses",
        "structure_names",
        "title",
        "uses_license",
        "writable",
    )

    def __init__(
        self,
        name: str,
        title: str,
        *,
        program_types: Table[ProgramType],
        attach_types: Table[AttachType],
        link_types: Table[LinkType],
        map_types: Table[MapType],
        map_flags: Table[Flag],
        helpers: Table[Helper],
        errnos: Table[ErrorNumber],
        result_codes: Table[ResultCode],
        sections: Iterable[Row],
        limits: Iterable[tuple[str, int, str]],
        legacy_map_fields: Iterable[str] = (),
        structure_names: Iterable[str] = (),
        make_structure: Callable[[str], Context] | None = None,
        pointee_kinds: Iterable[str] = (),
        make_pointee: Callable[[str], Context] | None = None,
        uses_license: bool = False,
        make_calls: Callable[[], CallTables] | None = None,
        rules: tuple[tuple[str, bool, str], ...] = (),
        special_fields: Iterable[SpecialField] = (),
        pointer_structures: dict[str, str] | None = None,
        projections: dict[str, str] | None = None,
        writable: Iterable[tuple[str, str, tuple[tuple[str, int], ...]]] = (),
        members: Iterable[tuple[str, str, str, bool]] = (),
        argument_words: Callable[[str, str, int, bool], frozenset[str]] | None = None,
        bool_targets: Iterable[str] = (),
        statuses: dict[str, int] | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.program_types = program_types
        self.attach_types = attach_types
        self.link_types = link_types
        self.map_types = map_types
        self.map_flags = map_flags
        self.helpers = helpers
        self.errnos = errnos
        self.result_codes = result_codes
        self.limits = {row[0]: row[1] for row in limits}
        self.limit_texts = {row[0]: row[2] for row in limits}
        self.legacy_map_fields = tuple(legacy_map_fields)
        self.structure_names = tuple(structure_names)
        self._make_structure = make_structure
        self.pointee_kinds = tuple(pointee_kinds)
        self._make_pointee = make_pointee
        self.uses_license = uses_license
        self._make_calls = make_calls
        self._calls: CallTables | None = None
        self.derived: dict[object, object] = {}
        self.rules = {row[0]: row[1] for row in rules}
        self.rule_texts = {row[0]: row[2] for row in rules}
        self.special_fields = {field.name: field for field in special_fields}
        self.pointer_structures = {} if pointer_structures is None else pointer_structures
        self.projections = {} if projections is None else projections
        self.writable = tuple(writable)
        self.members = {(row[0], row[1]): (row[2], row[3]) for row in members}
        self._argument_words = argument_words
        self.bool_targets = frozenset(bool_targets)
        self.statuses = {} if statuses is None else statuses
        self._extensions: dict[str, Extension] = {}
        self._added_helpers: set[int] = set()
        self.section_rows: dict[str, Row] = {}
        self._loose: list[Row] = []
        self._section_rules: dict[tuple[str, str], SectionRule] = {}
        for row in sections:
            self._add_section_row(row)
        self._sort_loose()

    def __repr__(self) -> str:
        return f"<Platform {self.name}>"

    # Look-ups. A name or number that is not there is NotFound, with the names that look like it.

    def program_type(self, key: str | int) -> ProgramType:
        return self.program_types[key]

    def attach_type(self, key: str | int) -> AttachType:
        return self.attach_types[key]

    def link_type(self, key: str | int) -> LinkType:
        return self.link_types[key]

    def map_type(self, key: str | int) -> MapType:
        return self.map_types[key]

    def errno(self, key: str | int) -> ErrorNumber:
        return self.errnos[key]

    def result_code(self, key: str | int) -> ResultCode:
        return self.result_codes[key]

    def codes(self) -> list[int]:
        """What a program finds in r0 for each of the core's statuses, in their order.

        >>> from anybpf.platforms import get
        >>> get("linux").codes()[:2], get("windows").codes()[:2]
        ([0, -2], [0, -7])
        """
        from anybpf import _core

        return [self.statuses[name] if name != "OK" else 0 for name in _core.STATUSES]

    def find_helper(self, key: str | int, program_type: str = "") -> Helper | None:
        """The helper of that number or name, or None.

        Where a number means different functions to different program types, ``program_type`` says
        which is meant. A name may lack its ``bpf_``.
        """
        if program_type:
            kind = self.program_types.get(program_type)
            if kind is not None:
                for helper in kind.own_helpers:
                    if key in (helper.number, helper.name):
                        return helper
        found = self.helpers.get(key)
        if found is not None or isinstance(key, int):
            return found
        if not key.startswith("bpf_"):
            found = self.helpers.get(f"bpf_{key}")
            if found is not None:
                return found
        return self._own_helper(key)

    def helper(self, key: str | int, program_type: str = "") -> Helper:
        """The same; :class:`NotFound` names the helpers that look like it."""
        found = self.find_helper(key, program_type)
        if found is not None:
            return found
        if isinstance(key, int):
            hint = f" for program type {program_type}" if program_type else ""
            raise NotFound(f"no helper of {self.name} has the number {key}{hint}")
        names = self.helpers.names()
        for kind in self.program_types:
            names.extend([helper.name for helper in kind.own_helpers])
        hint = near(key, names) or near(f"bpf_{key}", names)
        raise NotFound(f"no helper of {self.name} is named {key!r}{hint}")

    def _own_helper(self, name: str) -> Helper | None:
        for kind in self.program_types:
            for helper in kind.own_helpers:
                if helper.name == name:
                    return helper
        return None

    def helper_allowed(
        self, helper: str | int | Helper, program_type: str | int, attach_type: str = ""
    ) -> bool:
        """Whether programs of that type may call the helper at all.

        Without an attach type, what some attach type permits is permitted. Licence, capabilities
        and the kinds of arguments are the verifier's business.

        >>> from anybpf.platforms import get
        >>> get("linux").helper_allowed("bpf_xdp_adjust_head", "sched_cls")
        False
        """
        kind = self.program_types[program_type]
        found = helper if isinstance(helper, Helper) else self.helper(helper, kind.name)
        number = found.number
        if found.program_type:
            if found.program_type != kind.name:
                return False
        elif number not in kind.helpers and number not in self._added_helpers:
            return False
        only = kind.helper_attach_types.get(number)
        return only is None or not attach_type or attach_type in only

    def helpers_of(self, program_type: str | int, attach_type: str = "") -> list[Helper]:
        """All that programs of that type may call, by number, the type's own helpers last."""
        kind = self.program_types[program_type]
        own = {helper.number for helper in kind.own_helpers}
        numbers = sorted((kind.helpers | self._added_helpers) - own)
        general = [
            self.helpers[number]
            for number in numbers
            if self.helper_allowed(number, kind.name, attach_type)
        ]
        own_ones = [
            helper
            for helper in kind.own_helpers
            if self.helper_allowed(helper, kind.name, attach_type)
        ]
        return general + own_ones

    @property
    def calls(self) -> CallTables:
        """Kernel functions and callbacks; their rows are read when they are first asked for."""
        if self._calls is None:
            make = self._make_calls
            self._calls = CallTables(self.name) if make is None else make()
        return self._calls

    @property
    def kfuncs(self) -> Table[Kfunc]:
        """Functions of the kernel that programs call by name."""
        return self.calls.kfuncs

    @property
    def kfunc_suffixes(self) -> dict[str, str]:
        """What ends of parameters' names say of kernel functions, in the words of ``prototype``."""
        return self.calls.suffixes

    def kfunc(self, name: str) -> Kfunc | None:
        """The kernel function of that name, or None if the table has none.

        A kernel may have others: its BTF and ``kfunc_suffixes`` tell what those take.

        >>> from anybpf.platforms import get
        >>> get("linux").kfunc("bpf_task_from_pid").returns.acquires
        True
        """
        return self.kfuncs.get(name)

    def kfunc_allowed(
        self, kfunc: str | Kfunc, program_type: str | int, attach_type: str = ""
    ) -> bool:
        """Whether programs of that type may call the kernel function at all.

        Without an attach type, what some attach type permits is permitted.
        """
        found = kfunc if isinstance(kfunc, Kfunc) else self.kfuncs[kfunc]
        kind = self.program_types[program_type]
        if found.program_types and kind.name not in found.program_types:
            return False
        return not attach_type or not found.attach_types or attach_type in found.attach_types

    def kfuncs_of(self, program_type: str | int, attach_type: str = "") -> list[Kfunc]:
        """All kernel functions that programs of that type may call, as the table has them."""
        return [one for one in self.kfuncs if self.kfunc_allowed(one, program_type, attach_type)]

    def callback(self, shape: str) -> Callback:
        """What is known of a callback; the shape stands in the type of a function argument.

        >>> from anybpf.platforms import get
        >>> get("linux").callback("timer").runs
        'later'
        """
        return self.calls.callbacks[shape]

    def callback_shapes(self) -> list[str]:
        return self.calls.callbacks.names()

    def allows(self, rule: str) -> bool:
        """Whether programs may do what the rule names; False for a rule that is not there."""
        return self.rules.get(rule, False)

    def writable_fields(self, program_type: str, structure: str) -> tuple[tuple[str, int], ...]:
        """The fields of a kernel structure that programs of that type may store to, with sizes."""
        for owner, name, fields in self.writable:
            if name == structure and program_type in owner.split():
                return fields
        return ()

    def target_argument(
        self, program_type: str, attach_type: str, target: str, position: int
    ) -> frozenset[str]:
        """What is known of a typed argument at one target, beyond its BTF type.

        Words out of "trusted", "null" (may be null), "buffer" (memory as long as a map's value)
        and "read_buffer" (as long as its key, only to be read).

        >>> from anybpf.platforms import get
        >>> sorted(get("linux").target_argument("tracing", "trace_raw_tp", "kfree_skb", 3))
        ['null', 'trusted']
        """
        kind = self.program_types[program_type]
        trusted = kind.trusted_arguments(attach_type)
        if self._argument_words is None:
            return frozenset()
        return self._argument_words(attach_type, target, position, trusted)

    def member_trust(self, structure: str, member: str) -> tuple[str, bool] | None:
        """How far a pointer read from a member of a trusted structure may be relied on.

        That, and whether it may be null; None: it may be read through, and nothing else.
        """
        return self.members.get((structure, member))

    def return_range(
        self, program_type: str | int, attach_type: str = "", target: str = ""
    ) -> ReturnRange | None:
        """What a program attached there may return; None: anything."""
        kind = self.program_types[program_type]
        if target in self.bool_targets and kind.name == "lsm":
            return ReturnRange(0, 1)
        return kind.return_range(attach_type)

    def map_accepts(self, map_type: str | int, helper: str | int) -> bool:
        """Whether programs may call that helper on maps of that type."""
        number = helper if isinstance(helper, int) else self.helper(helper).number
        kind = self.map_types[map_type]
        if number in kind.helpers:
            return True
        found = self.helpers.get(number)
        return found is not None and kind.name in found.map_types

    def context_field(self, program_type: str | int, offset: int, size: int = 1) -> Field | None:
        """The context field that holds these bytes, whether or not it may be touched."""
        context = self.program_types[program_type].context
        return None if context is None else context.field(offset, size)

    def context_access(
        self,
        program_type: str | int,
        offset: int,
        size: int,
        write: bool = False,
        attach_type: str = "",
    ) -> Field | None:
        """The field through which a program may make this access, or None if it may not.

        >>> from anybpf.platforms import get
        >>> get("linux").context_access("sched_cls", 8, 4, write=True).name
        'mark'
        """
        context = self.program_types[program_type].context
        return None if context is None else context.access(offset, size, write, attach_type)

    def structure(self, name: str) -> Context:
        """A structure that programs see, by its C name, whatever a program may do with it."""
        if name not in self.structure_names or self._make_structure is None:
            hint = near(name, self.structure_names)
            raise NotFound(f"no structure of {self.name} is named {name!r}{hint}")
        return self._make_structure(name)

    def pointee(self, kind: str) -> Context | None:
        """What a program may touch behind a pointer of that kind ("socket", "flow_keys", …).

        None: such a pointer does not exist here, or what it points to has no fields of its own.
        """
        if kind not in self.pointee_kinds or self._make_pointee is None:
            return None
        return self._make_pointee(kind)

    def digest(
        self,
        program_type: str,
        attach_type: str = "",
        calls: Iterable[str] = (),
        map_types: Iterable[str] = (),
    ) -> str:
        """What the tables say to a program that uses these, in 64 digits; see module ``digest``.

        It changes with everything that its proof stands on, and with nothing else.
        """
        from anybpf.platforms.digest import digest

        return digest(self, program_type, attach_type, calls, map_types)

    # Sections.

    @property
    def sections(self) -> list[SectionRule]:
        """The rules, strict ones first, as they stand in the table."""
        rows = [row for row in self.section_rows.values() if row[3] not in ("prefix", "word")]
        return [self._section_rule(row) for row in [*rows, *self._loose]]

    def section(self, name: str) -> SectionMatch:
        """What a section's name says. Never fails: an unknown name gives type "unspec".

        A rule for the whole name comes first, then the longest rule that takes a slash and more,
        then the longest prefix. A leading "?" (do not load by default) is not part of the name.

        >>> from anybpf.platforms import get
        >>> match = get("linux").section("kprobe/do_unlinkat")
        >>> match.program_type, match.attach_to
        ('kprobe', 'do_unlinkat')
        """
        if name.startswith("?"):
            name = name[1:]
        row = self.section_rows.get(name)
        if row is not None and row[3] != "slash":
            return SectionMatch(name, self._section_rule(row))
        cut = name.rfind("/")
        while cut > 0:
            row = self.section_rows.get(name[:cut])
            if row is not None and row[3] in ("extra", "slash"):
                return SectionMatch(name, self._section_rule(row), name[cut + 1 :])
            cut = name.rfind("/", 0, cut)
        for row in self._loose:
            if name.startswith(row[0]) and (
                row[3] == "prefix" or not name[len(row[0]) : len(row[0]) + 1].isalpha()
            ):
                return SectionMatch(name, self._section_rule(row))
        return SectionMatch(name)

    def _add_section_row(self, row: Row) -> None:
        loose = row[3] in ("prefix", "word")
        if loose:
            self._loose.append(row)
        if not loose or row[0] not in self.section_rows:
            self.section_rows[row[0]] = row

    def _sort_loose(self) -> None:
        self._loose.sort(key=_name_length, reverse=True)

    def _section_rule(self, row: Row) -> SectionRule:
        key = (row[0], row[3])
        rule = self._section_rules.get(key)
        if rule is None:
            name, program_type, attach_type, form, flags = row
            words = flags.split()
            legacy = "legacy" in words
            rule = SectionRule(
                name,
                program_type,
                attach_type,
                form=form,
                flags=[word for word in words if word != "legacy"],
                legacy=legacy,
            )
            self._section_rules[key] = rule
        return rule

    # Extensions.

    @property
    def extensions(self) -> list[str]:
        """The names of the extensions registered here, in the order in which they came."""
        return list(self._extensions)

    def register(self, extension: Extension) -> None:
        """Add an extension's rows; :class:`InputError` if any is taken, and then none is added.

        >>> from anybpf.platforms import Extension, ProgramType, SectionRule, get
        >>> linux = get("linux")
        >>> door = ProgramType("door", 5000, title="watches a door")
        >>> rules = [SectionRule("door", "door", form="extra")]
        >>> linux.register(Extension("door", program_types=[door], sections=rules))
        >>> linux.section("door/front").program_type
        'door'
        >>> linux.unregister("door")
        """
        problem = why_not(self, extension)
        if problem:
            raise InputError(
                f"cannot register extension {extension.name!r} on platform {self.name}: {problem}"
            )
        for program_type in extension.program_types:
            self.program_types.add(program_type.number, program_type.name, program_type)
        for attach_type in extension.attach_types:
            self.attach_types.add(attach_type.number, attach_type.name, attach_type)
        for map_type in extension.map_types:
            self.map_types.add(map_type.number, map_type.name, map_type)
        for helper in extension.helpers:
            if helper.program_type:
                kind = self.program_types[helper.program_type]
                kind.own_helpers = (*kind.own_helpers, helper)
            else:
                self.helpers.add(helper.number, helper.name, helper)
                self._added_helpers.add(helper.number)
        for rule in extension.sections:
            words = [*sorted(rule.flags), *(["legacy"] if rule.legacy else [])]
            self._add_section_row(
                (rule.name, rule.program_type, rule.attach_type, rule.form, " ".join(words))
            )
        self._sort_loose()
        self._extensions[extension.name] = extension
        self.derived.clear()

    def unregister(self, name: str) -> None:
        """Take an extension's rows away again."""
        extension = self._extensions.pop(name, None)
        if extension is None:
            raise NotFound(
                f"no extension {name!r} is registered on platform {self.name}"
                f"{near(name, self._extensions)}"
            )
        self.derived.clear()
        for helper in extension.helpers:
            if helper.program_type:
                kind = self.program_types[helper.program_type]
                kind.own_helpers = tuple([own for own in kind.own_helpers if own is not helper])
            else:
                self.helpers.remove(helper.name)
                self._added_helpers.discard(helper.number)
        for program_type in extension.program_types:
            self.program_types.remove(program_type.name)
        for attach_type in extension.attach_types:
            self.attach_types.remove(attach_type.name)
        for map_type in extension.map_types:
            self.map_types.remove(map_type.name)
        for rule in extension.sections:
            row = self.section_rows.get(rule.name)
            if row is not None and row[3] == rule.form:
                del self.section_rows[rule.name]
            self._loose = [row for row in self._loose if row[0] != rule.name or row[3] != rule.form]
            self._section_rules.pop((rule.name, rule.form), None)


def _name_length(row: Row) -> int:
    return len(row[0])
