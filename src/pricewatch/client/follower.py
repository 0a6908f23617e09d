"""One stream of signals as a state machine: frames in, signals out, each once and in order. No I/O, no clock."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from pricewatch.client.cursors import Position
from pricewatch.client.errors import PositionLost, Rejected
from pricewatch.client.frames import Frame
from pricewatch.client.leases import Leases, Request
from pricewatch.client.signal import Signal
from pricewatch.wire.feed import Place

OnLost = Literal["raise", "oldest", "newest"]
Start = Literal["newest", "oldest"]
_SUBSCRIBE = 1
_AGAIN = frozenset({"rate_limited", "consumer_ended"})
"""Error codes after which the same request may be made on a new connection."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream is of."""

    channel: str = "signals"
    symbols: tuple[str, ...] = ("*",)
    rules: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    consumer: str | None = None
    ack_wait: float | None = None
    max_in_flight: int | None = None
    start: Start = "newest"
    on_lost: OnLost = "raise"

    def params(self) -> dict[str, Any]:
        """As `subscribe` wants it, without a place."""
        wanted: dict[str, Any] = {"channel": self.channel, "symbols": list(self.symbols)}
        for name in ("rules", "severities", "kinds"):
            if words := getattr(self, name):
                wanted[name] = list(words)
        if self.consumer is not None:
            wanted |= {"consumer": self.consumer, "start": self.start}
            wanted |= {
                name: value for name in ("ack_wait", "max_in_flight") if (value := getattr(self, name)) is not None
            }
        return wanted


