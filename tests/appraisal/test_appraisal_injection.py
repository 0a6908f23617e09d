from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from tests.appraisal.test_appraisal_bands import candles, write
from tests.models.made import made

from pricewatch.app.histories import histories
from pricewatch.appraisal import injection
from pricewatch.appraisal.events import APART, KINDS, WARM, Event, inject
from pricewatch.appraisal.pages import injection_page
from pricewatch.appraisal.rivals import BANK, RIVALS, STATED
from pricewatch.appraisal.series import series_of
from pricewatch.cli import execute
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import HOUR
from pricewatch.models.features import Shape, is_bar

BARS = list(made(6_000))


def moves(bars: list[Shape]) -> list[float]:
    return [math.log(after.close / before.close) for before, after in itertools.pairwise(bars)]


def test_events_are_where_they_are_said_to_be() -> None:
    spoilt, events = inject(BARS, 3)
    assert inject(BARS, 3) == (spoilt, events)
    assert inject(BARS, 4) != (spoilt, events)
    assert all(map(is_bar, spoilt))
    assert Counter(event.kind for event in events).keys() == {kind.name for kind in KINDS}
    assert len(events) == pytest.approx((6_000 - WARM) / APART, abs=4)
    changed = {
        place
        for place, (before, after) in enumerate(zip(BARS, spoilt, strict=True))
        if abs(math.log(after.high / after.low) - math.log(before.high / before.low)) > 1e-9
        or after.volume != before.volume
    }
    inside = {place for event in events for place in range(event.first, event.end)}
    assert changed <= inside
    assert all(any(place in changed for place in range(event.first, event.end)) for event in events)
    assert all(a.end <= b.first for a, b in itertools.pairwise(events))


def test_every_kind_does_what_it_says() -> None:
    spoilt, events = inject(BARS, 5)
    before, after = moves(BARS), moves(spoilt)
    places = {event.kind: event.first for event in events}
    jump, wick, drift = places["jump"], places["wick"], places["drift"]
    assert abs(after[jump - 1] - before[jump - 1]) > 4e-3
    assert after[jump] == pytest.approx(before[jump], abs=1e-12)
    assert after[wick - 1] == pytest.approx(before[wick - 1], abs=1e-12)
    assert spoilt[wick].high / spoilt[wick].low > 1.2 * BARS[wick].high / BARS[wick].low - 0.2
    assert abs(sum(after[drift - 1 : drift + 29]) - sum(before[drift - 1 : drift + 29])) > 1e-2
    wild = places["volatility"]
    assert after[wild] / before[wild] == pytest.approx(after[wild + 20] / before[wild + 20])
    loud = places["volume"]
    assert spoilt[loud + 9].volume > 4 * BARS[loud + 9].volume
    assert spoilt[loud + 10].volume == BARS[loud + 10].volume


def test_histories_without_volume_have_no_bursts_of_it() -> None:
    _, events = inject(BARS, 3, volume=False)
    assert "volume" not in {event.kind for event in events}


def test_alarms_pause_and_thresholds_count_them() -> None:
    scores = [0.0] * 1_000
    for place in (100, WARM, WARM + 5, WARM + injection.PAUSE, 900):
        scores[place] = 1.0 + place / 1_000
    assert injection.alarms(scores, 1.0) == [WARM, WARM + injection.PAUSE, 900]
    assert injection.alarms(scores, injection.threshold_for(scores, 2)) == [WARM + 5, 900]
    assert injection.alarms(scores, injection.threshold_for(scores, 0)) == []


def test_stated_alarms_begin_where_the_rate_falls() -> None:
    rates = [math.inf] * 400
    rates[350:360] = [0.5] * 10
    rates[355] = 0.01
    assert injection.stated_alarms(rates, 0.5) == [350]
    assert injection.stated_alarms(rates, 0.02) == [355]


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_look_at_the_past_only(name: str) -> None:
    scores = RIVALS[name](BARS[:500])
    assert RIVALS[name](BARS[:600])[:500] == scores
    assert len(scores) == 500
    assert all(map(math.isfinite, scores))


