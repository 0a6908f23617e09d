from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from pricewatch.delivery.channels.base import Away, Letter
from pricewatch.delivery.channels.email import EmailChannel
from pricewatch.delivery.settings import DeliverySettings, EmailSettings
from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.testing.deliveries import NOON, some_delivery
from pricewatch.testing.smtp import MailSink

LETTER = Letter("ann@example.org", b"Subject: x\r\n\r\nbody\r\n")
SECRET = SecretStr("s3cret")


async def test_starttls_comes_before_the_password(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    sink = MailSink(tls=context, login=("ann", "s3cret"))
    await sink.start()
    settings = EmailSettings(host="localhost", port=sink.port, ca_file=cert, username="ann", password=SECRET)
    channel = EmailChannel(settings)
    assert await channel.send(channel.render(some_delivery(), now=NOON)) == "queued as 1"
    await channel.close()
    stranger = EmailChannel(settings.model_copy(update={"ca_file": None}))
    with pytest.raises(Away, match="cannot use localhost"):
        await stranger.send(LETTER)
    await sink.stop()


async def test_a_server_without_starttls_never_sees_the_password() -> None:
    sink = MailSink()
    await sink.start()
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=sink.port, username="ann", password=SECRET))
    with pytest.raises(Away, match="STARTTLS"):
        await channel.send(LETTER)
    assert sink.logins == []
    await sink.stop()


async def test_a_wrong_password_is_the_operators_matter_not_the_mails() -> None:
    sink = MailSink(login=("ann", "other"))
    await sink.start()
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=sink.port, tls="none", username="ann", password=SECRET))
    with pytest.raises(Away, match="cannot use"):
        await channel.send(LETTER)
    assert set(sink.logins) == {"ann"}
    await sink.stop()


async def test_an_unreadable_ca_file_is_told(tmp_path: Path) -> None:
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=1, ca_file=tmp_path / "none.pem"))
    with pytest.raises(Away, match="ca_file"):
        await channel.send(LETTER)


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ({"mail": "550 who are you"}, Away),
        ({"rcpt": "550 unknown"}, Refused),
        ({"rcpt": "450 later"}, Unavailable),
        ({"rcpt": "421 closing"}, Away),
        ({"data": "552 too large"}, Refused),
        ({"data": "452 disk full"}, Unavailable),
    ],
)
async def test_each_reply_is_named_by_what_to_do(
    sink: MailSink, replies: dict[str, str], kind: type[Exception]
) -> None:
    for step, reply in replies.items():
        getattr(sink, step).append(reply)
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=sink.port, tls="none"))
    with pytest.raises(kind) as caught:
        await channel.send(LETTER)
    assert type(caught.value) is kind
    assert await channel.send(LETTER) == "queued as 1"
    await channel.close()


async def test_an_idle_connection_is_let_go(sink: MailSink) -> None:
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=sink.port, tls="none", idle_limit=0.0))
    await channel.send(LETTER)
    await channel.send(LETTER)
    assert sink.connections == 2
    await channel.rest()
    assert channel._idle == []


async def test_a_connection_the_server_has_closed_is_not_used_again(sink: MailSink) -> None:
    channel = EmailChannel(EmailSettings(host="127.0.0.1", port=sink.port, tls="none"))
    await channel.send(LETTER)
    await sink.stop()
    await sink.start()
    await asyncio.sleep(0.05)
    assert await channel.send(LETTER) == "queued as 2"
    await channel.close()


def test_credentials_never_travel_in_clear() -> None:
    with pytest.raises(ValidationError, match="in clear"):
        EmailSettings(host="smtp.example.org", tls="none", username="ann", password=SECRET)
    assert EmailSettings(host="localhost", tls="none", username="ann", password=SECRET).username == "ann"
    assert EmailSettings(host="smtp.example.org", tls="none").host == "smtp.example.org"
    assert "s3cret" not in repr(EmailSettings(username="ann", password=SECRET))


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        EmailSettings(username="ann")
    with pytest.raises(ValidationError, match="plain mail address"):
        EmailSettings(sender="a@b\r\nBcc: c@d")
    with pytest.raises(ValidationError, match="must exceed attempt_timeout"):
        DeliverySettings(lease=1.0)
