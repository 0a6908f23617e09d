from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.market import Quote, Trade
from pricewatch.store.copyrows import QUOTES, TRADES, pack_quote, pack_trade, place, rows

INT64 = st.integers(-(2**62), 2**62)


@given(st.lists(st.tuples(INT64, INT64, st.none() | st.text(st.characters(exclude_categories=["Cs"])))))
def test_packed_rows_come_apart_where_they_were_joined(values: list[tuple[int, int, str | None]]) -> None:
    packed = [pack_trade(Trade(3, at, 1.0, 1.0, 1, 5, at, 0, ref), seen, 1) for at, seen, ref in values]
    assert list(rows(TRADES, b"".join(packed))) == packed
    assert [(one.ts, one.seen, one.market) for one in map(place, packed)] == [(at, seen, 3) for at, seen, _ in values]


def test_the_key_tells_trades_of_one_millisecond_apart() -> None:
    at = 1_700_000_000_123_000
    row = pack_trade(Trade(3, at, 1.0, 1.0, 1, 7_654_321, at), 9, 1_000)
    assert place(row).ts == at + 321


def test_quotes_come_apart() -> None:
    packed = [pack_quote(Quote(2, at, 1.0, 2.0, 3.0, 4.0, at), at + 1) for at in (5, 6)]
    assert list(rows(QUOTES, b"".join(packed))) == packed
    assert place(packed[1]) == (6, 7, 2)


@pytest.mark.parametrize("change", [{"key": 2**63}, {"side": 40_000}, {"market": 2**31}])
def test_what_no_column_holds_is_refused(change: dict[str, int]) -> None:
    fields = {"market": 1, "side": 1, "key": 1} | change
    with pytest.raises(struct.error):
        pack_trade(Trade(fields["market"], 1, 1.0, 1.0, fields["side"], fields["key"], 1), 1, 1)
