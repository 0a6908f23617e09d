"""A rule over a span of the past: the live evaluator, fed with what is stored."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter

import msgspec

from pricewatch.backtest import seeding
from pricewatch.backtest.bars import by_bars, numbers, told
from pricewatch.backtest.chart import coarse
from pricewatch.backtest.feeding import Feeder, Input, PlacedForecast
from pricewatch.backtest.kinds import BANDS, QUOTES, SCORES, features, is_by_bars, is_quick
from pricewatch.backtest.order import in_order, merged
from pricewatch.backtest.path import walk
from pricewatch.backtest.quick import QuickWalk
from pricewatch.backtest.settings import PreviewSettings
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle, Market
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import MINUTE, SECOND, rfc3339
from pricewatch.engine.settings import EngineSettings
from pricewatch.engine.state import ActiveRule
from pricewatch.ports.preview import Answer, Chart, Minute, Past, PlacedQuote, Progress, Question, Resolution, Stretch
from pricewatch.ports.ticks import Sequenced
from pricewatch.rules.document import Rule, parse

_SLICE = 2_000
_BATCHES = 40_000
"""Stored rows held in memory at a time, all markets together."""


class _Share(msgspec.Struct, frozen=True):
    """One market's part of a question."""

    market: Market
    start: int
    end: int
    candles: list[Candle]
    """Of the time before the first stored trade."""
    first: int | None
    """When the first stored trade was made; None without any before `end`."""
    minutes: list[Minute]
    """Of the stored trades, from the minute before `start` on, for whom they are read."""


