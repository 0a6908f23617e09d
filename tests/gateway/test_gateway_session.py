from __future__ import annotations

import json
import struct
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.gateway_world import BTC, ETH, MARKETS, make_signal

from pricewatch.domain.consumer import Filter
from pricewatch.domain.market import Market
from pricewatch.domain.signal import FeedEntry
from pricewatch.gateway.board import Board
from pricewatch.gateway.feed.codes import CLOSES, ERRORS, Close, ErrorCode
from pricewatch.gateway.feed.framing import framed
from pricewatch.gateway.feed.hub import encode_signal
from pricewatch.gateway.feed.session import Session
from pricewatch.gateway.feed.steps import Bucket, Hang, More, Open, Prices, Say, Status, Step
from pricewatch.gateway.feed.subscription import Opening, Phase, Signals, Stand, plan
from pricewatch.ports.journal import FeedHead
from pricewatch.testing.clock import ManualClock
from pricewatch.wire.feed import Limits, Place

ACCOUNT = uuid.UUID(int=5)
LIMITS = Limits(
    frame_bytes=1_000,
    requests_per_second=1.0,
    request_burst=50,
    symbols=3,
    queue_messages=256,
    queue_bytes=2**20,
    heartbeat_seconds=5.0,
    ticker_seconds=0.1,
)


def _session(**changes: Any) -> Session:
    board = Board(ManualClock(), quiet_after=10, blind_after=60)
    board.list_markets(MARKETS)
    options = {"board": board, "limits": LIMITS, "strikes": 5, "document": encode_signal, "now": 0.0, "may_write": True}
    return Session(ACCOUNT, **{**options, **changes})


def _ask(session: Session, method: str, now: float = 0.0, **params: Any) -> list[Step]:
    return session.receive(json.dumps({"method": method, "params": params, "req_id": "a"}), now, 0)


def _said(steps: list[Step]) -> list[dict[str, Any]]:
    return [json.loads(step.frame) for step in steps if isinstance(step, Say)]


def _entries(*seqs: int, market: Market = BTC) -> list[FeedEntry]:
    return [FeedEntry(feed=ACCOUNT, epoch=1, seq=seq, signal=make_signal(ACCOUNT, market), committed=5) for seq in seqs]


def test_every_code_has_a_meaning() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert set(CLOSES) == set(Close)
    assert all(len(meaning.text.encode()) <= 120 for meaning in CLOSES.values())


def test_ticker_steps() -> None:
    session = _session()
    steps = _ask(session, "subscribe", channel="ticker", symbols=["BTC-USD", "btc-usd", "coinbase:ETH-USD"])
    assert [frame["type"] for frame in _said(steps)] == ["subscribed"] * 3 + ["snapshot"]
    assert steps[-1] == Prices(frozenset({"BTC-USD", "coinbase:ETH-USD"}))
    steps = _ask(session, "unsubscribe", channel="ticker", symbols=["btc-usd"])
    assert steps[-1] == Prices(frozenset({"coinbase:ETH-USD"}))


def test_symbols_are_bounded() -> None:
    session = _session()
    symbols = ["BTC-USD", "ETH-USD", "coinbase:BTC-USD", "kraken:BTC-USD", "coinbase:ETH-USD"]
    frames = _said(_ask(session, "subscribe", channel="ticker", symbols=symbols))
    assert [frame.get("code") for frame in frames[:4]] == [None, None, None, "too_many_symbols"]
    assert len(session.tickers) == 3


def test_status_steps() -> None:
    session = _session()
    assert _ask(session, "subscribe", channel="status")[-1] == Status(on=True)
    assert session.status
    assert _ask(session, "unsubscribe", channel="heartbeat")[-1] == Status(on=True)
    assert _ask(session, "unsubscribe", channel="status")[-1] == Status(on=False)
    assert _said(_ask(session, "unsubscribe", channel="x"))[0]["code"] == "unknown_channel"


def test_after_begins_only_a_new_signals_subscription() -> None:
    session = _session()
    after = {"epoch": 1, "seq": 1}
    assert _said(_ask(session, "subscribe", channel="ticker", symbols=["*"], after=after))[0]["code"] == "invalid"
    assert isinstance(_ask(session, "subscribe", channel="signals", symbols=["*"])[-1], Open)
    frames = _said(_ask(session, "subscribe", channel="signals", symbols=["*"], after=after))
    assert frames[0]["code"] == "already_subscribed"


def test_answers_for_an_ended_subscription_do_nothing() -> None:
    session = _session()
    step = _ask(session, "subscribe", channel="signals", symbols=["*"])[-1]
    assert isinstance(step, Open)
    _ask(session, "unsubscribe", channel="signals", symbols=["*"])
    assert session.signals is None
    opening = Opening(FeedHead(1, 0), None, [])
    assert session.opened(step.generation, opening) == []
    _ask(session, "subscribe", channel="signals", symbols=["*"])
    assert session.opened(step.generation, opening) == []
    assert session.page(step.generation, []) == []


