"""What goes between the service and the process that works on previews: JSON in frames, its length before it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from pricewatch.ports.preview import Problem, Question

LARGEST = 256 << 20
"""Bytes of one frame."""


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """The first frame: where the data are, and what the operator set."""

    url: str
    database: dict[str, Any]
    engine: dict[str, Any]
    preview: dict[str, Any]


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """One question; the next one is sent once this one is answered."""

    question: Question


class Progressed(msgspec.Struct, frozen=True, tag="progress"):
    """The share that is done."""

    done: float


class Answered(msgspec.Struct, frozen=True, tag="answer"):
    """The public document."""

    document: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """There is no answer."""

    problem: Problem


Reply = Progressed | Answered | Failed

_encode = msgspec.json.Encoder().encode
decode_setup = msgspec.json.Decoder(Setup).decode
decode_ask = msgspec.json.Decoder(Ask).decode
decode_reply = msgspec.json.Decoder(Reply).decode


def frame(message: Setup | Ask | Reply) -> bytes:
    """The bytes of one message."""
    body = _encode(message)
    return len(body).to_bytes(4, "big") + body


async def receive(reader: asyncio.StreamReader) -> bytes:
    """The next message; raises `EOFError` at the end, also in the middle of one, and for a length nobody sends."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > LARGEST:
        raise EOFError(f"a frame of {length} bytes")
    return await reader.readexactly(length)
