"""The source of what the venues print: a seeded market or a recorded capture, behind one protocol."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from pricewatch.domain.errors import ConfigError, Invalid
from pricewatch.domain.time import SECOND
from pricewatch.simulator.ledger import Ledger
from pricewatch.simulator.listings import Listing
from pricewatch.simulator.market import Book, SeededMarket, Sweep, candles
from pricewatch.simulator.programme import Event, Script, demo
from pricewatch.simulator.reference import Reference
from pricewatch.simulator.registry import VENUES, listed
from pricewatch.simulator.session import Live
from pricewatch.simulator.settings import SimulatorSettings


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """One frame of a capture, for whoever listens to one of its topics."""

    venue: str
    topics: tuple[tuple[str, bytes], ...]
    """Each topic with the frame as that topic's listeners get it."""
    markets: tuple[str, ...]
    """What it is about, by `venue:BASE-QUOTE`."""
    trade: bool
    binary: bool
    """It was, or its venue sends, a binary message."""
    at: float
    """When it was recorded, in unix seconds."""


Item = Recorded | Live


class Tape(Protocol):
    """What happens, in order, and what happened so far."""

    name: str
    """`seeded`, or the captured venue."""

    @property
    def ledgers(self) -> Mapping[str, Ledger]:
        """The history of each market, by `venue:BASE-QUOTE`; grows as items are taken."""
        ...

    @property
    def done(self) -> bool:
        """Nothing will ever follow."""
        ...

    def take(self, now: int, limit: int, *, heard: bool) -> Iterator[Item]:
        """What is due at `now` (wall clock, microseconds), at most `limit` items; `heard`: somebody listens.

        The ledgers stand at the item handed out last.
        """
        ...

    def wait(self, now: int) -> float:
        """Seconds until something may be due; 0 when something is."""
        ...

    def inject(self, event: Event, now: int) -> None:
        """Let an event happen; raises `Invalid` where the tape cannot."""
        ...


class SeededTape:
    """All markets of the settings, printing from `start` (wall clock, microseconds) on whether heard or not."""

    def __init__(self, settings: SimulatorSettings, *, start: int) -> None:
        if settings.speed == "max":
            raise ConfigError(
                "simulator.speed: 'max' is for replays; a simulated market needs a number such as 1 or 10"
            )
        self.name = "seeded"
        self.done = False
        self.ledgers: dict[str, Ledger] = {}
        self._start, self._speed = start, settings.speed
        self._markets: dict[str, SeededMarket] = {}
        self._references: dict[str, Reference] = {}
        self._heap: list[tuple[float, int, SeededMarket, Ledger, Sweep | Book]] = []
        listings = [listed(venue, symbol) for venue, symbols in settings.markets.items() for symbol in symbols]
        script = demo(listings) if settings.programme else []
        self._awaiting = script if settings.programme_waits else []
        if self._awaiting:
            script = []
        for number, listing in enumerate(listings):
            self._open(settings, number, listing, [event for event in script if event.market == listing.key])
        self._lead()

    def _open(self, settings: SimulatorSettings, number: int, listing: Listing, events: Sequence[Event]) -> None:
        reference = self._references.get(listing.base)
        if reference is None:
            reference = self._references[listing.base] = Reference(
                f"{settings.seed}/{listing.base}", opens_at=settings.opens_at, history_minutes=settings.history_minutes
            )
        seed = f"{settings.seed}/{listing.key}"
        market = SeededMarket(
            listing,
            reference,
            Script(events, every=settings.programme_every),
            seed=seed,
            start=self._start,
            first_id=settings.first_id or self._start // 1_000,
            rate=settings.rate,
            quote_rate=settings.quote_rate if VENUES[listing.venue].quotes else 0.0,
            speed=self._speed,
            lead=settings.lead,
        )
        past = candles(listing, reference, seed=f"{seed}/past", start=self._start, rate=settings.rate)
        ledger = Ledger(listing, keep=settings.history_trades, bars=past)
        self.ledgers[listing.key] = ledger
        self._markets[listing.key] = market
        self._next(number, market, ledger)

    def _next(self, number: int, market: SeededMarket, ledger: Ledger) -> None:
        event = market.step()
        heapq.heappush(self._heap, (market.offset, number, market, ledger, event))

    def _lead(self) -> None:
        """Print what came before the start, so that every venue has a last trade."""
        while self._heap[0][0] < 0:
            self._pop()

    def _pop(self) -> Live:
        _, number, market, ledger, event = heapq.heappop(self._heap)
        if isinstance(event, Sweep):
            for trade in event.prints:
                ledger.add(trade)
        book = event.book if isinstance(event, Sweep) else event
        ledger.bid, ledger.bid_size = book.bid, book.bid_size
        ledger.ask, ledger.ask_size = book.ask, book.ask_size
        ledger.sequence = book.sequence
        self._next(number, market, ledger)
        return Live(ledger, event)

    def _offset(self, now: int) -> float:
        return (now - self._start) / SECOND * self._speed

    def take(self, now: int, limit: int, *, heard: bool) -> Iterator[Item]:
        """See `Tape`; a seeded market prints whether it is heard or not."""
        offset = self._offset(now)
        if heard and self._awaiting:
            for event in self._awaiting:
                self._markets[event.market].schedule(event, offset)
            self._awaiting = []
        while limit > 0 and self._heap[0][0] <= offset:
            limit -= 1
            yield self._pop()

    def wait(self, now: int) -> float:
        """See `Tape`."""
        return max((self._heap[0][0] - self._offset(now)) / self._speed, 0.0)

    def inject(self, event: Event, now: int) -> None:
        """See `Tape`."""
        market = self._markets.get(event.market)
        if market is None:
            raise Invalid("market", f"{event.market!r} is not simulated; there are {', '.join(self._markets)}")
        market.inject(event, self._offset(now))
