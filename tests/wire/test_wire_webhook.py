from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from pricewatch.domain.signal import Direction, FeedEntry
from pricewatch.testing.deliveries import NOON, some_signal
from pricewatch.wire.signal import document
from pricewatch.wire.webhook import event, secret_bytes, secret_text, signature

KEY = bytes(range(32))


def entry(**changes: Any) -> FeedEntry:
    signal = some_signal(**changes)
    return FeedEntry(feed=signal.account_id, epoch=3, seq=41, signal=signal, committed=NOON + 90_000)


def test_the_body_holds_the_very_document_of_feed_and_rest() -> None:
    one = entry()
    told = msgspec.json.decode(msgspec.json.encode(event(one)))
    assert set(told) == {"type", "timestamp", "data"}
    assert (told["type"], told["timestamp"]) == ("signal.fired", "2026-01-31T14:03:00.000000Z")
    assert told["data"] == msgspec.json.decode(msgspec.json.encode(document(one)))


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"direction": Direction.CLEARED}, "signal.cleared"), ({"kind": "test"}, "signal.test")],
)
def test_the_type_says_what_happened(changes: dict[str, Any], word: str) -> None:
    assert event(entry(**changes)).type == word


def test_the_signature_is_that_of_the_scheme() -> None:
    right = base64.b64encode(hmac.new(KEY, b"msg_1.1614265330." + b'{"a":1}', hashlib.sha256).digest()).decode()
    assert signature(KEY, "msg_1", 1614265330, b'{"a":1}') == f"v1,{right}"
    # The example the scheme's authors publish with their libraries.
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    published = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == published


def test_secrets_are_written_and_read() -> None:
    text = secret_text(KEY)
    assert text.startswith("whsec_")
    assert secret_bytes(text) == secret_bytes(text.removeprefix("whsec_")) == KEY


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_not base64!", "whsec_" + "QUFB" * 7, "whsec_" + "QUFB" * 22, "ä"]
)
def test_a_malformed_secret_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="the secret") as refused:
        secret_bytes(text)
    assert not text or text not in str(refused.value)
