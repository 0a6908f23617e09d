from __future__ import annotations

import io

import pytest
from rich.console import Console

from pricewatch.cli.watch import _Check, _Screen
from pricewatch.domain.errors import Invalid

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


def test_a_name_the_service_never_knew_ends_it_with_what_was_meant() -> None:
    check = _Check()
    unknown: dict[str, object] = {"type": "error", "code": "unknown_symbol", "symbol": "BTC-UDS", "reason": "no market"}
    with pytest.raises(Invalid, match="SYMBOLS: no market; did you mean BTC-USD or kraken:BTC-USD"):
        check.take(unknown | {"did_you_mean": ["BTC-USD", "kraken:BTC-USD"]})
    with pytest.raises(Invalid, match=r"SYMBOLS: no market$"):
        check.take(unknown)
    check.take({"type": "subscribed", "symbol": "BTC-UDS", "ok": True})
    check.take(unknown)  # a service that has just started again
    check.take({"type": "error", "code": "rate_limited"})
