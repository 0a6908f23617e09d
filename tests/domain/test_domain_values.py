from __future__ import annotations

import pickle
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.account import Account, ApiKey, Role
from pricewatch.domain.errors import BadData, Invalid, PricewatchError, Refused
from pricewatch.domain.market import Candle, Flag, Market, Side, decimal_text
from pricewatch.domain.model import Activation, BarScore, ForecastRow, Snapshot
from pricewatch.domain.signal import Direction, signal_id
from pricewatch.domain.time import DAY, HOUR, MINUTE, SECOND, from_datetime, parse_span, rfc3339, to_datetime

RULE = uuid.UUID("00000000-0000-4000-8000-000000000001")


@pytest.mark.parametrize("error", [Invalid("file.csv", "no column value"), Invalid("", "no"), BadData("price", "0")])
def test_what_was_wrong_comes_unchanged_out_of_another_process(error: PricewatchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_market_is_shown_as_venue_and_symbol() -> None:
    assert Market(1, "coinbase", "BTC-USD", "BTC-USD").key == "coinbase:BTC-USD"


@pytest.mark.parametrize(
    ("value", "text"),
    [(70000.0, "70000"), (0.1, "0.1"), (1e-8, "0.00000001"), (1e22, "10000000000000000000000"), (123.456, "123.456")],
)
def test_decimal_text_has_neither_exponent_nor_ballast(value: float, text: str) -> None:
    assert decimal_text(value) == text


@given(st.decimals(min_value="0.00000001", max_value="999999999", places=6).filter(lambda d: d > 0))
def test_what_a_venue_prints_survives_the_float(printed: Decimal) -> None:
    assert Decimal(decimal_text(float(printed))) == printed


def test_a_signal_id_depends_on_every_part_and_on_nothing_else() -> None:
    first = signal_id(RULE, 1, "coinbase:BTC-USD", "trade:7", Direction.FIRED)
    assert first == signal_id(RULE, 1, "coinbase:BTC-USD", "trade:7", Direction.FIRED)
    others = {
        signal_id(uuid.UUID(int=2), 1, "coinbase:BTC-USD", "trade:7", Direction.FIRED),
        signal_id(RULE, 2, "coinbase:BTC-USD", "trade:7", Direction.FIRED),
        signal_id(RULE, 1, "kraken:BTC-USD", "trade:7", Direction.FIRED),
        signal_id(RULE, 1, "coinbase:BTC-USD", "timer:7", Direction.FIRED),
        signal_id(RULE, 1, "coinbase:BTC-USD", "trade:7", Direction.CLEARED),
    }
    assert len(others) == 5
    assert first not in others
    assert first.version == 5


def test_errors_say_what_and_where() -> None:
    assert str(BadData("price", "NaN")) == "price: NaN"
    assert str(BadData("price")) == "price"
    assert str(Invalid("$.when", "wrong")) == "$.when: wrong"
    assert str(Invalid("", "wrong")) == "wrong"
    assert isinstance(Invalid("", ""), PricewatchError)
    assert Refused("418", retry_after=30.0).retry_after == 30.0


def test_instants() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
    assert rfc3339(from_datetime(moment)) == "2026-01-31T12:00:00.000005Z"
    assert to_datetime(from_datetime(moment)) == moment


@pytest.mark.parametrize(
    ("text", "span"),
    [("500ms", SECOND // 2), ("30s", 30 * SECOND), ("1.5s", 1_500_000), ("1h30m", HOUR + 30 * MINUTE), ("7d", 7 * DAY)],
)
def test_spans(text: str, span: int) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1h-30m", "5sx", "x5s", "1e3s"])
def test_what_is_no_span_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid, match=r"for: .* is not a duration"):
        parse_span(text, field="for")


def test_values_are_values() -> None:
    account = Account(RULE, "ann", "ann@example.org", Role.USER, 1)
    assert account == Account(RULE, "ann", "ann@example.org", Role.USER, 1)
    assert ApiKey(RULE, RULE, "ab", b"x", 1).revoked is None
    assert Candle(1, 0, 1.0, 1.0, 1.0, 1.0, 0.0).trades == 0
    assert (Side.BUY, Side.SELL) == (1, -1)
    assert Flag.SUSPECT | Flag.LATE == 3
    assert ForecastRow(0, 1.0, 0.5, 1.5).upper == 1.5
    assert BarScore(1, 0, 2.0, "m", 3) == BarScore(1, 0, 2.0, "m", 3)
    assert Activation(1, RULE, 5).from_seen == 5
    assert Snapshot(1, "m", 1, 5, b"").payload == b""
