from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.delivery.endpoint import Answer, Receiver, endless, never, slow, status

from pricewatch.client import verify
from pricewatch.delivery.channels.resolver import GuardedResolver
from pricewatch.delivery.channels.webhook import WebhookChannel
from pricewatch.delivery.settings import DeliverySettings, EmailSettings, WebhookSettings
from pricewatch.delivery.worker import DeliveryWorker
from pricewatch.domain.account import Account, Role
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import SECOND, to_datetime
from pricewatch.ports.journal import Change
from pricewatch.ports.outbox import Delivery, DeliveryRow, DeliveryState
from pricewatch.ports.webhooks import Webhook, WebhookChange
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.deliveries import NOON, some_signal
from pricewatch.testing.journal import MemoryStore
from pricewatch.testing.outbox import MemoryOutbox
from pricewatch.testing.smtp import MailSink
from pricewatch.wire.signal import document
from pricewatch.wire.webhook import secret_text

KEY, NEXT = b"k" * 32, b"n" * 32
HOME: dict[str, Any] = {"http": True, "networks": ("127.0.0.0/8",)}
_numbers = itertools.count(5_000)


def settings(**changes: Any) -> DeliverySettings:
    webhook = {**HOME, **changes.pop("webhook", {})}
    return DeliverySettings.model_validate({"webhook": webhook, "poll_interval": 0.02, **changes})


class World:
    """Keepers in memory, one account, and a worker over them."""

    def __init__(self, outbox: type[MemoryOutbox] = MemoryOutbox) -> None:
        self.clock = ManualClock(NOON + 100_000)
        self.store = MemoryStore(self.clock)
        if outbox is not MemoryOutbox:
            self.store.outbox.__class__ = outbox
        self.ann: Account

    async def start(self) -> World:
        self.ann = await self.store.accounts.create("ann", "ann@example.org", Role.USER)
        self.claim = await self.store.journal.claim(0, "engine")
        return self

    async def hook(self, url: str, name: str = "bot") -> Webhook:
        return await self.store.webhooks.create(self.ann.id, name, url, KEY)

    async def fire(self, count: int = 1, *, words: tuple[str, ...] = ("webhook",)) -> list[Signal]:
        numbers = [next(_numbers) for _ in range(count)]
        signals = [some_signal(id=uuid.UUID(int=n), account_id=self.ann.id, channels=words) for n in numbers]
        await self.store.journal.commit(self.claim, Change(cursor=1, signals=signals))
        return signals

    async def rows(self) -> list[DeliveryRow]:
        return list(await self.store.outbox.listing())

    async def counts(self, state: DeliveryState) -> int:
        return (await self.store.outbox.counts())[state]

    def worker(self, config: DeliverySettings | None = None) -> DeliveryWorker:
        return DeliveryWorker(config or settings(), self.clock, self.store.outbox, endpoints=self.store.webhooks)

    @asynccontextmanager
    async def working(self, config: DeliverySettings | None = None) -> AsyncIterator[DeliveryWorker]:
        worker = self.worker(config)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(worker.run())
            try:
                yield worker
            finally:
                task.cancel()

    async def until(self, condition: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(60):
            while not await condition():
                await asyncio.sleep(0.005)

    async def until_state(self, state: DeliveryState, count: int = 1) -> None:
        async def reached() -> bool:
            return await self.counts(state) == count

        await self.until(reached)

    async def until_tried(self, attempts: int = 1) -> DeliveryRow:
        """The newest delivery waits for its next attempt."""

        async def reached() -> bool:
            row = (await self.rows())[0]
            return row.state is DeliveryState.QUEUED and row.attempts == attempts

        await self.until(reached)
        return (await self.rows())[0]


@pytest.fixture
async def world() -> World:
    return await World().start()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().running() as receiver:
        yield receiver


async def test_a_signal_arrives_signed_with_the_document_of_the_feed(world: World, receiver: Receiver) -> None:
    hook = await world.hook(receiver.url)
    [signal] = await world.fire()
    async with world.working() as worker:
        await world.until_state(DeliveryState.SENT)
    [call], [row] = receiver.calls, await world.rows()
    assert call.signed_by(KEY)
    assert not call.signed_by(NEXT)
    assert call.id == str(row.id)
    assert call.headers["webhook-timestamp"] == str(world.clock.now() // SECOND)
    assert call.headers["Content-Type"] == "application/json"
    [entry] = await world.store.journal.read(world.ann.id, after_seq=0)
    assert call.document["data"] == msgspec.json.decode(msgspec.json.encode(document(entry)))
    assert (call.document["type"], call.document["data"]["id"]) == ("signal.fired", str(signal.id))
    assert verify(call.body, call.headers, secret_text(KEY), now=world.clock.now() / SECOND).signal.seq == 1
    reply = world.store.outbox.reply(row.id)
    assert reply is not None
    assert reply.startswith("204 after ")
    assert reply.endswith(" ms")
    assert worker.status()["channels"]["webhook"]["sent"] == 1
    assert row.target == str(hook.id)


async def test_a_commit_wakes_the_worker(world: World, receiver: Receiver) -> None:
    await world.hook(receiver.url)
    async with world.working(settings(poll_interval=60.0)) as worker:
        await asyncio.sleep(0.05)
        await world.fire(words=("webhook:bot",))
        worker.committed(await world.store.journal.read(world.ann.id, after_seq=0))
        await receiver.wait_for(1)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
async def test_any_2xx_is_delivered(world: World, receiver: Receiver, code: int) -> None:
    receiver.answers.append(status(code))
    await world.hook(receiver.url)
    await world.fire()
    async with world.working():
        await world.until_state(DeliveryState.SENT)
    assert len(receiver.calls) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 404, 408, 422, 429, 500, 503])
