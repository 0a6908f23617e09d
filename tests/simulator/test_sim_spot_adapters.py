"""OKX, Bybit, Bitget and Crypto.com: the adapters against their simulated servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import msgspec
import pytest
from tests.simulator.sim_support import START, connect, serving
from tests.simulator.spot_support import (
    NAMES,
    SECOND,
    SYMBOLS,
    Client,
    Everybody,
    answer,
    house,
    joined,
    listen,
    pages,
    printed,
    rows,
    settings,
)

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.domain.market import Flag, Quote, Trade
from pricewatch.exchanges.base import Endpoints, Output, Subscribed, SubscriptionFailed
from pricewatch.simulator.market import Sweep
from pricewatch.simulator.registry import VENUES
from pricewatch.simulator.session import Live
from pricewatch.simulator.tape import SeededTape


@pytest.mark.parametrize("fields", ["recorded", "current"])
@pytest.mark.parametrize("venue", NAMES)
def test_an_adapter_reads_what_was_printed(venue: str, fields: str) -> None:
    chosen = settings(venue, fields=fields)
    tape = SeededTape(chosen, start=START)
    server, exchange, heard = VENUES[venue](tape.ledgers, chosen), listen(venue, *SYMBOLS), Everybody()
    natives = {native: market.id for native, market in exchange.markets.items()}
    sweeps = quotes = 0
    for item in tape.take(START + 20 * SECOND, 100_000, heard=True):
        assert isinstance(item, Live)
        heard.frames.clear()
        server.publish(item, heard)
        out: list[Output] = []
        for frame in heard.frames:
            exchange.receive(frame, START, out)
        trades = [one for one in out if isinstance(one, Trade)]
        assert {one.market for one in out if isinstance(one, (Trade, Quote))} == {natives[item.ledger.listing.native]}
        if isinstance(item.event, Sweep):
            sweeps += len(item.event.prints) > 1
            say = joined if (venue, fields) == ("okx", "current") else printed
            assert rows(trades) == say(item.event.prints)
        else:
            assert not trades
        for quote in (one for one in out if isinstance(one, Quote)):
            quotes += 1
            best = (item.ledger.bid, item.ledger.bid_size, item.ledger.ask, item.ledger.ask_size)
            assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == pytest.approx(best, abs=1e-6)
    assert sweeps > 3
    assert quotes > 50


@pytest.mark.parametrize("until", [START + 12 * SECOND, None])
@pytest.mark.parametrize("venue", ["bitget", "cryptocom", "okx"])
def test_an_adapter_reads_the_whole_history(venue: str, until: int | None) -> None:
    server, tape = house(venue, rate=120.0)
    exchange = listen(venue, *SYMBOLS)
    market = exchange.markets[exchange.native("BTC-USDT")]
    kept = tape.ledgers[f"{venue}:BTC-USDT"].newest(100_000)
    since = START + 2 * SECOND
    wanted = [trade for trade in kept if since <= trade.at and (until is None or trade.at <= until)]
    assert len(wanted) > 400
    found = pages(server, exchange, market, since, until, START + 20 * SECOND)
    if venue == "okx":
        assert sum(trade.size for trade in found) == pytest.approx(sum(trade.size for trade in wanted))
        assert {trade.key for trade in found} <= {trade.id for trade in wanted}
        assert found[-1].key == wanted[-1].id
    else:
        assert rows(found) == printed(wanted)


def test_okx_history_says_what_its_socket_said() -> None:
    chosen = settings("okx", fields="current", rate=60.0)
    tape = SeededTape(chosen, start=START)
    server, exchange, heard = VENUES["okx"](tape.ledgers, chosen), listen("okx", *SYMBOLS), Everybody()
    for item in tape.take(START + 10 * SECOND, 100_000, heard=True):
        assert isinstance(item, Live)
        server.publish(item, heard)
    out: list[Output] = []
    for frame in heard.frames:
        exchange.receive(frame, START, out)
    live = [one for one in out if isinstance(one, Trade) and one.market == 1]
    since, until = live[3].at + 1000, live[-3].at - 1000
    wanted = [trade for trade in live if since <= trade.at <= until]
    found = pages(server, exchange, exchange.markets["BTC-USDT"], since, until, START + 10 * SECOND)
    assert len(found) > 100
    assert {trade.key: trade.price for trade in found}.items() <= {trade.key: trade.price for trade in live}.items()
    assert sum(trade.size for trade in found) == pytest.approx(sum(trade.size for trade in wanted))


def test_bybit_history_reaches_sixty_trades() -> None:
    server, tape = house("bybit", rate=60.0)
    exchange = listen("bybit", *SYMBOLS)
    market = exchange.markets["BTCUSDT"]
    kept = tape.ledgers["bybit:BTC-USDT"].newest(100)
    since = next(trade.at for trade in kept[-59:] if trade.at > kept[-60].at)
    found = pages(server, exchange, market, since, None, START + 20 * SECOND)
    assert rows(found) == printed([trade for trade in kept if trade.at >= since])
    found = pages(server, exchange, market, kept[0].at, None, START + 20 * SECOND)
    assert rows(found) == printed(kept[-60:])


@pytest.mark.parametrize("venue", NAMES)
def test_an_adapter_reads_candles_and_the_listing(venue: str) -> None:
    server, tape = house(venue)
    exchange = listen(venue, *SYMBOLS)
    market = exchange.markets[exchange.native("ETH-USDT")]
    bars = tape.ledgers[f"{venue}:ETH-USDT"].minutes[:110]
    requests = exchange.candle_requests(market, bars[0].at, bars[-1].at + 60 * SECOND)
    found = [one for asked in requests for one in exchange.parse_candles(asked, answer(server, asked.url, START))]
    assert [one.at for one in found] == [bar.at for bar in bars]
    assert [(one.open, one.high, one.low, one.close) for one in found] == [
        (bar.open, bar.high, bar.low, bar.close) for bar in bars
    ]
    assert [one.volume for one in found] == pytest.approx([bar.volume for bar in bars], rel=1e-3)
    bodies = [answer(server, asked.url, START) for asked in exchange.instrument_requests()]
    assert {one.symbol: one.native for one in exchange.parse_instruments(bodies)} == {
        symbol: exchange.native(symbol) for symbol in SYMBOLS
    }


@pytest.mark.parametrize("venue", NAMES)
def test_rest_refuses_in_the_venues_words(venue: str) -> None:
    server, _ = house(venue)
    exchange = listen(venue, "NO-PE")
    market = next(iter(exchange.markets.values()))
    request = exchange.history_request(market, 0, None, START, START)
    assert request is not None
    for url in (request.url, exchange.candle_requests(market, 0, 60 * SECOND)[0].url):
        address = urlsplit(url)
        reply = server.rest(address.path, dict(parse_qsl(address.query)), START)
        with pytest.raises(Refused):
            exchange.parse_history(request, msgspec.json.encode(reply.body), 0)
    limited = server.limited(3)
    with pytest.raises(Unavailable):
        exchange.parse_history(request, msgspec.json.encode(limited.body), 0)
    assert server.rest("/nowhere", {}, START).status == 404
    for path in {urlsplit(url).path for url in (request.url, exchange.candle_requests(market, 0, 1)[0].url)}:
        native = exchange.native("BTC-USDT")
        query = dict.fromkeys(("instId", "symbol", "instrument_name"), native) | {"category": "spot"}
        wrong = dict.fromkeys(("limit", "count"), "many")
        body = server.rest(path, query | wrong, START).body
        with pytest.raises(Refused):
            exchange.parse_history(request, msgspec.json.encode(body), 0)


@pytest.mark.parametrize("venue", NAMES)
async def test_an_adapter_over_a_real_socket(venue: str) -> None:
    async with serving(settings(venue, rate=40.0, quote_rate=40.0)) as running:
        endpoints = Endpoints(f"{running.addresses.ws}/{venue}", f"{running.addresses.rest}/{venue}")
        exchange = listen(venue, *SYMBOLS, endpoints=endpoints)
        stranger = listen(venue, *SYMBOLS, "NO-PE", endpoints=endpoints)
        out: list[Output] = []
        async with asyncio.timeout(50), connect(exchange.url()) as socket:
            for send in exchange.subscribe(exchange.expected()):
                await socket.send(send.frame)
            if (probe := exchange.probe(START)) is not None:
                await socket.send(probe)
            while sum(isinstance(one, Trade) and not one.flags for one in out) < 60 or len(quotes(out)) < 20:
                exchange.receive(await socket.recv(), START, out)
        async with asyncio.timeout(50), connect(stranger.url()) as socket:
            refused: list[Output] = []
            for send in stranger.subscribe(stranger.expected(), alone=True):
                await socket.send(send.frame)
            unknown = stranger.native("NO-PE")
            while not any(isinstance(one, SubscriptionFailed) and one.native == unknown for one in refused):
                stranger.receive(await socket.recv(), START, refused)
        ledgers = running.server._ledgers
        asked = exchange.instrument_requests()[0].url
        async with aiohttp.ClientSession() as http, http.get(asked) as reply:
            listed = exchange.parse_instruments([await reply.read()])
    assert {one.symbol for one in listed} == set(SYMBOLS)
    assert {(one.native, one.channel) for one in out if isinstance(one, Subscribed)} == set(exchange.expected())
    for market in exchange.markets.values():
        trades = [one for one in out if isinstance(one, Trade) and one.market == market.id and not one.flags]
        kept = ledgers[market.key].starting(trades[0].key, len(trades))
        assert rows(trades) == printed(kept)
    before = [one for one in out if isinstance(one, Trade) and one.flags == Flag.HISTORY]
    assert bool(before) is (venue != "bybit")


def quotes(out: Sequence[Output]) -> list[Quote]:
    return [one for one in out if isinstance(one, Quote)]


@pytest.mark.parametrize(
    ("venue", "path"),
    [
        ("okx", "/ws/v5/public"),
        ("bybit", "/v5/public/spot"),
        ("bitget", "/v2/ws/public"),
        ("cryptocom", "/exchange/v1/market"),
    ],
)
def test_paths(venue: str, path: str) -> None:
    assert Client(venue).opened.close is None
    assert Client(venue, path).opened.close is None
    assert Client(venue, "/elsewhere").opened.close is not None
    assert Client(venue, path, x="1").opened.close is not None
