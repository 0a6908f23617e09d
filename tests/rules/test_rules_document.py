from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Market
from pricewatch.rules.base import PRICE
from pricewatch.rules.conditions.above import Above
from pricewatch.rules.conditions.anomaly import Anomaly, RareBar
from pricewatch.rules.conditions.band import Band
from pricewatch.rules.conditions.below import Below
from pricewatch.rules.conditions.bollinger import Bollinger
from pricewatch.rules.conditions.change import Change
from pricewatch.rules.conditions.channel import Channel
from pricewatch.rules.conditions.crosses import Crosses
from pricewatch.rules.conditions.drift import Drifted
from pricewatch.rules.conditions.extreme import NewExtreme
from pricewatch.rules.conditions.group import Or
from pricewatch.rules.conditions.macd import Macd
from pricewatch.rules.conditions.moving_average import MovingAverage
from pricewatch.rules.conditions.outside_band import OutsideBand
from pricewatch.rules.conditions.rsi import Rsi
from pricewatch.rules.conditions.spread import Spread
from pricewatch.rules.conditions.stale import Stale
from pricewatch.rules.conditions.trailing import Trailing
from pricewatch.rules.conditions.volatility import Volatility
from pricewatch.rules.conditions.volume import Volume
from pricewatch.rules.document import parse, schema
from pricewatch.rules.minutes import ALARM, DRIFT, band_feature, band_of, is_of_minutes
from pricewatch.rules.policy import Policy
from pricewatch.rules.quiet import Quiet
from pricewatch.rules.registry import KINDS

MINUTE = 60_000_000
ABOVE = {"type": "above", "level": "70000"}


def deep(groups: int) -> dict[str, Any]:
    return {"type": "not", "of": deep(groups - 1) if groups > 1 else {"type": "spread", "percent": 1}}


NIGHT = {"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"}


