"""A service that is killed at any moment loses nothing that was pinned."""

from __future__ import annotations

from pathlib import Path

from tests.service.killing import Kills
from tests.service.launching import Launcher


def test_a_hundred_kills_under_load_lose_nothing(
    launcher: Launcher, home: str, counter: Path
) -> None:
    campaign = Kills(launcher, home, counter)
    campaign.prepare()
    while campaign.kills < 100 and not campaign.lost:
        campaign.turn()
    assert campaign.lost == []
    assert campaign.requests > 100
