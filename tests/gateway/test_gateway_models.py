"""`models`, `forecast/{symbol}`, `forecasts` and `signals/{id}/explain`."""

from __future__ import annotations

import uuid
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.gateway.gateway_world import BTC, ETH, KRAKEN, World, make_signal
from tests.gateway.test_gateway_rest import Api
from tests.store.test_store_registry import baseline, event, pointer

from pricewatch.domain.account import Role
from pricewatch.domain.model import Baseline, Forecast, ForecastRow, Outlook, OutlookRow, What
from pricewatch.domain.time import HOUR, MINUTE
from pricewatch.ports.journal import Change

NOW = 1_700_000_000_000_000


@pytest.fixture
async def ann(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("ann")
    return Api(world, http, key)


@pytest.fixture
async def root(world: World, http: aiohttp.ClientSession) -> Api:
    _, key = await world.account("root", Role.ADMIN)
    return Api(world, http, key)


async def stored(world: World, one: Baseline, what: What = What.PROMOTED, previous: Baseline | None = None) -> Baseline:
    """Registered with a real artefact, and in use unless it was only kept."""
    seal = await world.artefacts.put(one.seal.name, str(one.version).encode())
    sealed = msgspec.structs.replace(one, seal=seal)
    before = None if previous is None else previous.version
    await world.registry.register(
        sealed, pointer(sealed) if what is What.PROMOTED else None, event(sealed, what, before)
    )
    return sealed


def outlook(market: int = BTC.id, **changes: Any) -> Outlook:
    horizon = {
        "steps": 24,
        "rows": 400,
        "mae": 0.011,
        "mae_naive": 0.010,
        "mae_level": 0.0105,
        "coverage": [0.81, 0.947],
        "interval_score": [0.05, 0.08],
        "interval_score_naive": [0.05, 0.09],
    }
    fields: dict[str, Any] = {
        "market": market,
        "kind": "outlook",
        "unit": "price",
        "version": uuid.UUID(int=5),
        "model": "prophet",
        "origin": NOW,
        "step": HOUR,
        "expires": NOW + 24 * HOUR,
        "naive": 70_000.123456789,
        "levels": [0.8, 0.95],
        "rows": [OutlookRow(NOW + n * HOUR, 70_001.0, [69_000.0, 68_000.0], [71_000.0, 72_000.0]) for n in range(120)],
        "metrics": {
            "held_from": NOW - 9 * HOUR,
            "held_to": NOW,
            "levels": [0.8, 0.95],
            "loss": 1.0,
            "horizons": [horizon, {**horizon, "steps": 120, "mae": 0.02, "mae_naive": 0.04}],
        },
    }
    return Outlook(**fields | changes)


# -- outlooks


async def test_an_outlook_stands_beside_the_random_walk(world: World, ann: Api) -> None:
    await world.registry.save_outlook(outlook())
    status, found = await ann("GET", "/forecast/btc-usd?horizon=1d&level=95")
    assert status == 200
    assert (found["market"], found["level"], found["horizon_seconds"]) == ("coinbase:BTC-USD", 0.95, 86_400)
    assert len(found["bands"]) == 24
    assert found["bands"][0] == {
        "at": "2023-11-14T22:13:20.000000Z",
        "centre": "70001",
        "lower": "68000",
        "upper": "72000",
    }
    assert found["random_walk"] == "70000.12346"
    (skill,) = found["skill"]
    assert (skill["error"], skill["error_random_walk"], skill["coverage"]) == (1.1061, 1.005, 0.947)
    assert found["verdict"] == (
        "24 h ahead it missed by 1.11 % on average, 10% more than the random walk's; "
        "95% of 400 held-out values lay within the 95% band"
    )
    assert found["version"] == str(uuid.UUID(int=5))


async def test_all_of_it_unless_less_is_asked_for(world: World, ann: Api) -> None:
    await world.registry.save_outlook(outlook())
    _, found = await ann("GET", "/forecast/coinbase:BTC-USD")
    assert (found["level"], len(found["bands"]), len(found["skill"])) == (0.95, 120, 2)
    assert "51% less than the random walk's" in found["verdict"]
    assert found["expired"] is False
    world.clock.advance(10 * 365 * 24 * HOUR)
    _, found = await ann("GET", "/forecast/coinbase:BTC-USD?level=0.8&horizon=2h")
    assert (found["level"], found["expired"], found["skill"]) == (0.8, True, [])
    assert found["verdict"].startswith("nothing was measured")


async def test_other_kinds_and_levels(world: World, ann: Api) -> None:
    rhythm = outlook(kind="range", unit="log(high / low) of a row", levels=[0.8, 0.9], naive=0.001)
    await world.registry.save_outlook(rhythm)
    _, found = await ann("GET", "/forecast/BTC-USD?kind=range")
    assert (found["kind"], found["level"], found["skill"]) == ("range", 0.9, []), "0.95 is not there, nor measured"
    same = {**outlook().metrics, "horizons": [{**outlook().metrics["horizons"][0], "mae": 0.01, "mae_naive": 0.01}]}
    await world.registry.save_outlook(outlook(metrics=same))
    _, found = await ann("GET", "/forecast/BTC-USD")
    assert "the same as the random walk's" in found["verdict"]
    await world.registry.save_outlook(outlook(metrics={}))
    _, found = await ann("GET", "/forecast/BTC-USD")
    assert (found["held_from"], found["skill"]) == (None, [])


async def test_a_symbol_means_the_first_market_that_has_one(world: World, ann: Api) -> None:
    await world.registry.save_outlook(outlook(KRAKEN.id))
    _, found = await ann("GET", "/forecast/BTC-USD")
    assert found["market"] == "kraken:BTC-USD"
    status, problem = await ann("GET", "/forecast/coinbase:BTC-USD")
    assert status == 404
    assert "no outlook of coinbase:BTC-USD yet" in problem["detail"]


async def test_several_at_once(world: World, ann: Api) -> None:
    await world.registry.save_outlook(outlook())
    status, found = await ann("GET", "/forecasts?symbols=BTC-USD,ETH-USD&horizon=6h")
    assert status == 200
    assert [one["market"] for one in found["forecasts"]] == ["coinbase:BTC-USD"]
    assert found["missing"] == ["ETH-USD"]


async def test_all_of_a_watchlist_at_once(world: World, http: aiohttp.ClientSession, ann: Api) -> None:
    await world.registry.save_outlook(outlook())
    made = {"name": "majors", "symbols": ["ETH-USD", "BTC-UDS"]}
    status, problem = await ann("POST", "/watchlists", made)
    assert (status, problem["field"]) == (422, "symbols[1]")
    assert "did you mean BTC-USD" in problem["detail"]
    assert (await ann("POST", "/watchlists", {"name": "majors", "symbols": ["ETH-USD", "BTC-USD"]}))[0] == 201
    status, found = await ann("GET", "/forecasts?watchlist=majors&horizon=6h")
    assert (status, found["missing"]) == (200, ["ETH-USD"])
    assert [one["market"] for one in found["forecasts"]] == ["coinbase:BTC-USD"]
    status, problem = await ann("GET", "/forecasts?watchlist=majors&symbols=BTC-USD")
    assert (status, problem["field"]) == (422, "watchlist")
    _, key = await world.account("bob")
    status, problem = await Api(world, http, key)("GET", "/forecasts?watchlist=majors")
    assert (status, "no watchlist 'majors'" in problem["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/forecast/BTC-USX", "symbol", "did you mean BTC-USD"),
        ("/forecast/BTC-USD?horizon=9d", "horizon", "at most '5d'"),
        ("/forecast/BTC-USD?horizon=soon", "horizon", "not a duration"),
        ("/forecast/BTC-USD?level=most", "level", "no coverage"),
        ("/forecast/BTC-USD?level=0", "level", "no coverage"),
        ("/forecast/BTC-USD?level=90", "level", "there are 80, 95"),
        ("/forecast/BTC-USD?kind=price", "kind", "outlook, range, volume"),
        ("/forecast/BTC-USD?horizont=5d", "horizont", "no such query parameter"),
        ("/forecasts", "symbols", "is missing"),
        ("/forecasts?symbols=,", "symbols", "name 1 to 200"),
        ("/forecasts?symbols=zzz", "symbols", "no market 'zzz'"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(world: World, ann: Api, path: str, field: str, words: str) -> None:
    await world.registry.save_outlook(outlook())
    status, problem = await ann("GET", path)
    assert (status, problem["field"]) == (422, field)
    assert words in problem["detail"]


# -- versions


async def test_versions_are_listed_and_told_apart(world: World, ann: Api) -> None:
    old = await stored(world, baseline(BTC.id))
    new = await stored(world, baseline(BTC.id), previous=old)
    other = await stored(world, baseline(ETH.id, "range"), What.KEPT)
    _, found = await ann("GET", "/models")
    assert [one["version"] for one in found["models"]] == [str(one.version) for one in (other, new, old)]
    assert [one["in_use"] for one in found["models"]] == [False, True, False]
    _, found = await ann("GET", "/models?in_use=true&symbol=coinbase:BTC-USD&kind=price")
    assert [one["version"] for one in found["models"]] == [str(new.version)]
    _, page = await ann("GET", "/models?limit=2&symbol=BTC-USD")
    _, rest = await ann("GET", f"/models?limit=2&symbol=BTC-USD&cursor={page['next']}")
    assert [one["version"] for one in page["models"] + rest["models"]] == [str(new.version), str(old.version)]
    assert rest["next"] is None
    _, one = await ann("GET", f"/models/{new.version}")
    assert one["artefact"]["sha256"] == new.seal.sha256
    assert (one["market"], one["kind"], one["step_seconds"]) == ("coinbase:BTC-USD", "price", 60.0)
    assert one["parameters"]["growth"] == "flat"
    assert "mac" not in one["artefact"]


async def test_what_happened_is_told(world: World, ann: Api) -> None:
    one = await stored(world, baseline(BTC.id))
    await stored(world, baseline(ETH.id), What.KEPT)
    _, found = await ann("GET", "/models/history?symbol=coinbase:BTC-USD&kind=price")
    assert [(row["what"], row["version"], row["actor"]) for row in found["events"]] == [
        ("promoted", str(one.version), "training")
    ]
    _, found = await ann("GET", "/models/history?limit=1")
    assert [row["what"] for row in found["events"]] == ["kept"]
    _, found = await ann("GET", f"/models/history?cursor={found['next']}")
    assert [row["market"] for row in found["events"]] == ["coinbase:BTC-USD"]


async def test_two_versions_are_compared(world: World, ann: Api) -> None:
    a = await stored(world, baseline(BTC.id, metrics={"loss": 0.9, "held_from": 1, "held_to": 2}))
    b = await stored(
        world, baseline(BTC.id, metrics={"loss": 0.8, "held_from": 1, "held_to": 2}, parameters={"growth": "linear"})
    )
    _, found = await ann("GET", f"/models/compare?a={a.version}&b={b.version}")
    assert (found["better"], found["same_window"], found["loss"]) == ("b", True, {"a": 0.9, "b": 0.8})
    assert found["parameters_differ"] == ["growth", "seasons"]
    assert found["b"]["in_use"] is True
    _, found = await ann("GET", f"/models/compare?a={b.version}&b={a.version}")
    assert found["better"] == "a"
    _, found = await ann("GET", f"/models/compare?a={a.version}&b={a.version}")
    assert found["better"] is None
    other = await stored(world, baseline(BTC.id, "range"))
    status, problem = await ann("GET", f"/models/compare?a={a.version}&b={other.version}")
    assert (status, problem["field"]) == (422, "b")


async def test_an_administrator_promotes_and_rolls_back(world: World, root: Api) -> None:
    old = await stored(world, baseline(BTC.id))
    new = await stored(world, baseline(BTC.id), previous=old)
    status, made = await root("POST", f"/models/{old.version}/promote", {"pinned": False})
    assert status == 200
    assert (made["version"], made["pinned"], made["kind"]) == (str(old.version), False, "price")
    status, made = await root("POST", "/models/rollback", {"market": "coinbase:BTC-USD", "kind": "price"})
    assert (status, made["version"], made["pinned"]) == (200, str(new.version), True)
    events = await world.registry.events(limit=2)
    assert [(one.what, one.actor, one.version) for one in events] == [
        (What.ROLLED_BACK, "root", new.version),
        (What.CHOSEN, "root", old.version),
    ]
    status, made = await root("POST", f"/models/{new.version}/promote", {})
    assert (status, made["pinned"]) == (200, True)


async def test_a_tampered_artefact_is_refused_and_the_version_in_use_stays(world: World, root: Api) -> None:
    old = await stored(world, baseline(BTC.id))
    new = await stored(world, baseline(BTC.id), previous=old)
    world.artefacts.objects[old.seal.name] = b"something else"
    for path, body in (
        (f"/models/{old.version}/promote", {}),
        ("/models/rollback", {"market": "coinbase:BTC-USD", "kind": "price"}),
    ):
        status, problem = await root("POST", path, body)
        assert (status, problem["code"]) == (409, "artefact_refused")
        assert "the one in use is kept" in problem["detail"]
    assert [one.version for one in await world.registry.pointers()] == [new.version]
    refused = [one for one in await world.registry.events() if one.what is What.REFUSED]
    assert [(one.actor, one.version, one.detail["wanted"]) for one in refused] == [
        ("root", old.version, "rolled_back"),
        ("root", old.version, "chosen"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", f"/models/{uuid.UUID(int=1)}", None, 404, "no version"),
        ("GET", "/models/latest", None, 404, "no such thing"),
        ("GET", "/models?symbol=coinbase:BTC-USX", None, 422, "did you mean coinbase:BTC-USD"),
        ("GET", "/models?in_use=perhaps", None, 422, "neither true nor false"),
        ("GET", "/models?kind=weather", None, 422, "price, range"),
        ("GET", "/models/compare?a=1&b=2", None, 422, "no version"),
        ("POST", "/models/rollback", {"market": "coinbase:BTC-USD", "kind": "weather"}, 422, "price, range"),
        ("GET", "/models/compare", None, 422, "is missing"),
        ("POST", f"/models/{uuid.UUID(int=1)}/promote", {}, 404, "no version"),
        ("POST", f"/models/{uuid.UUID(int=1)}/promote", {"pin": 1}, 422, "the fields here are"),
        ("POST", "/models/rollback", {"market": "coinbase:BTC-USD", "kind": "range"}, 404, "to go back to"),
        ("POST", "/models/rollback", {"kind": "range"}, 422, "missing required field"),
        ("POST", "/models/rollback", {"market": "zzz", "kind": "range"}, 422, "no market 'zzz'"),
    ],
)
async def test_what_is_wrong_is_said(
    root: Api, method: str, path: str, body: dict[str, Any] | None, status: int, words: str
) -> None:
    found, problem = await root(method, path, body)
    assert found == status
    assert words in problem["detail"]


async def test_users_only_look(ann: Api) -> None:
    for path in (f"/models/{uuid.UUID(int=1)}/promote", "/models/rollback"):
        status, problem = await ann("POST", path, {})
        assert (status, problem["code"]) == (403, "admin_only")


async def test_what_is_no_json_is_said(world: World, http: aiohttp.ClientSession) -> None:
    _, key = await world.account("root", Role.ADMIN)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with http.post(f"{world.base}/api/v1/models/rollback", data=b"{", headers=headers) as answer:
        assert answer.status == 422


# -- explanations


async def test_a_signal_is_explained_from_what_is_stored(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    ann = Api(world, http, key)
    issue = uuid.uuid4()
    row = ForecastRow(NOW, 100.0, 97.0, 103.0)
    world.shelf.forecasts[BTC.id] = Forecast(issue, BTC.id, "prophet", 1, 2, 3, 0.95, MINUTE, NOW, [row])
    version = await stored(world, baseline(BTC.id))
    world.registry.aliases[issue] = version.version
    signal = msgspec.structs.replace(
        make_signal(account.id),
        kind="outside_band",
        model=f"prophet@{issue}",
        evidence={
            "v": 1,
            "feature": "over",
            "price": "104",
            "value": (104 - 103) / 103,
            "clear": -0.001,
            "side": "upper",
            "version": str(issue),
            "band": {"at": NOW, "lower": 97.0, "centre": 100.0, "upper": 103.0},
        },
    )
    world.claim = await world.store.journal.claim(0, "test")
    await world.store.journal.commit(world.claim, Change(cursor=0, signals=[signal]))
    status, found = await ann("GET", f"/signals/{signal.id}/explain")
    assert status == 200
    assert found["agrees"] is True
    assert [check["what"] for check in found["checks"]] == ["over", "verdict", "stored band"]
    assert found["model_version"] == str(version.version)
    assert found["contributions"][0]["name"] == "distance from the centre"
    status, _ = await ann("GET", f"/signals/{uuid.uuid4()}/explain")
    assert status == 404


async def test_an_anomaly_is_compared_with_its_minute(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    signal = msgspec.structs.replace(
        make_signal(account.id),
        kind="anomaly",
        evidence={"v": 1, "feature": "score", "price": "104", "value": 5.0, "threshold": 4.0, "version": "none"},
    )
    minute = signal.at - signal.at % MINUTE
    world.shelf.scores[BTC.id, minute] = 4.5
    world.claim = await world.store.journal.claim(0, "test")
    await world.store.journal.commit(world.claim, Change(cursor=0, signals=[signal]))
    _, found = await Api(world, http, key)("GET", f"/signals/{signal.id}/explain")
    assert found["agrees"] is False
    assert "highest score stored" in found["summary"]


async def test_plain_signals_are_explained_to_their_owner_alone(world: World, http: aiohttp.ClientSession) -> None:
    account, key = await world.account("ann")
    _, other = await world.account("bob")
    (entry,) = await world.emit(account)
    _, found = await Api(world, http, key)("GET", f"/signals/{entry.signal.id}/explain")
    assert found["kind"] == "above"
    assert found["agrees"] in {False, None}, "the test's evidence is made up"
    status, _ = await Api(world, http, other)("GET", f"/signals/{entry.signal.id}/explain")
    assert status == 404
