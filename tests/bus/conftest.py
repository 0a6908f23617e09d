from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import missing

from pricewatch.testing.bus import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    if RedisServer.program() is None:
        missing("there is no redis-server on the PATH")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()
