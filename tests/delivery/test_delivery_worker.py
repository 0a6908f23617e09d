from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pricewatch.delivery.channels.base import Letter
from pricewatch.delivery.channels.email import EmailChannel
from pricewatch.delivery.settings import DeliverySettings, EmailSettings
from pricewatch.delivery.worker import DeliveryWorker
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.signal import FeedEntry, Signal
from pricewatch.ports.outbox import Delivery, DeliveryRow, DeliveryState
from pricewatch.testing.clock import ManualClock
from pricewatch.testing.deliveries import NOON, some_signal
from pricewatch.testing.outbox import MemoryOutbox
from pricewatch.testing.smtp import MailSink

_numbers = itertools.count(100)


def settings(sink: MailSink, **changes: Any) -> DeliverySettings:
    email = EmailSettings(host="127.0.0.1", port=sink.port, tls="none", sender="alerts@example.org", timeout=5.0)
    return DeliverySettings.model_validate({"email": email, "poll_interval": 0.02, **changes})


@asynccontextmanager
async def running(*workers: DeliveryWorker) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker.run()) for worker in workers]
        yield
        for task in tasks:
            task.cancel()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.01)


def news(**changes: Any) -> Signal:
    return some_signal(id=uuid.UUID(int=next(_numbers)), **changes)


def entry(signal: Signal) -> FeedEntry:
    return FeedEntry(feed=signal.account_id, epoch=1, seq=1, signal=signal, committed=NOON)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON + 100_000)


@pytest.fixture
def outbox(clock: ManualClock) -> MemoryOutbox:
    return MemoryOutbox(clock)


async def rows(outbox: MemoryOutbox) -> list[DeliveryRow]:
    return list(await outbox.listing())


def in_state(outbox: MemoryOutbox, state: DeliveryState, count: int = 1) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return (await outbox.counts())[state] == count

    return holds


def tried(outbox: MemoryOutbox) -> Callable[[], Awaitable[bool]]:
    """One delivery waits for its next attempt."""

    async def holds() -> bool:
        return any(row.state is DeliveryState.QUEUED and row.attempts for row in await rows(outbox))

    return holds


async def test_a_mail_goes_out_and_is_marked_after_that(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink), clock, outbox)
    async with running(worker):
        await until(in_state(outbox, DeliveryState.SENT))
    (row,) = await rows(outbox)
    (message,) = sink.messages
    assert sink.recipients == ["ann@example.org"]
    assert message["Message-ID"] == f"<{row.id}@example.org>"
    assert message["Subject"] == "BTC-USD above 70,000: 70,012.4 (coinbase) 14:03 UTC"
    assert outbox.reply(row.id) == "queued as 1"
    assert worker.trouble() is None
    assert worker.status()["channels"]["email"]["sent"] == 1


async def test_a_commit_wakes_the_worker_long_before_the_next_poll(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    worker = DeliveryWorker(settings(sink, poll_interval=60.0), clock, outbox)
    async with running(worker):
        await asyncio.sleep(0.05)
        signal = news()
        outbox.queue(signal, "email", "ann@example.org")
        worker.committed([entry(news(channels=()))])
        worker.committed([entry(signal)])
        async with asyncio.timeout(30):
            await sink.wait_for(1)


async def test_connections_are_reused(sink: MailSink, clock: ManualClock, outbox: MemoryOutbox) -> None:
    for _ in range(30):
        outbox.queue(news(), "email", "ann@example.org")
    async with running(DeliveryWorker(settings(sink, concurrency=2), clock, outbox)):
        await until(in_state(outbox, DeliveryState.SENT, 30))
    assert len(sink.accepted) == 30
    assert sink.connections <= 2


async def test_refused_for_good_is_dead_with_its_reason_and_harms_nobody_else(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    sink.rcpt.append("550 5.1.1 no such user")
    sink.data.append("554 5.7.1 looks like spam")
    for _ in range(3):
        outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink, concurrency=1), clock, outbox)
    async with running(worker):
        await until(in_state(outbox, DeliveryState.SENT))
        await until(in_state(outbox, DeliveryState.DEAD, 2))
    errors = {row.last_error for row in await outbox.listing(state=DeliveryState.DEAD)}
    assert errors == {"550 5.1.1 no such user", "554 5.7.1 looks like spam"}
    assert worker.trouble() is None
    assert sink.connections == 1


