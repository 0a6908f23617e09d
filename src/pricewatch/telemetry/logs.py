"""Structured logs to stderr, with secrets struck out by key and by value."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from pricewatch.telemetry.settings import LogSettings

STRUCK = "[redacted]"
_SECRET_KEYS = re.compile(r"passw|secret|token|api_?key|authori[sz]ation|cookie|credential|private_key", re.IGNORECASE)
_SECRET_VALUES = (
    (re.compile(r"pw_[A-Za-z0-9]{4,16}_[A-Za-z0-9_-]{8,}"), STRUCK),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]{8,}"), STRUCK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {STRUCK}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@"), rf"\1:{STRUCK}@"),
)
_DEPTH = 6
_CHATTY = ("websockets", "aiohttp.access", "mail.log", "asyncio")
"""Libraries that tell of every connection; what they warn of is kept."""


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up structlog, and the standard library's loggers into it. May be called again."""
    out = stream if stream is not None else sys.stderr
    level = getattr(logging, settings.level.upper())
    as_json = settings.format == "json" or (settings.format == "auto" and not out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer(default=str)]
        if as_json
        else [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: no secret leaves by its key's name or by what it looks like."""
    for key, value in event.items():
        event[key] = STRUCK if _is_secret_key(key) and value is not None else _clean(value, _DEPTH)
    return event


def scrub(text: str) -> str:
    """The text without anything that looks like a secret."""
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text


def _is_secret_key(key: object) -> bool:
    return isinstance(key, str) and _SECRET_KEYS.search(key) is not None


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if depth == 0:
        return STRUCK
    if isinstance(value, Mapping):
        return {key: STRUCK if _is_secret_key(key) else _clean(one, depth - 1) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(one, depth - 1) for one in value]
    if isinstance(value, bytes):
        return scrub(value.decode("utf-8", "replace"))
    return scrub(str(value))
