"""`/healthz`, `/readyz`, `/status` and `/metrics`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from pricewatch import __version__
from pricewatch.domain.errors import Unavailable
from pricewatch.domain.time import rfc3339
from pricewatch.gateway.problems import reply
from pricewatch.ports.accounts import Accounts
from pricewatch.ports.clock import Clock
from pricewatch.ports.status import Part
from pricewatch.telemetry.exposition import CONTENT_TYPE, render

_NOBODY = uuid.UUID(int=0)


class Health:
    """How the whole process is, told from its parts."""

    def __init__(
        self, parts: Callable[[], Sequence[Part]], accounts: Accounts, clock: Clock, *, ready_timeout: float
    ) -> None:
        self._parts = parts
        self._accounts = accounts
        self._clock = clock
        self._timeout = ready_timeout
        self._started = clock.now()

    def troubles(self) -> dict[str, str | None]:
        """By part, in one line; None for those that work."""
        return {part.name: part.trouble() for part in self._parts()}

    async def healthz(self, _: web.Request) -> web.Response:
        """The loop turns. Says nothing about anything else."""
        return reply({"ok": True})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 when every part can do its work and the database answers, else 503 with the reasons."""
        troubles = self.troubles()
        troubles["database"] = await self._database()
        bad = {name: trouble for name, trouble in troubles.items() if trouble}
        return reply({"ready": not bad, "troubles": bad}, 503 if bad else 200)

    async def _database(self) -> str | None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._accounts.get(_NOBODY)
        except Unavailable as error:
            return str(error) or "the database is away"
        except TimeoutError:
            return f"the database did not answer within {self._timeout:g} s"
        return None

    async def status(self, _: web.Request) -> web.Response:
        """Every part's facts."""
        return reply(self.facts())

    def facts(self) -> dict[str, Any]:
        """What `/status` says."""
        now = self._clock.now()
        parts = {part.name: {"trouble": part.trouble(), **part.status()} for part in self._parts()}
        return {
            "version": __version__,
            "time": rfc3339(now),
            "uptime_seconds": (now - self._started) / 1e6,
            "ok": not any(part["trouble"] for part in parts.values()),
            "parts": parts,
        }

    async def metrics(self, _: web.Request) -> web.Response:
        """The Prometheus text format."""
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        return web.Response(body=render(self._parts()), headers=headers)
