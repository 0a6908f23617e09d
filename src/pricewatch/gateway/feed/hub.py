"""Everybody who is connected: prices conflated and coalesced, signals at once, heartbeats."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pricewatch.domain.signal import FeedEntry
from pricewatch.domain.time import rfc3339
from pricewatch.domain.watch import SYSTEM
from pricewatch.gateway.board import Board, Selection
from pricewatch.gateway.feed.codes import Close
from pricewatch.gateway.feed.framing import Message, framed
from pricewatch.gateway.feed.latencies import Latencies
from pricewatch.gateway.feed.link import Link
from pricewatch.gateway.feed.subscription import Phase, Plan, plan
from pricewatch.gateway.settings import GatewaySettings
from pricewatch.ports.clock import Clock
from pricewatch.ports.journal import FeedHead
from pricewatch.telemetry.metrics import Sample
from pricewatch.wire.feed import FeedAge, Heartbeat, StatusFrame, encode, ticker_frame
from pricewatch.wire.signal import document

_TURN = 100
"""Clients served before the loop may look at other work."""


def encode_signal(entry: FeedEntry) -> bytes:
    """The signal's public document as JSON."""
    return msgspec.json.encode(document(entry))


class _Flight:
    """A batch of signals on its way to several sockets."""

    def __init__(self, entries: Sequence[FeedEntry], clock: Clock, latencies: Latencies) -> None:
        self._entries = entries
        self._clock = clock
        self._latencies = latencies
        self._open = 1
        self._any = False

    def expect(self) -> None:
        self._open += 1

    def landed(self) -> None:
        self._any = True
        self.close()

    def close(self) -> None:
        self._open -= 1
        if self._open == 0 and self._any:
            now = self._clock.now()
            for entry in self._entries:
                if not entry.signal.late and not entry.signal.replay:
                    # not below 0: our clock may have been set back
                    self._latencies.add(now, max(0, now - entry.signal.received))


