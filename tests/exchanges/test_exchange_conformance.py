"""The suite that every adapter passes: subscribing, what frames mean, refusals, and whatever else may arrive."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.exchanges.cases import Case, Frame, cases

from benchmarks import captures, plain
from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.market import Flag, Market, Quote, Side, Trade, decimal_text
from pricewatch.exchanges.base import (
    BadTrade,
    Closing,
    Control,
    Exchange,
    HistoryRequest,
    Output,
    Ready,
    Send,
    Subscribed,
    SubscriptionFailed,
    as_bytes,
)
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.exchanges.symbols import canonical

SEEN = 1_800_000_000_000_000
CASES = cases()
VENUES = sorted(CASES)
DECLARED = (Trade, Quote, *get_args(Control))


def listen(case: Case) -> Exchange:
    kind = EXCHANGES[case.venue]
    exchange = kind(
        [
            Market(number, case.venue, symbol, native, kind.step)
            for number, (symbol, native) in enumerate(zip(case.symbols, case.natives, strict=True), 1)
        ]
    )
    if case.prepared is not None:
        exchange.prepared(case.prepared)
    return exchange


def read(exchange: Exchange, frames: Iterable[Frame]) -> list[Output]:
    out: list[Output] = []
    for frame in frames:
        exchange.receive(frame, SEEN, out)
    return out


def subscribed(case: Case) -> Exchange:
    """An adapter past its subscriptions, as frames find it."""
    exchange = listen(case)
    read(exchange, case.greeting)
    sends = [send.frame for send in exchange.subscribe(exchange.expected())]
    read(exchange, case.answer(sends))
    return exchange


def shaped(frame: Frame, *, text: bool) -> Frame:
    """Transports hand out bytes; recordings may hold the same frame as text."""
    return frame if text else as_bytes(frame)


def symbol_of(exchange: Exchange, number: int) -> str:
    (found,) = (market.symbol for market in exchange.markets.values() if market.id == number)
    return found


def test_every_venue_has_a_case() -> None:
    assert set(CASES) == set(EXCHANGES)


@pytest.mark.parametrize("venue", VENUES)
def test_names_on_the_wire(venue: str) -> None:
    case = CASES[venue]
    kind = EXCHANGES[venue]
    assert tuple(kind.native(symbol) for symbol in case.symbols) == case.natives
    assert tuple(canonical(symbol) for symbol in case.symbols) == case.symbols
    assert listen(case).url().startswith("wss://")
    assert kind.endpoints.rest.startswith("https://")


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_every_subscription_is_confirmed(venue: str, alone: bool) -> None:
    case = CASES[venue]
    exchange = listen(case)
    assert any(isinstance(item, Ready) for item in read(exchange, case.greeting)) is exchange.greeting
    expected = exchange.expected()
    assert {native for native, _ in expected} == set(case.natives)
    sends = exchange.subscribe(expected, alone=alone)
    assert len({send.frame for send in sends}) == len(sends) > 0
    out = read(exchange, case.answer([send.frame for send in sends]))
    confirmed = {(item.native, item.channel) for item in out if isinstance(item, Subscribed)}
    assert confirmed >= set(expected)
    assert not any(isinstance(item, SubscriptionFailed) for item in out)


@pytest.mark.parametrize("venue", VENUES)
def test_a_refused_market_fails_alone(venue: str) -> None:
    case = CASES[venue]
    if case.refuse is None:
        assert case.why, "a venue that never refuses says so"
        return
    exchange = listen(case)
    read(exchange, case.greeting)
    refused = case.natives[0]
    sends = [send.frame for send in exchange.subscribe(exchange.expected(), alone=True)]
    out = read(exchange, case.refuse(sends, refused))
    failed = {item.native for item in out if isinstance(item, SubscriptionFailed)}
    assert failed == {refused}
    assert all(item.reason for item in out if isinstance(item, SubscriptionFailed))
    confirmed = {(item.native, item.channel) for item in out if isinstance(item, Subscribed)}
    assert confirmed >= {item for item in exchange.expected() if item.native != refused}


@pytest.mark.parametrize("venue", VENUES)
def test_what_is_left_is_unsubscribed(venue: str) -> None:
    case = CASES[venue]
    exchange = subscribed(case)
    gone = [item for item in exchange.expected() if item.native == case.natives[-1]]
    exchange.drop([case.natives[-1]])
    assert case.natives[-1] not in exchange.markets
    sends = exchange.unsubscribe(gone)
    assert sends or case.why
    for send in sends:
        json.loads(send.frame)


@pytest.mark.parametrize("venue", VENUES)
def test_markets_come_and_go_on_a_living_connection(venue: str) -> None:
    case = CASES[venue]
    exchange = listen(case)
    everything = list(exchange.markets.values())
    exchange.drop(case.natives)
    assert exchange.expected() == []
    read(exchange, case.greeting)
    for market in everything:
        exchange.add([market])
        sends = exchange.subscribe([item for item in exchange.expected() if item.native == market.native])
        out = read(exchange, case.answer([send.frame for send in sends]))
        assert market.native in {item.native for item in out if isinstance(item, Subscribed)}
    for frame, rows in case.trades:
        trades = [item for item in read(exchange, [frame]) if isinstance(item, Trade)]
        assert [symbol_of(exchange, trade.market) for trade in trades] == [row.symbol for row in rows]
    gone = everything[0]
    exchange.drop([gone.native])
    exchange.unsubscribe([item for item in subscribed(case).expected() if item.native == gone.native])
    for frame, _ in [*case.trades, *case.quotes]:
        out = []
        with suppress(BadData):
            exchange.receive(frame, SEEN, out)
        assert not [item for item in out if isinstance(item, (Trade, Quote)) and item.market == gone.id]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_trades_are_read_exactly(venue: str, text: bool) -> None:
    case = CASES[venue]
    exchange = subscribed(case)
    assert case.trades
    for frame, rows in case.trades:
        trades = [item for item in read(exchange, [shaped(frame, text=text)]) if isinstance(item, Trade)]
        assert len(trades) == len(rows)
        for trade, row in zip(trades, rows, strict=True):
            assert symbol_of(exchange, trade.market) == row.symbol
            assert decimal_text(trade.price) == row.price
            assert decimal_text(trade.size) == row.size
            assert trade.side == Side[row.side.upper()]
            assert (trade.ref or str(trade.key)) == row.ident
            assert 0 <= trade.key < 2**63
            assert trade.at == row.at
            assert trade.received == SEEN
            assert bool(trade.flags & Flag.HISTORY) is row.history


@pytest.mark.parametrize("venue", sorted(set(VENUES) - {"bitfinex", "htx"}))
def test_a_torn_frame_of_trades_is_a_trade_lost(venue: str) -> None:
    """Bitfinex's frames name a channel by its number alone, those of HTX are inflated whole or not at all."""
    for frame, _ in CASES[venue].trades:
        with pytest.raises(BadTrade):
            read(subscribed(CASES[venue]), [frame[:-1]])


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("venue", VENUES)
def test_quotes_are_read_exactly(venue: str, text: bool) -> None:
    case = CASES[venue]
    exchange = subscribed(case)
    assert case.quotes or case.why
    for frame, rows in case.quotes:
        quotes = [item for item in read(exchange, [shaped(frame, text=text)]) if isinstance(item, Quote)]
        assert len(quotes) == len(rows)
        for quote, row in zip(quotes, rows, strict=True):
            assert symbol_of(exchange, quote.market) == row.symbol
            numbers = (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
            assert tuple(map(decimal_text, numbers)) == (row.bid, row.bid_size, row.ask, row.ask_size)


@pytest.mark.parametrize("venue", VENUES)
def test_keepalives_endings_and_foreign_frames(venue: str) -> None:
    case = CASES[venue]
    exchange = subscribed(case)
    for frame, answer in case.pings:
        assert Send(answer) in read(exchange, [frame])
    for frame in case.closing:
        assert any(isinstance(item, Closing) for item in read(exchange, [frame]))
    for frame in case.ignored:
        assert not [item for item in read(exchange, [frame]) if isinstance(item, (Trade, Quote, Closing))]
    if exchange.keepalive.every is not None:
        assert exchange.probe(SEEN)


@pytest.mark.parametrize("venue", VENUES)
def test_the_listing_names_the_markets(venue: str) -> None:
    case = CASES[venue]
    exchange = listen(case)
    requests = exchange.instrument_requests()
    assert len(requests) == len(case.instruments)
    assert all(request.url.startswith("https://") for request in requests)
    assert requests or case.why
    found = exchange.parse_instruments(case.instruments) if requests else []
    names = {item.symbol: item.native for item in found}
    assert len(names) == len(found)
    assert all(names[symbol] == native for symbol, native in zip(case.symbols, case.natives, strict=True) if requests)


@pytest.mark.parametrize("venue", VENUES)
def test_past_candles(venue: str) -> None:
    case = CASES[venue]
    exchange = listen(case)
    market = exchange.markets[case.natives[0]]
    if case.candles is None:
        assert case.why
        return
    start = case.candle_rows[0][0]
    requests = exchange.candle_requests(market, start, case.candle_rows[-1][0] + 60_000_000)
    found = exchange.parse_candles(requests[0], case.candles)
    rows = [(one.at, *map(decimal_text, (one.open, one.high, one.low, one.close, one.volume))) for one in found]
    assert rows == list(case.candle_rows)


@pytest.mark.parametrize("venue", VENUES)
def test_past_trades(venue: str) -> None:
    case = CASES[venue]
    exchange = listen(case)
    market = exchange.markets[case.natives[0]]
    request = exchange.history_request(market, 1, None, 1, None)
    assert (request is None) is (case.history is None)
    if request is None or case.history is None:
        assert case.why
        return
    page = exchange.parse_history(request, case.history, SEEN)
    assert page.trades
    keys = [trade.key for trade in page.trades]
    assert len(set(keys)) == len(keys)
    assert [trade.at for trade in page.trades] == sorted(trade.at for trade in page.trades)


@pytest.mark.shared
@pytest.mark.parametrize("name", plain.RECORDINGS)
def test_recordings_hold_what_a_plain_script_counts(shared: Path, name: str) -> None:
    venue, count = plain.RECORDINGS[name]
    path = shared / "data" / name
    wanted = count(plain.read(path))
    assert captures.replayed(path, venue, wanted.natives) == (wanted.trades, wanted.quotes, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
VALUES = JSON | st.sampled_from(["NaN", "inf", "1e400", "-1", "0", "\0", 10**30, "9" * 400, "2021-13-01T00:00:00Z"])


def templates(case: Case) -> list[Any]:
    frames = [frame for frame, _ in [*case.trades, *case.quotes, *case.pings]]
    frames += [*case.closing, *case.ignored, *case.greeting]
    texts = [frame for frame in frames if isinstance(frame, str) and frame.startswith(("{", "["))]
    return [*map(json.loads, texts), *case.templates]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        found += places(inner, (*path, key))
    return found


def survives(case: Case, frame: Frame) -> list[Output]:
    """Nothing but declared outputs and `BadData` comes out of any frame."""
    exchange = subscribed(case)
    out: list[Output] = []
    with suppress(BadData):
        exchange.receive(frame, SEEN, out)
    numbers = {market.id for market in exchange.markets.values()}
    for item in out:
        assert isinstance(item, DECLARED)
        if isinstance(item, (Trade, Quote)):
            assert item.market in numbers
        if isinstance(item, Trade):
            assert isinstance(item.price, float)
            assert isinstance(item.key, int)
    return out


@pytest.mark.parametrize("venue", VENUES)
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_noise_is_bad_data(venue: str, frame: Frame) -> None:
    assert not [item for item in survives(CASES[venue], frame) if isinstance(item, (Trade, Quote))]


@pytest.mark.parametrize("venue", VENUES)
@given(data=st.data())
def test_wrong_values_are_bad_data(venue: str, data: st.DataObject) -> None:
    case = CASES[venue]
    template = json.loads(json.dumps(data.draw(st.sampled_from(templates(case)))))
    path = data.draw(st.sampled_from(places(template)))
    inner = template
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = data.draw(VALUES)
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(template, separators=separators)
    survives(case, text)
    survives(case, text.encode(errors="surrogatepass"))


@pytest.mark.parametrize("venue", VENUES)
@given(body=st.binary(max_size=100) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_rest_answer_is_read_or_refused(venue: str, body: bytes) -> None:
    exchange = listen(CASES[venue])
    market = exchange.markets[CASES[venue].natives[0]]
    request: HistoryRequest | None = exchange.history_request(market, 1, 5, 10, 20)
    with suppress(BadData, Unavailable, Refused):
        if request is not None:
            exchange.parse_history(request, body, 1)
    with suppress(BadData, Unavailable, Refused):
        exchange.parse_candles(exchange.candle_requests(market, 0, 60_000_000)[0], body)
    with suppress(BadData, Unavailable, Refused):
        exchange.parse_instruments([body] * len(exchange.instrument_requests()))
    with suppress(BadData, Unavailable, Refused):
        exchange.prepared(body)