def test_a_backlog_is_paged_until_nothing_more_is_heard_of() -> None:
    session = _session()
    step = _ask(session, "subscribe", channel="signals", symbols=["*"], after={"epoch": 1, "seq": 2})[-1]
    assert isinstance(step, Open)
    steps = session.opened(step.generation, Opening(FeedHead(1, 4), 1, []))
    assert _said(steps)[0]["resumed"] is True
    assert steps[-1] == More(step.generation, 2)
    steps = session.page(step.generation, _entries(3, 4))
    assert [frame["seq"] for frame in _said(steps)] == [3, 4]
    assert session.signals is not None
    session.signals.heard(5)
    assert session.page(step.generation, [])[-1] == More(step.generation, 4)
    steps = session.page(step.generation, _entries(5))
    assert steps[-1] == More(step.generation, 5)
    steps = session.page(step.generation, [])
    assert [frame["type"] for frame in _said(steps)] == ["caught_up"]
    assert session.signals.phase is Phase.LIVE
    assert session.page(step.generation, []) == []


def test_more_symbols_go_on_from_where_it_stands() -> None:
    session = _session()
    step = _ask(session, "subscribe", channel="signals", symbols=["BTC-USD"])[-1]
    assert isinstance(step, Open)
    recent = [*_entries(2, market=ETH), *_entries(1)]
    frame = _said(session.opened(step.generation, Opening(FeedHead(1, 2), 1, recent)))[0]
    assert [one["seq"] for one in frame["data"]] == [1]
    again = _ask(session, "subscribe", channel="signals", symbols=["ETH-USD"])[-1]
    assert isinstance(again, Open)
    recent = [*_entries(3), *recent]
    steps = session.opened(again.generation, Opening(FeedHead(1, 3), 1, recent))
    frame = _said(steps)[0]
    assert (frame["seq"], [one["seq"] for one in frame["data"]]) == (2, [2])
    assert steps[-1] == More(again.generation, 2)


@pytest.mark.parametrize(
    ("after", "oldest", "reason"),
    [(Place(1, 3), 1, None), (Place(1, 0), 1, None), (Place(1, 3), 5, "expired"), (Place(1, -1), 1, "expired")],
)
def test_what_is_no_longer_there_is_said(after: Place, oldest: int, reason: str | None) -> None:
    signals = Signals(Filter(), after)
    frame = json.loads(signals.opened(Opening(FeedHead(1, 9), oldest, []), encode_signal)[0])
    assert frame["resumed"] is (reason is None)
    assert frame["reason"] == reason


def test_an_empty_log_can_be_resumed_at_its_head() -> None:
    signals = Signals(Filter(), Place(1, 9))
    frames = [json.loads(one) for one in signals.opened(Opening(FeedHead(1, 9), None, []), encode_signal)]
    assert [frame["type"] for frame in frames] == ["snapshot", "caught_up"]
    assert signals.phase is Phase.LIVE


@settings(deadline=None)  # a loaded machine is no failure
@given(
    known=st.integers(0, 30),
    batches=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=8).map(sorted), max_size=8),
)
def test_live_frames_have_no_hole_and_no_double(known: int, batches: list[list[int]]) -> None:
    selection, cursor, prev = frozenset({"*"}), known, known
    seen: list[int] = []
    for batch in batches:
        made = plan(_entries(*batch), Stand("signals", Filter(symbols=selection), 1, cursor, prev), lambda _: b"{}")
        frames = [json.loads(frame) for frame in made.frames]
        seen += [frame["seq"] for frame in frames]
        assert all(frame["prev"] == frame["seq"] - 1 for frame in frames)
        cursor, prev = made.cursor, made.prev
    assert seen == list(range(known + 1, cursor + 1))


def test_abuse_ends_the_session() -> None:
    session = _session()
    for _ in range(5):
        assert _said(session.receive("{", 0.0, 0))
    assert session.receive("{", 0.0, 0) == [Hang(Close.ABUSE)]


def test_the_bucket_fills_again() -> None:
    bucket = Bucket(2.0, 2, 0.0)
    assert [bucket.allows(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.allows(0.5), bucket.allows(0.5)] == [True, False]


@settings(max_examples=200, deadline=None)  # a loaded machine is no failure
@given(
    st.one_of(
        st.text(),
        st.binary(),
        st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists).map(json.dumps),
    )
)
def test_no_frame_gets_past_the_session(frame: str | bytes) -> None:
    steps = _session().receive(frame, 0.0, 0)
    assert [said["type"] for said in _said(steps)] == ["error"]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_are_what_the_protocol_says(size: int) -> None:
    data = framed(b"x" * size)
    assert data[0] == 0x81
    if data[1] == 127:
        assert (struct.unpack(">Q", data[2:10])[0], len(data)) == (size, size + 10)
    elif data[1] == 126:
        assert (struct.unpack(">H", data[2:4])[0], len(data)) == (size, size + 4)
    else:
        assert (data[1], len(data)) == (size, size + 2)