async def test_everything_else_is_tried_again_under_the_same_id(world: World, receiver: Receiver, code: int) -> None:
    receiver.answers.append(status(code, Location=receiver.url))
    await world.hook(receiver.url)
    await world.fire()
    async with world.working():
        row = await world.until_tried()
        assert row.last_error is not None
        assert row.last_error.startswith(f"{code} after ")
        assert ("redirects are not followed" in row.last_error) is (code < 400)
        wait = (row.not_before - world.clock.now()) / SECOND
        assert 2.5 <= wait <= 5.0
        world.clock.advance(5.0)
        await world.until_state(DeliveryState.SENT)
    first, second = receiver.calls
    assert first.id == second.id == str(row.id)
    assert first.body == second.body
    assert second.signed_by(KEY)
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 5


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("is_date", [False, True])
async def test_retry_after_is_obeyed_by_all_of_the_endpoint(
    world: World, receiver: Receiver, code: int, *, is_date: bool
) -> None:
    until = format_datetime(to_datetime(world.clock.now() // SECOND * SECOND + 120 * SECOND), usegmt=True)
    receiver.answers.append(status(code, Retry_After=until if is_date else "120"))
    await world.hook(receiver.url)
    await world.fire()
    async with world.working() as worker:
        row = await world.until_tried()
        assert row.last_error is not None
        assert "to come back in 120 s" in row.last_error
        assert 119 * SECOND <= row.not_before - world.clock.now() <= 120 * SECOND
        await world.fire()
        world.clock.advance(118.0)
        await asyncio.sleep(0.1)
        assert len(receiver.calls) == 1, "the second signal waits as well"
        assert worker.status()["channels"]["webhook"]["held"] == 1
        world.clock.advance(2.0)
        await world.until_state(DeliveryState.SENT, 2)
        assert worker.status()["channels"]["webhook"]["held"] == 0


async def test_what_cannot_be_waited_for_has_its_last_attempt_at_the_end(world: World, receiver: Receiver) -> None:
    receiver.answers.append(status(503, Retry_After="999999999"))
    await world.hook(receiver.url)
    await world.fire()
    async with world.working(settings(retry_for=600.0)):
        row = await world.until_tried()
        assert row.not_before == row.queued + 600 * SECOND
        world.clock.advance(600.0)
        await world.until_state(DeliveryState.SENT)


async def test_after_its_time_it_is_a_dead_letter_that_can_be_sent_again(world: World, receiver: Receiver) -> None:
    receiver.usual = status(500)
    await world.hook(receiver.url)
    await world.fire()
    world.clock.advance(86_400.0)
    async with world.working():
        await world.until_state(DeliveryState.DEAD)
        [row] = await world.rows()
        assert row.last_error is not None
        assert row.last_error.startswith("gave up after 86400 s and 1 attempts: 500 after ")
        receiver.usual = status(200)
        await world.store.outbox.revive(row.id, account=world.ann.id)
        world.clock.advance(5.0)
        await world.until_state(DeliveryState.SENT)
    assert {call.id for call in receiver.calls} == {str(row.id)}


async def test_410_disables_it_and_says_so(world: World, receiver: Receiver) -> None:
    receiver.answers.append(status(410))
    hook = await world.hook(receiver.url)
    await world.fire(3)
    async with world.working(settings(webhook={"each": 1})) as worker:
        await world.until_state(DeliveryState.DEAD, 3)
        assert worker.trouble() is None
    assert len(receiver.calls) == 1
    told = await world.store.webhooks.get(world.ann.id, hook.id)
    assert (told.disabled, told.reason) == (world.clock.now(), "its endpoint answered 410 Gone")
    errors = {row.last_error for row in await world.rows()}
    assert "the webhook was disabled: its endpoint answered 410 Gone" in errors
    assert any(error is not None and error.endswith("the webhook is now disabled") for error in errors)
    await world.fire()
    assert len(await world.rows()) == 3, "nothing more is owed to it"
    await world.store.webhooks.change(world.ann.id, hook.id, WebhookChange(enabled=True))
    await world.fire()
    async with world.working():
        await world.until_state(DeliveryState.SENT)


async def test_what_was_claimed_before_it_was_disabled_or_deleted_is_not_sent(world: World, receiver: Receiver) -> None:
    hook = await world.hook(receiver.url)
    channel = WebhookChannel(settings(), world.clock, world.store.webhooks)
    await world.fire()
    [delivery] = await world.store.outbox.claim("webhook", limit=1, lease=30)
    letter = channel.render(delivery, now=0)
    await world.store.webhooks.change(world.ann.id, hook.id, WebhookChange(enabled=False))
    with pytest.raises(Exception, match="the webhook is disabled: disabled by its owner"):
        await channel.send(letter)
    await world.store.webhooks.delete(world.ann.id, hook.id)
    with pytest.raises(Exception, match="the webhook was deleted"):
        await channel.send(letter)
    await channel.close()
    assert receiver.calls == []


async def test_a_row_of_no_webhook_is_dead_and_harms_nobody(world: World, receiver: Receiver) -> None:
    await world.hook(receiver.url)
    world.store.outbox.queue(some_signal(account_id=world.ann.id), "webhook", "x\r\ny")
    await world.fire()
    async with world.working():
        await world.until_state(DeliveryState.SENT)
        await world.until_state(DeliveryState.DEAD)
    assert [row.last_error for row in await world.rows() if row.last_error] == ["'x y' is no webhook"]


async def test_after_a_rotation_both_secrets_sign_for_a_while(world: World, receiver: Receiver) -> None:
    hook = await world.hook(receiver.url)
    await world.store.webhooks.rotate(world.ann.id, hook.id, NEXT, until=world.clock.now() + 60 * SECOND)
    await world.fire()
    async with world.working():
        await world.until_state(DeliveryState.SENT)
        world.clock.advance(61.0)
        await world.fire()
        await world.until_state(DeliveryState.SENT, 2)
    both, new = receiver.calls
    assert both.headers["webhook-signature"].count("v1,") == 2
    assert both.signed_by(KEY)
    assert both.signed_by(NEXT)
    assert new.signed_by(NEXT)
    assert not new.signed_by(KEY)


async def test_a_test_says_that_it_is_one(world: World, receiver: Receiver) -> None:
    await world.hook(receiver.url)
    signal = some_signal(kind="test", account_id=world.ann.id, channels=("webhook:bot",))
    await world.store.records.trials.owe(signal)
    async with world.working():
        await world.until_state(DeliveryState.SENT)
    [call] = receiver.calls
    assert call.document["type"] == "signal.test"
    assert (call.document["data"]["epoch"], call.document["data"]["seq"]) == (0, 0)


async def test_a_worker_killed_between_sending_and_marking_sends_the_same_again(receiver: Receiver) -> None:
    class Killed(MemoryOutbox):
        """Its process dies when it is about to mark, the first time."""

        deaths = 1

        async def sent(self, delivery: Delivery, reply: str) -> bool:
            if Killed.deaths:
                return await asyncio.Event().wait()
            return await super().sent(delivery, reply)

    world = await World(Killed).start()
    await world.hook(receiver.url)
    await world.fire()
    async with world.working(settings(drain=0.05)):
        await receiver.wait_for(1)
    Killed.deaths = 0
    async with world.working():
        await asyncio.sleep(0.1)
        assert len(receiver.calls) == 1, "the lease still holds"
        world.clock.advance(120.0)
        await world.until_state(DeliveryState.SENT)
    first, second = receiver.calls
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_silent_endpoint_holds_neither_others_nor_mails_back(world: World, receiver: Receiver) -> None:
    sink = MailSink()
    await sink.start()
    email = EmailSettings(host="127.0.0.1", port=sink.port, tls="none", sender="alerts@example.org")
    async with Receiver().running() as silent:
        silent.usual = never
        await world.hook(silent.url, "silent")
        await world.hook(receiver.url, "well")
        await world.fire(60, words=("webhook", "email"))
        config = settings(email=email, webhook={"timeout": 30.0, "concurrency": 4, "each": 2}, drain=0.05)
        async with world.working(config) as worker:
            await world.until_state(DeliveryState.SENT, 120)
            assert worker.trouble() is None
            assert worker.status()["channels"]["webhook"]["in_flight"] == 2
        assert silent.most_open == 2
        assert receiver.most_open <= 2
        assert len({call.id for call in receiver.calls}) == len(receiver.calls) == 60
    await sink.stop()


async def test_an_endpoint_that_does_not_answer_is_left_alone_for_growing_times(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        await world.hook(f"http://127.0.0.1:{taken.getsockname()[1]}/hook")
    await world.fire(3)
    async with world.working(settings(webhook={"each": 1})) as worker:

        async def tries() -> int:
            return sum(row.attempts for row in await world.rows())

        async def held() -> bool:
            return bool(worker.is_held("webhook", (await world.rows())[0].target))

        for wait, count in ((5.0, 1), (10.0, 2), (20.0, 3), (40.0, 4)):

            async def reached(count: int = count) -> bool:
                return await tries() == count and await held()

            await world.until(reached)
            await asyncio.sleep(0.06)
            assert await tries() == count
            world.clock.advance(wait)
        assert worker.trouble() is None
    assert all(row.last_error is None or row.last_error.startswith("no answer: ") for row in await world.rows())


async def test_what_waits_for_a_dead_endpoint_is_given_up_in_time(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        await world.hook(f"http://127.0.0.1:{taken.getsockname()[1]}/hook")
    await world.fire(50)
    world.clock.advance(86_400.0 + 121.0)
    async with world.working(settings(webhook={"each": 1})) as worker:
        await world.until_state(DeliveryState.DEAD, 50)
        assert worker.status()["channels"]["webhook"]["dead"] == 50
    assert sum(row.attempts for row in await world.rows()) == 1


async def test_an_outbox_away_while_giving_up_is_told(world: World) -> None:
    class Shaky(MemoryOutbox):
        async def expire(self, *_: Any, **__: Any) -> int:
            raise Unavailable("no database")

    shaky = await World(Shaky).start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        await shaky.hook(f"http://127.0.0.1:{taken.getsockname()[1]}/hook")
    await shaky.fire(2)
    async with shaky.working(settings(webhook={"each": 1})) as worker:

        async def told() -> bool:
            return worker.trouble() == "webhook: outbox: no database"

        await shaky.until(told)
    assert world.clock.now() > 0


@pytest.mark.parametrize("answer", [endless, slow])
async def test_an_endless_answer_is_cut_short_and_still_counts(
    world: World, receiver: Receiver, answer: Answer
) -> None:
    receiver.usual = answer
    await world.hook(receiver.url)
    await world.fire(2)
    async with world.working():
        await world.until_state(DeliveryState.SENT, 2)
    assert len(receiver.calls) == 2


async def test_an_answer_that_never_comes_is_given_up(world: World, receiver: Receiver) -> None:
    receiver.usual = never
    await world.hook(receiver.url)
    await world.fire()
    async with world.working(settings(webhook={"timeout": 0.2})):
        row = await world.until_tried()
    assert row.last_error == "no answer within 0.2 s"


async def test_an_endpoint_that_speaks_no_http_is_tried_again(world: World) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\xff\x00 hello\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    await world.hook(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    await world.fire()
    async with world.working():
        row = await world.until_tried()
    assert row.last_error is not None
    assert row.last_error.startswith("no answer: ")
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/hook",
        "https://127.0.0.1:{port}/hook",
        "https://localhost:{port}/hook",
        "https://[::1]:{port}/hook",
        "https://[::ffff:127.0.0.1]:{port}/hook",
        "https://0x7f.1:{port}/hook",
        "https://2130706433:{port}/hook",
        "https://user@hooks.example.org:{port}/hook",
    ],
)
async def test_a_url_that_leads_inside_is_not_asked(world: World, receiver: Receiver, url: str) -> None:
    await world.hook(url.format(port=receiver.port))
    await world.fire()
    async with world.working(settings(webhook={"http": False, "networks": ()})):
        row = await world.until_tried()
    assert row.last_error is not None
    assert row.last_error.startswith("this URL is not allowed here: it ")
    assert receiver.calls == []


class Rebound(GuardedResolver):
    """A name server that answers as it is told."""

    answers: tuple[str, ...] = ()
    asked = 0

    def lookup(self, host: str, port: int, family: int) -> list[tuple[int, str]]:
        self.asked += 1
        assert (host, family) == ("hooks.example.org", socket.AF_UNSPEC)
        assert port
        found = self.answers[min(self.asked, len(self.answers)) - 1]
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in found.split()]


@pytest.mark.parametrize(
    "inside",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1", "100.64.0.1", "0.0.0.0", "fe80::1"],
)
async def test_a_name_that_leads_inside_is_not_connected_to(world: World, receiver: Receiver, inside: str) -> None:
    """However public it was a moment ago."""
    config = settings(webhook={"networks": ()})
    resolver = Rebound(config.webhook.reach)
    resolver.answers = (inside,)
    channel = WebhookChannel(config, world.clock, world.store.webhooks, resolver)
    await world.hook(f"http://hooks.example.org:{receiver.port}/hook")
    await world.fire()
    [delivery] = await world.store.outbox.claim("webhook", limit=1, lease=30)
    letter = channel.render(delivery, now=0)
    with pytest.raises(Unavailable, match="at no address that webhooks may go to"):
        await channel.send(letter)
    assert resolver.asked == 1
    await channel.close()
    assert receiver.calls == []


async def test_what_was_checked_is_connected_to(world: World, receiver: Receiver) -> None:
    """The host is asked for once a connection; of its addresses only those allowed are used."""
    config = settings(webhook={"each": 1})
    resolver = Rebound(config.webhook.reach)
    resolver.answers = ("169.254.169.254 10.0.0.1 127.0.0.1 127.0.0.1",)
    channel = WebhookChannel(config, world.clock, world.store.webhooks, resolver)
    await world.hook(f"http://hooks.example.org:{receiver.port}/hook")
    await world.fire(3)
    for delivery in await world.store.outbox.claim("webhook", limit=3, lease=30):
        assert (await channel.send(channel.render(delivery, now=0))).startswith("204")
    assert resolver.asked == 1
    await channel.close()
    assert [call.headers["Host"] for call in receiver.calls] == [f"hooks.example.org:{receiver.port}"] * 3


async def test_the_systems_names_are_resolved_and_checked() -> None:
    home = GuardedResolver(WebhookSettings.model_validate(HOME).reach)
    found = await home.resolve("localhost", 80, socket.AF_INET)
    assert [(one["host"], one["port"]) for one in found] == [("127.0.0.1", 80)]
    await home.close()
    public = GuardedResolver(WebhookSettings().reach)
    with pytest.raises(OSError, match="at no address"):
        await public.resolve("localhost", 80, socket.AF_INET)
    await public.close()


async def test_over_tls_only_to_whom_the_authority_knows(world: World, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with Receiver().running(context) as receiver:
        await world.hook(f"https://localhost:{receiver.port}/hook")
        await world.fire()
        async with world.working(settings(webhook={"http": False})):
            row = await world.until_tried()
        assert row.last_error is not None
        assert "certificate verify failed" in row.last_error
        world.clock.advance(5.0)
        async with world.working(settings(webhook={"http": False, "ca_file": cert})):
            await world.until_state(DeliveryState.SENT)
        assert len(receiver.calls) == 1


async def test_an_unreadable_ca_file_is_told(world: World, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    await world.hook("https://localhost:8443/")
    await world.fire()
    async with world.working(settings(webhook={"ca_file": str(broken)})):
        row = await world.until_tried()
    assert row.last_error is not None
    assert row.last_error.startswith(f"cannot read ca_file {broken}")


async def test_nothing_secret_is_logged(world: World, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    receiver.answers += [status(500), status(410)]
    await world.hook(receiver.url + "?token=hush")
    await world.fire()
    async with world.working():
        await world.until_tried()
        world.clock.advance(5.0)
        await world.until_state(DeliveryState.DEAD)
    logged = capsys.readouterr()
    assert "webhook.gone" in logged.out + logged.err
    assert "hush" not in logged.out + logged.err
    assert "kkkk" not in logged.out + logged.err


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"'10\.1\.0\.1/16' is no network"):
        WebhookSettings(networks=("10.1.0.1/16",))
    with pytest.raises(ValueError, match="'home' is no network"):
        WebhookSettings(networks=("home",))
