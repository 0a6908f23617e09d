from __future__ import annotations

import uuid
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.bus.codec import pack_entry, pack_messages, pack_ticks, unpack_entry, unpack_messages, unpack_ticks
from pricewatch.domain.errors import BadData
from pricewatch.domain.market import Quote, Tick, Trade
from pricewatch.domain.signal import Direction, FeedEntry, Signal

whole = st.integers(min_value=0, max_value=2**63 - 1)
price = st.floats(min_value=1e-12, max_value=1e12)
trades = st.builds(
    Trade,
    market=whole,
    at=whole,
    price=price,
    size=price,
    side=st.sampled_from([-1, 0, 1]),
    key=whole,
    received=whole,
    flags=st.integers(min_value=0, max_value=7),
    ref=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)
quotes = st.builds(Quote, market=whole, at=whole, bid=price, bid_size=price, ask=price, ask_size=price, received=whole)


@given(st.lists(trades | quotes))
def test_ticks_come_out_as_they_went_in(ticks: list[Tick]) -> None:
    out = unpack_ticks(pack_ticks(ticks))
    assert out == ticks
    assert [type(tick) for tick in out] == [type(tick) for tick in ticks]


@given(st.binary())
def test_no_bytes_get_past_bad_data(message: bytes) -> None:
    for unpack in (unpack_ticks, unpack_entry, unpack_messages):
        with suppress(BadData):
            unpack(message)


@given(st.lists(st.binary()))
def test_messages_come_out_as_they_went_in(messages: list[bytes]) -> None:
    assert unpack_messages(pack_messages(messages)) == messages


def test_an_entry_comes_out_as_it_went_in() -> None:
    some = uuid.UUID(int=7)
    signal = Signal(
        id=some,
        account_id=some,
        rule_id=some,
        rule_version=2,
        title="Zürich \N{ROCKET}",
        kind="above",
        severity="info",
        direction=Direction.FIRED,
        scope="coinbase:BTC-USD",
        market=1,
        venue="coinbase",
        symbol="BTC-USD",
        cause="trade:7",
        at=1,
        seen=2,
        received=3,
        price=70_012.4,
        since=1,
        evidence={"v": 1, "level": "70000", "parts": [1.5, None]},
        channels=("email",),
    )
    entry = FeedEntry(feed=some, epoch=1, seq=9, signal=signal, committed=4)
    assert unpack_entry(pack_entry(entry)) == entry


@pytest.mark.parametrize("unpack", [unpack_ticks, unpack_entry, unpack_messages])
def test_text_that_is_not_unicode_is_bad_data(unpack: object) -> None:
    assert callable(unpack)
    with pytest.raises(BadData):
        unpack(b"\x91\x99\x01\x01\x01\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x00\xa1\xff")
