"""How much one account may have."""

from __future__ import annotations

import uuid

from pricewatch.gateway.problems import Denied
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.records import Dossiers


class Quotas:
    """Each check is for one more. Requests at the same moment may exceed a quota by their number."""

    def __init__(self, dossiers: Dossiers, settings: GatewaySettings) -> None:
        self._dossiers = dossiers
        self._settings = settings

    async def check_rules(self, account: uuid.UUID) -> None:
        """Raises `Denied` (403)."""
        _check("rules", (await self._dossiers.holdings(account)).rules, self._settings.max_rules)

    async def check_keys(self, account: uuid.UUID) -> None:
        """Raises `Denied` (403)."""
        _check("keys", (await self._dossiers.holdings(account)).keys, self._settings.max_keys)

    async def check_watchlists(self, account: uuid.UUID) -> None:
        """Raises `Denied` (403)."""
        _check("watchlists", (await self._dossiers.holdings(account)).watchlists, self._settings.max_watchlists)

    def check_webhooks(self, held: int) -> None:
        """Raises `Denied` (403)."""
        _check("webhooks", held, self._settings.max_webhooks)


def _check(what: str, held: int, most: int) -> None:
    if held >= most:
        raise Denied(
            403,
            "over_quota",
            f"you have {held} {what} of at most {most}; delete some, or have gateway.max_{what} raised",
        )
