"""Host names become addresses here, and only such as webhooks may go to: what was checked is connected to."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from pricewatch.accounts.reach import Reach

_THREADS = 16


class NotPublic(OSError):  # noqa: N818 - named by what it is
    """None of the host's addresses may be gone to."""


class GuardedResolver(AbstractResolver):
    """Asks the system, in threads of its own: a slow name server holds nothing else back."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses that may be gone to; raises `OSError` for none."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self.lookup, host, port, family)
        allowed = [(kind, text) for kind, text in dict.fromkeys(found) if self._reach.allows(text)]
        if not allowed:
            raise NotPublic(f"{host} is at no address that webhooks may go to")
        return [
            ResolveResult(hostname=host, host=text, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, text in allowed
        ]

    def lookup(self, host: str, port: int, family: int) -> list[tuple[int, str]]:
        """Families and addresses, as the system knows them; runs in a thread."""
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        return [(kind, str(place[0])) for kind, _, _, _, place in found]

    async def close(self) -> None:
        """Answers that are still out are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
