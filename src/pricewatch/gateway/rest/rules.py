"""`rules`: raw documents in, parsed before they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from pricewatch.domain.errors import Invalid
from pricewatch.gateway.auth import Identity
from pricewatch.gateway.board import Board
from pricewatch.gateway.problems import reply
from pricewatch.gateway.quotas import Quotas
from pricewatch.gateway.rest import cursor
from pricewatch.gateway.rest.endpoint import (
    Access,
    Docs,
    Endpoint,
    identifier,
    json_body,
    limit,
    no_content,
)
from pricewatch.ports.clock import Clock
from pricewatch.ports.records import Watchlists
from pricewatch.ports.rules import RuleBook, RuleChanges
from pricewatch.ports.webhooks import Webhooks
from pricewatch.rules.document import Rule, RuleDocument
from pricewatch.rules.listed import check_listed, listings
from pricewatch.wire.pages import RulePage, RuleVersionPage, version
from pricewatch.wire.rest import RuleRecord, rule

Parse = Callable[[bytes], Rule]
"""The rule a document means; raises `Invalid` naming the field and the fix."""


class Rules:
    """One account's rules."""

    def __init__(
        self,
        book: RuleBook,
        changes: RuleChanges,
        board: Board,
        *,
        parse: Parse,
        quotas: Quotas,
        lists: Watchlists,
        webhooks: Webhooks,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._book = book
        self._lists = lists
        self._webhooks = webhooks
        self._quotas = quotas
        self._changes = changes
        self._board = board
        self._parse = parse

    def endpoints(self) -> list[Endpoint]:
        """Reading for everybody, writing for users."""
        page = ("cursor", "limit")
        write = Docs(RuleRecord, body=RuleDocument, query=())
        return [
            Endpoint("GET", "/rules", self.listing, docs=Docs(RulePage, query=page)),
            Endpoint("POST", "/rules", self.create, Access.WRITE, write._replace(status=201)),
            Endpoint("GET", "/rules/{id}", self.get, docs=Docs(RuleRecord, query=())),
            Endpoint("GET", "/rules/{id}/versions", self.versions, docs=Docs(RuleVersionPage, query=page)),
            Endpoint("PUT", "/rules/{id}", self.revise, Access.WRITE, write),
            Endpoint("DELETE", "/rules/{id}", self.delete, Access.WRITE, Docs(status=204, query=())),
        ]

    async def listing(self, request: web.Request, who: Identity) -> web.Response:
        """The account's rules, in order of id."""
        after, wanted = cursor.read_id(request, "rules"), limit(request)
        page = await self._book.page(who.account.id, after=after, limit=wanted)
        follow = cursor.write("rules", page[-1].id) if len(page) == wanted else None
        told = await self._book.standing(who.account.id, [one.id for one in page])
        return reply(RulePage([rule(one, told.get(one.id)) for one in page], follow))

    async def create(self, request: web.Request, who: Identity) -> web.Response:
        """A new rule; what is wrong with it is named with its place in the document and the fix."""
        body = await self._document(request, who)
        await self._quotas.check_rules(who.account.id)
        stored = await self._book.create(who.account.id, body)
        self._changes.rules_changed()
        return reply(rule(stored), 201, {"Location": f"/api/v1/rules/{stored.id}"})

    async def versions(self, request: web.Request, who: Identity) -> web.Response:
        """Every version, the newest first, of a deleted rule too."""
        number, wanted = identifier(request), limit(request)
        before = cursor.read_number(request, "versions")
        page = await self._book.versions(who.account.id, number, before=before, limit=wanted)
        follow = cursor.write("versions", page[-1].version) if len(page) == wanted else None
        return reply(RuleVersionPage([version(one) for one in page], follow))

    async def get(self, request: web.Request, who: Identity) -> web.Response:
        """The newest version, and what the rule was told last."""
        stored = await self._book.get(who.account.id, identifier(request))
        told = await self._book.standing(who.account.id, [stored.id])
        return reply(rule(stored, told.get(stored.id)))

    async def revise(self, request: web.Request, who: Identity) -> web.Response:
        """A new version."""
        rule_id = identifier(request)
        stored = await self._book.revise(who.account.id, rule_id, await self._document(request, who))
        self._changes.rules_changed()
        return reply(rule(stored))

    async def delete(self, request: web.Request, who: Identity) -> web.Response:
        """It ends; its signals and versions stay."""
        await self._book.delete(who.account.id, identifier(request))
        self._changes.rules_changed()
        return no_content()

    async def _document(self, request: web.Request, who: Identity) -> bytes:
        body = await json_body(request)
        wanted = self._parse(body)
        check_listed(wanted, listings(self._board.everything()), now=self._clock.now())
        if wanted.watchlist is not None:
            await self._check_list(who, wanted.watchlist)
        await self._check_webhooks(who, wanted.policy.channels)
        return body

    async def _check_webhooks(self, who: Identity, channels: Sequence[str]) -> None:
        """Nor does a rule tell a webhook there is not."""
        wanted = [(place, word.partition(":")[2]) for place, word in enumerate(channels) if word.startswith("webhook:")]
        if not wanted:
            return
        names = [one.name for one in await self._webhooks.listing(who.account.id)]
        for place, name in wanted:
            if name not in names:
                known = ", ".join(names) or "none yet"
                raise Invalid(f"policy.channels[{place}]", f"you have no webhook {name!r}; yours: {known}")

    async def _check_list(self, who: Identity, name: str) -> None:
        """Nor does a rule wait for a list there is not."""
        if await self._lists.find(who.account.id, name) is None:
            known = ", ".join(one.name for one in await self._lists.page(who.account.id, limit=10)) or "none yet"
            raise Invalid("symbols.watchlist", f"you have no watchlist {name[:64]!r}; yours: {known}")
