from __future__ import annotations

import io

from rich.console import Console

from pricewatch.cli.watch import _Screen

SIGNAL = {"id": "1", "at": "12:00", "market": "kraken:BTC-USD", "direction": "fired", "title": "High", "price": "7.5"}
TICKER = {"market": "kraken:BTC-USD", "price": "7.4", "bid": None, "ask": "7.6", "at": "11:59"}


def shown(*messages: dict[str, object]) -> str:
    screen = _Screen()
    for message in messages:
        screen.take(message)
    out = io.StringIO()
    Console(file=out, width=160).print(screen.table())
    return out.getvalue()


def test_prices_and_signals_are_shown() -> None:
    text = shown(
        {"type": "ticker", "channel": "ticker", "data": [TICKER]},
        {"type": "signal", "channel": "signals", "data": SIGNAL},
    )
    assert "7.4" in text
    assert "High" in text
    assert "live" in text


def test_a_snapshot_shows_recent_signals_once() -> None:
    snapshot: dict[str, object] = {"type": "snapshot", "channel": "signals", "data": [SIGNAL, SIGNAL | {"id": "2"}]}
    live: dict[str, object] = {"type": "signal", "channel": "signals", "data": SIGNAL}
    assert shown(live, snapshot, snapshot).count("High") == 2


def test_a_blind_market_is_told() -> None:
    beat: dict[str, object] = {"type": "heartbeat", "feeds": {"kraken:BTC-USD": {"age": 99, "state": "blind"}}}
    assert "blind" in shown({"type": "ticker", "channel": "ticker", "data": [TICKER]}, beat)


def test_a_lost_connection_is_told() -> None:
    assert "BLIND: gone" in shown({"type": "lost", "reason": "gone"})
