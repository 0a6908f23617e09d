"""The sockets: one link a client, one crowd a venue; frames are framed once and written in batches."""

from __future__ import annotations

import socket as sockets
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from pricewatch.simulator.faults import Faults
from pricewatch.simulator.payloads import bomb
from pricewatch.simulator.session import Session, Venue
from pricewatch.simulator.wire import framed

_SEND_BUFFER = 262_144


class Link:
    """One client: what waits to be written to it, and whether it still reads."""

    def __init__(self, socket: ServerConnection, venue: Venue, session: Session, faults: Faults) -> None:
        self.socket = socket
        self.venue = venue
        self.session = session
        self.faults = faults
        self.stalled_until = 0
        self.ends_at: int | None = None
        """When the venue closes it, after it said so."""
        self._waiting: list[bytes] = []
        self._bytes = 0
        # The kernel would take megabytes and hide for seconds that a client stopped reading.
        socket.transport.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _SEND_BUFFER)

    @property
    def deflates(self) -> bool:
        """Compression was agreed with the client."""
        return any(extension.name == "permessage-deflate" for extension in self.socket.protocol.extensions)

    @property
    def unread(self) -> int:
        """Bytes the client has not taken yet."""
        return self._bytes + self.socket.transport.get_write_buffer_size()

    def put(self, frame: bytes) -> None:
        """Queue a framed message for the next flush."""
        self._waiting.append(frame)
        self._bytes += len(frame)

    def say(self, frames: Iterable[bytes]) -> None:
        """Queue the venue's words to this client alone."""
        for frame in frames:
            self.put(self.framed(frame))

    def framed(self, frame: bytes, *, binary: bool | None = None) -> bytes:
        """A frame as this client gets it, with its connection's own counter where the venue keeps one."""
        venue = self.venue
        if venue.stamps:
            frame = venue.stamp(self.session, frame)
        return framed(frame, binary=venue.binary if binary is None else binary)

    def flush(self, now: int) -> None:
        """Write what waits; a stalled link keeps it."""
        if not self._waiting or now < self.stalled_until:
            return
        if self.socket.state is State.OPEN and not self.socket.transport.is_closing():
            # Every frame is whole and says itself whether it is compressed: writing past the library is exact.
            self.socket.transport.write(b"".join(self._waiting))
            self.session.busy = now
        self._waiting.clear()
        self._bytes = 0

    def warn(self, now: int, lead: int) -> bool:
        """Announce the close in the venue's words, `lead` microseconds ahead; False where it has none, or has begun."""
        word = self.venue.announce(now)
        if word is None or self.ends_at is not None:
            return False
        self.say((word,))
        self.ends_at = now + lead
        return True

    def blow(self, size: int) -> bool:
        """Send a frame that inflates to so many bytes; False where compression was not agreed."""
        if self.deflates:
            self.put(bomb(size))
        return self.deflates

    def drop(self) -> None:
        """Die without a close frame."""
        self._waiting.clear()
        self.socket.transport.abort()


class Crowd:
    """All links of one venue, by topic."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.links: set[Link] = set()
        self.sent = 0
        """Frames written or queued, each counted once a client."""
        self.lost = 0
        """Frames nobody listened to."""
        self._topics: defaultdict[str, set[Link]] = defaultdict(set)

    def join(self, link: Link) -> None:
        """Know a client and its topics."""
        self.links.add(link)
        self.follow(link)

    def follow(self, link: Link) -> None:
        """Bring a client's topics up to date."""
        wanted = link.session.topics
        for topic in [topic for topic, links in self._topics.items() if link in links and topic not in wanted]:
            self._forget(topic, link)
        for topic in wanted:
            self._topics[topic].add(link)

    def leave(self, link: Link) -> None:
        """Forget a client."""
        self.links.discard(link)
        for topic in link.session.topics:
            self._forget(topic, link)

    def _forget(self, topic: str, link: Link) -> None:
        links = self._topics.get(topic, set())
        links.discard(link)
        if not links:
            self._topics.pop(topic, None)

    def hears(self, topic: str) -> bool:
        """Whether anybody listens to it."""
        return topic in self._topics

    def heard(self) -> bool:
        """Whether anybody listens to anything."""
        return bool(self._topics)

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        """Queue a frame for everybody who listens to the topic."""
        self._deliver(self._topics.get(topic, ()), frame, trade=trade, binary=self._venue.binary)

    def play(self, topics: Sequence[tuple[str, bytes]], *, trade: bool, binary: bool) -> None:
        """Queue a recorded frame, once for each who listens to one of its topics; counts what nobody heard."""
        served: set[Link] = set()
        for topic, frame in topics:
            links = self._topics.get(topic, set()) - served
            self._deliver(links, frame, trade=trade, binary=binary)
            served |= links
        self.lost += not served

    def _deliver(self, links: Collection[Link], frame: bytes, *, trade: bool, binary: bool) -> None:
        if not links:
            return
        common = None if self._venue.stamps else framed(frame, binary=binary)
        for link in links:
            whole = common or link.framed(frame, binary=binary)
            if trade and link.faults.framing:
                for survivor in link.faults.frames(whole):
                    link.put(survivor)
                    self.sent += 1
            else:
                link.put(whole)
                self.sent += 1