async def test_refused_for_now_is_tried_again_after_a_while(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    sink.rcpt.append("451 4.7.1 greylisted")
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink), clock, outbox)
    async with running(worker):
        await until(tried(outbox))
        (row,) = await rows(outbox)
        assert row.last_error == "451 4.7.1 greylisted"
        assert row.not_before == clock.now() + 5_000_000
        clock.advance(5.0)
        await until(in_state(outbox, DeliveryState.SENT))
    assert (await rows(outbox))[0].attempts == 2
    assert len(sink.accepted) == 1


async def test_an_outage_of_hours_loses_nothing_and_its_mails_say_so(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    await sink.stop()
    for _ in range(5):
        outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink), clock, outbox)
    async with running(worker):
        for _ in range(12):
            await asyncio.sleep(0.05)
            clock.advance(900.0)
        assert worker.trouble() is not None
        assert (await outbox.counts())[DeliveryState.DEAD] == 0
        await sink.start()
        everything = in_state(outbox, DeliveryState.SENT, 5)
        async with asyncio.timeout(60):
            while not await everything():  # an attempt in flight while the clock moved waits from its own end on
                clock.advance(60.0)
                await asyncio.sleep(0.05)
        assert worker.trouble() is None
    assert len({message["Message-ID"] for message in sink.messages}) == len(sink.messages) == 5
    assert all("14:03 UTC [delayed 3 h" in message["Subject"] for message in sink.messages)


async def test_after_a_day_it_is_a_dead_letter_that_can_be_revived(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    await sink.stop()
    outbox.queue(news(), "email", "ann@example.org")
    clock.advance(86_400.0)
    async with running(DeliveryWorker(settings(sink), clock, outbox)):
        await until(in_state(outbox, DeliveryState.DEAD))
        (row,) = await rows(outbox)
        assert row.last_error is not None
        assert row.last_error.startswith("gave up after 86400 s and 1 attempts: cannot use 127.0.0.1")
        await sink.start()
        await outbox.revive(row.id)
        await until(in_state(outbox, DeliveryState.SENT))


async def test_a_server_that_dies_in_the_middle_gets_the_same_mail_again(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    sink.deaths = 1
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink), clock, outbox)
    async with running(worker):
        await until(tried(outbox))
        (row,) = await rows(outbox)
        assert row.last_error is not None
        assert row.last_error.startswith("connection lost")
        clock.advance(5.0)
        await until(in_state(outbox, DeliveryState.SENT))
    assert [message["Message-ID"] for message in sink.messages] == [f"<{row.id}@example.org>"]


