"""Proofs of verification: what was proved of an object's programs, kept and signed.

Whoever has the proof, and trusts the key that signed it, need not do the analysis again. The proof
is bound to the object, to the state in which its maps' constants were, to the platform's tables,
to the verifier's version and to the very instructions that come out; if one of them is another, it
is not believed. Linking functions to programs and preparing them for engines is done anew, by the
same code as ever; only the analysis is skipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from anybpf import __version__
from anybpf.engines.identity import code_digest, tables_digest
from anybpf.errors import ImageError, InputError

if TYPE_CHECKING:
    from anybpf.engines.prepared import Prepared
    from anybpf.objects.specs import CollectionSpec, ProgramSpec
    from anybpf.platforms import Platform
    from anybpf.verifier import Verification

FORMAT: Final = 1
_FIRST: Final = b"anybpf-proof"
_UNSIGNED: Final = b"-"
# In front of what is signed, so that a signature means this and nothing else.
_PURPOSE: Final = b"anybpf proof of verification\0"


def make_proof(
    proved: Iterable[Prepared], data: bytes, spec: CollectionSpec, key: Any = None
) -> bytes:
    """The proof of these programs of the object whose bytes are ``data``; signed, if by ``key``."""
    import json

    rows = {}
    platform = ""
    for one in proved:
        proof = one.verification
        platform = one.platform.name
        rows[one.name] = {
            "type": one.type.name,
            "attach_type": one.attach_type,
            "tables": tables_digest(one),
            "code": code_digest(one),
            "steps": proof.stats.steps,
            "handler": one.handler,
            "facts": proof.facts.to_json(),
        }
    if not rows:
        raise InputError(f"{spec.file or spec.name}: there is no program to keep a proof of")
    value = {
        "platform": platform,
        "object": hashlib.sha256(data).hexdigest(),
        "state": state_digest(spec),
        "verifier": _verifier(),
        "programs": rows,
    }
    body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    owner = signature = _UNSIGNED
    if key is not None:
        from anybpf.engines.image.signing import public_bytes

        owner = public_bytes(key).hex().encode()
        signature = key.sign(_PURPOSE + body).hex().encode()
    return b"%s %d %s %s\n" % (_FIRST, FORMAT, owner, signature) + body


def _verifier() -> str:
    from anybpf.verifier.facts import VERSION

    return f"{__version__} facts {VERSION}"


def state_digest(spec: CollectionSpec) -> str:
    """Of what a verification takes of an object besides its programs' code, as it is now.

    The object's bytes do not say it all: constants may have been set after it was read.
    """
    hashed = hashlib.sha256()
    for key, one in spec.maps.items():
        inner = one
        words = [key]
        while inner is not None:
            words.append(
                f"{inner.name} {inner.type} {inner.kind} {inner.key_size} {inner.value_size} "
                f"{inner.max_entries} {inner.flags} {inner.extra} {inner.key_type_id} "
                f"{inner.value_type_id}"
            )
            if inner.inner is None:
                break
            inner = inner.inner
        if one.kind in ("rodata", "kconfig"):
            for place, value in one.contents:
                words.append(f"{place.hex()}={value.hex() if isinstance(value, bytes) else value}")
        hashed.update("\n".join(words).encode(errors="replace") + b"\0")
    return hashed.hexdigest()


class Proof:
    """A proof that was read and whose signature is good, to be held against an object."""

    __slots__ = ("_programs", "file", "platform", "state", "verifier")

    def __init__(self, value: dict[str, Any], file: str) -> None:
        self.file: str = file
        self.platform: str = value["platform"]
        self.state: str = value["state"]
        self.verifier: str = value["verifier"]
        self._programs: dict[str, Any] = value["programs"]

    def problem(self, text: str) -> ImageError:
        return ImageError(f"this proof {text}: verify the object again", file=self.file)

    def verification(
        self, program: ProgramSpec, spec: CollectionSpec, platform: Platform
    ) -> Verification:
        """What verifying the program would give, without the analysis."""
        from anybpf.verifier.facts import Facts
        from anybpf.verifier.verification import Verification

        row = self._row(program.name)
        if self.platform != platform.name:
            raise self.problem(f"is one for {self.platform}, and this is {platform.name}")
        have = state_digest(spec)
        if have != self.state:
            raise self.problem(
                f"is one for maps and constants with the hash {self.state}, and these have {have}"
            )
        made = Verification(program, platform, _text(row, "type", self), program.instructions)
        made.attach_type = _text(row, "attach_type", self)
        made.collection = spec
        made.maps = list(spec.maps.values())
        try:
            made.facts = Facts.from_json(_text(row, "facts", self))
        except InputError as error:
            raise ImageError(str(error), file=self.file) from None
        if made.facts.instructions != len(made.instructions):
            raise self.problem(
                f"speaks of {made.facts.instructions} instructions of program {program.name}, "
                f"which has {len(made.instructions)}"
            )
        steps, handler = row.get("steps"), row.get("handler")
        if type(steps) is not int or type(handler) is not int:
            raise self.problem(f"is damaged at program {program.name}")
        made.stats.steps = steps
        made.stats.loop_bounds = dict(made.facts.loops)
        made.handler = handler
        return made

    def check(self, prepared: Prepared) -> None:
        """Whether what was prepared is what was proved; :class:`ImageError` if not."""
        row = self._row(prepared.name)
        for what, have, wanted in (
            (
                f"was made against tables of {prepared.platform.name}",
                tables_digest(prepared),
                _text(row, "tables", self),
            ),
            ("is one of code", code_digest(prepared), _text(row, "code", self)),
        ):
            if have != wanted:
                raise self.problem(
                    f"of program {prepared.name} {what} with the hash {wanted}, and those here "
                    f"have {have}"
                )

    def _row(self, name: str) -> dict[str, Any]:
        row = self._programs.get(name)
        if not isinstance(row, dict):
            there = ", ".join(self._programs) or "none"
            raise self.problem(f"says nothing of program {name}; it is one of: {there}")
        return row


def _text(row: dict[str, Any], key: str, proof: Proof) -> str:
    found = row.get(key)
    if not isinstance(found, str):
        raise proof.problem(f"is damaged: {key} is no text")
    return found


def read_proof(proof: bytes, data: bytes, keys: frozenset[bytes], file: str = "") -> Proof:
    """The proof, if the owner of one of the keys signed it, of the object with these bytes."""
    first, _, body = proof.partition(b"\n")
    words = first.split(b" ")
    if len(words) != 4 or words[0] != _FIRST:
        raise ImageError("this is no proof of verification", file=file)
    if words[1] != b"%d" % FORMAT:
        raise ImageError(
            f"this proof has format {words[1].decode(errors='replace')[:20]}, this reads format "
            f"{FORMAT}: verify the object again",
            file=file,
        )
    _check_signature(words[2], words[3], body, keys, file)
    return Proof(_about(body, data, file), file)


def _about(body: bytes, data: bytes, file: str) -> dict[str, Any]:
    """What the proof says, if it is this verifier's and about these bytes."""
    value = _parse(body, file)
    if value["verifier"] != _verifier():
        raise ImageError(
            f"this proof was made by verifier {value['verifier']}, this is {_verifier()}: verify "
            "the object again",
            file=file,
        )
    have = hashlib.sha256(data).hexdigest()
    if value["object"] != have:
        raise ImageError(
            f"this proof is one of an object with the hash {value['object']}, and this object has "
            f"{have}: verify this object",
            file=file,
        )
    return value


