from __future__ import annotations

import math

import msgspec
import pytest

from pricewatch.domain.market import Quote, Trade
from pricewatch.engine.gate import EARLIEST, Limits, Reason, check

NOW = 1_800_000_000_000_000
LIMITS = Limits(markets=frozenset({1}))
TRADE = Trade(1, NOW, 100.0, 1.0, 1, 7, NOW)
QUOTE = Quote(1, NOW, 99.0, 1.0, 101.0, 0.0, NOW)


@pytest.mark.parametrize("tick", [TRADE, QUOTE, msgspec.structs.replace(TRADE, ref="ab-1", price=1e-9, size=1e-12)])
def test_sound_ticks_pass(tick: Trade | Quote) -> None:
    assert check(tick, NOW, LIMITS) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"market": 2}, Reason.MARKET),
        *(({"price": price}, Reason.PRICE) for price in (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e15, 1e-300)),
        *(({"size": size}, Reason.SIZE) for size in (math.nan, math.inf, 0.0, -1.0, 1e18, 1e-300)),
        *(({"ref": ref}, Reason.KEY) for ref in ("", "a\0b", "\ud800", "x" * 129)),
        ({"key": -1}, Reason.KEY),
        ({"key": 2**63}, Reason.KEY),
        ({"at": EARLIEST - 1}, Reason.TOO_OLD),
        ({"at": -(10**30)}, Reason.TOO_OLD),
        ({"at": NOW + 5_000_001}, Reason.AHEAD),
        ({"at": 10**30}, Reason.AHEAD),
    ],
)
def test_bad_trades(change: dict[str, float], reason: Reason) -> None:
    assert check(msgspec.structs.replace(TRADE, **change), NOW, LIMITS) is reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"market": 2}, Reason.MARKET),
        ({"bid": math.nan}, Reason.PRICE),
        ({"ask": 0.0}, Reason.PRICE),
        ({"bid": 1e-300}, Reason.PRICE),
        ({"bid_size": -1.0}, Reason.SIZE),
        ({"ask_size": math.inf}, Reason.SIZE),
        ({"at": 0}, Reason.TOO_OLD),
        ({"at": NOW * 2}, Reason.AHEAD),
    ],
)
def test_bad_quotes(change: dict[str, float], reason: Reason) -> None:
    assert check(msgspec.structs.replace(QUOTE, **change), NOW, LIMITS) is reason


def test_a_venue_whose_clock_is_ahead() -> None:
    ahead = msgspec.structs.replace(TRADE, at=NOW + 7_000_000)
    assert check(ahead, NOW, LIMITS) is Reason.AHEAD
    assert check(ahead, NOW, Limits(markets=frozenset({1}), skew=2_000_000)) is None
    assert check(msgspec.structs.replace(TRADE, at=NOW + 5_000_000), NOW, LIMITS) is None
