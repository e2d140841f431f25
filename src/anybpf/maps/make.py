"""The seam between the runtime, which owns maps, and their faces, which people use.

The runtime keeps a map's storage and counts who holds it; a face is one user's view of that
storage. Closing the face tells its keeper, once.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

from anybpf import _core
from anybpf.btf import BTF
from anybpf.errors import AnyBPFError, ClosedError
from anybpf.objects.specs import MapSpec
from anybpf.platforms import Platform


class Keeper(Protocol):
    """What a face may ask of the runtime. One keeper stands for one face."""

    def close(self) -> None:
        """The face is done with the map."""

    def pin(self, path: str) -> str: ...
    def unpin(self, path: str = "") -> None: ...
    @property
    def pins(self) -> list[str]: ...
    def info(self) -> Any: ...
    def freeze(self) -> int:
        """A status: users may not change the map from now on."""

    def store(self, key: bytes, value: object, flags: int = 0) -> int:
        """Put a program or map (its handle or number) into a map that holds such; a status."""

    def erase(self, key: bytes) -> int:
        """Take one out of such a map; a status."""

    def held(self, key: bytes) -> Any:
        """A new handle of what such a map holds there, or None."""


class Map(_core.Map):
    """A map. ``spec`` is what it was made from, ``platform`` whose rules it follows."""

    spec: MapSpec
    platform: Platform
    btf: BTF | None
    keeper: Keeper

    def close(self) -> None:
        """Let go. If nothing else refers to the map, it is gone when this returns."""
        if not self.closed:
            super().close()
            self.keeper.close()

    def pin(self, path: str) -> str:
        """Give the map a place in the runtime's directory tree; the path as it is kept."""
        return self.keeper.pin(path)

    def unpin(self, path: str = "") -> None:
        """Take one pin away, or all that the map has."""
        self.keeper.unpin(path)

    @property
    def pins(self) -> list[str]:
        return self.keeper.pins

    def info(self) -> Any:
        """What there is to know of the map, with the kernel's names."""
        return self.keeper.info()

    def freeze(self) -> int:
        return self.keeper.freeze()

    def _fail(self, what: str, status: int, key: object) -> None:
        name = self.spec.name
        if status < 0:
            raise ClosedError(f"map {name} was closed")
        word = _core.STATUSES[status].lower().replace("_", " ")
        raise AnyBPFError(f"map {name}: cannot {what} {key!r}: {word}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def make(
    storage: _core.Map, keeper: Keeper, *, spec: MapSpec, btf: BTF | None, platform: Platform
) -> Map:
    """A face of a map's storage, which must outlive it: the keeper sees to that."""
    face = Map.share(storage)
    face.spec = spec
    face.btf = btf
    face.platform = platform
    face.keeper = keeper
    return face
