from __future__ import annotations

import math
import uuid
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.delivery.channels.mail import compose
from pricewatch.delivery.settings import EmailSettings
from pricewatch.delivery.wording import evidence_lines
from pricewatch.domain.errors import Refused
from pricewatch.domain.signal import Direction, Signal
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.domain.watch import Place, stale
from pricewatch.testing.deliveries import NOON, some_delivery, some_signal

SETTINGS = EmailSettings(host="localhost", sender="alerts@example.org")


def mail(signal: Signal | None = None, *, now: int = NOON + 1_000_000, **changes: Any) -> EmailMessage:
    letter = compose(some_delivery(signal, **changes), SETTINGS, now=now)
    message = message_from_bytes(letter.body, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    text = body.get_content()
    assert isinstance(text, str)
    return text


WHOLE: dict[str, Any] = {"scope": "rule", "market": 0, "venue": "", "symbol": "*", "price": 0.0}


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({}, "BTC-USD above 70,000: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"direction": Direction.CLEARED, "price": 69_900.0},
            "BTC-USD no longer above 70,000: 69,900 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "crosses", "evidence": {"threshold": "70000", "direction": "up"}},
            "BTC-USD crossed above 70,000: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "change", "evidence": {"value": -2.5012, "window": 300.0}},
            "BTC-USD changed -2.50% in 5 min: 70,012.4 (coinbase) 14:03 UTC",
        ),
        ({"kind": "change", "evidence": {}}, "BTC-USD changed: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"kind": "anomaly", "evidence": {"score": 5.2345, "threshold": 4.0}},
            "BTC-USD unusual (score 5.23): 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "anomaly", "evidence": {"alarms_per_week": 1.4321}},
            "BTC-USD unusual (about 1.4 times a week): 70,012.4 (coinbase) 14:03 UTC",
        ),
        ({"kind": "anomaly", "evidence": {}}, "BTC-USD unusual: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {
                "kind": "band",
                "evidence": {"level": 0.95, "horizon": 3_600.0, "band": {"lower": 69_000.12, "upper": 70_000.523}},
            },
            "BTC-USD outside its 95% band of 1 h, 69,000.1 to 70,000.5: 70,012.4 (coinbase) 14:03 UTC",
        ),
        ({"kind": "band", "evidence": {}}, "BTC-USD outside its band: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"kind": "drift", "evidence": {"drift": "ranges"}},
            "BTC-USD has drifted: it ranges unlike before: 70,012.4 (coinbase) 14:03 UTC",
        ),
        ({"kind": "drift", "evidence": {}}, "BTC-USD has drifted: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"kind": "outside_band", "evidence": {"band": {"lower": 69_000.0, "upper": 70_000.523}}},
            "BTC-USD outside its forecast band 69,000 to 70,000.5: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "channel", "evidence": {"lower": "60000", "upper": "70000", "direction": "exit"}},
            "BTC-USD outside 60,000 to 70,000: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "extreme", "evidence": {"of": "low", "window": 3_600}},
            "BTC-USD new low of 1 h: 70,012.4 (coinbase) 14:03 UTC",
        ),
        ({"kind": "spread", "evidence": {"value": 0.61728}}, "BTC-USD spread 0.617%: 70,012.4 (coinbase) 14:03 UTC"),
        ({"kind": "spread", "evidence": {}}, "BTC-USD wide spread: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"kind": "volume", "evidence": {"value": 6.2345, "window": 60.0}},
            "BTC-USD 6.23 times the usual volume in 60 s: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "volatility", "direction": Direction.CLEARED, "evidence": {}},
            "BTC-USD no longer unusual volatility: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "channel", "direction": Direction.CLEARED, "evidence": {"direction": "enter"}},
            "BTC-USD no longer inside its channel: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "trailing", "evidence": {"value": 5.213, "unit": "percent", "from": "high", "window": 86_400}},
            "BTC-USD 5.21% below the high of 1 d: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "trailing", "evidence": {"value": 500.5, "unit": "price", "from": "low"}},
            "BTC-USD 500.5 above the low: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {
                "kind": "crosses",
                "direction": Direction.CLEARED,
                "evidence": {"threshold": "70000", "clear": "69930", "direction": "up"},
            },
            "BTC-USD back below 69,930: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "change", "direction": Direction.CLEARED, "evidence": {"value": 0.3, "window": 300.0}},
            "BTC-USD calm again, changed +0.30% in 5 min: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "anomaly", "direction": Direction.CLEARED, "evidence": {"score": 1.5}},
            "BTC-USD usual again (score 1.5): 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "outside_band", "direction": Direction.CLEARED, "evidence": {}},
            "BTC-USD no longer outside its forecast band: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"direction": Direction.PAUSED, "evidence": {"most_per_hour": 1_000}},
            "BTC-USD paused: it fired more than 1,000 times in an hour: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"direction": Direction.DIGEST, "evidence": {"count": 1_247}},
            "BTC-USD fired 1,247 more times while paused: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"direction": Direction.DIGEST, "evidence": {"count": 1}},
            "BTC-USD fired 1 more time while paused: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"direction": Direction.DIGEST, "evidence": {}},
            "BTC-USD fired more often while paused: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {**WHOLE, "direction": Direction.EXPIRING, "evidence": {"expires": NOON + 60 * MINUTE}},
            "every symbol: your rule (above) expires 2026-01-31 15:03 UTC, 14:03 UTC",
        ),
        (
            {**WHOLE, "direction": Direction.EXPIRING, "symbol": "ETH-USD", "evidence": {}},
            "ETH-USD: your rule (above) expires soon, 14:03 UTC",
        ),
        (
            {**WHOLE, "direction": Direction.EXPIRED},
            "every symbol: your rule (above) expired, 14:03 UTC",
        ),
        (
            {"kind": "divergence", "venue": "binance, kraken", "evidence": {"value": 0.6214}},
            "BTC-USD venues 0.621% apart: 70,012.4 (binance, kraken) 14:03 UTC",
        ),
        ({"kind": "divergence", "evidence": {}}, "BTC-USD venues far apart: 70,012.4 (coinbase) 14:03 UTC"),
        ({"kind": "stale", "evidence": {"after": 300.0}}, "BTC-USD no trade for 5 min: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"kind": "rsi", "evidence": {"threshold": 70.0, "direction": "above"}, "direction": Direction.CLEARED},
            "BTC-USD no longer RSI above 70: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "bollinger", "evidence": {"side": "upper"}},
            "BTC-USD above its Bollinger band: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "moving_average", "evidence": {"direction": "up"}},
            "BTC-USD moving averages crossed up: 70,012.4 (coinbase) 14:03 UTC",
        ),
        (
            {"kind": "and", "evidence": {"of": [{"type": "above"}, {"type": "spread"}]}},
            "BTC-USD conditions met (above, spread): 70,012.4 (coinbase) 14:03 UTC",
        ),
        ({"kind": "then", "evidence": {}}, "BTC-USD conditions met: 70,012.4 (coinbase) 14:03 UTC"),
        ({"kind": "venue_divergence"}, "BTC-USD venue divergence: 70,012.4 (coinbase) 14:03 UTC"),
        (
            {"kind": "below", "evidence": {"threshold": "0.00001234"}, "price": 0.0000123},
            "BTC-USD below 0.00001234: 0.0000123 (coinbase) 14:03 UTC",
        ),
        (
            {"late": True, "suspect": True},
            "BTC-USD above 70,000: 70,012.4 (coinbase) 14:03 UTC [late] [unconfirmed price]",
        ),
    ],
)
def test_the_subject_alone_suffices(changes: dict[str, Any], subject: str) -> None:
    assert mail(some_signal(**changes))["Subject"] == subject


