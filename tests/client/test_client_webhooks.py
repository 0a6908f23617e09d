from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from pricewatch.client import BadWebhook, verify
from pricewatch.domain.signal import FeedEntry
from pricewatch.testing.deliveries import NOON, some_signal
from pricewatch.wire.webhook import event, secret_text, signature

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
KEY, OTHER = b"k" * 32, b"o" * 24
SIGNAL = some_signal()
BODY = msgspec.json.encode(
    event(FeedEntry(feed=SIGNAL.account_id, epoch=3, seq=41, signal=SIGNAL, committed=NOON + 90_000))
)
THEN = 1_769_868_180


def signed(body: bytes = BODY, *keys: bytes, at: int = THEN) -> dict[str, str]:
    made = " ".join(signature(key, "d-1", at, body) for key in keys or (KEY,))
    return {"Webhook-Id": "d-1", "WEBHOOK-TIMESTAMP": str(at), "webhook-signature": made}


def test_a_true_one_gives_its_signal() -> None:
    hook = verify(BODY, signed(), secret_text(KEY), now=THEN + 299.0)
    assert (hook.id, hook.type) == ("d-1", "signal.fired")
    assert (hook.signal.id, hook.signal.seq, hook.signal.price) == (SIGNAL.id, 41, "70012.4")
    now = int(time.time_ns() / 1e9)
    assert verify(BODY, signed(at=now), secret_text(KEY)).id == "d-1"


def test_while_a_secret_is_replaced_either_is_enough() -> None:
    assert verify(BODY, signed(BODY, KEY, OTHER), secret_text(OTHER), now=THEN).id == "d-1"
    assert verify(BODY, signed(BODY, KEY, OTHER), secret_text(KEY), now=THEN).id == "d-1"
    assert verify(BODY, signed(BODY, OTHER), [secret_text(KEY), secret_text(OTHER)], now=THEN).id == "d-1"
    unknown = {**signed(), "webhook-signature": "v1a,xyz v2,abc " + signed()["webhook-signature"]}
    assert verify(BODY, unknown, secret_text(KEY), now=THEN).id == "d-1"


@pytest.mark.parametrize("name", ["Webhook-Id", "WEBHOOK-TIMESTAMP", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(BadWebhook, match=name.lower()):
        verify(BODY, headers, secret_text(KEY), now=THEN)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda headers: {**headers, "Webhook-Id": "d-2"}, "no signature fits"),
        (lambda headers: {**headers, "WEBHOOK-TIMESTAMP": str(THEN + 1)}, "no signature fits"),
        (lambda headers: {**headers, "webhook-signature": "v1,"}, "no signature fits"),
        (
            lambda headers: {**headers, "webhook-signature": "v1,\u00e4\ud800".encode("utf-8", "replace").decode()},
            "fits",
        ),
        (
            lambda headers: {**headers, "webhook-signature": "x " * 16 + headers["webhook-signature"]},
            "no signature fits",
        ),
        (lambda headers: {**headers, "WEBHOOK-TIMESTAMP": "soon"}, "malformed"),
        (lambda headers: {**headers, "WEBHOOK-TIMESTAMP": "-1"}, "malformed"),
        (lambda headers: {**headers, "Webhook-Id": "a b"}, "malformed"),
    ],
)
def test_a_false_one_is_refused(spoil: Callable[[dict[str, str]], dict[str, str]], words: str) -> None:
    with pytest.raises(BadWebhook, match=words):
        verify(BODY, spoil(signed()), secret_text(KEY), now=THEN)


def test_another_body_or_secret_does_not_fit() -> None:
    with pytest.raises(BadWebhook, match="no signature fits"):
        verify(BODY + b" ", signed(), secret_text(KEY), now=THEN)
    with pytest.raises(BadWebhook, match="no signature fits"):
        verify(BODY, signed(), secret_text(OTHER), now=THEN)


@pytest.mark.parametrize(("now", "side"), [(THEN + 301.0, "old"), (THEN - 301.0, "early")])
def test_too_old_or_too_early_is_refused(now: float, side: str) -> None:
    with pytest.raises(BadWebhook, match=f"301 s too {side}"):
        verify(BODY, signed(), secret_text(KEY), now=now)
    assert verify(BODY, signed(), secret_text(KEY), 302.0, now=now).id == "d-1"


@pytest.mark.parametrize("body", [b"", b"not json", b'{"type":"x"}', b"\xff"])
def test_signed_but_unreadable_is_refused(body: bytes) -> None:
    with pytest.raises(BadWebhook, match="cannot be read"):
        verify(body, signed(body), secret_text(KEY), now=THEN)


def test_a_malformed_secret_is_the_receivers_fault() -> None:
    with pytest.raises(ValueError, match="the secret"):
        verify(BODY, signed(), "whsec_x", now=THEN)


async def test_the_documented_receiver_takes_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.replace("whsec_…", secret_text(KEY)), names)
    runner = web.AppRunner(names["app"], access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/signals"
    now = int(time.time_ns() / 1e9)
    async with aiohttp.ClientSession() as http:
        for headers, status in ((signed(at=now), 204), (signed(at=now), 204), (signed(BODY, OTHER, at=now), 400)):
            async with http.post(url, data=BODY, headers=headers) as answer:
                assert answer.status == status
    await runner.cleanup()
    assert capsys.readouterr().out == "signal.fired BTC-USD 70012.4\n"
