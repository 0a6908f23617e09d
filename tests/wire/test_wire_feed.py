from __future__ import annotations

import json
import uuid

import msgspec
import pytest

from pricewatch.wire.feed import (
    CaughtUp,
    Error,
    FeedAge,
    Heartbeat,
    Limits,
    Place,
    Request,
    SignalsSnapshot,
    Subscribed,
    Welcome,
    encode,
    signal_frame,
    ticker_frame,
)


def test_a_signal_is_wrapped_without_being_read() -> None:
    frame = json.loads(signal_frame(7, 12, 10, b'{"id":"x"}'))
    assert frame == {
        "type": "signal", "channel": "signals", "epoch": 7, "seq": 12, "prev": 10, "data": {"id": "x"},
    }  # fmt: skip


@pytest.mark.parametrize("documents", [[], [b"{}"], [b'{"a":1}', b'{"b":2}']])
def test_prices_are_joined(documents: list[bytes]) -> None:
    update, snapshot = json.loads(ticker_frame(documents)), json.loads(ticker_frame(documents, snapshot=True))
    assert (update["type"], snapshot["type"], snapshot["snapshot"]) == ("ticker", "snapshot", True)
    assert update["data"] == snapshot["data"] == [json.loads(one) for one in documents]


def test_answers_say_what_they_answer() -> None:
    assert json.loads(encode(Subscribed(req_id=1, channel="ticker", symbol="*", ok=True))) == {
        "type": "subscribed", "req_id": 1, "channel": "ticker", "symbol": "*", "ok": True,
    }  # fmt: skip
    error = json.loads(encode(Error(ok=False, code="bad_json", reason="no")))
    assert error == {"type": "error", "ok": False, "code": "bad_json", "reason": "no"}


def test_only_a_resumable_place_has_epoch_and_seq_on_top() -> None:
    limits = Limits(1, 1.0, 1, 1, 1, 1, 1.0, 1.0)
    welcome = encode(Welcome(1, "0", "t", uuid.uuid4(), uuid.uuid4(), Place(1, 2), limits))
    beat = encode(Heartbeat("t", 3, live=True, feeds={"a:b": FeedAge(1.0, "live")}))
    assert not {"epoch", "seq"} <= json.loads(welcome).keys()
    assert "epoch" not in json.loads(beat)
    snapshot = encode(SignalsSnapshot(epoch=1, seq=2, resumed=None, newest=Place(1, 2)))
    for frame in (snapshot, encode(CaughtUp(1, 2))):
        assert {"epoch", "seq"} <= json.loads(frame).keys()


@pytest.mark.parametrize(
    "text",
    [
        '{"method":"ping","req_id":9007199254740993}',
        '{"method":"subscribe","params":{"channel":"signals","after":{"epoch":1}}}',
        '{"method":"subscribe","params":{"symbols":[1]}}',
        '{"method":"subscribe","param":{}}',
    ],
)
def test_odd_requests_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Request)