def written(when: object = ABOVE, policy: object = None, **fields: object) -> bytes:
    body: dict[str, Any] = {"title": "t", "symbols": ["BTC-USD"], "when": when, **fields}
    if policy is not None:
        body["policy"] = policy
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("when", "policy", "condition"),
    [
        (ABOVE, None, Above(70000.0, 69930.0)),
        ({"type": "above", "level": 70000.5}, {"hysteresis": "0%"}, Above(70000.5, 70000.5)),
        (ABOVE, {"clear": "69000"}, Above(70000.0, 69000.0)),
        (ABOVE, {"hysteresis": 1}, Above(70000.0, 69300.0)),
        ({"type": "below", "level": "60000"}, None, Below(60000.0, 60060.0)),
        ({"type": "below", "level": "60000"}, {"clear": 61000}, Below(60000.0, 61000.0)),
        ({"type": "crosses", "level": "10", "direction": "up"}, None, Crosses(10.0, 9.99, up=True)),
        ({"type": "crosses", "level": "10", "direction": "down"}, None, Crosses(10.0, 10.01, up=False)),
        ({"type": "change", "window": "5m", "percent": "2%"}, None, Change(2.0, 1.8, 5 * MINUTE, "up")),
        ({"type": "change", "window": "5m", "percent": -2}, None, Change(2.0, 1.8, 5 * MINUTE, "down")),
        (
            {"type": "change", "window": "1m", "percent": -2, "direction": "down"},
            {"clear": "-1%"},
            Change(2.0, 1.0, MINUTE, "down"),
        ),
        (
            {"type": "change", "window": "24h", "percent": 150, "direction": "either"},
            None,
            Change(150.0, 135.0, 1440 * MINUTE, "either"),
        ),
        ({"type": "anomaly", "score": 4}, None, Anomaly(4.0, 3.2)),
        ({"type": "anomaly", "false_alarms": "4/week"}, None, RareBar(0.25, 0.0, 4.0)),
        ({"type": "anomaly", "false_alarms": "1 / day"}, {"hysteresis": "20%"}, RareBar(1 / 7, 1 / 7 * 0.8, 7.0)),
        ({"type": "band"}, None, Band(0.0, -0.0005, 60, 0.95, "either")),
        (
            {"type": "band", "level": 99, "horizon": "24h", "side": "upper"},
            {"hysteresis": "1%"},
            Band(0.0, -0.01, 1_440, 0.99, "upper"),
        ),
        ({"type": "drift"}, None, Drifted(0.5, 0.5)),
        ({"type": "outside_band"}, None, OutsideBand(-0.001, "either")),
        ({"type": "outside_band", "side": "upper"}, {"hysteresis": "0.5%"}, OutsideBand(-0.005, "upper")),
        (
            {"type": "channel", "lower": "100", "upper": "200", "direction": "exit"},
            None,
            Channel(100.0, 200.0, 100.1, 199.8, inside=False),
        ),
        (
            {"type": "channel", "lower": 100, "upper": 100.2, "direction": "exit"},
            {"hysteresis": "1%"},
            Channel(100.0, 100.2, 100.05, 100.15, inside=False),
        ),
        (
            {"type": "channel", "lower": "100", "upper": "200", "direction": "enter"},
            {"hysteresis": "1%"},
            Channel(100.0, 200.0, 99.0, 202.0, inside=True),
        ),
        ({"type": "extreme", "of": "high"}, None, NewExtreme(0.0, -0.1, 1440 * MINUTE, "high")),
        (
            {"type": "extreme", "of": "low", "window": "1h"},
            {"hysteresis": "1%"},
            NewExtreme(0.0, -1.0, 60 * MINUTE, "low"),
        ),
        ({"type": "volume", "times": 5}, None, Volume(5.0, 4.0, MINUTE, 60 * MINUTE)),
        (
            {"type": "volatility", "times": "2.5x", "window": "10m", "baseline": "23h"},
            {"clear": 1},
            Volatility(2.5, 1.0, 10 * MINUTE, 23 * 60 * MINUTE),
        ),
        ({"type": "spread", "percent": "0.5%"}, None, Spread(0.5, 0.4)),
        ({"type": "spread", "percent": 1}, {"clear": "0.25%"}, Spread(1.0, 0.25)),
        ({"type": "trailing", "percent": "5%"}, None, Trailing(5.0, 4.5, 1440 * MINUTE, "high", percents=True)),
        (
            {"type": "trailing", "percent": 150, "from": "low", "window": "1h"},
            {"clear": "100%"},
            Trailing(150.0, 100.0, 60 * MINUTE, "low", percents=True),
        ),
        (
            {"type": "trailing", "distance": "500", "window": "5m"},
            {"clear": "100"},
            Trailing(500.0, 100.0, 5 * MINUTE, "high", percents=False),
        ),
    ],
)
def test_conditions(when: object, policy: object, condition: object) -> None:
    assert parse(written(when, policy)).when == condition


def test_a_whole_policy() -> None:
    policy = {
        "for": "5s",
        "clear": "69930",
        "cooldown": "10m",
        "fires": 3,
        "fire_on_arming": True,
        "severity": "critical",
        "channels": ["email", "email"],
        "mail_on_clear": True,
    }
    assert parse(written(policy=policy)).policy == Policy(
        hold=5_000_000,
        cooldown=10 * MINUTE,
        fires=3,
        fire_on_arming=True,
        severity="critical",
        channels=("email",),
        mail_on_clear=True,
    )


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        (
            {"type": "moving_average", "direction": "up"},
            MovingAverage(0.0, -0.01, up=True, mean="ema", spec=(MINUTE, 9, 21)),
        ),
        ({"type": "macd", "direction": "down", "bar": "1h"}, Macd(0.0, 0.002, up=False, spec=(60 * MINUTE, 12, 26, 9))),
        ({"type": "rsi", "level": "70", "direction": "above"}, Rsi(70.0, 66.5, up=True, spec=(MINUTE, 14))),
        ({"type": "rsi", "level": 30, "direction": "below"}, Rsi(30.0, 31.5, up=False, spec=(MINUTE, 14))),
        ({"type": "bollinger", "side": "upper"}, Bollinger(2.0, 1.8, spec=(MINUTE, 20), side="upper")),
        ({"type": "stale", "after": "1m"}, Stale(0.0, 0.0, MINUTE)),
        ({"type": "above", "level": 1, "source": "mid"}, Above(1.0, 0.999, "mid")),
    ],
)
def test_further_conditions(when: object, condition: object) -> None:
    assert parse(written(when)).when == condition


