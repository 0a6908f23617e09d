"""The appraisal of baselines as a table and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from pricewatch.appraisal.baselines import EVERY, LEVEL, WINDOW, Appraisal, Standing
from pricewatch.appraisal.report import Section, bars, page

Table = tuple[Sequence[str], list[Sequence[object]]]
_COLUMNS = (
    "series", "kind", "ahead", "forecasts", "error", "beside walk", "beside level", "beside best level",
    "beside hours", "covers", "score beside walk",
)  # fmt: skip


def baselines_table(found: Appraisal) -> Table:
    """A row for each series, kind and distance; `beside` is our error by the rival's: below 100 % is better."""
    return _COLUMNS, [_row(one) for one in found.standings]


def baselines_page(found: Appraisal) -> str:
    """Errors beside rivals', and coverage."""
    lead = (
        f"Refitted every {EVERY} rows on the {WINDOW} before, measured on what came after. Errors are mean absolute "
        f"differences of logarithms; `beside` is ours by the rival's, below 100 % is better. The best level is chosen "
        f"afterwards from five half-lives. Bands are at {LEVEL:.0%}."
    )
    far = [one for one in found.standings if one.steps == 24]
    names = [f"{one.series.rpartition('/')[2][:18]} {one.kind}" for one in far]
    values = {
        "random walk": [one.error / one.random_walk for one in far],
        "moving level": [one.error / one.moving_level for one in far],
        "hour profile": [one.error / one.hour_profile for one in far],
    }
    sections = [Section("All figures", "Every series, kind and distance.", *baselines_table(found))]
    if far:
        sections.insert(0, Section("24 rows ahead", "Our error by the rival's.", plot=bars(names, values, "ratio")))
    if found.skipped:
        rows: list[Sequence[object]] = list(found.skipped.items())
        sections.append(Section("Left out", "What could not be measured.", ("series", "why"), rows))
    return page("Baselines", lead, sections)


def _row(one: Standing) -> Sequence[object]:
    rivals = (one.random_walk, one.moving_level, one.best_level, one.hour_profile)
    return (
        one.series,
        one.kind,
        one.steps,
        one.rows,
        f"{one.error:.4f}",
        *(f"{one.error / rival:.1%}" for rival in rivals),
        f"{one.coverage:.1%}",
        f"{one.interval_score / one.interval_score_random_walk:.1%}",
    )
