"""Which markets are listened to: what the configuration names and what administrators chose, kept up while running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from pricewatch.domain.errors import Unavailable
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ports.markets import MarketBook, MarketChoice

log = structlog.get_logger(__name__)


def chosen(settings: IngestSettings, choices: Iterable[MarketChoice]) -> IngestSettings:
    """The settings with every choice in force; a venue that is switched off stays so."""
    venues = dict(settings.venues)
    for choice in choices:
        venue = venues.get(choice.venue, VenueSettings())
        symbols = tuple(symbol for symbol in venue.symbols if symbol != choice.symbol)
        if choice.wanted:
            symbols = venue.symbols if choice.symbol in venue.symbols else (*symbols, choice.symbol)
        venues[choice.venue] = venue.model_copy(update={"symbols": symbols})
    return settings.model_copy(update={"venues": venues})


class Following:
    """Applies changes one after the other. A `MarketChanges`."""

    def __init__(
        self,
        settings: IngestSettings,
        book: MarketBook,
        *,
        apply: Callable[[IngestSettings], Awaitable[None]],
        interval: float,
    ) -> None:
        """`apply` makes the whole service listen to the settings' markets; `interval`: seconds between looks."""
        self._settings = settings
        self._book = book
        self._apply = apply
        self._interval = interval
        self._wake = asyncio.Event()
        self._applied: IngestSettings | None = None

    async def current(self) -> IngestSettings:
        """The settings with the stored choices, which count as applied. Raises `Unavailable`."""
        self._applied = chosen(self._settings, await self._book.choices())
        return self._applied

    def markets_changed(self) -> None:
        """Somebody chose: look soon."""
        self._wake.set()

    def reread(self, settings: IngestSettings) -> None:
        """The configuration was read again: its symbols count from now on, everything else from the next start."""
        venues = {name: self._kept(name, venue) for name, venue in settings.venues.items()}
        rest = {name: venue.model_copy(update={"symbols": ()}) for name, venue in self._settings.venues.items()}
        self._settings = self._settings.model_copy(update={"venues": rest | venues})
        self._wake.set()

    def _kept(self, name: str, venue: VenueSettings) -> VenueSettings:
        known = self._settings.venues.get(name)
        return venue if known is None else known.model_copy(update={"symbols": venue.symbols, "enabled": venue.enabled})

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._look()
            except Unavailable as error:  # the database's own part says so; the next look does it again
                log.debug("markets.unread", error=str(error))

    async def _look(self) -> None:
        wanted = chosen(self._settings, await self._book.choices())
        if self._applied is None or _symbols(wanted) != _symbols(self._applied):
            await self._apply(wanted)
            self._applied = wanted


def _symbols(settings: IngestSettings) -> Sequence[tuple[str, frozenset[str]]]:
    return sorted(
        (name, frozenset(venue.symbols)) for name, venue in settings.venues.items() if venue.symbols and venue.enabled
    )
