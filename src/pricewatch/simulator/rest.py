"""The REST port: each venue behind its prefix, and the control of the simulator itself."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pricewatch.simulator.control import Control, Houses, as_json
from pricewatch.simulator.session import Reply, Venue
from pricewatch.simulator.settings import FaultSettings


class RestServer:
    """An aiohttp server for the venues' REST services and `/control/…`."""

    def __init__(self, houses: Houses) -> None:
        self._houses = houses
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        app = web.Application()
        Control(self._houses).register(app)
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
            return as_json(Reply({"error": "no such venue"}, 404))
        venue, faults = house.venue, house.rest
        if faults.limits():
            return as_json(_limited(venue, faults.settings))
        path = f"/{request.match_info['path']}"
        if request.method == "POST":
            return as_json(venue.post(path, request.query, await request.read(), self._houses.now()))
        return as_json(venue.rest(path, request.query, self._houses.now()))


def _limited(venue: Venue, faults: FaultSettings) -> Reply:
    """The venue's words for the rate limit; a ban where 418 is wanted and the venue speaks by status at all."""
    reply = venue.limited(faults.retry_after)
    return msgspec.structs.replace(reply, status=faults.limit_status) if reply.status == 429 else reply
