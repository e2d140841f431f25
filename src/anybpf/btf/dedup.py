"""Making equal types one, as after several objects' BTF has been merged.

Types are equal if nothing that C can see tells them apart, however they refer to each other in
circles. All types start as equal as their own records look, and are told apart step by step by
what they refer to, until nothing changes (partition refinement); so the result does not depend
on the order of the work.
"""

from __future__ import annotations

from typing import Final

from anybpf.btf import types as t
from anybpf.btf.builder import BTFBuilder, remap
from anybpf.btf.container import BTF
from anybpf.btf.references import references, with_references
from anybpf.errors import BTFError

# References looked at, per reference that there is, before damaged BTF is given up on. A kernel
# needs about four.
_WORK_FACTOR: Final = 100
_WORK_BASE: Final = 20_000_000


def deduplicate(
    btf: BTF, merge_variables: bool = False, builder: BTFBuilder | None = None
) -> tuple[BTF, list[int]]:
    """BTF with every type once, and the new id for each old one.

    A forward declaration becomes the struct, union or enum of its name if all types of that name
    are equal. Variables and data sections stay apart unless `merge_variables`, since two static
    variables may look alike. Of a split BTF only the own types are made fewer, and those that
    the base has are dropped. The types are added to `builder`, where one is given; strings that
    no type uses are lost, unless added to it.

    >>> from anybpf.btf import Int, Pointer
    >>> twice = BTFBuilder()
    >>> for _ in range(2):
    ...     _ = twice.add(Pointer(twice.add(Int("int", 4))))
    >>> small, ids = deduplicate(twice.build())
    >>> len(small), ids
    (3, [0, 1, 2, 1, 2])
    """
    work = _Partition(btf, merge_variables)
    work.run()
    same = work.representatives()
    target = builder if builder is not None else BTFBuilder(btf.big_endian, btf.base)
    ids = [0] * len(btf)
    next_id = target.next_id
    for type_id in range(1, len(btf)):
        if type_id < btf.first_id:
            ids[type_id] = type_id
        elif same[type_id] == type_id:
            ids[type_id] = next_id
            next_id += 1
    for type_id in range(btf.first_id, len(btf)):
        ids[type_id] = ids[same[type_id]]
    for type_id in range(btf.first_id, len(btf)):
        if same[type_id] == type_id:
            found = btf.type(type_id)
            target.add(with_references(found, remap(ids, references(found))))
    return target.build(btf.file), ids


