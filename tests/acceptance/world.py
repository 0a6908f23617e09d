"""What a database holds after a run, read with plain SQL."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any

import asyncpg
from tests.acceptance.oracle import HISTORY, SUSPECT, Band, Expected, OracleRule, Print, expected
from tests.acceptance.scores import Scores

TRADES = """
SELECT i.venue || ':' || i.symbol AS market, t.trade_id, t.price, t.size, t.seen, t.flags, i.step,
       (extract(epoch FROM t.ts) * 1000000)::bigint AS ts
FROM trade t JOIN instrument i ON i.id = t.instrument_id ORDER BY t.seen
"""
RULES = """
SELECT rule_id, version, effective_seen, convert_from(document, 'UTF8') AS document
FROM rule_version WHERE effective_seen IS NOT NULL AND NOT deleted ORDER BY rule_id
"""
BANDS = """
SELECT i.venue || ':' || i.symbol AS market, a.from_seen, v.step, v.expires, v.version
FROM model_activation a JOIN model_version v USING (version) JOIN instrument i ON i.id = a.instrument_id
ORDER BY a.from_seen
"""
SIGNALS = """
SELECT e.feed_id, e.seq, s.id, s.rule_id, s.direction, s.at, s.seen, convert_from(s.payload, 'UTF8') AS payload
FROM feed_entry e JOIN signal s ON s.id = e.signal_id JOIN feed f ON f.feed_id = e.feed_id
WHERE f.account_id IS NOT NULL ORDER BY e.feed_id, e.seq
"""


@dataclasses.dataclass(frozen=True)
class World:
    """Everything a run left behind."""

    prints: list[Print]
    rules: list[OracleRule]
    bands: dict[str, list[Band]]
    signals: list[dict[str, Any]]
    """Of accounts' rules, in the order of their feeds; what the service says of itself is in a feed of its own."""
    deliveries: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    cursor: int

    def ids(self) -> list[uuid.UUID]:
        return [signal["id"] for signal in self.signals]

    def keys(self, market: str) -> list[int]:
        """Trade ids in order of id."""
        return sorted(one.key for one in self.prints if one.market == market)

    def prices(self, market: str) -> dict[int, float]:
        return {one.key: one.price for one in self.prints if one.market == market}

    def expected(self, warm_up: int = 100) -> list[Expected]:
        return expected(
            self.rules, self.prints, bands=self.bands, scores=scores(self.prints, warm_up), end_seen=self.cursor
        )

    def assert_feeds_are_whole(self) -> None:
        """Each feed's numbers begin at 1 and leave nothing out; no signal is there twice."""
        by_feed: dict[uuid.UUID, list[int]] = {}
        for signal in self.signals:
            by_feed.setdefault(signal["feed_id"], []).append(signal["seq"])
        for numbers in by_feed.values():
            assert numbers == list(range(1, len(numbers) + 1))
        assert len(set(self.ids())) == len(self.signals)


async def read(url: str) -> World:
    connection = await asyncpg.connect(url)
    try:
        trades = await connection.fetch(TRADES)
        return World(
            prints=[
                Print(
                    row["seen"],
                    row["market"],
                    row["ts"] - row["ts"] % row["step"],
                    row["price"],
                    row["trade_id"],
                    row["flags"],
                    row["size"],
                )
                for row in trades
            ],
            rules=[
                OracleRule(row["rule_id"], row["version"], row["effective_seen"], json.loads(row["document"]))
                for row in await connection.fetch(RULES)
            ],
            bands=await _bands(connection),
            signals=[dict(row) for row in await connection.fetch(SIGNALS)],
            deliveries=[dict(row) for row in await connection.fetch("SELECT * FROM delivery ORDER BY number")],
            gaps=[dict(row) for row in await connection.fetch("SELECT * FROM gap ORDER BY id")],
            cursor=await connection.fetchval("SELECT coalesce(max(cursor_seen), 0) FROM shard"),
        )
    finally:
        await connection.close()


async def _bands(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, list[Band]]:
    found: dict[str, list[Band]] = {}
    for row in await connection.fetch(BANDS):
        rows = await connection.fetch(
            "SELECT at, lower, upper FROM forecast_row WHERE version = $1 ORDER BY at", row["version"]
        )
        found.setdefault(row["market"], []).append(
            Band(row["from_seen"], row["step"], row["expires"], [tuple(one) for one in rows])
        )
    return found


def scores(prints: list[Print], warm_up: int) -> dict[tuple[str, int], float]:
    """The score of every in-order print, by market and place."""
    found: dict[tuple[str, int], float] = {}
    markets: dict[str, tuple[Scores, int]] = {}
    for one in prints:
        model, now = markets.get(one.market, (Scores(warm_up), 0))
        if one.flags & (HISTORY | SUSPECT) or one.at < now:
            continue
        markets[one.market] = (model, one.at)
        score = model.next(one.price)
        if score is not None:
            found[one.market, one.seen] = score
    return found
