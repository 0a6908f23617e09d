"""Who reads which markets on a channel that is told in a rhythm: the newest of each thing, later for who lags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pricewatch.gateway.board import Board, Selection
from pricewatch.gateway.feed.framing import Message, framed
from pricewatch.gateway.feed.outlet import Outlet

Key = tuple[int, int]
"""A market, and what of it: the newest document of a key is the one that counts."""


class Reader(Protocol):
    """A client of the channel."""

    @property
    def outlet(self) -> Outlet:
        """Its way out."""
        ...


class Desk(Protocol):
    """A channel with seats."""

    def select(self, reader: Reader, selection: Selection) -> None:
        """It reads these from now on; an empty selection ends it."""
        ...

    async def snapshot(self, selection: Selection) -> bytes:
        """What a reader of these begins with; raises `Unavailable`."""
        ...


class _Seat:
    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.pending: dict[Key, bytes] = {}
        """What could not go out while the client lagged."""


class Seats:
    """The readers of one channel."""

    def __init__(self, board: Board) -> None:
        self.sent = 0
        self._board = board
        self._seats: dict[Reader, _Seat] = {}
        self._names: dict[int, str] = {}
        self._resolved: dict[Selection, frozenset[int]] = {}
        self._version = -1

    def __len__(self) -> int:
        return len(self._seats)

    def select(self, reader: Reader, selection: Selection) -> None:
        """It reads these from now on; an empty selection ends it."""
        seat = self._seats.get(reader)
        if not selection:
            self._seats.pop(reader, None)
        elif seat is None:
            self._seats[reader] = _Seat(selection)
        else:
            seat.selection = selection

    def markets(self) -> frozenset[int]:
        """All that anybody reads."""
        return frozenset[int]().union(*(self.markets_of(seat.selection) for seat in self._seats.values()))

    def markets_of(self, selection: Selection) -> frozenset[int]:
        """The ids of the markets a selection covers now."""
        if self._version != self._board.version:
            self._version = self._board.version
            self._names = {market.id: market.key for market in self._board.everything()}
            self._resolved.clear()
        found = self._resolved.get(selection)
        if found is None:
            found = self._resolved[selection] = self._board.resolve(selection)
        return found

    def named(self, markets: frozenset[int]) -> list[tuple[int, str]]:
        """With their keys, in order of these."""
        return sorted(((one, self._names[one]) for one in markets), key=lambda pair: pair[1])

    def name(self, market: int) -> str:
        """The key of a market that somebody reads."""
        return self._names[market]

    def deliver(self, documents: Mapping[Key, bytes], frame: Callable[[list[bytes]], bytes]) -> None:
        """One message to each reader who keeps up; equal ones share their bytes."""
        messages: dict[frozenset[Key], Message] = {}
        for reader, seat in list(self._seats.items()):
            wanted = self.markets_of(seat.selection)
            seat.pending.update({key: one for key, one in documents.items() if key[0] in wanted})
            if not seat.pending or not reader.outlet.is_idle():
                continue
            keys = frozenset(seat.pending)
            is_shared = keys <= documents.keys()
            message = messages.get(keys) if is_shared else None
            if message is None:
                message = Message(framed(frame([seat.pending[key] for key in sorted(keys)])))
                if is_shared:
                    messages[keys] = message
            seat.pending.clear()
            self.sent += reader.outlet.send(message)
