from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.domain.time import SECOND
from pricewatch.rules.document import Rule, parse
from pricewatch.rules.listed import check_listed, check_symbols, listings

NOW = 1_790_000_000 * SECOND
HERE = listings(
    [
        Market(1, "coinbase", "BTC-USD", "BTC-USD"),
        Market(2, "kraken", "BTC-USD", "XBT/USD"),
        Market(3, "kraken", "ETH-USD", "ETH/USD"),
    ]
)


def rule(**parts: Any) -> Rule:
    document = {"title": "x", "symbols": ["BTC-USD"], "when": {"type": "above", "level": "1"}} | parts
    return parse(msgspec.json.encode(document))


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"symbols": "*"},
        {"symbols": "*", "venues": ["kraken"]},
        {"symbols": ["ETH-USD"], "venues": ["coinbase", "kraken"]},
        {"symbols": {"watchlist": "majors"}},
        {"venues": {"at_least": 2, "of": "any"}},
        {"when": {"type": "divergence", "percent": "1%"}},
        {"policy": {"expires": "2027-01-01T00:00:00Z"}},
    ],
)
def test_what_can_fire_is_let_through(parts: dict[str, Any]) -> None:
    check_listed(rule(**parts), HERE, now=NOW)


@pytest.mark.parametrize(
    ("parts", "field", "fix"),
    [
        ({"symbols": ["BTC-USD", "BTC-UDS"]}, "symbols[1]", "did you mean BTC-USD"),
        ({"symbols": ["DOGE-EUR"]}, "symbols[0]", "/api/v1/symbols"),
        ({"venues": ["karken"]}, "venues[0]", "did you mean kraken"),
        ({"venues": ["kraken", "moon"]}, "venues[1]", "there are coinbase, kraken"),
        ({"symbols": "*", "venues": ["moon"]}, "venues[0]", "there are coinbase, kraken"),
        ({"symbols": {"watchlist": "majors"}, "venues": ["moon"]}, "venues[0]", "there are coinbase, kraken"),
        ({"venues": {"at_least": 2, "of": ["kraken", "moon"]}}, "venues[1]", "there are coinbase, kraken"),
        ({"symbols": ["BTC-USD", "ETH-USD"], "venues": ["coinbase"]}, "venues", "ETH-USD is listened to on kraken"),
        ({"venues": {"at_least": 3, "of": "any"}}, "venues", "needs 3 venues"),
        ({"symbols": ["ETH-USD"], "when": {"type": "divergence", "percent": "1%"}}, "venues", "needs 2 venues"),
        ({"policy": {"expires": "2026-01-01T00:00:00Z"}}, "policy.expires", "2026-01-01T00:00:00.000000Z has passed"),
    ],
)
def test_what_would_wait_for_ever_is_named_with_the_fix(parts: dict[str, Any], field: str, fix: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_listed(rule(**parts), HERE, now=NOW)
    assert caught.value.field == field
    assert fix in caught.value.problem


def test_names_are_believed_while_no_market_is_known() -> None:
    check_listed(rule(symbols=["DOGE-EUR"], venues=["moon"]), frozenset(), now=NOW)
    check_symbols(["DOGE-EUR"], frozenset())


def test_symbols_of_a_list_are_looked_at_alone() -> None:
    check_symbols(["BTC-USD", "ETH-USD"], HERE)
    with pytest.raises(Invalid, match="no venue here lists 'BTC-UDS'; did you mean BTC-USD"):
        check_symbols(["BTC-USD", "BTC-UDS"], HERE)
