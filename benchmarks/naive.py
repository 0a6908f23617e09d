"""The reference a newcomer would write: json, Decimal, one queue, every rule on every tick, one INSERT per trade.

It promises the same signals for `above` rules (tested), nothing about speed.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from decimal import Decimal
from typing import Any

import asyncpg

NAMESPACE = uuid.UUID("6f3ed1c4-9a3b-5a51-8d3f-0d5a3f6f0c11")


class NaiveRule:
    """`above` with the default 0.1 % hysteresis."""

    def __init__(self, rule_id: uuid.UUID, market: str, level: str) -> None:
        self.id = rule_id
        self.market = market
        self.level = Decimal(level)
        self.clear = self.level * (1 - Decimal("0.001"))
        self.armed = False
        self.firing = False
        self.silent = False


class NaiveService:
    """Frames in, a list of signal ids out."""

    def __init__(self, rules: list[NaiveRule], pool: asyncpg.Pool | None, symbols: dict[str, str]) -> None:
        self.rules = rules
        self.pool = pool
        self.symbols = symbols
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.signals: list[uuid.UUID] = []

    async def feed(self, frame: str) -> None:
        message = json.loads(frame)
        data = message.get("data", message)
        if data.get("e") == "trade":
            await self.queue.put(
                {
                    "market": self.symbols[data["s"]],
                    "price": Decimal(data["p"]),
                    "size": Decimal(data["q"]),
                    "id": int(data["t"]),
                    "at": int(data["T"]),
                }
            )

    async def work(self, count: int) -> None:
        for _ in range(count):
            tick = await self.queue.get()
            if self.pool is not None:
                await self.pool.execute(
                    "INSERT INTO naive_trade VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                    tick["market"],
                    tick["id"],
                    tick["at"],
                    tick["price"],
                    tick["size"],
                )
            for rule in self.rules:
                if rule.market == tick["market"]:
                    self.judge(rule, tick)

    def judge(self, rule: NaiveRule, tick: dict[str, Any]) -> None:
        price = tick["price"]
        if not rule.armed:
            rule.armed = True
            rule.firing = rule.silent = price > rule.level
        elif not rule.firing and price > rule.level:
            rule.firing, rule.silent = True, False
            self.emit(rule, tick, "fired")
        elif rule.firing and price <= rule.clear:
            rule.firing = False
            if not rule.silent:
                self.emit(rule, tick, "cleared")

    def emit(self, rule: NaiveRule, tick: dict[str, Any], direction: str) -> None:
        name = f"{rule.id}/1/{rule.market}/trade:{tick['id']}/{direction}"
        self.signals.append(uuid.uuid5(NAMESPACE, name))
