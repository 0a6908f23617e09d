"""`markets`: which markets are listened to beyond the configuration; for administrators."""

from __future__ import annotations

import difflib

from aiohttp import web

from pricewatch.domain.errors import Invalid, NotFound
from pricewatch.exchanges.registry import EXCHANGES
from pricewatch.exchanges.symbols import canonical
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, document, no_content
from pricewatch.ports.clock import Clock
from pricewatch.ports.markets import MarketBook, MarketChanges, MarketChoice
from pricewatch.wire.pages import ChoiceDocument, ChoicePage, MarketWish, choice


class Choices:
    """A choice is stored, holds after a restart, and is taken up without reconnecting what stands."""

    def __init__(self, book: MarketBook, changes: MarketChanges, clock: Clock) -> None:
        self._book = book
        self._changes = changes
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """`POST` listens, `DELETE` does not, `DELETE …/choice` leaves it to the configuration again."""
        chosen = Docs(ChoiceDocument, 202, query=(), also=(422,))
        forgotten = Docs(status=204, query=(), also=(422,))
        return [
            Endpoint("GET", "/markets", self.listing, Access.ADMIN, Docs(ChoicePage, query=())),
            Endpoint("POST", "/markets", self.add, Access.ADMIN, chosen._replace(body=MarketWish)),
            Endpoint("DELETE", "/markets/{market}", self.remove, Access.ADMIN, chosen),
            Endpoint("DELETE", "/markets/{market}/choice", self.forget, Access.ADMIN, forgotten),
        ]

    async def listing(self, _: web.Request, __: Identity) -> web.Response:
        """All choices, by venue and symbol."""
        return reply(ChoicePage([choice(one) for one in await self._book.choices()]))

    async def add(self, request: web.Request, who: Identity) -> web.Response:
        """Listen to `{"market": "venue:BASE-QUOTE"}`; 202, for the venue has still to confirm it."""
        wish = await document(request, MarketWish)
        return await self._choose(wish.market, who, wanted=True)

    async def remove(self, request: web.Request, who: Identity) -> web.Response:
        """Listen to it no more, even if the configuration names it."""
        return await self._choose(request.match_info["market"], who, wanted=False)

    async def forget(self, request: web.Request, who: Identity) -> web.Response:
        """Leave the market to the configuration again."""
        venue, symbol = _named(request.match_info["market"])
        if not await self._book.forget(venue, symbol, by=who.account.id):
            raise NotFound(f"nobody has chosen anything for '{venue}:{symbol}'")
        self._changes.markets_changed()
        return no_content()

    async def _choose(self, text: str, who: Identity, *, wanted: bool) -> web.Response:
        venue, symbol = _named(text)
        made = MarketChoice(venue, symbol, wanted, who.account.id, self._clock.now())
        await self._book.choose(made)
        self._changes.markets_changed()
        return reply(choice(made), status=202)


def _named(text: str) -> tuple[str, str]:
    venue, colon, symbol = text.strip().partition(":")
    venue = venue.lower()
    if not colon:
        raise Invalid("market", f"{text[:64]!r} is no market; write venue:BASE-QUOTE, for example kraken:BTC-USD")
    if venue not in EXCHANGES:
        near = difflib.get_close_matches(venue, EXCHANGES, n=1)
        hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(sorted(EXCHANGES))
        raise Invalid("market", f"there is no venue {venue[:40]!r}; {hint}")
    try:
        return venue, canonical(symbol)
    except Invalid as error:
        raise Invalid("market", error.problem) from error
