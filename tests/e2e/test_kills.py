"""A short kill campaign; `scripts/campaign/kill` runs the long one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.campaign import LOG_COUNT, campaign

if TYPE_CHECKING:
    from pathlib import Path

SECONDS, SEED = 20.0, 7


@pytest.mark.e2e
async def test_nothing_is_lost_doubled_or_forked_under_random_kills(tmp_path: Path) -> None:
    result = await campaign(tmp_path / "site", SECONDS, SEED)
    assert result["logs"] == LOG_COUNT
    assert result["kills"]
