"""Quiet hours: a span of the day in its owner's time zone in which deliveries wait. Signals never do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from pricewatch.domain.errors import Invalid
from pricewatch.domain.time import from_datetime, to_datetime
from pricewatch.rules.numbers import shown

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")


class QuietDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`{"from": "22:00", "to": "07:00", "zone": "Europe/Berlin"}`."""

    start: Annotated[str, msgspec.Meta(description="When deliveries begin to wait, e.g. '22:00'.")] = msgspec.field(
        name="from"
    )
    end: Annotated[str, msgspec.Meta(description="When they go out, e.g. '07:00'; may be on the next day.")] = (
        msgspec.field(name="to")
    )
    zone: Annotated[str, msgspec.Meta(description="An IANA time zone, e.g. 'Europe/Berlin'.")]

    def build(self) -> Quiet:
        """The checked span; raises `Invalid`."""
        start, end = _minutes(self.start, "$.policy.quiet.from"), _minutes(self.end, "$.policy.quiet.to")
        if start == end:
            raise Invalid("$.policy.quiet.to", f"{shown(self.end)} is 'from' as well; leave some time to be told")
        _zone(self.zone, "$.policy.quiet.zone")
        return Quiet(start, end, self.zone)


class Quiet(msgspec.Struct, frozen=True, gc=False):
    """Minutes of the local day; `start > end` spans midnight."""

    start: int
    end: int
    zone: str

    def ends(self, instant: int) -> int:
        """When the quiet hours around `instant` (µs, UTC) are over; 0 outside of them.

        Where the clocks are put forward over the end, it is as much later; where they are put back, the first of the
        two ends counts that is not over yet.
        """
        zone = _zone(self.zone, "zone")
        local = to_datetime(instant).astimezone(zone)
        minute = local.hour * 60 + local.minute
        is_late = minute >= self.start
        inside = is_late or minute < self.end if self.start > self.end else is_late and minute < self.end
        if not inside:
            return 0
        day = local.date() + timedelta(days=1 if is_late and self.start > self.end else 0)
        end = datetime.combine(day, time(self.end // 60, self.end % 60), zone)
        first = from_datetime(end)
        return first if first > instant else from_datetime(end.replace(fold=1))


def _minutes(text: str, field: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise Invalid(field, f"{shown(text)} is no time of day; write for example '22:00'")
    return int(found[1]) * 60 + int(found[2])


def _zone(name: str, field: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ValueError, LookupError, OSError) as exc:
        raise _unknown(name, field) from exc
    raise _unknown(name, field)


def _unknown(name: str, field: str) -> Invalid:
    return Invalid(field, f"{shown(name)} is no known time zone; write for example 'Europe/Berlin' or 'UTC'")
