"""Messages published and not yet sent, bounded: the open batch of every topic."""

from __future__ import annotations

from collections import deque


class Outgoing:
    """When a topic's bound is reached its oldest messages go, and are counted.

    Trades lost here show as a gap of trade ids at the reader, signals are read again from the feed log.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, deque[bytes]] = {}
        self.dropped = 0

    def add(self, topic: str, message: bytes) -> None:
        """Append to the topic's open batch."""
        batch = self._open.get(topic)
        if batch is None:
            batch = self._open[topic] = deque(maxlen=self._limit)
        self.dropped += len(batch) == self._limit
        batch.append(message)

    def take(self) -> dict[str, list[bytes]]:
        """Every open batch; afterwards none is open."""
        taken = {topic: list(batch) for topic, batch in self._open.items() if batch}
        self._open.clear()
        return taken

    def give_back(self, taken: dict[str, list[bytes]]) -> None:
        """Could not be sent: in front of what was published meanwhile."""
        for topic, messages in taken.items():
            newer = self._open.pop(topic, ())
            self.dropped += max(0, len(messages) + len(newer) - self._limit)
            self._open[topic] = deque((*messages, *newer), maxlen=self._limit)

    def __len__(self) -> int:
        return sum(len(batch) for batch in self._open.values())
