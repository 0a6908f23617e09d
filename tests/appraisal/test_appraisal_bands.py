from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.models.made import START, made

from pricewatch.appraisal import bands
from pricewatch.appraisal.pages import bands_page
from pricewatch.appraisal.series import Series, horizons_of, joined, series_of
from pricewatch.cli import execute
from pricewatch.domain.errors import Invalid
from pricewatch.domain.market import Candle
from pricewatch.domain.time import DAY, HOUR, MINUTE


def candles(count: int, *, step: int = MINUTE, start: int = START) -> list[Candle]:
    return [
        Candle(0, bar.at, bar.close, bar.high, bar.low, bar.close, bar.volume)
        for bar in made(count, step=step, start=start)
    ]


def write(path: Path, count: int, *, step: int = MINUTE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["time,open,high,low,close,volume"]
    lines += [
        f"{bar.at // 1_000_000},{bar.close},{bar.high},{bar.low},{bar.close},{bar.volume}"
        for bar in made(count, step=step)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_bands_of_a_random_walk_are_honest() -> None:
    outcomes, curve = bands.measure(series_of("walk", candles(4_000)))
    assert {(one.horizon, one.level) for one in outcomes} == {(h, p) for h in (1, 5, 15, 60) for p in (0.8, 0.95, 0.99)}
    assert all(one.is_honest for one in outcomes)
    first = outcomes[1]
    assert first.bands == 4_000 - bands.WARM - 1
    assert first.least is not None
    assert first.most is not None
    assert 0.9 < first.least <= first.coverage <= first.most < 1.0
    assert 0.0 < first.width < 0.02
    assert 0.8 < first.score < 1.1
    assert min(first.halves) < first.score < max(first.halves)
    assert len(curve.places) == len(curve.coverage) > 100


def test_a_band_that_lies_is_called_so() -> None:
    outcome = bands.measure(series_of("walk", candles(1_000)))[0][0]
    assert outcome._replace(coverage=outcome.level + outcome.allowed).is_honest
    assert not outcome._replace(coverage=outcome.level - 1.1 * outcome.allowed).is_honest


def test_a_short_series_has_no_rolling_coverage_and_no_far_horizons() -> None:
    outcomes, curve = bands.measure(series_of("short", candles(120 + 100, step=HOUR)))
    assert {one.horizon for one in outcomes} == {1, 6, 24}
    assert all(one.least is None for one in outcomes)
    assert curve.places == []
    shorter = Series("shorter", HOUR, series_of("x", candles(220, step=HOUR)).bars[:105])
    few = bands.measure(shorter)[0]
    assert {one.horizon for one in few} == {1}
    assert bands.measure(Series("least", HOUR, shorter.bars[:102]))[0][0].halves[1] == 1.0


def test_horizons_fit_the_bars() -> None:
    assert horizons_of(MINUTE) == (1, 5, 15, 60)
    assert horizons_of(5 * MINUTE) == (1, 1, 3, 12)
    assert horizons_of(HOUR) == (1, 6, 24)
    assert horizons_of(DAY) == (1, 5)


def test_series_need_enough_candles_and_take_the_last_of_doubles() -> None:
    with pytest.raises(Invalid, match="too few"):
        series_of("few", candles(50))
    doubled = [*candles(300), Candle(0, START, 1.0, 2.0, 0.5, 1.5, 7.0)]
    found = series_of("doubled", doubled)
    assert len(found.bars) == 300
    assert found.bars[0].volume == 7.0
    assert found.step == MINUTE
    assert found.has_volume
    assert not Series("x", MINUTE, [bar._replace(volume=0.0) for bar in found.bars]).has_volume


def test_consecutive_days_of_a_market_are_one_series() -> None:
    days = [series_of(f"venue-1m-2018040{4 + n}-trade", candles(1_400, start=START + n * DAY)) for n in range(3)]
    later = series_of("venue-1m-20190101-trade", candles(300, start=START + 30 * DAY))
    other = series_of("venue-1m-20180404-quote", candles(300))
    found = joined([later, days[1], other, days[0], days[2]])
    assert [(one.name, len(one.bars)) for one in found] == [
        ("venue-1m-20180404-quote", 300),
        ("venue-1m-20180404-trade", 4_200),
        ("venue-1m-20190101-trade", 300),
    ]


def test_the_command_prints_a_table_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "one.csv", 700)
    write(tmp_path / "in" / "deep" / "two.csv", 700, step=HOUR)
    page = tmp_path / "out" / "page.html"
    assert execute(["evaluate", "bands", str(tmp_path / "in"), "--report", str(page), "--workers", "2"]) == 0
    printed = capsys.readouterr().out
    assert "deep/two" in printed
    assert "coverage" in printed
    assert "folder" in printed
    html = page.read_text()
    assert html.startswith("<!doctype html>")
    assert "data:image/png;base64," in html
    assert "http" not in html.replace("http-equiv", "")
    assert execute(["evaluate", "bands", str(tmp_path / "in" / "one.csv"), "--json", "--workers", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["series"] == 1
    assert told["bars"] == 700
    assert [one["level"] for one in told["together"]] == [0.8, 0.95, 0.99]
    assert told["together"][0]["score"] == pytest.approx(told["outcomes"][0]["score"])
    assert {"coverage", "honest", "score", "horizon"} <= told["outcomes"][0].keys()


def test_series_of_a_folder_are_weighed_by_their_bands() -> None:
    outcome = bands.measure(series_of("walk", candles(1_000)))[0][0]
    one, other = (
        outcome._replace(series=name, bands=count, score=score)
        for name, count, score in (("a/one", 300, 0.8), ("a/two", 100, 1.2))
    )
    further, alone = one._replace(horizon=5), one._replace(series="three", score=1.0)
    found = bands.Appraisal(3, 400, [one, other, further, alone], []).together
    assert [(each.folder, each.series, each.bands) for each in found] == [("", 1, 300), ("a", 2, 400)]
    assert [each.score for each in found] == pytest.approx([1.0, 0.9])


def test_a_page_without_curves_is_a_page(tmp_path: Path) -> None:
    outcomes, curve = bands.measure(series_of("<short>", candles(250)))
    html = bands_page(bands.Appraisal(1, 250, outcomes, [curve]))
    assert "&lt;short&gt;" in html


@pytest.mark.shared
def test_bands_on_real_history_are_honest_and_worth_it(shared: Path) -> None:
    from pricewatch.app.histories import histories

    names = (
        "crypto/binance-btcusdt-1h-2020-11-2021-05",
        "crypto/bitstamp-btcusd-1m-20200101",
        "equities/spy-1d-1998-2021",
    )
    series = histories([shared / "data" / "candles" / f"{name}.csv.gz" for name in names])
    outcomes = {(one.series, one.horizon, one.level): one for each in series for one in bands.measure(each)[0]}
    one_bar = [one for one in outcomes.values() if one.horizon == 1]
    assert len(one_bar) == 9
    assert all(one.is_honest for one in outcomes.values())
    for one in one_bar:
        if one.level == 0.95 and one.bands >= 2_000:
            assert one.least is not None
            assert one.most is not None
            assert 0.92 <= one.least <= one.most <= 0.98
    bitcoin = outcomes["binance-btcusdt-1h-2020-11-2021-05", 1, 0.95]
    assert bitcoin.score <= 0.98
    assert outcomes["spy-1d-1998-2021", 1, 0.95].score <= 0.94
