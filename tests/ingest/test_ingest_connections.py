"""What venues ask of a connection beyond subscribing: greetings, tokens, answers, probes, goodbyes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from tests.ingest.conftest import running, until
from tests.ingest.toy import odd
from tests.ingest.toyhouse import markets, toy_house

from pricewatch.exchanges.base import Keepalive


async def test_pings_are_answered_in_order_while_trades_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening():
        pings = [{"type": "ping", "n": number} for number in range(50)]
        await house.venue.send(*pings, house.venue.trade(1))
        await until(lambda: len(house.venue.said("pong")) == 50 and house.sink.keys == [1])
        assert [message["n"] for message in house.venue.said("pong")] == list(range(50))


async def test_answers_overtake_paced_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = odd(markets_per_connection=7)
    async with toy_house(monkeypatch, kind) as house:
        house.venue.mute = {market.native for market in markets(7)}
        ingest = house.make(markets(7), subscribe_timeout=0.05, send_interval=5.0)
        async with running(ingest):
            await until(lambda: len(house.venue.said("subscribe")) >= 1)
            await house.venue.send({"type": "ping", "n": 1})
            await until(lambda: len(house.venue.said("pong")) == 1)
            assert len(house.venue.said("subscribe")) == 1


async def test_a_venue_that_asks_without_reading_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(greeting=True)) as house:

        async def flood(socket: web.WebSocketResponse) -> None:
            for number in range(1_100):  # nothing may be answered before its greeting
                await socket.send_json({"type": "ping", "n": number})

        house.venue.greet = flood
        ingest = house.make(markets(1))
        async with running(ingest):
            await until(lambda: len(house.venue.opened) >= 2)
            await until(lambda: "1000 times" in (ingest.trouble() or ""))


async def test_nothing_is_sent_before_the_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(greeting=True, keepalive=Keepalive(every=0.01))) as house:
        word = asyncio.Event()

        async def greet(socket: web.WebSocketResponse) -> None:
            await socket.send_json({"type": "ping", "n": 7})
            await word.wait()
            assert house.venue.ops == [{"op": "open", "token": ""}]
            await socket.send_json({"type": "hello"})

        house.venue.greet = greet
        ingest = house.make(markets(1))
        async with running(ingest):
            await until(lambda: house.counters.frames == 1 if ingest.venues else False)
            word.set()
            await until(house.settled)
            await until(lambda: bool(house.venue.said("pong")) and bool(house.venue.said("subscribe")))


async def test_a_venue_that_never_greets_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(greeting=True)) as house:
        ingest = house.make(markets(1), greeting_timeout=0.05)
        async with running(ingest):
            await until(lambda: len(house.venue.opened) >= 2)
            await until(lambda: "did not greet within 0.05 s" in (ingest.trouble() or ""))
        assert not house.venue.said("subscribe")


async def test_the_first_request_waits_for_the_venue_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    async with toy_house(monkeypatch, odd(settle=3.0)) as house, house.listening(pause=pause):
        assert 3.0 in waits


async def test_a_busy_connection_is_probed_where_the_venue_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(keepalive=Keepalive(every=0.02))) as house, house.listening():
        for key in range(1, 200):
            await house.say(house.venue.trade(key))
            if len(house.venue.said("probe")) >= 3:
                break
            await asyncio.sleep(0.01)
        probes = [message["at"] for message in house.venue.said("probe")]
        assert len(probes) >= 3
        assert probes == sorted(set(probes))


async def test_every_connection_is_prepared_by_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(token=True)) as house, house.listening() as ingest:
        assert house.venue.asked[0] == ("/token", {"want": "token"})
        assert house.venue.ops[0]["token"] == "secret-token"
        house.venue.token = "second-token"
        house.venue.drop()
        await until(lambda: len(house.venue.heard) == 2)
        assert house.venue.ops[0]["token"] == "second-token"
        await until(house.settled)
        assert "token" not in str(ingest.status())


@pytest.mark.parametrize(
    ("answer", "words"),
    [((500, {}), "HTTP 500"), ((403, {}), "HTTP 403"), ((200, {}), "no token")],
    ids=["away", "refused", "unusable"],
)
async def test_a_preparation_that_fails_is_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, dict[str, str]], words: str
) -> None:
    async with toy_house(monkeypatch, odd(token=True)) as house:
        house.venue.token = ""
        if answer[0] != 200:
            house.venue.rest_refuse = [answer] * 100
        ingest = house.make(markets(1), attempts=200)
        async with running(ingest):
            await until(lambda: len(house.venue.asked) >= 2 and words in (ingest.trouble() or ""))
            assert not house.venue.opened
            house.venue.token = "good"
            house.venue.rest_refuse.clear()
            await until(house.settled)


async def test_a_goodbye_is_answered_by_a_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(forgive_after=0.001):
        await house.say(house.venue.trade(1))
        first = house.venue.sockets[0]
        await house.venue.send({"type": "closing"})
        await until(lambda: len(house.venue.heard) == 2 and house.venue.sockets != [first])
        await until(lambda: first not in house.venue.sockets)
        await until(house.settled)
        await house.say(house.venue.trade(2))
        assert house.counters.reconnects == 0
        assert (1, False) not in house.sink.sight[1:]
    assert house.sink.keys == [1, 2]
    assert not house.gaps.declared


async def test_a_venue_that_says_goodbye_at_once_is_not_stormed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house:

        async def farewell(socket: web.WebSocketResponse) -> None:
            await socket.send_json({"type": "closing"})

        house.venue.greet = farewell
        ingest = house.make(markets(1), backoff_base=0.01, backoff_cap=600.0, attempts=5, attempts_window=3600.0)
        async with running(ingest):
            await until(lambda: len(house.venue.opened) == 5)
            await asyncio.sleep(0.3)
            assert len(house.venue.opened) == 5


async def test_connections_of_a_venue_are_replaced_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch, odd(lifetime=0.5, markets_per_connection=1)) as house:
        standing: list[int] = []

        async def count(_: web.WebSocketResponse) -> None:
            standing.append(len(house.venue.sockets))

        async with house.listening(4, rotate_overlap=0.05) as ingest:
            assert len(house.venue.sockets) == 4
            house.venue.greet = count
            await until(lambda: len(house.venue.heard) >= 12)
            assert all(runner.sessions for runner in ingest.venues[0].runners)
        assert max(standing) == 5
        assert house.counters.reconnects == 0


async def test_what_the_old_connection_still_has_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(rotate_overlap=0.5, forgive_after=0.001):
        await house.say(house.venue.trade(1))
        old = house.venue.sockets[0]
        await old.send_json({"type": "closing"})
        await until(lambda: len(house.venue.sockets) == 2)
        await old.send_json(house.venue.trade(2))
        await until(lambda: house.sink.keys == [1, 2])
        await house.venue.sockets[1].send_json(house.venue.trade(3))
        await until(lambda: house.sink.keys == [1, 2, 3])
        await until(lambda: len(house.venue.sockets) == 1)
    assert not house.venue.asked


async def test_half_a_subscription_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house:
        house.venue.mute = {"ETH-USD"}
        ingest = house.make(markets(3), subscribe_timeout=0.05)
        async with running(ingest):
            await until(lambda: len(house.venue.said("subscribe")) >= 2)
            assert house.venue.said("subscribe")[0]["names"] == ["BTC-USD", "ETH-USD", "SOL-USD"]
            assert house.venue.said("subscribe")[1]["names"] == ["ETH-USD"]
            (connection,) = ingest.status()["venues"]["toy"]["connections"]
            assert connection["unconfirmed"] == ["ETH-USD"]
            house.venue.mute = set()
            await until(lambda: not ingest.venues[0].runners[0].sessions[0].pending)


async def test_a_mute_market_is_subscribed_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house, house.listening(2) as ingest:
        assert ingest.renew(markets(2)[1])
        await until(lambda: len(house.venue.said("unsubscribe")) == 1 and len(house.venue.said("subscribe")) == 2)
        assert house.venue.said("unsubscribe")[0]["names"] == house.venue.said("subscribe")[1]["names"] == ["ETH-USD"]
        await until(house.settled)
        assert not ingest.renew(markets(3)[2])
        house.venue.drop()
        await until(lambda: (2, False) in house.sink.sight[2:])


async def test_a_refusing_venue_is_its_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    async with toy_house(monkeypatch) as house:
        house.venue.unknown = {"ETH-USD"}
        async with house.listening(2) as ingest:
            await house.say(house.venue.trade(1))
            status: Any = ingest.status()["venues"]["toy"]
            assert status["refused"] == {"ETH-USD trade": "unknown"}
            assert not ingest.venues[0].venue.feeds[1].is_blind
            assert ingest.venues[0].venue.feeds[2].is_blind