class _Partition:
    """Classes of types that have not been told apart yet."""

    __slots__ = (
        "_btf", "_class_of", "_defined", "_forward_key", "_left", "_members", "_merge_variables",
        "_parents", "_references", "_signature", "_stands_for", "_undecided",
    )  # fmt: skip

    def __init__(self, btf: BTF, merge_variables: bool) -> None:
        self._btf: BTF = btf
        self._merge_variables: bool = merge_variables
        # Definitions by tag and name; forward declarations with their tag and name.
        self._defined: dict[tuple[str, str], list[int]] = {}
        self._forward_key: dict[int, tuple[str, str]] = {}
        # Names whose definitions differ, so that a forward declaration may mean any of them.
        self._undecided: set[tuple[str, str]] = set()
        self._stands_for: dict[int, int] = {}
        self._class_of: list[int] = []
        self._members: list[set[int]] = []
        self._signature: list[list[int]] = []
        self._references: list[list[int]] = []
        self._parents: list[list[int]] = []
        self._left: int = 0

    def run(self) -> None:
        """Tell apart what differs; again without those forward declarations that proved vague."""
        self._collect()
        while True:
            self._link_forwards()
            self._start()
            self._refine()
            vague = self._vague()
            if not vague:
                return
            self._undecided |= vague

    def representatives(self) -> list[int]:
        """For each type, the first of its class."""
        lowest: dict[int, int] = {}
        for type_id in range(len(self._class_of)):
            if type_id not in self._stands_for:
                lowest.setdefault(self._class_of[type_id], type_id)
        same = [0] * len(self._class_of)
        for type_id in range(1, len(same)):
            real = self._stands_for.get(type_id, type_id)
            same[type_id] = lowest[self._class_of[real]]
        return same

    def _collect(self) -> None:
        for found in self._btf.types():
            tag = _tag(found)
            if not tag or not found.name:
                continue
            key = (tag, found.name)
            if isinstance(found, t.Forward) or (isinstance(found, t.Enum) and not found.values):
                self._forward_key[found.id] = key
            else:
                self._defined.setdefault(key, []).append(found.id)

    def _link_forwards(self) -> None:
        self._stands_for = {}
        for type_id, key in self._forward_key.items():
            known = self._defined.get(key)
            if known is not None and key not in self._undecided:
                self._stands_for[type_id] = known[0]

    def _start(self) -> None:
        """Classes by what each record says by itself."""
        known: dict[object, int] = {(): 0}
        count = len(self._btf)
        self._class_of = [0] * count
        self._members = [{0}]
        self._references = [[]]
        self._parents = [[] for _ in range(count)]
        edges = 0
        for found in self._btf.types():
            key = _own_facts(found, self._merge_variables)
            number = known.setdefault(key, len(known))
            if number == len(self._members):
                self._members.append(set())
            self._class_of[found.id] = number
            aims = [self._stands_for.get(aim, aim) for aim in references(found)]
            self._references.append(aims)
            if found.id in self._stands_for:
                continue
            self._members[number].add(found.id)
            edges += len(aims)
            for aim in aims:
                if aim >= count:
                    raise BTFError(
                        f"type {found.id} refers to type {aim}, which does not exist",
                        file=self._btf.file,
                        offset=self._btf.offset_of(found.id),
                    )
                self._parents[aim].append(found.id)
        self._signature = [[] for _ in self._members]
        self._left = _WORK_BASE + _WORK_FACTOR * edges

    def _refine(self) -> None:
        touched: dict[int, set[int]] = {}
        for number, members in enumerate(self._members):
            if len(members) > 1:
                touched[number] = set(members)
        while touched:
            # All of a round look at the classes as they were when it began.
            first_new = len(self._members)
            moved: list[int] = []
            for number in sorted(touched):
                moved += self._split(number, touched[number])
            for number in range(first_new, len(self._members)):
                for type_id in self._members[number]:
                    self._class_of[type_id] = number
            touched = {}
            for type_id in moved:
                for parent in self._parents[type_id]:
                    number = self._class_of[parent]
                    if len(self._members[number]) > 1:
                        touched.setdefault(number, set()).add(parent)

    def _split(self, number: int, touched: set[int]) -> list[int]:
        """Tell apart members of a class; returns those that go into new classes.

        Only `touched` members can have changed, the others still look as the class did. The
        largest part keeps the number, so that no type moves more than a few times.
        """
        members = self._members[number]
        groups: dict[tuple[int, ...], list[int]] = {}
        for type_id in touched:
            aims = self._references[type_id]
            self._left -= len(aims) + 1
            look = tuple([self._class_of[aim] for aim in aims])
            groups.setdefault(look, []).append(type_id)
        if self._left < 0:
            raise BTFError("the types are too entangled to be compared", file=self._btf.file)
        rest = len(members) - len(touched)
        if rest:
            old = tuple(self._signature[number])
            size = len(groups.get(old, [])) + rest
        else:
            old = ()
            size = 0
        keeper: tuple[int, ...] | None = old if rest else None
        for look, group in groups.items():
            if look != keeper and len(group) > size:
                keeper = look
                size = len(group)
        assert keeper is not None
        if rest and keeper != old:
            groups.setdefault(old, []).extend(members - touched)
        self._signature[number] = list(keeper)
        moved: list[int] = []
        for look, group in groups.items():
            if look == keeper:
                continue
            self._members.append(set(group))
            self._signature.append(list(look))
            members.difference_update(group)
            moved += group
        return moved

    def _vague(self) -> set[tuple[str, str]]:
        """Names that a forward declaration was taken to mean, but that mean several things."""
        vague: set[tuple[str, str]] = set()
        for type_id in self._stands_for:
            key = self._forward_key[type_id]
            classes = {self._class_of[known] for known in self._defined[key]}
            if len(classes) > 1:
                vague.add(key)
        return vague


def _tag(found: t.Type) -> str:
    """The C keyword in front of the name, for types that can be declared before defined."""
    if isinstance(found, t.Forward):
        return "union" if found.is_union else "struct"
    if isinstance(found, t.Struct):
        return "struct"
    if isinstance(found, t.Union):
        return "union"
    return "enum" if isinstance(found, t.Enum) else ""


def _own_facts(found: t.Type, merge_variables: bool) -> object:
    """All that a record says besides the types that it refers to."""
    kind = found.kind
    name = found.name
    if isinstance(found, t.Composite):
        parts = [(m.name, m.bit_offset, m.bitfield_size) for m in found.members]
        return (kind, name, found.size, found.kind_flag, tuple(parts))
    if isinstance(found, t.FunctionProto):
        return (kind, tuple([param.name for param in found.params]))
    if isinstance(found, t.Function):
        return (kind, name, found.linkage)
    if isinstance(found, t.Enum):
        values = tuple([(entry.name, entry.value) for entry in found.values])
        return (kind, name, found.size, found.signed, values)
    if isinstance(found, t.Int):
        return (kind, name, found.size, found.bits, found.bit_offset, found.encoding)
    if isinstance(found, t.Array):
        return (kind, found.count)
    if isinstance(found, t.Var):
        return (kind, name, found.linkage, 0 if merge_variables else found.id)
    if isinstance(found, t.DataSection):
        places = tuple([(place.offset, place.size) for place in found.vars])
        return (kind, name, found.size, places, 0 if merge_variables else found.id)
    if isinstance(found, t.DeclTag):
        return (kind, name, found.component_index, found.attribute)
    if isinstance(found, t.TypeTag):
        return (kind, name, found.attribute)
    if isinstance(found, t.Forward):
        return (kind, name, found.is_union)
    if isinstance(found, t.Float):
        return (kind, name, found.size)
    return (kind, name)
