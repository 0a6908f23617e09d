from __future__ import annotations

import asyncio
import uuid

import msgspec
import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres, make_signal

from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import NotFound
from pricewatch.domain.signal import Signal
from pricewatch.ports.journal import Change
from pricewatch.ports.outbox import Delivery, DeliveryState
from pricewatch.store.pool import Database
from pricewatch.testing.outbox import MemoryOutbox

SECOND = 1_000_000


class OutboxPromises:
    @pytest.fixture
    async def ann(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "ann@example.org", Role.USER)

    async def owe(self, keepers: Keepers, account: Account, *numbers: int, channel: str = "email") -> list[Signal]:
        claim = await keepers.journal.claim(0, "engine")
        signals = [make_signal(account.id, number, channels=(channel,)) for number in numbers]
        await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        return signals

    async def one(self, keepers: Keepers, account: Account) -> Delivery:
        await self.owe(keepers, account, 1)
        (delivery,) = await keepers.outbox.claim("email", limit=1, lease=30)
        return delivery

    async def test_claimed_in_order_with_everything_needed(self, keepers: Keepers, ann: Account) -> None:
        queued = keepers.clock.now()
        signals = await self.owe(keepers, ann, 3, 1, 2)
        keepers.clock.advance(1)
        signals += await self.owe(keepers, ann, 0)
        first = await keepers.outbox.claim("email", limit=2, lease=30)
        rest = await keepers.outbox.claim("email", limit=9, lease=30)
        assert [delivery.signal for delivery in first + rest] == signals
        one = first[0]
        assert (one.account_id, one.channel, one.target) == (ann.id, "email", "ann@example.org")
        assert (one.attempts, one.queued) == (1, queued)
        assert await keepers.outbox.claim("email", limit=9, lease=30) == []

    async def test_channels_are_claimed_apart(self, keepers: Keepers, ann: Account) -> None:
        await self.owe(keepers, ann, 1)
        await self.owe(keepers, ann, 2, channel="chat")
        assert [delivery.channel for delivery in await keepers.outbox.claim("chat", limit=9, lease=1)] == ["chat"]
        assert [delivery.channel for delivery in await keepers.outbox.claim("email", limit=9, lease=1)] == ["email"]
        assert await keepers.outbox.claim("pigeon", limit=9, lease=1) == []

    async def test_no_delivery_is_claimed_twice_while_leased(self, keepers: Keepers, ann: Account) -> None:
        await self.owe(keepers, ann, *range(60))

        async def worker() -> list[Delivery]:
            taken: list[Delivery] = []
            while batch := await keepers.outbox.claim("email", limit=7, lease=30):
                taken += batch
            return taken

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(worker()) for _ in range(4)]
        taken = [delivery.id for task in tasks for delivery in task.result()]
        assert len(taken) == len(set(taken))
        # A batch that another claimed and let go of half way may be passed over, never lost.
        taken += [delivery.id for delivery in await keepers.outbox.claim("email", limit=99, lease=30)]
        assert len(taken) == len(set(taken)) == 60

    async def test_sent_is_final(self, keepers: Keepers, ann: Account) -> None:
        delivery = await self.one(keepers, ann)
        keepers.clock.advance(2)
        assert await keepers.outbox.sent(delivery, "250 OK")
        (row,) = await keepers.outbox.listing(ann.id)
        assert (row.state, row.sent, row.attempts) == (DeliveryState.SENT, keepers.clock.now(), 1)
        keepers.clock.advance(3_600)
        assert await keepers.outbox.claim("email", limit=9, lease=30) == []
        assert await keepers.outbox.sent(delivery, "250 OK"), "a mark repeated after a lost answer"
        assert not await keepers.outbox.retry(delivery, "no", delay=1)
        assert not await keepers.outbox.dead(delivery, "no")

    async def test_retry_is_due_after_its_delay(self, keepers: Keepers, ann: Account) -> None:
        delivery = await self.one(keepers, ann)
        assert await keepers.outbox.retry(delivery, "451 later", delay=1.5)
        assert await keepers.outbox.retry(delivery, "451 later", delay=1.5)
        (row,) = await keepers.outbox.listing(ann.id)
        assert (row.state, row.last_error) == (DeliveryState.QUEUED, "451 later")
        assert row.not_before == keepers.clock.now() + 3 * SECOND // 2
        keepers.clock.advance(1.4)
        assert await keepers.outbox.claim("email", limit=9, lease=30) == []
        keepers.clock.advance(0.1)
        (again,) = await keepers.outbox.claim("email", limit=9, lease=30)
        assert (again.id, again.attempts, again.queued) == (delivery.id, 2, delivery.queued)
        assert again.token != delivery.token

    async def test_longest_due_comes_first(self, keepers: Keepers, ann: Account) -> None:
        await self.owe(keepers, ann, 1, 2, 3)
        one, two, three = await keepers.outbox.claim("email", limit=3, lease=30)
        for delivery, delay in ((one, 3), (two, 1), (three, 2)):
            assert await keepers.outbox.retry(delivery, "later", delay=delay)
        keepers.clock.advance(5)
        claimed = await keepers.outbox.claim("email", limit=3, lease=30)
        assert [delivery.id for delivery in claimed] == [two.id, three.id, one.id]

    async def test_expired_lease_is_due_again_and_its_holder_marks_nothing(
        self, keepers: Keepers, ann: Account
    ) -> None:
        slow = await self.one(keepers, ann)
        keepers.clock.advance(29.9)
        assert await keepers.outbox.claim("email", limit=1, lease=30) == []
        keepers.clock.advance(0.1)
        (fast,) = await keepers.outbox.claim("email", limit=1, lease=30)
        assert (fast.id, fast.attempts) == (slow.id, 2)
        assert not await keepers.outbox.sent(slow, "250")
        assert not await keepers.outbox.retry(slow, "x", delay=1)
        assert not await keepers.outbox.dead(slow, "x")
        assert await keepers.outbox.sent(fast, "250")
        assert (await keepers.outbox.counts())[DeliveryState.SENT] == 1

    async def test_expired_lease_that_nobody_took_still_marks(self, keepers: Keepers, ann: Account) -> None:
        delivery = await self.one(keepers, ann)
        keepers.clock.advance(3_600)
        assert await keepers.outbox.sent(delivery, "250")

    async def test_dead_letter_can_be_revived(self, keepers: Keepers, ann: Account) -> None:
        delivery = await self.one(keepers, ann)
        assert await keepers.outbox.dead(delivery, "550 no such user")
        assert await keepers.outbox.dead(delivery, "550 no such user")
        (row,) = await keepers.outbox.listing(state=DeliveryState.DEAD)
        assert (row.id, row.last_error) == (delivery.id, "550 no such user")
        keepers.clock.advance(3_600)
        assert await keepers.outbox.claim("email", limit=1, lease=30) == []
        await keepers.outbox.revive(delivery.id)
        assert not await keepers.outbox.sent(delivery, "250"), "its lease ended with its death"
        (again,) = await keepers.outbox.claim("email", limit=1, lease=30)
        assert (again.id, again.attempts) == (delivery.id, 2)
        for letter in (delivery.id, uuid.uuid4()):
            with pytest.raises(NotFound):
                await keepers.outbox.revive(letter)

    async def test_what_servers_say_is_made_storable(self, keepers: Keepers, ann: Account) -> None:
        delivery = await self.one(keepers, ann)
        assert await keepers.outbox.dead(delivery, "\0 \udcff é \U0001f4c8" + "x" * 5_000)
        (row,) = await keepers.outbox.listing()
        assert row.last_error is not None
        assert row.last_error.startswith("\ufffd ? é \U0001f4c8x")
        assert len(row.last_error) == 2_000

    async def test_unknown_delivery_is_not_marked(self, keepers: Keepers, ann: Account) -> None:
        delivery = msgspec.structs.replace(await self.one(keepers, ann), id=uuid.uuid4())
        assert not await keepers.outbox.sent(delivery, "250")

    async def test_listing_is_newest_first_and_its_owners(self, keepers: Keepers, ann: Account) -> None:
        bob = await keepers.accounts.create("bob", "bob@example.org", Role.USER)
        mine = await self.owe(keepers, ann, 1, 2)
        his = await self.owe(keepers, bob, 3)
        assert [row.signal_id for row in await keepers.outbox.listing()] == [his[0].id, mine[1].id, mine[0].id]
        assert [row.signal_id for row in await keepers.outbox.listing(ann.id)] == [mine[1].id, mine[0].id]
        assert [row.signal_id for row in await keepers.outbox.listing(ann.id, limit=1)] == [mine[1].id]
        assert await keepers.outbox.listing(ann.id, state=DeliveryState.SENT) == []
        assert await keepers.outbox.listing(uuid.uuid4()) == []

    async def test_counts_name_every_state(self, keepers: Keepers, ann: Account) -> None:
        assert await keepers.outbox.counts() == dict.fromkeys(DeliveryState, 0)
        await self.owe(keepers, ann, 1, 2, 3, 4)
        sent, dead, _ = await keepers.outbox.claim("email", limit=3, lease=30)
        await keepers.outbox.sent(sent, "250")
        await keepers.outbox.dead(dead, "550")
        assert await keepers.outbox.counts() == dict.fromkeys(DeliveryState, 1)


