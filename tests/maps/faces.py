"""Maps for these tests: a face over storage of its own, without a runtime around it."""

from __future__ import annotations

from typing import Any

from anybpf import _core, platforms
from anybpf.btf import BTF
from anybpf.maps import Map, make
from anybpf.objects.specs import MapSpec


class NoRuntime:
    """A keeper that keeps nothing but a count of who let go."""

    def __init__(self) -> None:
        self.closed = 0
        self.pins: list[str] = []

    def close(self) -> None:
        self.closed += 1

    def pin(self, path: str) -> str:
        self.pins.append(path)
        return path

    def unpin(self, path: str = "") -> None:
        self.pins.clear()

    def info(self) -> Any:
        return None

    def freeze(self) -> int:
        return _core.STATUSES.index("NOT_SUPPORTED")

    def store(self, key: bytes, value: object, flags: int = 0) -> int:
        return _core.STATUSES.index("BAD_OBJECT")

    def erase(self, key: bytes) -> int:
        return _core.STATUSES.index("MISSING_KEY")

    def held(self, key: bytes) -> Any:
        return None


_numbers = iter(range(1, 1 << 31))


def a_map(
    kind: str,
    key_size: int = 4,
    value_size: int = 8,
    max_entries: int = 16,
    *,
    btf: BTF | None = None,
    key_type: int = 0,
    value_type: int = 0,
    cpus: int = 2,
    flags: int = 0,
    extra: int = 0,
) -> Map:
    spec = MapSpec("table", kind)
    spec.key_size = key_size
    spec.value_size = value_size
    spec.max_entries = max_entries
    spec.key_type_id = key_type
    spec.value_type_id = value_type
    storage = _core.Map(
        _core.Domain(cpus), next(_numbers), kind, key_size, value_size, max_entries,
        flags=flags, extra=extra, name="table",
    )  # fmt: skip
    return make(storage, NoRuntime(), spec=spec, btf=btf, platform=platforms.get("linux"))
