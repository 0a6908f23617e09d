"""What each venue says it has: its list of markets, asked for at start, kept in the data folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import structlog

from pricewatch.domain.errors import BadData, Refused, Unavailable
from pricewatch.domain.time import rfc3339
from pricewatch.exchanges.base import Endpoints, Instrument
from pricewatch.exchanges.listing import absent
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.pace import Pace
from pricewatch.ingest.settings import IngestSettings, VenueSettings
from pricewatch.ingest.stayaway import Distance, StayAway
from pricewatch.ingest.venue_rest import VenueRest
from pricewatch.ports.clock import Clock
from pricewatch.telemetry.metrics import Sample

log = structlog.get_logger(__name__)


class VenueList(msgspec.Struct, frozen=True):
    """A venue's markets as it listed them, and those it listed before and no longer does (not active)."""

    venue: str
    source: str
    """The REST address that was asked."""
    asked: int
    """When, in microseconds."""
    instruments: tuple[Instrument, ...]


class Lists:
    """The lists last seen, one JSON file a venue."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, venue: str, source: str) -> VenueList | None:
        """The list that `source` gave; None where there is none, or none that can be read."""
        path = self._path(venue)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=VenueList)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("instruments.unreadable", file=str(path), error=str(error)[:200])
            return None
        return found if found.source == source else None

    def write(self, found: VenueList) -> None:
        """Replace the file as a whole. A folder that takes nothing costs the cache, not the start."""
        path = self._path(found.venue)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(msgspec.json.encode(found))
            fresh.replace(path)
        except OSError as error:
            log.warning("instruments.not_kept", file=str(path), error=str(error))

    def _path(self, venue: str) -> Path:
        return self._folder / f"{venue}.json"


class Answer(NamedTuple):
    """The list there is; `now`: the venue itself has just given it; `trouble`: why it has not, where it should."""

    found: VenueList | None
    now: bool = False
    trouble: str = ""


def session() -> aiohttp.ClientSession:
    """A client for venues; some answer nobody who does not say who is asking."""
    return aiohttp.ClientSession(headers={"User-Agent": "pricewatch"})


def source_of(venue: str, settings: VenueSettings) -> str:
    """The REST address of a venue."""
    return settings.rest_url or EXCHANGES[venue].endpoints.rest


async def look_up(
    venue: str,
    settings: VenueSettings,
    common: IngestSettings,
    *,
    lists: Lists,
    clock: Clock,
    away: StayAway,
    http: aiohttp.ClientSession,
    anew: bool = False,
) -> Answer:
    """The kept list while it is young and has every configured symbol, else the venue's own, else the kept one."""
    known = lists.read(venue, source_of(venue, settings))
    if known is not None and not anew and _serves(known, settings.symbols, common, clock.now()):
        return Answer(known)
    asking = Pace(EXCHANGES[venue].history_interval if settings.history_interval is None else settings.history_interval)
    distance = Distance(venue, opening=Pace(0.0), asking=asking, book=away)
    if asking.away > 0.0:
        return Answer(known, trouble=f"{venue} wants to be left alone for another {asking.away:.0f} s")
    rest = VenueRest(http, distance=distance, timeout=settings.history_timeout, counters=Counters())
    try:
        async with asyncio.timeout(common.instruments_timeout):
            found = await _ask(venue, settings, clock=clock, rest=rest)
    except TimeoutError:
        return Answer(known, trouble=f"{venue} did not list its markets within {common.instruments_timeout:g} s")
    except (BadData, Refused, Unavailable) as error:
        return Answer(known, trouble=str(error)[:300])
    found = _with_the_gone(found, known)
    lists.write(found)
    return Answer(found, now=True)


def _serves(known: VenueList, symbols: Collection[str], common: IngestSettings, now: int) -> bool:
    if not 0 <= now - known.asked <= common.instruments_max_age * 1e6:
        return False
    return {one.symbol for one in known.instruments if one.active}.issuperset(symbols)


async def _ask(venue: str, settings: VenueSettings, *, clock: Clock, rest: VenueRest) -> VenueList:
    kind = EXCHANGES[venue]
    source = source_of(venue, settings)
    exchange = kind([], Endpoints(socket=settings.socket_url or kind.endpoints.socket, rest=source))
    bodies = [await rest.ask(request.url, request.body) for request in exchange.instrument_requests()]
    instruments = exchange.parse_instruments(bodies) if bodies else []
    if bodies and not any(one.active for one in instruments):
        raise BadData("malformed", f"{venue} listed no market that trades")
    return VenueList(venue, source, clock.now(), tuple(instruments))


