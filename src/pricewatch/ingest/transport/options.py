"""What both client libraries are told."""

from __future__ import annotations

import msgspec


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes."""

    open_timeout: float = 10.0
    close_timeout: float = 1.0
    ping_interval: float = 20.0
    """Between WebSocket pings; 0: the venue does not answer them."""
    compression: bool = False
    max_frame: int = 10 * 1024 * 1024
    user_agent: str = "pricewatch"
