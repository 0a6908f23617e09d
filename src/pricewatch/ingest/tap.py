"""Who writes down every frame."""

from __future__ import annotations

from typing import Protocol


class Tap(Protocol):
    """Who writes down every frame (`pricewatch record`)."""

    def opened(self, connection: str, url: str, at: int) -> None:
        """A connection was opened."""
        ...

    def sent(self, connection: str, url: str, frame: str, at: int) -> None:
        """A frame went to the venue."""
        ...

    def received(self, connection: str, frame: bytes | str, at: int) -> None:
        """A frame came from the venue."""
        ...
