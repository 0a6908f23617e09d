"""A venue's public REST, asked at the venue's pace and never while it wants to be left alone."""

from __future__ import annotations

import aiohttp

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.ingest.counters import Counters
from pricewatch.ingest.stayaway import Distance
from pricewatch.ingest.transport.refusal import refusal, shown

_MAX_BODY = 16 * 1024 * 1024
"""Bytes of one reply; a page of 1,000 rows is a few hundred kilobytes."""
_JSON = {"Content-Type": "application/json"}


class VenueRest:
    """One venue's."""

    def __init__(
        self, session: aiohttp.ClientSession, *, distance: Distance, timeout: float, counters: Counters
    ) -> None:
        """`timeout`: seconds one request may take."""
        self._session = session
        self._distance = distance
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._counters = counters

    async def ask(self, url: str, body: str | None = None) -> bytes:
        """One reply's body; `body` is posted as JSON where there is one. Raises `Unavailable` or `Refused`.

        A stated time to stay away holds for every later request, and makes this one `Unavailable`.
        """
        await self._distance.asking.turn()
        self._counters.history_requests += 1
        try:
            return await self._fetch(url, body)
        except Refused as error:
            self._counters.history_failures += 1
            if error.retry_after is None:
                raise
            await self._distance.refused_request(error)
            raise Unavailable(str(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self._counters.history_failures += 1
            raise Unavailable(f"{shown(url)}: {str(error) or type(error).__name__}") from error
        except Unavailable:
            self._counters.history_failures += 1
            raise

    async def _fetch(self, url: str, body: str | None) -> bytes:
        sending = (
            self._session.get(url, timeout=self._timeout)
            if body is None
            else self._session.post(url, data=body.encode(), headers=_JSON, timeout=self._timeout)
        )
        async with sending as response:
            if response.status != 200:
                raise refusal(response.status, response.headers, url)
            found = await response.content.read(_MAX_BODY)
            while len(found) < _MAX_BODY and (more := await response.content.read(_MAX_BODY - len(found))):
                found += more
            return found
