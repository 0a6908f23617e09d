from __future__ import annotations

import uuid

import msgspec
import pytest

from pricewatch.ports.webhooks import Endpoint, Webhook
from pricewatch.wire import channel

HOOK = Webhook(
    id=uuid.UUID(int=5), account_id=uuid.UUID(int=6), name="bot", url="https://x.example/a", created=0, changed=0
)


def test_mail_and_webhooks_in_one_form() -> None:
    assert channel.mail("ann@example.org") == channel.ChannelDocument(
        channel="email", target="ann@example.org", state="confirmed"
    )
    shown = channel.webhook(HOOK)
    assert (shown.channel, shown.target, shown.state, shown.name) == (
        "webhook",
        "https://x.example/a",
        "enabled",
        "bot",
    )
    assert (shown.id, shown.created, shown.changed) == (HOOK.id, *["1970-01-01T00:00:00.000000Z"] * 2)
    assert (shown.disabled, shown.reason, shown.former_until, shown.secret) == (None, None, None, None)


def test_a_disabled_one_says_why_and_a_new_one_its_secret() -> None:
    gone = msgspec.structs.replace(HOOK, disabled=60_000_000, reason="410", former_until=120_000_000)
    shown = channel.webhook(gone, "whsec_x")
    assert (shown.state, shown.disabled, shown.reason) == ("disabled", "1970-01-01T00:01:00.000000Z", "410")
    assert (shown.former_until, shown.secret) == ("1970-01-01T00:02:00.000000Z", "whsec_x")


def test_what_sending_needs_does_not_show_itself() -> None:
    one = Endpoint(id=HOOK.id, url="https://x.example/token", secrets=(b"k" * 32,), disabled=None)
    assert repr(one) == f"Endpoint({HOOK.id})"


@pytest.mark.parametrize(
    "body", [b'{"kind":"sms","url":"https://x.example"}', b'{"kind":"webhook"}', b'{"kind":"webhook","url":"x"}']
)
def test_a_wish_is_checked(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=channel.NewChannel)