class TestMemoryOutbox(OutboxPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()

    async def test_tells_what_the_other_side_said(self, keepers: Keepers, ann: Account) -> None:
        delivery = await self.one(keepers, ann)
        assert isinstance(keepers.outbox, MemoryOutbox)
        assert keepers.outbox.reply(delivery.id) is None
        await keepers.outbox.sent(delivery, "250 OK")
        assert keepers.outbox.reply(delivery.id) == "250 OK"


@pytest.mark.postgres
class TestPostgresOutbox(OutboxPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)

    async def test_every_attempt_is_written_down(self, keepers: Keepers, ann: Account, database: Database) -> None:
        first = await self.one(keepers, ann)
        began = keepers.clock.now()
        keepers.clock.advance(31)
        (second,) = await keepers.outbox.claim("email", limit=1, lease=30)
        assert not await keepers.outbox.sent(first, "250 too late")
        assert await keepers.outbox.retry(second, "451", delay=0)
        (third,) = await keepers.outbox.claim("email", limit=1, lease=30)
        keepers.clock.advance(1)
        assert await keepers.outbox.sent(third, "250 queued as 7")
        attempts = await database.fetch(
            "SELECT attempt, account_id, begun_at, ended_at, outcome, detail FROM delivery_attempt ORDER BY attempt"
        )
        late = began + 31 * SECOND
        assert [tuple(row) for row in attempts] == [
            (1, ann.id, began, None, None, None),
            (2, ann.id, late, late, "retry", "451"),
            (3, ann.id, late, late + SECOND, "sent", "250 queued as 7"),
        ]
        reply, error = await database.fetchrow("SELECT reply, last_error FROM delivery") or ("", "")
        assert (reply, error) == ("250 queued as 7", "451")
