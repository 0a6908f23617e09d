from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks, datasets
from tests.models.made import MINUTE, made

from pricewatch.models.bank.price import PRIORS, Judgement, PriceBank
from pricewatch.models.bank.rate import BASE, LADDER, LONGEST, RUN, AlarmRate
from pricewatch.models.bank.scores import NAMES, Scores
from pricewatch.models.bank.tails import FEWEST, MEMORY, SILENT, TailBank
from pricewatch.models.features import FeatureStream, Shape


def judged(bars: list[Shape], bank: PriceBank | None = None) -> list[Judgement]:
    stream, bank = FeatureStream(), bank or PriceBank()
    found = []
    for bar in bars:
        row = stream.look(bar)
        found.append(bank.look(row))
        bank.learn(found[-1])
        stream.learn(row)
    return found


class Labelled:
    """Stands for River's own set of labelled rows, which would have to be fetched."""

    def take(self, count: int) -> Iterator[tuple[dict[str, float], bool]]:
        luck = random.Random(11)
        for number in range(count):
            strange = number > SILENT and luck.random() < 0.02
            x = {name: luck.lognormvariate(0.0, 1.0) for name in ("a", "b", "c")}
            yield ({**x, "b": x["b"] * 50.0} if strange else x), strange


def test_rivers_checks_hold_for_the_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "CreditCard", Labelled)
    model = TailBank()
    for check in checks.yield_checks(model):
        if check.__name__ not in model._unit_test_skips():
            check(model.clone())


def test_names_come_and_go() -> None:
    bank, luck = TailBank(), random.Random(1)
    assert bank.score_one({"a": 1.0}) == 0.0
    for number in range(600):
        a, b = luck.expovariate(1.0), luck.expovariate(1.0)
        x: dict[Hashable, object] = {"a": a}
        bank.learn_one(x | {"no number": "text", "nan": math.nan} | ({"b": b} if number >= 300 else {}))
    assert bank.score_one({"a": 20.0}) > 2.0
    assert bank.score_one({"b": 20.0}) > 2.0
    assert bank.score_one({"c": 20.0}) <= bank.score_one({})
    before = bank.dump()
    bank.score_one({"a": 5.0})
    assert bank.dump() == before


def test_a_rarity_is_minus_log10_of_a_probability() -> None:
    bank, luck = TailBank(priors={"x": 0.4}), random.Random(2)
    beyond: Counter[int] = Counter()
    rows = 60_000
    for number in range(rows):
        size = luck.paretovariate(2.5)  # a mean log excess of 0.4, as the prior says
        if number >= 2_000:
            rarity = bank.score_one({"x": size})
            beyond.update(level for level in (2, 3) if rarity > level)
        bank.learn_one({"x": size})
    assert 0.008 < beyond[2] / rows < 0.0125
    assert 0.0006 < beyond[3] / rows < 0.0016


def test_a_constant_size_is_not_rare() -> None:
    bank = TailBank(priors={"x": 0.3})
    for _ in range(int(MEMORY) * 2):
        assert bank.ranks([-20.0])[0] < BASE
        bank.learn([-20.0])
    assert len(bank.dump()[1]) > FEWEST


def test_tails_of_other_names_are_refused() -> None:
    bank = TailBank(priors={"x": 0.3})
    for bad in ([], [[0.0, 0.0]], [[0.0, 0.0, 1.0], [1.0]], [[0.0, 0.0, 1.0]]):
        with pytest.raises(ValueError, match="state of 1 tails"):
            bank.load(bad)


def test_every_score_has_a_prior() -> None:
    assert tuple(PRIORS) == NAMES


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("move", lambda bar: bar._replace(high=bar.close * 1.1, close=bar.close * 1.1)),
        ("range", lambda bar: bar._replace(high=bar.high * 1.1)),
        ("wick", lambda bar: bar._replace(low=bar.low / 1.1)),
        ("volume", lambda bar: bar._replace(volume=bar.volume + 5_000.0)),
    ],
)
def test_what_is_unusual_is_named(name: str, change: object) -> None:
    bars = list(made(1_000))
    assert callable(change)
    usual = judged(bars)[-1]
    strange = judged([*bars[:-1], change(bars[-1])])[-1]
    assert strange.rarity > 3.0 > usual.rarity
    assert strange.parts[name] > 3.0
    assert usual.parts.keys() == PRIORS.keys()


def test_lasting_things_are_found_by_the_longer_scores() -> None:
    bars = list(made(1_000))
    drift = [
        bar._replace(**{key: getattr(bar, key) * 1.003**number for key in ("high", "low", "close")})
        for number, bar in enumerate(bars[-30:])
    ]
    assert max(one.parts["trend"] for one in judged(bars[:-30] + drift)[-30:]) > 2.5
    loud = [bar._replace(volume=bar.volume * 4) for bar in bars[-8:]]
    assert judged(bars[:-8] + loud)[-1].parts["volumes"] > judged(bars)[-1].parts["volumes"] + 0.5
    wild = [*bars[:-20], *made(20, sigma=4e-3, start=bars[-20].at, price=bars[-21].close)]
    assert max(one.parts["ranges"] for one in judged(wild)[-20:]) > 3.0


def test_one_bar_is_nothing_lasting() -> None:
    bars = list(made(1_000))
    usual = judged(bars)[-1].parts
    one = judged([*bars[:-1], bars[-1]._replace(high=bars[-1].high * 1.5, volume=bars[-1].volume * 500)])[-1].parts
    assert one["range"] > 3.0
    assert one["volume"] > 3.0
    assert one["ranges"] - usual["ranges"] < 2.0
    assert one["volumes"] - usual["volumes"] < 2.0


