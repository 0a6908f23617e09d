from __future__ import annotations

import uuid

import pytest

from pricewatch.ports.markets import MarketBook, MarketChoice
from pricewatch.store.choices import PostgresMarketBook
from pricewatch.store.pool import Database
from pricewatch.testing.markets import MemoryMarketBook

ANN, BOB = uuid.UUID(int=1), uuid.UUID(int=2)


class MarketBookPromises:
    async def test_the_newest_word_on_a_market_counts(self, book: MarketBook) -> None:
        first = MarketChoice("kraken", "BTC-USD", True, ANN, 5)
        other = MarketChoice("coinbase", "ETH-USD", False, ANN, 6)
        newest = MarketChoice("kraken", "BTC-USD", False, BOB, 7)
        for choice in (first, other, newest):
            await book.choose(choice)
        assert list(await book.choices()) == [other, newest]
        assert await book.forget("kraken", "BTC-USD")
        assert not await book.forget("kraken", "BTC-USD")
        assert list(await book.choices()) == [other]


class TestMemoryMarketBook(MarketBookPromises):
    @pytest.fixture
    def book(self) -> MarketBook:
        return MemoryMarketBook()


@pytest.mark.postgres
class TestPostgresMarketBook(MarketBookPromises):
    @pytest.fixture
    def book(self, database: Database) -> MarketBook:
        return PostgresMarketBook(database)
