from __future__ import annotations

import uuid

import msgspec

from pricewatch.domain.signal import Direction, FeedEntry, Signal
from pricewatch.wire.signal import document
from pricewatch.wire.tick import TickerDocument

ID = uuid.UUID(int=5)


def entry() -> FeedEntry:
    signal = Signal(
        id=ID,
        account_id=uuid.UUID(int=1),
        rule_id=uuid.UUID(int=2),
        rule_version=3,
        title="BTC above 70k",
        kind="above",
        severity="info",
        direction=Direction.FIRED,
        scope="coinbase:BTC-USD",
        market=7,
        venue="coinbase",
        symbol="BTC-USD",
        cause="trade:9",
        at=1_000_000,
        seen=1_000_300,
        received=1_000_100,
        price=70012.4,
        since=1_000_000,
        evidence={"v": 1, "threshold": "70000"},
        late=True,
    )
    return FeedEntry(feed=uuid.UUID(int=1), epoch=1, seq=4, signal=signal, committed=1_001_000)


def test_a_signal_in_public() -> None:
    said = msgspec.json.decode(msgspec.json.encode(document(entry())))
    assert said["v"] == 1
    assert said["id"] == str(ID)
    assert (said["epoch"], said["seq"]) == (1, 4)
    assert said["market"] == "coinbase:BTC-USD"
    assert said["price"] == "70012.4"
    assert said["at"] == "1970-01-01T00:00:01.000000Z"
    assert said["direction"] == "fired"
    assert said["late"] is True
    assert said["suspect"] is said["gap"] is said["replay"] is False
    assert said["model"] is None
    assert said["evidence"] == {"v": 1, "threshold": "70000"}


def test_latencies_follow_the_stages() -> None:
    latency = document(entry()).latency_us
    assert (latency.venue, latency.evaluate, latency.commit) == (100, 200, 700)


def test_an_unknown_price_is_null() -> None:
    said = msgspec.json.decode(msgspec.json.encode(TickerDocument(market="a:B-C", venue="a", symbol="B-C")))
    assert said["price"] is None
