"""How well alarms meet labelled windows: the score of the Numenta Anomaly Benchmark.

A. Lavin and S. Ahmad, Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly Benchmark, ICMLA 2015.
An early detection in a window earns most, a false one costs little near a window and all of its weight far from any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

PROBATION = 0.15
"""Share of a series' first rows that never count, of at most `PROBATION_ROWS` rows."""
PROBATION_ROWS = 5_000
FAR = 3.0
"""Widths of the window before it, beyond which a false alarm costs in full."""


class Profile(NamedTuple):
    """What a false alarm and a missed window cost, beside a perfect detection's 1."""

    name: str
    false_alarm: float
    missed: float


PROFILES = (
    Profile("standard", 0.11, 1.0),
    Profile("reward_low_FP_rate", 0.22, 1.0),
    Profile("reward_low_FN_rate", 0.11, 2.0),
)


class Labelled(NamedTuple):
    """One series: how many rows, and the windows with an anomaly as inclusive ranges of rows, in order."""

    rows: int
    windows: Sequence[tuple[int, int]]

    @property
    def probation(self) -> int:
        """The first row that counts."""
        return math.floor(min(PROBATION * self.rows, PROBATION * PROBATION_ROWS))


class Verdict(NamedTuple):
    """The best threshold for all series together, and what it gives."""

    profile: str
    score: float
    """100 for every window met at once and nothing else, 0 for no alarm at all."""
    threshold: float
    met: int
    windows: int
    false_alarms: int


class _Event(NamedTuple):
    score: float
    gain: float
    """What a detection at this row earns: in a window up to 1, outside 0 or less."""
    window: tuple[int, int] | None
    """Series and window, or None outside."""


def sigmoid(place: float) -> float:
    """From 1 well before the end of a window (-1 is its beginning) over 0 at its end to -1 far behind it."""
    return -1.0 if place > FAR else 2.0 / (1.0 + math.exp(5.0 * place)) - 1.0


def judge(series: Sequence[tuple[Labelled, Sequence[float]]], profile: Profile) -> Verdict:
    """The score of `(labels, anomaly scores)` at the threshold that suits all of them best."""
    return max(_curve(series, profile), key=lambda verdict: verdict.score)


def judge_at(series: Sequence[tuple[Labelled, Sequence[float]]], profile: Profile, threshold: float) -> Verdict:
    """The score where every row of at least `threshold` is a detection."""
    found = [verdict for verdict in _curve(series, profile) if verdict.threshold >= threshold]
    return found[-1]


def _curve(series: Sequence[tuple[Labelled, Sequence[float]]], profile: Profile) -> list[Verdict]:
    """A verdict for every threshold that changes anything, highest first; the first one detects nothing."""
    windows = sum(len(labelled.windows) for labelled, _ in series)
    if not windows:
        raise ValueError("there is no labelled window to be met")
    counted = {event.window for number, one in enumerate(series) for event in _events(number, *one) if event.window}
    events = sorted(
        (event for number, one in enumerate(series) for event in _events(number, *one)),
        key=itemgetter(0),
        reverse=True,
    )
    worst = -profile.missed * windows
    total = -profile.missed * len(counted)
    best: dict[tuple[int, int], float] = {}
    false_alarms = 0
    curve = [Verdict(profile.name, 100.0 * (total - worst) / (windows - worst), math.inf, 0, windows, 0)]
    for threshold, same in groupby(events, key=itemgetter(0)):
        for _, gain, window in same:
            if window is None:
                total += profile.false_alarm * gain
                false_alarms += 1
            else:
                before = best.get(window, -profile.missed)
                if gain > before:
                    total += gain - before
                    best[window] = gain
        score = 100.0 * (total - worst) / (windows - worst)
        curve.append(Verdict(profile.name, score, threshold, len(best), windows, false_alarms))
    return curve


def _events(number: int, labelled: Labelled, scores: Sequence[float]) -> Iterable[_Event]:
    """What each row that counts would earn."""
    if len(scores) != labelled.rows:
        raise ValueError(f"{len(scores)} scores for {labelled.rows} rows")
    upcoming = list(enumerate(labelled.windows))
    behind: tuple[int, int] | None = None
    top = sigmoid(-1.0)
    for row, score in enumerate(scores):
        while upcoming and row > upcoming[0][1][1]:
            behind = upcoming.pop(0)[1]
        if row < labelled.probation:
            continue
        if upcoming and row >= upcoming[0][1][0]:
            place, (first, last) = upcoming[0]
            yield _Event(score, sigmoid(-(last - row + 1) / (last - first + 1)) / top, (number, place))
        elif behind is None:
            yield _Event(score, -1.0, None)
        else:
            first, last = behind
            yield _Event(score, sigmoid((row - last) / max(last - first, 1)), None)
