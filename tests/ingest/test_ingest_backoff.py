from __future__ import annotations

from pricewatch.ingest.backoff import Backoff, doubled
from pricewatch.ingest.settings import VenueSettings


def backoff(luck: float = 1.0, **settings: float) -> Backoff:
    return Backoff(VenueSettings.model_validate({"backoff_base": 1.0, "backoff_cap": 10.0, **settings}), lambda: luck)


def test_it_doubles_up_to_the_cap() -> None:
    waits = backoff()
    assert [waits.after(0.0, 0.0) for _ in range(5)] == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_full_jitter() -> None:
    assert backoff(0.0).after(0.0, 0.0) == 0.0
    assert backoff(0.5).after(0.0, 0.0) == 1.0


def test_only_a_life_is_forgiven() -> None:
    waits = backoff(forgive_after=60.0)
    waits.after(0.0, 0.0)
    assert waits.after(59.0, 0.0) == 4.0
    assert waits.after(60.0, 0.0) == 1.0


def test_attempts_are_rationed() -> None:
    waits = backoff(0.0, attempts=3, attempts_window=600.0)
    for now in (0.0, 1.0, 2.0):
        waits.began(now)
    assert waits.after(0.0, 5.0) == 595.0
    waits.began(600.0)
    assert waits.after(0.0, 600.5) == 0.5


def test_a_stated_time_is_kept() -> None:
    assert backoff(0.0).after(0.0, 0.0, retry_after=30.0) == 30.0


def test_doubled() -> None:
    assert [doubled(1.0, 5.0, attempt) for attempt in (0, 1, 2, 3, 10_000)] == [1.0, 2.0, 4.0, 5.0, 5.0]
