from __future__ import annotations

import json
from typing import Any

import pytest

from pricewatch.rules.alarms import stated
from pricewatch.rules.document import parse

RARE = {"type": "anomaly", "false_alarms": "3/week"}
DAILY = {"type": "anomaly", "false_alarms": "1/day"}
ABOVE = {"type": "above", "level": "100"}


@pytest.mark.parametrize(
    ("when", "venues", "expected"),
    [
        (ABOVE, "any", []),
        ({"type": "anomaly", "score": "4"}, "any", []),
        (RARE, "any", [3.0]),
        (
            {"type": "and", "of": [ABOVE, {"type": "or", "of": [DAILY, RARE]}, {"type": "not", "of": RARE}]},
            "any",
            [3, 7],
        ),
        (RARE, {"at_least": 2, "of": ["coinbase", "kraken"]}, [3.0]),
    ],
)
def test_rates_are_found_wherever_they_stand(when: dict[str, Any], venues: object, expected: list[float]) -> None:
    document = {"title": "x", "symbols": ["BTC-USD"], "venues": venues, "when": when}
    assert stated(parse(json.dumps(document).encode()).when) == pytest.approx(expected)
