"""One session's signals: snapshot, backlog and live joined by `seq` without a hole and without a double. No I/O."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pricewatch.domain.consumer import Filter
from pricewatch.domain.signal import FeedEntry
from pricewatch.gateway.board import Selection
from pricewatch.ports.journal import FeedHead
from pricewatch.wire.feed import CaughtUp, Place, ReplayDone, SignalsSnapshot, encode, signal_frame

Encoder = Callable[[FeedEntry], bytes]
"""The signal's document as JSON."""


class Phase(enum.Enum):
    """`opening` waits for the log's head, `behind` pages through the log, `live` takes what is committed.

    `over` is a stretch of time that was replayed to its end.
    """

    OPENING = 0
    BEHIND = 1
    LIVE = 2
    OVER = 3


class Span(NamedTuple):
    """A stretch of time to replay, by when signals were committed (µs)."""

    since: int
    until: int | None
    """None goes on live."""


class Opening(NamedTuple):
    """What the log says when a subscription begins, read in this order: head, oldest, recent, span."""

    head: FeedHead
    oldest: int | None
    """The lowest `seq` still in the log; None when it is empty."""
    recent: Sequence[FeedEntry]
    """The newest entries, descending."""
    begin: int = 0
    """With a span: the last place before it."""
    end: int | None = None
    """With a span that ends: the last place in it."""


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
    filter: Filter
    epoch: int
    cursor: int
    prev: int


class Signals:
    """A signals subscription. `cursor` is how far the feed was read, `prev` the place last told to the client."""

    def __init__(
        self, wanted: Filter, after: Place | None, channel: str = "signals", *, span: Span | None = None
    ) -> None:
        self.channel = channel
        """Which feed: `signals`, the account's own, or `system`."""
        self.filter = _shared(wanted)
        self.after = after
        self.span = span
        self.phase = Phase.OPENING
        self.epoch = 0
        self.cursor = 0
        self.prev = 0
        self.generation = 0
        """Grows with every (re)opening: what was read for an older one is out of date."""
        self._begun = False
        self._heard = 0
        self._news: Selection = wanted.symbols
        self._replay_upto = 0
        self._end: int | None = None

    @property
    def selection(self) -> Selection:
        """The symbols and markets it covers."""
        return self.filter.symbols

    def extend(self, symbols: Selection) -> None:
        """More symbols: goes on from where it stands, with a snapshot of the new ones."""
        if self._begun:
            self._news = symbols if self.phase is not Phase.OPENING else self._news | symbols
        else:
            self._news = self._news | symbols
        self._select(self.selection | symbols)
        self.phase = Phase.OPENING
        self.generation += 1

    def narrow(self, symbols: Selection) -> None:
        """Fewer symbols."""
        self._select(self.selection - symbols)

    def place(self) -> Stand:
        """Subscriptions at the same place get the same bytes."""
        return Stand(self.channel, self.filter, self.epoch, self.cursor, self.prev)

    def is_over(self) -> bool:
        """It was a stretch of time, and is through."""
        return self.phase is Phase.OVER

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
        head = opening.head
        reason, resumed = self._begin(opening)
        recent = [] if resumed else [one for one in reversed(opening.recent) if self._is_recent(one)]
        self._begun, self.after, self.span, self.prev = True, None, None, self.cursor
        behind = max(self._heard, head.seq) > self.cursor or self._end is not None
        self.phase = Phase.BEHIND if behind else Phase.LIVE
        frames = [
            self._snapshot(
                head,
                opening.oldest,
                resumed=resumed,
                reason=reason,
                data=[msgspec.Raw(document(one)) for one in recent],
            )
        ]
        if resumed and self.phase is Phase.LIVE:
            frames.append(encode(CaughtUp(self.epoch, self.prev, self.channel)))
        return frames

    def page(self, entries: Sequence[FeedEntry], document: Encoder) -> list[bytes]:
        """The next entries of the log, or none when it has no more: then live, unless more was heard of since."""
        if entries and entries[0].seq > self.cursor + 1:
            return self._torn(entries[0])
        if self._end is not None:
            entries = [one for one in entries if one.seq <= self._end]
        made = plan(entries, self.place(), document, contiguous=False, replay_upto=self._replay_upto)
        self.follow(made)
        frames = made.frames
        if self._end is not None:
            if not entries or self.cursor >= self._end:
                self.phase = Phase.OVER
                frames.append(encode(ReplayDone(self.epoch, self.cursor, self.channel)))
        elif not entries and self._heard <= self.cursor:
            self.phase = Phase.LIVE
            frames.append(encode(CaughtUp(self.epoch, self.prev, self.channel)))
        return frames

    def _begin(self, opening: Opening) -> tuple[str | None, bool | None]:
        """Take the place to go on from. Why it is not the asked one, and whether it is (None: none was asked)."""
        head, after = opening.head, self.after
        if self.span is not None:
            reason = "expired" if opening.oldest not in {None, 1} and opening.begin + 1 == opening.oldest else None
            if reason is None:
                self.epoch, self.cursor = head.epoch, opening.begin
                self._replay_upto, self._end = head.seq, opening.end
                return None, True
        elif after is not None:
            reason = _why_not(after, opening)
            if reason is None:
                self.epoch, self.cursor = after.epoch, after.seq
                return None, True
        elif self._begun:
            return None, None
        else:
            reason = None
        self.epoch, self.cursor = head.epoch, head.seq
        return reason, None if reason is None else False

    def _torn(self, first: FeedEntry) -> list[bytes]:
        """What comes next expired while the client read: it is told so, and goes on from what is left."""
        self.cursor = self.prev = first.seq - 1
        head = FeedHead(self.epoch, max(self._heard, first.seq))
        return [self._snapshot(head, first.seq, resumed=False, reason="expired", data=[])]

    def _snapshot(
        self, head: FeedHead, oldest: int | None, *, resumed: bool | None, reason: str | None, data: list[msgspec.Raw]
    ) -> bytes:
        return encode(
            SignalsSnapshot(
                channel=self.channel,
                epoch=self.epoch,
                seq=self.cursor,
                resumed=resumed,
                reason=reason,
                oldest=None if oldest is None else Place(head.epoch, oldest),
                newest=Place(head.epoch, head.seq),
                data=data,
            )
        )

    def _select(self, symbols: Selection) -> None:
        self.filter = _shared(msgspec.structs.replace(self.filter, symbols=symbols))

    def _is_recent(self, entry: FeedEntry) -> bool:
        return entry.seq <= self.cursor and msgspec.structs.replace(self.filter, symbols=self._news).wants(entry.signal)


