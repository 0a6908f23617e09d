"""A recorded capture as a tape: every connection's frames verbatim, at any speed, with the trades so far as history."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from pricewatch.domain.errors import ConfigError, Invalid
from pricewatch.domain.time import SECOND, from_datetime
from pricewatch.simulator.ledger import Ledger, Print
from pricewatch.simulator.listings import recognised
from pricewatch.simulator.programme import Event
from pricewatch.simulator.settings import SimulatorSettings
from pricewatch.simulator.tape import Item, Recorded

_CHANNELS = {"match": "matches", "last_match": "matches", "l2update": "level2", "snapshot": "level2"}


class _Line(msgspec.Struct):
    dir: str
    t: float | None = None
    raw: str | None = None


class _Frame(msgspec.Struct):
    """The fields by which a frame's venue and topic are told."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    type: str | None = None
    product_id: str | None = None
    channels: Any = None
    channel: str | None = None
    method: str | None = None
    event: str | None = None


class _BinanceTrade(msgspec.Struct):
    t: int
    p: float
    q: float
    T: int
    s: str
    m: bool


class _CoinbaseTrade(msgspec.Struct):
    trade_id: int
    price: float
    size: float
    side: str
    time: str
    product_id: str
    sequence: int = 0


class _KrakenTrade(msgspec.Struct):
    symbol: str
    side: str
    price: float
    qty: float
    trade_id: int
    timestamp: str


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_binance = msgspec.json.Decoder(_BinanceTrade, strict=False).decode
_decode_coinbase = msgspec.json.Decoder(_CoinbaseTrade, strict=False).decode
_decode_kraken = msgspec.json.Decoder(list[_KrakenTrade]).decode
_decode_symbols = msgspec.json.Decoder(list[dict[str, Any]]).decode


def load(files: Iterable[Path], settings: SimulatorSettings) -> list[CaptureTape]:
    """One tape for each venue in the captures, held in memory; raises `ConfigError` for what cannot be served."""
    by_venue: dict[str, list[tuple[Recorded, list[tuple[str, Print]]]]] = {}
    for file in files:
        for recorded, trades in _read(file):
            by_venue.setdefault(recorded.venue, []).append((recorded, trades))
    if not by_venue:
        raise ConfigError("replay: there is no frame of Binance, Coinbase Exchange or Kraken v2 in the given files")
    for frames in by_venue.values():
        frames.sort(key=lambda pair: pair[0].at)
    return [CaptureTape(venue, frames, settings) for venue, frames in by_venue.items()]


def _read(file: Path) -> Iterator[tuple[Recorded, list[tuple[str, Print]]]]:
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
            for number, text in enumerate(lines, start=1):  # noqa: B007 - named in the error below
                line = _decode_line(text)
                if line.dir != "in":
                    continue
                found = _classify(line)
                if found is not None:
                    yield found
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc}") from exc
    except ConfigError:
        raise
    except (EOFError, msgspec.MsgspecError, ValueError) as exc:
        raise ConfigError(f"{file}, line {number}: not a frame of a venue that can be served: {exc}") from exc


def _classify(line: _Line) -> tuple[Recorded, list[tuple[str, Print]]] | None:
    """The frame with its topics and trades; None for a control frame, which the server makes itself."""
    if line.raw is None or line.t is None:
        raise ConfigError("replay: a binary frame; Binance, Coinbase Exchange and Kraken v2 send none")
    raw, at = line.raw.encode(), line.t
    if raw.startswith(b"["):
        raise ConfigError(_KRAKEN_V1)
    frame = _decode_frame(raw)
    if frame.event in {"systemStatus", "subscriptionStatus", "heartbeat"}:
        raise ConfigError(_KRAKEN_V1)
    if frame.stream is not None:
        return _binance(frame, raw, at)
    if frame.product_id is not None and frame.type not in {None, "heartbeat", "error"}:
        return _coinbase(frame, raw, at)
    if frame.channel in {"ticker", "trade", "ohlc", "book"} and frame.data:
        return _kraken(frame, raw, at)
    if (
        frame.type in {"subscriptions", "heartbeat", "error"}
        or frame.method
        or frame.channel in {"status", "heartbeat"}
    ):
        return None
    raise ConfigError(f"replay: {raw[:80]!r} is no frame of Binance, Coinbase Exchange or Kraken v2")


_KRAKEN_V1 = (
    "replay: this is a capture of Kraken's version 1 protocol, which cannot be served as version 2 "
    "(it has no trade ids); replay captures of Binance, Coinbase Exchange or Kraken v2"
)


