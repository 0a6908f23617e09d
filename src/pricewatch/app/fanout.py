"""One output, several readers: called one after the other, in the order of the list."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.domain.market import Quote, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.ports.journal import SignalSink
from pricewatch.ports.ticks import PriceTape


class Tapes:
    """A `PriceTape` for several."""

    def __init__(self, *readers: PriceTape) -> None:
        self._readers = list(readers)
        self._trade = [reader.trade for reader in readers]

    def add(self, reader: PriceTape) -> None:
        """One more, after the others."""
        self._readers.append(reader)
        self._trade.append(reader.trade)

    def trade(self, trade: Trade, seen: int) -> None:
        """Show a trade to each."""
        for show in self._trade:
            show(trade, seen)

    def quote(self, quote: Quote, seen: int) -> None:
        """Show a quote to each."""
        for reader in self._readers:
            reader.quote(quote, seen)


class Signals:
    """A `SignalSink` for several."""

    def __init__(self, *readers: SignalSink) -> None:
        self._readers = list(readers)

    def add(self, reader: SignalSink) -> None:
        """One more, after the others."""
        self._readers.append(reader)

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Tell each."""
        for reader in self._readers:
            reader.committed(entries)
