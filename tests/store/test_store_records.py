"""Watchlists, words on signals, repeatable answers and dossiers: the same promises in memory and in PostgreSQL."""

from __future__ import annotations

import uuid

import msgspec
import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres, make_signal

from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.ports.journal import Change
from pricewatch.ports.records import Answer, Begun, Feedback, Holdings, Verdict
from pricewatch.store.pool import Database


class RecordPromises:
    @pytest.fixture
    async def ann(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "ann@example.org", Role.USER)

    @pytest.fixture
    async def bob(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("bob", "", Role.USER)

    async def test_watchlists(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        lists = keepers.records.watchlists
        made = await lists.create(ann.id, "mine", ["BTC-USD", "ETH-USD"])
        assert (made.symbols, made.created, made.changed) == (("BTC-USD", "ETH-USD"), keepers.clock.now(), made.created)
        assert await lists.get(ann.id, made.id) == made
        assert await lists.find(ann.id, "mine") == made
        assert await lists.find(bob.id, "mine") is None
        assert await lists.find(ann.id, "\0") is None
        await lists.create(bob.id, "mine", [])
        with pytest.raises(Invalid, match="taken"):
            await lists.create(ann.id, "mine", [])
        with pytest.raises(Invalid, match="name: "):
            await lists.create(ann.id, "\0", [])
        with pytest.raises(NotFound):
            await lists.create(uuid.uuid4(), "mine", [])
        keepers.clock.advance(1)
        changed = await lists.change(ann.id, made.id, "mine", [])
        assert (changed.symbols, changed.created, changed.changed) == ((), made.created, keepers.clock.now())
        other = await lists.create(ann.id, "other", [])
        with pytest.raises(Invalid, match="taken"):
            await lists.change(ann.id, other.id, "mine", [])
        for act in (lists.get, lists.delete):
            with pytest.raises(NotFound):
                await act(bob.id, made.id)
        with pytest.raises(NotFound):
            await lists.change(bob.id, made.id, "x", [])
        both = sorted([changed, other], key=lambda one: one.id)
        assert await lists.page(ann.id) == both
        assert await lists.page(ann.id, after=both[0].id, limit=5) == both[1:]
        await lists.delete(ann.id, other.id)
        assert await lists.page(ann.id) == [changed]

    async def test_words_on_signals(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        verdicts, signal = keepers.records.verdicts, uuid.uuid4()
        assert await verdicts.get(ann.id, signal) == Verdict(signal_id=signal)
        seen = keepers.clock.now()
        assert (await verdicts.acknowledge(ann.id, signal)).acknowledged == seen
        keepers.clock.advance(1)
        assert (await verdicts.acknowledge(ann.id, signal)).acknowledged == seen
        judged = await verdicts.judge(ann.id, signal, Feedback.NOISE)
        assert (judged.acknowledged, judged.feedback) == (seen, Feedback.NOISE)
        assert await verdicts.get(ann.id, signal) == judged
        assert (await verdicts.judge(ann.id, signal, None)).feedback is None
        assert (await verdicts.judge(bob.id, signal, Feedback.USEFUL)).acknowledged is None

    async def test_answers_are_repeated(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        repeats, mark, other = keepers.records.repeats, b"a" * 32, b"b" * 32
        assert await repeats.begin(ann.id, "k", mark) is Begun.NOW
        assert await repeats.begin(ann.id, "k", mark) is Begun.RUNNING
        assert await repeats.begin(ann.id, "k", other) is Begun.OTHER
        assert await repeats.begin(bob.id, "k", other) is Begun.NOW
        await repeats.finish(ann.id, "k", Answer(201, b"{}"))
        await repeats.abandon(ann.id, "k")
        assert await repeats.begin(ann.id, "k", mark) == Answer(201, b"{}")
        await repeats.abandon(bob.id, "k")
        assert await repeats.begin(bob.id, "k", mark) is Begun.NOW
        keepers.clock.advance(61)
        assert await repeats.begin(bob.id, "k", other) is Begun.NOW
        assert await repeats.begin(ann.id, "k", mark) == Answer(201, b"{}")
        keepers.clock.advance(86_400)
        assert await repeats.begin(ann.id, "k", other) is Begun.NOW
        await repeats.forget(keepers.clock.now() + 1)
        assert await repeats.begin(ann.id, "k", mark) is Begun.NOW

    async def test_holdings(self, keepers: Keepers, ann: Account) -> None:
        assert await keepers.records.dossiers.holdings(ann.id) == Holdings(0, 0, 0)
        rule = await keepers.rules.create(ann.id, b"{}")
        await keepers.rules.create(ann.id, b"{}")
        await keepers.rules.delete(ann.id, rule.id)
        await keepers.records.watchlists.create(ann.id, "mine", [])
        assert await keepers.records.dossiers.holdings(ann.id) == Holdings(1, 0, 1)

    async def test_versions_of_a_rule(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"1")
        await keepers.rules.revise(ann.id, rule.id, b"2")
        await keepers.rules.delete(ann.id, rule.id)
        page = await keepers.rules.versions(ann.id, rule.id, limit=2)
        assert [(one.version, one.document, one.deleted) for one in page] == [(3, b"2", True), (2, b"2", False)]
        assert [one.version for one in await keepers.rules.versions(ann.id, rule.id, before=2)] == [1]
        assert await keepers.rules.versions(ann.id, rule.id, before=1) == []
        assert [one.version for one in await keepers.rules.versions(ann.id, rule.id, before=2**60)] == [3, 2, 1]
        for account, wanted in ((bob.id, rule.id), (ann.id, uuid.uuid4())):
            with pytest.raises(NotFound):
                await keepers.rules.versions(account, wanted)

    async def test_attempts_of_a_delivery(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        claim = await keepers.journal.claim(0, "test")
        signals = [make_signal(ann.id, number, channels=("email",)) for number in range(3)]
        await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        [first, *_] = await keepers.outbox.claim("email", limit=1, lease=5)
        await keepers.outbox.retry(first, "451 later", delay=1)
        keepers.clock.advance(2)
        [again, *_] = [one for one in await keepers.outbox.claim("email", limit=9, lease=5) if one.id == first.id]
        row, attempts = await keepers.outbox.get(ann.id, first.id)
        assert (row.attempts, row.signal_id) == (2, signals[0].id)
        assert [(one.attempt, one.outcome, one.detail) for one in attempts] == [
            (1, "retry", "451 later"),
            (2, None, None),
        ]
        await keepers.outbox.sent(again, "250 ok")
        _, attempts = await keepers.outbox.get(ann.id, first.id)
        assert (attempts[1].outcome, attempts[1].detail, attempts[1].ended) == ("sent", "250 ok", keepers.clock.now())
        for account, wanted in ((bob.id, first.id), (ann.id, uuid.uuid4())):
            with pytest.raises(NotFound):
                await keepers.outbox.get(account, wanted)
        rows = await keepers.outbox.listing(ann.id)
        assert await keepers.outbox.listing(ann.id, before=rows[0].id, limit=1) == [rows[1]]
        assert await keepers.outbox.listing(ann.id, before=uuid.uuid4()) == []
        assert [row.id for row in await keepers.outbox.listing(ann.id, signal=signals[0].id)] == [first.id]

    async def test_a_trial_is_owed_and_in_no_feed(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        mailed, mute = make_signal(ann.id, channels=("email",)), make_signal(bob.id, 1, channels=("email",))
        for signal in (mailed, mailed, mute):
            await keepers.records.trials.owe(signal)
        [row] = await keepers.outbox.listing()
        assert (row.signal_id, row.channel, row.target) == (mailed.id, "email", "ann@example.org")
        [claimed] = await keepers.outbox.claim("email", limit=5, lease=5)
        assert claimed.signal == mailed
        assert await keepers.feeds.read(ann.id, after_seq=0) == []
        assert (await keepers.feeds.head(ann.id)).seq == 0

    async def test_who_goes_leaves_nothing(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        rule = await keepers.rules.create(ann.id, b'{"title":"mine"}')
        kinds = {kind async for kind, _ in keepers.records.dossiers.export(ann)}
        assert {"account", "rule"} <= kinds
        await keepers.rules.delete(ann.id, rule.id)
        await keepers.records.watchlists.create(ann.id, "mine", [])
        await keepers.records.dossiers.erase(ann.id, by=bob.id)
        assert await keepers.accounts.everyone() == [bob]
        assert await keepers.accounts.find("ann") is None
        assert await keepers.records.watchlists.page(ann.id) == []
        with pytest.raises(NotFound):
            await keepers.records.dossiers.erase(ann.id)
        [entry] = await keepers.records.audit.page(ann.id, limit=1)
        assert (entry.action, entry.actor, entry.target) == ("user.erase", bob.id, str(ann.id))


class TestMemoryRecords(RecordPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresRecords(RecordPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)

    async def test_everything_is_exported_and_then_gone(
        self, database: Database, keepers: Keepers, ann: Account, bob: Account
    ) -> None:
        claim = await keepers.journal.claim(0, "test")
        await keepers.rules.create(ann.id, b'{"title":"mine"}')
        signals = [make_signal(one.id, number, channels=("email",)) for number, one in enumerate((ann, ann, bob))]
        await keepers.journal.commit(claim, Change(cursor=1, signals=signals))
        await keepers.records.verdicts.acknowledge(ann.id, signals[0].id)
        await keepers.records.watchlists.create(ann.id, "mine", ["BTC-USD"])
        exported = [(kind, msgspec.json.decode(msgspec.json.encode(what))) async for kind, what in
                    keepers.records.dossiers.export(ann)]  # fmt: skip
        kinds = [kind for kind, _ in exported]
        assert kinds[:3] == ["account", "watchlist", "rule"]
        assert [kinds.count(kind) for kind in ("signal", "verdict", "delivery", "audit")] == [2, 1, 2, 2]
        assert all(str(bob.id) not in str(what) for _, what in exported)
        assert exported[2][1]["document"] == {"title": "mine"}
        await keepers.records.dossiers.erase(ann.id)
        tables = await database.fetch(
            "SELECT table_name AS name FROM information_schema.columns "
            "WHERE column_name = 'account_id' AND table_schema = 'public'"
        )
        for table in {row["name"] for row in tables} - {"audit"}:
            found = await database.fetchval(f"SELECT count(*) FROM {table} WHERE account_id = $1", ann.id)
            assert not found, table
        assert await database.fetchval("SELECT count(*) FROM feed_entry") == 1
        assert len(await keepers.feeds.read(bob.id, after_seq=0)) == 1
