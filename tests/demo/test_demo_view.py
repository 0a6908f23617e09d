"""The demo's terminal and its rules."""

from __future__ import annotations

import uuid

import msgspec
from rich.console import Console

from pricewatch.demo.rules import documents
from pricewatch.demo.view import Tap, render
from pricewatch.domain.market import Market, Quote, Trade
from pricewatch.domain.signal import Direction, FeedEntry
from pricewatch.rules.document import parse
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.deliveries import some_signal

MARKETS = [Market(1, "coinbase", "BTC-USD", "BTC-USD"), Market(2, "kraken", "SOL-USD", "SOL/USD")]


def picture(tap: Tap) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(render(tap, MARKETS, {"mailbox": "http://x/"}, lambda: {"trades": 7}))
    return console.export_text()


def trade(price: float) -> Trade:
    return Trade(1, 1, price, 1.0, 0, 1, 1)


def test_an_empty_picture() -> None:
    text = picture(Tap(ManualClock()))
    assert "waiting" in text
    assert "none yet" in text
    assert "trades 7" in text


def test_prices_and_signals_are_shown() -> None:
    clock = ManualClock()
    tap = Tap(clock)
    tap.quote(Quote(1, 1, 1.0, 1.0, 2.0, 1.0, 1), 1)
    assert tap.latency(0.5) is None
    for price, arrow in ((100.0, " "), (101.0, "▲"), (99.0, "▼")):
        tap.trade(trade(price), 1)
        assert arrow in picture(tap)
    signal = some_signal(received=clock.now() - 2_000)
    entry = FeedEntry(feed=uuid.UUID(int=2), epoch=1, seq=1, signal=signal, committed=clock.now())
    cleared = msgspec.structs.replace(entry, signal=some_signal(direction=Direction.CLEARED, received=clock.now()))
    tap.committed([entry, cleared])
    text = picture(tap)
    assert "Bitcoin is dear" in text
    assert "fired" in text
    assert "cleared" in text
    assert tap.emitted == 2
    assert tap.latency(0.99) == 2.0


def test_the_rules_are_good_and_the_same_in_every_run() -> None:
    assert documents() == documents()
    assert len({parse(document).title for _, document in documents()}) == len(documents())
