"""One seeded market: when it trades, at which price, how much, and what the programme does to it."""

from __future__ import annotations

import math
from random import Random

import msgspec

from pricewatch.domain.time import MINUTE, SECOND
from pricewatch.simulator.ledger import Bar, Print
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.programme import Event, Script
from pricewatch.simulator.reference import Reference, rhythm

_NOISE = 4e-5
_HALF_SPREAD = 2e-5
_SWEEP = 0.1
_LIVELY = {"jump", "ramp", "spike", "visit", "burst"}
_LIVELY_RATE = 8.0


class Book(msgspec.Struct, frozen=True, gc=False):
    """Best prices after a change."""

    at: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    sequence: int


class Sweep(msgspec.Struct, frozen=True, gc=False):
    """The trades of one taker, all at one moment; `copies` > 1 repeats the frame."""

    prints: tuple[Print, ...]
    book: Book
    """The best prices around it."""
    copies: int = 1


class SeededMarket:
    """Makes the events of one market one after the other; a seed gives the same ones at whatever speed.

    `start` and `first_id` only shift times and ids; `speed` only squeezes the times.
    """

    def __init__(
        self,
        listing: Listing,
        reference: Reference,
        script: Script,
        *,
        seed: str,
        start: int,
        first_id: int,
        rate: float,
        quote_rate: float,
        speed: float = 1.0,
        lead: float = 0.0,
    ) -> None:
        self.listing = listing
        self.offset = -lead
        self._reference = reference
        self._script = script
        self._rng = Random(seed)
        self._start, self._speed = start, speed
        self._id, self._sequence = first_id, first_id * 10
        self._trade_rate = rate / (1 + 1.5 * _SWEEP)
        self._quote_rate = quote_rate
        self._calm = rhythm(reference.hour(0.0))
        self._active: list[Event] = []
        self._shift = 0.0
        self._noise = 0.0
        self._log = math.log(listing.price)
        self._late: Event | None = None
        self._copies = 1

    def inject(self, event: Event, offset: float) -> None:
        """Let an event happen `event.at` seconds after `offset`."""
        self._script.add(event.model_copy(update={"at": max(offset, self.offset) + event.at}))

    def schedule(self, event: Event, offset: float) -> None:
        """Like `inject`, for an event of the programme: it comes back as often as the programme repeats."""
        self._script.add(event.model_copy(update={"at": max(offset, self.offset) + event.at}), again=True)

    def step(self) -> Sweep | Book:
        """The next event; `offset` then says when it happens, in seconds from the start."""
        before = self.offset
        self._wait()
        mid = math.exp(self._price(before))
        if self._rng.random() * (self._trades + self._quote_rate) < self._trades:
            return self._sweep(mid)
        return self._book(mid)

    @property
    def _trades(self) -> float:
        lively = any(event.kind in _LIVELY for event in self._active)
        return max(3 * self._trade_rate, _LIVELY_RATE) if lively else self._trade_rate

    def _wait(self) -> None:
        """Move to the next moment something is printed; the programme's turns on the way come first."""
        while True:
            pace = (self._trades + self._quote_rate) * rhythm(self._reference.hour(self.offset)) / self._calm
            moment = self.offset + self._rng.expovariate(pace)
            silence = max((event.end for event in self._active if event.kind == "silence"), default=-math.inf)
            turn = min(self._script.next_at(), min((event.end for event in self._active), default=math.inf))
            if turn > moment and silence <= self.offset:
                self.offset = moment
                return
            self._settle(turn)
            self.offset = max(self.offset, turn)
            self._active = [event for event in self._active if event.end > turn]
            while self._script.next_at() <= turn:
                self._begin(self._script.pop())

    def _begin(self, event: Event) -> None:
        if event.kind == "jump":
            self._shift += math.log1p(event.percent / 100)
        elif event.kind == "late":
            self._late = event
        elif event.kind == "duplicate":
            self._copies = 2
        else:
            self._active.append(event)

    def _settle(self, turn: float) -> None:
        """Bring lasting moves to their end exactly, however seldom the market prints."""
        self._drift(self.offset, turn)

    def _drift(self, before: float, now: float) -> None:
        for event in self._active:
            if event.kind == "ramp":
                share = min(now, event.end) - max(before, event.at)
                self._shift += math.log1p(event.percent / 100) * max(share, 0.0) / event.seconds
            elif event.kind == "visit":
                self._steer(event, before, now)

    def _steer(self, event: Event, before: float, now: float) -> None:
        """Past the level by its margin in the first half, back below it in the second."""
        half = event.at + event.seconds / 2
        first = now <= half
        margin = math.log1p((event.percent if first else -event.percent) / 100)
        goal = math.log(event.level or self.listing.level) + margin
        left = max((half if first else event.end) - before, 1e-9)
        here = self._log + self._reference.at(now) + self._shift
        self._shift += (goal - here) * min((now - before) / left, 1.0)

    def _price(self, before: float) -> float:
        now = self.offset
        self._drift(before, now)
        decay = math.exp(-(now - before) / 10)
        self._noise = self._noise * decay + self._rng.gauss(0.0, _NOISE) * math.sqrt(1 - decay * decay)
        log = self._log + self._reference.at(now) + self._shift
        noise = self._noise
        for event in self._active:
            if event.kind == "spike":
                log += math.log1p(event.percent / 100)
            elif event.kind == "burst":
                noise += (
                    self._rng.gauss(0.0, _NOISE * event.factor) if event.factor > 1 else -noise * (1 - event.factor)
                )
            elif event.kind == "oscillate":
                swing = math.sin(2 * math.pi * (now - event.at) / event.period) * event.percent / 100
                goal = math.log(event.level or self.listing.level) + swing
                self._shift += goal - log
                log, noise = goal, 0.0
        return log + noise

    def _sides(self, mid: float) -> tuple[int, int]:
        """Best bid and ask, in ticks."""
        tick = self.listing.tick
        factor = math.prod(event.factor for event in self._active if event.kind == "spread")
        half = mid * _HALF_SPREAD * factor / tick
        bid = max(round(mid / tick - half), 1)
        return bid, bid + max(round(2 * half), 1)

    def _size(self, scale: float = 1.0) -> float:
        size = scale * self.listing.size * math.exp(self._rng.gauss(-0.5, 1.2))
        return max(round(size, self.listing.lot), 10.0**-self.listing.lot)

    def _stamp(self, lag: float = 0.0) -> int:
        at = self._start + int((self.offset / self._speed - lag) * SECOND)
        return at - at % self.listing.step

    def _sweep(self, mid: float) -> Sweep:
        bid, ask = self._sides(mid)
        side = 1 if self._rng.random() < 0.5 else -1
        number = self._rng.choice((2, 3)) if self._rng.random() < _SWEEP else 1
        level = ask if side > 0 else bid
        lag, self._late = (self._late.seconds if self._late else 0.0), None
        at = self._stamp(lag)
        prints = []
        for index in range(number):
            self._sequence += 1 + int(self._rng.random() * 20)
            price = round((level + side * index) * self.listing.tick, self.listing.decimals)
            prints.append(Print(self._id, at, price, self._size(), side, self._sequence))
            self._id += 1
        copies, self._copies = self._copies, 1
        return Sweep(tuple(prints), self._best(bid, ask), copies)

    def _book(self, mid: float) -> Book:
        self._sequence += 1 + int(self._rng.random() * 20)
        return self._best(*self._sides(mid))

    def _best(self, bid: int, ask: int) -> Book:
        tick, decimals = self.listing.tick, self.listing.decimals
        return Book(
            self._stamp(),
            round(bid * tick, decimals),
            self._size(5.0),
            round(ask * tick, decimals),
            self._size(5.0),
            self._sequence,
        )