def test_the_bank_finds_more_than_its_rivals() -> None:
    series = series_of("made", candles(6_000))
    runs = [injection.score(series, seed) for seed in (-1, 0)]
    assert runs[0].events == []
    recalls = injection._recalls(runs, {"made": runs[0]}, {"made": "minutes"}, 3)
    by_name = {one.detector: one for one in recalls}
    assert by_name.keys() == {BANK, STATED, *RIVALS}
    assert by_name[BANK].recall > 0.6
    assert by_name[BANK].recall > max(by_name[name].recall for name in RIVALS)
    honest = injection._honesty(runs[0], 10)
    assert honest.expected == pytest.approx(10 * 3_000 / 1_440)
    assert 0.4 < honest.observed / honest.expected < 2.0


def test_the_command_prints_tables_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "one.csv", 1_500, step=HOUR)
    page = tmp_path / "page.html"
    assert execute(["evaluate", "injection", str(file), "--report", str(page), "--workers", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["series"] == 1
    assert told["events"] >= injection.ENOUGH
    assert told["overall"].keys() == {BANK, STATED, *RIVALS}
    assert set(told["observed_over_stated"]) == {"1", "3", "10"}
    assert "data:image/png;base64," in page.read_text()


def test_tables_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recalls = [
        injection.Recall(name, "hours", rate, {"jump": 0.5, "wick": 0.25}, 0.375)
        for name in (BANK, STATED, *RIVALS)
        for rate in injection.RATES
    ]
    honesty = [injection.Honesty("one", rate, 1_000, 0.7 * rate, rate) for rate in injection.STATED_RATES]
    found = injection.Appraisal(1, 7, recalls, honesty)
    monkeypatch.setattr(injection, "appraise", lambda *_, **__: found)
    assert execute(["evaluate", "injection", str(write(tmp_path / "one.csv", 700))]) == 0
    printed = capsys.readouterr().out
    assert "0.375" in printed
    assert "1.43 times" in printed
    assert "7 events" in injection_page(found)


def test_daily_and_short_series_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["evaluate", "injection", str(write(tmp_path / "short.csv", 300))]) == 4
    assert "shorter bars" in capsys.readouterr().err


def test_files_are_found_read_and_refused(tmp_path: Path) -> None:
    write(tmp_path / "plain.csv", 300)
    text = (tmp_path / "plain.csv").read_text().split("\n", 1)[1]
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "notes.txt").write_text("no candles")
    rows = [line.split(",") for line in text.splitlines()]
    swapped = "\n".join(",".join([r[0], r[1], r[4], r[3], r[2], r[5], "1"]) for r in rows)
    usual = "\n".join(",".join([*r, "1"]) for r in rows)
    (tmp_path / "swapped.csv").write_text(swapped)
    (tmp_path / "usual.csv").write_text(usual)
    found = histories([tmp_path])
    assert [one.name for one in found] == ["packed", "plain", "swapped", "usual"]
    assert all(one.bars == found[1].bars for one in found)
    assert histories([tmp_path / "usual.csv"], ["time", "open", "high", "low", "close", "volume", "-"])[0].bars
    for name, content, match in (
        ("bad.csv.gz", b"no archive", "damaged"),
        ("binary.csv", b"\xff\xfe\x00", "UTF-8"),
        ("empty.csv", b"", "too few"),
        ("seven.csv", b"1600000000,1,2,3,4,5,6\n", "column order"),
    ):
        (tmp_path / "bad" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bad" / name).write_bytes(content)
        with pytest.raises(Invalid, match=match):
            histories([tmp_path / "bad" / name])
    with pytest.raises(Invalid, match="no such file"):
        histories([tmp_path / "nowhere"])
    with pytest.raises(Invalid, match=r"no \.csv"):
        histories([_empty(tmp_path)])


def _empty(folder: Path) -> Path:
    (folder / "none").mkdir()
    return folder / "none"


def test_an_event_is_a_span() -> None:
    assert Event("jump", 3, 9)._fields == ("kind", "first", "end")
