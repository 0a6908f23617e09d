"""One REST request to a venue: the body of a good answer, or what to do about any other."""

from __future__ import annotations

import aiohttp

from pricewatch.domain.errors import Unavailable
from pricewatch.exchanges.base import Request
from pricewatch.ingest.transport.refusal import refusal


def session() -> aiohttp.ClientSession:
    """A client for venues; some answer nobody who does not say who is asking."""
    return aiohttp.ClientSession(headers={"User-Agent": "pricewatch"})


async def fetch(http: aiohttp.ClientSession, request: Request, *, timeout: float, limit: int) -> bytes:  # noqa: ASYNC109
    """The answer's body of at most `limit` bytes. Raises `Unavailable` (also for more) or `Refused`."""
    method, headers = ("GET", None) if request.body is None else ("POST", {"Content-Type": "application/json"})
    try:
        async with http.request(
            method, request.url, data=request.body, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout)
        ) as answer:
            if answer.status != 200:
                raise refusal(answer.status, answer.headers, request.url)
            parts, size = [], 0
            async for part in answer.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise Unavailable(f"{request.url}: the answer has more than {limit} bytes")
            return b"".join(parts)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise Unavailable(f"{request.url}: {str(error) or type(error).__name__}") from error
