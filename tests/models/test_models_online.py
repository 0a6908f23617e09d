from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.model import Snapshot
from pricewatch.models.base import OnlineModel
from pricewatch.models.ensemble import Ensemble, version
from pricewatch.models.online.ewz import EwZ
from pricewatch.models.online.tail import Tail
from pricewatch.models.registry import ONLINE


def prices(count: int, *, seed: int = 1, start: float = 100.0) -> list[float]:
    rng, price, out = random.Random(seed), start, []
    for _ in range(count):
        price *= math.exp(rng.gauss(0.0, 1e-4))
        out.append(price)
    return out


def run(ensemble: Ensemble, path: Sequence[float]) -> list[float]:
    scores = []
    for price in path:
        scores.append(ensemble.score(price))
        ensemble.learn(price)
    return scores


@pytest.mark.parametrize("kind", ONLINE.values(), ids=list(ONLINE))
class TestEveryModel:
    """What every registered model promises."""

    def test_scoring_changes_nothing(self, kind: type[OnlineModel]) -> None:
        model = kind()
        for x in (0.001, -0.002, 0.0005):
            model.learn(x)
        before = model.dump()
        assert model.score(0.01) == model.score(0.01)
        assert model.dump() == before

    def test_a_new_model_is_not_surprised(self, kind: type[OnlineModel]) -> None:
        assert kind().score(5.0) == 0.0
        assert kind().dump() == []

    def test_it_is_more_surprised_by_more(self, kind: type[OnlineModel]) -> None:
        model, rng = kind(), random.Random(3)
        for _ in range(2_000):
            model.learn(rng.gauss(0.0, 1e-4))
        scores = [model.score(x) for x in (0.0, 1e-4, 3e-4, 1e-3, 1e-2, 1e-1)]
        assert scores == sorted(scores)
        assert scores[-1] > 4.0
        assert scores[1] < 1.5

    @pytest.mark.parametrize("wild", [0.0, 0.02, 0.2])
    def test_taking_is_scoring_then_learning_to_the_bit(self, kind: type[OnlineModel], wild: float) -> None:
        one, other, rng = kind(), kind(), random.Random(5)
        for _ in range(2_000):
            x = rng.gauss(0.0, 1e-4) * (rng.choice([8.0, 100.0, 1e6]) if rng.random() < wild else 1.0)
            expected = other.score(x)
            other.learn(x)
            assert one.take(x) == expected
            assert one.dump() == other.dump()

    def test_one_absurd_value_does_not_ruin_it(self, kind: type[OnlineModel]) -> None:
        model, rng = kind(), random.Random(3)
        for _ in range(1_000):
            model.learn(rng.gauss(0.0, 1e-4))
        usual = model.score(1e-3)
        model.learn(math.log(1e12))
        model.learn(-math.log(1e12))
        for _ in range(500):
            model.learn(rng.gauss(0.0, 1e-4))
        assert model.score(1e-3) > 0.5 * usual

    def test_a_standing_price_is_no_trouble(self, kind: type[OnlineModel]) -> None:
        model = kind()
        for _ in range(300):
            model.learn(0.0)
        assert all(map(math.isfinite, (*model.dump(), model.score(0.0), model.score(1.0))))
        assert model.score(0.01) > 2.0

    def test_bad_numbers_are_refused(self, kind: type[OnlineModel]) -> None:
        model = kind()
        model.learn(0.1)
        model.learn(0.2)
        good = model.dump()
        for place in range(len(good)):
            bad = [*good]
            bad[place] = math.nan
            with pytest.raises(ValueError, match="finite"):
                kind().load(bad)
        with pytest.raises(ValueError, match="unpack"):
            kind().load([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])

    @given(
        before=st.lists(st.floats(-0.5, 0.5), max_size=40),
        after=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=40),
    )
    def test_a_dump_goes_on_identically(self, kind: type[OnlineModel], before: list[float], after: list[float]) -> None:
        first, second = kind(), kind()
        for x in before:
            first.learn(x)
        second.load(first.dump())
        for x in after:
            assert first.score(x) == second.score(x)
            first.learn(x)
            second.learn(x)
        assert first.dump() == second.dump()


