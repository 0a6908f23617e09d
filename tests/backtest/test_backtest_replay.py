"""What a preview is worked out from, and what it says of it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.backtest.conftest import BTC, KRAKEN, START, M, S, document, memory, plainly, question, replay, told, trade

from pricewatch.backtest.memory import MemoryPast
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle, Flag, Quote
from pricewatch.domain.model import Activation, BarScore, Forecast, ForecastRow
from pricewatch.domain.signal import Direction
from pricewatch.ports.preview import NOBODY, PlacedQuote, Question, Resolution, Stretch
from pricewatch.ports.ticks import Sequenced

ABOVE = {"type": "above", "level": "100"}


def candle(number: int, low: float, high: float, *, rising: bool = True, market: int = 1) -> Candle:
    first, last = (low, high) if rising else (high, low)
    return Candle(market, START + number * M, first, high, low, last, 8.0, 3)


def zigzag(count: int, *, market: int = 1, span: int = 7 * S) -> list[Sequenced]:
    prices = [99.0, 99.6, 100.4, 101.0, 100.2, 99.2]
    return [trade(n + 1, START + n * span, prices[n % 6], market=market) for n in range(count)]


@pytest.mark.parametrize("size", [1, 20_000])
@pytest.mark.parametrize(
    "when",
    [
        {"type": "change", "window": "20s", "percent": "0.5%", "direction": "either"},
        {"type": "trailing", "percent": "1%", "window": "2m"},
    ],
)
async def test_a_rule_read_trade_by_trade_gives_what_one_engine_gives(when: dict[str, Any], size: int) -> None:
    trades = zigzag(500) + zigzag(400, market=2, span=11 * S)
    asked = question(document(when, **{"for": "2s"}))
    past = memory(trades, BTC, KRAKEN)
    whole = past.trades
    past.trades = lambda *args, batch: whole(*args, batch=min(size, batch))  # type: ignore[method-assign]
    answer = await replay(past).run(asked)
    assert told(answer.signals) == told(plainly(asked, trades, BTC, KRAKEN))
    assert answer.signals
    assert answer.trades == 900
    assert answer.resolution is Resolution.TICK
    alone = await replay(memory(trades, BTC)).run(asked)
    assert {one.scope for one in alone.signals} == {BTC.key}


async def test_prints_out_of_order_and_refills_take_their_place() -> None:
    trades = [trade(n, START + n * S, 99.0 + n % 3, seen=START + n * S + (n % 5) * 400_000) for n in range(1, 300)]
    refilled = [
        trade(1000 + n, START + n * S + 1, 50.0, seen=START + 400 * S + n, flags=Flag.LATE) for n in range(100, 120)
    ]
    asked = question(document({"type": "change", "window": "10s", "percent": "1%", "direction": "either"}))
    past = memory([*trades, *refilled])
    whole = past.trades
    past.trades = lambda *args, batch: whole(*args, batch=25)  # type: ignore[method-assign]
    assert told((await replay(past).run(asked)).signals) == told(plainly(asked, [*trades, *refilled]))


async def test_candles_serve_where_trades_have_expired_and_give_no_ids() -> None:
    past = memory(
        [trade(1, START + 10 * M + 5 * S, 99.0), trade(2, START + 11 * M, 100.5), trade(3, START + 12 * M, 99.0)]
    )
    past.add_candles([candle(0, 98, 99), candle(1, 99, 101), candle(2, 98, 99, rising=False), candle(10, 1, 1)])
    answer = await replay(past).run(question(document(ABOVE), end=START + 20 * M))
    assert answer.resolution is Resolution.CANDLE
    first = START + 10 * M + 5 * S
    assert answer.stretches == [
        Stretch(BTC.key, Resolution.CANDLE, START, first),
        Stretch(BTC.key, Resolution.TICK, first, START + 20 * M),
    ]
    assert [(one.direction, answer.is_exact(one)) for one in answer.signals] == [
        (Direction.FIRED, False),
        (Direction.CLEARED, False),
        (Direction.FIRED, True),
        (Direction.CLEARED, True),
    ]
    assert START + M <= answer.signals[0].at < START + 2 * M
    # The same by a rule that is read trade by trade.
    change = question(document({"type": "change", "window": "1m", "percent": "1%"}), end=START + 20 * M)
    answer = await replay(past).run(change)
    assert answer.resolution is Resolution.CANDLE
    assert not answer.is_exact(answer.signals[0])


async def test_nothing_but_candles_or_nothing_at_all() -> None:
    past = MemoryPast([BTC])
    past.add_candles([candle(number, 98 + number % 4, 99 + number % 4) for number in range(30)])
    answer = await replay(past).run(question(document(ABOVE)))
    assert answer.resolution is Resolution.CANDLE
    assert len(answer.signals) >= 10
    empty = await replay(MemoryPast([BTC])).run(question(document(ABOVE)))
    assert (empty.resolution, empty.signals, empty.stretches) == (None, [], [])
    later = await replay(memory([trade(1, START + 700 * M, 99.0)])).run(question(document(ABOVE)))
    assert later.resolution is None
    spread = await replay(past).run(question(document({"type": "spread", "percent": "1%"})))
    assert spread.resolution is None  # candles know no quotes


async def test_a_timer_fires_at_the_end_of_the_span_and_not_beyond() -> None:
    trades = [trade(1, START + S, 99.0), trade(2, START + 2 * S, 101.0), *[trade(9, START + 5 * M, 101.0)]]
    for suspect in (False, True):  # by minutes, and trade by trade
        for hold, count in (("4m", 1), ("9m", 1), ("11m", 0)):
            asked = question(document(ABOVE, suspect=suspect, **{"for": hold}), end=START + 10 * M)
            answer = await replay(memory(trades)).run(asked)
            assert len(answer.signals) == count, (suspect, hold)
            assert told(answer.signals) == told(plainly(asked, trades))


async def test_rules_on_a_band_read_stored_forecasts_at_their_place() -> None:
    rows = [ForecastRow(START + n * M, 100.0, 99.5, 100.5) for n in range(60)]
    forecast = Forecast(uuid.UUID(int=3), 1, "prophet", START, START, 9, 0.95, M, START + 60 * M, rows)
    past = memory(zigzag(120))
    past.add_forecasts([(Activation(1, forecast.version, START + 5 * M), forecast)])
    asked = question(document({"type": "outside_band", "side": "upper"}))
    answer = await replay(past).run(asked)
    assert answer.signals
    assert answer.signals[0].seen > START + 5 * M
    assert answer.resolution is Resolution.TICK
    assert answer.signals[0].model == f"prophet@{forecast.version}"


async def test_rules_on_the_spread_read_stored_quotes() -> None:
    past = memory(zigzag(20))
    spreads = [0.1, 0.1, 3.0, 0.1, 3.0]
    past.add_quotes(
        PlacedQuote(at, Quote(1, at, 100.0, 1.0, 100.0 + spreads[n % 5], 1.0, at))
        for n, at in enumerate(range(START + S, START + 5 * M, 9 * S))
    )
    asked = question(document({"type": "spread", "percent": "1%"}))
    answer = await replay(past).run(asked)
    assert answer.resolution is Resolution.QUOTE
    assert answer.signals
    assert not answer.is_exact(answer.signals[0])


@pytest.mark.parametrize("when", [{"type": "anomaly", "score": "4"}, {"type": "anomaly", "false_alarms": "3/week"}])
async def test_rules_on_anomalies_read_the_scores_that_were_stored(when: dict[str, Any]) -> None:
    past = memory(zigzag(400))
    # Minute 2 is unusual once a week, minute 3 ten times a week: too often for the second rule.
    given = [(1.0, None), (1.0, None), (9.0, 1.0), (3.9, 10.0), (1.0, None), (5.0, 0.5)]
    past.add_scores(
        BarScore(1, START + n * M, score, "m@1", START + (n + 1) * M + S, alarms)
        for n, (score, alarms) in enumerate(given)
    )
    answer = await replay(past).run(question(document(when)))
    assert answer.resolution is Resolution.BAR
    fires = [one for one in answer.signals if one.direction is Direction.FIRED]
    assert [one.at for one in fires] == [START + 3 * M, START + 6 * M]
    closes = {one.at: one.close for one in await past.candles(1, START, START + 60 * M)}
    assert [one.price for one in fires] == [closes[START + 2 * M], closes[START + 5 * M]]
    assert fires[0].evidence["value"] == (9.0 if "score" in when else 1.0)
    assert fires[0].evidence["feature"] in ("score", "alarm")
    assert not answer.is_exact(fires[0])
    silent = await replay(memory(zigzag(10))).run(question(document(when)))
    assert silent.signals == []


async def test_what_a_rule_on_anomalies_keeps_back_has_times_and_no_prices() -> None:
    past = memory(zigzag(800))
    past.add_scores(
        BarScore(1, START + n * M, 9.0 if n % 2 else 1.0, "m@1", START + (n + 1) * M + S, None) for n in range(10)
    )
    asked = question(document({"type": "anomaly", "score": "4"}, most_per_hour=1, digest="4m", clear_signal=False))
    signals = (await replay(past).run(asked)).signals
    assert [one.direction.value for one in signals] == ["fired", "paused", "digest", "digest"]
    kept = {"v": 1, "since": START + 4 * M, "count": 1, "first": {"at": START + 6 * M}, "last": {"at": START + 6 * M}}
    assert signals[2].evidence == kept


@pytest.mark.parametrize(
    "when",
    [
        {"type": "drift"},
        {"type": "or", "of": [{"type": "anomaly", "score": "4"}, ABOVE]},
    ],
)
async def test_what_models_said_and_nobody_wrote_down_is_refused(when: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="not stored"):
        await replay(memory(zigzag(10))).run(question(document(when)))


async def test_groups_read_all_that_their_members_read() -> None:
    past = memory(zigzag(100))
    past.add_quotes(
        PlacedQuote(at, Quote(1, at, 100.0, 1.0, 103.0, 1.0, at)) for at in range(START + S, START + 5 * M, 9 * S)
    )
    both = {"type": "and", "of": [{"type": "spread", "percent": "1%"}, ABOVE]}
    answer = await replay(past).run(question(document(both)))
    assert answer.resolution is Resolution.QUOTE
    assert answer.signals


async def test_suspects_count_for_rules_that_ask_for_them() -> None:
    trades = [*zigzag(3), trade(50, START + 20 * S, 400.0, flags=Flag.SUSPECT), trade(51, START + 21 * S, 99.0)]
    asked = question(document({"type": "above", "level": "300"}, suspect=True))
    answer = await replay(memory(trades)).run(asked)
    assert [one.suspect for one in answer.signals] == [True, False]
    assert not (await replay(memory(trades)).run(question(document({"type": "above", "level": "300"})))).signals


async def test_charts_are_coarse_and_keep_the_extremes() -> None:
    trades = [trade(n, START + n * M, 100.0 + (n == 77)) for n in range(1, 500)]
    answer = await replay(memory(trades)).run(question(document(ABOVE), points=50))
    (chart,) = answer.charts
    assert chart.market == BTC.key
    assert 30 < len(chart.points) <= 50
    assert max(point.high for point in chart.points) == 101.0
    assert [point.at for point in chart.points] == sorted(point.at for point in chart.points)
    none = await replay(memory(trades)).run(question(document(ABOVE), points=0))
    assert none.charts[0].points == []


@pytest.mark.parametrize("when", [ABOVE, {"type": "change", "window": "1m", "percent": "1%"}])
async def test_progress_never_falls_and_ends_whole(when: dict[str, Any]) -> None:
    shares: list[float] = []
    past = memory(zigzag(3_000), BTC, KRAKEN)
    whole = past.trades
    past.trades = lambda *args, batch=9, **_: whole(*args, batch=200)  # type: ignore[method-assign]
    await replay(past).run(question(document(when), end=START + 351 * M), shares.append)
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0
    assert len(shares) > 3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": START}, "from"),
        ({"end": START + 2 * 86_400 * S}, "from"),
        ({"markets": ("okx:BTC-USD",)}, "markets"),
        ({"document": b"{}"}, "$"),
        ({"document": document(ABOVE).replace(b"BTC-USD", b"ETH-USD")}, "symbols"),
        ({"document": document(ABOVE), "markets": ("kraken:BTC-USD",)}, None),
    ],
)
async def test_wrong_questions(changes: dict[str, Any], field: str | None) -> None:
    fields: dict[str, Any] = {"document": document(ABOVE), "start": START, "end": START + M}
    asked = Question(**fields | changes)
    preview = replay(memory(zigzag(10), BTC, KRAKEN), longest=86_400.0)
    if field is None:
        answer = await preview.run(asked)
        assert [chart.market for chart in answer.charts] == [KRAKEN.key]
        return
    with pytest.raises(Invalid) as caught:
        await preview.run(asked)
    assert caught.value.field == field


def test_without_a_rule_of_its_own_a_question_makes_ids_of_its_text() -> None:
    one, same, other = (Question(document=text, start=1, end=2) for text in (b"a", b"a", b"b"))
    assert one.identity == same.identity != other.identity
    assert one.account_id == NOBODY
    assert Question(document=b"a", start=1, end=2, rule_id=uuid.UUID(int=5)).identity == uuid.UUID(int=5)
