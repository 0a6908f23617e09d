"""The stream's state machine, without a socket."""

from __future__ import annotations

import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.gateway_world import make_signal

from pricewatch.client.cursors import Position
from pricewatch.client.errors import NotPricewatch, PositionLost, Rejected
from pricewatch.client.follower import Again, Follower, Query
from pricewatch.client.frames import Frame, frame
from pricewatch.client.signal import Signal
from pricewatch.domain.signal import FeedEntry
from pricewatch.wire.feed import Place
from pricewatch.wire.signal import document

FEED = uuid.UUID(int=9)


def data(seq: int) -> dict[str, Any]:
    entry = FeedEntry(feed=FEED, epoch=1, seq=seq, signal=make_signal(FEED), committed=5)
    found: dict[str, Any] = msgspec.to_builtins(document(entry))
    return {**found, "id": str(uuid.UUID(int=seq))}


def said(kind: str, **fields: Any) -> Frame:
    return frame(json.dumps({"type": kind, **fields}))


def signal(seq: int, prev: int | None, epoch: int = 1, **more: Any) -> Frame:
    return said("signal", channel="signals", epoch=epoch, seq=seq, prev=prev, data=data(seq), **more)


def snapshot(seq: int, resumed: bool | None = None, **more: Any) -> Frame:
    return said("snapshot", channel="signals", epoch=1, seq=seq, resumed=resumed, newest={"epoch": 1, "seq": 9}, **more)


def follower(at: int | None = None, **query: Any) -> Follower:
    made = Follower(Query(**query), remembered=100)
    if at is not None:
        made.begin()
        made.take(said("welcome", account="a"))
        made.take(snapshot(at))
    return made


def take(made: Follower, *frames: Frame) -> list[int]:
    return [got.seq for one in frames if (got := made.take(one)[0]) is not None]


def test_what_is_asked() -> None:
    made = follower(symbols=("BTC-USD",), rules=("r",), severities=("info",), kinds=("above",))
    assert made.begin() == [
        (
            "subscribe",
            {"channel": "signals", "symbols": ["BTC-USD"], "rules": ["r"], "severities": ["info"], "kinds": ["above"]},
            1,
        )
    ]
    shared = follower(consumer="bot", ack_wait=2.0)
    assert shared.begin()[0][1] == {
        "channel": "signals", "symbols": ["*"], "consumer": "bot", "start": "newest", "ack_wait": 2.0,
    }  # fmt: skip


def test_signals_come_once_and_chain() -> None:
    made = follower(5)
    assert take(made, signal(6, 5), signal(6, 5), signal(9, 6), signal(6, 5)) == [6, 9]
    assert made.told == Place(1, 9)


@pytest.mark.parametrize(
    ("late", "reason"),
    [(signal(8, 7), "between 5 and 8"), (signal(6, 5, epoch=2), "epoch"), (signal(6, None), "before its snapshot")],
)
def test_a_hole_asks_for_it_again_from_the_last_place(late: Frame, reason: str) -> None:
    made = follower(5)
    with pytest.raises(Again, match=reason):
        made.take(late)
    assert made.begin()[0][1]["after"] == {"epoch": 1, "seq": 5}


def test_a_resumed_stream_goes_on() -> None:
    made = follower(5)
    take(made, signal(6, 5))
    made.begin()
    made.take(snapshot(6, True))
    assert not made.is_live
    assert take(made, signal(6, 5), signal(7, 6)) == [7]
    made.take(said("caught_up", channel="signals", epoch=1, seq=7))
    assert made.is_live


def test_ids_are_known_again_even_at_another_place() -> None:
    made = follower(5)
    one = signal(6, 5)
    take(made, one)
    twin = msgspec.structs.replace(signal(7, 6), data=one.data)
    assert take(made, twin, signal(8, 7)) == [8]


def test_only_so_many_ids_are_remembered() -> None:
    made = Follower(Query(consumer="bot"), remembered=1)
    shared = [signal(seq, None, consumer="bot", attempt=1, lease=3) for seq in (1, 2)]
    assert take(made, *shared, shared[1], shared[0]) == [1, 2, 1]


def test_the_position_follows_what_is_handled() -> None:
    made = follower(5)
    assert made.position() == Position("a", 1, 5)
    got = made.take(signal(6, 5))[0]
    assert got is not None
    assert made.position() == Position("a", 1, 5)
    made.take(said("heartbeat", live=True, seq=8))
    assert made.position() == Position("a", 1, 5)
    assert made.done(got) == []
    assert made.position() == Position("a", 1, 6)


def test_heartbeats_move_the_place_where_nothing_matches() -> None:
    made = follower(5)
    made.take(said("heartbeat", live=True, seq=8))
    assert (made.told, made.position()) == (Place(1, 8), Position("a", 1, 8))
    assert take(made, signal(9, 5)) == [9]
    for beat in (said("heartbeat", live=False, seq=99), said("heartbeat", live=True, seq=3), said("heartbeat")):
        made.take(beat)
    assert made.told == Place(1, 9)


def test_a_saved_position_is_its_accounts() -> None:
    made = follower()
    made.resume(Position("a", 1, 3))
    assert made.begin()[0][1]["after"] == {"epoch": 1, "seq": 3}
    with pytest.raises(PositionLost, match="account"):
        made.take(said("welcome", account="b"))


@pytest.mark.parametrize("reason", ["expired", "epoch", "future"])
def test_a_lost_place_is_an_error_with_what_is_left(reason: str) -> None:
    made = follower()
    made.resume(Position("a", 1, 3))
    made.begin()
    with pytest.raises(PositionLost, match=reason) as caught:
        made.take(snapshot(9, False, reason=reason, oldest={"epoch": 1, "seq": 7}))
    assert (caught.value.asked, caught.value.oldest, caught.value.newest) == (Place(1, 3), Place(1, 7), Place(1, 9))