def test_the_tail_share_is_what_it_says() -> None:
    model, rng, beyond = Tail(), random.Random(5), 0
    for number in range(20_000):
        x = rng.gauss(0.0, 1e-4)
        beyond += number > 5_000 and model.score(x) > 2.0
        model.learn(x)
    assert 0.005 < beyond / 15_000 < 0.02


def test_both_models_contribute() -> None:
    path = prices(300)
    path.append(path[-1] * 1.001)
    both = run(Ensemble(ONLINE), path)[-1]
    for name in ONLINE:
        alone = run(Ensemble({name: ONLINE[name]}), path)[-1]
        others = {other: kind for other, kind in ONLINE.items() if other != name}
        without = run(Ensemble(others), path)[-1]
        assert both == pytest.approx(alone + without)
        assert without != both


def test_it_is_silent_until_warm_and_then_scores() -> None:
    ensemble = Ensemble(ONLINE, warm_up=100)
    scores = run(ensemble, prices(103))
    assert all(map(math.isnan, scores[:101]))
    assert all(map(math.isfinite, scores[101:]))
    assert ensemble.parts().keys() == ONLINE.keys()
    assert ensemble.total() == scores[-1]
    assert Ensemble(ONLINE).parts() == {}
    assert math.isnan(Ensemble(ONLINE).total())


def test_the_version_names_models_and_schemas() -> None:
    assert version(ONLINE) == "ewz+tail@1.1"


def test_taking_a_price_is_scoring_then_learning_it() -> None:
    one, other, path = Ensemble(ONLINE), Ensemble(ONLINE), prices(1_500)
    path[700] *= 1.01
    assert repr([one.take(price) for price in path]) == repr(run(other, path))
    assert one.snapshots(1, seen=1) == other.snapshots(1, seen=1)


@given(cut=st.integers(0, 250))
def test_a_restored_ensemble_goes_on_identically(cut: int) -> None:
    path = prices(300)
    whole = Ensemble(ONLINE)
    scores = run(whole, path[:cut])
    again = Ensemble(ONLINE)
    saved = whole.snapshots(1, seen=9)
    assert len(saved) == (2 if cut else 0)
    assert all(again.restore(snapshot) for snapshot in saved)
    assert repr(again.total()) == repr(whole.total())
    assert repr(run(whole, path[cut:])) == repr(run(again, path[cut:]))
    assert len(scores) == cut


def altered(snapshot: Snapshot, **changes: object) -> Snapshot:
    return msgspec.structs.replace(snapshot, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "unheard-of"},
        {"schema": 99},
        {"payload": b""},
        {"payload": msgspec.msgpack.encode(["x"])},
        {"payload": msgspec.msgpack.encode([1.0])},
        {"payload": msgspec.msgpack.encode([1.0, math.nan, 0.0])},
        {"payload": msgspec.msgpack.encode([1.0, -5.0, 0.0])},
        {"payload": msgspec.msgpack.encode([1.0, 5.0, 0.0, 1.0])},
    ],
)
def test_an_unusable_snapshot_means_a_fresh_model(changes: dict[str, object]) -> None:
    source = Ensemble(ONLINE)
    run(source, prices(200))
    target = Ensemble(ONLINE)
    first, second = source.snapshots(1, seen=9)
    assert target.restore(first)
    assert not target.restore(altered(second, **changes))
    assert target.learned == 0
    assert math.isnan(target.score(100.0))


