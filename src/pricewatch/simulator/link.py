"""The sockets: one link a client, one crowd a venue; frames are framed once and written in batches."""

from __future__ import annotations

import socket as sockets
import struct
from collections import defaultdict

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from pricewatch.simulator.faults import Faults
from pricewatch.simulator.session import Session, Stamp

_SEND_BUFFER = 262_144


def framed(payload: bytes) -> bytes:
    """An unmasked text message of one frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + struct.pack("!H", size) + payload
    return b"\x81\x7f" + struct.pack("!Q", size) + payload


class Link:
    """One client: what waits to be written to it, and whether it still reads."""

    def __init__(self, socket: ServerConnection, session: Session, faults: Faults) -> None:
        self.socket = socket
        self.session = session
        self.faults = faults
        self.stalled_until = 0
        self._waiting: list[bytes] = []
        self._bytes = 0
        # The kernel would take megabytes and hide for seconds that a client stopped reading.
        socket.transport.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, _SEND_BUFFER)

    @property
    def unread(self) -> int:
        """Bytes the client has not taken yet."""
        return self._bytes + self.socket.transport.get_write_buffer_size()

    def put(self, frame: bytes) -> None:
        """Queue a framed message for the next flush."""
        self._waiting.append(frame)
        self._bytes += len(frame)

    def flush(self, now: int) -> None:
        """Write what waits; a stalled link keeps it."""
        if not self._waiting or now < self.stalled_until:
            return
        if self.socket.state is State.OPEN and not self.socket.transport.is_closing():
            # The connection negotiates no extension, and every frame is whole: writing past the library is exact.
            self.socket.transport.write(b"".join(self._waiting))
            self.session.busy = now
        self._waiting.clear()
        self._bytes = 0

    def drop(self) -> None:
        """Die without a close frame."""
        self._waiting.clear()
        self.socket.transport.abort()


class Crowd:
    """All links of one venue, by topic."""

    def __init__(self, stamp: Stamp | None = None) -> None:
        self.links: set[Link] = set()
        self.sent = 0
        """Frames written or queued, each counted once a client."""
        self.lost = 0
        """Frames nobody listened to."""
        self._topics: defaultdict[str, set[Link]] = defaultdict(set)
        self._stamp = stamp

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

    def answer(self, link: Link, frame: bytes) -> None:
        """Queue a frame for one client."""
        link.put(framed(frame if self._stamp is None else self._stamp(link.session, frame)))

    def send(self, topic: str, frame: bytes, *, trade: bool = False) -> None:
        """Queue a frame for everybody who listens to the topic."""
        links = self._topics.get(topic)
        if not links:
            return
        whole = framed(frame) if self._stamp is None else b""
        for link in links:
            if self._stamp is not None:
                whole = framed(self._stamp(link.session, frame))
            if trade and link.faults.framing:
                for survivor in link.faults.frames(whole):
                    link.put(survivor)
                    self.sent += 1
            else:
                link.put(whole)
                self.sent += 1
