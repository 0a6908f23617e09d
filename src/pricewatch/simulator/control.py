"""`/control/…`: what the simulator itself is asked and told while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from aiohttp import web
from pydantic import ValidationError

from pricewatch.domain.errors import Invalid
from pricewatch.simulator.faults import ACCIDENTS, Accident, Faults
from pricewatch.simulator.programme import Event
from pricewatch.simulator.session import Reply, Venue


class House(Protocol):
    """What REST needs of one venue."""

    @property
    def venue(self) -> Venue:
        """Its protocol."""
        ...

    @property
    def rest(self) -> Faults:
        """The luck of its REST service."""
        ...


class Houses(Protocol):
    """What REST needs of the server."""

    @property
    def houses(self) -> Mapping[str, House]:
        """The venues by name."""
        ...

    def now(self) -> int:
        """The wall clock."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Progress."""
        ...

    def disconnect(self, venue: str | None, *, clean: bool, notice: bool = False) -> int:
        """Part with clients."""
        ...

    def befall(self, venue: str | None, accident: Accident) -> int:
        """Let an accident happen to clients."""
        ...

    def faults(self) -> Mapping[str, Any]:
        """What is wrong at each venue."""
        ...

    def change(self, venue: str | None, changes: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Change what is wrong."""
        ...

    def inject(self, event: Event) -> None:
        """Let an event happen."""
        ...


class Control:
    """`status` and `faults` to read; `event`, `disconnect`, `accident`, `faults` to act; `?venue=` narrows."""

    def __init__(self, houses: Houses) -> None:
        self._houses = houses

    def register(self, app: web.Application) -> None:
        """Take the paths."""
        app.router.add_get("/control/status", self._status)
        app.router.add_post("/control/event", self._event)
        app.router.add_post("/control/disconnect", self._disconnect)
        app.router.add_post("/control/accident", self._accident)
        app.router.add_get("/control/faults", self._faults)
        app.router.add_post("/control/faults", self._change)
        app.router.add_delete("/control/faults", self._change)

    async def _status(self, request: web.Request) -> web.Response:
        del request
        return as_json(Reply(self._houses.status()))

    async def _event(self, request: web.Request) -> web.Response:
        try:
            self._houses.inject(Event.model_validate_json(await request.read()))
        except (ValidationError, Invalid) as exc:
            return as_json(Reply({"error": str(exc)}, 422 if isinstance(exc, ValidationError) else 409))
        return as_json(Reply({"accepted": True}, 202))

    async def _disconnect(self, request: web.Request) -> web.Response:
        query = request.query
        venue = self._venue(request)
        clean = query.get("clean", "1") != "0"
        count = self._houses.disconnect(venue, clean=clean, notice=query.get("notice") == "1")
        return as_json(Reply({"disconnected": count}))

    async def _accident(self, request: web.Request) -> web.Response:
        venue, wanted = self._venue(request), request.query.get("kind", "")
        kind = next((known for known in ACCIDENTS if known == wanted), None)
        if kind is None:
            text = f"kind: {wanted[:40]!r} is no accident; there are {', '.join(ACCIDENTS)}"
            return as_json(Reply({"error": text}, 422))
        return as_json(Reply({"befell": self._houses.befall(venue, kind)}))

    async def _faults(self, request: web.Request) -> web.Response:
        del request
        return as_json(Reply(self._houses.faults()))

    async def _change(self, request: web.Request) -> web.Response:
        """POST: a JSON object of settings to change; DELETE: back to those of the start."""
        venue = self._venue(request)
        try:
            changes = None if request.method == "DELETE" else _decode(await request.read())
            return as_json(Reply(self._houses.change(venue, changes)))
        except (ValueError, Invalid) as exc:  # pydantic's and msgspec's errors are ValueErrors
            return as_json(Reply({"error": str(exc)}, 422))

    def _venue(self, request: web.Request) -> str | None:
        venue = request.query.get("venue")
        if venue is not None and venue not in self._houses.houses:
            text = msgspec.json.encode({"error": f"no such venue: {venue[:40]}"}).decode()
            raise web.HTTPNotFound(text=text, content_type="application/json")
        return venue


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def as_json(reply: Reply) -> web.Response:
    """A reply over the wire."""
    return web.Response(
        body=msgspec.json.encode(reply.body),
        status=reply.status,
        headers=dict(reply.headers),
        content_type="application/json",
    )