@pytest.mark.parametrize("symbol", ["A" * 30, "A b" * 40, "Ä" * 30, "ä b" * 40])
def test_no_subject_is_changed_by_folding(symbol: str) -> None:
    letter = compose(some_delivery(some_signal(symbol=symbol)), SETTINGS, now=NOON)
    shown = symbol.encode("ascii", "replace").decode()
    assert f"\r\nSubject: {shown} above 70,000: 70,012.4 (coinbase) 14:03 UTC\r\n".encode() in letter.body


def test_every_header_a_reader_or_a_program_needs() -> None:
    message = mail()
    assert message["From"] == "pricewatch <alerts@example.org>"
    assert message["To"] == "ann@example.org"
    assert message["Message-ID"] == f"<{uuid.UUID(int=4)}@example.org>"
    assert message["X-Pricewatch-Signal"] == str(uuid.UUID(int=1))
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.timestamp() == NOON // 1_000_000 + 1
    assert message["References"] == f"<{uuid.UUID(int=3)}.2026-01-31@example.org>"


def test_both_bodies_say_everything() -> None:
    signal = some_signal(title="A & B <i>", since=NOON - 30 * MINUTE, model="hst@1", late=True)
    message = mail(signal)
    text, html = part(message, "plain"), part(message, "html")
    for words in ("above 70,000", "70,012.4", "BTC-USD on coinbase", "2026-01-31 14:03:00.000 UTC", "30 min", "hst@1"):
        assert words in text
        assert words in html
    assert "A & B <i>" in text
    assert "A &amp; B &lt;i&gt;" in html
    assert "threshold: 70,000" in text
    assert "delayed" not in text