class Again(Exception):  # noqa: N818 - named by what to do
    """Something is missing or out of order: connect again and resume. `at_once` where nothing is wrong."""

    def __init__(self, reason: str, *, at_once: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at_once = at_once


class Follower:
    """Knows what was handed out, what was handled, and what the server has confirmed.

    `told` is where the stream stands; `handled` is behind it by what the program still works on.
    """

    def __init__(self, query: Query, *, remembered: int) -> None:
        self.query = query
        self.account = ""
        self.told: Place | None = None
        self.handled: Place | None = None
        self.is_live = False
        self.leases = Leases(query.consumer or "", self._next_number)
        """What a named consumer holds."""
        self.ack_wait = 0.0
        """Seconds the server waits before it hands a signal out again; 0 while it has not said so."""
        self._prev: int | None = None
        self._is_begun = False
        self._remembered = remembered
        self._recent: OrderedDict[uuid.UUID, bool] = OrderedDict()
        """Ids handed out before, and whether the program is done with them."""
        self._number = _SUBSCRIBE

    # -- connections --------------------------------------------------------------------------------------------------

    def resume(self, position: Position | None) -> None:
        """Go on from what an earlier run has saved."""
        if position is not None:
            self.account = position.account
            self.told = self.handled = Place(position.epoch, position.seq)

    def begin(self) -> list[Request]:
        """A new connection is open."""
        self.is_live = self.query.consumer is not None
        self._prev = None
        self._is_begun = False
        self.leases.forget_questions()
        params = self.query.params()
        if self.query.consumer is None and self.told is not None:
            params["after"] = {"epoch": self.told.epoch, "seq": self.told.seq}
        return [("subscribe", params, _SUBSCRIBE)]

    # -- frames in ----------------------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> tuple[Signal | None, list[Request]]:
        """A signal to hand out, if the frame brings a new one, and what to answer.

        Raises `Again`, `PositionLost` or `Rejected`.
        """
        match frame.type:
            case "welcome":
                self._greet(frame)
            case "error":
                self._refused(frame)
            case "settled":
                self._settled(frame)
            case "snapshot" if frame.channel == self.query.channel:
                return None, self._begun(frame)
            case "caught_up" if frame.channel == self.query.channel:
                self.is_live = True
                self._tell(frame.place())
            case "heartbeat":
                self._advance(frame)
            case "signal" if frame.channel == self.query.channel:
                return self._shared(frame) if frame.consumer else (self._next(frame), [])
            case _:
                pass
        return None, []

    def _greet(self, frame: Frame) -> None:
        if self.account and frame.account != self.account and self.told is not None:
            raise PositionLost("account", self.told, None, None)
        self.account = frame.account

    def _refused(self, frame: Frame) -> None:
        reason = frame.reason or frame.code
        if frame.code in _AGAIN:
            raise Again(reason)
        if frame.req_id == _SUBSCRIBE or not self._is_begun:
            raise Rejected(frame.code, reason, frame.did_you_mean)

    def _begun(self, frame: Frame) -> list[Request]:
        self._is_begun = True
        if self.query.consumer is not None:
            if frame.resumed is False:
                self._lost(frame)
            self.ack_wait = frame.ack_wait
            return self.leases.again()
        place, oldest = frame.place(), frame.oldest
        if frame.resumed is False:
            self._lost(frame)
        if frame.resumed is not True and place is not None:
            wants_all = self.query.on_lost == "oldest" if frame.resumed is False else self._wants_oldest()
            if wants_all and oldest is not None and oldest.seq <= place.seq:
                self.told = self.handled = Place(place.epoch, oldest.seq - 1)
                raise Again("go back to the oldest", at_once=True)
            self.handled = place
        self.is_live = frame.resumed is not True
        self._tell(place)
        return []

    def _wants_oldest(self) -> bool:
        return self.query.start == "oldest" and self.told is None

    def _lost(self, frame: Frame) -> None:
        if self.query.on_lost == "raise":
            raise PositionLost(frame.reason or "unknown", self.told, frame.oldest, frame.newest)

    def _next(self, frame: Frame) -> Signal | None:
        place, told = frame.place(), self.told
        if place is None or told is None or frame.prev is None:
            raise Again("a signal came before its snapshot")
        if place.epoch != told.epoch:
            raise Again(f"the feed's epoch changed to {place.epoch}")
        if place.seq <= (self._prev or 0):
            return None
        if frame.prev > (self._prev or 0):
            raise Again(f"signals between {self._prev} and {place.seq} are missing")
        self._tell(place)
        signal = frame.signal()
        if signal.id in self._recent:
            return None
        self._remember(signal.id, done=False)
        return signal

    def _shared(self, frame: Frame) -> tuple[Signal | None, list[Request]]:
        signal = frame.signal()
        done = self._recent.get(signal.id)
        if done:
            return None, self.leases.done(signal)
        self.leases.hold(signal)
        if done is not None:
            return None, []
        self._remember(signal.id, done=False)
        return signal, []

    def _settled(self, frame: Frame) -> None:
        for number in self.leases.settled(frame):
            self._recent.pop(number, None)

    def _advance(self, frame: Frame) -> None:
        """What did not match need not be asked for again."""
        told = self.told
        is_all_done = told is not None and self.handled == told
        if frame.live and self.is_live and frame.seq is not None and told is not None and self.query.consumer is None:
            if self.query.channel != "signals" or frame.seq <= told.seq:
                return
            self.told = Place(told.epoch, frame.seq)
            if is_all_done:
                self.handled = self.told

    def _tell(self, place: Place | None) -> None:
        if place is not None:
            self.told = place
            self._prev = place.seq

    # -- the program's answers ----------------------------------------------------------------------------------------

    def done(self, signal: Signal) -> list[Request]:
        """The program has handled it (and, without a consumer, everything before)."""
        self._remember(signal.id, done=True)
        if self.query.consumer is None:
            if self.handled is None or self.handled.seq < signal.seq:
                self.handled = Place(signal.epoch, signal.seq)
            return []
        return self.leases.done(signal)

    def give_back(self, signal: Signal, delay: float) -> list[Request]:
        """The program could not handle it: it is to come again."""
        self._recent.pop(signal.id, None)
        return self.leases.give_back(signal, delay)

    def let_go(self, signal: Signal) -> None:
        """The program does not come to it: it is to come again when its lease has run out."""
        self._recent.pop(signal.id, None)
        self.leases.let_go(signal.id)

    def leave(self) -> list[Request]:
        """The program ends: what it holds is given back."""
        if self.query.consumer is None:
            return []
        return [("unsubscribe", {"channel": self.query.channel, "consumer": self.query.consumer}, self._next_number())]

    def position(self) -> Position | None:
        """What to save for the next run."""
        return None if self.handled is None else Position(self.account, self.handled.epoch, self.handled.seq)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _remember(self, number: uuid.UUID, *, done: bool) -> None:
        self._recent[number] = done
        self._recent.move_to_end(number)
        while len(self._recent) > self._remembered:
            self._recent.popitem(last=False)


def strings(words: Iterable[object]) -> tuple[str, ...]:
    """What a caller wrote, as it travels."""
    return tuple(map(str, words))
