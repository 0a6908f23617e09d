"""A gateway over PostgreSQL, with something of everything in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from tests.gateway.gateway_world import QUICK, make_signal, until

from pricewatch.accounts.tokens import mint
from pricewatch.app.clock import SystemClock
from pricewatch.app.wiring import Store, build_store
from pricewatch.config import Settings
from pricewatch.domain.account import Account, Role
from pricewatch.domain.market import Market, Trade
from pricewatch.domain.signal import FeedEntry
from pricewatch.gateway.app import Gateway
from pricewatch.gateway.keepers import Keepers
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.journal import Change, Claim
from pricewatch.ports.ticks import Gap, Listing
from pricewatch.rules.document import parse
from pricewatch.telemetry.metrics import Sample
from pricewatch.testing.preview import MemoryPreviewDesk
from pricewatch.training.promote import Desk

GENEROUS = QUICK.model_copy(
    update={
        "read_limit": 10**6,
        "write_limit": 10**6,
        "anonymous_limit": 10**6,
        "login_attempts": 10**6,
        "name_attempts": 10**6,
        "head_timeout": 60.0,
        "handler_timeout": 60.0,
    }
)
RULE: dict[str, Any] = {"title": "BTC", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "70000"}}


class Nothing:
    """A part that is well, and whom changes are told."""

    name = "nothing"

    def status(self) -> Mapping[str, Any]:
        return {}

    def trouble(self) -> str | None:
        return None

    def samples(self) -> Iterable[Sample]:
        return ()

    def rules_changed(self) -> None:
        """Nobody evaluates here."""

    def markets_changed(self) -> None:
        """Nobody listens here."""


@dataclass(kw_only=True)
class House:
    """What runs."""

    store: Store
    gateway: Gateway
    market: Market
    claim: Claim

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    async def account(self, name: str, role: Role = Role.USER) -> tuple[Account, str]:
        account = await self.store.accounts.create(name, f"{name}@example.org", role)
        minted = mint(account.id, now=SystemClock().now())
        await self.store.accounts.add_key(minted.key)
        return account, minted.text

    async def furnish(self, account: Account, key: str) -> dict[str, str]:
        """One of everything, by kind; its ids are this account's."""
        [entry] = await self.emit(account)
        [delivery] = await self.store.outbox.listing(account.id)
        [claimed] = await self.store.outbox.claim("email", limit=1, lease=60)
        await self.store.outbox.sent(claimed, "250 OK")
        found = {"signals": str(entry.signal.id), "deliveries": str(delivery.id)}
        async with aiohttp.ClientSession(headers={"X-API-Key": key}) as http:

            async def make(path: str, body: Any) -> str:
                async with http.post(f"{self.base}/api/v1/{path}", json=body) as answer:
                    assert answer.status < 300, await answer.text()
                    return str((await answer.json()).get("id"))

            found["rules"] = await make("rules", RULE)
            found["keys"] = await make("keys", {"title": "spare"})
            found["watchlists"] = await make("watchlists", {"name": "mine", "symbols": ["BTC-USD"]})
            found["channels"] = await make("channels", {"kind": "webhook", "url": "https://hooks.example.org/mine"})
            found["previews"] = await make("rules/preview", {"rule": RULE})
            await make("session", {"key": key})
        [session] = await self.store.records.sessions.listing(account.id, SystemClock().now())
        return {**found, "sessions": str(session.id), "users": str(account.id)}

    async def emit(self, account: Account) -> list[FeedEntry]:
        signal = make_signal(account.id, self.market, at=SystemClock().now())
        return await self.store.journal.commit(self.claim, Change(cursor=0, signals=[signal]))


@asynccontextmanager
async def house(url: str, settings: GatewaySettings = GENEROUS) -> AsyncIterator[House]:
    """A gateway over this database, with one market, its trades and a hole in them."""
    clock, nothing = SystemClock(), Nothing()
    store = build_store(Settings(), url, clock)
    async with store.database, store.bulk, store.commits, asyncio.TaskGroup() as group:
        [market] = await store.catalog.register([Listing("coinbase", "BTC-USD", "BTC-USD")])
        await store.gaps.declare(Gap(market.id, 3, 5, 1, 2, "test"), opened_seen=clock.now())
        keepers = Keepers(
            accounts=store.accounts,
            records=store.records,
            rules=store.rules,
            changes=nothing,
            feed=store.feed,
            history=store.history,
            catalog=store.catalog,
            outbox=store.outbox,
            webhooks=store.webhooks,
            models=store.models,
            gaps=store.gaps,
            choices=store.choices,
            market_changes=nothing,
            system=store.system,
            consumers=store.consumers,
            registry=store.registry,
            desk=Desk(store.registry, store.artefacts, clock),
            previews=MemoryPreviewDesk(clock),
        )
        gateway = Gateway(settings, keepers, clock=clock, parse_rule=parse, parts=[nothing])
        task = group.create_task(gateway.run())
        await until(lambda: task.done() or gateway.trouble() is None)
        gateway.trade(Trade(market.id, clock.now(), 70_000.5, 0.5, 1, 7, clock.now()), clock.now())
        try:
            yield House(store=store, gateway=gateway, market=market, claim=await store.journal.claim(0, "test"))
        finally:
            task.cancel()
