"""A service that is killed at any moment loses nothing that was pinned."""

from __future__ import annotations

import time
from pathlib import Path

from tests.service.killing import Kills
from tests.service.launching import Launcher

# Enough for a run of the tests; `python -m tests.service.killing 1000` kills as often as told.
SECONDS = 30.0
KILLS = 100
LEAST = 10


def test_kills_under_load_lose_nothing(launcher: Launcher, home: str, counter: Path) -> None:
    campaign = Kills(launcher, home, counter)
    campaign.prepare()
    end = time.monotonic() + SECONDS
    while campaign.kills < KILLS and not campaign.lost and time.monotonic() < end:
        campaign.turn()
    assert campaign.lost == []
    assert campaign.kills >= LEAST
    assert campaign.requests > campaign.kills
