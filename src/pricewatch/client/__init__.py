"""The feed from the other side: what a program needs to follow it and to miss nothing.

async with Client(key) as client:
    async for signal in client.signals("BTC-USD", consumer="bot"):
        act(signal)
"""

from __future__ import annotations

from pricewatch.client.blocking import BlockingClient
from pricewatch.client.client import Client
from pricewatch.client.cursors import Cursors, FileCursors, MemoryCursors, Position
from pricewatch.client.errors import NotPricewatch, PositionLost, Rejected, Unauthorized
from pricewatch.client.health import Health
from pricewatch.client.options import Options
from pricewatch.client.signal import Signal
from pricewatch.client.signals import Signals
from pricewatch.client.webhooks import BadWebhook, Webhook, verify
from pricewatch.domain.errors import Refused

__all__ = [
    "BadWebhook",
    "BlockingClient",
    "Client",
    "Cursors",
    "FileCursors",
    "Health",
    "MemoryCursors",
    "NotPricewatch",
    "Options",
    "Position",
    "PositionLost",
    "Refused",
    "Rejected",
    "Signal",
    "Signals",
    "Unauthorized",
    "Webhook",
    "verify",
]
