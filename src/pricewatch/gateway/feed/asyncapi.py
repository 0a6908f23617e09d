"""`/asyncapi.json`: the feed's protocol as AsyncAPI 3, made from the types that speak it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from pricewatch import __version__
from pricewatch.gateway.feed.codes import CLOSES, ERRORS, Meaning
from pricewatch.wire import candle, consumer, features, feed

FRAMES: tuple[type[msgspec.Struct], ...] = (
    feed.Welcome,
    feed.Subscribed,
    feed.Unsubscribed,
    feed.Error,
    feed.Pong,
    feed.SignalsSnapshot,
    feed.TickerSnapshot,
    consumer.ConsumerSnapshot,
    feed.SignalFrame,
    feed.TickerFrame,
    candle.CandleSnapshot,
    candle.CandleFrame,
    features.FeaturesSnapshot,
    features.FeaturesFrame,
    feed.CaughtUp,
    feed.ReplayDone,
    feed.Heartbeat,
    feed.StatusFrame,
    feed.GoingAway,
    consumer.Settled,
)
"""Everything the server says."""

_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_CHANNEL = "#/channels/feed"
_EXAMPLES = [
    {"method": "subscribe", "params": {"channel": "ticker", "symbols": ["BTC-USD", "kraken:ETH-USD"]}, "req_id": 1},
    {
        "method": "subscribe",
        "params": {"channel": "signals", "symbols": ["*"], "after": {"epoch": 1, "seq": 41}},
        "req_id": 2,
    },
    {"method": "subscribe", "params": {"channel": "signals", "symbols": ["*"], "consumer": "bot"}, "req_id": 3},
    {"method": "ack", "params": {"consumer": "bot", "seqs": [42]}, "req_id": 4},
    {"method": "ping", "req_id": 5},
]


@functools.cache
def document() -> dict[str, Any]:
    """The whole document, ready to be encoded."""
    _, schemas = msgspec.json.schema_components((*FRAMES, feed.Request), ref_template=_SCHEMAS + "{name}")
    # Signals in a snapshot travel as they were encoded for everybody.
    schemas["SignalsSnapshot"]["properties"]["data"]["items"] = {"$ref": f"{_SCHEMAS}SignalDocument"}
    names = [one.__name__ for one in FRAMES]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "pricewatch feed",
            "version": __version__,
            "description": "Live prices and signals; protocol 1. Fields are only ever added: pass over unknown ones.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "feed": {
                "address": "/ws/v1",
                "description": "One WebSocket. Send the key as `Authorization: Bearer pw_...`; never in the URL.",
                "messages": {name: {"$ref": _MESSAGES + name} for name in (*names, "Request")},
            }
        },
        "operations": {
            "ask": {
                "action": "receive",
                "channel": {"$ref": _CHANNEL},
                "summary": "What a client may send.",
                "messages": [{"$ref": f"{_CHANNEL}/messages/Request"}],
            },
            "tell": {
                "action": "send",
                "channel": {"$ref": _CHANNEL},
                "summary": "What the server sends.",
                "messages": [{"$ref": f"{_CHANNEL}/messages/{name}"} for name in names],
            },
        },
        "components": {
            "messages": {
                **{one.__name__: _message(one) for one in FRAMES},
                "Request": {**_message(feed.Request), "examples": [{"payload": one} for one in _EXAMPLES]},
            },
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "x-error-codes": {code.value: _row(meaning) for code, meaning in ERRORS.items()},
        "x-close-codes": {str(code.value): _row(meaning) for code, meaning in CLOSES.items()},
    }


async def serve(_: web.Request) -> web.Response:
    """The feed's protocol, for programs: AsyncAPI 3, with the tables of error and close codes."""
    return web.Response(body=msgspec.json.encode(document()), content_type="application/json")


def _message(one: type[msgspec.Struct]) -> dict[str, Any]:
    summary, _, rest = (one.__doc__ or "").strip().partition("\n")
    words = " ".join(rest.split())
    return {
        "name": one.__name__,
        "summary": summary,
        **({"description": words} if words else {}),
        "payload": {"$ref": _SCHEMAS + one.__name__},
    }


def _row(meaning: Meaning) -> Mapping[str, Any]:
    return {"meaning": meaning.text, "retry": meaning.retry}
