"""Both client libraries keep the promises of the connection port, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from pricewatch.domain.errors import Refused, Unavailable
from pricewatch.ingest.transport.choice import connector
from pricewatch.ingest.transport.options import Options
from pricewatch.ingest.transport.refusal import DEFAULT_STAY_AWAY, refusal
from pricewatch.ports.connection import Connector

Handler = Callable[[ServerConnection], Awaitable[None]]


class Venue:
    def __init__(self, server: Server) -> None:
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.handle: Handler = self.echo
        self.refuse: Response | None = None

    async def echo(self, socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)


class ConnectorPromises:
    def connector(self, options: Options) -> Connector:
        raise NotImplementedError

    @pytest.fixture
    async def venue(self) -> AsyncIterator[Venue]:
        found: list[Venue] = []

        async def handle(socket: ServerConnection) -> None:
            await found[0].handle(socket)

        def answer(_: ServerConnection, __: Request) -> Response | None:
            return found[0].refuse

        async with serve(handle, "127.0.0.1", 0, process_request=answer, close_timeout=0.5) as server:
            found.append(Venue(server))
            yield found[0]

    @pytest.fixture
    def client(self) -> Connector:
        return self.connector(Options(open_timeout=1.0, close_timeout=0.5, ping_interval=0.0, max_frame=4096))

    async def test_frames_go_both_ways(self, client: Connector, venue: Venue) -> None:
        async with client.connect(venue.url) as connection:
            for frame in ("text ü", b"\x00\xff"):
                await connection.send(frame)
                assert await connection.receive() == (frame.encode() if isinstance(frame, str) else frame)

    async def test_order_is_kept(self, client: Connector, venue: Venue) -> None:
        async def burst(socket: ServerConnection) -> None:
            for number in range(1000):
                await socket.send(str(number))

        venue.handle = burst
        async with client.connect(venue.url) as connection:
            assert [int(await connection.receive()) for _ in range(1000)] == list(range(1000))

    async def test_a_close_is_unavailable(self, client: Connector, venue: Venue) -> None:
        async def close(socket: ServerConnection) -> None:
            await socket.close(1001, "bye")

        venue.handle = close
        async with client.connect(venue.url) as connection:
            with pytest.raises(Unavailable):
                await connection.receive()
            with pytest.raises(Unavailable):
                await connection.receive()
            with pytest.raises(Unavailable):
                await connection.send("x")

    async def test_a_drop_is_unavailable(self, client: Connector, venue: Venue) -> None:
        async def drop(socket: ServerConnection) -> None:
            socket.transport.abort()

        venue.handle = drop
        async with client.connect(venue.url) as connection:
            with pytest.raises(Unavailable):
                await connection.receive()

    async def test_a_frame_too_large_ends_the_connection(self, client: Connector, venue: Venue) -> None:
        async def large(socket: ServerConnection) -> None:
            await socket.send("x" * 5000)
            await socket.wait_closed()

        venue.handle = large
        async with client.connect(venue.url) as connection:
            with pytest.raises(Unavailable):
                await connection.receive()

    @pytest.mark.parametrize(
        ("status", "headers", "wait"),
        [
            (429, {"Retry-After": "7"}, 7.0),
            (418, {}, DEFAULT_STAY_AWAY),
            (403, {}, None),
            (503, {"Retry-After": "9"}, 9),
        ],
    )
    async def test_refusals(
        self, client: Connector, venue: Venue, status: int, headers: dict[str, str], wait: float | None
    ) -> None:
        venue.refuse = Response(status, HTTPStatus(status).phrase, _headers(headers), b"")
        with pytest.raises(Refused) as caught:
            async with client.connect(venue.url):
                pass
        assert caught.value.retry_after == wait

    async def test_a_server_error_is_unavailable(self, client: Connector, venue: Venue) -> None:
        venue.refuse = Response(502, "Bad Gateway", _headers({}), b"")
        with pytest.raises(Unavailable):
            async with client.connect(venue.url):
                pass

    @pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "nonsense", "ws://[::1"])
    async def test_nobody_there(self, client: Connector, url: str) -> None:
        with pytest.raises(Unavailable):
            async with client.connect(url):
                pass

    async def test_a_server_that_never_answers(self) -> None:
        gone = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            gone.set()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            with pytest.raises(Unavailable):
                async with self.connector(Options(open_timeout=0.2)).connect(url):
                    pass
            await gone.wait()

    async def test_leaving_closes_for_the_venue_too(self, client: Connector, venue: Venue) -> None:
        closed = asyncio.Event()

        async def watch(socket: ServerConnection) -> None:
            await socket.wait_closed()
            closed.set()

        venue.handle = watch
        async with client.connect(venue.url):
            pass
        async with asyncio.timeout(12):
            await closed.wait()


class TestWebsockets(ConnectorPromises):
    def connector(self, options: Options) -> Connector:
        return connector("websockets", options)


class TestAiohttp(ConnectorPromises):
    def connector(self, options: Options) -> Connector:
        return connector("aiohttp", options)


def _headers(items: dict[str, str]) -> Headers:
    return Headers({"Content-Length": "0", **items})


def test_a_date_to_come_back_at_counts_as_the_default() -> None:
    error = refusal(503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "x")
    assert isinstance(error, Refused)
    assert error.retry_after == DEFAULT_STAY_AWAY