def _binance(frame: _Frame, raw: bytes, at: float) -> tuple[Recorded, list[tuple[str, Print]]]:
    stream, data = frame.stream or "", bytes(frame.data)
    trades = []
    if stream.endswith("@trade"):
        trade = _decode_binance(data)
        trades.append((trade.s, Print(trade.t, trade.T * 1_000, trade.p, trade.q, -1 if trade.m else 1)))
    topics = ((f"{stream}+", raw), (stream, data))
    return Recorded("binance", topics, bool(trades), at), trades


def _coinbase(frame: _Frame, raw: bytes, at: float) -> tuple[Recorded, list[tuple[str, Print]]]:
    kind = frame.type or ""
    channel = _CHANNELS.get(kind, kind)
    trades = []
    if channel == "matches":
        trade = _decode_coinbase(raw)
        side = 1 if trade.side == "sell" else -1
        stamp = _micros(trade.time)
        trades.append((trade.product_id, Print(trade.trade_id, stamp, trade.price, trade.size, side, trade.sequence)))
    return Recorded("coinbase", ((f"{channel}:{frame.product_id}", raw),), bool(trades), at), trades


def _kraken(frame: _Frame, raw: bytes, at: float) -> tuple[Recorded, list[tuple[str, Print]]]:
    trades = []
    symbol = str(_decode_symbols(frame.data)[0].get("symbol"))
    if frame.channel == "trade":
        for trade in _decode_kraken(frame.data):
            side = 1 if trade.side == "buy" else -1
            trades.append((symbol, Print(trade.trade_id, _micros(trade.timestamp), trade.price, trade.qty, side)))
    channels = ("ticker:bbo", "ticker:trades") if frame.channel == "ticker" else (frame.channel or "",)
    topics = tuple((f"{channel}:{symbol}", raw) for channel in channels)
    return Recorded("kraken", topics, bool(trades), at), trades


def _native(recorded: Recorded) -> str:
    """The venue's name of the market a frame is about."""
    topic = recorded.topics[0][0]
    return topic.partition("@")[0].upper() if recorded.venue == "binance" else topic.rpartition(":")[2]


def _micros(text: str) -> int:
    return from_datetime(datetime.fromisoformat(text))


class CaptureTape:
    """The frames of one venue in the order of their recording.

    Mode `pause`: the tape stands still while nobody listens to the venue. Mode `runon`: it goes on, and what passes
    meanwhile is lost to sockets but told by REST.
    """

    def __init__(
        self, venue: str, frames: Sequence[tuple[Recorded, list[tuple[str, Print]]]], settings: SimulatorSettings
    ) -> None:
        self.name = venue
        self._frames = frames
        self._speed = None if settings.speed == "max" else settings.speed
        self._pauses = settings.mode == "pause"
        self._position = 0
        self._clock = frames[0][0].at
        self._seen: int | None = None
        self._by_native: dict[str, Ledger] = {}
        for native in dict.fromkeys(_native(recorded) for recorded, _ in frames):
            self._by_native[native] = Ledger(recognised(venue, native), keep=settings.history_trades)
        self.ledgers = {ledger.listing.key: ledger for ledger in self._by_native.values()}

    @property
    def done(self) -> bool:
        """Every frame has been taken."""
        return self._position >= len(self._frames)

    def take(self, now: int, limit: int, *, heard: bool) -> Iterator[Item]:
        """See `Tape`."""
        passed, self._seen = (now - self._seen) / SECOND if self._seen is not None else 0.0, now
        if self._pauses and not heard:
            return
        if self._speed is not None:
            self._clock += max(passed, 0.0) * self._speed
        while limit > 0 and not self.done:
            recorded, trades = self._frames[self._position]
            if self._speed is not None and recorded.at > self._clock:
                return
            for native, trade in trades:
                self._by_native[native].add(trade)
            self._position += 1
            limit -= 1
            yield recorded

    def wait(self, now: int) -> float:
        """See `Tape`."""
        if self.done:
            return 3_600.0
        if self._speed is None:
            return 0.0
        passed = (now - self._seen) / SECOND if self._seen is not None else 0.0
        return max((self._frames[self._position][0].at - self._clock) / self._speed - passed, 0.0)

    def inject(self, event: Event, now: int) -> None:
        """A recording cannot be changed: raises `Invalid`."""
        raise Invalid("event", f"{event.kind} at {now}: a replay shows what was recorded and takes no events")
