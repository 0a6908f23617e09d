"""How many injected events the price bank finds, at how many false alarms, and whether it says how many."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from pricewatch.appraisal.events import DRIFT, WARM, Event, inject
from pricewatch.appraisal.rivals import BANK, RIVALS, STATED, bank
from pricewatch.appraisal.series import Series
from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import HOUR

DAY_BARS = 1_440
"""A day of one-minute bars: rates are alarms in so many bars, whatever a bar's span."""
RATES = (3, 1)
"""False alarms a day at which detectors are compared."""
STATED_RATES = (10, 3, 1)
"""Those at which the stated rate is compared with the observed one."""
PAUSE = 30
"""Bars after an alarm without another one; the same for every detector."""
ENOUGH = 60
"""Events a series at least: it is run with so many seeds."""

LEAST = 2 * WARM + DRIFT.bars
"""Bars a series has at least."""

Progress = Callable[[str, int, int], None]
"""What was just done, how many are, of how many."""


class Recall(NamedTuple):
    """Share of the events found by one detector, by kind, on minute or hourly series."""

    detector: str
    group: str
    rate: int
    """False alarms in `DAY_BARS` bars of the clean histories."""
    kinds: dict[str, float]
    recall: float
    """The mean over kinds."""


class Honesty(NamedTuple):
    """Alarms of the price bank in the second half of a clean history, beside what it stated."""

    series: str
    rate: int
    bars: int
    expected: float
    observed: int


class Appraisal(NamedTuple):
    """What came of it."""

    series: int
    events: int
    recalls: list[Recall]
    honesty: list[Honesty]

    def overall(self, detector: str, rate: int) -> float:
        """The mean recall over minute and hourly series, as far as there are both."""
        return fmean(one.recall for one in self.recalls if (one.detector, one.rate) == (detector, rate))

    def factor(self, rate: int) -> float:
        """Observed over stated alarms, all series together."""
        found = [one for one in self.honesty if one.rate == rate]
        return sum(one.observed for one in found) / sum(one.expected for one in found)


class Run(NamedTuple):
    """One history, clean (seed -1) or with events, and what every detector said of each bar."""

    series: str
    seed: int
    events: list[Event]
    scores: dict[str, list[float]]
    rates: list[float]


def score(series: Series, seed: int) -> Run:
    """One run; pure, and meant for another process."""
    bars, events = series.bars, list[Event]()
    if seed >= 0:
        bars, events = inject(series.bars, seed, volume=series.has_volume)
    rarities, rates = bank(bars)
    scores = {BANK: rarities, **{name: rival(bars) for name, rival in RIVALS.items()}}
    return Run(series.name, seed, events, scores, rates)


def alarms(scores: Sequence[float], threshold: float) -> list[int]:
    """The bars at which a score reaches the threshold, after the warm-up and `PAUSE` bars after the last one."""
    found: list[int] = []
    for place, value in enumerate(scores):
        if value >= threshold and place >= WARM and (not found or place - found[-1] >= PAUSE):
            found.append(place)
    return found


def threshold_for(scores: Sequence[float], count: int) -> float:
    """The lowest threshold with at most that many alarms."""
    levels = sorted(set(scores[WARM:]), reverse=True)
    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        if len(alarms(scores, levels[middle])) <= count:
            low = middle + 1
        else:
            high = middle
    return levels[low - 1] if low else levels[0] * (1.0 + 1e-9)


def stated_alarms(rates: Sequence[float], rate: float) -> list[int]:
    """The bars at which a reader who bears that many alarms a bar is alarmed."""
    return [
        place for place, (before, now) in enumerate(pairwise(rates), start=1) if now <= rate < before and place >= WARM
    ]


def fitting(series: Sequence[Series]) -> list[Series]:
    """Those with bars of up to an hour, long enough to have events in. Raises `Invalid` where there is none."""
    found = [one for one in series if one.step <= HOUR and len(one.bars) >= LEAST]
    if not found:
        raise Invalid("FILES", f"no series of minutes or hours with {LEAST} bars; give candle files of shorter bars")
    return found


def appraise(series: Sequence[Series], *, workers: int, progress: Progress) -> Appraisal:
    """Run every series clean and with events."""
    jobs = [(one, seed) for one in series for seed in (-1, *range(_seeds(one)))]
    runs: list[Run] = []
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(score, *job) for job in jobs]
        for done, job in enumerate(as_completed(waiting), start=1):
            runs.append(job.result())
            progress(runs[-1].series, done, len(jobs))
    runs.sort(key=lambda run: (run.series, run.seed))
    groups = {one.name: "minutes" if one.step < HOUR else "hours" for one in series}
    clean = {run.series: run for run in runs if run.seed < 0}
    return Appraisal(
        len(series),
        sum(len(run.events) for run in runs),
        [one for rate in RATES for one in _recalls(runs, clean, groups, rate)],
        [_honesty(run, rate) for run in clean.values() for rate in STATED_RATES],
    )


def _seeds(series: Series) -> int:
    _, events = inject(series.bars, 0, volume=series.has_volume)
    return -(-ENOUGH // max(1, len(events)))


def _recalls(runs: Iterable[Run], clean: dict[str, Run], groups: dict[str, str], rate: int) -> list[Recall]:
    hits: dict[tuple[str, str, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.seed < 0:
            continue
        reference = clean[run.series]
        count = max(1, round(rate * (len(reference.rates) - WARM) / DAY_BARS))
        found = {name: alarms(run.scores[name], threshold_for(reference.scores[name], count)) for name in run.scores}
        found[STATED] = stated_alarms(run.rates, rate / DAY_BARS)
        for name, places in found.items():
            for event in run.events:
                hit = any(event.first <= place < event.end for place in places)
                hits[name, groups[run.series], event.kind][run.series].append(hit)
    table: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for (name, group, kind), by_series in hits.items():
        table[name, group][kind] = fmean(fmean(found) for found in by_series.values())
    return [Recall(name, group, rate, kinds, fmean(kinds.values())) for (name, group), kinds in table.items()]


def _honesty(run: Run, rate: int) -> Honesty:
    half = max(WARM, len(run.rates) // 2)
    observed = sum(place >= half for place in stated_alarms(run.rates, rate / DAY_BARS))
    bars = len(run.rates) - half
    return Honesty(run.series, rate, bars, rate * bars / DAY_BARS, observed)
