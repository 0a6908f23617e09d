from __future__ import annotations

import json
import uuid

import msgspec

from pricewatch.domain.account import Account, Role
from pricewatch.domain.market import Candle
from pricewatch.domain.model import Forecast, ForecastRow
from pricewatch.domain.rule import Order, RuleCommand
from pricewatch.domain.time import MINUTE
from pricewatch.ports.outbox import DeliveryRow, DeliveryState
from pricewatch.ports.rules import StoredRule
from pricewatch.wire import owed, people, rest

ID = uuid.UUID(int=1)


def _plain(document: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(msgspec.json.encode(document))
    return found


def test_a_rule_shows_its_owners_text() -> None:
    stored = StoredRule(ID, ID, 3, b'{"title": "x"}', 0)
    assert _plain(rest.rule(stored)) == {
        "id": str(ID), "version": 3, "created": "1970-01-01T00:00:00.000000Z", "effective": None,
        "document": {"title": "x"}, "command": None,
    }  # fmt: skip
    taken = msgspec.structs.replace(stored, effective_seen=MINUTE)
    assert _plain(rest.rule(taken))["effective"] == "1970-01-01T00:01:00.000000Z"


def test_candles_are_decimal_text() -> None:
    document = rest.candle(Candle(1, 0, 1e-7, 2.0, 0.5, 1.25, 1e16, 3))
    assert (document.open, document.high, document.volume) == ("0.0000001", "2", "10000000000000000")


def test_deliveries_accounts_forecasts() -> None:
    row = DeliveryRow(
        id=ID, signal_id=ID, channel="email", target="a@b", state=DeliveryState.SENT, attempts=2, queued=0,
        not_before=0, sent=MINUTE, last_error=None,
    )  # fmt: skip
    assert _plain(owed.delivery(row))["sent"] == "1970-01-01T00:01:00.000000Z"
    assert people.account(Account(ID, "ann", "a@b", Role.ADMIN, 0)).role == "admin"
    forecast = Forecast(ID, 1, "prophet", 0, 1, 5, 0.95, MINUTE, MINUTE, [ForecastRow(0, 2.0, 1.0, 3.0)])
    assert not rest.forecast("a:b", forecast, now=MINUTE - 1).expired
    shown = rest.forecast("a:b", forecast, now=MINUTE)
    assert (shown.expired, shown.step_seconds, shown.bands[0].lower) == (True, 60.0, 1.0)


def test_what_a_rule_was_told() -> None:
    told = RuleCommand(ID, ID, 3, Order.SNOOZE, MINUTE, 0)
    shown = rest.rule(StoredRule(ID, ID, 1, b"{}", 0), told).command
    assert shown is not None
    assert (shown.number, shown.until, shown.effective) == (3, "1970-01-01T00:01:00.000000Z", None)
    taken = rest.command(RuleCommand(ID, ID, 4, Order.PAUSE, 0, 0, MINUTE))
    assert (taken.until, taken.effective) == (None, "1970-01-01T00:01:00.000000Z")


def test_a_problem_leaves_out_what_it_has_not() -> None:
    problem = rest.Problem(title="Invalid", status=422, code="invalid", detail="no")
    assert "field" not in _plain(problem)
