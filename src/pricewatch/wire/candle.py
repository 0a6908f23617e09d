"""Candles as the feed says them. Fields are only ever added."""

from __future__ import annotations

from typing import Literal

import msgspec

from pricewatch.domain.market import Candle, decimal_text
from pricewatch.domain.time import rfc3339


class CandleUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of one market; prices and volume as exact decimal text.

    `closed`: the minute is over, and a second more for late prints; nothing of it changes on this channel any more.
    `partial`: it holds what came since somebody first subscribed to this market, not the whole minute so far.
    """

    market: str
    at: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int
    closed: bool
    partial: bool


class CandleSnapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The newest closed minutes of the newly subscribed markets, by market and time."""

    channel: Literal["candles"] = "candles"
    snapshot: bool = True
    interval: str = "1m"
    data: list[CandleUpdate]


class CandleFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="candles"):
    """What changed since the frame before: open minutes conflated, closed ones each once."""

    channel: Literal["candles"] = "candles"
    interval: str = "1m"
    data: list[CandleUpdate]


def update(candle: Candle, market: str, *, closed: bool, partial: bool) -> CandleUpdate:
    """The public form of a minute."""
    return CandleUpdate(
        market=market,
        at=rfc3339(candle.at),
        open=decimal_text(candle.open),
        high=decimal_text(candle.high),
        low=decimal_text(candle.low),
        close=decimal_text(candle.close),
        volume=decimal_text(candle.volume),
        trades=candle.trades,
        closed=closed,
        partial=partial,
    )


def candle_frame(documents: list[bytes]) -> bytes:
    """A `CandleFrame` around documents that are encoded once for all who get them."""
    return b'{"type":"candles","channel":"candles","interval":"1m","data":[' + b",".join(documents) + b"]}"