def own_proof(proof: bytes, data: bytes) -> Proof:
    """The proof of the object with these bytes, unsigned, from a process that is believed: one that
    the caller started itself."""
    return Proof(_about(proof.partition(b"\n")[2], data, ""), "")


def _check_signature(
    owner: bytes, signature: bytes, body: bytes, keys: frozenset[bytes], file: str
) -> None:
    from anybpf.engines.image import signing

    if owner == _UNSIGNED or signature == _UNSIGNED:
        raise ImageError("this proof is not signed, so it proves nothing", file=file)
    try:
        key, sign = bytes.fromhex(owner.decode()), bytes.fromhex(signature.decode())
    except ValueError:
        raise ImageError("this proof's signature is no number", file=file) from None
    if key not in keys:
        allowed = ", ".join(sorted(signing.short(one) for one in keys))
        raise ImageError(
            f"this proof was signed with key {signing.short(key)}, which is not allowed; "
            f"allowed: {allowed}",
            file=file,
        )
    if not signing.is_good(key, sign, _PURPOSE + body):
        raise ImageError(
            f"the signature of this proof by key {signing.short(key)} is not good", file=file
        )


def _parse(body: bytes, file: str) -> dict[str, Any]:
    import json

    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"this proof is no JSON: {error}", file=file) from None
    texts = ("platform", "object", "state", "verifier")
    if (
        not isinstance(value, dict)
        or not all(isinstance(value.get(name), str) for name in texts)
        or not isinstance(value.get("programs"), dict)
    ):
        raise ImageError("this proof lacks what proofs have", file=file)
    return value
