"""What a face of a map may ask of whoever keeps the map: the seam to the runtime."""

from __future__ import annotations

from typing import Any, Protocol


class Keeper(Protocol):
    """One keeper stands for one face. Statuses are the core's (``_core.STATUSES``)."""

    def close(self) -> None:
        """The face is done with the map."""

    def pin(self, path: str) -> str:
        """Give the map a place in the runtime's directory tree; the path as it is kept."""

    def unpin(self, path: str = "") -> None:
        """Take one pin away, or all."""

    @property
    def pins(self) -> list[str]: ...

    def info(self) -> Any:
        """What there is to know of the map, with the kernel's names."""

    def freeze(self) -> int:
        """A status: users may not change the map from now on."""

    def store(self, key: bytes, value: object, flags: int = 0) -> int:
        """Put a program or map (a handle, or its number) into a map that holds such; a status."""

    def erase(self, key: bytes) -> int:
        """Take one out of such a map; a status."""

    def held(self, key: bytes) -> Any:
        """A new handle of what such a map holds there, or None."""


class Lent:
    """The keeper of a face that another face lends its hold to."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.pin = keeper.pin
        self.unpin = keeper.unpin
        self.info = keeper.info
        self.freeze = keeper.freeze
        self.store = keeper.store
        self.erase = keeper.erase
        self.held = keeper.held

    def close(self) -> None:
        pass  # the hold is the other face's

    @property
    def pins(self) -> list[str]:
        return self._keeper.pins
