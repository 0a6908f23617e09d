"""A book of several levels around the best prices of a seeded market, for venues that show more than the best."""

from __future__ import annotations

from pricewatch.simulator.listings import Listing

Side = list[tuple[float, float]]
"""Prices and sizes, the best first."""


def depth(listing: Listing, bid: float, bid_size: float, ask: float, ask_size: float, levels: int) -> tuple[Side, Side]:
    """Bids and asks, `levels` each where the price leaves room, one tick apart; the same best gives the same book."""
    return _side(listing, bid, bid_size, -1, levels), _side(listing, ask, ask_size, 1, levels)


def _side(listing: Listing, best: float, size: float, step: int, levels: int) -> Side:
    tick, places, least = listing.tick, listing.decimals, 10.0**-listing.lot
    found = []
    for level in range(levels):
        price = round(best + step * level * tick, places)
        if price <= 0:
            break
        found.append((price, max(round(size * (1 + level * 7 % 5), listing.lot), least)))
    return found
