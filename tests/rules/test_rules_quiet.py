from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import from_datetime, parse_instant, rfc3339
from pricewatch.rules.quiet import Quiet, QuietDocument

BERLIN = "Europe/Berlin"
NIGHT = Quiet(22 * 60, 7 * 60, BERLIN)


@pytest.mark.parametrize(
    ("quiet", "now", "end"),
    [
        (NIGHT, "2026-01-15T21:59:59+01:00", None),
        (NIGHT, "2026-01-15T22:00:00+01:00", "2026-01-16T07:00:00+01:00"),
        (NIGHT, "2026-01-16T06:59:59+01:00", "2026-01-16T07:00:00+01:00"),
        (NIGHT, "2026-01-16T07:00:00+01:00", None),
        (Quiet(12 * 60, 13 * 60, BERLIN), "2026-01-16T12:30:00+01:00", "2026-01-16T13:00:00+01:00"),
        (Quiet(12 * 60, 13 * 60, BERLIN), "2026-01-16T11:30:00+01:00", None),
        (Quiet(12 * 60, 13 * 60, "UTC"), "2026-01-16T12:30:00+00:00", "2026-01-16T13:00:00+00:00"),
        # the clocks go forward: the night is an hour shorter
        (NIGHT, "2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"),
        # the end does not exist on that day: it is as much later
        (Quiet(22 * 60, 150, BERLIN), "2026-03-29T00:30:00+01:00", "2026-03-29T03:30:00+02:00"),
        # the clocks go back: the night is an hour longer
        (NIGHT, "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"),
        # the end comes twice: the first one that is still to come
        (Quiet(22 * 60, 165, BERLIN), "2026-10-25T02:30:00+02:00", "2026-10-25T02:45:00+02:00"),
        (Quiet(22 * 60, 165, BERLIN), "2026-10-25T02:30:00+01:00", "2026-10-25T02:45:00+01:00"),
    ],
)
def test_when_the_quiet_hours_end(quiet: Quiet, now: str, end: str | None) -> None:
    ends = quiet.ends(parse_instant(now))
    assert (rfc3339(ends) if ends else None) == (rfc3339(parse_instant(end)) if end else None)


@given(
    st.integers(0, 1_439),
    st.integers(0, 1_439),
    st.sampled_from([BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - a zone is put to it
)
def test_they_end_later_than_now_within_a_day_and_at_the_hour_meant(
    start: int, end: int, zone: str, moment: datetime
) -> None:
    now = from_datetime(moment.replace(tzinfo=ZoneInfo("UTC")))
    ends = Quiet(start, end, zone).ends(now)
    assert ends == 0 or now < ends <= now + 25 * 3_600_000_000
    if ends:
        assert Quiet(start, end, zone).ends(ends) in {0, ends}


def test_a_zone_that_is_gone_is_named() -> None:
    with pytest.raises(Invalid, match="Nowhere"):
        Quiet(0, 1, "Nowhere/Land").ends(0)
    document = QuietDocument(start="22:00", end="07:00", zone="UTC")
    assert document.build() == Quiet(22 * 60, 7 * 60, "UTC")
