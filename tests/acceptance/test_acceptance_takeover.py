"""Two engines on one database: small here, full by `make takeover`."""

from __future__ import annotations

import pytest
from tests.acceptance import takeover
from tests.acceptance.rig import tell
from tests.conftest import missing

from pricewatch.testing.bus import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.redis, pytest.mark.timeout(600)]


async def test_a_kill_and_a_freeze_change_no_signal() -> None:
    if RedisServer.program() is None:
        missing("there is no redis-server on the PATH")
    found = await takeover.battered(takeover.SMALL, seed=1)
    tell(found.line())
    found.check()
    assert len(found.takeovers) == takeover.SMALL.kills + takeover.SMALL.freezes
    assert found.idle < len(found.takeovers)
