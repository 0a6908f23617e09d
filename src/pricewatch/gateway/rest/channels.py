"""`channels`: where an account is reached beside the feed."""

from __future__ import annotations

from aiohttp import web

from pricewatch.domain.errors import NotFound
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.credentials import KeyRing
from pricewatch.gateway.problems import reply
from pricewatch.gateway.rest.endpoint import Access, Docs, Endpoint, no_content
from pricewatch.ports.accounts import Accounts, Change
from pricewatch.ports.webhooks import Webhooks
from pricewatch.wire.channel import ChannelPage, mail, webhook


class Channels:
    """All channels in one list.

    An administrator writes the mail address and answers for it; its owner may take it away.
    """

    def __init__(self, accounts: Accounts, webhooks: Webhooks, ring: KeyRing) -> None:
        self._webhooks = webhooks
        self._accounts = accounts
        self._ring = ring

    def endpoints(self) -> list[Endpoint]:
        """What is special to webhooks is a resource of its own."""
        return [
            Endpoint("GET", "/channels", self.listing, docs=Docs(ChannelPage, query=())),
            Endpoint("DELETE", "/channels/email", self.remove, Access.OWN, Docs(status=204, query=(), also=(404,))),
        ]

    async def listing(self, _: web.Request, who: Identity) -> web.Response:
        """One's own channels: mail, and webhooks with why they were disabled."""
        found = await self._accounts.get(who.account.id)
        address = found.email if found is not None else ""
        hooks = await self._webhooks.listing(who.account.id)
        return reply(ChannelPage([*([mail(address)] if address else []), *map(webhook, hooks)], None))

    async def remove(self, _: web.Request, who: Identity) -> web.Response:
        """No more mails: rules go on, and their signals go to the feed alone."""
        found = await self._accounts.get(who.account.id)
        if found is None or not found.email:
            raise NotFound("there is no mail address to remove")
        await self._accounts.change(who.account.id, Change(email=""), by=who.account.id)
        self._ring.forget(who.digest)
        return no_content()
