"""Does a baseline know a surprise when it sees one? The same events are put into rows that no version saw."""

from __future__ import annotations

from itertools import cycle
from typing import NamedTuple

import msgspec
import numpy as np

from pricewatch.models.baselines.forecast import EventScore, Forecaster, Series, moving_level
from pricewatch.models.baselines.shape import Numbers
from pricewatch.models.scoring import PROFILES, Labelled, Verdict, judge

APART = 53
"""Rows from one event to the next: no number of hours in a day or a week divides it."""
WINDOW = 12
"""Rows from an event's first within which an alarm means it."""
LEAST = 4 * APART
"""Rows of a window worth measuring."""
_SCALE = 24.0
"""Half-life, in rows, of the usual move that sizes are measured in."""


class _Event(NamedTuple):
    rows: int
    size: float
    """In usual moves."""
    stays: bool = False


_EVENTS = (_Event(1, 6.0), _Event(6, 4.0), _Event(6, 4.0, stays=True), _Event(1, 8.0), _Event(6, 6.0))
"""Spikes, bursts, and a step that stays."""


def score_events(forecaster: Forecaster, since: int) -> EventScore | None:
    """Rows from place `since` on, with events put in: how the misses one row ahead point at them.

    None where fewer than `LEAST` rows are held out. The same rows give the same answer.
    """
    rows = len(forecaster.series.at) - since
    if rows < LEAST:
        return None
    changed, windows = _with_events(forecaster.series, since)
    labelled = Labelled(rows, windows)
    ours = _judged(Forecaster(changed, forecaster.plan, forecaster.shape), since, labelled)
    level = _judged(Forecaster(changed, forecaster.plan, None), since, labelled)
    return EventScore(rows, ours.windows, ours.met, ours.false_alarms, ours.score, level.score)


def _with_events(series: Series, since: int) -> tuple[Series, list[tuple[int, int]]]:
    """The series with events from `since` on, and their windows as ranges of rows counted from there."""
    usual = moving_level(series, np.abs(np.diff(series.value, prepend=series.value[0])), _SCALE)
    value, windows, end = series.value.copy(), [], len(series.at)
    first = max(APART, Labelled(end - since, ()).probation)
    places = range(since + first, end - WINDOW + 1, APART)
    for place, event, sign in zip(places, cycle(_EVENTS), cycle((1.0, 1.0, -1.0)), strict=False):
        value[place : end if event.stays else place + event.rows] += sign * event.size * usual[place - 1]
        windows.append((place - since, place - since + WINDOW - 1))
    return msgspec.structs.replace(series, value=value), windows


def _judged(forecaster: Forecaster, since: int, labelled: Labelled) -> Verdict:
    targets = np.arange(since, since + labelled.rows, dtype=np.int64)
    origins = targets - 1
    off: Numbers = np.abs(forecaster.series.value[targets] - forecaster.centre(origins, targets))
    scores: list[float] = (off / forecaster.sigma(origins)).tolist()
    return judge([(labelled, scores)], PROFILES[0])
