"""A receiver's half of webhooks: whether a request is from pricewatch, unchanged and from now.

hook = verify(body, request.headers, "whsec_...")
if hook.id not in handled:
    act(hook.signal)
"""

from __future__ import annotations

import hmac
import math
import re
import time
from collections.abc import Mapping, Sequence

import msgspec

from pricewatch.client.signal import Signal
from pricewatch.domain.errors import PricewatchError
from pricewatch.wire.webhook import secret_bytes, signature

_SECONDS = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[!-~]{1,256}")
_MOST = 16
"""Signatures that are looked at; ours are at most two."""


class _Event(msgspec.Struct, frozen=True):
    type: str
    data: Signal


class BadWebhook(PricewatchError):  # noqa: N818 - named by what it is
    """Do not act on it: it is not from pricewatch, was changed on its way, or is too old. Answer with 400."""


class Webhook(msgspec.Struct, frozen=True):
    """What was verified."""

    id: str
    """The same at every attempt: what has been handled under it is not handled again."""
    type: str
    """`signal.fired`, `signal.cleared` ...; `signal.test` for a try."""
    signal: Signal


def verify(
    payload: bytes,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    tolerance: float = 300.0,
    *,
    now: float | None = None,
) -> Webhook:
    """The signal in a request, once it is sure that who knows the secret sent it no longer than `tolerance` s ago.

    `payload` is the body exactly as it came; `headers` in any case; several secrets while one replaces another. `now`
    in seconds since 1970, for tests. Raises `BadWebhook` saying what is wrong, and `ValueError` for a malformed secret.
    """
    keys = [secret_bytes(one) for one in ([secret] if isinstance(secret, str) else secret)]
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not given.get(name)]
    if missing:
        raise BadWebhook(f"there is no header {' nor '.join(missing)}: this is no webhook, or a proxy removed it")
    message, stamp = given["webhook-id"], given["webhook-timestamp"]
    if not _ID.fullmatch(message) or not _SECONDS.fullmatch(stamp):
        raise BadWebhook("webhook-id or webhook-timestamp is malformed")
    age = (time.time_ns() / 1e9 if now is None else now) - int(stamp)
    if math.fabs(age) > tolerance:
        side = "old" if age > 0 else "early"
        raise BadWebhook(f"webhook-timestamp is {math.fabs(age):.0f} s too {side}: it is replayed, or a clock is wrong")
    signatures = given["webhook-signature"].split(" ", _MOST)[:_MOST]
    expected = [signature(key, message, int(stamp), payload).encode() for key in keys]
    matches = [hmac.compare_digest(one.encode(), right) for one in signatures for right in expected]
    if not any(matches):
        raise BadWebhook("no signature fits: another secret, or the body is not exactly what was sent")
    try:
        told = msgspec.json.decode(payload, type=_Event)
    except msgspec.DecodeError as error:
        raise BadWebhook(f"it is signed, but its body cannot be read: {error}") from error
    return Webhook(message, told.type, told.data)
