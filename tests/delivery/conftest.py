from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pricewatch.testing.smtp import MailSink


@pytest.fixture
async def sink() -> AsyncIterator[MailSink]:
    sink = MailSink()
    await sink.start()
    yield sink
    await sink.stop()
