"""What a program that was proved elsewhere is held against before it is believed here."""

from __future__ import annotations

import hashlib

from anybpf import _core
from anybpf.engines.prepared import Prepared


def tables_digest(prepared: Prepared) -> str:
    """The digest of what the platform's tables say to this program, as they are now."""
    kinds = set()
    for spec in prepared.maps:
        inner = spec.inner
        kinds.add(spec.type)
        while inner is not None:
            kinds.add(inner.type)
            inner = inner.inner
    return prepared.platform.digest(
        prepared.type.name, prepared.attach_type, prepared.helpers, kinds
    )


def layout_digest() -> str:
    """Of the places of fields that machine code touches, which differ between systems."""
    rows = [f"{name}={_core.LAYOUT[name]}" for name in sorted(_core.LAYOUT)]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:32]


def code_digest(prepared: Prepared) -> str:
    """Of all that an engine takes of a program: code, and the maps and functions that it uses."""
    hashed = hashlib.sha256(prepared.code)
    rows = [
        prepared.name, prepared.type.name, prepared.attach_type, prepared.license,
        str(prepared.handler), " ".join(prepared.flags), " ".join(prepared.helpers),
        *[f"{m.name} {m.type} {m.key_size} {m.value_size} {m.max_entries}" for m in prepared.maps],
    ]  # fmt: skip
    hashed.update("\0".join(rows).encode(errors="replace"))
    return hashed.hexdigest()
