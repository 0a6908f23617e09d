"""One venue's ingest for `/status` and `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pricewatch.domain.time import rfc3339
from pricewatch.ingest.dark import Dark
from pricewatch.ingest.history import VenueHistory
from pricewatch.ingest.refill import Refiller
from pricewatch.ingest.roster import Roster
from pricewatch.ingest.runner import Runner
from pricewatch.ingest.session import Venue
from pricewatch.ingest.stayaway import Distance
from pricewatch.ingest.watch import Watch
from pricewatch.telemetry.metrics import Sample


class LiveVenue(msgspec.Struct):
    """One venue at work."""

    venue: Venue
    refiller: Refiller
    dark: Dark
    history: VenueHistory | None
    distance: Distance
    roster: Roster
    approximate: bool
    """Trades have no identity but a hash of what they say."""
    candles: int = 0
    """Imported candles that were new."""
    candle_failures: int = 0

    @property
    def runners(self) -> list[Runner]:
        """Its connections."""
        return self.roster.runners


def _time(instant: int | None) -> str | None:
    return rfc3339(instant) if instant else None


def _reading(venue: Venue) -> str:
    relief = venue.relief
    if relief is None or not (relief.shedding or relief.paused):
        return "on"
    return "shedding" if relief.shedding else "paused"


def venue_status(live: LiveVenue, watch: Watch | None = None) -> Mapping[str, Any]:
    """JSON-ready facts."""
    venue, counters = live.venue, live.venue.counters
    skew = venue.skew.measured
    return {
        "connections": [{**runner.status(), "since": _time(runner.since)} for runner in live.runners],
        "markets": {
            feed.market.symbol: {
                "last_frame": _time(feed.last_received),
                "held": feed.held,
                "channels": {} if watch is None else watch.status(feed.market.id),
            }
            for feed in venue.feeds.values()
        },
        "refused": {f"{item.native} {item.channel}": reason for item, (reason, _) in venue.refused.items()},
        "notice": venue.notice or None,
        "stay_away_seconds": round(max(live.distance.opening.away, live.distance.asking.away), 3),
        "reading": _reading(venue),
        "identity": "approximate" if live.approximate else "exact",
        "skew_seconds": None if skew is None else skew / 1e6,
        "open_gaps": len(live.refiller.declared.open),
        "counters": counters.numbers()
        | {"held": sum(feed.held for feed in venue.feeds.values())}
        | {"rejected": dict(counters.rejected), "quotes_rejected": dict(counters.quotes_rejected)},
        "rejects": counters.samples.shown(),
        "candles": {"imported": live.candles, "failures": live.candle_failures},
    }


_HELP = {
    "received": "Trades that adapters or history produced, unusable ones included.",
    "offered": "Trades handed to the next stage.",
    "duplicates": "Trades seen before.",
    "refilled": "Trades that came from the venue's history.",
    "gaps_declared": "Holes written to the gap ledger.",
    "reconnects": "Connections lost.",
    "skew_jumps": "Times the venue's clock was set by more than a second.",
    "losses": "Times a counter of the venue jumped, so that trades may be missing.",
    "pauses": "Times reading waited since storage or the bus took no more.",
    "shed": "Trades left out while storage or the bus took no more; declared as holes, their extremes handed on.",
    "quotes_shed": "Quotes left out meanwhile.",
}


def samples(live: LiveVenue) -> Iterable[Sample]:
    """The same as numbers, labelled by venue."""
    venue, counters = live.venue, live.venue.counters
    label = ("venue", venue.id)
    for name, value in counters.numbers().items():
        yield Sample(name, value, labels=(label,), help=_HELP.get(name, ""))
    for reason, value in counters.rejected.items():
        yield Sample("rejected", value, labels=(label, ("reason", reason)), help="Trades refused by the gate.")
    for reason, value in counters.quotes_rejected.items():
        yield Sample("quotes_rejected", value, labels=(label, ("reason", reason)), help="Quotes refused by the gate.")
    yield Sample("held", sum(feed.held for feed in venue.feeds.values()), "gauge", (label,))
    yield Sample("connected", sum(bool(runner.sessions) for runner in live.runners), "gauge", (label,))
    yield Sample("open_gaps", len(live.refiller.declared.open), "gauge", (label,), "Declared holes not filled yet.")
    away = max(live.distance.opening.away, live.distance.asking.away)
    yield Sample("stay_away_seconds", away, "gauge", (label,), "Seconds the venue still wants to be left alone.")
    yield Sample("paused", int(_reading(venue) != "on"), "gauge", (label,), "Whether reading waits or sheds.")
    if venue.skew.measured is not None:
        yield Sample("skew_seconds", venue.skew.measured / 1e6, "gauge", (label,), "Venue clock ahead of ours.")
    for feed in venue.feeds.values():
        if feed.last_received:
            labels = (label, ("symbol", feed.market.symbol))
            yield Sample("last_frame_timestamp_seconds", feed.last_received / 1e6, "gauge", labels)
