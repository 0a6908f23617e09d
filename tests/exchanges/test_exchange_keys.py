from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.exchanges.base import text_key
from pricewatch.exchanges.registry import EXCHANGES


@given(st.text())
def test_a_key_of_text_fits_63_bits_and_stays(ref: str) -> None:
    assert 0 <= text_key(ref) == text_key(ref) < 2**63


def test_keys_of_different_texts_differ() -> None:
    assert len({text_key(f"{number:x}") for number in range(10_000)}) == 10_000
    assert text_key("60828afbd1a8f2000") == 4443577648411078978


@pytest.mark.parametrize("venue", ["bitfinex", "bitstamp", "gemini", "hyperliquid"])
def test_nothing_is_asked_for_before_connecting(venue: str) -> None:
    assert EXCHANGES[venue]([]).prepare() is None
