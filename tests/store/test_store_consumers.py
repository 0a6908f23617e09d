"""What a keeper of named consumers promises, in memory and in PostgreSQL alike."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Literal

import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres, make_signal

from pricewatch.domain.account import Account, Role
from pricewatch.domain.consumer import Filter
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.time import SECOND
from pricewatch.domain.watch import SYSTEM
from pricewatch.ports.consumers import Consumers, Joined, Lot, Start, Wish
from pricewatch.ports.journal import Change
from pricewatch.store.consumers import PostgresConsumers
from pricewatch.store.pool import Database
from pricewatch.testing.consumers import MemoryConsumers


@dataclass
class Bench:
    """An account with a feed, and its consumers."""

    keepers: Keepers
    consumers: Consumers
    account: Account
    written: int = 0

    async def emit(self, count: int) -> None:
        claim = await self.keepers.journal.claim(0, "test")
        signals = [make_signal(self.account.id, self.written + number) for number in range(count)]
        self.written += count
        await self.keepers.journal.commit(claim, Change(cursor=0, signals=signals))

    async def join(
        self,
        name: str = "bot",
        *,
        start: Start = "oldest",
        kept: Filter | None = None,
        ack_wait: int | None = None,
        channel: Literal["signals", "system"] = "signals",
    ) -> Joined:
        return await self.consumers.join(Wish(self.account.id, name, channel, kept or Filter(), ack_wait, start))

    async def take(self, joined: Joined, limit: int = 100) -> list[tuple[int, int]]:
        return said(await self.consumers.take(joined, limit=limit))


def said(lot: Lot) -> list[tuple[int, int]]:
    return [(one.entry.seq, one.attempt) for one in lot.delivered]


class ConsumerPromises:
    @pytest.fixture
    async def bench(self, keepers: Keepers, consumers: Consumers) -> Bench:
        return Bench(keepers, consumers, await keepers.accounts.create("ann", "ann@example.org", Role.USER))

    async def test_new_ones_begin_where_they_ask(self, bench: Bench) -> None:
        await bench.emit(3)
        epoch = (await bench.join("a", start="newest")).consumer.epoch
        for name, start, first in (("a", "newest", 4), ("b", "oldest", 1), ("c", (epoch, 2), 3)):
            joined = await bench.join(name, start=start)  # type: ignore[arg-type]
            assert joined.resumed is (True if name == "a" else None)
            if name == "a":
                await bench.emit(1)
            assert (await bench.take(joined, 1))[0][0] == first

    @pytest.mark.parametrize("start", [(1, 1), (0, 9)])
    async def test_a_start_outside_the_feed_is_refused(self, bench: Bench, start: tuple[int, int]) -> None:
        epoch = (await bench.join("other")).consumer.epoch
        await bench.emit(2)
        with pytest.raises(Invalid, match="start"):
            await bench.join(start=(start[0] or epoch, start[1]))

    async def test_what_is_acknowledged_never_comes_again(self, bench: Bench) -> None:
        await bench.emit(3)
        joined = await bench.join(ack_wait=SECOND)
        assert await bench.take(joined) == [(1, 1), (2, 1), (3, 1)]
        assert await bench.take(joined) == []
        assert await bench.consumers.ack(joined, [1, 3], lease=joined.lease) == (2, [])
        assert await bench.consumers.ack(joined, [1], lease=joined.lease) == (1, [])
        bench.keepers.clock.advance(1)
        again = await bench.join()
        assert (again.resumed, again.in_flight, again.consumer.seq) == (True, 1, 3)
        assert await bench.take(again) == [(2, 2)]

    async def test_redelivery_waits_for_ack_wait_and_counts(self, bench: Bench) -> None:
        await bench.emit(1)
        joined = await bench.join(ack_wait=10 * SECOND)
        lot = await bench.consumers.take(joined, limit=5)
        assert lot.due == lot.delivered[0].due == bench.keepers.clock.now() + 10 * SECOND
        bench.keepers.clock.advance(9)
        assert await bench.take(joined) == []
        bench.keepers.clock.advance(1)
        assert await bench.take(joined) == [(1, 2)]
        bench.keepers.clock.advance(10)
        assert await bench.take(joined) == [(1, 3)]

    async def test_two_connections_share_the_work(self, bench: Bench) -> None:
        await bench.emit(5)
        one, two = await bench.join(), await bench.join()
        assert one.lease < two.lease
        first, second = await bench.take(one, 2), await bench.take(two, 2)
        assert [seq for seq, _ in first + second] == [1, 2, 3, 4]
        assert (await bench.consumers.take(one, limit=1)).more is False
        assert await bench.take(two) == []

    async def test_a_frozen_holder_cannot_ack_over_another(self, bench: Bench) -> None:
        await bench.emit(2)
        frozen, other = await bench.join(ack_wait=SECOND), await bench.join()
        await bench.take(frozen)
        bench.keepers.clock.advance(1)
        assert await bench.take(other) == [(1, 2), (2, 2)]
        assert await bench.consumers.ack(frozen, [1, 2], lease=frozen.lease) == (0, [1, 2])
        assert await bench.consumers.ack(frozen, [], lease=frozen.lease, upto=2) == (0, [])
        assert await bench.consumers.delay(frozen, [1], lease=frozen.lease, until=0, release=True) == (0, [1])
        assert await bench.consumers.ack(other, [1], lease=other.lease) == (1, [])
        assert await bench.consumers.ack(frozen, [1], lease=frozen.lease) == (1, [])  # done, whoever did it

    async def test_an_expired_lease_still_counts_while_nobody_else_has_it(self, bench: Bench) -> None:
        await bench.emit(1)
        joined = await bench.join(ack_wait=SECOND)
        await bench.take(joined)
        bench.keepers.clock.advance(5)
        assert await bench.consumers.ack(joined, [1], lease=joined.lease) == (1, [])
        assert await bench.take(joined) == []

    async def test_a_new_connection_acknowledges_by_the_old_lease(self, bench: Bench) -> None:
        await bench.emit(1)
        old = await bench.join()
        await bench.take(old)
        new = await bench.join()
        assert await bench.consumers.ack(new, [1], lease=new.lease) == (0, [1])
        assert await bench.consumers.ack(new, [1], lease=old.lease) == (1, [])

    async def test_cumulative_acks_are_for_ones_own(self, bench: Bench) -> None:
        await bench.emit(4)
        one, two = await bench.join(), await bench.join()
        await bench.take(one, 1)
        await bench.take(two, 1)
        await bench.take(one, 2)
        assert await bench.consumers.ack(one, [], lease=one.lease, upto=3) == (2, [])
        state = (await bench.consumers.listing(bench.account.id))[0]
        assert (state.in_flight, state.acknowledged, state.behind) == (2, 1, 0)

    async def test_what_was_never_handed_out_is_lost(self, bench: Bench) -> None:
        joined = await bench.join()
        assert await bench.consumers.ack(joined, [7], lease=joined.lease) == (0, [7])

    async def test_given_back_is_handed_out_again_after_its_delay(self, bench: Bench) -> None:
        await bench.emit(2)
        joined = await bench.join()
        await bench.take(joined)
        now = bench.keepers.clock.now()
        until = now + 3 * SECOND
        assert await bench.consumers.delay(joined, [1], lease=joined.lease, until=now, release=True) == (1, [])
        assert await bench.consumers.delay(joined, [2], lease=joined.lease, until=until, release=True) == (1, [])
        assert await bench.consumers.ack(joined, [2], lease=joined.lease) == (0, [2])
        assert await bench.take(joined) == [(1, 2)]
        bench.keepers.clock.advance(3)
        assert await bench.take(joined) == [(2, 2)]

    async def test_an_extended_one_stays_its_holders(self, bench: Bench) -> None:
        await bench.emit(1)
        joined = await bench.join(ack_wait=SECOND)
        await bench.take(joined)
        until = bench.keepers.clock.now() + 5 * SECOND
        assert await bench.consumers.delay(joined, [1, 2], lease=joined.lease, until=until, release=False) == (1, [2])
        bench.keepers.clock.advance(4)
        assert await bench.take(joined) == []
        assert await bench.consumers.ack(joined, [1], lease=joined.lease) == (1, [])

    async def test_who_leaves_gives_back_at_once(self, bench: Bench) -> None:
        await bench.emit(2)
        one, two = await bench.join(), await bench.join()
        await bench.take(one)
        await bench.consumers.leave(one)
        await bench.consumers.leave(two)
        assert await bench.take(two) == [(1, 2), (2, 2)]

    async def test_a_filter_passes_over_what_is_not_wanted(self, bench: Bench) -> None:
        await bench.emit(600)
        rule = make_signal(bench.account.id).rule_id
        assert (await bench.take(await bench.join("all", kept=Filter(rules=frozenset({rule}))), 3))[0] == (1, 1)
        other = await bench.join("other", kept=Filter(kinds=frozenset({"crosses"})))
        lot = await bench.consumers.take(other, limit=5)
        assert (lot.delivered, lot.due) == ([], None)
        while lot.more:
            lot = await bench.consumers.take(other, limit=5)
        state = next(one for one in await bench.consumers.listing(bench.account.id) if one.consumer.name == "other")
        assert (state.consumer.seq, state.acknowledged, state.behind) == (600, 600, 0)
        again = await bench.join("other", kept=Filter(severities=frozenset({"info"})))
        await bench.emit(1)
        assert await bench.take(again) == [(601, 1)]

    async def test_a_limit_leaves_the_rest_for_later(self, bench: Bench) -> None:
        await bench.emit(3)
        joined = await bench.join()
        lot = await bench.consumers.take(joined, limit=2)
        assert (said(lot), lot.more) == ([(1, 1), (2, 1)], True)
        now = bench.keepers.clock.now()
        await bench.consumers.delay(joined, [1, 2], lease=joined.lease, until=now, release=True)
        lot = await bench.consumers.take(joined, limit=2)
        assert (said(lot), lot.more) == ([(1, 2), (2, 2)], True)

    async def test_the_system_feed_has_consumers_too(self, bench: Bench) -> None:
        signal = make_signal(SYSTEM, 1)
        await bench.keepers.system.append([signal])
        joined = await bench.join(channel="system")
        assert (await bench.consumers.take(joined, limit=1)).delivered[0].entry.signal.id == signal.id
        with pytest.raises(Invalid, match="system"):
            await bench.join(channel="signals")
        assert (await bench.consumers.listing(bench.account.id))[0].in_flight == 1

    async def test_a_reset_begins_again_and_old_leases_do_nothing(self, bench: Bench) -> None:
        await bench.emit(2)
        old = await bench.join()
        await bench.take(old)
        state = await bench.consumers.reset(bench.account.id, "bot", "oldest")
        assert (state.consumer.seq, state.in_flight, state.behind) == (0, 0, 2)
        with pytest.raises(NotFound, match="join it again"):
            await bench.take(old)
        new = await bench.join()
        assert await bench.take(new) == [(1, 1), (2, 1)]
        assert await bench.consumers.ack(old, [1], lease=old.lease) == (0, [1])
        with pytest.raises(Invalid, match="start"):
            await bench.consumers.reset(bench.account.id, "bot", (1, 1))

    async def test_a_deleted_one_is_gone(self, bench: Bench) -> None:
        joined = await bench.join()
        await bench.consumers.delete(bench.account.id, "bot")
        for call in (
            bench.take(joined),
            bench.consumers.ack(joined, [1], lease=1),
            bench.consumers.delay(joined, [1], lease=1, until=0, release=True),
            bench.consumers.reset(bench.account.id, "bot", "newest"),
            bench.consumers.delete(bench.account.id, "bot"),
        ):
            with pytest.raises(NotFound, match="bot"):
                await call
        await bench.consumers.leave(joined)
        assert await bench.consumers.listing(bench.account.id) == []
        bench.keepers.clock.advance(1)
        assert (await bench.join()).lease > joined.lease

    async def test_others_do_not_see_it(self, bench: Bench) -> None:
        await bench.join()
        with pytest.raises(NotFound):
            await bench.consumers.delete(uuid.uuid4(), "bot")
        assert await bench.consumers.listing(uuid.uuid4()) == []

    async def test_an_account_has_a_hundred(self, bench: Bench) -> None:
        for number in range(100):
            await bench.join(f"bot{number}")
        with pytest.raises(Invalid, match="100"):
            await bench.join()
        assert (await bench.join("bot7")).resumed


class TestMemoryConsumers(ConsumerPromises):
    @pytest.fixture
    async def keepers(self) -> Keepers:
        return in_memory()

    @pytest.fixture
    async def consumers(self, keepers: Keepers) -> Consumers:
        return MemoryConsumers(keepers.feeds, keepers.clock)


class TestPostgresConsumers(ConsumerPromises):
    @pytest.fixture
    async def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)

    @pytest.fixture
    async def consumers(self, database: Database, keepers: Keepers) -> Consumers:
        return PostgresConsumers(database, keepers.clock)

    async def test_what_expired_is_said_to_be_lost(self, bench: Bench, database: Database) -> None:
        await bench.emit(6)
        joined = await bench.join(ack_wait=SECOND)
        await bench.take(joined, 3)
        await database.execute("DELETE FROM feed_entry WHERE seq < 3")
        again = await bench.join()
        assert (again.resumed, again.reason, again.in_flight, again.consumer.seq) == (False, "expired", 1, 3)
        await database.execute("DELETE FROM feed_entry WHERE seq < 6")
        with pytest.raises(NotFound, match="expired"):
            await bench.take(again)
        last = await bench.join()
        assert (last.reason, last.consumer.seq) == ("expired", 5)
        assert await bench.take(last) == [(6, 1)]

    async def test_a_restored_feed_is_told(self, bench: Bench, database: Database) -> None:
        await bench.emit(4)
        joined = await bench.join()
        await bench.take(joined)
        await database.execute("DELETE FROM feed_entry WHERE seq > 2")
        await database.execute("UPDATE feed SET epoch = epoch + 1, seq = 2 WHERE feed_id = $1", bench.account.id)
        again = await bench.join()
        assert (again.resumed, again.reason, again.in_flight) == (False, "epoch", 2)
        assert (again.consumer.epoch, again.consumer.seq) == (joined.consumer.epoch + 1, 2)

    async def test_made_twice_at_once_it_is_one(self, bench: Bench) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(bench.join()) for _ in range(8)]
        leases = [task.result().lease for task in tasks]
        assert len(set(leases)) == 8
        assert sum(task.result().resumed is None for task in tasks) == 1

    async def test_many_at_once_hand_out_each_signal_once(self, bench: Bench) -> None:
        await bench.emit(100)
        joined = [await bench.join() for _ in range(5)]
        taken: list[int] = []

        async def work(mine: Joined) -> None:
            while lot := await bench.take(mine, 3):
                seqs = [seq for seq, _ in lot]
                taken.extend(seqs)
                assert await bench.consumers.ack(mine, seqs, lease=mine.lease) == (len(seqs), [])

        async with asyncio.TaskGroup() as group:
            for one in joined:
                group.create_task(work(one))
        assert sorted(taken) == list(range(1, 101))
