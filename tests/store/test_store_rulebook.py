from __future__ import annotations

import asyncio
import uuid

import pytest
from tests.store.store_keepers import ODD, Keepers, in_memory, in_postgres

from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import NotFound
from pricewatch.domain.rule import Order, RuleCommand
from pricewatch.ports.journal import Change
from pricewatch.ports.rules import StoredRule
from pricewatch.store.pool import Database
from pricewatch.store.rulebook import PostgresRuleBook
from pricewatch.testing.clock import ManualClock


class RuleBookPromises:
    @pytest.fixture
    async def ann(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "", Role.USER)

    @pytest.fixture
    async def bob(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("bob", "", Role.USER)

    async def test_new_rule_is_version_one(self, keepers: Keepers, ann: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"{1}")
        assert rule == StoredRule(rule.id, ann.id, 1, b"{1}", keepers.clock.now())
        assert await keepers.rules.get(ann.id, rule.id) == rule

    async def test_document_keeps_its_very_bytes(self, keepers: Keepers, ann: Account) -> None:
        for document in (ODD.encode(), bytes(range(256)), b'{"b": 1,  "a":1e400, "a": 2}', b""):
            rule = await keepers.rules.create(ann.id, document)
            assert (await keepers.rules.get(ann.id, rule.id)).document == document

    async def test_known_id_makes_a_new_version(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        rule = uuid.uuid4()
        assert (await keepers.rules.create(ann.id, b"{1}", rule_id=rule)).version == 1
        keepers.clock.advance(1)
        second = await keepers.rules.create(ann.id, b"{2}", rule_id=rule)
        assert second == StoredRule(rule, ann.id, 2, b"{2}", keepers.clock.now())
        with pytest.raises(NotFound):
            await keepers.rules.create(bob.id, b"{3}", rule_id=rule)
        assert await keepers.rules.get(ann.id, rule) == second

    async def test_revision_is_the_next_version(self, keepers: Keepers, ann: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"{1}")
        second = await keepers.rules.revise(ann.id, rule.id, b"{2}")
        assert (second.version, second.document, second.effective_seen) == (2, b"{2}", None)
        assert await keepers.rules.get(ann.id, rule.id) == second

    async def test_concurrent_revisions_have_their_own_numbers(self, keepers: Keepers, ann: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"{}")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(keepers.rules.revise(ann.id, rule.id, b"%d" % n)) for n in range(9)]
        assert sorted(task.result().version for task in tasks) == list(range(2, 11))

    async def test_deleted_rule_is_gone_but_pending(self, keepers: Keepers, ann: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"{1}")
        gone = await keepers.rules.delete(ann.id, rule.id)
        assert (gone.id, gone.version, gone.deleted, gone.document) == (rule.id, 2, True, b"{1}")
        for attempt in (
            keepers.rules.get(ann.id, rule.id),
            keepers.rules.revise(ann.id, rule.id, b"{2}"),
            keepers.rules.delete(ann.id, rule.id),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await keepers.rules.page(ann.id) == []
        assert [batch async for batch in keepers.rules.everything()] == []
        assert await keepers.rules.pending() == [gone]
        again = await keepers.rules.create(ann.id, b"{3}", rule_id=rule.id)
        assert (again.version, again.deleted) == (3, False)
        assert await keepers.rules.get(ann.id, rule.id) == again

    async def test_foreign_rules_do_not_exist(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"{1}")
        for stranger in (bob.id, uuid.uuid4()):
            for attempt in (
                keepers.rules.get(stranger, rule.id),
                keepers.rules.revise(stranger, rule.id, b"{2}"),
                keepers.rules.delete(stranger, rule.id),
            ):
                with pytest.raises(NotFound):
                    await attempt
            assert await keepers.rules.page(stranger) == []
        assert await keepers.rules.get(ann.id, rule.id) == rule

    async def test_unknown_account_owns_nothing(self, keepers: Keepers) -> None:
        with pytest.raises(NotFound, match="account"):
            await keepers.rules.create(uuid.uuid4(), b"{}")
        with pytest.raises(NotFound, match="account"):
            await keepers.rules.create_many(uuid.uuid4(), [(uuid.uuid4(), b"{}")])

    async def test_pages_go_by_id(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        ids = sorted([uuid.UUID(int=0), *(uuid.uuid4() for _ in range(19)), uuid.UUID(int=2**128 - 1)])
        await keepers.rules.create_many(ann.id, [(rule, b"{}") for rule in ids[::2]])
        await keepers.rules.create_many(bob.id, [(rule, b"{}") for rule in ids[1::2]])
        first = await keepers.rules.page(ann.id, limit=4)
        assert [rule.id for rule in first] == ids[:8:2]
        rest = await keepers.rules.page(ann.id, after=first[-1].id)
        assert [rule.id for rule in rest] == ids[8::2]
        assert await keepers.rules.page(ann.id, after=ids[-1]) == []
        everything = [rule.id async for batch in keepers.rules.everything() for rule in batch]
        assert everything == ids

    async def test_bulk_import_leaves_alone_what_is_there(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        known = await keepers.rules.create(ann.id, b"{mine}")
        foreign = await keepers.rules.create(bob.id, b"{his}")
        fresh, twice = uuid.uuid4(), uuid.uuid4()
        documents = [(known.id, b"x"), (foreign.id, b"x"), (fresh, b"{a}"), (twice, b"{b}"), (twice, b"{c}")]
        assert await keepers.rules.create_many(ann.id, documents) == 2
        assert await keepers.rules.create_many(ann.id, documents) == 0
        assert await keepers.rules.create_many(ann.id, []) == 0
        assert await keepers.rules.get(ann.id, known.id) == known
        assert await keepers.rules.get(bob.id, foreign.id) == foreign
        assert (await keepers.rules.get(ann.id, twice)).document == b"{b}"
        assert len(await keepers.rules.page(ann.id)) == 3

    async def test_everything_comes_in_batches(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        ids = sorted(uuid.uuid4() for _ in range(21))
        for owner, mine in ((ann, ids[:14]), (bob, ids[14:])):
            await keepers.rules.create_many(owner.id, [(rule, b"{1}") for rule in mine])
        newest = await keepers.rules.revise(ann.id, ids[3], b"{2}")
        batches = [batch async for batch in keepers.rules.everything()]
        rules = [rule for batch in batches for rule in batch]
        assert [rule.id for rule in rules] == ids
        assert rules[3] == newest
        assert [len(batch) for batch in batches] == [7, 7, 7]

    async def test_pending_until_taken_up(self, keepers: Keepers, ann: Account) -> None:
        one, two = sorted([uuid.uuid4(), uuid.uuid4()])
        await keepers.rules.create_many(ann.id, [(one, b"{1}"), (two, b"{1}")])
        assert [rule.id for rule in await keepers.rules.pending()] == [one, two]
        claim = await keepers.journal.claim(0, "engine")
        await keepers.journal.commit(claim, Change(cursor=5, effective=[(one, 1, 5), (two, 1, 5)]))
        assert await keepers.rules.pending() == []
        assert (await keepers.rules.get(ann.id, one)).effective_seen == 5
        await keepers.rules.revise(ann.id, one, b"{2}")
        newest = await keepers.rules.revise(ann.id, one, b"{3}")
        assert await keepers.rules.pending() == [newest]
        await keepers.journal.commit(claim, Change(cursor=6, effective=[(one, 3, 6)]))
        assert await keepers.rules.pending() == []

    async def test_first_taking_up_counts(self, keepers: Keepers, ann: Account) -> None:
        rule = await keepers.rules.create(ann.id, b"{}")
        claim = await keepers.journal.claim(0, "engine")
        for seen in (5, 6):
            await keepers.journal.commit(claim, Change(cursor=seen, effective=[(rule.id, 1, seen)]))
        await keepers.journal.commit(claim, Change(cursor=7, effective=[(uuid.uuid4(), 1, 7)]))
        assert (await keepers.rules.get(ann.id, rule.id)).effective_seen == 5

    async def test_the_newest_command_counts(self, keepers: Keepers, ann: Account) -> None:
        rule = (await keepers.rules.create(ann.id, b"{}")).id
        assert await keepers.rules.standing(ann.id, [rule]) == {}
        assert await keepers.rules.commands(ann.id, rule) == []
        first = await keepers.rules.command(ann.id, rule, Order.PAUSE)
        assert first == RuleCommand(rule, ann.id, 1, Order.PAUSE, 0, keepers.clock.now())
        keepers.clock.advance(1)
        second = await keepers.rules.command(ann.id, rule, Order.SNOOZE, until=2**53 + 1)
        assert second == RuleCommand(rule, ann.id, 2, Order.SNOOZE, 2**53 + 1, keepers.clock.now())
        assert await keepers.rules.commands(ann.id, rule) == [second, first]
        assert await keepers.rules.commands(ann.id, rule, limit=1) == [second]
        assert await keepers.rules.standing(ann.id, [rule, uuid.uuid4()]) == {rule: second}
        assert await keepers.rules.pending_commands() == [second]

    async def test_commands_are_taken_up_once(self, keepers: Keepers, ann: Account) -> None:
        rules = sorted([(await keepers.rules.create(ann.id, b"{}")).id for _ in range(9)])
        for rule in rules:
            await keepers.rules.command(ann.id, rule, Order.PAUSE)
        assert [command.rule_id for command in await keepers.rules.pending_commands()] == rules
        claim = await keepers.journal.claim(0, "engine")
        for seen in (5, 6):
            await keepers.journal.commit(claim, Change(cursor=seen, commands=[(rule, 1, seen) for rule in rules]))
        assert await keepers.rules.pending_commands() == []
        resumed = await keepers.rules.command(ann.id, rules[0], Order.RESUME)
        taken = [one async for batch in keepers.rules.taken_commands() for one in batch]
        assert [(one.rule_id, one.order, one.effective_seen) for one in taken] == [
            (rule, Order.PAUSE, 5) for rule in rules
        ]
        await keepers.journal.commit(claim, Change(cursor=7, commands=[(rules[0], resumed.number, 7)]))
        taken = [one async for batch in keepers.rules.taken_commands() for one in batch]
        assert [(one.number, one.order, one.effective_seen) for one in taken[:2]] == [
            (2, Order.RESUME, 7),
            (1, Order.PAUSE, 5),
        ]

    async def test_foreign_rules_cannot_be_commanded(self, keepers: Keepers, ann: Account, bob: Account) -> None:
        rule = (await keepers.rules.create(ann.id, b"{}")).id
        await keepers.rules.command(ann.id, rule, Order.PAUSE)
        for attempt in (
            keepers.rules.command(bob.id, rule, Order.RESUME),
            keepers.rules.commands(bob.id, rule),
            keepers.rules.command(ann.id, uuid.uuid4(), Order.PAUSE),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await keepers.rules.standing(bob.id, [rule]) == {}
        assert [one.order for one in await keepers.rules.commands(ann.id, rule)] == [Order.PAUSE]

    async def test_deleting_a_rule_forgets_its_commands(self, keepers: Keepers, ann: Account) -> None:
        rule = (await keepers.rules.create(ann.id, b"{}")).id
        await keepers.rules.command(ann.id, rule, Order.PAUSE)
        await keepers.rules.delete(ann.id, rule)
        assert await keepers.rules.pending_commands() == []
        await keepers.rules.create(ann.id, b"{}", rule_id=rule)
        assert await keepers.rules.standing(ann.id, [rule]) == {}
        assert (await keepers.rules.command(ann.id, rule, Order.PAUSE)).number == 2

    async def test_the_version_in_force_is_the_last_one_taken_up(self, keepers: Keepers, ann: Account) -> None:
        rule = (await keepers.rules.create(ann.id, b"{1}")).id
        assert await keepers.rules.effective(rule) is None
        claim = await keepers.journal.claim(0, "engine")
        await keepers.journal.commit(claim, Change(cursor=5, effective=[(rule, 1, 5)]))
        await keepers.rules.revise(ann.id, rule, b"{2}")
        held = await keepers.rules.effective(rule)
        assert held is not None
        assert (held.version, held.document, held.effective_seen) == (1, b"{1}", 5)
        await keepers.rules.delete(ann.id, rule)
        await keepers.journal.commit(claim, Change(cursor=6, effective=[(rule, 3, 6)]))
        assert await keepers.rules.effective(rule) is None


class TestMemoryRuleBook(RuleBookPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresRuleBook(RuleBookPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)

    async def test_many_rules_are_imported_in_batches(self, keepers: Keepers, database: Database) -> None:
        ann = await keepers.accounts.create("ann", "", Role.USER)
        book = PostgresRuleBook(database, ManualClock(), batch=2_000)
        documents = [(uuid.uuid4(), b'{"level": "%d"}' % number) for number in range(5_001)]
        assert await book.create_many(ann.id, documents) == 5_001
        assert [len(batch) async for batch in book.everything()] == [2_000, 2_000, 1_001]
        assert await database.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'rule'") == 5_001