def candles(listing: Listing, reference: Reference, *, seed: str, start: int, rate: float) -> list[Bar]:
    """The one-minute candles before the start, oldest first, ending at the start's minute and price."""
    rng = Random(seed)
    rows = reference.minutes()
    last = start - start % MINUTE
    calm = rhythm(reference.hour(0.0))
    bars: list[Bar] = []
    for index, row in enumerate(rows):
        ago = len(rows) - index
        begin, high, low, end = (round(listing.price * math.exp(value) / listing.tick) * listing.tick for value in row)
        tide = rhythm(reference.hour(-60.0 * ago)) / calm
        stir = 1 + 400 * (row[1] - row[2])
        trades = max(int(60 * rate * tide * stir * rng.lognormvariate(-0.1, 0.4)), 1)
        volume = round(trades * listing.size * rng.lognormvariate(-0.05, 0.3), listing.lot)
        bought = round(volume * min(max(rng.gauss(0.5 + 40 * (row[3] - row[0]), 0.1), 0.0), 1.0), listing.lot)
        prices = [round(value, listing.decimals) for value in (begin, high, low, end)]
        mean = (prices[0] + prices[1] + prices[2] + prices[3]) / 4
        bars.append(
            Bar(last - ago * MINUTE, prices[0], prices[1], prices[2], prices[3], volume, volume * mean, bought, trades)
        )
    return bars
