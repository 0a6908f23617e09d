from __future__ import annotations

import math
import zlib
from array import array

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.made import MINUTE, START, made

from pricewatch.models.bands.conformal import HorizonBand, Sides
from pricewatch.models.bank.price import PriceBank
from pricewatch.models.bars import BANDS, BANK, CHECKPOINT, DEAD, BarModels, Closed
from pricewatch.models.features import Row, Shape


def run(models: BarModels, bars: list[Shape]) -> list[Closed]:
    return [closed for bar in bars for closed in models.close(bar)]


def sides(models: BarModels) -> list[Sides]:
    return [models.sides(place) for place in range(len(models.bands))]


def test_a_closed_bar_says_everything() -> None:
    models = BarModels()
    bars = list(made(600))
    found = run(models, bars)
    assert [one.row.at for one in found] == [bar.at for bar in bars]
    assert models.last is found[-1]
    assert max(found[-1].parts.values()) == max(found[-1].ranks)
    assert any(one.rarity > 1.0 for one in found)
    assert any(one.rate < math.inf for one in found)
    assert models.rate.bars == 600
    low, middle, high = models.sides(0).up
    assert 0.0 < low < middle < high < 0.05
    assert models.sides(3).up[1] > 4 * middle


def test_empty_bars_are_made_up_and_learned() -> None:
    models = BarModels()
    bars = list(made(100))
    run(models, bars[:90])
    found = models.close(bars[95])
    assert [one.row.at for one in found] == [START + number * MINUTE for number in range(90, 96)]
    assert [one.row.move == one.row.volume == 0.0 for one in found] == [True] * 5 + [False]
    assert models.rate.bars == 96


@pytest.mark.parametrize(
    "bad",
    [
        {"high": math.nan},
        {"close": math.inf, "high": math.inf},
        {"low": -5.0},
        {"volume": math.nan},
    ],
)
def test_what_is_no_bar_and_what_comes_too_late_teaches_nothing(bad: dict[str, float]) -> None:
    models = BarModels()
    bars = list(made(200))
    run(models, bars)
    before = models.dump()
    assert models.close(bars[-1]._replace(at=bars[-1].at + MINUTE, **bad)) == []  # type: ignore[arg-type]
    assert models.close(bars[-1]) == []
    assert models.close(bars[0]) == []
    assert models.dump() == before
    assert models.failures == 0


def test_absurd_prices_are_survived() -> None:
    models, plain = BarModels(), BarModels()
    bars = list(made(3_000))
    run(plain, bars)
    spoilt = [
        bar._replace(high=1e12, close=1e12) if number in (1_000, 1_500) else bar for number, bar in enumerate(bars)
    ]
    found = run(models, spoilt)
    assert found[1_000].rarity > 5.0
    assert models.failures == 0
    for one, other in zip(sides(models)[:3], sides(plain)[:3], strict=True):
        assert one.down == pytest.approx(other.down, rel=0.5)
        assert one.up == pytest.approx(other.up, rel=0.5)


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(0, 900), seed=st.integers(0, 9))
def test_restored_models_go_on_identically(cut: int, seed: int) -> None:
    bars = list(made(1_000, seed))
    one, other = BarModels(), BarModels()
    run(one, bars[:cut])
    for name, payload in one.dump().items():
        other.load(name, payload)
    assert run(one, bars[cut:]) == run(other, bars[cut:])
    assert sides(one) == sides(other)
    assert one.dump() == other.dump()
    assert one.last == other.last


def test_a_state_is_small() -> None:
    models = BarModels()
    run(models, list(made(6_000)))
    state = models.dump()
    assert len(state[BANK]) < 10_000
    assert len(state[BANDS]) < 10_000 * len(models.bands)


@pytest.mark.parametrize("name", [BANK, BANDS])
@pytest.mark.parametrize("bad", [b"", b"\xc0", b"\x92\x90\xc4\x00", b"\x92\x91\x01\x90", b"\x92\x90\xc4\x01a"])
def test_a_state_that_cannot_be_read_begins_anew(name: str, bad: bytes) -> None:
    models = BarModels()
    run(models, list(made(200)))
    with pytest.raises(ValueError, match=f"state of {name}"):
        models.load(name, bad)
    fresh = BarModels()
    assert models.dump()[name] == fresh.dump()[name]
    other = BANDS if name == BANK else BANK
    assert models.dump()[other] != fresh.dump()[other]


def test_a_last_bar_of_another_length_begins_anew() -> None:
    models = BarModels()
    run(models, list(made(200)))
    lengths, packed = msgspec.msgpack.decode(models.dump()[BANK])
    numbers = array("d")
    numbers.frombytes(zlib.decompress(packed))
    del numbers[0]
    lengths[0] -= 1
    with pytest.raises(ValueError, match="state of"):
        models.load(BANK, msgspec.msgpack.encode([lengths, zlib.compress(numbers.tobytes())]))
    assert models.last is None


def test_bands_of_other_horizons_begin_anew() -> None:
    with pytest.raises(ValueError, match="horizons"):
        BarModels().load(BANDS, BarModels((1, 2)).dump()[BANDS])


class RustPanicError(BaseException):
    """As River's Rust throws them."""


@pytest.mark.parametrize("error", [ValueError("spoilt"), RustPanicError()])
def test_a_failing_model_goes_back_to_its_last_good_state(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, reference = BarModels(), BarModels()
    bars = list(made(CHECKPOINT + 100))
    run(reference, bars[:CHECKPOINT])
    run(models, bars)

    def fail(self: PriceBank, row: Row) -> float:
        raise error

    with monkeypatch.context() as spoilt:
        spoilt.setattr(PriceBank, "look", fail)
        assert models.close(bars[-1]._replace(at=bars[-1].at + MINUTE)) == []
    assert models.failures == 1
    assert models.last == reference.last
    assert models.dump() == reference.dump()
    assert models.close(bars[CHECKPOINT])


def test_an_interruption_gets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: PriceBank, row: Row) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(PriceBank, "look", interrupt)
    with pytest.raises(KeyboardInterrupt):
        BarModels().close(next(made(1)))


def test_numbers_that_are_not_finite_are_a_failure() -> None:
    models = BarModels()
    bars = list(made(300))
    run(models, bars[:200])
    models.bank._tails._slopes[4] = math.nan
    assert models.close(bars[200]) == []
    assert models.failures == 1
    assert run(models, bars[201:])
    assert models.failures == 1


def test_a_good_state_that_became_unreadable_is_replaced() -> None:
    models = BarModels()
    bars = list(made(50))
    run(models, bars)
    models._good = {BANK: b"spoilt", BANDS: b"spoilt"}
    models.features.close = math.nan
    models.bank._tails._offsets = []
    models.close(bars[-1]._replace(at=bars[-1].at + 5 * MINUTE))
    assert models.failures == 1
    assert models.dump()[BANDS] == BarModels().dump()[BANDS]


def test_a_dead_bank_is_found_and_replaced() -> None:
    models = BarModels()
    bars = list(made(300 + DEAD + 5))
    run(models, bars[:300])
    models.bank._tails._slopes = [0.0] * 9
    models.bank._tails._offsets = [1.0] * 9
    models.bank._tails._wait = 10**9
    models.bank._tails._gates = [math.inf] * 9
    run(models, bars[300:])
    assert models.failures == 1
    assert models.rate.bars < 10


def test_an_hourly_market_has_its_own_horizons() -> None:
    models = BarModels((1, 6, 24))
    run(models, list(made(200, step=60 * MINUTE)))
    assert [band.horizon for band in models.bands] == [1, 6, 24]
    assert isinstance(models.bands[0], HorizonBand)
