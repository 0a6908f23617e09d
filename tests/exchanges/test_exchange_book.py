from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.exchanges import book
from pricewatch.exchanges.book import Book, Levels

PRICES = st.integers(1, 12).map(float)
CHANGES = st.lists(st.tuples(PRICES, st.sampled_from([0.0, 0.0, 1.0, 2.5])), max_size=60)


@given(bids=st.booleans(), snapshot=CHANGES, changes=CHANGES)
def test_the_best_level_is_the_best_of_all(bids: bool, snapshot: list[book.Level], changes: list[book.Level]) -> None:
    levels = Levels(bids=bids)
    plain = {price: size for price, size in dict(snapshot).items() if size}
    levels.load(dict(snapshot).items())
    for price, size in [*changes, (1.0, 0.0)]:
        best = (max if bids else min)(plain.items(), default=None)
        assert levels.best == best
        assert len(levels) == len(plain)
        levels.change(price, size)
        plain[price] = size
        plain = {one: left for one, left in plain.items() if left}


@pytest.mark.parametrize(("bids", "worst"), [(True, 1.0), (False, 9.0)])
def test_the_worst_level_goes_beyond_the_bound(monkeypatch: pytest.MonkeyPatch, bids: bool, worst: float) -> None:
    monkeypatch.setattr(book, "MAX_LEVELS", 3)
    levels = Levels(bids=bids)
    levels.load([(5.0, 1.0), (9.0, 1.0), (1.0, 1.0), (6.0, 1.0)])
    assert len(levels) == 3
    assert levels.best == ((9.0, 1.0) if bids else (1.0, 1.0))
    levels.change(worst, 2.0)
    levels.change(5.5, 3.0)
    assert len(levels) == 3
    for _ in range(3):
        assert levels.best is not None
        levels.change(levels.best[0], 0.0)
    assert levels.best is None


def test_only_news_is_told() -> None:
    both = Book()
    both.bids.change(1.0, 5.0)
    assert both.news() is None
    both.asks.change(2.0, 5.0)
    assert both.news() == ((1.0, 5.0), (2.0, 5.0))
    both.asks.change(3.0, 5.0)
    assert both.news() is None
    both.asks.change(2.0, 4.0)
    assert both.news() == ((1.0, 5.0), (2.0, 4.0))
