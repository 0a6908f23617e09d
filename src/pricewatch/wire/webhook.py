"""Webhooks by the Standard Webhooks scheme: what is sent, and how it is signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import msgspec

from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import rfc3339
from pricewatch.wire.signal import SignalDocument, document

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a signing secret."""


class WebhookEvent(msgspec.Struct, frozen=True):
    """The body. `type` is `signal.` and the signal's direction, or `signal.test`; `timestamp` is the signal's `at`."""

    type: str
    timestamp: str
    data: SignalDocument


def event(entry: FeedEntry) -> WebhookEvent:
    """What is told of a signal: the document of feed and REST, under the name of what happened."""
    signal = entry.signal
    word = "test" if signal.kind == "test" else signal.direction.value
    return WebhookEvent(f"signal.{word}", rfc3339(signal.at), document(entry))


def signature(secret: bytes, message: str, timestamp: int, body: bytes) -> str:
    """One `v1,` signature over the message's id, the second it is sent in and its body."""
    signed = b".".join((message.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def secret_text(secret: bytes) -> str:
    """The form that is shown to its owner."""
    return PREFIX + base64.b64encode(secret).decode()


def secret_bytes(text: str) -> bytes:
    """What `secret_text` was made of; raises `ValueError` that does not repeat it."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"the secret is not {PREFIX!r} and base64") from error
    if not SHORTEST <= len(secret) <= LONGEST:
        raise ValueError(f"the secret holds {len(secret)} bytes; it must hold {SHORTEST} to {LONGEST}")
    return secret
