"""Refused ticks and frames: counted by reason, the last few kept as they came."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from pricewatch.domain.market import Quote, Trade
from pricewatch.engine.gate import Reason
from pricewatch.exchanges.numbers import SHORT_FRAME
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.rejects import Rejects

Wait = Callable[..., Awaitable[None]]
House = Any


def test_the_last_few_of_each_kind_are_kept_short_and_printable() -> None:
    rejects = Rejects()
    for number in range(5):
        rejects.note("price", Trade(1, 5, -1.0, 1.0, 0, number, 5), number)
    rejects.note("frame", b"\0\xff" * 10_000, 1_000_000)
    rejects.note("malformed", "\ud800\n" * 10_000, 2_000_000)
    shown = rejects.shown()
    assert list(shown) == ["frame", "malformed", "price"]
    assert [one["what"].count(f"key={number}") for number, one in zip((2, 3, 4), shown["price"], strict=True)] == [
        1
    ] * 3
    assert shown["frame"][0]["at"] == "1970-01-01T00:00:01.000000Z"
    assert all(one["what"].isprintable() and len(one["what"]) <= 240 for ring in shown.values() for one in ring)
    json.dumps(shown).encode()


def test_trades_and_quotes_are_counted_apart() -> None:
    counters = Counters()
    counters.reject(Reason.PRICE, Trade(1, 5, -1.0, 1.0, 0, 1, 5), 5)
    counters.reject(Reason.SIZE, Quote(1, 5, 1.0, -1.0, 2.0, 1.0, 5), 5)
    assert (dict(counters.rejected), dict(counters.quotes_rejected)) == ({"price": 1}, {"size": 1})
    assert list(counters.samples.shown()) == ["price", "size"]
    assert "samples" not in counters.numbers()


async def test_a_number_nobody_prints_never_reaches_the_adapter(house: House, wait: Wait) -> None:
    async with house.listening() as ingest:
        await house.venue.trade(1)
        await house.venue.trade(2, price="1" * (SHORT_FRAME + 1), send=True)
        await house.venue.trade(3, price="nan")
        await house.venue.send("{")
        await house.venue.trade(2)
        await wait(lambda: house.sink.keys == [1, 2])
        counters = house.counters()
        assert counters.rejected == {Reason.NUMBER: 1, Reason.PRICE: 1}
        assert counters.bad_frames == 2
        status = ingest.status()["venues"]["coinbase"]["rejects"]
        assert sorted(status) == ["frame", "number", "price"]
        assert status["frame"][0]["what"] == "b'{'"
        named = {(one.name, dict(one.labels).get("reason")) for one in ingest.samples()}
        assert {("rejected", "number"), ("rejected", "price")} <= named
