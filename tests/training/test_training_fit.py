from __future__ import annotations

import math
import random
import subprocess
import sys
import time

import pytest

from pricewatch.domain.time import MINUTE
from pricewatch.training.job import Failed, Fitted, Job
from pricewatch.training.process import run

START = 1_769_868_000_000_000 - 1_769_868_000_000_000 % MINUTE
pytestmark = pytest.mark.filterwarnings("default")  # the scientific stack warns about itself


def walk(rows: int, *, seed: int = 1, sigma: float = 0.0005, scale: float = 70_000.0) -> list[float]:
    luck = random.Random(seed)
    prices, price = [], scale
    for _ in range(rows):
        price *= math.exp(luck.gauss(0.0, sigma))
        prices.append(price)
    return prices


def job(close: list[float], at: list[int] | None = None, steps: int = 240) -> Job:
    times = at or [START + place * MINUTE for place in range(len(close))]
    return Job(times, close, steps, MINUTE, 0.95, 3.0, 0.0002)


def fitted(work: Job) -> Fitted:
    outcome = run(work)
    assert isinstance(outcome, Fitted)
    return outcome


def test_the_band_begins_at_the_last_closes_and_widens() -> None:
    closes = walk(1_500)
    band = fitted(job(closes))
    assert len(band.centre) == len(band.lower) == len(band.upper) == 240
    assert band.centre[0] == pytest.approx(closes[-1], rel=0.003)
    widths = [upper / lower for lower, upper in zip(band.lower, band.upper, strict=True)]
    assert widths == sorted(widths)
    assert math.log(widths[119]) / math.log(widths[0]) == pytest.approx(math.sqrt(123 / 4), rel=0.01)


def test_the_band_covers_at_least_what_it_says_on_a_random_walk() -> None:
    inside = total = 0
    for seed in range(12):
        closes = walk(900, seed=seed)
        band = fitted(job(closes[:780], steps=120))
        later = zip(closes[780:], band.lower, band.upper, strict=True)
        hits = [lower <= close <= upper for close, lower, upper in later]
        inside, total = inside + sum(hits), total + len(hits)
    assert inside / total > 0.9


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_any_price_level_will_do(scale: float) -> None:
    band = fitted(job(walk(400, scale=scale)))
    assert all(
        0 < lower < centre < upper < math.inf
        for lower, centre, upper in zip(band.lower, band.centre, band.upper, strict=True)
    )


def test_a_price_that_never_moves_has_a_narrow_band_not_none() -> None:
    band = fitted(job([100.0] * 400))
    assert band.upper[0] == pytest.approx(100.02, abs=1e-3)


def test_gaps_are_allowed() -> None:
    closes = walk(800)
    times = [START + place * MINUTE for place in range(800) if not 200 < place < 400 and place % 7]
    band = fitted(job([closes[(at - START) // MINUTE] for at in times], times))
    assert math.isfinite(band.centre[-1])


def test_what_cannot_be_fitted_is_said() -> None:
    outcome = run(job([100.0, 101.0], [START, START + 10**13]))
    assert isinstance(outcome, Failed)
    assert "too few pairs" in outcome.reason


def test_a_warm_fit_is_cheap() -> None:
    work = job(walk(1_500))
    fitted(work)
    before = time.process_time()
    fitted(work)
    assert time.process_time() - before < 1.5


def test_whoever_hands_out_jobs_imports_nothing_heavy() -> None:
    code = (
        "import sys, pricewatch.training.worker\n"
        "heavy = {'pandas', 'prophet', 'numpy', 'scipy', 'cmdstanpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
