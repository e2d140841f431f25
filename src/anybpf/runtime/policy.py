"""Policies: what a runtime lets its users do. A refusal names the policy and what it says.

Everything is allowed where nothing is said. Who asks whether something is allowed is the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from anybpf.errors import InputError, PolicyError
from anybpf.runtime.objects import LINK, MAP, PROGRAM, TYPES

if TYPE_CHECKING:
    from anybpf.engines.image.signing import Keys

# How programs may be run.
INTERPRET: Final = "interpret"
JIT: Final = "jit"
NATIVE: Final = "native"
MODES: Final = (INTERPRET, JIT, NATIVE)
# What users ask for: one of the modes that start from an object file, or whichever suits.
AUTO: Final = "auto"
ENGINES: Final = (AUTO, INTERPRET, JIT)

# Says whether the signature that came with an object file is good: file, signature.
SignatureCheck = Callable[[bytes, bytes], bool]
_PLURALS: Final = {MAP: "maps", PROGRAM: "programs", LINK: "links"}


class Quota:
    """What one owner may have at a time; None: as much as there is. ``memory`` is in bytes."""

    __slots__ = ("links", "maps", "memory", "programs")

    def __init__(
        self,
        *,
        memory: int | None = None,
        maps: int | None = None,
        programs: int | None = None,
        links: int | None = None,
    ) -> None:
        for name, value in (
            ("memory", memory), ("maps", maps), ("programs", programs), ("links", links),
        ):  # fmt: skip
            if value is not None and (not isinstance(value, int) or value < 0):
                raise InputError(f"a quota of {name} is a count, not {value!r}")
        self.memory = memory
        self.maps = maps
        self.programs = programs
        self.links = links

    def of(self, kind: str) -> int | None:
        found: int | None = getattr(self, _PLURALS.get(kind, ""), None)
        return found

    def __repr__(self) -> str:
        said = [f"{name}={getattr(self, name)}" for name in self.__slots__]
        return f"Quota({', '.join(one for one in said if not one.endswith('None'))})"


class Usage:
    """What one owner has."""

    __slots__ = ("counts", "memory")

    def __init__(self) -> None:
        self.memory: int = 0
        self.counts: dict[str, int] = {MAP: 0, PROGRAM: 0, LINK: 0, TYPES: 0}

    @property
    def nothing(self) -> bool:
        return not any(self.counts.values())

    def __repr__(self) -> str:
        return f"<Usage: {self.counts}, {self.memory} bytes>"


class Policy:
    """One policy. ``modes`` are the ways in which programs may run, ``signature`` checks what must
    come with every object file, ``quota`` holds for each owner that ``quotas`` does not name.
    ``keys`` are files with public keys, or these (see ``anybpf.engines.image.signing``): a native
    image must be signed by the owner of one of them.

    >>> Policy("careful", modes=["interpret"], quota=Quota(maps=10)).modes
    frozenset({'interpret'})
    """

    __slots__ = ("keys", "modes", "name", "quota", "quotas", "signature")

    def __init__(
        self,
        name: str,
        *,
        modes: Iterable[str] | None = None,
        signature: SignatureCheck | None = None,
        quota: Quota | None = None,
        quotas: Mapping[str, Quota] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.name: str = name
        self.modes: frozenset[str] = frozenset(MODES if modes is None else modes)
        unknown = self.modes - set(MODES)
        if unknown:
            raise InputError(
                f"policy {name!r}: no execution mode is named {', '.join(sorted(unknown))}; "
                f"there are: {', '.join(MODES)}"
            )
        self.signature: SignatureCheck | None = signature
        self.keys: frozenset[bytes] | None = None
        if keys is not None:
            from anybpf.engines.image.signing import read_keys

            self.keys = read_keys(keys)
        self.quota: Quota = Quota() if quota is None else quota
        self.quotas: dict[str, Quota] = dict(quotas or {})

    def check_mode(self, mode: str, what: str) -> None:
        if mode not in self.modes:
            allowed = ", ".join(one for one in MODES if one in self.modes) or "none"
            raise self._refused(f"{what} cannot run in mode {mode}", f"modes: {allowed}")

    def check_signature(self, data: bytes | None, signature: bytes | None, what: str) -> None:
        if self.signature is None:
            return
        rule = "a signature is needed"
        if data is None:
            raise self._refused(
                f"{what} cannot be loaded from specs, which are not what was signed; give the file",
                rule,
            )
        if signature is None:
            raise self._refused(f"{what} comes without a signature", rule)
        if not self.signature(data, signature):
            raise self._refused(f"the signature of {what} is not good", rule)

    def check_signer(self, key: bytes, what: str) -> None:
        """``key`` is the one by which what is loaded was signed, and that was checked."""
        if self.keys is None or key in self.keys:
            return
        rule = f"only images signed by one of {len(self.keys)} keys run"
        if not key:
            raise self._refused(f"{what} is not signed", rule)
        raise self._refused(f"{what} is signed by key {key.hex()[:16]}...", rule)

    def check_count(self, owner: str, usage: Usage, kind: str, what: str) -> None:
        most = self._quota(owner).of(kind)
        have = usage.counts[kind]
        if most is not None and have >= most:
            raise self._refused(
                f"{what} cannot be created for {_named(owner)}, who has {have} {_PLURALS[kind]}",
                f"at most {most} {_PLURALS[kind]}",
            )

    def check_memory(self, owner: str, usage: Usage, size: int, what: str) -> None:
        most = self._quota(owner).memory
        if most is not None and usage.memory + size > most:
            raise self._refused(
                f"{what} cannot be created for {_named(owner)}: it takes {size} bytes besides the "
                f"{usage.memory} in use",
                f"at most {most} bytes of memory",
            )

    def _quota(self, owner: str) -> Quota:
        return self.quotas.get(owner, self.quota)

    def _refused(self, message: str, rule: str) -> PolicyError:
        return PolicyError(message, policy=self.name, rule=rule)

    def __repr__(self) -> str:
        return f"<Policy {self.name}>"


def integrity(keys: Keys) -> Policy:
    """Code integrity: only native images run, and only those that one of these keys signed.

    Interpreter and compiler are refused, as eBPF for Windows refuses them where the system is
    protected so.
    """
    return Policy("integrity", modes=[NATIVE], keys=keys)


def release() -> Policy:
    """No interpreter: programs are compiled, by whoever loads them or ahead."""
    return Policy("release", modes=[JIT, NATIVE])


def _named(owner: str) -> str:
    return f"owner {owner}" if owner else "the process itself"