def test_a_rule_over_a_list_watches_nothing_until_it_is_looked_up() -> None:
    rule = parse(written(symbols={"watchlist": "majors"}))
    bitcoin = Market(1, "kraken", "BTC-USD", "x")
    assert (rule.watchlist, rule.matches(bitcoin), rule.over([]).matches(bitcoin)) == ("majors", False, False)
    assert rule.over(["BTC-USD", "ETH-USD", "BTC-USD"]).symbols == ("BTC-USD", "ETH-USD")
    assert rule.over(["BTC-USD"]).matches(bitcoin)


def test_several_venues_may_have_to_agree() -> None:
    rule = parse(written(venues={"at_least": 2, "of": ["kraken", "coinbase"]}))
    assert (rule.spans, rule.venues, rule.when.kind, rule.when.level) == (True, ("kraken", "coinbase"), "above", 1.5)
    assert parse(written(venues={"at_least": 3})).venues is None
    group = {"type": "and", "of": [ABOVE, {"type": "spread", "percent": 1}]}
    assert parse(written(group, venues={"at_least": 2})).when.evidence() == {"at_least": 2}
    event = parse(written({"type": "crosses", "level": 1, "direction": "up"}, venues={"at_least": 2}))
    assert not event.policy.clear_signal
    apart = parse(written({"type": "divergence", "percent": 1}, venues=["kraken", "coinbase"]))
    assert (apart.spans, apart.when.needs().name) == (True, "divergence/coinbase/kraken")
    assert not parse(written()).spans


def test_bars_of_a_policy_are_the_indicators_unless_told() -> None:
    macd = {"type": "macd", "direction": "up", "bar": "4h"}
    assert parse(written(macd, {"evaluate": "close"})).policy.every == 240 * MINUTE
    assert parse(written(macd, {"evaluate": "bar", "bar": "5m"})).policy.once_per == 5 * MINUTE
    assert parse(written(policy={"evaluate": "close"})).policy.every == MINUTE
    assert parse(written({"type": "macd", "direction": "up"}, {"hysteresis": "0.5%"})).when.clear == -0.5


def test_the_life_of_a_rule() -> None:
    policy = {"expires": "2026-12-31T18:00:00+01:00", "warn": "2h", "most_per_hour": 5, "digest": "5m", "quiet": NIGHT}
    built = parse(written(policy=policy)).policy
    assert (built.expires, built.warn, built.most_per_hour) == (1_798_736_400_000_000, 120 * MINUTE, 5)
    assert (built.digest, Policy().digest) == (5 * MINUTE, 60 * MINUTE)
    assert built.quiet == Quiet(22 * 60, 7 * 60, "Europe/Berlin")
    assert parse(written(policy={"expires": "2026-12-31T17:00:00Z"})).policy.warn == 24 * 60 * MINUTE


@pytest.mark.parametrize(
    "change",
    [
        {"title": "u"},
        {"policy": {"severity": "critical"}},
        {"policy": {"channels": ["email"], "mail_on_clear": True}},
        {"policy": {"quiet": NIGHT}},
    ],
)
def test_who_is_told_and_how_loudly_makes_no_other_signals(change: dict[str, Any]) -> None:
    assert parse(written()).judges_as(parse(written(**change)))


@pytest.mark.parametrize(
    "change",
    [
        {"symbols": "*"},
        {"venues": ["kraken"]},
        {"when": {"type": "below", "level": "70000"}},
        {"when": {"type": "above", "level": "70001"}},
        {"policy": {"for": "1s"}},
        {"policy": {"fires": "once"}},
        {"policy": {"expires": "2026-12-31T17:00:00Z"}},
    ],
)
def test_what_is_judged_makes_other_signals(change: dict[str, Any]) -> None:
    assert not parse(written()).judges_as(parse(written(**change)))


def test_a_crossing_never_signals_its_end() -> None:
    assert not parse(written({"type": "crosses", "level": 1, "direction": "up"})).policy.clear_signal


