"""Fixtures of this room: objects compiled from text."""

from __future__ import annotations

from tests.objects.conftest import build

__all__ = ["build"]
