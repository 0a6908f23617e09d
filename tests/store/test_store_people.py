"""Passwords, scoped keys, sessions, tickets and the audit log: the same promises in memory and in PostgreSQL."""

from __future__ import annotations

import uuid

import asyncpg
import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres

from pricewatch.accounts.tokens import issue, mint, open_session
from pricewatch.domain.account import Account, Role, Scope, Session
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.rule import Order
from pricewatch.ports.accounts import Change
from pricewatch.store.pool import Database


async def begin(keepers: Keepers, account: Account, **options: object) -> Session:
    opened = open_session(account.id, now=keepers.clock.now(), lifetime=1_000, agent="Fire\nfox\0", **options)  # type: ignore[arg-type]
    await keepers.records.sessions.begin(opened.session)
    return opened.session


async def actions(keepers: Keepers, account: Account | None = None) -> list[str]:
    whose = None if account is None else account.id
    page = await keepers.records.audit.page(whose)
    return [entry.action for entry in reversed(page)]


class PeoplePromises:
    @pytest.fixture
    async def ann(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "ann@example.org", Role.ADMIN)

    async def test_accounts_change(self, keepers: Keepers, ann: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER, by=ann.id)
        changed = await keepers.accounts.change(bob.id, Change(email="b@x.org", role=Role.VIEWER), by=ann.id)
        assert (changed.email, changed.role, changed.disabled) == ("b@x.org", Role.VIEWER, None)
        out = await keepers.accounts.change(bob.id, Change(disabled=True))
        keepers.clock.advance(1)
        again = await keepers.accounts.change(bob.id, Change(disabled=True))
        assert again.disabled == out.disabled == keepers.clock.now() - 1_000_000
        assert await keepers.accounts.get(bob.id) == again
        assert (await keepers.accounts.change(bob.id, Change(disabled=False))).disabled is None
        with pytest.raises(NotFound):
            await keepers.accounts.change(uuid.uuid4(), Change(email=""))
        with pytest.raises(Invalid, match="email: "):
            await keepers.accounts.change(bob.id, Change(email="\0"))
        page = await keepers.records.audit.page(bob.id)
        assert [entry.detail for entry in reversed(page)] == [
            {"role": "user"},
            {"role": "viewer", "email": "changed"},
            {"disabled": True},
            {"disabled": True},
            {"disabled": False},
        ]
        assert [entry.actor for entry in reversed(page)] == [ann.id, ann.id, None, None, None]

    @pytest.mark.parametrize("change", [Change(role=Role.USER), Change(disabled=True)])
    async def test_an_administrator_stays(self, keepers: Keepers, ann: Account, change: Change) -> None:
        with pytest.raises(Invalid, match="last administrator"):
            await keepers.accounts.change(ann.id, change)
        with pytest.raises(Invalid, match="last administrator"):
            await keepers.records.dossiers.erase(ann.id)
        await keepers.accounts.change(ann.id, Change(role=Role.ADMIN, disabled=False))
        await keepers.accounts.create("root", "", Role.ADMIN)
        assert await keepers.accounts.change(ann.id, change) != ann

    async def test_a_password_ends_other_sessions(self, keepers: Keepers, ann: Account) -> None:
        assert await keepers.accounts.password("ann") == (ann, None)
        assert await keepers.accounts.password("bob") is None
        assert await keepers.accounts.password("\0") is None
        kept, gone = await begin(keepers, ann), await begin(keepers, ann)
        await keepers.accounts.set_password(ann.id, "hash", by=ann.id, keep=kept.id)
        assert await keepers.accounts.password("ann") == (ann, "hash")
        assert await keepers.records.sessions.by_digest(gone.digest) is None
        await keepers.accounts.set_password(ann.id, "better", quietly=True)
        found = await keepers.records.sessions.by_digest(kept.digest)
        assert found is not None
        assert found[0] == ann
        await keepers.accounts.set_password(ann.id, None)
        assert await keepers.accounts.password("ann") == (ann, None)
        assert await keepers.records.sessions.listing(ann.id, keepers.clock.now()) == []
        with pytest.raises(NotFound):
            await keepers.accounts.set_password(uuid.uuid4(), "hash")
        assert (await actions(keepers))[-2:] == ["password.set", "password.remove"]

    async def test_keys_have_scopes_and_are_seen(self, keepers: Keepers, ann: Account) -> None:
        key = mint(ann.id, now=5, title="my bot", scopes=frozenset({Scope.READ})).key
        await keepers.accounts.add_key(key, by=ann.id)
        await keepers.accounts.key_used(key.id, 9)
        await keepers.accounts.key_used(key.id, 8)
        [found] = await keepers.accounts.keys(ann.id)
        assert (found.title, found.scopes, found.used) == ("my bot", frozenset({Scope.READ}), 9)
        assert await keepers.accounts.by_digest(key.digest) == (ann, found)
        with pytest.raises(Invalid, match="title: "):
            await keepers.accounts.add_key(mint(ann.id, now=5, title="\0").key)
        await keepers.accounts.revoke_key(ann.id, key.id, 7, by=ann.id)
        await keepers.accounts.revoke_key(ann.id, key.id, 8, by=ann.id)
        [created, revoked] = (await keepers.records.audit.page(ann.id))[:2][::-1]
        assert (created.action, created.detail) == ("key.create", {"prefix": key.prefix, "scopes": ["read"]})
        assert (revoked.action, revoked.at, revoked.target) == ("key.revoke", 7, str(key.id))

    async def test_sessions_begin_and_end(self, keepers: Keepers, ann: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        first, second, other = await begin(keepers, ann), await begin(keepers, ann), await begin(keepers, bob)
        now = keepers.clock.now()
        assert [one.id for one in await keepers.records.sessions.listing(ann.id, now)] == [first.id, second.id]
        found = await keepers.records.sessions.by_digest(first.digest)
        assert found is not None
        assert (found[1].agent, found[1].expires, found[1].scopes) == ("Firefox", now + 1_000, frozenset(Scope))
        await keepers.records.sessions.used(first.id, 9)
        for account, wanted in ((bob, first), (ann, other)):
            with pytest.raises(NotFound):
                await keepers.records.sessions.end(account.id, wanted.id)
        await keepers.records.sessions.end(ann.id, first.id)
        with pytest.raises(NotFound):
            await keepers.records.sessions.end(ann.id, first.id)
        assert await keepers.records.sessions.by_digest(first.digest) is None
        assert await keepers.records.sessions.listing(ann.id, now + 1_000) == []
        await keepers.records.sessions.forget_expired(now + 1_000)
        assert await keepers.records.sessions.by_digest(second.digest) is None
        assert (await actions(keepers, ann))[-3:] == ["session.begin", "session.begin", "session.end"]

    async def test_standing_is_told_of_many_at_once(self, keepers: Keepers, ann: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        good, old, revoked, his = (mint(one.id, now=0).key for one in (ann, ann, ann, bob))
        old = mint(ann.id, now=0, expires=keepers.clock.now()).key
        for key in (good, old, revoked, his):
            await keepers.accounts.add_key(key)
        by_key, by_password = await begin(keepers, ann, key=revoked), await begin(keepers, ann)
        now = keepers.clock.now()
        asked = [one.digest for one in (good, old, revoked, his, by_key, by_password)]
        assert await keepers.accounts.standing([*asked, b"x"], now) == {
            one.digest for one in (good, revoked, his, by_key, by_password)
        }
        await keepers.accounts.revoke_key(ann.id, revoked.id, now)
        await keepers.accounts.change(bob.id, Change(disabled=True))
        assert await keepers.accounts.standing(asked, now) == {good.digest, by_password.digest}
        assert await keepers.accounts.standing(asked, now + 1_000) == {good.digest}

    async def test_a_ticket_is_taken_once(self, keepers: Keepers, ann: Account) -> None:
        tickets = keepers.records.tickets
        one, two = (issue(ann.id, credential=b"c", is_session=True, expires=9).ticket for _ in range(2))
        for ticket in (one, two):
            await tickets.issue(ticket)
        assert await tickets.take(one.digest) == one
        assert await tickets.take(one.digest) is None
        await keepers.records.sessions.forget_expired(9)
        assert await tickets.take(two.digest) is None

    async def test_the_audit_log_comes_in_pages(self, keepers: Keepers, ann: Account) -> None:
        audit = keepers.records.audit
        for number in range(5):
            await audit.note("test", str(number), at=number, by=None, detail={"n": number})
        page = await audit.page(limit=3)
        assert [entry.target for entry in page] == ["4", "3", "2"]
        rest = await audit.page(before=page[-1].number)
        assert [(entry.action, entry.detail) for entry in rest][:2] == [("test", {"n": 1}), ("test", {"n": 0})]
        assert await actions(keepers, ann) == ["user.create"]


class TestMemoryPeople(PeoplePromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresPeople(PeoplePromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)

    @pytest.mark.parametrize("statement", ["UPDATE audit SET action = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
    async def test_the_audit_log_is_append_only(
        self, database: Database, keepers: Keepers, ann: Account, statement: str
    ) -> None:
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await database.execute(statement)
        assert await actions(keepers, ann) == ["user.create"]

    async def test_rules_and_markets_are_written_down_by_the_database(
        self, database: Database, keepers: Keepers, ann: Account
    ) -> None:
        rule = await keepers.rules.create(ann.id, b"{}")
        await keepers.rules.revise(ann.id, rule.id, b"{}")
        await keepers.rules.command(ann.id, rule.id, Order.SNOOZE, until=9)
        await keepers.rules.delete(ann.id, rule.id)
        await keepers.rules.create_many(ann.id, [(uuid.uuid4(), b"{}") for _ in range(20)])
        await database.execute("INSERT INTO market_choice VALUES ('kraken', 'BTC-USD', true, $1, 5)", ann.id)
        page = (await keepers.records.audit.page())[::-1]
        assert [entry.action for entry in page[1:]] == [
            *("rule.create", "rule.revise", "rule.snooze", "rule.delete"),
            *(["rule.create"] * 3),
            "market.choose",
        ]
        assert {entry.actor for entry in page[1:]} == {ann.id}
        assert sum(entry.detail["rules"] for entry in page[5:8]) == 20
        assert (page[1].target, page[1].detail) == (str(rule.id), {"version": 1})
        assert (page[-1].target, page[-1].detail) == ("kraken:BTC-USD", {"wanted": True})