def test_a_history_without_wicks_is_not_alarmed_by_the_first_small_one() -> None:
    flat = [
        bar._replace(high=max(bar.close, last.close), low=min(bar.close, last.close))
        for last, bar in pairwise(made(1_001))
    ]
    usual = judged(flat)[-1]
    small = judged([*flat[:-1], flat[-1]._replace(high=flat[-1].high * 1.0001)])[-1]
    large = judged([*flat[:-1], flat[-1]._replace(high=flat[-1].high * 1.05)])[-1]
    assert small.parts["wick"] == usual.parts["wick"] <= 2.0
    assert large.parts["wick"] > 4.0


def test_it_is_silent_at_first() -> None:
    found = judged(list(made(SILENT + 50)))
    assert {one.rarity for one in found[:SILENT]} == {0.0}
    assert any(one.rarity > 0.0 for one in found[SILENT:])


def test_rivers_way_in_says_the_same() -> None:
    bars = list(made(300))
    stream, one, other = FeatureStream(), PriceBank(), PriceBank()
    for bar in bars:
        row = stream.look(bar)
        x: dict[Hashable, float] = dict(row._asdict().items())
        assert one.score_one(x) == other.look(row).rarity
        one.learn_one(x)
        other.learn(other.look(row))
        stream.learn(row)
    assert one.dump() == other.dump()


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(0, 400), seed=st.integers(0, 99))
def test_a_bank_goes_on_identically(cut: int, seed: int) -> None:
    bars = list(made(500, seed))
    stream, one, other = FeatureStream(), PriceBank(), PriceBank()
    for number, bar in enumerate(bars):
        row = stream.look(bar)
        if number >= cut:
            if number == cut:
                other.load(one.dump())
            assert other.look(row) == one.look(row)
            other.learn(other.look(row))
        one.learn(one.look(row))
        stream.learn(row)


def test_foreign_states_are_refused() -> None:
    with pytest.raises(ValueError, match="bank's state"):
        PriceBank().load([[]])
    with pytest.raises(ValueError, match="state of scores"):
        Scores().load([1.0])
    with pytest.raises(ValueError, match="state of scores"):
        Scores().load([1.0, 1.0, 1.0, 2.0, 0.0])
    with pytest.raises(ValueError, match="state of scores"):
        Scores().load([1.0, 1.0, 99.0, 0.0, 0.0, *[0.0] * 99])
    with pytest.raises(ValueError, match="alarm rate"):
        AlarmRate().load([1.0])


def rarities(count: int, seed: int) -> list[float]:
    luck = random.Random(seed)
    return [-math.log10(1.0 - luck.random()) for _ in range(count)]


def test_what_a_rate_states_is_what_comes() -> None:
    model = AlarmRate()
    for rarity in rarities(100_000, 3):
        model.step(rarity)
    for rate, alarms in zip(LADDER[:4], model.alarms, strict=False):
        assert 1 / 1.5 < alarms / (rate * model.bars) < 1.5, (rate, alarms)


def test_it_holds_for_rarities_that_overstate_themselves() -> None:
    model = AlarmRate()
    for rarity in rarities(100_000, 4):
        model.step(1.4 * rarity)
    for rate, alarms in zip(LADDER[1:3], model.alarms[1:3], strict=True):
        assert 1 / 1.5 < alarms / (rate * model.bars) < 1.5, (rate, alarms)


def test_a_cluster_is_one_alarm_at_its_first_rare_bar() -> None:
    model = AlarmRate()
    assert model.step(1.0) == math.inf
    first = model.step(2.5)
    assert first == model.rate(2.5)
    higher = model.step(5.0)
    assert higher < LADDER[2] < first
    assert [model.step(0.0) for _ in range(RUN - 1)] == [pytest.approx(higher, rel=0.05)] * (RUN - 1)
    assert model.alarms[2] == 1
    assert model.step(5.0) == pytest.approx(higher, rel=0.05)
    assert model.alarms[2] == 1
    for _ in range(RUN):
        model.step(0.0)
    assert model.step(0.0) == math.inf
    assert model.step(5.0) < LADDER[2]
    assert model.alarms[2] == 2


def test_an_endless_cluster_ends() -> None:
    model = AlarmRate()
    for _ in range(3 * LONGEST):
        model.step(5.0)
    assert model.alarms[1] == 3


def test_threshold_and_rate_are_inverse() -> None:
    model = AlarmRate()
    for rate in LADDER[1:]:
        assert model.rate(model.threshold(rate)) == pytest.approx(rate)
    assert model.threshold(1.0) == BASE
    assert model.rate(BASE - 0.01) == math.inf


@given(cut=st.integers(0, 200))
@settings(max_examples=6, deadline=None)
def test_an_alarm_rate_goes_on_identically(cut: int) -> None:
    one, other = AlarmRate(), AlarmRate()
    path = [1.5 * rarity for rarity in rarities(300, 5)]
    for rarity in path[:cut]:
        one.step(rarity)
    other.load(one.dump())
    assert [one.step(rarity) for rarity in path[cut:]] == [other.step(rarity) for rarity in path[cut:]]
    assert one.dump() == other.dump()


def test_a_bar_is_a_minute_here() -> None:
    assert {bar.step for bar in made(3)} == {MINUTE}