def plan(
    entries: Sequence[FeedEntry],
    place: Stand,
    document: Encoder,
    *,
    contiguous: bool = True,
    replay_upto: int = 0,
) -> Plan:
    """What of `entries` a subscription at `place` has not had; stops before a hole where `contiguous` is asked."""
    channel, wanted, epoch, cursor, prev = place
    frames: list[bytes] = []
    for entry in entries:
        if entry.seq <= cursor:
            continue
        if contiguous and entry.seq != cursor + 1:
            return Plan(frames, cursor, prev, is_hole=True)
        cursor = entry.seq
        if wanted.wants(entry.signal):
            is_replay = cursor <= replay_upto
            frames.append(signal_frame(epoch, cursor, prev, document(entry), channel=channel, replay=is_replay))
            prev = cursor
    return Plan(frames, cursor, prev, is_hole=False)


@functools.lru_cache(maxsize=4_096)
def _shared(wanted: Filter) -> Filter:
    """The first of equal filters: subscriptions at one place are found by looking at it, not into it."""
    return wanted


def _why_not(after: Place, opening: Opening) -> str | None:
    """Why a place cannot be continued; None when it can."""
    head = opening.head
    if after.epoch != head.epoch:
        return "epoch"
    if after.seq > head.seq:
        return "future"
    first = opening.oldest if opening.oldest is not None else head.seq + 1
    return "expired" if after.seq + 1 < first or after.seq < 0 else None
