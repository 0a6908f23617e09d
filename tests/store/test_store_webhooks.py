from __future__ import annotations

import uuid

import msgspec
import pytest
from tests.store.store_keepers import Keepers, in_memory, in_postgres, make_signal

from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.journal import Change
from pricewatch.ports.outbox import Delivery, DeliveryState
from pricewatch.ports.webhooks import Webhook, WebhookChange
from pricewatch.store.pool import Database

HOUR = 3_600_000_000
OLD, NEW, NEWER = b"o" * 32, b"n" * 32, b"m" * 64
URL = "https://hooks.example.org/a"


class WebhookPromises:
    @pytest.fixture
    async def ann(self, keepers: Keepers) -> Account:
        return await keepers.accounts.create("ann", "ann@example.org", Role.USER)

    @pytest.fixture
    async def hook(self, keepers: Keepers, ann: Account) -> Webhook:
        return await keepers.webhooks.create(ann.id, "bot", URL, OLD)

    async def owe(
        self, keepers: Keepers, account: Account, *numbers: int, words: tuple[str, ...] = ("webhook",)
    ) -> None:
        claim = await keepers.journal.claim(0, "engine")
        signals = [make_signal(account.id, number, channels=words) for number in numbers]
        await keepers.journal.commit(claim, Change(cursor=1, signals=signals))

    async def claimed(
        self, keepers: Keepers, *, limit: int = 99, each: int = 99, skip: tuple[str, ...] = ()
    ) -> list[Delivery]:
        return await keepers.outbox.claim("webhook", limit=limit, lease=30, each=each, skip=skip)

    async def test_made_listed_and_read(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        now = keepers.clock.now()
        assert hook == Webhook(id=hook.id, account_id=ann.id, name="bot", url=URL, created=now, changed=now)
        other = await keepers.webhooks.create(ann.id, "bot2", URL, NEW)
        assert await keepers.webhooks.listing(ann.id) == [hook, other]
        assert await keepers.webhooks.get(ann.id, hook.id) == hook
        assert await keepers.webhooks.listing(uuid.uuid4()) == []

    async def test_names_are_unique_among_ones_own(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        with pytest.raises(Invalid, match="name: 'bot' is taken"):
            await keepers.webhooks.create(ann.id, "bot", URL, NEW)
        other = await keepers.webhooks.create(ann.id, "other", URL, NEW)
        with pytest.raises(Invalid, match="name: 'bot' is taken"):
            await keepers.webhooks.change(ann.id, other.id, WebhookChange(name="bot"))
        assert (await keepers.webhooks.change(ann.id, hook.id, WebhookChange(name="bot"))).name == "bot"
        bob = await keepers.accounts.create("bob", "", Role.USER)
        assert (await keepers.webhooks.create(bob.id, "bot", URL, NEW)).name == "bot"
        with pytest.raises(NotFound):
            await keepers.webhooks.create(uuid.uuid4(), "bot", URL, NEW)

    @pytest.mark.parametrize("text", ["a\0b", "a\nb", "\ud800"])
    async def test_what_cannot_be_stored_is_refused(
        self, keepers: Keepers, ann: Account, hook: Webhook, text: str
    ) -> None:
        for field in ("name", "url"):
            fields = {"name": "x", "url": URL, field: text}
            with pytest.raises(Invalid, match=field):
                await keepers.webhooks.create(ann.id, fields["name"], fields["url"], NEW)
            with pytest.raises(Invalid, match=field):
                await keepers.webhooks.change(ann.id, hook.id, msgspec.convert({field: text}, WebhookChange))

    async def test_others_webhooks_are_nothing(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        for account, number in ((bob.id, hook.id), (ann.id, uuid.uuid4())):
            with pytest.raises(NotFound):
                await keepers.webhooks.get(account, number)
            with pytest.raises(NotFound):
                await keepers.webhooks.change(account, number, WebhookChange(enabled=False))
            with pytest.raises(NotFound):
                await keepers.webhooks.rotate(account, number, NEW, until=0)
            with pytest.raises(NotFound):
                await keepers.webhooks.delete(account, number)
        assert await keepers.webhooks.listing(ann.id) == [hook]

    async def test_a_rules_words_mean_its_owners_enabled_webhooks(
        self, keepers: Keepers, ann: Account, hook: Webhook
    ) -> None:
        other = await keepers.webhooks.create(ann.id, "other", URL, NEW)
        bob = await keepers.accounts.create("bob", "", Role.USER)
        await keepers.webhooks.create(bob.id, "bot", URL, NEW)
        await self.owe(keepers, ann, 1)
        await self.owe(keepers, ann, 2, words=("webhook:other",))
        await self.owe(keepers, ann, 3, words=("webhook:nobody", "email"))
        await self.owe(keepers, ann, 4, words=("webhook:bot", "webhook", "email"))
        await keepers.webhooks.change(ann.id, hook.id, WebhookChange(enabled=False))
        await keepers.webhooks.change(ann.id, hook.id, WebhookChange(enabled=False))
        await self.owe(keepers, ann, 5, words=("webhook", "webhook:bot"))
        owed = [(row.channel, row.target) for row in reversed(await keepers.outbox.listing())]
        mail, one, two = ("email", "ann@example.org"), ("webhook", str(hook.id)), ("webhook", str(other.id))
        assert sorted(owed[:2]) == sorted([one, two])
        assert owed[2:4] == [two, mail]
        assert sorted(owed[4:7]) == sorted([one, two, mail])
        assert owed[7:] == [two]
        assert len({row.id for row in await keepers.outbox.listing()}) == 8

    async def test_a_delivery_knows_its_place_in_the_feed(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        await self.owe(keepers, ann, 1, 2)
        head = await keepers.feeds.head(ann.id)
        first, second = await self.claimed(keepers)
        assert [first.entry, second.entry] == await keepers.feeds.read(ann.id, after_seq=0)
        assert isinstance(second.entry, FeedEntry)
        assert (second.entry.epoch, second.entry.seq, second.entry.signal) == (head.epoch, 2, second.signal)
        assert first.target == str(hook.id)

    async def test_a_test_has_none(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        await keepers.records.trials.owe(make_signal(ann.id, 9, channels=("webhook:bot", "webhook", "email")))
        (tried,) = await self.claimed(keepers)
        assert (tried.target, tried.entry) == (str(hook.id), None)
        (mailed,) = await keepers.outbox.claim("email", limit=9, lease=30)
        assert (mailed.target, mailed.entry) == ("ann@example.org", None)

    async def test_claimed_so_many_of_each_and_none_of_some(
        self, keepers: Keepers, ann: Account, hook: Webhook
    ) -> None:
        await self.owe(keepers, ann, *range(5))
        other = await keepers.webhooks.create(ann.id, "other", URL, NEW)
        await self.owe(keepers, ann, 7, 8, words=("webhook:other",))
        first, second = str(hook.id), str(other.id)
        assert await self.claimed(keepers, skip=(first, second)) == []
        assert [one.target for one in await self.claimed(keepers, limit=1, each=2)] == [first]
        assert [one.target for one in await self.claimed(keepers, each=1)] == [first, second]
        assert [one.target for one in await self.claimed(keepers, each=2, skip=(first,))] == [second]
        rest = await self.claimed(keepers, each=2)
        assert [(one.target, one.signal.cause) for one in rest] == [(first, "trade:2"), (first, "trade:3")]
        keepers.clock.advance(31)
        assert len(await self.claimed(keepers, each=9)) == 7
        assert await self.claimed(keepers, each=9) == []

    async def test_the_old_secret_signs_as_well_for_a_while(
        self, keepers: Keepers, ann: Account, hook: Webhook
    ) -> None:
        one = await keepers.webhooks.endpoint(hook.id)
        assert one is not None
        assert (one.id, one.url, one.secrets, one.disabled) == (hook.id, URL, (OLD,), None)
        until = keepers.clock.now() + HOUR
        rotated = await keepers.webhooks.rotate(ann.id, hook.id, NEW, until=until)
        assert rotated.former_until == until
        assert await self.secrets(keepers, hook) == (NEW, OLD)
        keepers.clock.advance(3_599)
        await keepers.webhooks.rotate(ann.id, hook.id, NEWER, until=until)
        assert await self.secrets(keepers, hook) == (NEWER, NEW)
        keepers.clock.advance(1)
        assert await self.secrets(keepers, hook) == (NEWER,)
        assert await keepers.webhooks.endpoint(uuid.uuid4()) is None

    async def secrets(self, keepers: Keepers, hook: Webhook) -> tuple[bytes, ...]:
        one = await keepers.webhooks.endpoint(hook.id)
        assert one is not None
        return one.secrets

    async def test_changed_disabled_and_enabled(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        keepers.clock.advance(5)
        moved = await keepers.webhooks.change(ann.id, hook.id, WebhookChange(name="robot", url=URL + "b"))
        assert (moved.name, moved.url, moved.changed) == ("robot", URL + "b", keepers.clock.now())
        assert (moved.created, moved.disabled) == (hook.created, None)
        await self.owe(keepers, ann, 1, 2)
        (sending,) = await self.claimed(keepers, limit=1)
        off = await keepers.webhooks.change(ann.id, hook.id, WebhookChange(enabled=False))
        assert (off.disabled, off.reason) == (keepers.clock.now(), "disabled by its owner")
        newest, oldest = await keepers.outbox.listing()
        assert (newest.state, newest.last_error) == (DeliveryState.DEAD, "the webhook was disabled")
        assert oldest.state is DeliveryState.SENDING
        assert await keepers.outbox.dead(sending, "the webhook is disabled")
        one = await keepers.webhooks.endpoint(hook.id)
        assert one is not None
        assert one.disabled == "disabled by its owner"
        on = await keepers.webhooks.change(ann.id, hook.id, WebhookChange(enabled=True))
        assert (on.disabled, on.reason) == (None, "")
        await keepers.outbox.revive(newest.id, account=ann.id)
        assert [one.id for one in await self.claimed(keepers)] == [newest.id]

    async def test_gone_is_told_with_its_reason(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        await self.owe(keepers, ann, 1)
        await keepers.webhooks.gone(hook.id, "410 Gone")
        await keepers.webhooks.gone(hook.id, "410 Gone again")
        await keepers.webhooks.gone(uuid.uuid4(), "410 Gone")
        told = await keepers.webhooks.get(ann.id, hook.id)
        assert (told.disabled, told.reason) == (keepers.clock.now(), "410 Gone")
        (row,) = await keepers.outbox.listing()
        assert (row.state, row.last_error) == (DeliveryState.DEAD, "the webhook was disabled: 410 Gone")

    async def test_deleted_it_owes_nothing_any_more(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        await self.owe(keepers, ann, 1)
        await keepers.webhooks.delete(ann.id, hook.id)
        with pytest.raises(NotFound):
            await keepers.webhooks.delete(ann.id, hook.id)
        (row,) = await keepers.outbox.listing()
        assert (row.state, row.last_error) == (DeliveryState.DEAD, "the webhook was deleted")
        assert await keepers.webhooks.listing(ann.id) == []

    async def test_everything_is_in_the_audit_log_without_secrets(
        self, keepers: Keepers, ann: Account, hook: Webhook
    ) -> None:
        await keepers.webhooks.change(ann.id, hook.id, WebhookChange(name="b", url=URL + "secret", enabled=False))
        await keepers.webhooks.rotate(ann.id, hook.id, NEW, until=0)
        await keepers.webhooks.change(ann.id, hook.id, WebhookChange(enabled=True))
        await keepers.webhooks.gone(hook.id, "410")
        await keepers.webhooks.delete(ann.id, hook.id)
        entries = [one for one in await keepers.records.audit.page(ann.id) if one.action.startswith("webhook.")]
        assert [(one.action, one.actor, one.detail) for one in reversed(entries)] == [
            ("webhook.create", ann.id, {"name": "bot"}),
            ("webhook.change", ann.id, {"name": "b", "url": "changed", "enabled": False}),
            ("webhook.rotate", ann.id, {}),
            ("webhook.change", ann.id, {"enabled": True}),
            ("webhook.disable", None, {"reason": "410"}),
            ("webhook.delete", ann.id, {"name": "b"}),
        ]
        assert {(one.account, one.target) for one in entries} == {(ann.id, str(hook.id))}

    async def test_exported_without_its_secret_and_erased(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        told = [one async for one in keepers.records.dossiers.export(ann)]
        [shown] = [document for kind, document in told if kind == "webhook"]
        assert (shown["id"], shown["name"], shown["url"]) == (str(hook.id), "bot", URL)
        assert not {"secret", "former"} & set(shown)
        await keepers.records.dossiers.erase(ann.id)
        assert await keepers.webhooks.endpoint(hook.id) is None

    async def test_what_waits_too_long_is_given_up(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        await self.owe(keepers, ann, 1, 2)
        keepers.clock.advance(10)
        (sending,) = await self.claimed(keepers, limit=1)
        await self.owe(keepers, ann, 3)
        assert await keepers.outbox.expire("webhook", [], before=keepers.clock.now(), error="late") == 0
        assert await keepers.outbox.expire("email", [str(hook.id)], before=keepers.clock.now(), error="late") == 0
        assert await keepers.outbox.expire("webhook", [str(hook.id)], before=keepers.clock.now(), error="late") == 1
        young, dead, busy = await keepers.outbox.listing()
        assert (young.state, busy.state, busy.id) == (DeliveryState.QUEUED, DeliveryState.SENDING, sending.id)
        assert (dead.state, dead.last_error) == (DeliveryState.DEAD, "late")

    async def test_an_owner_repeats_what_is_his(self, keepers: Keepers, ann: Account, hook: Webhook) -> None:
        bob = await keepers.accounts.create("bob", "", Role.USER)
        await self.owe(keepers, ann, 1)
        (delivery,) = await self.claimed(keepers)
        with pytest.raises(NotFound):
            await keepers.outbox.revive(delivery.id, account=ann.id)
        await keepers.outbox.sent(delivery, "204")
        for number, account in ((delivery.id, bob.id), (uuid.uuid4(), ann.id), (delivery.id, None)):
            with pytest.raises(NotFound):
                await keepers.outbox.revive(number, account=account)
        await keepers.outbox.revive(delivery.id, account=ann.id)
        (again,) = await self.claimed(keepers)
        assert (again.id, again.attempts, again.target) == (delivery.id, 2, str(hook.id))


class TestMemoryWebhooks(WebhookPromises):
    @pytest.fixture
    def keepers(self) -> Keepers:
        return in_memory()


@pytest.mark.postgres
class TestPostgresWebhooks(WebhookPromises):
    @pytest.fixture
    def keepers(self, database: Database) -> Keepers:
        return in_postgres(database)