class Replay:
    """Keeps `Preview` over any `Past`."""

    def __init__(self, past: Past, settings: PreviewSettings, engine: EngineSettings) -> None:
        self._past = past
        self._settings = settings
        self._engine = engine

    async def run(self, question: Question, progress: Progress | None = None) -> Answer:
        """Raises `Invalid` for a wrong document, span or market."""
        begun = time.perf_counter()
        rule = parse(question.document)
        self._check_span(question)
        markets = await self._markets(rule, question)
        bars = is_by_bars(rule)
        steady = _Steady(progress)
        shares = [await self._share(market, question, rule) for market in markets]
        active = ActiveRule(question.identity, question.account_id, question.version, rule, question.start - 1)
        if bars:
            signals, fed = await self._by_bars(shares, active, steady)
        elif is_quick(rule):
            signals, fed = await self._quickly(shares, active, steady)
        else:
            signals, fed = await self._wholly(shares, active, steady)
        charts = [_chart(share, question.points) for share in shares]
        steady(1.0)
        return Answer(
            rule_id=active.id,
            rule_version=active.version,
            mails="email" in rule.policy.channels,
            thresholds=rule.when.evidence(),
            start=question.start,
            end=question.end,
            signals=signals,
            stretches=[stretch for share in shares for stretch in _stretches(share, rule)],
            charts=charts,
            trades=fed,
            seconds=round(time.perf_counter() - begun, 3),
        )

    def _check_span(self, question: Question) -> None:
        if question.start >= question.end:
            raise Invalid("from", f"{rfc3339(question.start)} is not before `to` ({rfc3339(question.end)})")
        longest = round(self._settings.longest * SECOND)
        if question.end - question.start > longest:
            days = (question.end - question.start) / 86_400e6
            raise Invalid("from", f"a span of {days:.1f} days is too long; ask for at most {longest / 86_400e6:g} days")

    async def _markets(self, rule: Rule, question: Question) -> list[Market]:
        known = await self._past.markets()
        missing = set(question.markets) - {market.key for market in known}
        if missing:
            listed = ", ".join(sorted(market.key for market in known)[:20]) or "none"
            raise Invalid("markets", f"nothing is stored of {', '.join(sorted(missing))}; there are {listed}")
        found = [one for one in known if rule.matches(one) and (not question.markets or one.key in question.markets)]
        if not found:
            raise Invalid("symbols", "nothing is stored of any market this rule watches; backfill or import some first")
        return sorted(found, key=attrgetter("id"))

    async def _share(self, market: Market, question: Question, rule: Rule) -> _Share:
        """What there is of a market: candles up to its first stored trade, trades from there on.

        Candles know no quotes: for a rule on quotes there is nothing before the first trade.
        """
        first = await self._past.first(market.id)
        if first is not None and first >= question.end:
            first = None
        candles: list[Candle] = []
        until = question.end if first is None else first - first % MINUTE
        if until > question.start and not features(rule) & QUOTES:
            candles = await self._past.candles(market.id, _up(question.start), until)
        minutes: list[Minute] = []
        if first is not None and (question.points or (is_quick(rule) and not is_by_bars(rule))):
            low = max(_down(question.start) - MINUTE, _down(first))
            minutes = await self._past.minutes(market.id, low, _up(question.end))
        return _Share(market, question.start, question.end, candles, first, minutes)

    # -- price levels: minutes first ----------------------------------------------------------------------------------

    async def _quickly(self, shares: Sequence[_Share], active: ActiveRule, told: _Steady) -> tuple[list[Signal], int]:
        """Each market on its own; what they said, in the order."""
        signals: list[Signal] = []
        fed = 0
        for number, share in enumerate(shares):
            feeder = Feeder(self._engine, [share.market], active)
            feeder.trades(walk(share.candles))
            if share.first is not None:
                quick = QuickWalk(self._past, feeder, share.market.id, share.minutes)
                await quick.run(share.start, share.end, told.part(number, len(shares)))
            signals += feeder.finish(share.end)
            fed += feeder.fed
        signals.sort(key=attrgetter("seen"))
        return signals, fed

    # -- anomalies: stored scores, minute by minute --------------------------------------------------------------------

    async def _by_bars(self, shares: Sequence[_Share], active: ActiveRule, steady: _Steady) -> tuple[list[Signal], int]:
        """Each market on its own; what they said, in the order."""
        rule = active.rule
        signals: list[Signal] = []
        fed = 0
        for number, share in enumerate(shares):
            feeder = Feeder(self._engine, [share.market], msgspec.structs.replace(active, rule=by_bars(rule)))
            market, start = share.market.id, _down(share.start)
            scores = await self._past.scores(market, start, share.end - MINUTE)
            feeder.trades(numbers(rule, (one for one in scores if one.seen >= share.start)))
            found = feeder.finish(share.end)
            if found:
                closes = {one.at: one.close for one in await self._past.candles(market, start, share.end)}
                signals += [told(one, closes, rule.when.needs()) for one in found]
            fed += feeder.fed
            steady.part(number, len(shares))(1.0)
        signals.sort(key=attrgetter("seen"))
        return signals, fed

    # -- everything else: trade by trade ------------------------------------------------------------------------------

    async def _wholly(self, shares: Sequence[_Share], active: ActiveRule, told: _Steady) -> tuple[list[Signal], int]:
        """All markets together, in the order."""
        feeder = Feeder(self._engine, [share.market for share in shares], active)
        await seeding.begin(feeder.engine, self._past, shares[0].start)
        size = max(500, _BATCHES // max(1, len(shares)))
        read = features(active.rule)
        streams: list[AsyncIterator[Sequence[Input]]] = []
        for number, share in enumerate(shares):
            streams.append(self._trades(share, size, told.part(number, len(shares))))
            if read & QUOTES:
                streams.append(self._quotes(share, size))
            if read & BANDS:
                streams.append(self._forecasts(share))
        if len(streams) == 1:
            async for batch in self._trades(shares[0], size, told.part(0, 1)):
                feeder.trades(batch)
        else:
            async for mixed in merged(streams):
                feeder.inputs(mixed)
        return feeder.finish(max(share.end for share in shares)), feeder.fed

    async def _trades(self, share: _Share, size: int, told: Progress) -> AsyncIterator[list[Sequenced]]:
        for begin in range(0, len(share.candles), _SLICE):
            yield list(walk(share.candles[begin : begin + _SLICE]))
        if share.first is None:
            return
        low = max(share.start - MINUTE, share.first)
        async for batch in in_order(self._past.trades(share.market.id, low, share.end, batch=size)):
            told((batch[-1].trade.at - share.start) / (share.end - share.start) if batch else 1.0)
            yield [one for one in batch if one.seen >= share.start]

    async def _quotes(self, share: _Share, size: int) -> AsyncIterator[list[PlacedQuote]]:
        held: list[PlacedQuote] = []
        async for batch in self._past.quotes(share.market.id, share.start - MINUTE, share.end, batch=size):
            held += batch
            border = held[-1].quote.at - MINUTE
            yield sorted((one for one in held if one.quote.at < border and one.seen >= share.start), key=_seen)
            held = [one for one in held if one.quote.at >= border]
        yield sorted((one for one in held if one.seen >= share.start), key=_seen)

    async def _forecasts(self, share: _Share) -> AsyncIterator[list[PlacedForecast]]:
        yield [
            PlacedForecast(activation, forecast)
            for activation, forecast in await self._past.forecasts(share.market.id, share.start, share.end)
        ]


_seen = attrgetter("seen")


class _Steady:
    """Progress that never falls, told at most a hundred times."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._told = 0

    def __call__(self, done: float) -> None:
        percent = min(100, int(done * 100))
        if self._progress is not None and percent > self._told:
            self._told = percent
            self._progress(percent / 100)

    def part(self, number: int, count: int) -> Progress:
        """The progress of one part of several."""
        return lambda done: self((number + min(1.0, max(0.0, done))) / count)


def _chart(share: _Share, most: int) -> Chart:
    minutes = [Minute(one.at, one.low, one.high) for one in share.candles]
    minutes += share.minutes[bisect_left(share.minutes, _down(share.start), key=attrgetter("at")) :]
    return Chart(share.market.key, coarse(minutes, share.start, share.end, most) if most else [])


def _stretches(share: _Share, rule: Rule) -> list[Stretch]:
    if rule.when.needs() in SCORES:
        return [Stretch(share.market.key, Resolution.BAR, share.start, share.end)]
    found = []
    traded = share.end if share.first is None else max(share.start, share.first)
    if share.candles:
        found.append(Stretch(share.market.key, Resolution.CANDLE, share.start, traded))
    if share.first is not None:
        finest = Resolution.QUOTE if features(rule) & QUOTES else Resolution.TICK
        found.append(Stretch(share.market.key, finest, traded, share.end))
    return found


def _down(at: int) -> int:
    return at - at % MINUTE


def _up(at: int) -> int:
    return -(-at // MINUTE) * MINUTE
