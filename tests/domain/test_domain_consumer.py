from __future__ import annotations

import uuid

import msgspec
import pytest
from tests.gateway.gateway_world import make_signal

from pricewatch.domain.consumer import Filter

SIGNAL = msgspec.structs.replace(make_signal(uuid.UUID(int=1)), rule_id=uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("kept", "wanted"),
    [
        (Filter(), True),
        (Filter(symbols=frozenset({"BTC-USD"})), True),
        (Filter(symbols=frozenset({"coinbase:BTC-USD"})), True),
        (Filter(symbols=frozenset({"kraken:BTC-USD", "ETH-USD"})), False),
        (Filter(rules=frozenset({uuid.UUID(int=7)})), True),
        (Filter(rules=frozenset({uuid.UUID(int=8)})), False),
        (Filter(severities=frozenset({"warning"})), True),
        (Filter(severities=frozenset({"info"})), False),
        (Filter(kinds=frozenset({"above", "below"})), True),
        (Filter(kinds=frozenset({"crosses"})), False),
    ],
)
def test_every_part_of_a_filter_must_match(kept: Filter, wanted: bool) -> None:
    assert kept.wants(SIGNAL) is wanted


def test_a_filter_survives_storage() -> None:
    kept = Filter(symbols=frozenset({"BTC-USD"}), rules=frozenset({uuid.UUID(int=7)}), kinds=frozenset({"above"}))
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Filter) == kept