def _with_the_gone(found: VenueList, known: VenueList | None) -> VenueList:
    """A market that was listed once is no misspelling: it stays known, as one that does not trade."""
    listed = {one.symbol for one in found.instruments}
    gone = [
        msgspec.structs.replace(one, active=False)
        for one in (known.instruments if known is not None else ())
        if one.symbol not in listed
    ]
    return msgspec.structs.replace(found, instruments=(*found.instruments, *gone))


class Directory:
    """The lists of all enabled venues, and what they say to the configured symbols (a `Part`).

    A symbol that a venue's own list of this moment does not have is left out, with a hint; the others go on. Where
    there is only an old list, or none, a symbol is asked for under the name its adapter makes of it.
    """

    name = "instruments"

    def __init__(self, lists: Lists, clock: Clock, away: StayAway) -> None:
        self._lists = lists
        self._clock = clock
        self._away = away
        self._answers: dict[str, Answer] = {}
        self._listed: dict[str, dict[str, Instrument]] = {}
        self.absent: dict[str, dict[str, str]] = {}
        """By venue and symbol: what is wrong with it, for people."""
        self._asleep: dict[str, list[str]] = {}

    async def look_up(self, settings: IngestSettings) -> None:
        """Ask all venues at once, as far as their kept lists do not serve. Never raises for a venue that is away."""
        venues = {
            name: venue
            for name, venue in settings.venues.items()
            if venue.enabled and venue.symbols and venue.instruments
        }
        for name in self._answers.keys() - venues.keys():
            self._forget(name)
        async with session() as http, asyncio.TaskGroup() as group:
            for name, venue in venues.items():
                group.create_task(self._look_up(name, venue, settings, http), name=f"instruments {name}")

    def _forget(self, name: str) -> None:
        del self._answers[name]
        for about in (self._listed, self.absent, self._asleep):
            about.pop(name, None)

    async def _look_up(
        self, name: str, venue: VenueSettings, settings: IngestSettings, http: aiohttp.ClientSession
    ) -> None:
        answer = await look_up(name, venue, settings, lists=self._lists, clock=self._clock, away=self._away, http=http)
        if name in self._answers:
            self._forget(name)
        self._answers[name] = answer
        if answer.trouble:
            log.warning("instruments.away", venue=name, error=answer.trouble, kept=answer.found is not None)
        if answer.found is None or not answer.found.instruments:
            return
        listed = self._listed[name] = {one.symbol: one for one in answer.found.instruments}
        unknown = [symbol for symbol in venue.symbols if symbol not in listed]
        self.absent[name] = {symbol: absent(name, symbol, answer.found.instruments) for symbol in unknown}
        self._asleep[name] = [symbol for symbol in venue.symbols if symbol in listed and not listed[symbol].active]
        for symbol, words in self.absent[name].items():
            log.warning("market.unknown", venue=name, symbol=symbol, says=words, left_out=answer.now)
        for symbol in self._asleep[name]:
            log.warning("market.not_trading", venue=name, symbol=symbol)

    def native(self, venue: str, symbol: str) -> str | None:
        """The venue's name for the symbol; None where the venue has just said that it has no such market."""
        found = self._listed.get(venue, {}).get(symbol)
        if found is not None:
            return found.native
        if symbol in self.absent.get(venue, ()) and self._answers[venue].now:
            return None
        return EXCHANGES[venue].native(symbol)

    def status(self) -> Mapping[str, Any]:
        """Per venue: how old its list is, what it holds, and the symbols it does not have."""
        return {"venues": {name: self._status(name, answer) for name, answer in self._answers.items()}}

    def _status(self, name: str, answer: Answer) -> Mapping[str, Any]:
        found = answer.found
        return {
            "source": "venue" if answer.now else "kept" if found is not None else "none",
            "asked": None if found is None else rfc3339(found.asked),
            "listed": len(self._listed.get(name, ())),
            "trouble": answer.trouble or None,
            "unknown": self.absent.get(name, {}),
            "not_trading": self._asleep.get(name, []),
        }

    def trouble(self) -> str | None:
        """None: a misspelt symbol or an old list does not stop the others."""
        return None

    def samples(self) -> Iterable[Sample]:
        """How many symbols are unknown, and how old the lists are."""
        now = self._clock.now()
        for name, answer in self._answers.items():
            label = (("venue", name),)
            unknown = len(self.absent.get(name, ()))
            yield Sample("unknown", unknown, "gauge", label, "Configured symbols the venue does not list.")
            if answer.found is not None:
                age = max(0.0, (now - answer.found.asked) / 1e6)
                yield Sample("age_seconds", age, "gauge", label, "Since the venue's list was asked for.")
