"""A small `/ws/v1` over signals that are made up, with a plan of what goes wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from pricewatch.conformance.faults import Act, Bye, Cut, Down, Plan, Say, Send, Stall
from pricewatch.conformance.waits import Waits
from pricewatch.domain.signal import Direction, FeedEntry, Signal, signal_id
from pricewatch.wire.consumer import ConsumerSnapshot, Settled, consumer_frame
from pricewatch.wire.feed import (
    PROTOCOL,
    CaughtUp,
    Error,
    GoingAway,
    Heartbeat,
    Limits,
    Place,
    Pong,
    Request,
    SignalsSnapshot,
    Subscribed,
    Welcome,
    encode,
    signal_frame,
)
from pricewatch.wire.signal import document

BEAT = 0.25
"""Seconds between heartbeats."""
EPOCH = 1
KEY = "pw_conformance"
_TIME = "2026-01-31T12:00:00.000000Z"
_ACCOUNT = uuid.UUID(int=0xC0F0)
_RULE = uuid.UUID(int=0xC0FE)
_AT = 1_769_860_800_000_000
_REQUEST = msgspec.json.Decoder(Request)


class _Ended(Exception):  # noqa: N818 - ends a connection's task group
    """The plan ended this connection."""


class Faulty:
    """Signals `1 … count` come at a steady pace once somebody has subscribed."""

    def __init__(self, plan: Plan, count: int, *, pace: float = 0.005, ack_wait: float = 30.0) -> None:
        self.ids = [str(_signal(seq).id) for seq in range(1, count + 1)]
        """Of all signals, in order."""
        self.connections = self.refused = 0
        self.acked: set[int] = set()
        self.waits = Waits(ack_wait)
        self.port = 0
        self._plan = plan
        self._pace = pace
        self._head = 0
        self._news = asyncio.Condition()
        self._begun = asyncio.Event()
        self._all_acked = asyncio.Event()
        self._down_until = 0.0
        self._handed: dict[int, int] = {}
        self._lease = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws/v1"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Faulty]:
        """Serve until the body ends."""
        async with (
            serve(self._handle, "127.0.0.1", 0, process_request=self._admit, close_timeout=0.5) as listening,
            asyncio.TaskGroup() as group,
        ):
            self.port = next(iter(listening.sockets)).getsockname()[1]
            task = group.create_task(self._emit(), name="conformance.emit")
            try:
                yield self
            finally:
                task.cancel()

    async def _emit(self) -> None:
        await self._begun.wait()
        for _ in self.ids:
            async with self._news:
                self._head += 1
                self._news.notify_all()
            await asyncio.sleep(self._pace)

    def _admit(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "send the key in a header\n")
        if _now() < self._down_until:
            self.refused += 1
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "restarting\n")
        return None

    async def _handle(self, socket: ServerConnection) -> None:
        self.connections += 1
        try:
            await _Session(self, socket, self.connections).run()
        except* (ConnectionClosed, _Ended):
            pass

    # -- what sessions share ------------------------------------------------------------------------------------------

    async def after(self, cursor: int) -> int:
        """The next place, once there is one."""
        self._begun.set()
        async with self._news:
            await self._news.wait_for(lambda: self._head > cursor)
        return cursor + 1

    @property
    def head(self) -> int:
        """The newest place."""
        return self._head

    @property
    def plan(self) -> Plan:
        """What goes wrong."""
        return self._plan

    def stay_away(self, seconds: float) -> None:
        """Refuse everybody for a while."""
        self._down_until = _now() + seconds

    def join(self) -> int:
        """A new lease of the consumer."""
        self._lease += 1
        return self._lease

    def hand(self, seq: int) -> int:
        """Deliver a signal to the consumer: the attempt."""
        self._handed[seq] = self._handed.get(seq, 0) + 1
        self.waits.hand(seq, _now())
        return self._handed[seq]

    def ack(self, seqs: list[int]) -> None:
        """Take an acknowledgement."""
        self.waits.ack(seqs, _now())
        self.acked.update(seqs)
        if len(self.acked) == len(self.ids):
            self._all_acked.set()

    async def all_acked(self, within: float) -> bool:
        """Whether everything is acknowledged in time."""
        try:
            async with asyncio.timeout(within):
                return await self._all_acked.wait()
        except TimeoutError:
            return False

    def owed(self) -> list[int]:
        """Delivered and not acknowledged."""
        return [seq for seq in self._handed if seq not in self.acked]

    @property
    def handed(self) -> int:
        """The newest place delivered to the consumer."""
        return max(self._handed, default=0)


class _Session:
    """One connection."""

    def __init__(self, server: Faulty, socket: ServerConnection, number: int) -> None:
        self._server = server
        self._socket = socket
        self._number = number
        self._cursor = 0
        self._prev = 0
        self._lease = 0
        self._is_silent = asyncio.Event()

    async def run(self) -> None:
        await self._say(
            Welcome(PROTOCOL, "conformance", _TIME, uuid.uuid4(), _ACCOUNT, Place(EPOCH, self._server.head), _limits())
        )
        for act in self._server.plan.opened(self._number):
            await self._do(act)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(), name="conformance.beat")
            await self._listen(group)
            raise _Ended

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        async for text in self._socket:
            request = _REQUEST.decode(text)
            match request.method:
                case "subscribe":
                    group.create_task(self._subscribe(request), name="conformance.feed")
                case "ack":
                    await self._ack(request)
                case "ping":
                    await self._say(Pong(request.req_id, _TIME))
                case "extend":
                    seqs = list(request.params.seqs or ())
                    lost = self._server.waits.extend(seqs, request.params.delay, _now())
                    await self._settled(request, len(seqs) - len(lost), lost)
                case "unsubscribe" | "nack":
                    pass
                case _:
                    reason = f"there is no method {request.method!r}"
                    await self._say(Error(req_id=request.req_id, ok=False, code="unknown_method", reason=reason))

    async def _subscribe(self, request: Request) -> None:
        params = request.params
        for symbol in params.symbols or ():
            await self._say(Subscribed(req_id=request.req_id, channel=params.channel, symbol=symbol, ok=True))
        if params.channel != "signals":
            return
        if params.consumer is not None:
            await self._share(params.consumer)
            return
        head = self._server.head
        resumed = None if params.after is None else params.after.epoch == EPOCH and params.after.seq <= head
        self._cursor = self._prev = params.after.seq if resumed and params.after is not None else head
        newest, reason = Place(EPOCH, head), "future" if resumed is False else None
        await self._say(
            SignalsSnapshot(
                epoch=EPOCH, seq=self._cursor, resumed=resumed, reason=reason, oldest=Place(EPOCH, 1), newest=newest
            )
        )
        while True:
            if resumed and self._cursor == self._server.head:
                resumed = False
                await self._say(CaughtUp(EPOCH, self._cursor))
            seq = await self._server.after(self._cursor)
            for act in self._server.plan.due(seq):
                await self._do(act)
            self._cursor = max(self._cursor, seq)

    async def _share(self, consumer: str) -> None:
        self._lease = self._server.join()
        owed = self._server.owed()
        await self._say(
            ConsumerSnapshot(
                channel="signals",
                consumer=consumer,
                lease=self._lease,
                ack_wait=self._server.waits.ack_wait,
                max_in_flight=8,
                epoch=EPOCH,
                seq=self._server.handed,
                resumed=True if self._lease > 1 else None,
                in_flight=len(owed),
            )
        )
        for seq in owed:
            await self._deliver(seq, consumer)
        while True:
            await self._deliver(await self._server.after(self._server.handed), consumer)

    async def _deliver(self, seq: int, consumer: str) -> None:
        frame = consumer_frame(
            EPOCH,
            seq,
            _document(seq),
            channel="signals",
            consumer=consumer,
            attempt=self._server.hand(seq),
            lease=self._lease,
        )
        await self._socket.send(frame.decode())

    async def _ack(self, request: Request) -> None:
        params = request.params
        upto = params.upto or 0
        seqs = list(params.seqs) if params.seqs is not None else [one for one in self._server.owed() if one <= upto]
        for act in self._server.plan.acked(seqs):
            await self._do(act)
        self._server.ack(seqs)
        await self._settled(request, len(seqs), [])

    async def _settled(self, request: Request, count: int, lost: list[int]) -> None:
        await self._say(
            Settled(
                req_id=request.req_id,
                channel="signals",
                ok=not lost,
                consumer=request.params.consumer or "",
                method=request.method,
                count=count,
                lost=lost,
                code="lease_lost" if lost else "",
            )
        )

    async def _do(self, act: Act) -> None:
        match act:
            case Send(seq, pieces) if 0 < seq <= self._server.head:
                # A repeated or early signal says the truth about its predecessor, as a real one would.
                frame = signal_frame(EPOCH, seq, seq - 1, _document(seq)).decode()
                await self._socket.send(_pieces(frame, pieces) if pieces > 1 else frame)
            case Say(text):
                await self._socket.send(text)
            case Cut():
                self._socket.transport.abort()
                raise _Ended
            case Bye(code):
                await self._socket.close(code, "as planned")
                raise _Ended
            case Stall():
                self._is_silent.set()
                await self._socket.wait_closed()
                raise _Ended
            case Down(seconds):
                await self._say(GoingAway(round(seconds / 2, 3)))
                self._server.stay_away(seconds)
                await self._socket.close(1001, "restarting")
                raise _Ended
            case _:
                pass

    async def _beat(self) -> None:
        while not self._is_silent.is_set():
            await self._say(Heartbeat(_TIME, self._cursor or None, self._cursor == self._server.head, {}))
            await asyncio.sleep(BEAT)

    async def _say(self, frame: Any) -> None:
        await self._socket.send(encode(frame).decode())


def _now() -> float:
    return asyncio.get_running_loop().time()


def _pieces(text: str, count: int) -> Iterator[str]:
    size = -(-len(text) // count)
    return (text[at : at + size] for at in range(0, len(text), size))


def _limits() -> Limits:
    return Limits(65_536, 20.0, 100, 1_000, 256, 2**20, BEAT, 0.1)


def _signal(seq: int) -> Signal:
    cause, at = f"trade:{seq}", _AT + seq * 1_000
    return Signal(
        id=signal_id(_RULE, 1, "coinbase:BTC-USD", cause, Direction.FIRED),
        account_id=_ACCOUNT,
        rule_id=_RULE,
        rule_version=1,
        title="BTC above 70,000",
        kind="above",
        severity="info",
        direction=Direction.FIRED,
        scope="coinbase:BTC-USD",
        market=1,
        venue="coinbase",
        symbol="BTC-USD",
        cause=cause,
        at=at,
        seen=at + 900,
        received=at + 400,
        price=70_000.0 + seq,
        since=at,
        evidence={"v": 1, "level": "70000"},
    )


def _document(seq: int) -> bytes:
    entry = FeedEntry(feed=_ACCOUNT, epoch=EPOCH, seq=seq, signal=_signal(seq), committed=_AT + seq * 1_000 + 1_500)
    return msgspec.json.encode(document(entry))
