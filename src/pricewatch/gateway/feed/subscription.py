"""One session's signals: snapshot, backlog and live joined by `seq` without a hole and without a double. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pricewatch.domain.signal import FeedEntry
from pricewatch.gateway.board import Selection, matches
from pricewatch.ports.journal import FeedHead
from pricewatch.wire.feed import CaughtUp, Place, SignalsSnapshot, encode, signal_frame

Encoder = Callable[[FeedEntry], bytes]
"""The signal's document as JSON."""


class Phase(enum.Enum):
    """`opening` waits for the log's head, `behind` pages through the log, `live` takes what is committed."""

    OPENING = 0
    BEHIND = 1
    LIVE = 2


class Opening(NamedTuple):
    """What the log says when a subscription begins, read in this order: head, oldest, recent."""

    head: FeedHead
    oldest: int | None
    """The lowest `seq` still in the log; None when it is empty."""
    recent: Sequence[FeedEntry]
    """The newest entries, descending."""


class Plan(NamedTuple):
    """What a batch of committed entries means to every subscription that stands at the same place."""

    frames: list[bytes]
    cursor: int
    prev: int
    is_hole: bool
    """Entries are missing before this batch: read the log."""


class Stand(NamedTuple):
    """Where a subscription stands: on which channel, for whom, and how far."""

    channel: str
    selection: Selection
    epoch: int
    cursor: int
    prev: int


class Signals:
    """A signals subscription. `cursor` is how far the feed was read, `prev` the place last told to the client."""

    def __init__(self, selection: Selection, after: Place | None, channel: str = "signals") -> None:
        self.channel = channel
        """Which feed: `signals`, the account's own, or `system`."""
        self.selection = selection
        self.after = after
        self.phase = Phase.OPENING
        self.epoch = 0
        self.cursor = 0
        self.prev = 0
        self.generation = 0
        """Grows with every (re)opening: what was read for an older one is out of date."""
        self._begun = False
        self._heard = 0
        self._news: Selection = selection

    def extend(self, symbols: Selection) -> None:
        """More symbols: goes on from where it stands, with a snapshot of the new ones."""
        if self._begun:
            self._news = symbols if self.phase is not Phase.OPENING else self._news | symbols
        else:
            self._news = self._news | symbols
        self.selection |= symbols
        self.phase = Phase.OPENING
        self.generation += 1

    def narrow(self, symbols: Selection) -> None:
        """Fewer symbols."""
        self.selection -= symbols

    def place(self) -> Stand:
        """Subscriptions at the same place get the same bytes."""
        return Stand(self.channel, self.selection, self.epoch, self.cursor, self.prev)

    def heard(self, seq: int) -> None:
        """Something was committed while we are not live: it will be read from the log."""
        self._heard = max(self._heard, seq)

    def fall_behind(self, seq: int) -> None:
        """Leave live: go on from the log, at least up to `seq`."""
        self.phase = Phase.BEHIND
        self.heard(seq)

    def follow(self, plan: Plan) -> None:
        """The frames of a plan were sent."""
        self.cursor, self.prev = plan.cursor, plan.prev

    def opened(self, opening: Opening, document: Encoder) -> list[bytes]:
        """The log answered: the snapshot. Afterwards behind or live."""
        head, after = opening.head, self.after
        reason = None if after is None else _why_not(after, opening)
        resumed = None if after is None else reason is None
        if after is not None and resumed:
            self.epoch, self.cursor = after.epoch, after.seq
        elif not self._begun:
            self.epoch, self.cursor = head.epoch, head.seq
        recent = [] if resumed else [one for one in reversed(opening.recent) if self._is_recent(one)]
        self._begun, self.after, self.prev = True, None, self.cursor
        self.phase = Phase.BEHIND if max(self._heard, head.seq) > self.cursor else Phase.LIVE
        frames = [
            encode(
                SignalsSnapshot(
                    channel=self.channel,
                    epoch=self.epoch,
                    seq=self.cursor,
                    resumed=resumed,
                    reason=reason,
                    oldest=None if opening.oldest is None else Place(head.epoch, opening.oldest),
                    newest=Place(head.epoch, head.seq),
                    data=[msgspec.Raw(document(one)) for one in recent],
                )
            )
        ]
        if resumed and self.phase is Phase.LIVE:
            frames.append(encode(CaughtUp(self.epoch, self.prev, self.channel)))
        return frames

    def page(self, entries: Sequence[FeedEntry], document: Encoder) -> list[bytes]:
        """The next entries of the log, or none when it has no more: then live, unless more was heard of since."""
        made = plan(entries, self.place(), document, contiguous=False)
        self.follow(made)
        frames = made.frames
        if not entries and self._heard <= self.cursor:
            self.phase = Phase.LIVE
            frames.append(encode(CaughtUp(self.epoch, self.prev, self.channel)))
        return frames

    def _is_recent(self, entry: FeedEntry) -> bool:
        return entry.seq <= self.cursor and matches(self._news, entry.signal.scope, entry.signal.symbol)


def plan(
    entries: Sequence[FeedEntry],
    place: Stand,
    document: Encoder,
    *,
    contiguous: bool = True,
) -> Plan:
    """What of `entries` a subscription at `place` has not had; stops before a hole where `contiguous` is asked."""
    channel, selection, epoch, cursor, prev = place
    frames: list[bytes] = []
    for entry in entries:
        if entry.seq <= cursor:
            continue
        if contiguous and entry.seq != cursor + 1:
            return Plan(frames, cursor, prev, is_hole=True)
        cursor = entry.seq
        if matches(selection, entry.signal.scope, entry.signal.symbol):
            frames.append(signal_frame(epoch, cursor, prev, document(entry), channel=channel))
            prev = cursor
    return Plan(frames, cursor, prev, is_hole=False)


def _why_not(after: Place, opening: Opening) -> str | None:
    """Why a place cannot be continued; None when it can."""
    head = opening.head
    if after.epoch != head.epoch:
        return "epoch"
    if after.seq > head.seq:
        return "future"
    first = opening.oldest if opening.oldest is not None else head.seq + 1
    return "expired" if after.seq + 1 < first or after.seq < 0 else None