async def test_a_worker_killed_between_sending_and_marking_sends_one_extra_copy(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    class Killed(MemoryOutbox):
        """Its process dies when it is about to mark."""

        async def sent(self, delivery: Delivery, reply: str) -> bool:
            _ = delivery, reply
            return await asyncio.Event().wait()

    outbox.queue(news(), "email", "ann@example.org")
    dying = Killed(clock)
    dying._owed = outbox._owed
    async with running(DeliveryWorker(settings(sink, drain=0.1), clock, dying)):
        await sink.wait_for(1)
    async with running(DeliveryWorker(settings(sink), clock, outbox)):
        await asyncio.sleep(0.1)
        assert len(sink.accepted) == 1, "the lease still holds"
        clock.advance(120.0)
        await until(in_state(outbox, DeliveryState.SENT))
    first, second = sink.messages
    assert first["Message-ID"] == second["Message-ID"]


async def test_what_is_under_way_ends_before_a_stop(sink: MailSink, clock: ManualClock, outbox: MemoryOutbox) -> None:
    outbox.queue(news(), "email", "ann@example.org")
    async with running(DeliveryWorker(settings(sink), clock, outbox)):
        await sink.wait_for(1)
    assert (await outbox.counts())[DeliveryState.SENT] == 1


async def test_two_workers_share_and_double_nothing(sink: MailSink, clock: ManualClock, outbox: MemoryOutbox) -> None:
    for _ in range(40):
        outbox.queue(news(), "email", "ann@example.org")
    workers = [DeliveryWorker(settings(sink, concurrency=2), clock, outbox) for _ in range(2)]
    async with running(*workers):
        await until(in_state(outbox, DeliveryState.SENT, 40))
    assert len({message["Message-ID"] for message in sink.messages}) == len(sink.messages) == 40
    assert all(worker.status()["channels"]["email"]["sent"] > 0 for worker in workers)


@pytest.mark.parametrize(
    "title",
    [
        "x\r\nBcc: everybody@example.org",
        "\0nul\0",
        "\ud83d lone surrogate",
        "\u202egnp.exe",
        "<script>alert(1)</script>",
        "x" * 100_000,
        "",
    ],
    ids=["newline", "nul", "surrogate", "direction", "script", "long", "empty"],
)
async def test_hostile_titles_arrive_harmless(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox, title: str
) -> None:
    outbox.queue(news(title=title, kind=title, symbol=title[:50], venue=title[:50]), "email", "ann@example.org")
    async with running(DeliveryWorker(settings(sink), clock, outbox)):
        await until(in_state(outbox, DeliveryState.SENT))
    (message,) = sink.messages
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"]
    html = message.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert sink.recipients == ["ann@example.org"]


@pytest.mark.parametrize("target", ["", "a@b\r\nRCPT TO:<c@d>", "ann@example.org, bob@example.org", "ä@example.org"])
async def test_an_address_no_mail_can_go_to_is_dead_at_once(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox, target: str
) -> None:
    outbox.queue(news(), "email", target)
    async with running(DeliveryWorker(settings(sink), clock, outbox)):
        await until(in_state(outbox, DeliveryState.DEAD))
    assert sink.connections == 0


async def test_a_hole_in_the_rendering_stops_that_one_alone(
    sink: MailSink, clock: ManualClock, outbox: MemoryOutbox
) -> None:
    class Holed(EmailChannel):
        def render(self, delivery: Delivery, *, now: int) -> Letter:
            if delivery.signal.title == "boom":
                raise ValueError("no words for it")
            return super().render(delivery, now=now)

    outbox.queue(news(title="boom"), "email", "ann@example.org")
    outbox.queue(news(), "email", "ann@example.org")
    config = settings(sink)
    async with running(DeliveryWorker(config, clock, outbox, {"email": Holed(config.email)})):
        await until(in_state(outbox, DeliveryState.SENT))
        await until(in_state(outbox, DeliveryState.DEAD))


async def test_a_hanging_server_is_given_up_in_time(clock: ManualClock, outbox: MemoryOutbox) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _ = await reader.read()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    email = EmailSettings(host="127.0.0.1", port=port, tls="none", timeout=30.0)
    config = DeliverySettings(email=email, poll_interval=0.02, attempt_timeout=0.2, lease=5.0)
    outbox.queue(news(), "email", "ann@example.org")
    async with running(DeliveryWorker(config, clock, outbox)):
        await until(tried(outbox))
    assert (await rows(outbox))[0].last_error == "no result within 0.2 s"
    silent.close()
    await silent.wait_closed()


async def test_an_outbox_away_is_told_and_overcome(sink: MailSink, clock: ManualClock) -> None:
    class Shaky(MemoryOutbox):
        down = True
        marks = 0

        async def claim(self, channel: str, **wish: Any) -> list[Delivery]:
            if self.down:
                raise Unavailable("no database")
            return await super().claim(channel, **wish)

        async def sent(self, delivery: Delivery, reply: str) -> bool:
            self.marks += 1
            if self.marks < 3:
                raise Unavailable("no database")
            return await super().sent(delivery, reply)

    outbox = Shaky(clock)
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink), clock, outbox)
    async with running(worker):
        await asyncio.sleep(0.1)
        assert worker.trouble() == "email: outbox: no database"
        outbox.down = False
        await until(in_state(outbox, DeliveryState.SENT))
        assert worker.trouble() is None
    assert len(sink.accepted) == 1, "marking again is not sending again"


async def test_an_outbox_away_beyond_the_lease_is_counted(sink: MailSink, clock: ManualClock) -> None:
    class Deaf(MemoryOutbox):
        async def sent(self, delivery: Delivery, reply: str) -> bool:
            _ = delivery, reply
            raise Unavailable("no database")

    outbox = Deaf(clock)
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink, attempt_timeout=0.1, lease=0.2), clock, outbox)

    async def counted() -> bool:
        return bool(worker.status()["channels"]["email"]["unmarked"])

    async with running(worker):
        await until(counted)


async def test_a_lost_lease_is_counted(sink: MailSink, clock: ManualClock) -> None:
    class Late(MemoryOutbox):
        async def sent(self, delivery: Delivery, reply: str) -> bool:
            _ = await super().sent(delivery, reply)
            return False

    outbox = Late(clock)
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(settings(sink), clock, outbox)

    async def counted() -> bool:
        return ("lease_lost", 1) in {(sample.name, sample.value) for sample in worker.samples()}

    async with running(worker):
        await until(counted)


async def test_without_a_server_mails_wait(clock: ManualClock, outbox: MemoryOutbox) -> None:
    outbox.queue(news(), "email", "ann@example.org")
    worker = DeliveryWorker(DeliverySettings(), clock, outbox)
    async with running(worker):
        await asyncio.sleep(0.05)
    assert worker.status()["off"] == ["email", "webhook"]
    assert (await outbox.counts())[DeliveryState.QUEUED] == 1
