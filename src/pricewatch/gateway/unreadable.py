"""What cannot be read as HTTP, in the log: the sender's fault takes one line, and no traceback of ours."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError


class Unreadable(logging.Filter):
    """Turns errors of reading requests into notes; all else passes unchanged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record may be changed."""
        error = record.exc_info[1] if record.exc_info else None
        while error is not None and not isinstance(error, HttpProcessingError | RequestPayloadError):
            error = error.__cause__
        if error is not None:
            words = " ".join(str(error).split())[:200]
            record.msg, record.args = f"gateway.unreadable_request: {words!a}", ()
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.exc_info = record.exc_text = None
        return True


LOGGER = logging.getLogger("pricewatch.gateway.http")
"""The server's own."""
LOGGER.addFilter(Unreadable())