class Hub:
    """A `SignalSink`; `flush_prices` and `beat` are called in their rhythm by the gateway."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        clock: Clock,
        prices: Board,
        troubles: Callable[[], Mapping[str, str | None]],
    ) -> None:
        self.links: set[Link] = set()
        self.heads: dict[object, FeedHead] = {}
        self.latencies = Latencies()
        self.closed: dict[Close, int] = dict.fromkeys(Close, 0)
        self.opened = self.signals = self.tickers = self.fallbacks = 0
        self._settings = settings
        self._clock = clock
        self._board = prices
        self._troubles = troubles
        self._accounts: dict[object, set[Link]] = {}
        self._groups: dict[Selection, set[Link]] = {}
        self._resolved: dict[Selection, frozenset[int]] = {}
        self._version = -1
        self._told: Mapping[str, str | None] = {}

    # -- coming and going ---------------------------------------------------------------------------------------------

    def join(self, link: Link) -> None:
        """A client is there."""
        self.opened += 1
        self.links.add(link)
        self._accounts.setdefault(link.session.account, set()).add(link)

    def leave(self, link: Link) -> None:
        """A client is gone."""
        self.closed[link.outlet.code] += 1
        self.links.discard(link)
        mates = self._accounts.get(link.session.account, set())
        mates.discard(link)
        if not mates:
            self._accounts.pop(link.session.account, None)
        self.prices(link, frozenset())

    def remember_head(self, account: object, head: FeedHead) -> FeedHead:
        """What the log said, unless something newer was heard of since."""
        known = self.heads.get(account)
        if known is None or (known.epoch, known.seq) < (head.epoch, head.seq):
            known = self.heads[account] = head
        return known

    def sessions_of(self, account: object) -> int:
        """Open sessions of one account."""
        return len(self._accounts.get(account, ()))

    def prices(self, link: Link, selection: Selection) -> None:
        """The link's ticker selection is now this one; clients with equal ones share their bytes."""
        for known, links in list(self._groups.items()):
            links.discard(link)
            if not links:
                del self._groups[known]
                self._resolved.pop(known, None)
        link.pending.clear()
        if selection:
            self._groups.setdefault(selection, set()).add(link)

    def nudge(self, account: uuid.UUID) -> None:
        """Something may be handed to any named consumer of the account."""
        for link in self._accounts.get(account, ()):
            link.consuming.wake()

    # -- signals ------------------------------------------------------------------------------------------------------

    def committed(self, entries: Sequence[FeedEntry]) -> None:
        """Write each to everybody concerned, now. Never blocks."""
        batches: dict[object, list[FeedEntry]] = {}
        for entry in entries:
            batches.setdefault(entry.feed, []).append(entry)
        for feed, batch in batches.items():
            newest = batch[-1]
            self.heads[feed] = FeedHead(newest.epoch, newest.seq)
            if feed == SYSTEM:
                self._deliver(list(self.links), batch, "system")
            elif links := self._accounts.get(feed):
                self._deliver(list(links), batch, "signals")

    def _deliver(self, links: list[Link], batch: list[FeedEntry], channel: str) -> None:
        flight = _Flight(batch if channel == "signals" else (), self._clock, self.latencies)
        newest = batch[-1]
        plans: dict[object, tuple[Plan, Message]] = {}
        encoded = _Memo()
        for link in links:
            link.consuming.wake(channel)
            signals = link.session.feeds.get(channel)
            if signals is None:
                continue
            if signals.phase is not Phase.LIVE:
                signals.heard(newest.seq)
                continue
            if signals.epoch != newest.epoch:
                link.outlet.end(Close.EPOCH_CHANGED)
                continue
            place = signals.place()
            made = plans.get(place)
            if made is None:
                what = plan(batch, place, encoded)
                made = plans[place] = (
                    what,
                    Message(b"".join(map(framed, what.frames)), len(what.frames), flight.landed),
                )
            flight.expect()
            if link.deliver(signals, made[0], made[1], newest.seq):
                self.signals += made[1].frames
            else:
                self.fallbacks += not link.outlet.ended.is_set() and bool(made[1].frames or made[0].is_hole)
                flight.close()
        flight.close()

    # -- prices -------------------------------------------------------------------------------------------------------

    async def flush_prices(self) -> None:
        """One message to each client with what changed; who lags gets the newest later, never a queue of old ones."""
        dirty = self._board.take_dirty()
        if self._version != self._board.version:
            self._version = self._board.version
            self._resolved.clear()
        served = 0
        messages: dict[frozenset[int], Message] = {}
        for selection, links in list(self._groups.items()):
            hit = dirty & self._markets_of(selection)
            for link in list(links):
                self._send_prices(link, hit, messages)
                served += 1
                if served % _TURN == 0:
                    await asyncio.sleep(0)

    def _send_prices(self, link: Link, hit: frozenset[int] | set[int], messages: dict[frozenset[int], Message]) -> None:
        if link.pending:
            link.pending |= hit
        elif not hit:
            return
        if not link.outlet.is_idle():
            link.pending |= hit
            return
        wanted = frozenset(link.pending or hit)
        message = messages.get(wanted)
        if message is None:
            message = messages[wanted] = Message(framed(ticker_frame(self._board.documents(wanted))))
        link.pending.clear()
        self.tickers += link.outlet.send(message)

    def _markets_of(self, selection: Selection) -> frozenset[int]:
        found = self._resolved.get(selection)
        if found is None:
            found = self._resolved[selection] = self._board.resolve(selection)
        return found

    # -- heartbeats and status ----------------------------------------------------------------------------------------

    async def beat(self) -> None:
        """One heartbeat to everybody who keeps up, and the status to those who asked when it changed."""
        time = rfc3339(self._clock.now())
        frames: dict[object, Message] = {}
        ages: dict[Selection, dict[str, FeedAge]] = {}
        for served, link in enumerate(list(self.links), 1):
            if link.is_welcome and link.outlet.is_idle():
                key = self._pulse(link)
                if key not in frames:
                    seq, live, selection = key
                    if selection not in ages:
                        ages[selection] = self._board.ages(self._board.resolve(selection))
                    frames[key] = Message(framed(encode(Heartbeat(time, seq, live, ages[selection]))))
                link.outlet.send(frames[key])
            if served % _TURN == 0:
                await asyncio.sleep(0)
        self._tell_status()

    def _pulse(self, link: Link) -> tuple[int | None, bool, Selection]:
        signals, head = link.session.signals, self.heads.get(link.session.account)
        prices = link.session.tickers.union(*link.session.seated.values())
        if signals is None:
            return None if head is None else head.seq, True, prices
        is_live = signals.phase is Phase.LIVE
        return signals.cursor, is_live, prices | signals.selection

    def _tell_status(self) -> None:
        troubles = self._troubles()
        if troubles == self._told:
            return
        self._told = troubles
        message = Message(framed(self.status_frame()))
        for link in list(self.links):
            if link.session.status:
                link.outlet.send(message)

    def status_frame(self) -> bytes:
        """The parts' status as a frame."""
        troubles = dict(self._troubles())
        return encode(StatusFrame(rfc3339(self._clock.now()), not any(troubles.values()), troubles))

    # -- figures ------------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """For `/status`."""
        return {
            "sessions": len(self.links),
            "accounts": len(self._accounts),
            "signals_written": self.signals,
            "ticker_messages": self.tickers,
            "signal_latency_seconds": self.latencies.status(self._clock.now(), self._settings.recent),
            "closed": {code.name.lower(): count for code, count in self.closed.items() if count},
        }

    def samples(self) -> list[Sample]:
        """For `/metrics`."""
        p50, p99 = self.latencies.quantiles(0.5, 0.99)
        name, text = "signal_latency_seconds", "From the frame's arrival to the last socket, newest 10,000 signals."
        found = [
            Sample("sessions", len(self.links), "gauge", help="Open feed sessions."),
            Sample("sessions_opened", self.opened, help="Feed sessions opened."),
            Sample("signals_written", self.signals, help="Signals written or queued, each client counted."),
            Sample("signals_delivered", self.latencies.count, help="Signals written to all their clients."),
            Sample("ticker_messages", self.tickers, help="Coalesced price messages written."),
            Sample("log_fallbacks", self.fallbacks, help="Times a live client was put back to reading the log."),
        ]
        if p50 is not None and p99 is not None:
            found.append(Sample(name, p50, "gauge", (("quantile", "0.5"),), text))
            found.append(Sample(name, p99, "gauge", (("quantile", "0.99"),), text))
        found.extend(
            Sample("sessions_closed", count, labels=(("code", code.name.lower()),), help="Feed sessions closed.")
            for code, count in self.closed.items()
        )
        return found


class _Memo:
    """Each signal of a batch encoded once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}

    def __call__(self, entry: FeedEntry) -> bytes:
        found = self._known.get(entry.seq)
        if found is None:
            found = self._known[entry.seq] = encode_signal(entry)
        return found
