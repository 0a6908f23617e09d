"""What a client knows of the feed right now: whether silence means quiet or blind."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pricewatch.wire.feed import FeedAge

BLIND = frozenset({"blind", "stale"})


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A moment's view. It is as fresh as the last frame read: `age` says how old that is."""

    connected: bool
    caught_up: bool
    """Nothing of the past is on its way any more, and a heartbeat has told how the markets' feeds are."""
    age: float | None
    """Seconds since the server last said a word; None before its first."""
    feeds: Mapping[str, FeedAge] = {}
    """Each subscribed market's feed age and state, of the last heartbeat."""
    reason: str = ""
    """Why it is not connected."""

    @property
    def blind_markets(self) -> list[str]:
        """Markets whose prices may be missing right now: a rule on them may be true without a signal."""
        return sorted(market for market, one in self.feeds.items() if one.state in BLIND)

    @property
    def blind(self) -> bool:
        """No signal means nothing at this moment."""
        return not self.connected or not self.caught_up or bool(self.blind_markets)
