"""A wallet that follows signals: buys when one fires, sells when it ends. Money is exact decimal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

import msgspec

from pricewatch.domain.market import decimal_text
from pricewatch.domain.signal import Direction, Signal

_CENT = Decimal("0.00000001")
_ONE = Decimal(1)


class Terms(msgspec.Struct, frozen=True):
    """What trading costs, as shares of what is traded."""

    cash: Decimal = Decimal(10_000)
    fee: Decimal = Decimal("0.001")
    slippage: Decimal = Decimal("0.0005")
    """How much worse than the signal's price an order is filled."""


class Deal(NamedTuple):
    """One order, filled."""

    at: int
    is_buy: bool
    price: Decimal
    """With slippage."""
    size: Decimal
    fee: Decimal


class Outcome(msgspec.Struct, frozen=True):
    """What became of the cash."""

    deals: list[Deal]
    worth: Decimal
    """At the last price, as if sold at the same terms."""
    held: Decimal
    """What buying everything at the first price and selling at the last had made."""
    fees: Decimal

    def gain(self, cash: Decimal) -> Decimal:
        """The strategy's, as a share."""
        return self.worth / cash - 1

    def held_gain(self, cash: Decimal) -> Decimal:
        """That of buying and holding."""
        return self.held / cash - 1


class Wallet:
    """All in or all out."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.cash = terms.cash
        self.size = Decimal(0)
        self.fees = Decimal(0)
        self.deals: list[Deal] = []

    def buy(self, at: int, price: Decimal) -> None:
        """Everything; nothing when there is no cash."""
        filled = price * (_ONE + self._terms.slippage)
        size = (self.cash / (filled * (_ONE + self._terms.fee))).quantize(_CENT, ROUND_DOWN)
        if size > 0:
            self._book(at, filled, size, is_buy=True)

    def sell(self, at: int, price: Decimal) -> None:
        """Everything; nothing when there is nothing."""
        if self.size > 0:
            self._book(at, price * (_ONE - self._terms.slippage), self.size, is_buy=False)

    def _book(self, at: int, price: Decimal, size: Decimal, *, is_buy: bool) -> None:
        fee = price * size * self._terms.fee
        self.cash += -(price * size) - fee if is_buy else price * size - fee
        self.size += size if is_buy else -size
        self.fees += fee
        self.deals.append(Deal(at, is_buy, price, size, fee))


def follow(signals: Iterable[Signal], closes: Sequence[tuple[int, float]], terms: Terms) -> Outcome | None:
    """One market's signals in order: buy at a fire, sell at its end. `closes` are its prices; None without any."""
    if not closes:
        return None
    first, last = (Decimal(decimal_text(price)) for _, price in (closes[0], closes[-1]))
    end = closes[-1][0]
    wallet, holder = Wallet(terms), Wallet(terms)
    for signal in signals:
        price = Decimal(decimal_text(signal.price))
        if signal.direction is Direction.FIRED:
            wallet.buy(signal.at, price)
        elif signal.direction is Direction.CLEARED:
            wallet.sell(signal.at, price)
    deals = list(wallet.deals)
    wallet.sell(end, last)
    holder.buy(closes[0][0], first)
    holder.sell(end, last)
    return Outcome(deals=deals, worth=wallet.cash, held=holder.cash, fees=wallet.fees)
