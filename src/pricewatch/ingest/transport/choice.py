"""Which client library opens the connections."""

from __future__ import annotations

from typing import Literal

from pricewatch.ingest.transport.aiohttp_client import AiohttpConnector
from pricewatch.ingest.transport.options import Options
from pricewatch.ingest.transport.websockets_client import WebsocketsConnector
from pricewatch.ports.connection import Connector


def connector(library: Literal["websockets", "aiohttp"], options: Options) -> Connector:
    """The connector the settings name."""
    return AiohttpConnector(options) if library == "aiohttp" else WebsocketsConnector(options)