def test_a_digest_says_when_and_at_which_prices_it_would_have_fired() -> None:
    kept = {
        "v": 1, "count": 1_247, "since": NOON - 60 * MINUTE, "low": "69900.5", "high": "70210",
        "first": {"at": NOON - 50 * MINUTE, "price": "70010"}, "last": {"at": NOON - 2 * MINUTE, "price": "70120"},
    }  # fmt: skip
    text = part(mail(some_signal(direction=Direction.DIGEST, evidence=kept)), "plain")
    for words in (
        "fired 1,247 more times while paused",
        "70,010 at 2026-01-31 13:13:00.000 UTC",
        "70,120 at 2026-01-31 14:01:00.000 UTC",
        "69,900.5 to 70,210",
        "until you resume it",
    ):
        assert words in text
    assert "Evidence" not in text


def test_a_digest_of_minutes_has_times_alone_and_damaged_ones_say_what_they_can() -> None:
    kept = {"count": 2, "first": {"at": NOON}, "last": {"at": 10**18}}
    text = part(mail(some_signal(direction=Direction.DIGEST, evidence=kept)), "plain")
    assert "First:     2026-01-31 14:03:00.000 UTC" in text
    assert "Last:" not in text
    assert "Range:" not in text


@pytest.mark.parametrize(("evidence", "words"), [({"digest": 3_600.0}, "at most every 1 h;"), ({}, "time to time;")])
def test_a_pause_says_that_digests_follow(evidence: dict[str, Any], words: str) -> None:
    assert words in part(mail(some_signal(direction=Direction.PAUSED, evidence=evidence)), "plain")


def test_evidence_is_written_for_people() -> None:
    at = 1_769_860_992_118_772
    evidence = {
        "v": 1,
        "value": 0.0379127052,
        "price": "64910.5",
        "window": 600.0,
        "direction": "up",
        "reference": {"at": at, "price": "64885.9"},
        "since": at,
        "bars": 14,
        "far": {"at": 10**18, "price": "1"},
        "endless": math.inf,
        "nothing": None,
    }
    assert evidence_lines(evidence) == [
        "value: 0.0379127052",
        "price: 64,910.5",
        "window: 10 min",
        "direction: up",
        "reference: 64,885.9 at 2026-01-31 12:03:12.118 UTC",
        "since: 2026-01-31 12:03:12.118 UTC",
        "bars: 14",
        'far: {"at":1000000000000000000,"price":"1"}',
        "endless: null",
    ]


def test_nothing_is_fetched_from_elsewhere() -> None:
    html = part(mail(), "html")
    assert not any(word in html for word in ("http:", "https:", "src=", "url(", "@import"))
    assert 'name="color-scheme" content="light dark"' in html


def test_a_delayed_mail_says_so() -> None:
    on_time = mail(now=NOON + 5 * MINUTE)
    assert "delayed" not in on_time["Subject"]
    late = mail(now=NOON + 26 * HOUR)
    assert late["Subject"] == "BTC-USD above 70,000: 70,012.4 (coinbase) 2026-01-31 14:03 UTC [delayed 1 d 2 h]"
    assert "it was due 1 d 2 h ago" in part(late, "plain")
    assert "it was due 1 d 2 h ago" in part(late, "html")


def test_an_international_domain_is_written_in_ascii() -> None:
    assert mail(target="ann@bücher.example")["To"] == "ann@xn--bcher-kva.example"


def test_the_same_delivery_is_the_same_mail() -> None:
    """Apart from the boundary between its parts."""
    first, second = mail(), mail()
    assert dict(first.items()).keys() == dict(second.items()).keys()
    assert part(first, "plain") == part(second, "plain")


anything = st.text(max_size=300)
values = st.none() | st.booleans() | st.integers() | st.floats() | anything
evidence = st.dictionaries(anything, values | st.lists(values, max_size=3), max_size=5)


@given(
    anything,
    anything,
    anything,
    st.sampled_from(["above", "crosses", "change", "anomaly", "outside_band", "band", "drift"]) | anything,
    evidence
    | st.fixed_dictionaries(
        {"threshold": values, "value": values, "window": values, "score": values, "band": values | evidence}
    ),
)
def test_no_content_breaks_a_mail(title: str, symbol: str, venue: str, kind: str, numbers: dict[str, Any]) -> None:
    message = mail(some_signal(title=title, symbol=symbol, venue=venue, kind=kind, evidence=numbers))
    assert set(message.keys()) == set(mail().keys())
    assert part(message, "html").rstrip().endswith("</html>")


@given(anything)
def test_no_address_breaks_a_mail(target: str) -> None:
    try:
        message = mail(target=target)
    except Refused:
        return
    assert len(message["To"].addresses) == 1


def test_what_the_service_tells_of_itself_names_no_price() -> None:
    silent = stale(Place(1, "kraken", "BTC-USD"), "trades", last=NOON - 30, due=NOON, limit=30_000_000, ever=True)
    message = mail(silent)
    assert message["Subject"] == "kraken:BTC-USD trades: nothing came for 30 s 14:03 UTC"
    text = part(message, "plain")
    assert "Price" not in text
    assert "BTC-USD on kraken" in text
