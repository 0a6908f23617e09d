"""`pricewatch markets`: what a venue has, from its kept list or asked now."""

from __future__ import annotations

import difflib

from pricewatch.app.clock import SystemClock
from pricewatch.app.wiring import instrument_lists, stay_away
from pricewatch.config import Settings
from pricewatch.domain.errors import Invalid, NotFound, Unavailable
from pricewatch.exchanges.base import Instrument
from pricewatch.exchanges.listing import absent
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.ingest.instruments import VenueList, look_up, session
from pricewatch.ingest.settings import VenueSettings


async def listed(settings: Settings, venue: str, *, anew: bool) -> tuple[VenueList, str]:
    """The venue's list, and why it is an old one where the venue does not answer.

    Raises `Invalid` for a venue nobody knows and `Unavailable` where there is no list at all.
    """
    if venue not in EXCHANGES:
        near = difflib.get_close_matches(venue, EXCHANGES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(EXCHANGES))}"
        raise Invalid("VENUE", f"there is no venue {venue!r}; {hint}")
    own = settings.ingest.venues.get(venue, VenueSettings()).model_copy(update={"symbols": ()})
    clock = SystemClock()
    async with session() as http:
        answer = await look_up(
            venue,
            own,
            settings.ingest,
            lists=instrument_lists(settings),
            clock=clock,
            away=stay_away(settings, clock),
            http=http,
            anew=anew,
        )
    if answer.found is None:
        raise Unavailable(answer.trouble)
    return answer.found, answer.trouble


def matching(venue: str, instruments: tuple[Instrument, ...], text: str) -> list[Instrument]:
    """Those with `text` in their symbol or the venue's name for them; raises `NotFound` where there is none."""
    wanted = text.strip().upper()
    found = [one for one in instruments if wanted in one.symbol or wanted in one.native.upper()]
    if not found:
        raise NotFound(absent(venue, wanted, instruments))
    return found
