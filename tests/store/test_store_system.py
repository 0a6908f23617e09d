"""The system feed: placed once, without a hole, in the order told; mailed to administrators who may be mailed."""

from __future__ import annotations

import asyncio

import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres

from pricewatch.domain.account import Role
from pricewatch.domain.signal import Signal
from pricewatch.domain.watch import GAP_RULE, STALE_RULES, SYSTEM, Hole, Place, gap_closed, gap_opened, recovered, stale
from pricewatch.store.pool import Database

PLACE = Place(1, "coinbase", "BTC-USD")
OTHER = Place(2, "kraken", "BTC-USD")


def opened(number: int, place: Place = PLACE) -> Signal:
    return gap_opened(place, Hole(number, 5, 9, 10, 20, "test"), seen=1_000 + number)


class SystemFeedPromises:
    async def test_every_signal_has_its_place_once(self, keepers: Keepers) -> None:
        first = await keepers.system.append([opened(1), opened(2), opened(1)])
        again = await keepers.system.append([opened(2), opened(3)])
        assert [(one.seq, one.signal.cause) for one in first + again] == [(1, "gap:1"), (2, "gap:2"), (3, "gap:3")]
        assert {one.feed for one in first} == {SYSTEM}
        assert (await keepers.feeds.head(SYSTEM)).seq == 3
        assert await keepers.feeds.read(SYSTEM, after_seq=0) == first + again
        assert await keepers.feeds.get(SYSTEM, opened(2).id) == first[1]
        assert await keepers.system.append([]) == []
        assert await keepers.outbox.listing() == []

    async def test_two_who_tell_at_once_leave_no_hole(self, keepers: Keepers) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(keepers.system.append([opened(number), opened(number // 2)]))
        entries = await keepers.feeds.read(SYSTEM, after_seq=0)
        assert [one.seq for one in entries] == list(range(1, 21))
        assert len({one.signal.id for one in entries}) == 20

    async def test_it_is_owed_to_administrators_with_an_address_if_asked(self, keepers: Keepers) -> None:
        admin = await keepers.accounts.create("ada", "ada@example.org", Role.ADMIN)
        await keepers.accounts.create("mute", "", Role.ADMIN)
        await keepers.accounts.create("bob", "bob@example.org", Role.USER)
        await keepers.system.append([opened(1)])
        for _ in range(2):
            await keepers.system.append([opened(2)], mail=True)
        (delivery,) = await keepers.outbox.claim("email", limit=9, lease=5.0)
        assert (delivery.account_id, delivery.target, delivery.signal.cause) == (admin.id, "ada@example.org", "gap:2")
        assert len(await keepers.outbox.listing(admin.id)) == 1

    async def test_where_each_watch_stands(self, keepers: Keepers) -> None:
        silent = stale(PLACE, "trades", last=0, due=50, limit=50, ever=False)
        heard = recovered(PLACE, "trades", last=0, at=90, missing=0, filled=0)
        elsewhere = stale(OTHER, "trades", last=0, due=60, limit=50, ever=True)
        quotes = stale(PLACE, "quotes", last=0, due=70, limit=50, ever=True)
        await keepers.system.append([silent, quotes, elsewhere, heard, opened(1)])
        found = await keepers.system.standing(list(STALE_RULES.values()))
        assert sorted(found, key=lambda one: one.at) == [elsewhere, quotes, heard]
        closed = gap_closed(PLACE, Hole(1, 5, 9, 10, 20, "test"), how="filled", seen=2_000)
        await keepers.system.append([closed])
        assert await keepers.system.standing([GAP_RULE]) == [closed]


class TestMemorySystemFeed(SystemFeedPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresSystemFeed(SystemFeedPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)