def test_a_lost_place_may_go_on_with_the_oldest_or_with_now() -> None:
    for on_lost, place in (("oldest", 6), ("newest", 9)):
        made = follower(on_lost=on_lost)
        made.resume(Position("a", 1, 3))
        made.begin()
        lost = snapshot(9, False, reason="expired", oldest={"epoch": 1, "seq": 7})
        if on_lost == "oldest":
            with pytest.raises(Again) as caught:
                made.take(lost)
            assert caught.value.at_once
        else:
            made.take(lost)
        assert made.told == Place(1, place)


def test_a_first_start_may_begin_with_the_oldest() -> None:
    made = follower(start="oldest")
    made.begin()
    with pytest.raises(Again):
        made.take(snapshot(9, oldest={"epoch": 1, "seq": 1}))
    assert made.begin()[0][1]["after"] == {"epoch": 1, "seq": 0}
    empty = follower(start="oldest")
    empty.begin()
    empty.take(snapshot(0))
    assert empty.told == Place(1, 0)


def test_refusals_end_it_and_passing_troubles_do_not() -> None:
    made = follower()
    made.begin()
    with pytest.raises(Rejected, match="unknown_symbol: no such; did you mean BTC-USD") as caught:
        made.take(said("error", req_id=1, code="unknown_symbol", reason="no such", did_you_mean=["BTC-USD"]))
    assert (caught.value.code, caught.value.did_you_mean) == ("unknown_symbol", ["BTC-USD"])
    with pytest.raises(Again):
        made.take(said("error", req_id=1, code="consumer_ended", reason="was reset"))
    with pytest.raises(Rejected, match="invalid"):
        made.take(said("error", code="invalid"))
    made.take(snapshot(3))
    made.take(said("error", req_id=7, code="unknown_consumer"))


# -- consumers --------------------------------------------------------------------------------------------------------


def shared_frame(seq: int, attempt: int = 1, lease: int = 3) -> Frame:
    return signal(seq, None, consumer="bot", attempt=attempt, lease=lease)


def joined(**more: Any) -> Follower:
    made = follower(consumer="bot", **more)
    made.begin()
    made.take(said("welcome", account="a"))
    made.take(snapshot(0, None, consumer="bot", lease=3))
    return made


def got(made: Follower, one: Frame) -> Signal:
    found = made.take(one)[0]
    assert found is not None
    return found


def test_acks_are_repeated_until_they_are_confirmed() -> None:
    made = joined()
    first, second = got(made, shared_frame(1)), got(made, shared_frame(2))
    ((method, params, number),) = made.done(first)
    assert (method, params) == ("ack", {"consumer": "bot", "seqs": [1], "lease": 3})
    made.done(second)
    assert not made.leases.is_confirmed()
    made.take(said("settled", req_id=number, consumer="bot", lost=[]))
    made.begin()
    answers = made.take(snapshot(2, True, consumer="bot", lease=4))[1]
    assert [one[1]["seqs"] for one in answers] == [[2]]
    made.take(said("settled", req_id=answers[0][2], consumer="bot", lost=[2]))
    assert made.leases.is_confirmed()
    assert made.leases.lost == 1
    assert made.position() is None


def test_a_redelivered_signal_is_not_handed_out_twice() -> None:
    made = joined()
    working = got(made, shared_frame(1))
    assert made.take(shared_frame(1, 2, lease=4)) == (None, [])
    assert made.done(working)[0][1]["lease"] == 4
    assert made.take(shared_frame(1, 3, lease=5))[1][0][1] == {"consumer": "bot", "seqs": [1], "lease": 5}


def test_a_returned_signal_comes_again() -> None:
    made = joined()
    working = got(made, shared_frame(1))
    assert made.leases.extend(working, None)[0][1] == {"consumer": "bot", "seqs": [1], "lease": 3}
    assert made.leases.extend(working, 9.0)[0][1]["delay"] == 9.0
    ((method, params, _),) = made.give_back(working, 0.5)
    assert (method, params["seqs"], params["delay"]) == ("nack", [1], 0.5)
    assert got(made, shared_frame(1, 2)).attempt == 2
    assert made.leave()[0][:2] == ("unsubscribe", {"channel": "signals", "consumer": "bot"})


def test_a_consumer_that_lost_signals_says_so() -> None:
    for on_lost in ("raise", "oldest"):
        made = follower(consumer="bot", on_lost=on_lost)
        made.begin()
        lost = snapshot(5, False, consumer="bot", lease=3, reason="expired")
        if on_lost == "raise":
            with pytest.raises(PositionLost, match="expired"):
                made.take(lost)
        else:
            assert made.take(lost) == (None, [])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": 5}', b"\xff", "[" * 100_000])
def test_what_is_no_frame_is_no_pricewatch(text: str | bytes) -> None:
    with pytest.raises(NotPricewatch):
        frame(text)


def test_what_is_no_signal_is_no_pricewatch() -> None:
    made = follower(5)
    with pytest.raises(NotPricewatch, match="signal"):
        made.take(said("signal", channel="signals", epoch=1, seq=6, prev=5, data={"id": 7}))


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=40))
def test_whatever_comes_each_signal_is_handed_out_once_in_order(tries: list[tuple[int, bool]]) -> None:
    """A server that repeats, leaves out and reorders, and a stream that resumes after every complaint."""
    made, out = follower(0), []
    for seq, is_cut in tries:
        is_torn = False
        try:
            out += take(made, signal(seq, seq - 1))
        except Again:
            is_torn = True
        if is_torn or is_cut:
            at = made.begin()[0][1]["after"]["seq"]
            made.take(snapshot(at, True))
    assert out == list(range(1, len(out) + 1))