@pytest.mark.parametrize(("fires", "most"), [("once", 1), ("always", 0), (7, 7)])
def test_how_often_a_rule_may_fire(fires: object, most: int) -> None:
    assert parse(written(policy={"fires": fires})).policy.fires == most


def test_which_markets_a_rule_watches() -> None:
    coinbase, kraken = Market(1, "coinbase", "BTC-USD", "x"), Market(2, "kraken", "BTC-USD", "y")
    other = Market(3, "kraken", "ETH-USD", "z")
    assert parse(written()).matches(coinbase)
    assert not parse(written()).matches(other)
    assert parse(written(symbols="*")).matches(other)
    assert not parse(written(venues=["kraken"])).matches(coinbase)
    assert parse(written(venues=["kraken"])).matches(kraken)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (b"", "$"),
        (b"\xff", "$"),
        (b"[" * 30_000, "$"),
        (b'{"title":' + b"[" * 30_000, "$.title"),
        (b" " * 70_000, "$"),
        (b"{}", "$"),
        (b'{"title":"a","symbols":["\xff"]}', "$"),
        (written(title=""), "$.title"),
        (written(title=" "), "$.title"),
        (written(title="a\x00b"), "$.title"),
        (written(title="a\nb"), "$.title"),
        (written(title="a" * 201), "$.title"),
        (written(symbols=[]), "$.symbols"),
        (written(symbols="BTC-USD"), "$.symbols"),
        (written(symbols=["BTC-USD", "btc"]), "$.symbols[1]"),
        (written(symbols=[1]), "$.symbols[0]"),
        (written(symbols={"watchlist": ""}), "$.symbols.watchlist"),
        (written(symbols={"watchlist": "a" * 101}), "$.symbols.watchlist"),
        (written(symbols={"list": "majors"}), "$.symbols"),
        (written(venues=["Coinbase"]), "$.venues[0]"),
        (written(extra=1), "$"),
        (written({"type": "above"}), "$.when"),
        (written({"type": "abov", "level": 1}), "$.when.type"),
        (written({"type": "above", "level": True}), "$.when.level"),
        (written({"type": "above", "level": 0}), "$.when.level"),
        (written({"type": "above", "level": "-1"}), "$.when.level"),
        (written({"type": "above", "level": "NaN"}), "$.when.level"),
        (written({"type": "above", "level": "sNaN"}), "$.when.level"),
        (written({"type": "above", "level": "Infinity"}), "$.when.level"),
        (written({"type": "above", "level": "1e400"}), "$.when.level"),
        (written({"type": "above", "level": "1e-400"}), "$.when.level"),
        (written({"type": "above", "level": "1.0000000000000001"}), "$.when.level"),
        (written({"type": "above", "level": int("9" * 400)}), "$.when.level"),
        (written({"type": "crosses", "level": 1, "direction": "sideways"}), "$.when.direction"),
        (written({"type": "change", "window": "25h", "percent": 1}), "$.when.window"),
        (written({"type": "change", "window": "0s", "percent": 1}), "$.when.window"),
        (written({"type": "change", "window": "soon", "percent": 1}), "$.when.window"),
        (written({"type": "change", "window": "1m", "percent": 0}), "$.when.percent"),
        (written({"type": "change", "window": "1m", "percent": "-100%"}), "$.when.percent"),
        (written({"type": "change", "window": "1m", "percent": "much"}), "$.when.percent"),
        (written({"type": "change", "window": "1m", "percent": -1, "direction": "up"}), "$.when.percent"),
        (written({"type": "anomaly", "score": 0}), "$.when.score"),
        (written({"type": "anomaly"}), "$.when"),
        (written({"type": "anomaly", "score": 3, "false_alarms": "1/day"}), "$.when"),
        (written({"type": "anomaly", "false_alarms": "often"}), "$.when.false_alarms"),
        (written({"type": "anomaly", "false_alarms": "0/week"}), "$.when.false_alarms"),
        (written({"type": "anomaly", "false_alarms": "51/day"}), "$.when.false_alarms"),
        (written({"type": "anomaly", "false_alarms": "1/day"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "band", "level": 90}), "$.when.level"),
        (written({"type": "band", "horizon": "2h"}), "$.when.horizon"),
        (written({"type": "band"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "drift"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "drift"}, {"hysteresis": "1%"}), "$.policy.hysteresis"),
        (written({"type": "outside_band", "side": "left"}), "$.when.side"),
        (written({"type": "outside_band"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "and", "of": [ABOVE]}), "$.when.of"),
        (written({"type": "and", "of": [ABOVE, {"type": "abov"}]}), "$.when.of[1].type"),
        (written({"type": "or", "of": [ABOVE, {"type": "spread", "percent": 0}]}), "$.when.of[1].percent"),
        (written({"type": "not", "of": {"type": "above", "level": 0}}), "$.when.of.level"),
        (written({"type": "not", "of": {"type": "not", "of": {"type": "above", "level": 0}}}), "$.when.of.of.level"),
        (written({"type": "then", "steps": [ABOVE, {"type": "above", "level": 0}]}), "$.when"),
        (written({"type": "then", "steps": [ABOVE, ABOVE], "within": "25h"}), "$.when.within"),
        (
            written({"type": "then", "steps": [ABOVE, {"type": "above", "level": 0}], "within": "5m"}),
            "$.when.steps[1].level",
        ),
        (written({"type": "and", "of": [ABOVE, ABOVE]}, {"clear": 1}), "$.policy.clear"),
        (
            written({"type": "or", "of": [ABOVE, {"type": "above", "level": 1}]}, {"hysteresis": "100%"}),
            "$.policy.hysteresis",
        ),
        (
            written({"type": "then", "steps": [ABOVE, ABOVE], "within": "5m"}, {"fire_on_arming": True}),
            "$.policy.fire_on_arming",
        ),
        (written({"type": "and", "of": [ABOVE] * 50}), "$.when"),
        (written({"type": "or", "of": [{"type": "and", "of": [ABOVE] * 25}] * 2}), "$.when"),
        (written(deep(5)), "$.when"),
        (written(deep(300)), "$.when"),
        (
            b'{"title":"a","symbols":"*","when":'
            + b'{"type":"not","of":' * 900
            + b'{"type":"spread","percent":1}'
            + b"}" * 901,
            "$.when",
        ),
        (written({"type": "channel", "lower": 2, "upper": 2, "direction": "exit"}), "$.when.upper"),
        (written({"type": "channel", "lower": 0, "upper": 2, "direction": "exit"}), "$.when.lower"),
        (written({"type": "channel", "lower": 1, "upper": 2, "direction": "up"}), "$.when.direction"),
        (written({"type": "channel", "lower": 1, "upper": 2, "direction": "exit"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "extreme", "of": "top"}), "$.when.of"),
        (written({"type": "extreme", "of": "high", "window": "2d"}), "$.when.window"),
        (written({"type": "extreme", "of": "high"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "extreme", "of": "high"}, {"fire_on_arming": True}), "$.policy.fire_on_arming"),
        (written({"type": "volume"}), "$.when"),
        (written({"type": "volume", "times": 1}), "$.when.times"),
        (written({"type": "volume", "times": "many"}), "$.when.times"),
        (written({"type": "volume", "times": 3, "window": "2h"}), "$.when.window"),
        (written({"type": "volume", "times": 3, "window": "10ms"}), "$.when.window"),
        (written({"type": "volatility", "times": 3, "baseline": "24h"}), "$.when.baseline"),
        (written({"type": "volatility", "times": 3, "baseline": "5m"}), "$.when.baseline"),
        (written({"type": "volatility", "times": 3}, {"clear": 4}), "$.policy.clear"),
        (written({"type": "spread", "percent": 0}), "$.when.percent"),
        (written({"type": "spread", "percent": "200%"}), "$.when.percent"),
        (written({"type": "spread", "percent": 1}, {"clear": 2}), "$.policy.clear"),
        (written({"type": "trailing"}), "$.when.percent"),
        (written({"type": "trailing", "percent": 0}), "$.when.percent"),
        (written({"type": "trailing", "percent": "100%"}), "$.when.percent"),
        (written({"type": "trailing", "percent": "5%", "distance": 5}), "$.when.distance"),
        (written({"type": "trailing", "distance": 0}), "$.when.distance"),
        (written({"type": "trailing", "percent": 5, "window": "25h"}), "$.when.window"),
        (written({"type": "trailing", "percent": 5, "from": "middle"}), "$.when.from"),
        (written({"type": "trailing", "percent": 5}, {"clear": 6}), "$.policy.clear"),
        (written(policy={"clear": "70000.1"}), "$.policy.clear"),
        (written(policy={"clear": 0}), "$.policy.clear"),
        (written({"type": "below", "level": 5}, {"clear": 4}), "$.policy.clear"),
        (written(policy={"clear": 1, "hysteresis": 1}), "$.policy.hysteresis"),
        (written(policy={"hysteresis": "100%"}), "$.policy.hysteresis"),
        (written(policy={"hysteresis": -1}), "$.policy.hysteresis"),
        (written(policy={"for": "31d"}), "$.policy.for"),
        (written(policy={"cooldown": "x"}), "$.policy.cooldown"),
        (written(policy={"severity": "loud"}), "$.policy.severity"),
        (written(policy={"fires": 0}), "$.policy.fires"),
        (written(policy={"fires": "twice"}), "$.policy.fires"),
        (written(policy={"fires": True}), "$.policy.fires"),
        (written(policy={"channels": ["email", "pigeon"]}), "$.policy.channels[1]"),
        (written(policy={"mail_on_clear": True}), "$.policy.mail_on_clear"),
        (
            written({"type": "crosses", "level": 1, "direction": "up"}, {"fire_on_arming": True}),
            "$.policy.fire_on_arming",
        ),
        (written(policy={"surprise": 1}), "$.policy"),
        (written(policy={"most_per_hour": 0}), "$.policy.most_per_hour"),
        (written(policy={"digest": "0.5s"}), "$.policy.digest"),
        (written(policy={"digest": "2d"}), "$.policy.digest"),
        (written(policy={"digest": "often"}), "$.policy.digest"),
        (written(policy={"expires": "tomorrow"}), "$.policy.expires"),
        (written(policy={"expires": "2026-12-31"}), "$.policy.expires"),
        (written(policy={"expires": "2026-12-31T10:00:00"}), "$.policy.expires"),
        (written(policy={"expires": "2026-12-31 10:00:00Z"}), "$.policy.expires"),
        (written(policy={"expires": "2026-12-31T10:00:00Z", "warn": "31d"}), "$.policy.warn"),
        (written(policy={"warn": "1h"}), "$.policy.warn"),
        (written(policy={"nodata": {"after": "10ms"}}), "$.policy.nodata.after"),
        (written(policy={"nodata": {"after": "25h"}}), "$.policy.nodata.after"),
        (written(policy={"nodata": {"after": "1h", "then": "panic"}}), "$.policy.nodata.then"),
        (written(policy={"nodata": {}}), "$.policy.nodata"),
        (written({"type": "stale", "after": "10ms"}), "$.when.after"),
        (written({"type": "divergence", "percent": 0}), "$.when.percent"),
        (written({"type": "divergence", "percent": 1}, venues=["kraken"]), "$.venues"),
        (written({"type": "divergence", "percent": 1}, venues={"at_least": 2}), "$.venues"),
        (written({"type": "not", "of": {"type": "divergence", "percent": 1}}), "$.when"),
        (written(venues={"at_least": 1}), "$.venues.at_least"),
        (written(venues={"at_least": 51}), "$.venues.at_least"),
        (written(venues={"at_least": 3, "of": ["kraken", "coinbase", "kraken"]}), "$.venues.at_least"),
        (written(venues={"at_least": 2, "of": ["kraken", "Coinbase"]}), "$.venues.of[1]"),
        (written(venues={"of": ["kraken"]}), "$.venues"),
        (written(venues={"at_least": 2, "off": []}), "$.venues"),
        (written(policy={"evaluate": "close"}, venues={"at_least": 2}), "$.policy.evaluate"),
        (written({"type": "moving_average"}), "$.when"),
        (written({"type": "moving_average", "direction": "up", "fast": 21, "slow": 21}), "$.when.slow"),
        (written({"type": "moving_average", "direction": "up", "fast": 1}), "$.when.fast"),
        (written({"type": "moving_average", "direction": "up", "slow": 501}), "$.when.slow"),
        (written({"type": "moving_average", "direction": "up", "bar": "2m"}), "$.when.bar"),
        (written({"type": "moving_average", "direction": "up"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "macd", "direction": "up", "fast": 30}), "$.when.slow"),
        (written({"type": "macd", "direction": "up"}, {"fire_on_arming": True}), "$.policy.fire_on_arming"),
        (written({"type": "rsi", "level": 100, "direction": "above"}), "$.when.level"),
        (written({"type": "rsi", "level": 0, "direction": "above"}), "$.when.level"),
        (written({"type": "rsi", "level": 30, "direction": "below"}, {"clear": 29}), "$.policy.clear"),
        (written({"type": "rsi", "level": 30, "direction": "below", "bar": "1w"}), "$.when.bar"),
        (written({"type": "bollinger", "deviations": 0}), "$.when.deviations"),
        (written({"type": "bollinger", "bar": ""}), "$.when.bar"),
        (written(policy={"evaluate": "sometimes"}), "$.policy.evaluate"),
        (written(policy={"bar": "1m"}), "$.policy.bar"),
        (written(policy={"evaluate": "close", "bar": "7m"}), "$.policy.bar"),
        (written({"type": "stale", "after": "25h"}), "$.when.after"),
        (written({"type": "stale", "after": "1m"}, {"clear": 1}), "$.policy.clear"),
        (written({"type": "above", "level": 1, "source": "last"}), "$.when.source"),
        (written(policy={"quiet": {"from": "22:00", "to": "07:00"}}), "$.policy.quiet"),
        (written(policy={"quiet": {**NIGHT, "from": "24:00"}}), "$.policy.quiet.from"),
        (written(policy={"quiet": {**NIGHT, "to": "7:00"}}), "$.policy.quiet.to"),
        (written(policy={"quiet": {**NIGHT, "to": "22:00"}}), "$.policy.quiet.to"),
        (written(policy={"quiet": {**NIGHT, "zone": "Mars/Olympus"}}), "$.policy.quiet.zone"),
        (written(policy={"quiet": {**NIGHT, "zone": "../../etc/passwd"}}), "$.policy.quiet.zone"),
        (written(policy={"quiet": {**NIGHT, "zone": "Europe"}}), "$.policy.quiet.zone"),
        (written(policy={"quiet": {**NIGHT, "zone": ""}}), "$.policy.quiet.zone"),
    ],
)
def test_what_is_wrong_is_named(document: bytes, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(document)
    assert caught.value.field == field
    assert len(str(caught.value)) < 400


def test_what_is_too_deep_even_to_be_read_is_refused() -> None:
    nested = b'{"type":"not","of":' * 3_000 + b'{"type":"spread","percent":1}' + b"}" * 3_001
    whole = b'{"title":"a","symbols":"*","when":' + nested
    with pytest.raises(Invalid) as caught:
        parse(whole)
    assert caught.value.field in {"$", "$.when"}  # newer Pythons read deeper


def test_an_unknown_condition_is_answered_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="outside_band"):
        parse(written({"type": "nothing"}))


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (written({"type": "above", "levle": "5"}), r"\$\.when: .*`levle`.*did you mean 'level'\?"),
        (written({"type": "and", "of": [ABOVE, {"type": "above", "levle": 1}]}), r"of\[1\]: .*did you mean 'level'"),
        (written({"type": "then", "step": []}), r"\$\.when: .*did you mean 'steps'"),
        (written({"type": "above", "window": "5s"}), r"\$\.when: .*known: \['level', 'source', 'type'\]"),
        (written(policy={"cool": "5s"}), r"\$\.policy: .*did you mean 'cooldown'\?"),
        (written(policy={"quiet": {**NIGHT, "zon": 1}}), r"\$\.policy\.quiet: .*did you mean 'zone'\?"),
        (written(symbol="BTC-USD"), r"\$: .*did you mean 'symbols'\?"),
        (b'{"when": {"type": "above", "levle": 1}, "when": 5', r"known: \['type'\]"),
    ],
)
def test_an_unknown_field_is_answered_with_its_nearest(document: bytes, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        parse(document)


def test_huge_numbers_are_only_invalid() -> None:
    for digits in (5_000, 60_000):
        document = written({"type": "change", "window": "1m", "percent": 77}).replace(b"77", b"9" * digits)
        with pytest.raises(Invalid):
            parse(document)


@given(st.binary(max_size=200))
def test_bytes_never_get_past_invalid(document: bytes) -> None:
    with contextlib.suppress(Invalid):
        parse(document)


ODD: list[Any] = [
    None,
    True,
    [],
    {},
    [[1]],
    {"a": 1},
    "",
    "\x00",
    "\u00b2",
    "1e999999999",
    "-0",
    "nan%",
    1e308,
    2**70,
    "1_0",
]
NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=False), st.text("0123456789.e-+%", max_size=9), st.sampled_from(ODD)
)


