"""The markets we know and their last prices: names to markets, and each market's document encoded once a change."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from pricewatch.domain.market import Flag, Market, Quote, Trade, decimal_text
from pricewatch.domain.signal import Signal
from pricewatch.domain.time import rfc3339
from pricewatch.domain.watch import RECOVERED, STALE
from pricewatch.ports.clock import Clock
from pricewatch.wire.feed import FeedAge
from pricewatch.wire.tick import TickerDocument

EVERYTHING = "*"
_SIDES = {1: "buy", -1: "sell"}
_UNSEEN = Flag.SUSPECT

Selection = frozenset[str]
"""What a subscription names: `*`, symbols (`BTC-USD`) and markets (`coinbase:BTC-USD`)."""


def matches(selection: Selection, market: str, symbol: str) -> bool:
    """Whether a selection covers a market."""
    return EVERYTHING in selection or market in selection or symbol in selection


class Board:
    """A `PriceTape` that keeps only the last trade and quote of each market.

    `states` may know better than the clock whether a market is `live`, `quiet` or `blind`, by market key.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        quiet_after: float,
        blind_after: float,
        states: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.dirty: set[int] = set()
        """Markets whose price changed since the last flush; the flush takes and empties it."""
        self.version = 0
        """Grows when markets are added."""
        self._clock = clock
        self._quiet = quiet_after
        self._blind = blind_after
        self._states = states
        self._trades: dict[int, Trade] = {}
        self._quotes: dict[int, Quote] = {}
        self._encoded: dict[int, bytes] = {}
        self._markets: dict[int, Market] = {}
        self._names: dict[str, str] = {EVERYTHING: EVERYTHING}
        self._stale: dict[tuple[int, object], int] = {}

    # -- prices in ----------------------------------------------------------------------------------------------------

    def trade(self, trade: Trade, seen: int) -> None:  # noqa: ARG002 - the port's, and this is the hot path
        """Keep it as the last one and mark its market; nothing is encoded here."""
        if trade.flags and not self._is_news(trade):
            return
        market = trade.market
        self._trades[market] = trade
        self.dirty.add(market)

    def quote(self, quote: Quote, seen: int) -> None:
        """Keep it as the last one and mark its market."""
        _ = seen
        self._quotes[quote.market] = quote
        self.dirty.add(quote.market)

    def prime(self, trades: Iterable[Trade]) -> None:
        """Stored last trades, for markets that have printed nothing since the start."""
        for trade in trades:
            if trade.market not in self._trades:
                self.trade(trade, 0)

    def note(self, signal: Signal) -> None:
        """A watch signal of the system feed: a market is stale while one of its channels is."""
        key = (signal.market, signal.evidence.get("channel"))
        if signal.kind == STALE:
            self._stale[key] = max(signal.seen, self._stale.get(key, 0))
        elif signal.kind == RECOVERED and self._stale.get(key, 0) <= signal.seen:
            self._stale.pop(key, None)

    def _is_news(self, trade: Trade) -> bool:
        # A suspect is not the price; a refilled trade is only where nothing newer was printed.
        if trade.flags & _UNSEEN:
            return False
        last = self._trades.get(trade.market)
        return last is None or trade.at >= last.at

    # -- names --------------------------------------------------------------------------------------------------------

    def list_markets(self, markets: Iterable[Market]) -> bool:
        """Take up markets not known yet; True when there were any."""
        news = [market for market in markets if market.id not in self._markets]
        for market in news:
            self._markets[market.id] = market
            for name in (market.key, market.symbol):
                self._names[name.upper()] = name
        self.version += bool(news)
        return bool(news)

    def is_unlisted(self) -> bool:
        """A market printed that nobody has named yet."""
        return not self.dirty <= self._markets.keys()

    def named(self, text: str) -> str | None:
        """The canonical name of what a user wrote, in any case of letters; None when there is no such thing."""
        return self._names.get(text.strip().upper())

    def nearest(self, text: str) -> list[str]:
        """Up to three names that look like it."""
        close = difflib.get_close_matches(text.strip().upper(), self._names, n=3, cutoff=0.6)
        return [self._names[name] for name in close]

    def market(self, key: str) -> Market | None:
        """By `venue:SYMBOL`."""
        name = self.named(key)
        return next((one for one in self._markets.values() if one.key == name), None)

    def everything(self) -> list[Market]:
        """All known markets, by key."""
        return sorted(self._markets.values(), key=lambda market: market.key)

    def resolve(self, selection: Selection) -> frozenset[int]:
        """The ids of the markets a selection covers now."""
        return frozenset(one.id for one in self._markets.values() if matches(selection, one.key, one.symbol))

    def price(self, market: int) -> float | None:
        """Of the last trade."""
        trade = self._trades.get(market)
        return None if trade is None else trade.price

    def spread(self, market: int) -> float | None:
        """Between the best quotes, in per cent of their middle."""
        quote = self._quotes.get(market)
        return None if quote is None else 200.0 * (quote.ask - quote.bid) / (quote.ask + quote.bid)

    # -- prices out ---------------------------------------------------------------------------------------------------

    def take_dirty(self) -> set[int]:
        """The markets that changed since the last call; those without a name yet stay for a later one."""
        taken = self.dirty & self._markets.keys()
        self.dirty -= taken
        for market in taken:
            self._encoded.pop(market, None)
        return taken

    def documents(self, markets: Iterable[int]) -> list[bytes]:
        """The encoded documents of those that have a price, in order of id."""
        return [self._document(market) for market in sorted(markets) if self._has_price(market)]

    def ticker(self, market: Market) -> TickerDocument:
        """The public form of a market's last trade and quote."""
        trade, quote = self._trades.get(market.id), self._quotes.get(market.id)
        return TickerDocument(
            market=market.key,
            venue=market.venue,
            symbol=market.symbol,
            price=decimal_text(trade.price) if trade else None,
            size=decimal_text(trade.size) if trade else None,
            side=_SIDES.get(trade.side) if trade else None,
            trade_id=(trade.ref or str(trade.key)) if trade else None,
            at=rfc3339(trade.at) if trade else None,
            bid=decimal_text(quote.bid) if quote else None,
            ask=decimal_text(quote.ask) if quote else None,
            received=rfc3339(self._received(market.id)) if trade or quote else None,
        )

    def ages(self, markets: Sequence[int] | frozenset[int]) -> dict[str, FeedAge]:
        """How long each market has printed nothing, and what that means."""
        now = self._clock.now()
        known = self._states() if self._states is not None else {}
        stale = {market for market, _ in self._stale}
        found = {}
        for market_id in sorted(markets):
            key = self._markets[market_id].key
            age = (now - self._received(market_id)) / 1e6 if self._has_price(market_id) else None
            found[key] = FeedAge(age=age, state=known.get(key) or ("stale" if market_id in stale else self._state(age)))
        return found

    def _state(self, age: float | None) -> str:
        if age is None:
            return "waiting"
        if age < self._quiet:
            return "live"
        return "quiet" if age < self._blind else "blind"

    def _document(self, market: int) -> bytes:
        encoded = None if market in self.dirty else self._encoded.get(market)
        if encoded is None:
            encoded = self._encoded[market] = msgspec.json.encode(self.ticker(self._markets[market]))
        return encoded

    def _has_price(self, market: int) -> bool:
        return market in self._trades or market in self._quotes

    def _received(self, market: int) -> int:
        trade, quote = self._trades.get(market), self._quotes.get(market)
        return max(trade.received if trade else 0, quote.received if quote else 0)
