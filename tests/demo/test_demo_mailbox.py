"""The demo's mailbox: mail in, pages out, nothing of a mail runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import EmailMessage

import aiohttp
import aiosmtplib
import pytest

from pricewatch.demo.mailbox import Mailbox, MailServer

EVIL = "<script>alert(1)</script>"


@pytest.fixture
async def box() -> AsyncIterator[tuple[Mailbox, MailServer]]:
    mailbox = Mailbox(capacity=2)
    server = await mailbox.start()
    yield mailbox, server
    await server.stop()


def mail(subject: str = "hello", html: bool = True) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "a@example.org", "b@example.org"
    message["X-Evil"] = EVIL
    message.set_content(f"text {EVIL}")
    if html:
        message.add_alternative(f"<p>html</p>{EVIL}", subtype="html")
    return message


async def send(server: MailServer, message: EmailMessage) -> None:
    await aiosmtplib.send(message, hostname="127.0.0.1", port=server.smtp_port)


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text(), answer.headers.get("Content-Security-Policy", "")


async def test_an_empty_mailbox_says_so(box: tuple[Mailbox, MailServer]) -> None:
    status, text, _ = await get(box[1].url)
    assert status == 200
    assert "No mail yet" in text


async def test_a_mail_can_be_read_and_does_nothing(box: tuple[Mailbox, MailServer]) -> None:
    mailbox, server = box
    await send(server, mail(EVIL))
    assert mailbox.received == 1
    text = ""
    for page in ("", "1"):
        status, text, policy = await get(server.url + page)
        assert status == 200
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert policy.startswith("default-src 'none'")
        assert "script-src" not in policy
    assert "<iframe sandbox " in text
    _, body, policy = await get(server.url + "1/html")
    assert "<p>html</p>" in body
    assert policy.startswith("default-src 'none'")


async def test_a_plain_mail_shown_as_html_is_escaped(box: tuple[Mailbox, MailServer]) -> None:
    await send(box[1], mail(html=False))
    _, body, policy = await get(box[1].url + "1/html")
    assert "text" in body
    assert "default-src 'none'" in policy


async def test_the_newest_mails_are_kept(box: tuple[Mailbox, MailServer]) -> None:
    mailbox, server = box
    for number in range(3):
        await send(server, mail(f"mail {number}"))
    assert mailbox.received == 3
    _, text, _ = await get(server.url)
    assert "mail 0" not in text
    assert text.index("mail 2") < text.index("mail 1")
    assert (await get(server.url + "1"))[0] == 404
    assert (await get(server.url + "77"))[0] == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe no mail at all",
        b"Subject: =?utf-8?b?////?=\r\n\r\n\x00",
        b"Content-Type: x/y; charset=zzz\r\n\r\nhi",
    ],
)
async def test_broken_mail_does_not_break_the_pages(box: tuple[Mailbox, MailServer], content: bytes) -> None:
    _, server = box
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=server.smtp_port) as smtp:
        await smtp.sendmail("a@example.org", ["b@example.org"], content)
    for page in ("", "1", "1/html"):
        assert (await get(server.url + page))[0] == 200