@given(
    kind=st.sampled_from([*KINDS, "other"]),
    fields=st.dictionaries(
        st.sampled_from(
            [
                "level",
                "direction",
                "window",
                "percent",
                "score",
                "side",
                "distance",
                "from",
                "lower",
                "upper",
                "of",
                "times",
                "baseline",
            ]
        ),
        NUMBERS | st.sampled_from(["up", "down", "either", "5m", "upper", "high", "exit"]),
    ),
    policy=st.dictionaries(
        st.sampled_from(["for", "clear", "hysteresis", "cooldown", "channels", "severity", "mail_on_clear"]),
        NUMBERS | st.sampled_from(["5s", "1%"]),
    ),
)
def test_odd_documents_never_get_past_invalid(kind: str, fields: dict[str, Any], policy: dict[str, Any]) -> None:
    with contextlib.suppress(Invalid):
        rule = parse(written({**fields, "type": kind}, policy))
        assert rule.when.kind == kind


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["type", "of", "steps", "within", "level", "percent", "window"]), inner)
        | st.builds(lambda kind, of: {"type": kind, "of": of}, st.sampled_from(["and", "or", "not", "then"]), inner)
    ),
    max_leaves=20,
)


@given(when=JSON)
def test_any_json_is_a_rule_or_invalid(when: object) -> None:
    try:
        assert parse(written(when)).when.kind in KINDS
    except Invalid as error:
        assert error.field.startswith("$")  # noqa: PT017 - only what is raised is looked at


