"""`python -m benchmarks.rhythm FILES…`: bands of hours with Prophet's time of day, beside those that learn their own.

Refitted every 168 rows on the 2,016 before, as `pricewatch evaluate baselines` does. A gate believes the rhythm while
it has foretold moves better of late than the online profile has.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pricewatch.app.histories import histories
from pricewatch.appraisal.bands import MEMORY, NORMAL
from pricewatch.appraisal.baselines import EVERY, WINDOW, past_of
from pricewatch.appraisal.series import Series
from pricewatch.cli.output import emit_table
from pricewatch.models.bands.conformal import LEVELS, HorizonBand
from pricewatch.models.bands.reach import MEAN, Reach
from pricewatch.models.baselines.kinds import KINDS, to_log
from pricewatch.models.baselines.shape import Numbers, expected, seasons_for
from pricewatch.models.features import FeatureStream, Row
from pricewatch.models.volatility import Volatility
from pricewatch.training.seasons import fit_shape

LATELY = 1_000
"""Rows over which the gate compares."""
SURPRISE = 6.0
"""A move beyond this many expected ones counts as this many in that comparison."""
HEAD = ("series", "season", "bands", "believed", "80 %", "95 %", "99 %", "covers at 95 %")
KINDS_OF_SEASON = ("online profile", "Prophet", "gate")


class Told(Volatility):
    """A time of day that is told, not learned: `now` for the bar at hand (hour 0), `coming` for the next (hour 1)."""

    __slots__ = ("coming", "now")

    def __init__(self) -> None:
        super().__init__()
        self.now = self.coming = 1.0

    def season(self, hour: int) -> float:
        """Its share."""
        return self.coming if hour else self.now


class Counted(NamedTuple):
    """One band whose outcome is known."""

    move: float
    downs: Sequence[float]
    ups: Sequence[float]
    plain: float


def rhythm_of(series: Series) -> Numbers:
    """The logarithm of each row's share of its level, from fits of the past alone; no number before the first fit."""
    past = past_of(series.name, series.step, series.bars)
    value, _ = to_log(KINDS["range"], KINDS["range"].raw(past.columns))
    at = past.columns.at
    found = np.full(len(at), math.nan)
    for start in range(WINDOW, len(at), EVERY):
        known, ahead = at[start - WINDOW : start], slice(start, start + EVERY)
        shape = fit_shape(known, value[start - WINDOW : start], seasons_for(known, series.step))
        found[ahead] = expected(shape, at[ahead]) - expected(shape, known).mean()
    shares = dict(zip(at.tolist(), found.tolist(), strict=True))
    return np.array([shares.get(bar.at, math.nan) for bar in series.bars])


def compared(series: Series) -> list[Sequence[str]]:
    """A row of the table for each source of the time of day."""
    rhythm = rhythm_of(series)
    first = int(np.argmax(np.isfinite(rhythm)))
    shares = np.exp(np.nan_to_num(rhythm))
    learned, told = FeatureStream(), FeatureStream()
    seasons = told.volatility = Told()
    reaches = (Reach(), Reach())
    bands = {name: HorizonBand(1) for name in KINDS_OF_SEASON}
    issued: dict[str, list[Counted]] = {name: [] for name in bands}
    losses, variance, believed = [0.0, 0.0], 0.0, 0
    told.at, told.step = 0, series.step
    for place, bar in enumerate(series.bars[:-1]):
        row = learned.look(bar)
        if place > first:
            for number, reach in enumerate(reaches):
                losses[number] += (_loss(row.move, MEAN * reach.expected) - losses[number]) / LATELY
        learned.learn(row)
        seasons.now, seasons.coming = float(shares[place]), float(shares[place + 1])
        _step(reaches, row, learned, told)
        variance = MEMORY * variance + (1.0 - MEMORY) * row.move**2 if place > 1 else row.move**2
        if not learned.settled:
            continue
        opened = place > first + LATELY and losses[1] < losses[0]
        believed += opened
        move = math.log(series.bars[place + 1].close / bar.close)
        for (name, band), number in zip(bands.items(), (0, 1, int(opened)), strict=True):
            wide = reaches[number].expected
            band.step(row.log, wide)
            if place > first + LATELY:
                issued[name].append(Counted(move, *band.sides(wide), math.sqrt(variance)))
    shares_believed = {"online profile": 0.0, "Prophet": 1.0, "gate": believed / max(1, len(issued["gate"]))}
    return [_line(series.name, name, shares_believed[name], some) for name, some in issued.items()]


def _step(reaches: tuple[Reach, Reach], row: Row, learned: FeatureStream, told: FeatureStream) -> None:
    own, theirs = reaches
    own.step(row, learned)
    told.at = -told.step + 3_600_000_000  # so that the next bar is in hour 1
    theirs.step(row._replace(hour=0), told)


def _loss(move: float, size: float) -> float:
    """Minus the logarithm of the likelihood of an exponential size."""
    return math.log(size) + min(abs(move) / size, SURPRISE)


def _line(series: str, name: str, believed: float, some: Sequence[Counted]) -> Sequence[str]:
    scores = []
    for place, level in enumerate(LEVELS):
        dear = 2.0 / (1.0 - level)
        ours = walks = 0.0
        for one in some:
            down, up, half = one.downs[place], one.ups[place], NORMAL[place] * one.plain
            ours += down + up + dear * max(one.move - up, -down - one.move, 0.0)
            walks += 2.0 * half + dear * max(abs(one.move) - half, 0.0)
        scores.append(f"{ours / walks:.4f}")
    hits = sum(-one.downs[1] <= one.move <= one.ups[1] for one in some)
    return (series, name, str(len(some)), f"{believed:.0%}", *scores, f"{hits / len(some):.2%}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=25_000, help="the newest of each series")
    given = parser.parse_args()
    emit_table(
        HEAD,
        [
            line
            for series in histories(given.files)
            for line in compared(series._replace(bars=series.bars[-given.rows :]))
        ],
    )


if __name__ == "__main__":
    main()
