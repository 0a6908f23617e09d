"""What a rule keeps back while it is paused on a market for firing too often: counted, then told in one digest."""

from __future__ import annotations

import msgspec

from pricewatch.domain.rule import Tally
from pricewatch.rules.lifecycle import Moment
from pricewatch.rules.policy import Policy


def counted(tally: Tally, policy: Policy, now: Moment, price: float) -> Tally:
    """One more fire at that moment; the first one says when it will be told.

    That is a whole number of intervals after the last telling, so digests are never closer than one interval; one that
    would fall into quiet hours is told at their end, whole.
    """
    at = now.at
    if tally.count:
        return msgspec.structs.replace(
            tally, count=tally.count + 1, last_at=at, last=price, low=min(tally.low, price), high=max(tally.high, price)
        )
    passed = max(0, at - tally.told_at) // policy.digest
    due_at = tally.told_at + (passed + 1) * policy.digest
    due_seen = now.seen + (due_at - at)
    if policy.quiet is not None and (end := policy.quiet.ends(due_seen)):
        due_at, due_seen = due_at + end - due_seen, end
    return Tally(tally.told_at, due_at, due_seen + now.grace, 1, at, at, price, price, price, price)
