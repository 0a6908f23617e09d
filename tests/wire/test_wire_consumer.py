from __future__ import annotations

import json
import uuid

import msgspec
import pytest

from pricewatch.domain.consumer import Consumer, ConsumerState, Filter
from pricewatch.wire.consumer import ConsumerSnapshot, Settled, consumer_frame, document
from pricewatch.wire.feed import Place, Request, encode

RULE = uuid.UUID(int=1)
STATE = ConsumerState(
    consumer=Consumer(
        account=uuid.UUID(int=2),
        name="bot",
        channel="signals",
        filter=Filter(symbols=frozenset({"ETH-USD", "BTC-USD"}), rules=frozenset({RULE}), kinds=frozenset({"above"})),
        ack_wait=1_500_000,
        epoch=7,
        seq=12,
        created=0,
    ),
    acknowledged=10,
    in_flight=2,
    waiting=1,
    redelivered=1,
    behind=3,
)


def test_a_consumer_as_rest_says_it() -> None:
    said = document(STATE)
    assert (said.symbols, said.rules, said.severities, said.kinds) == (
        ["BTC-USD", "ETH-USD"], [str(RULE)], [], ["above"],
    )  # fmt: skip
    assert (said.ack_wait, said.position, said.created) == (1.5, Place(7, 12), "1970-01-01T00:00:00.000000Z")
    assert (said.acknowledged, said.in_flight, said.waiting, said.redelivered, said.behind) == (10, 2, 1, 1, 3)


def test_a_consumers_frame_wraps_the_document_without_reading_it() -> None:
    frame = json.loads(consumer_frame(7, 12, b'{"id":"x"}', channel="signals", consumer="bot", attempt=2, lease=9))
    assert frame == {
        "type": "signal", "channel": "signals", "epoch": 7, "seq": 12, "prev": None,
        "consumer": "bot", "attempt": 2, "lease": 9, "data": {"id": "x"},
    }  # fmt: skip


def test_answers() -> None:
    settled = Settled(req_id=3, channel="signals", ok=False, consumer="bot", method="ack", count=0, lost=[5], code="x")
    assert json.loads(encode(settled)) == {
        "type": "settled", "req_id": 3, "channel": "signals", "ok": False, "consumer": "bot", "method": "ack",
        "count": 0, "lost": [5], "code": "x",
    }  # fmt: skip
    snapshot = ConsumerSnapshot(
        channel="signals", consumer="bot", lease=9, ack_wait=30.0, max_in_flight=64, epoch=7, seq=0, resumed=None,
        in_flight=0,
    )  # fmt: skip
    assert json.loads(encode(snapshot))["type"] == "snapshot"


@pytest.mark.parametrize(
    "params",
    [
        '{"consumer":"a/b"}',
        '{"consumer":""}',
        '{"seqs":[]}',
        '{"seqs":[-1]}',
        '{"ack_wait":1e9}',
        '{"max_in_flight":0}',
        '{"start":"middle"}',
        '{"start":{"epoch":1}}',
        '{"rules":["x"]}',
        '{"delay":-1}',
    ],
)
def test_odd_terms_are_refused(params: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"method":"subscribe","params":{params}}}', type=Request)
