"""The REST port: each venue behind its prefix, and the control of the simulator itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from aiohttp import web
from pydantic import ValidationError

from pricewatch.domain.errors import Invalid
from pricewatch.simulator.faults import Faults
from pricewatch.simulator.programme import Event
from pricewatch.simulator.session import Reply, Venue


class Houses(Protocol):
    """What REST needs of the server."""

    @property
    def houses(self) -> Mapping[str, tuple[Venue, object]]:
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

    def inject(self, event: Event) -> None:
        """Let an event happen."""
        ...


class RestServer:
    """An aiohttp server for the venues' REST services and `/control/…`."""

    def __init__(self, houses: Houses, faults: Faults) -> None:
        self._houses = houses
        self._faults = faults
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        app = web.Application()
        app.router.add_get("/control/status", self._status)
        app.router.add_post("/control/disconnect", self._disconnect)
        app.router.add_post("/control/event", self._event)
        app.router.add_get("/{venue}/{path:.*}", self._venue)
        app.router.add_post("/{venue}/{path:.*}", self._venue)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _venue(self, request: web.Request) -> web.Response:
        house = self._houses.houses.get(request.match_info["venue"])
        if house is None:
            return _json(Reply({"error": "no such venue"}, 404))
        venue = house[0]
        if self._faults.limits():
            return _json(venue.limited(self._faults.retry_after))
        path = f"/{request.match_info['path']}"
        if request.method == "POST":
            return _json(venue.post(path, request.query, await request.read(), self._houses.now()))
        return _json(venue.rest(path, request.query, self._houses.now()))

    async def _status(self, request: web.Request) -> web.Response:
        del request
        return _json(Reply(self._houses.status()))

    async def _disconnect(self, request: web.Request) -> web.Response:
        query = request.query
        venue = query.get("venue")
        if venue is not None and venue not in self._houses.houses:
            return _json(Reply({"error": f"no such venue: {venue[:40]}"}, 404))
        clean = query.get("clean", "1") != "0"
        count = self._houses.disconnect(venue, clean=clean, notice=query.get("notice") == "1")
        return _json(Reply({"disconnected": count}))

    async def _event(self, request: web.Request) -> web.Response:
        try:
            self._houses.inject(Event.model_validate_json(await request.read()))
        except (ValidationError, Invalid) as exc:
            return _json(Reply({"error": str(exc)}, 422 if isinstance(exc, ValidationError) else 409))
        return _json(Reply({"accepted": True}, 202))


def _json(reply: Reply) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(reply.body),
        status=reply.status,
        headers=dict(reply.headers),
        content_type="application/json",
    )
