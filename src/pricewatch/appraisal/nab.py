"""The shipped detector over a folder of series, written down and scored."""

from __future__ import annotations

import csv
import itertools
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from pricewatch.appraisal import corpus
from pricewatch.domain.errors import Invalid
from pricewatch.models.detector.rows import RowDetector
from pricewatch.models.scoring import PROFILES, Labelled, Verdict, judge, judge_at

Progress = Callable[[str, int, int], None]
"""Series just done, how many are, of how many."""


class Scored(NamedTuple):
    """One series and what the detector said of each row."""

    name: str
    rows: list[corpus.Row]
    scores: list[float]


class Appraisal(NamedTuple):
    """What came of a folder."""

    series: int
    rows: int
    verdicts: list[Verdict]
    """One a profile; empty where there are no labels, or none with a window."""
    groups: dict[str, list[Verdict]]
    """The same for each group of series that has a window, each with its own best threshold."""


def score(folder: Path, name: str) -> Scored:
    """One series through a new detector; it knows neither the file's name nor its length."""
    detector = RowDetector()
    rows = corpus.read(folder / "data" / name)
    return Scored(name, rows, [detector.step(row.at, row.value) for row in rows])


def appraise(folder: Path, out: Path, *, workers: int, progress: Progress, tune_on: str = "all") -> Appraisal:
    """Write `out/GROUP/FILE.csv` for every series and score what is labelled. Raises `Invalid`.

    With `tune_on` "even" or "odd" the threshold is taken from every second series of each group, in order of their
    names, and what is scored are the others.
    """
    names = corpus.series_of(folder)
    labels = corpus.labels_of(folder)
    found: list[tuple[str, Labelled, list[float]]] = []
    rows = 0
    with ProcessPoolExecutor(min(workers, len(names)), mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(score, folder, name) for name in names]
        for done, job in enumerate(as_completed(jobs), start=1):
            one = job.result()
            rows += len(one.rows)
            write(out / one.name, one)
            if labels is not None and one.name in labels:
                found.append((one.name, corpus.labelled(one.name, one.rows, labels[one.name]), one.scores))
            progress(one.name, done, len(names))
    found.sort()
    by_group = {group: list(some) for group, some in itertools.groupby(found, key=lambda one: one[0].partition("/")[0])}
    if tune_on != "all":
        first = 0 if tune_on == "even" else 1
        tuning = [one for some in by_group.values() for one in some[first::2]]
        measured = [one for some in by_group.values() for one in some[1 - first :: 2]]
        return Appraisal(len(names), rows, _transferred(tuning, measured), {})
    judged = {group: _judged(some) for group, some in by_group.items()}
    return Appraisal(len(names), rows, _judged(found), {group: some for group, some in judged.items() if some})


_Found = tuple[str, Labelled, list[float]]


def _judged(found: Sequence[_Found]) -> list[Verdict]:
    series = [(labels, scores) for _, labels, scores in found]
    if not any(labels.windows for labels, _ in series):
        return []
    return [judge(series, profile) for profile in PROFILES]


def _transferred(tuning: Sequence[_Found], measured: Sequence[_Found]) -> list[Verdict]:
    best = _judged(tuning)
    series = [(labels, scores) for _, labels, scores in measured]
    if not best or not any(labels.windows for labels, _ in series):
        raise Invalid("--tune-on", "both halves need series with labelled windows; use 'all'")
    return [judge_at(series, profile, one.threshold) for profile, one in zip(PROFILES, best, strict=True)]


def write(path: Path, one: Scored) -> None:
    """`timestamp,value,anomaly_score`, the first two as they stood."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["timestamp", "value", "anomaly_score"])
        lines.writerows((row.stamp, row.text, repr(value)) for row, value in zip(one.rows, one.scores, strict=True))
