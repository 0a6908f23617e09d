from __future__ import annotations

import hashlib
import uuid

import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres

from pricewatch.domain.account import Account, ApiKey, Role
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.store.pool import Database


def make_key(account: Account, secret: str = "s", expires: int | None = None) -> ApiKey:
    digest = hashlib.sha256(secret.encode()).digest()
    return ApiKey(uuid.uuid4(), account.id, "pw_ab", digest, created=5, expires=expires)


class AccountsPromises:
    @pytest.fixture
    async def ann(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "ann@example.org", Role.ADMIN)

    async def test_account_is_found_by_name_and_id(self, keepers: Keepers, ann: Account) -> None:
        assert (ann.name, ann.email, ann.role, ann.created) == (
            *("ann", "ann@example.org"),
            *(Role.ADMIN, keepers.clock.now()),
        )
        found = await keepers.accounts.find("ann")
        assert found == ann
        assert isinstance(found, Account)
        assert isinstance(found.role, Role)
        assert await keepers.accounts.get(ann.id) == ann
        assert await keepers.accounts.find("bob") is None
        assert await keepers.accounts.find("ann\0") is None
        assert await keepers.accounts.get(uuid.uuid4()) is None

    async def test_name_is_taken_once(self, keepers: Keepers, ann: Account) -> None:
        with pytest.raises(Invalid, match="taken") as caught:
            await keepers.accounts.create("ann", "other@example.org", Role.USER)
        assert caught.value.field == "name"
        assert await keepers.accounts.everyone() == [ann]

    @pytest.mark.parametrize("text", ["a\0", "a\nb", "\ud800"])
    async def test_text_that_no_store_keeps_is_refused(self, keepers: Keepers, text: str) -> None:
        with pytest.raises(Invalid, match="name: "):
            await keepers.accounts.create(text, "", Role.USER)
        with pytest.raises(Invalid, match="email: "):
            await keepers.accounts.create("zoe", text, Role.USER)
        assert await keepers.accounts.everyone() == []

    async def test_everyone_comes_in_order_of_creation(self, keepers: Keepers) -> None:
        made = [await keepers.accounts.create(name, "", Role.USER) for name in ("zoë", "ann", "münch \U0001f4c8")]
        assert await keepers.accounts.everyone() == made

    async def test_feed_exists_from_the_start(self, keepers: Keepers, ann: Account) -> None:
        head = await keepers.feeds.head(ann.id)
        assert head.seq == 0
        assert head.epoch == ann.created // 1_000_000
        keepers.clock.advance(60)
        later = await keepers.accounts.create("bob", "", Role.USER)
        assert (await keepers.feeds.head(later.id)).epoch > head.epoch

    async def test_key_is_found_by_digest(self, keepers: Keepers, ann: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.VIEWER)
        keys = [make_key(ann, "1"), make_key(bob, "2", expires=9), make_key(ann, "3")]
        for key in keys:
            await keepers.accounts.add_key(key)
        assert await keepers.accounts.by_digest(keys[1].digest) == (bob, keys[1])
        assert await keepers.accounts.by_digest(keys[2].digest) == (ann, keys[2])
        assert await keepers.accounts.by_digest(bytes(32)) is None
        assert await keepers.accounts.keys(ann.id) == [keys[0], keys[2]]
        assert await keepers.accounts.keys(uuid.uuid4()) == []

    async def test_key_needs_an_owner_and_is_added_once(self, keepers: Keepers, ann: Account) -> None:
        key = make_key(ann)
        await keepers.accounts.add_key(key)
        with pytest.raises(Invalid):
            await keepers.accounts.add_key(key)
        with pytest.raises(Invalid):
            await keepers.accounts.add_key(make_key(ann))
        stranger = Account(id=uuid.uuid4(), name="", email="", role=Role.USER, created=0)
        with pytest.raises(NotFound):
            await keepers.accounts.add_key(make_key(stranger, "other"))

    async def test_revoked_key_stays_known(self, keepers: Keepers, ann: Account) -> None:
        key = make_key(ann)
        await keepers.accounts.add_key(key)
        await keepers.accounts.revoke_key(ann.id, key.id, 7)
        await keepers.accounts.revoke_key(ann.id, key.id, 8)
        found = await keepers.accounts.by_digest(key.digest)
        assert found is not None
        assert found[1].revoked == 7
        assert [held.revoked for held in await keepers.accounts.keys(ann.id)] == [7]

    async def test_foreign_key_cannot_be_revoked(self, keepers: Keepers, ann: Account) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        key = make_key(ann)
        await keepers.accounts.add_key(key)
        for account, wanted in ((bob.id, key.id), (ann.id, uuid.uuid4())):
            with pytest.raises(NotFound):
                await keepers.accounts.revoke_key(account, wanted, 7)
        assert await keepers.accounts.keys(ann.id) == [key]


class TestMemoryAccounts(AccountsPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresAccounts(AccountsPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)