def test_a_tree_of_the_greatest_size_is_taken() -> None:
    whole = parse(written({"type": "or", "of": [*[ABOVE] * 45, deep(3)]}))
    assert isinstance(whole.when, Or)
    assert len(list(whole.when.leaves())) == 46
    assert parse(written(deep(4))).when.kind == "not"


def test_the_schema_is_published() -> None:
    published = json.dumps(schema())
    assert all(f'"{kind}"' in published for kind in KINDS)


def test_an_error_shows_the_value_where_it_can() -> None:
    with pytest.raises(Invalid, match="got True"):
        parse(written({"type": "above", "level": True}))
    with pytest.raises(Invalid, match="something unreadable"):
        parse(b'{"title": 5, "symbols": [')


@pytest.mark.parametrize(
    ("text", "weekly"), [("1/year", 7 / 365), ("2/month", 2 * 84 / 365), ("1.5/week", 1.5), ("50/day", 350.0)]
)
def test_rates_of_false_alarms_are_counted_by_the_week(text: str, weekly: float) -> None:
    when = parse(written({"type": "anomaly", "false_alarms": text})).when
    assert isinstance(when, RareBar)
    assert when.weekly == pytest.approx(weekly)
    assert when.level == pytest.approx(1 / weekly)


def test_what_closed_minutes_give_is_named() -> None:
    feature = band_feature(60, 0.95, "upper")
    assert band_of(feature) == (60, 0.95, "upper")
    assert all(map(is_of_minutes, (feature, ALARM, DRIFT)))
    assert not is_of_minutes(PRICE)
    assert feature.reach == 0
