from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pricewatch.appraisal import corpus, nab
from pricewatch.cli import execute
from pricewatch.domain.errors import Invalid
from pricewatch.models.detector.rows import RowDetector

START = datetime(2014, 4, 1, tzinfo=UTC)


def series(path: Path, count: int = 1_200, shock: int | None = 800, seed: int = 1) -> None:
    luck = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["timestamp", "value"])
        for number in range(count):
            level = 50.0 if shock is not None and shock <= number < shock + 20 else 10.0
            lines.writerow([_stamp(number), f"{level + luck.gauss(0, 1):.3f}"])


def _stamp(number: int) -> str:
    return (START + timedelta(minutes=5 * number)).strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    series(tmp_path / "data" / "one" / "a.csv")
    series(tmp_path / "data" / "one" / "b.csv", shock=None, seed=2)
    series(tmp_path / "data" / "two" / "c.csv", shock=900, seed=3)
    labels = {
        "one/a.csv": [[_stamp(780), _stamp(830)]],
        "one/b.csv": [],
        "two/c.csv": [[_stamp(880) + ".000000", _stamp(930)]],
    }
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return tmp_path


def test_every_series_is_written_and_the_labelled_are_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    assert execute(["evaluate", "nab", str(folder), "--out", str(out), "--workers", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["series"], found["rows"]) == (3, 3_600)
    assert found["profiles"]["standard"]["met"] >= 1
    assert found["profiles"]["standard"]["windows"] == 2
    assert found["profiles"]["standard"]["score"] > 40
    assert set(found["groups"]) == {"one", "two"}
    with (out / "one" / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (folder / "data" / "one" / "a.csv").open() as file:
        given = list(csv.DictReader(file))
    assert [(row["timestamp"], row["value"]) for row in rows] == [(row["timestamp"], row["value"]) for row in given]
    assert all(0.0 <= float(row["anomaly_score"]) <= 1.0 for row in rows)
    detector = RowDetector()
    again = [detector.step(row.at, row.value) for row in corpus.read(folder / "data" / "one" / "a.csv")]
    assert [float(row["anomaly_score"]) for row in rows] == again


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["evaluate", "nab", str(folder), "--out", str(folder / "out")]) == 0
    words = capsys.readouterr().out
    assert "standard" in words
    assert "two" in words


def test_without_labels_scores_are_written_and_not_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "labels" / "combined_windows.json").unlink()
    assert execute(["evaluate", "nab", str(folder), "--out", str(folder / "out")]) == 0
    assert "no labelled windows" in capsys.readouterr().err
    assert (folder / "out" / "two" / "c.csv").is_file()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time,value\n", "no column timestamp"),
        ("timestamp\n2014-04-01 00:00:00\n", "no column value"),
        ("timestamp,value\nyesterday,1\n", "line 2: timestamp 'yesterday' is no time"),
        ("timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,many\n", "line 3: value 'many' is no number"),
        ("timestamp,value\n2014-04-01 00:00:00\n", "line 2: value None is no number"),
    ],
)
def test_bad_files_name_line_and_field(folder: Path, text: str, complaint: str) -> None:
    path = folder / "data" / "one" / "a.csv"
    path.write_text(text)
    with pytest.raises(Invalid, match=complaint):
        corpus.read(path)


def test_the_command_says_so_out_of_its_processes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "data" / "one" / "a.csv").write_text("timestamp,price\n2014-04-01 00:00:00,1\n")
    assert execute(["evaluate", "nab", str(folder), "--out", str(folder / "out")]) == 4
    assert "no column value" in capsys.readouterr().err


def test_bytes_that_are_no_text(folder: Path) -> None:
    path = folder / "data" / "one" / "a.csv"
    path.write_bytes(b"timestamp,value\n\xff\xfe\n")
    with pytest.raises(Invalid, match="UTF-8"):
        corpus.read(path)


def test_bad_labels_and_empty_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = folder / "labels" / "combined_windows.json"
    labels.write_text('{"one/a.csv": [["2014-04-01 00:00:01", "2014-04-01 00:05:00"]]}')
    assert execute(["evaluate", "nab", str(folder), "--out", str(folder / "out")]) == 4
    assert "ends at no row" in capsys.readouterr().err
    labels.write_text('{"one/a.csv": 5}')
    assert execute(["evaluate", "nab", str(folder), "--out", str(folder / "out")]) == 4
    assert "not a mapping" in capsys.readouterr().err
    assert execute(["evaluate", "nab", str(folder / "labels"), "--out", str(folder / "out")]) == 4
    assert "give the folder that contains data and labels" in capsys.readouterr().err


def test_not_a_number_and_zones_are_read(folder: Path) -> None:
    path = folder / "data" / "one" / "a.csv"
    path.write_text("timestamp,value\n2014-04-01T02:00:00+02:00,nan\n2014-04-01 00:05:00,inf\n")
    first, second = corpus.read(path)
    assert (first.at, second.at) == (START.timestamp(), START.timestamp() + 300)
    assert math.isnan(first.value)
    assert math.isnan(second.value)


@pytest.mark.shared
def test_the_public_benchmark_is_met_and_an_independent_scorer_agrees(shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = nab.appraise(shared / "data" / "nab", out, workers=2, progress=lambda *_: None)
    standard, few_false, few_missed = found.verdicts
    assert standard.score >= 76
    assert few_false.score >= 66
    assert few_missed.score >= 80
    script, corpus_folder = shared / "tools" / "nab_score.py", shared / "data" / "nab"
    command = [sys.executable, str(script), str(out), str(corpus_folder), "--json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for verdict in found.verdicts:
        theirs = answer["profiles"][verdict.profile]
        assert verdict.score == pytest.approx(theirs["score"], abs=0.01)
        assert (verdict.met, verdict.false_alarms) == (theirs["windows_hit"], theirs["false_rows"])


@pytest.mark.shared
def test_shifted_and_rescaled_copies_score_the_same(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "nab"
    names = [
        "realTraffic/speed_7578.csv",
        "realAdExchange/exchange-3_cpc_results.csv",
        "realTraffic/TravelTime_451.csv",
    ]
    wanted = [_alarms(corpus.read(source / "data" / name)) for name in names]
    for factor, shift in ((1_000.0, 0.0), (1.0, 5_000.0)):
        for name, alarms in zip(names, wanted, strict=True):
            rows = [row._replace(value=row.value * factor + shift) for row in corpus.read(source / "data" / name)]
            found = _alarms(rows)
            assert len(found ^ alarms) <= 1, (name, factor, shift)


def _alarms(rows: list[corpus.Row]) -> set[int]:
    detector = RowDetector()
    return {number for number, row in enumerate(rows) if detector.step(row.at, row.value) > 0}


def test_the_threshold_may_come_from_the_other_half(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = folder / "out", folder / "page.html"
    command = ["evaluate", "nab", str(folder), "--out", str(out), "--workers", "1"]
    assert execute([*command, "--tune-on", "even"]) == 4
    assert "both halves" in capsys.readouterr().err
    assert execute([*command, "--report", str(page)]) == 0
    assert "data:image/png;base64," in page.read_text()
