from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from pricewatch.domain.account import Account, ApiKey, Role, Scope, Session
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Flag, Trade
from pricewatch.domain.time import MINUTE
from pricewatch.ports.markets import MarketChoice
from pricewatch.ports.outbox import Attempt, DeliveryRow, DeliveryState
from pricewatch.ports.records import AuditEntry, Feedback, Verdict, Watchlist
from pricewatch.ports.rules import StoredRule
from pricewatch.ports.ticks import Sequenced
from pricewatch.wire import owed, pages, people
from pricewatch.wire.tick import TickerDocument

ID = uuid.UUID(int=5)
DAWN = "1970-01-01T00:00:00.000000Z"
LATER = "1970-01-01T00:01:00.000000Z"


def plain(document: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(document))


def test_accounts_keys_and_sessions_show_no_secret() -> None:
    account = Account(ID, "ann", "a@b", Role.ADMIN, 0)
    assert plain(people.account(account))["disabled"] is None
    assert people.account(msgspec.structs.replace(account, disabled=MINUTE)).disabled == LATER
    key = ApiKey(ID, ID, "ab", b"d" * 32, 0, MINUTE, None, "bot", frozenset({Scope.WRITE, Scope.READ}), MINUTE)
    assert plain(people.api_key(key)) == {
        "id": str(ID),
        "prefix": "ab",
        "title": "bot",
        "scopes": ["read", "write"],
        "created": DAWN,
        "expires": LATER,
        "revoked": None,
        "used": LATER,
        "key": None,
    }
    assert people.api_key(key, "pw_x").key == "pw_x"
    session = Session(id=ID, account_id=ID, digest=b"d" * 32, created=0, expires=MINUTE, agent="Firefox")
    shown = people.session(session, ID)
    assert (shown.agent, shown.expires, shown.used, shown.current) == ("Firefox", LATER, None, True)
    assert not people.session(session, None).current


def test_audit_watchlists_and_verdicts() -> None:
    entry = AuditEntry(number=1, at=0, actor=None, account=ID, action="key.create", target="x", detail={"a": 1})
    assert plain(people.audit(entry))["detail"] == {"a": 1}
    watchlist = Watchlist(id=ID, account_id=ID, name="mine", symbols=("BTC-USD",), created=0, changed=MINUTE)
    assert plain(people.watchlist(watchlist))["symbols"] == ["BTC-USD"]
    assert people.verdict(Verdict(signal_id=ID, feedback=Feedback.NOISE)).acknowledged is None
    assert people.verdict(Verdict(signal_id=ID, acknowledged=0)).acknowledged == DAWN


def test_deliveries_with_their_attempts() -> None:
    row = DeliveryRow(
        id=ID, signal_id=ID, channel="email", target="a@b", state=DeliveryState.DEAD, attempts=1, queued=0,
        not_before=0, sent=None, last_error="550",
    )  # fmt: skip
    tries = [
        Attempt(attempt=1, begun=0, ended=MINUTE, outcome="dead", detail="550"),
        Attempt(attempt=2, begun=0, ended=None, outcome=None, detail=None),
    ]
    shown = owed.detail(row, tries)
    assert (shown.delivery.sent, shown.attempts[0].ended, shown.attempts[1].ended) == (None, LATER, None)


@pytest.mark.parametrize(("side", "shown"), [(1, "buy"), (-1, "sell"), (0, None)])
def test_ticks_are_exact(side: int, shown: str | None) -> None:
    trade = Trade(1, 0, 70_000.25, 1e-7, side, 7, 0, Flag.SUSPECT)
    document = pages.tick(Sequenced(MINUTE, trade))
    assert (document.price, document.size, document.side, document.trade_id) == ("70000.25", "0.0000001", shown, "7")
    assert (document.seen, document.suspect, document.late) == (LATER, True, False)
    assert pages.tick(Sequenced(0, msgspec.structs.replace(trade, ref="t-7"))).trade_id == "t-7"


def test_symbols_versions_and_choices() -> None:
    symbol = pages.symbol(TickerDocument(market="a:B-C", venue="a", symbol="B-C"), None, "waiting")
    assert (plain(symbol)["market"], symbol.feed_age, symbol.state) == ("a:B-C", None, "waiting")
    version = pages.version(StoredRule(ID, ID, 2, b'{"a":1}', 0, deleted=True))
    assert plain(version) == {
        "version": 2,
        "created": DAWN,
        "effective": None,
        "deleted": True,
        "document": {"a": 1},
    }
    assert pages.choice(MarketChoice("a", "B-C", wanted=False, account=ID, at=0)).market == "a:B-C"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (people.NewUser, {"name": "x y"}),
        (people.NewUser, {"name": "x", "email": "a@b@c d"}),
        (people.NewKey, {"scopes": []}),
        (people.WatchlistBody, {"name": "x", "symbols": ["btc-usd"]}),
        (people.FeedbackBody, {"feedback": "great"}),
        (people.Login, {"user": "x"}),
    ],
)
def test_what_is_asked_is_checked(kind: type, body: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(body), type=kind)
    assert people.NewKey().scopes == [Scope.READ]


@pytest.mark.parametrize(
    ("name", "email", "field"),
    [
        ("x y", None, "name"),
        ("", None, "name"),
        (None, "nope", "email"),
        ("ann", "a@b c", "email"),
        (None, "a@b\n", "email"),
    ],
)
def test_a_name_or_address_that_will_not_do_is_told_in_words(name: str | None, email: str | None, field: str) -> None:
    with pytest.raises(Invalid, match=r"will not do\. Write") as caught:
        people.check_person(name, email)
    assert caught.value.field == field


def test_good_names_and_addresses_pass() -> None:
    people.check_person("ann", "ann@example.org")
    people.check_person(None, "")
    people.check_person()