class Fragile:
    """Fails as told: with an exception, with a panic, or by going non-finite."""

    name: ClassVar[str] = "fragile"
    schema: ClassVar[int] = 1
    weight: ClassVar[float] = 1.0
    trouble: ClassVar[str] = ""
    panic: ClassVar[type[BaseException]] = BaseException

    def __init__(self) -> None:
        self.value = 1.0

    def score(self, x: float) -> float:
        if self.trouble == "score":
            raise self.panic
        return math.nan if self.trouble == "nan" else self.value

    def learn(self, x: float) -> None:
        if self.trouble == "learn":
            raise self.panic
        self.value += 1.0

    def take(self, x: float) -> float:
        score = self.score(x)
        self.learn(x)
        return score

    def dump(self) -> list[float]:
        return [math.inf if self.trouble == "dump" else self.value]

    def load(self, numbers: Sequence[float]) -> None:
        if self.trouble == "learn" and self.panic is ValueError:
            raise self.panic
        if self.trouble == "load":
            raise KeyboardInterrupt
        (self.value,) = numbers


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> type[Fragile]:
    monkeypatch.setattr(Fragile, "trouble", "")
    monkeypatch.setattr(Fragile, "panic", BaseException)
    return Fragile


@pytest.mark.parametrize(("trouble", "value"), [("score", 7.0), ("nan", 7.0), ("learn", 6.0), ("dump", 9.0)])
def test_a_failing_model_goes_back_to_its_last_good_state(fragile: type[Fragile], trouble: str, value: float) -> None:
    ensemble = Ensemble({"fragile": fragile}, warm_up=1, checkpoint=5)
    run(ensemble, prices(9))
    fragile.trouble = trouble
    run(ensemble, prices(5, seed=2))
    fragile.trouble = ""
    assert ensemble.failures >= 1
    assert ensemble.score(100.0) == value
    ensemble.learn(100.0)
    assert ensemble.score(100.0) == value + 1.0


@pytest.mark.parametrize(("trouble", "value"), [("score", 7.0), ("nan", 7.0), ("learn", 6.0), ("dump", 9.0)])
def test_a_model_that_fails_while_taking_goes_back_too(fragile: type[Fragile], trouble: str, value: float) -> None:
    ensemble = Ensemble({"fragile": fragile}, warm_up=1, checkpoint=5)
    run(ensemble, prices(9))
    fragile.trouble = trouble
    before = ensemble.score(100.0) if trouble == "dump" else math.nan
    answers = [ensemble.take(price) for price in prices(5, seed=2)]
    fragile.trouble = ""
    assert ensemble.failures >= 1
    assert repr(answers[0]) == repr(before)
    ensemble.take(100.0)
    assert ensemble.score(100.0) >= min(value, 6.0)


def test_a_model_that_cannot_go_back_starts_afresh(fragile: type[Fragile]) -> None:
    ensemble = Ensemble({"fragile": fragile}, warm_up=1, checkpoint=5)
    run(ensemble, prices(9))
    fragile.trouble, fragile.panic = "learn", ValueError
    ensemble.learn(100.0)
    fragile.trouble = ""
    assert (ensemble.failures, ensemble.learned) == (1, 0)


def test_a_sick_model_is_not_saved(fragile: type[Fragile]) -> None:
    ensemble = Ensemble({"fragile": fragile})
    run(ensemble, prices(9))
    fragile.trouble = "dump"
    assert ensemble.snapshots(1, seen=5) == []


@pytest.mark.parametrize("trouble", ["score", "learn"])
def test_a_request_to_stop_passes(fragile: type[Fragile], trouble: str) -> None:
    ensemble = Ensemble({"fragile": fragile}, warm_up=1)
    run(ensemble, prices(5))
    fragile.trouble, fragile.panic = trouble, KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        run(ensemble, prices(1))
    with pytest.raises(KeyboardInterrupt):
        ensemble.take(100.0)


def test_a_request_to_stop_passes_while_going_back(fragile: type[Fragile]) -> None:
    ensemble = Ensemble({"fragile": fragile}, warm_up=1)
    run(ensemble, prices(5))
    fragile.trouble = "load"
    with pytest.raises(KeyboardInterrupt):
        ensemble._recover()


def test_ewz_measures_in_deviations() -> None:
    model, rng = EwZ(), random.Random(1)
    for _ in range(5_000):
        model.learn(rng.gauss(0.0, 1e-4))
    assert model.score(1e-3) == pytest.approx(2.0, abs=0.3)
