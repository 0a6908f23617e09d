from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import msgspec
import pytest
from tests.store.store_keepers import ODD, Keepers, in_memory, in_postgres, make_signal

from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import Fenced, NotFound, Unavailable
from pricewatch.domain.rule import Phase, RuleState, StateRow, Tally
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.journal import Change, Claim
from pricewatch.ports.outbox import DeliveryState
from pricewatch.store.journal import PostgresJournal
from pricewatch.store.pool import Connection, Database
from pricewatch.testing.journal import MemoryStore

T = TypeVar("T")


def make_state(rule: uuid.UUID, *, version: int = 1, market: int = 3, fired: int = 0, seen: int = 5) -> StateRow:
    state = RuleState(
        Phase.PENDING, armed=True, silent=True, since=2**53 + 1, due_at=4, due_seen=5, emitted_at=6, fired=fired,
        hour=7, hour_fires=8, tally=Tally(9, 10, 11, 12, 13, 14, 0.1, 2e9, 0.05, 3.0) if market % 2 else None,
    )  # fmt: skip
    return StateRow(rule, version, market, state, seen, b"\x00parts\xff")


class JournalPromises:
    @pytest.fixture
    async def account(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "ann@example.org", Role.USER)

    @pytest.fixture
    async def claim(self, keepers: Keepers) -> Claim:
        return await keepers.journal.claim(0, "one")

    async def rule(self, keepers: Keepers, account: Account) -> uuid.UUID:
        return (await keepers.rules.create(account.id, b"{}")).id

    # Claims and cursor

    async def test_first_claim_starts_at_nothing_and_later_ones_have_higher_terms(self, keepers: Keepers) -> None:
        first = await keepers.journal.claim(0, "one")
        assert (first.shard, first.owner, first.cursor) == (0, "one", 0)
        await keepers.journal.commit(first, Change(cursor=42))
        second = await keepers.journal.claim(0, "two")
        assert second.term > first.term
        assert (second.owner, second.cursor) == ("two", 42)
        assert (await keepers.journal.claim(1, "one")).cursor == 0

    async def test_cursor_never_goes_back(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        await keepers.journal.commit(claim, Change(cursor=42))
        await keepers.journal.commit(claim, Change(cursor=41))
        await keepers.journal.commit(claim, Change(cursor=40, signals=[make_signal(account.id)]))
        assert (await keepers.journal.claim(0, "two")).cursor == 42

    async def test_concurrent_claims_have_different_terms(self, keepers: Keepers) -> None:
        async with asyncio.TaskGroup() as group:
            claims = [group.create_task(keepers.journal.claim(0, str(number))) for number in range(8)]
        assert len({claim.result().term for claim in claims}) == 8

    async def test_fenced_commit_writes_nothing(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        rule = await self.rule(keepers, account)
        await keepers.journal.claim(0, "two")
        with pytest.raises(Fenced, match="one"):
            await keepers.journal.commit(claim, Change(cursor=9))
        change = Change(
            cursor=9,
            states=[make_state(rule)],
            signals=[make_signal(account.id, channels=("email",))],
            effective=[(rule, 1, 9)],
        )
        with pytest.raises(Fenced):
            await keepers.journal.commit(claim, change)
        assert await keepers.journal.states(0) == []
        assert await keepers.feeds.read(account.id, after_seq=0) == []
        assert (await keepers.feeds.head(account.id)).seq == 0
        assert await keepers.outbox.listing() == []
        assert (await keepers.rules.get(account.id, rule)).effective_seen is None
        assert (await keepers.journal.claim(0, "three")).cursor == 0

    async def test_shard_nobody_claimed_is_fenced(self, keepers: Keepers) -> None:
        with pytest.raises(Fenced):
            await keepers.journal.commit(Claim(shard=5, owner="x", term=1, cursor=0), Change(cursor=1))

    # Signals and feeds

    async def test_entries_come_back_in_order_and_stay(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        signals = [make_signal(account.id if number % 3 else bob.id, number) for number in (5, 4, 3, 2, 1)]
        head = await keepers.feeds.head(account.id)
        entries = await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        assert [entry.signal for entry in entries] == signals
        assert [entry.seq for entry in entries if entry.feed == account.id] == [1, 2, 3, 4]
        assert [entry.seq for entry in entries if entry.feed == bob.id] == [1]
        assert {entry.epoch for entry in entries if entry.feed == account.id} == {head.epoch}
        assert {entry.committed for entry in entries} == {keepers.clock.now()}
        mine = [entry for entry in entries if entry.feed == account.id]
        assert await keepers.feeds.read(account.id, after_seq=0) == mine
        assert (await keepers.feeds.head(account.id)).seq == 4

    async def test_redone_commit_adds_nothing(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        rule = await self.rule(keepers, account)
        change = Change(
            cursor=7,
            states=[make_state(rule)],
            signals=[make_signal(account.id, n, channels=("email",)) for n in range(3)],
            effective=[(rule, 1, 6)],
        )
        assert len(await keepers.journal.commit(claim, change)) == 3
        keepers.clock.advance(5)
        assert await keepers.journal.commit(claim, change) == []
        more = Change(cursor=8, signals=[*change.signals[1:], make_signal(account.id, 9, channels=("email",))])
        assert [entry.seq for entry in await keepers.journal.commit(claim, more)] == [4]
        assert [entry.seq for entry in await keepers.feeds.read(account.id, after_seq=0)] == [1, 2, 3, 4]
        assert len(await keepers.outbox.listing()) == 4
        assert await keepers.journal.states(0) == list(change.states)

    async def test_same_signal_twice_in_one_change_is_one(
        self, keepers: Keepers, claim: Claim, account: Account
    ) -> None:
        signals = [make_signal(account.id, n, channels=("email",)) for n in (1, 2, 1, 3)]
        entries = await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        assert [(entry.seq, entry.signal.cause) for entry in entries] == [
            (1, "trade:1"),
            (2, "trade:2"),
            (3, "trade:3"),
        ]
        assert len(await keepers.outbox.listing()) == 3

    async def test_signal_of_nobody_is_left_out(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        signals = [make_signal(uuid.uuid4(), channels=("email",)), make_signal(account.id)]
        entries = await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        assert [entry.signal for entry in entries] == signals[1:]
        assert await keepers.outbox.listing() == []

    async def test_odd_text_survives(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        signal = make_signal(account.id, title=ODD, channels=("email",))
        await keepers.journal.commit(claim, Change(cursor=1, signals=[signal]))
        (entry,) = await keepers.feeds.read(account.id, after_seq=0)
        assert entry.signal == signal
        (delivery,) = await keepers.outbox.claim("email", limit=1, lease=1)
        assert delivery.signal == signal

    async def test_feeds_stay_contiguous_under_concurrent_commits(self, keepers: Keepers) -> None:
        accounts = [await keepers.accounts.create(f"a{number}", "", Role.USER) for number in range(20)]
        claims = [await keepers.journal.claim(shard, "one") for shard in range(20)]

        async def commit(shard: int, start: int) -> list[FeedEntry]:
            # Each commit meets many feeds, in an order of its own.
            owners = accounts[shard:] + accounts[:shard]
            signals = [make_signal(owner.id, 10 * start + n) for n in range(2) for owner in owners]
            return await keepers.journal.commit(claims[shard], Change(cursor=start, signals=signals))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(commit(shard, shard + 1)) for shard in range(20)]
        returned = [entry for task in tasks for entry in task.result()]
        for account in accounts:
            stored = await keepers.feeds.read(account.id, after_seq=0)
            assert [entry.seq for entry in stored] == list(range(1, 41))
            mine = sorted((entry for entry in returned if entry.feed == account.id), key=lambda entry: entry.seq)
            assert mine == stored

    async def test_big_change(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        ids = [uuid.uuid4() for _ in range(250)]
        await keepers.rules.create_many(account.id, [(rule, b"{}") for rule in ids])
        states = [make_state(rule, market=market, fired=market) for rule in sorted(ids) for market in range(4)]
        signals = [make_signal(account.id, number, channels=("email",)) for number in range(100)]
        change = Change(cursor=3, states=states, signals=signals, effective=[(rule, 1, 2) for rule in ids])
        entries = await keepers.journal.commit(claim, change)
        assert [entry.seq for entry in entries] == list(range(1, 101))
        assert await keepers.journal.states(0) == states
        assert await keepers.rules.pending() == []
        assert (await keepers.outbox.counts())[DeliveryState.QUEUED] == 100

    # Deliveries

    async def test_one_delivery_per_signal_and_channel(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        silent = await keepers.accounts.create("silent", "", Role.USER)
        signals = [
            make_signal(account.id, 1, channels=("email", "log", "email")),
            make_signal(account.id, 2),
            make_signal(silent.id, 3, channels=("email",)),
        ]
        await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        rows = await keepers.outbox.listing()
        assert [(row.signal_id, row.channel, row.target) for row in reversed(rows)] == [
            (signals[0].id, "email", "ann@example.org"),
            (signals[0].id, "log", ""),
        ]

    async def test_id_of_a_delivery_follows_from_what_it_is(self, keepers: Keepers, claim: Claim) -> None:
        account = await keepers.accounts.create("zoe", "zoë@example.org", Role.USER)
        signal = make_signal(account.id, channels=("email",))
        fixed = msgspec.structs.replace(signal, id=uuid.UUID(int=1))
        await keepers.journal.commit(claim, Change(cursor=1, signals=[fixed]))
        (row,) = await keepers.outbox.listing()
        assert row.id == uuid.UUID("61a0bd17-b64c-8b71-8cd5-78146175d493")

    # States

    async def test_deliveries_wait_for_their_time(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        signal = make_signal(account.id, channels=("email",))
        later = keepers.clock.now() + 3_600_000_000
        signals = [signal, make_signal(account.id, 1, channels=("email",))]
        signals[0] = msgspec.structs.replace(signal, not_before=later)
        await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        (due,) = await keepers.outbox.claim("email", limit=9, lease=1)
        assert due.signal.id == signals[1].id
        assert {row.signal_id: row.not_before for row in await keepers.outbox.listing()}[signal.id] == later
        keepers.clock.advance(3_601)
        assert signal.id in {one.signal.id for one in await keepers.outbox.claim("email", limit=9, lease=1)}

    async def test_states_come_back_exactly(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        rule = await self.rule(keepers, account)
        state = RuleState(
            Phase.EXPIRED, armed=True, silent=False, since=-1, due_at=2**62, due_seen=3, emitted_at=4, fired=5
        )
        rows = [StateRow(rule, 1, 1, state, 2**62), StateRow(rule, 1, 2, RuleState(), 0)]
        await keepers.journal.commit(claim, Change(cursor=1, states=rows))
        stored = await keepers.journal.states(0)
        assert stored == rows
        assert isinstance(stored[0].state.phase, Phase)
        assert await keepers.journal.states(1) == []

    async def test_later_row_of_one_change_wins(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        rule = await self.rule(keepers, account)
        rows = [make_state(rule, fired=fired) for fired in (1, 3, 2)]
        await keepers.journal.commit(claim, Change(cursor=1, states=rows))
        assert await keepers.journal.states(0) == rows[-1:]
        again = make_state(rule, fired=9)
        await keepers.journal.commit(claim, Change(cursor=2, states=[again]))
        assert await keepers.journal.states(0) == [again]

    async def test_version_taken_up_ends_the_states_of_older_ones(
        self, keepers: Keepers, claim: Claim, account: Account
    ) -> None:
        rule, other = sorted([await self.rule(keepers, account), await self.rule(keepers, account)])
        old, kept = make_state(rule), make_state(other)
        await keepers.journal.commit(claim, Change(cursor=1, states=[old, kept], effective=[(rule, 1, 1)]))
        await keepers.rules.revise(account.id, rule, b"{2}")
        late = make_state(rule, fired=8)
        await keepers.journal.commit(claim, Change(cursor=2, states=[late]))
        assert await keepers.journal.states(0) == [late, kept]
        new = make_state(rule, version=2, market=4)
        await keepers.journal.commit(claim, Change(cursor=3, states=[old, new], effective=[(rule, 2, 3)]))
        assert await keepers.journal.states(0) == [new, kept]
        await keepers.journal.commit(claim, Change(cursor=4, states=[old, make_state(rule, market=4)]))
        assert await keepers.journal.states(0) == [new, kept]

    async def test_older_row_never_replaces_a_newer_one(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        rule = await self.rule(keepers, account)
        await keepers.rules.revise(account.id, rule, b"{2}")
        new = make_state(rule, version=2)
        await keepers.journal.commit(claim, Change(cursor=1, states=[new, make_state(rule, version=1, fired=3)]))
        await keepers.journal.commit(claim, Change(cursor=2, states=[make_state(rule, version=1)]))
        assert await keepers.journal.states(0) == [new]

    async def test_states_of_deleted_and_unknown_rules_are_left_out(
        self, keepers: Keepers, claim: Claim, account: Account
    ) -> None:
        rule = await self.rule(keepers, account)
        await keepers.journal.commit(claim, Change(cursor=1, states=[make_state(rule)]))
        gone = await keepers.rules.delete(account.id, rule)
        rows = [make_state(rule, fired=4), make_state(uuid.uuid4())]
        await keepers.journal.commit(claim, Change(cursor=2, states=rows, effective=[(rule, gone.version, 2)]))
        assert await keepers.journal.states(0) == []
        assert await keepers.rules.pending() == []

    async def test_change_that_was_overtaken_says_nothing_of_states(
        self, keepers: Keepers, claim: Claim, account: Account
    ) -> None:
        rule = await self.rule(keepers, account)
        newer = make_state(rule, fired=2)
        await keepers.journal.commit(claim, Change(cursor=9, states=[newer]))
        late = Change(cursor=8, states=[make_state(rule, fired=1)], signals=[make_signal(account.id)])
        assert len(await keepers.journal.commit(claim, late)) == 1
        assert await keepers.journal.states(0) == [newer]

    # The feed, read

    async def test_feed_is_read_in_pages_both_ways(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        signals = [make_signal(account.id, number) for number in range(7)]
        entries = await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        assert await keepers.feeds.read(account.id, after_seq=2, limit=3) == entries[2:5]
        assert await keepers.feeds.read(account.id, after_seq=7) == []
        assert await keepers.feeds.latest(account.id, limit=2) == entries[:-3:-1]
        assert await keepers.feeds.latest(account.id, before_seq=3) == entries[1::-1]

    async def test_places_are_found_by_time(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        assert await keepers.feeds.place_before(account.id, 2**62) == 0
        times = []
        for number in range(9):
            times.append(keepers.clock.now())
            await keepers.journal.commit(claim, Change(cursor=0, signals=[make_signal(account.id, number)]))
            keepers.clock.advance(1)
        for number, instant in enumerate(times):
            assert await keepers.feeds.place_before(account.id, instant) == number
            assert await keepers.feeds.place_before(account.id, instant + 1) == number + 1
        assert await keepers.feeds.place_before(account.id, 0) == 0
        assert await keepers.feeds.place_before(account.id, 2**62) == 9

    async def test_feed_is_its_owners(self, keepers: Keepers, claim: Claim, account: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        (entry,) = await keepers.journal.commit(claim, Change(cursor=1, signals=[make_signal(account.id)]))
        assert await keepers.feeds.get(account.id, entry.signal.id) == entry
        assert await keepers.feeds.get(bob.id, entry.signal.id) is None
        assert await keepers.feeds.get(account.id, uuid.uuid4()) is None
        for stranger in (bob.id, uuid.uuid4()):
            assert await keepers.feeds.read(stranger, after_seq=0) == []
            assert await keepers.feeds.latest(stranger) == []
        assert (await keepers.feeds.head(bob.id)).seq == 0
        with pytest.raises(NotFound):
            await keepers.feeds.head(uuid.uuid4())


class TestMemoryJournal(JournalPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()

    async def test_can_be_told_to_be_down(self) -> None:
        store = MemoryStore()
        claim = await store.journal.claim(0, "one")
        store.journal.down = True
        with pytest.raises(Unavailable):
            await store.journal.commit(claim, Change(cursor=1))


@pytest.mark.postgres
class TestPostgresJournal(JournalPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)

    @pytest.mark.parametrize("lost", [1, 2])
    async def test_committed_but_unanswered_signals_are_told_when_redone(
        self, database_url: str, keepers: Keepers, lost: int
    ) -> None:
        account = await keepers.accounts.create("ann", "ann@example.org", Role.USER)
        async with Deaf(database_url) as deaf:
            journal = PostgresJournal(deaf, keepers.clock)
            claim = await journal.claim(0, "one")
            first = [make_signal(account.id, number, channels=("email",)) for number in (1, 2)]
            more = [*first, make_signal(account.id, 3)]
            sent = keepers.clock.now()
            deaf.unheard = lost
            with pytest.raises(Unavailable):
                await journal.commit(claim, Change(cursor=1, signals=first))
            keepers.clock.advance(1)
            if lost == 2:
                with pytest.raises(Unavailable):
                    await journal.commit(claim, Change(cursor=2, signals=more))
            entries = await journal.commit(claim, Change(cursor=2, signals=more))
            assert [(entry.seq, entry.signal) for entry in entries] == list(enumerate(more, 1))
            assert [entry.committed for entry in entries[:2]] == [sent, sent]
            assert await journal.commit(claim, Change(cursor=2, signals=more)) == []
        assert await keepers.feeds.read(account.id, after_seq=0) == entries
        assert len(await keepers.outbox.listing()) == 2

    async def test_commit_given_up_may_end_after_its_redoing(self, database_url: str, keepers: Keepers) -> None:
        account = await keepers.accounts.create("ann", "", Role.USER)
        rule = (await keepers.rules.create(account.id, b"{}")).id
        claim = await keepers.journal.claim(0, "one")
        signals = [make_signal(account.id, number) for number in (1, 2)]
        newer = make_state(rule, fired=2)
        async with Database(database_url) as own:
            journal = PostgresJournal(own, keepers.clock, patience=0.3)
            held = await asyncpg.connect(database_url)
            await held.execute("BEGIN; SELECT FROM shard FOR UPDATE")
            with pytest.raises(Unavailable):
                await journal.commit(claim, Change(cursor=1, states=[make_state(rule)], signals=signals[:1]))
            await held.close()
            entries = await journal.commit(claim, Change(cursor=2, states=[newer], signals=signals))
        assert [(entry.seq, entry.signal) for entry in entries] == list(enumerate(signals, 1))
        assert await keepers.feeds.read(account.id, after_seq=0) == entries
        assert await keepers.journal.states(0) == [newer]

    async def test_away_database_is_unavailable(self, database: Database, keepers: Keepers) -> None:
        claim = await keepers.journal.claim(0, "one")
        await database.close()
        with pytest.raises(Unavailable):
            await keepers.journal.commit(claim, Change(cursor=1))

    async def test_trouble_with_the_data_is_not_taken_for_a_fence(self, keepers: Keepers, database: Database) -> None:
        account = await keepers.accounts.create("ann", "", Role.USER)
        claim = await keepers.journal.claim(0, "one")
        await database.execute("ALTER TABLE signal ADD CHECK (false)")
        with pytest.raises(asyncpg.CheckViolationError):
            await keepers.journal.commit(claim, Change(cursor=8, signals=[make_signal(account.id)]))
        assert (await keepers.journal.claim(0, "two")).cursor == 0


class Deaf(Database):
    """Does what it is told, and does not hear the answer the next `unheard` times."""

    unheard = 0

    async def call(self, work: Callable[[Connection], Awaitable[T]], *, within: float | None = None) -> T:
        result = await super().call(work, within=within)
        if self.unheard:
            self.unheard -= 1
            raise Unavailable("the answer was lost")
        return result
