from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cli.conftest import Command
from tests.store.test_store_registry import baseline, event, pointer

from pricewatch.app.wiring import open_store
from pricewatch.config import load
from pricewatch.domain.model import Baseline, What
from pricewatch.ports.ticks import Listing

pytestmark = pytest.mark.postgres


async def fill(config: Path) -> list[Baseline]:
    """Two versions of one market's price, the second in use, and one of the range that was only kept."""
    made: list[Baseline] = []
    async with open_store(load(config)) as store:
        (market,) = await store.catalog.register([Listing("coinbase", "BTC-USD", "BTC-USD")])
        for kind, what, loss in (
            ("price", What.PROMOTED, 0.9),
            ("price", What.PROMOTED, 0.8),
            ("range", What.KEPT, 1.25),
        ):
            metrics: dict[str, Any] = {"loss": loss, "horizons": [{"steps": 5, "mae": 0.01, "mae_naive": 0.02}]}
            metrics["held_from"] = len(made)
            if not made:
                metrics["events"] = {"windows": 7, "met": 5, "false_alarms": 3, "score": 61.4, "score_level": 40.2}
            one = baseline(market.id, kind, metrics=metrics)
            seal = await store.artefacts.put(one.seal.name, one.version.bytes)
            one = msgspec.structs.replace(one, seal=seal)
            previous = made[-1].version if made and what is What.PROMOTED else None
            await store.registry.register(
                one, pointer(one) if what is What.PROMOTED else None, event(one, what, previous)
            )
            made.append(one)
    return made


def test_the_registry_from_the_command_line(pw: Command, config: Path) -> None:
    old, new, kept = asyncio.run(fill(config))
    given = ("--config", str(config))
    listed = pw("models", "list", "--json", *given)
    assert [one["version"] for one in listed.json] == [str(one.version) for one in (kept, new, old)]
    assert [one["in_use"] for one in listed.json] == [False, True, False]
    table = pw("models", "list", "--in-use", "--market", "Coinbase:btc-usd", "--kind", "price", *given).out
    assert str(new.version) in table
    assert str(old.version) not in table
    assert "in use" in table

    shown = pw("models", "show", str(old.version), *given)
    assert shown.json["artefact"]["sha256"] == old.seal.sha256
    assert shown.json["market"] == "coinbase:BTC-USD"

    compared = pw("models", "compare", str(old.version), str(new.version), *given)
    assert "0.9000" in compared.out
    assert "0.01000 (naive 0.02000)" in compared.out
    assert "61: 5 of 7, 3 false alarms (plain level 40)" in compared.out
    assert "different windows" in compared.err
    both = pw("models", "compare", str(old.version), str(old.version), "--json", *given).json
    assert both["first"] == both["second"]
    refused = pw("models", "compare", str(old.version), str(kept.version), *given)
    assert (refused.code, "no common measure" in refused.err) == (4, True)

    back = pw("models", "rollback", "coinbase:BTC-USD", "price", *given)
    assert back.code == 0
    assert f"uses version {old.version} (pinned" in back.err
    again = pw("models", "promote", str(new.version), "--no-pin", *given)
    assert f"uses version {new.version} (until a refit is better)" in again.err
    told = pw("models", "history", "--json", "--market", "coinbase:BTC-USD", *given).json
    assert [(one["what"], one["actor"]) for one in told[:2]] == [
        ("chosen", "command line"),
        ("rolled_back", "command line"),
    ]
    assert "promoted" in pw("models", "history", "--kind", "price", *given).out

    artefact = config.parent / "data" / "models" / old.seal.name
    artefact.write_bytes(b"something else")
    refused = pw("models", "promote", str(old.version), *given)
    assert (refused.code, "corrupted" in refused.err) == (6, True)
    assert pw("models", "list", "--in-use", "--json", *given).json[0]["version"] == str(new.version)
    assert "refused" in pw("models", "history", "--limit", "1", *given).out

    unknown = pw("models", "show", str(uuid.uuid4()), *given)
    assert (unknown.code, "no version" in unknown.err) == (4, True)
    unknown = pw("models", "list", "--market", "zzz", *given)
    assert (unknown.code, "known: coinbase:BTC-USD" in unknown.err) == (4, True)
    unknown = pw("models", "list", "--kind", "weather", *given)
    assert (unknown.code, "price, range" in unknown.err) == (4, True)
    nothing = pw("models", "rollback", "coinbase:BTC-USD", "range", *given)
    assert (nothing.code, "to go back to" in nothing.err) == (4, True)
