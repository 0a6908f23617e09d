"""`python -m benchmarks.ablation DIR`: the row detector with parts left out, on labelled series."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pricewatch.appraisal import corpus
from pricewatch.models.detector import policy
from pricewatch.models.detector.rows import RowDetector
from pricewatch.models.scoring import PROFILES, Labelled, judge

Ranks = list[list[float]]
Combine = Callable[[Sequence[float]], float]


def _combined(left_out: int | None = None) -> Combine:
    """As the detector combines its six scores, without one of them."""

    def combine(ranks: Sequence[float]) -> float:
        kept = [rank if place != left_out else float("-inf") for place, rank in enumerate(ranks)]
        fast, slow, lasting, hourly, trend, rough = kept
        both = [one for one in (fast, slow) if one != float("-inf")]
        return max(
            sum(both) / len(both) if both else float("-inf"), 0.8 * lasting, 0.7 * hourly, 0.85 * trend, 0.7 * rough
        )

    return combine


def _only(place: int) -> Combine:
    return lambda ranks: ranks[place]


NAMES = (
    "the day's rhythm, 3 rows",
    "day and week, 3 rows",
    "the day's rhythm, 12 rows",
    "level of the hour",
    "course of the logarithm",
    "roughness",
)
VARIANTS: dict[str, tuple[Combine, dict[str, float]]] = {
    "as shipped": (_combined(), {}),
    **{f"without {name}": (_combined(place), {}) for place, name in enumerate(NAMES)},
    **{f"only {name}": (_only(place), {}) for place, name in enumerate(NAMES)},
    "without the price of recent alarms": (_combined(), {"PRICE": 0.0}),
    "without the pause": (_combined(), {"PAUSE": 1}),
    "a pause of 50 rows": (_combined(), {"PAUSE": 50}),
    "without either": (_combined(), {"PRICE": 0.0, "PAUSE": 1}),
    "a price of 0.6": (_combined(), {"PRICE": 0.6}),
    "recent alarms fade in 1,000 rows": (_combined(), {"HALF_LIFE": 1_000.0}),
}


def ranks_of(folder: Path, name: str) -> tuple[Labelled, Ranks] | None:
    """Every row's six rarities; None for a series without labels."""
    labels = corpus.labels_of(folder) or {}
    if name not in labels:
        return None
    detector, found = RowDetector(), []
    rows = corpus.read(folder / "data" / name)
    for row in rows:
        look = detector.look(row.at, row.value)
        found.append([0.0] * 6 if look is None else look.ranks)
        detector.learn(look)
    return corpus.labelled(name, rows, labels[name]), found


def scored(ranks: Ranks, combine: Combine, constants: dict[str, float]) -> list[float]:
    """The published score of each row, with the policy's constants replaced."""
    kept: dict[str, Any] = {name: getattr(policy, name) for name in ("PRICE", "PAUSE", "HALF_LIFE", "_FADING")}
    try:
        for name, value in constants.items():
            setattr(policy, name, value)
        policy._FADING = 0.5 ** (1.0 / policy.HALF_LIFE)
        alarms, found = policy.AlarmPolicy(), []
        for row in ranks:
            excess = alarms.excess(combine(row))
            alarms.learn(excess)
            found.append(1.0 - 10.0 ** (-excess / 4.0) if excess > 0.0 else 0.0)
        return found
    finally:
        for name, value in kept.items():
            setattr(policy, name, value)


def run(folder: Path) -> list[list[str]]:
    """Rows: what was left out, then the three scores."""
    names = corpus.series_of(folder)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        found = [one for one in pool.map(ranks_of, [folder] * len(names), names) if one is not None]
    table = []
    for title, (combine, constants) in VARIANTS.items():
        series = [(labels, scored(ranks, combine, constants)) for labels, ranks in found]
        table.append([title, *(f"{judge(series, profile).score:.1f}" for profile in PROFILES)])
    return table


def main(words: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("folder", type=Path, help="with data/GROUP/FILE.csv and labels/combined_windows.json")
    rows = run(parser.parse_args(words).folder)
    print("| | standard | low false alarms | low misses |\n| --- | --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
